//! Rows fired at a front end, one after the other.

use crate::corpus::{Protocol, Row};
use crate::fire::{Answer, FireError, Sight};
use crate::front_end::FrontEnd;
use crate::upstream::Upstream;
use crate::verdict::{Standard, deviations};

/// How a row ended over one protocol.
pub(crate) struct Outcome {
    pub(crate) row: Row,
    pub(crate) protocol: Protocol,
    /// None: it can't be asked of this front end.
    pub(crate) deviations: Option<Vec<String>>,
}

/// Fires `rows` over each protocol that they are meant for and `wanted` names.
pub(crate) async fn fire<'a>(
    front_end: &mut impl FrontEnd,
    upstream: &Upstream,
    standard: Standard,
    rows: impl IntoIterator<Item = &'a Row>,
    wanted: &[Protocol],
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for row in rows {
        for protocol in wanted.iter().filter(|wanted| row.over.contains(wanted)) {
            let deviations = one(front_end, upstream, standard, row, *protocol).await;
            outcomes.push(Outcome {
                row: row.clone(),
                protocol: *protocol,
                deviations,
            });
        }
    }
    outcomes
}

async fn one(
    front_end: &mut impl FrontEnd,
    upstream: &Upstream,
    standard: Standard,
    row: &Row,
    protocol: Protocol,
) -> Option<Vec<String>> {
    let mark = front_end.mark(&row.config)?;
    upstream.take();
    if let Some(script) = &row.upstream {
        upstream.script(script);
    }
    let sight = match mark.fire(row, protocol, standard == Standard::Exact).await {
        Ok(sight) => sight,
        // Turned away before TLS: others may refuse as they like.
        Err(FireError::Connect(_)) if standard == Standard::Safe => Sight {
            answers: vec![Answer::Closed; row.due().len()],
            closed: true,
        },
        Err(error) => return Some(vec![error.to_string()]),
    };
    // Whatever was to reach the upstream has reached it once a later request has: and
    // who serves nobody over this protocol, before or since, has held off nothing.
    upstream.unscript();
    let after = mark.ask("/afterwards", protocol).await;
    let mut arrivals = upstream.take();
    let mut found = Vec::new();
    match (arrivals.without("/afterwards"), after) {
        (true, Ok(sight)) if sight.answers == [Answer::Status(200)] => {}
        (_, seen) => found.push(format!("an ordinary request afterwards: {seen:?}")),
    }
    found.extend(deviations(
        row, protocol, standard, &mark.cast, &sight, &arrivals,
    ));
    Some(found)
}
