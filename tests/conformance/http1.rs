//! HTTP/1 over plain TCP: each case on a connection of its own.

mod answers;
mod heads;
mod messages;

use crate::client::Connection;
use crate::recorder::Recorder;
use crate::sidecar::{IDENTITY, Setup};

/// Nothing that is sent to this path may reach the upstream.
const FORBIDDEN: &str = "/forbidden";

/// One row: what is sent (`{host}` and `{identity}` stand for the fields that make a
/// request permitted), and what must come.
struct Case {
    /// Of RFC 9112; of RFC 9110 where it begins with a `9110`.
    section: &'static str,
    title: &'static str,
    sent: &'static str,
    answers: &'static [u16],
    then: Then,
    /// Where a recommendation is not followed: why.
    departs: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    GoesOn,
    Closes,
}

const fn case(
    section: &'static str,
    title: &'static str,
    sent: &'static str,
    answers: &'static [u16],
    then: Then,
) -> Case {
    Case {
        section,
        title,
        sent,
        answers,
        then,
        departs: None,
    }
}

impl Case {
    /// The same, against a recommendation.
    const fn departs(mut self, why: &'static str) -> Self {
        self.departs = Some(why);
        self
    }
}

fn fill(text: &str) -> String {
    text.replace("{host}", "Host: claw.example.com\r\n")
        .replace("{identity}", IDENTITY)
}

/// Runs a table; every row that fails is told.
async fn hold(cases: &[Case]) {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut failed = Vec::new();
    for case in cases {
        let mut connection = Connection::tcp(sidecar.address).await;
        connection.write(fill(case.sent)).await;
        if let Some(why) = case.departs {
            println!("RFC 9112 or 9110, {} {}: {why}", case.section, case.title);
        }
        let mut got = Vec::new();
        while got.len() < case.answers.len() {
            let Some(answer) = connection.try_response().await else {
                break;
            };
            got.push(answer.status);
        }
        let then = if follows(&mut connection).await {
            Then::GoesOn
        } else {
            Then::Closes
        };
        if (got.as_slice(), then) != (case.answers, case.then) {
            let Case {
                section,
                title,
                answers,
                then: due,
                departs,
                ..
            } = case;
            failed.push(format!(
                "{section} {title}: expected {answers:?}, {due:?}, got {got:?}, {then:?} \
                 (departs: {departs:?})"
            ));
        }
    }
    let forbidden: Vec<_> = upstream
        .requests()
        .into_iter()
        .filter(|request| request.line().contains(FORBIDDEN))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(forbidden.is_empty(), "the upstream got {forbidden:?}");
}

/// Whether the connection takes another request, and answers that one next.
async fn follows(connection: &mut Connection) -> bool {
    let request = fill("GET /follows HTTP/1.1\r\n{host}{identity}\r\n");
    if connection.try_write(request).await.is_err() {
        return false;
    }
    match connection.try_response().await {
        Some(answer) => {
            assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
            true
        }
        None => false,
    }
}
