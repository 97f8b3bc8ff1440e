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
    /// The request has two readings or none: a proxy that is worth its trust sends none
    /// of these.
    Malformed,
    /// The request has one reading, and is nothing that is served: too large, say.
    Unserved,
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

/// What a connection is held to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Streams that it may cancel in a window beyond those whose answer it gets.
    pub(super) max_cancelled: u32,
    /// Whether its source is trusted: it carries everybody, and nobody is to end it for
    /// the others with requests that any browser could be made to send.
    pub(super) is_trusted: bool,
}

/// The account of one connection.
#[derive(Debug)]
pub(super) struct Ledger {
    terms: Terms,
    account: Mutex<Account>,
    changed: Notify,
}

#[derive(Debug)]
struct Account {
    since: Instant,
    answered: u32,
    cancelled: u32,
    malformed: u32,
    unserved: u32,
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
            unserved: 0,
            is_flooded: false,
            is_refused: false,
            is_outdated: false,
        }
    }
}

impl Ledger {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            account: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(super) fn note(&self, event: Event) {
        let mut account = self.account();
        account.note(event, Instant::now());
        if account.verdict(self.terms).is_some() {
            self.changed.notify_one();
        }
    }

    /// Ends when there is a verdict that calls for action.
    pub(super) async fn verdict(&self) -> Verdict {
        loop {
            self.changed.notified().await;
            if let Some(verdict) = self.account().verdict(self.terms) {
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
                unserved: 0,
                ..*self
            };
        }
        match event {
            Event::Answered => self.answered = self.answered.saturating_add(1),
            Event::Cancelled => self.cancelled = self.cancelled.saturating_add(1),
            Event::Malformed => self.malformed = self.malformed.saturating_add(1),
            Event::Unserved => self.unserved = self.unserved.saturating_add(1),
            Event::Flood => self.is_flooded = true,
            Event::SourceRefused => self.is_refused = true,
            Event::Outdated => self.is_outdated = true,
        }
    }

    /// Abuse first: being refused as well is no excuse for it.
    fn verdict(&self, terms: Terms) -> Option<Verdict> {
        let is_spoilt = if terms.is_trusted {
            self.malformed > self.answered.saturating_add(MAX_MALFORMED)
        } else {
            self.malformed.saturating_add(self.unserved) > MAX_MALFORMED
        };
        if self.cancelled > self.answered.saturating_add(terms.max_cancelled) {
            Some(Verdict::Abusive(Abuse::Resets))
        } else if is_spoilt || self.is_flooded {
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

    const STRANGER: Terms = Terms {
        max_cancelled: 200,
        is_trusted: false,
    };
    const TRUSTED: Terms = Terms {
        is_trusted: true,
        ..STRANGER
    };
    const RESETS: Option<Verdict> = Some(Verdict::Abusive(Abuse::Resets));
    const FLOOD: Option<Verdict> = Some(Verdict::Abusive(Abuse::Flood));

    fn after(terms: Terms, events: &[(Event, u32)]) -> Option<Verdict> {
        let (mut account, now) = (Account::default(), Instant::now());
        for &(event, count) in events {
            for _ in 0..count {
                account.note(event, now);
            }
        }
        account.verdict(terms)
    }

    #[test]
    fn cancelling_far_more_than_is_taken_is_abuse() {
        use Event::{Answered, Cancelled, Flood, SourceRefused};
        for terms in [STRANGER, TRUSTED] {
            assert_eq!(after(terms, &[(Cancelled, 200)]), None);
            assert_eq!(after(terms, &[(Cancelled, 201)]), RESETS);
            assert_eq!(after(terms, &[(Answered, 50), (Cancelled, 250)]), None);
            assert_eq!(after(terms, &[(Answered, 50), (Cancelled, 251)]), RESETS);
            assert_eq!(after(terms, &[(Flood, 1)]), FLOOD);
            let refused = after(terms, &[(SourceRefused, 1)]);
            assert_eq!(refused, Some(Verdict::Unwelcome));
            assert_eq!(
                after(terms, &[(SourceRefused, 1), (Cancelled, 201)]),
                RESETS
            );
        }
    }

    #[test]
    fn what_can_t_be_read_is_borne_from_a_trusted_source_as_far_as_it_is_answered() {
        use Event::{Answered, Malformed};
        for terms in [STRANGER, TRUSTED] {
            assert_eq!(after(terms, &[(Malformed, 32)]), None);
            assert_eq!(after(terms, &[(Malformed, 33)]), FLOOD);
        }
        let much = [(Answered, 50), (Malformed, 82)];
        assert_eq!(after(TRUSTED, &much), None);
        assert_eq!(after(STRANGER, &much), FLOOD);
        assert_eq!(after(TRUSTED, &[(Answered, 50), (Malformed, 83)]), FLOOD);
    }

    #[test]
    fn what_is_not_served_is_no_fault_of_a_trusted_connection() {
        use Event::{Malformed, Unserved};
        assert_eq!(after(TRUSTED, &[(Unserved, 10_000), (Malformed, 32)]), None);
        assert_eq!(after(STRANGER, &[(Unserved, 32)]), None);
        assert_eq!(after(STRANGER, &[(Unserved, 16), (Malformed, 17)]), FLOOD);
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
        assert_eq!(account.verdict(STRANGER), Some(Verdict::Unwelcome));
    }
}
