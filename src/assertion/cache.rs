//! Assertions that were found genuine, so that a user's next requests cost a look-up.

use super::claims::Subject;
use quick_cache::Weighter;
use std::sync::Arc;

/// The most that is remembered: this many bytes of tokens.
const MOST_BYTES: u64 = 8 << 20;
/// What is expected of a token's length.
const USUAL_BYTES: u64 = 1024;

/// What a genuine assertion says.
pub(super) struct Verified {
    pub(super) subject: Subject,
    /// When it ends, in seconds since the Unix epoch.
    pub(super) ends: u64,
    /// By which generation of the keys it was verified: a key may have gone since.
    pub(super) generation: u64,
}

/// Genuine assertions, those used last; false ones leave nothing here.
pub(super) struct Cache(quick_cache::sync::Cache<Box<[u8]>, Arc<Verified>, ByLength>);

#[derive(Clone)]
struct ByLength;

impl Weighter<Box<[u8]>, Arc<Verified>> for ByLength {
    fn weight(&self, token: &Box<[u8]>, _: &Arc<Verified>) -> u64 {
        token.len() as u64 + 1
    }
}

impl Default for Cache {
    fn default() -> Self {
        let items = (MOST_BYTES / USUAL_BYTES) as usize;
        Self(quick_cache::sync::Cache::with_weighter(
            items, MOST_BYTES, ByLength,
        ))
    }
}

impl Cache {
    pub(super) fn get(&self, token: &[u8]) -> Option<Arc<Verified>> {
        self.0.get(token)
    }

    pub(super) fn put(&self, token: &[u8], verified: Arc<Verified>) {
        self.0.insert(token.into(), verified);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_in_bytes() {
        let cache = Cache::default();
        let verified = Arc::new(Verified {
            subject: Subject::User("nick".into()),
            ends: 0,
            generation: 1,
        });
        for number in 0..20_000_u32 {
            let mut token = vec![b'a'; 2000];
            token.extend(number.to_be_bytes());
            cache.put(&token, verified.clone());
        }
        assert!(cache.0.weight() <= MOST_BYTES, "{}", cache.0.weight());
        assert!(cache.0.len() > 1000);
    }
}
