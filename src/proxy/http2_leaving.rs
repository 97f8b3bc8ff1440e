//! How long an HTTP/2 connection stays that has been told to leave.

use std::time::{Duration, Instant};

/// For a source that is refused: to read why, and to end what a public route permitted.
const UNWELCOME: Duration = Duration::from_secs(10);

/// Whether a connection has been told to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It may stay.
    No,
    /// It was idle. A request that was on its way is served for as long as it takes, and
    /// then it is idle again.
    WhenIdle,
    /// Its source is refused: by this instant, whatever runs.
    By(Instant),
}

impl Leaving {
    /// Its source is refused: from now on it is sent off, unless it was before.
    pub(super) fn refused(self, now: Instant) -> Self {
        match self {
            Self::No | Self::WhenIdle => Self::By(now + UNWELCOME),
            Self::By(_) => self,
        }
    }

    /// It is idle; none: it had been told already, and ends.
    pub(super) fn idle(self) -> Option<Self> {
        (self == Self::No).then_some(Self::WhenIdle)
    }

    /// Ends when it must be gone, if there is such an instant.
    pub(super) async fn overdue(self) {
        match self {
            Self::No | Self::WhenIdle => std::future::pending().await,
            Self::By(instant) => {
                pingora_timeout::sleep(instant.saturating_duration_since(Instant::now())).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn is_overdue(leaving: Leaving) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(leaving.overdue()).poll(&mut context) == Poll::Ready(())
    }

    #[test]
    fn an_idle_connection_has_no_hour_and_ends_when_it_is_idle_again() {
        assert_eq!(Leaving::No.idle(), Some(Leaving::WhenIdle));
        assert_eq!(Leaving::WhenIdle.idle(), None);
        assert!(!is_overdue(Leaving::WhenIdle));
    }

    #[test]
    fn a_refused_source_has_one_and_can_t_put_it_off() {
        let now = Instant::now();
        for before in [Leaving::No, Leaving::WhenIdle] {
            let leaving = before.refused(now);
            assert_eq!(leaving, Leaving::By(now + UNWELCOME));
            assert_eq!(leaving.refused(now + UNWELCOME), leaving);
            assert_eq!(leaving.idle(), None);
        }
        assert!(!is_overdue(Leaving::By(now + UNWELCOME)));
    }
}
