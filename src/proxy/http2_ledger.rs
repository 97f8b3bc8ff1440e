//! What an HTTP/2 connection's streams come to, and when that is abuse: rapid
//! resets (CVE-2023-44487), floods of requests that can't be read, and floods of
//! frames that are no requests.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Abuse is a matter of rate: what is older is forgotten.
const WINDOW: Duration = Duration::from_secs(10);
/// Streams of a window that may be malformed: each costs an answer and a log line.
const MAX_MALFORMED: u32 = 32;

/// What happened to a stream, or to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The head of the upstream's answer went out.
    Answered,
    /// The client left before that.
    Cancelled,
    /// The request could not be read with certainty.
    Malformed,
    /// Frames that move nothing came in floods; no stream's doing.
    Flood,
    /// The policy refuses the source.
    SourceRefused,
    /// The connection is from before a change of TLS.
    Outdated,
}

/// Why a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its source is refused; it may read why.
    Unwelcome,
    /// It does nothing but harm.
    Abusive(Abuse),
    /// It takes no new streams, and ends with those that it has.
    Outdated,
}

/// What a connection does too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Abuse {
    /// It cancels more than `http2MaxResets` allows.
    Resets,
    /// It sends what can't be read, or moves nothing.
    Flood,
}

/// The account of one connection.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Streams that a client may cancel in a window beyond those whose answer it gets.
    max_cancelled: u32,
    account: Mutex<Account>,
    changed: Notify,
}

#[derive(Debug)]
struct Account {
    since: Instant,
    answered: u32,
    cancelled: u32,
    malformed: u32,
    is_flooded: bool,
    is_refused: bool,
    is_outdated: bool,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            answered: 0,
            cancelled: 0,
            malformed: 0,
            is_flooded: false,
            is_refused: false,
            is_outdated: false,
        }
    }
}

impl Ledger {
    pub(super) fn new(max_cancelled: u32) -> Self {
        Self {
            max_cancelled,
            account: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(super) fn note(&self, event: Event) {
        let mut account = self.account();
        account.note(event, Instant::now());
        if account.verdict(self.max_cancelled).is_some() {
            self.changed.notify_one();
        }
    }

    /// Ends when there is a verdict that calls for action.
    pub(super) async fn verdict(&self) -> Verdict {
        loop {
            self.changed.notified().await;
            if let Some(verdict) = self.account().verdict(self.max_cancelled) {
                return verdict;
            }
        }
    }

    fn account(&self) -> std::sync::MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn note(&mut self, event: Event, now: Instant) {
        if now.duration_since(self.since) > WINDOW {
            *self = Self {
                since: now,
                answered: 0,
                cancelled: 0,
                malformed: 0,
                ..*self
            };
        }
        match event {
            Event::Answered => self.answered = self.answered.saturating_add(1),
            Event::Cancelled => self.cancelled = self.cancelled.saturating_add(1),
            Event::Malformed => self.malformed = self.malformed.saturating_add(1),
            Event::Flood => self.is_flooded = true,
            Event::SourceRefused => self.is_refused = true,
            Event::Outdated => self.is_outdated = true,
        }
    }

    /// Abuse first: being refused as well is no excuse for it.
    fn verdict(&self, max_cancelled: u32) -> Option<Verdict> {
        if self.cancelled > self.answered.saturating_add(max_cancelled) {
            Some(Verdict::Abusive(Abuse::Resets))
        } else if self.malformed > MAX_MALFORMED || self.is_flooded {
            Some(Verdict::Abusive(Abuse::Flood))
        } else if self.is_refused {
            Some(Verdict::Unwelcome)
        } else if self.is_outdated {
            Some(Verdict::Outdated)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(events: &[(Event, u32)]) -> Option<Verdict> {
        let (mut account, now) = (Account::default(), Instant::now());
        for &(event, count) in events {
            for _ in 0..count {
                account.note(event, now);
            }
        }
        account.verdict(200)
    }

    #[test]
    fn cancelling_far_more_than_is_taken_is_abuse() {
        use Event::{Answered, Cancelled, Flood, Malformed, SourceRefused};
        assert_eq!(after(&[(Cancelled, 200)]), None);
        let (resets, flood) = (
            Some(Verdict::Abusive(Abuse::Resets)),
            Some(Verdict::Abusive(Abuse::Flood)),
        );
        assert_eq!(after(&[(Cancelled, 201)]), resets);
        assert_eq!(after(&[(Answered, 50), (Cancelled, 250)]), None);
        assert_eq!(after(&[(Answered, 50), (Cancelled, 251)]), resets);
        assert_eq!(after(&[(Malformed, 32)]), None);
        assert_eq!(after(&[(Malformed, 33)]), flood);
        assert_eq!(after(&[(Flood, 1)]), flood);
        assert_eq!(after(&[(SourceRefused, 1)]), Some(Verdict::Unwelcome));
        let refused_and_abusive = [(SourceRefused, 1), (Cancelled, 201)];
        assert_eq!(after(&refused_and_abusive), resets);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten_but_not_a_refused_source() {
        let (mut account, start) = (Account::default(), Instant::now());
        for _ in 0..200 {
            account.note(Event::Cancelled, start);
        }
        account.note(Event::SourceRefused, start);
        let later = start + WINDOW + Duration::from_secs(1);
        account.note(Event::Cancelled, later);
        assert_eq!(account.verdict(200), Some(Verdict::Unwelcome));
    }
}
