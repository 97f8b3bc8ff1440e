//! One request of a probe: what it shows, and what its answer says that it answers.

use super::{Mark, NONCE_BYTES, Nonce};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// One request of a probe, which its answer names, so that none is taken for the answer to
/// another. It says nothing of the nonce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shot {
    /// The probe's.
    pub mark: Mark,
    /// Its place among the requests of the probe; 0 where it showed the nonce alone.
    pub number: u16,
}

impl Nonce {
    /// What request `number` shows, and what its answer names.
    #[must_use]
    pub fn shoot(&self, number: u16) -> (String, Shot) {
        let mark = self.mark();
        (format!("{}-{number}", self.expose()), Shot { mark, number })
    }

    /// The request that shows this, if it is one of this nonce. Compared in constant time.
    pub(super) fn shot(&self, shown: &[u8]) -> Option<Shot> {
        let (nonce, rest) = shown.split_at_checked(2 * NONCE_BYTES)?;
        let number = match rest {
            // By hand, where nobody has to tell answers apart.
            [] => 0,
            rest => number(rest.strip_prefix(b"-")?)?,
        };
        let is_it: bool = nonce.ct_eq(self.expose().as_bytes()).into();
        is_it.then(|| Shot {
            mark: self.mark(),
            number,
        })
    }
}

/// In its one spelling.
fn number(digits: &[u8]) -> Option<u16> {
    let number: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == digits).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shot_is_the_nonce_and_a_number_in_one_spelling() {
        let nonce = Nonce::read("00112233445566778899aabbccddeeff").unwrap();
        for number in [0, 1, 42, u16::MAX] {
            let (shown, shot) = nonce.shoot(number);
            assert_eq!(nonce.shot(shown.as_bytes()), Some(shot.clone()));
            assert_eq!((shot.number, &shot.mark), (number, &nonce.mark()));
            let told = serde_json::to_string(&shot).unwrap();
            assert!(!told.contains(nonce.expose()), "{told}");
            assert_eq!(serde_json::from_str::<Shot>(&told).unwrap(), shot);
        }
        let shown = nonce.expose();
        for none in [
            "-", "-01", "-+1", "--1", "-1 ", "-1-1", "-x", "-0x1", "-65536", "1", " -1",
        ] {
            assert_eq!(
                nonce.shot(format!("{shown}{none}").as_bytes()),
                None,
                "{none}"
            );
        }
        let alone = nonce.shot(shown.as_bytes());
        assert_eq!(alone.map(|shot| shot.number), Some(0));
        let other = "10112233445566778899aabbccddeeff-1";
        for none in [other, "-1", "1", &shown[1..]] {
            assert_eq!(nonce.shot(none.as_bytes()), None, "{none}");
        }
        assert_eq!(nonce.shot(&[0xff; 34]), None);
    }
}
