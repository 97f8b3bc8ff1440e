//! So many at a time, whoever they are.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Places that are taken now.
#[derive(Debug, Default)]
pub struct Places(AtomicUsize);

/// A place, given back when this is dropped.
#[derive(Debug)]
pub struct Taken<'a>(&'a AtomicUsize);

impl Places {
    /// Takes one; none where `max` are taken.
    pub fn take(&self, max: usize) -> Option<Taken<'_>> {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        let taken = Taken(&self.0);
        (before < max).then_some(taken)
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_and_each_is_given_back() {
        let places = Places::default();
        let one = places.take(2).unwrap();
        let two = places.take(2).unwrap();
        assert!(places.take(2).is_none());
        assert_eq!(places.taken(), 2);
        drop(one);
        assert!(places.take(2).is_some());
        drop(two);
        assert_eq!(places.taken(), 0);
    }
}
