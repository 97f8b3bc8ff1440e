//! Server-sent events, a tick a second: shows that nothing holds a stream back.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::{Body as HttpBody, Frame};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{Body, whole};

const PERIOD: Duration = Duration::from_secs(1);
const DEFAULT_COUNT: u32 = 5;
/// An hour of ticks.
const MAX_COUNT: u32 = 3600;

/// The answer to `/events?count=N`.
pub(super) fn stream(query: Option<&str>) -> Response<Body> {
    let Some(count) = count(query) else {
        return whole(
            400,
            "text/plain; charset=utf-8",
            format!("expected `count` to be a number from 1 to {MAX_COUNT}\n"),
        );
    };
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ticks = Ticks {
        period,
        count,
        sent: 0,
    };
    let mut response = Response::new(ticks.boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn count(query: Option<&str>) -> Option<u32> {
    let given = query
        .unwrap_or("")
        .split('&')
        .find_map(|pair| pair.strip_prefix("count="));
    match given {
        None => Some(DEFAULT_COUNT),
        Some(text) => text
            .parse()
            .ok()
            .filter(|count| (1..=MAX_COUNT).contains(count)),
    }
}

struct Ticks {
    period: Interval,
    count: u32,
    sent: u32,
}

impl HttpBody for Ticks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.sent == self.count {
            return Poll::Ready(None);
        }
        ready!(self.period.poll_tick(context));
        self.sent += 1;
        let event = format!(
            "id: {0}\nevent: tick\ndata: {{\"tick\":{0},\"of\":{1}}}\n\n",
            self.sent, self.count
        );
        Poll::Ready(Some(Ok(Frame::data(event.into()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_bounded_and_five_unless_asked() {
        for (query, expected) in [
            (None, Some(5)),
            (Some(""), Some(5)),
            (Some("a=1"), Some(5)),
            (Some("a=1&count=2"), Some(2)),
            (Some("count=3600"), Some(3600)),
            (Some("count=0"), None),
            (Some("count=3601"), None),
            (Some("count=-1"), None),
            (Some("count="), None),
        ] {
            assert_eq!(count(query), expected, "{query:?}");
        }
    }
}
