//! How many connections each party has open.

use super::Party;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who has how many. Looked at once a connection, never by a request.
#[derive(Debug, Default)]
pub struct Crowd {
    counts: Mutex<HashMap<Party, usize>>,
}

/// A party's place among its connections, given back when this is dropped.
#[derive(Debug)]
pub struct Place {
    crowd: Arc<Crowd>,
    who: Party,
}

impl Crowd {
    /// A place for one more connection of `who`; none where it has `max` already.
    pub fn enter(self: &Arc<Self>, who: Party, max: usize) -> Option<Place> {
        let mut counts = self.lock();
        let count = counts.entry(who).or_insert(0);
        if *count >= max {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place {
            crowd: self.clone(),
            who,
        })
    }

    /// A panic while it was held left each count whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<Party, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.crowd.lock().entry(self.who) {
            match count.get_mut() {
                0 | 1 => drop(count.remove()),
                count => *count -= 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_has_so_many_places_and_gets_them_back() {
        let crowd = Arc::new(Crowd::default());
        let at = |text: &str| Party::at(text.parse().unwrap());
        let first = crowd.enter(at("198.51.100.7"), 2).unwrap();
        let second = crowd.enter(at("198.51.100.7"), 2).unwrap();
        assert!(crowd.enter(at("198.51.100.7"), 2).is_none());
        assert!(crowd.enter(at("198.51.100.8"), 2).is_some());
        assert!(crowd.enter(Party::User(33), 2).is_some());
        drop(first);
        let third = crowd.enter(at("198.51.100.7"), 2);
        assert!(third.is_some());
        drop((second, third));
        assert!(crowd.lock().is_empty());
    }
}
