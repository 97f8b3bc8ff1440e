//! The requests that were refused last, kept in memory so that an operator can ask why:
//! bounded in number and in bytes, and without anything that might be a secret.

mod entry;
mod fields;

pub use entry::{Arrival, Entry, Fact, Refused, SeenRequest};

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many are kept of trusted sources, and as many of all others: whoever may not come
/// in at all can't push out what a user was told.
pub const KEPT: usize = 1000;

/// The requests that were refused last.
#[derive(Debug, Default)]
pub struct DenialBook {
    shelves: Mutex<Shelves>,
}

#[derive(Debug, Default)]
struct Shelves {
    noted: u64,
    trusted: VecDeque<Noted>,
    others: VecDeque<Noted>,
}

/// An entry and its place in the order of all.
#[derive(Debug, Clone)]
struct Noted(u64, Arc<Entry>);

impl DenialBook {
    /// Keeps `entry`; the oldest of the same kind of source goes when there are too many.
    pub fn note(&self, entry: Entry) {
        let is_trusted = entry.is_source_trusted;
        let entry = Arc::new(entry);
        let mut shelves = self.lock();
        shelves.noted += 1;
        let noted = Noted(shelves.noted, entry);
        let shelf = if is_trusted {
            &mut shelves.trusted
        } else {
            &mut shelves.others
        };
        let pushed_out = if shelf.len() >= KEPT {
            shelf.pop_front()
        } else {
            None
        };
        shelf.push_back(noted);
        drop(shelves);
        // Freed where nobody waits for it.
        drop(pushed_out);
    }

    /// The latest with this request id: a trusted proxy may give one twice.
    pub fn find(&self, request_id: &str) -> Option<Arc<Entry>> {
        let shelves = self.lock();
        let newest = [&shelves.trusted, &shelves.others]
            .into_iter()
            .filter_map(|shelf| {
                shelf
                    .iter()
                    .rev()
                    .find(|noted| noted.1.request_id == request_id)
            })
            .max_by_key(|noted| noted.0);
        newest.map(|noted| noted.1.clone())
    }

    /// The latest `limit`, latest first.
    pub fn latest(&self, limit: usize) -> Vec<Arc<Entry>> {
        let shelves = self.lock();
        let mut all: Vec<Noted> = [&shelves.trusted, &shelves.others]
            .into_iter()
            .flat_map(|shelf| shelf.iter().rev().take(limit).cloned())
            .collect();
        drop(shelves);
        all.sort_by_key(|noted| std::cmp::Reverse(noted.0));
        all.truncate(limit);
        all.into_iter().map(|noted| noted.1).collect()
    }

    /// Whole whatever panicked while it was held: each change is one step.
    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
