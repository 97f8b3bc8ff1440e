//! Keeps what an operator may ask about a refused request. Off the way of a permitted one.

use super::admission::RequestView;
use super::respond::{self, Problem};
use super::{ConnectionFacts, FrontDoor};
use crate::denials::{Arrival, Entry, Fact, Refused};
use crate::policy::{Denial, Field, Mismatch, Policy, Request};
use crate::request_id::RequestId;
use crate::snapshot::Snapshot;
use crate::telemetry::metrics::Limit;
use std::time::SystemTime;

/// The policy's denial.
pub(super) fn by_policy(policy: &Policy, denial: &Denial) -> Refused {
    let remedy = respond::remedy(denial.code().as_str());
    Refused::denial(policy, denial, remedy)
}

/// A refusal for a reason of our own; `got` is what the log says.
pub(super) fn for_problem(problem: Problem, limit: Option<Limit>, got: &str) -> Refused {
    let rule = match limit {
        Some(limit) => Some(Fact::Owned(format!("limits.{}", limit.as_str()))),
        None => problem.rule().map(Fact::Borrowed),
    };
    Refused {
        status: problem.status(),
        code: problem.code(),
        reason: problem.code().into(),
        message: problem.message(),
        rule,
        header: None,
        mismatch: Mismatch::new(got.to_owned(), problem.expected()),
        remedy: problem.remedy(),
    }
}

impl FrontDoor {
    /// Keeps a refused request; `head` is there where it could be read.
    pub(super) fn keep(
        &self,
        snapshot: &Snapshot,
        facts: &ConnectionFacts,
        head: Option<(&RequestView<'_>, &[Field<'_>])>,
        request_id: RequestId,
        refused: Refused,
    ) {
        let request = head.map(|(view, fields)| {
            let request = Request {
                method: view.method,
                target: view.target,
                upgrade: view.upgrade,
                fields,
            };
            (request, view.host, view.protocol)
        });
        let arrival = Arrival {
            request_id: request_id.as_str(),
            peer: facts.peer(),
            announced_by: facts.announced_by,
            scheme: facts.scheme,
            generation: self.generation(),
            policy: &snapshot.policy,
            request: request
                .as_ref()
                .map(|(request, host, protocol)| (request, *host, *protocol)),
        };
        self.denials
            .note(Entry::new(&arrival, refused, SystemTime::now()));
    }
}
