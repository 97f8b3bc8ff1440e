//! How many connections each source has open.

use super::household;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who has how many. Looked at once a connection, never by a request.
#[derive(Debug, Default)]
pub struct Crowd {
    counts: Mutex<HashMap<IpAddr, usize>>,
}

/// A source's place among its connections, given back when this is dropped.
#[derive(Debug)]
pub struct Place {
    crowd: Arc<Crowd>,
    who: IpAddr,
}

impl Crowd {
    /// A place for one more connection of `source`; none where it has `max` already.
    pub fn enter(self: &Arc<Self>, source: IpAddr, max: usize) -> Option<Place> {
        let who = household(source);
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
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
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
    fn a_source_has_so_many_places_and_gets_them_back() {
        let crowd = Arc::new(Crowd::default());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = crowd.enter(ip("198.51.100.7"), 2).unwrap();
        let second = crowd.enter(ip("::ffff:198.51.100.7"), 2).unwrap();
        assert!(crowd.enter(ip("198.51.100.7"), 2).is_none());
        assert!(crowd.enter(ip("198.51.100.8"), 2).is_some());
        drop(first);
        let third = crowd.enter(ip("198.51.100.7"), 2);
        assert!(third.is_some());
        drop((second, third));
        assert!(crowd.lock().is_empty());
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let crowd = Arc::new(Crowd::default());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let _one = crowd.enter(ip("2001:db8::1"), 1).unwrap();
        assert!(crowd.enter(ip("2001:db8::ffff:2"), 1).is_none());
        assert!(crowd.enter(ip("2001:db8:0:1::1"), 1).is_some());
    }
}
