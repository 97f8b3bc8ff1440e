//! On what terms connections are taken, and whether those of one are still enough.

use crate::config::Tls;
use crate::tls::{ClientAuthorities, MinVersion};
use rustls_pki_types::CertificateDer;
use std::collections::HashSet;

/// What a connection had to prove when it was taken. One from before a reload may
/// have proved less than its requests would be believed for now.
#[derive(Debug, PartialEq, Eq)]
pub struct Terms {
    /// None: plain HTTP.
    tls: Option<TlsTerms>,
}

#[derive(Debug, PartialEq, Eq)]
struct TlsTerms {
    min_version: MinVersion,
    /// Whose certificate its source had to show; none: nobody's.
    clients: Option<HashSet<CertificateDer<'static>>>,
}

impl Terms {
    fn clients(&self) -> Option<&HashSet<CertificateDer<'static>>> {
        self.tls.as_ref()?.clients.as_ref()
    }

    pub(super) fn of(tls: Option<&Tls>, clients: Option<ClientAuthorities>) -> Self {
        Self {
            tls: tls.map(|tls| TlsTerms {
                min_version: tls.min_version,
                clients: clients.map(|clients| clients.certificates.into_iter().collect()),
            }),
        }
    }

    /// Whether a source may have been let in by the certificate of an authority that `now`
    /// knows no more.
    #[must_use]
    pub fn are_disowned_by(&self, now: &Self) -> bool {
        let (then, now) = (self.clients(), now.clients());
        then.zip(now)
            .is_some_and(|(then, now)| !then.is_subset(now))
    }

    /// Whether what was taken on these terms would be taken on the terms of `now`, too.
    #[must_use]
    pub fn suffice_for(&self, now: &Self) -> bool {
        match (&self.tls, &now.tls) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(then), Some(now)) => {
                let by_version = match now.min_version {
                    MinVersion::Tls12 => true,
                    MinVersion::Tls13 => then.min_version == MinVersion::Tls13,
                };
                let by_client = match (&then.clients, &now.clients) {
                    (_, None) => true,
                    (None, Some(_)) => false,
                    // Signed by one of those, and all of those still count.
                    (Some(then), Some(now)) => then.is_subset(now),
                };
                by_version && by_client
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TlsKey;

    fn terms(min_version: MinVersion, clients: Option<&[u8]>) -> Terms {
        let tls = Tls {
            cert_path: "c".into(),
            key: TlsKey::File("k".into()),
            min_version,
            client_ca_path: None,
        };
        let certificate = |byte: &u8| CertificateDer::from(vec![*byte]);
        let clients = clients.map(|clients| ClientAuthorities {
            certificates: clients.iter().map(certificate).collect(),
            origin: String::new(),
        });
        Terms::of(Some(&tls), clients)
    }

    #[test]
    fn a_connection_that_proved_as_much_goes_on() {
        use MinVersion::{Tls12, Tls13};
        let plain = || Terms::of(None, None);
        for (then, now, suffice) in [
            (plain(), plain(), true),
            (plain(), terms(Tls12, None), false),
            (terms(Tls12, None), plain(), true),
            (terms(Tls12, None), terms(Tls12, None), true),
            (terms(Tls12, None), terms(Tls13, None), false),
            (terms(Tls13, None), terms(Tls12, None), true),
            (terms(Tls12, None), terms(Tls12, Some(&[1])), false),
            (terms(Tls12, Some(&[1])), terms(Tls12, None), true),
            // A bundle in another order, and one that grows for a rollover.
            (
                terms(Tls12, Some(&[1, 2])),
                terms(Tls12, Some(&[2, 1, 1])),
                true,
            ),
            (terms(Tls12, Some(&[1])), terms(Tls12, Some(&[2, 1])), true),
            (terms(Tls12, Some(&[1, 2])), terms(Tls12, Some(&[2])), false),
            (terms(Tls12, Some(&[1])), terms(Tls12, Some(&[2])), false),
        ] {
            assert_eq!(then.suffice_for(&now), suffice, "{then:?} {now:?}");
            assert!(!suffice || !then.are_disowned_by(&now), "{then:?} {now:?}");
        }
    }

    #[test]
    fn who_was_let_in_by_an_authority_that_is_gone_is_disowned() {
        use MinVersion::{Tls12, Tls13};
        for (then, now, disowned) in [
            (terms(Tls12, Some(&[1, 2])), terms(Tls12, Some(&[2])), true),
            (terms(Tls12, Some(&[1])), terms(Tls12, Some(&[2, 1])), false),
            (terms(Tls12, None), terms(Tls12, Some(&[1])), false),
            (terms(Tls12, None), terms(Tls13, None), false),
            (Terms::of(None, None), terms(Tls12, None), false),
        ] {
            assert_eq!(then.are_disowned_by(&now), disowned, "{then:?} {now:?}");
        }
    }
}
