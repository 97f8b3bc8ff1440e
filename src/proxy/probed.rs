//! The answer to a request that shows the armed probe's nonce: what came through the
//! proxies in front, and what the upstream would have got.

use super::FrontDoor;
use super::admission::{Admitted, Arrival, only};
use super::respond::Answer;
use crate::policy::{Class, Field, PROBE_HEADER, Permit, Policy};
use crate::probe::{ProbeAnswer, ProbedField, Shot};
use std::time::Instant;

impl FrontDoor {
    /// The answer to a permitted request, where it is a probe's. To any other there is
    /// none, whatever nonce it shows: it goes on as if it had shown none.
    pub(super) fn probed(
        &self,
        arrival: &Arrival<'_>,
        permit: &Permit<'_>,
        admitted: &Admitted,
    ) -> Option<Answer> {
        if !self.probe.may_be_armed() {
            return None;
        }
        let shown = only(arrival.fields, PROBE_HEADER)?;
        let shot = self.probe.recognise(shown, Instant::now())?;
        tracing::info!(
            request.id = admitted.ours.request_id.as_str(),
            source.ip = %arrival.facts.source,
            user = permit.user().map(|user| user.as_str().to_owned()),
            "a probe is answered; the upstream gets nothing of it"
        );
        let told = tell(arrival, permit, admitted, shot);
        Some(Answer {
            status: 200,
            content_type: "application/json",
            body: serde_json::to_vec(&told).expect("strings always serialise"),
            extra: vec![
                ("cache-control", "no-store".to_owned()),
                ("x-content-type-options", "nosniff".to_owned()),
            ],
        })
    }
}

fn tell(
    arrival: &Arrival<'_>,
    permit: &Permit<'_>,
    admitted: &Admitted,
    shot: Shot,
) -> ProbeAnswer {
    let Arrival {
        snapshot,
        facts,
        view,
        ..
    } = arrival;
    let policy = &snapshot.policy;
    let shown = |field: &Field<'_>, class: Class| {
        let is_open = policy.is_open(field.name);
        ProbedField::new(field, is_open, &shot.mark, class)
    };
    ProbeAnswer {
        request_id: admitted.ours.request_id.as_str().to_owned(),
        source: facts.source.to_string(),
        announced_by: facts.announced_by.map(|balancer| balancer.to_string()),
        scheme: facts.scheme.as_str().to_owned(),
        protocol: view.protocol.to_owned(),
        user: permit.user().map(|user| user.as_str().to_owned()),
        client: snapshot.rewriter.client(permit).to_string(),
        received: permit
            .fields()
            // The nonce has told what it had to tell.
            .filter(|(_, field)| !field.name.eq_ignore_ascii_case(PROBE_HEADER))
            .map(|(class, field)| shown(field, class))
            .collect(),
        upstream: head_fields(&admitted.head)
            .map(|field| shown(&field, policy.class_of(field.name)))
            .collect(),
        user_header: policy.user_header().to_string(),
        required_headers: names(policy.required_headers().iter()),
        named_headers: names(Policy::named_headers(policy)),
        shot,
    }
}

fn names<'a>(names: impl Iterator<Item = &'a crate::policy::FieldName>) -> Vec<String> {
    names.map(ToString::to_string).collect()
}

/// The fields of a head that was written here: `name: value` and a line end each.
fn head_fields(head: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let lines = head.split(|&byte| byte == b'\n').skip(1);
    lines.filter_map(|line| {
        let line = line.strip_suffix(b"\r")?;
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some(Field {
            name: std::str::from_utf8(&line[..colon]).ok()?,
            value: line[colon + 1..].trim_ascii(),
        })
    })
}
