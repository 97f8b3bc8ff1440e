//! The requests of an attack, one after the other.
//!
//! A probe is armed for a minute. So they go in batches, each between two requests without
//! an attack that must both be answered by the probe: only then was it armed for all of
//! them, and an answer from somebody else is a refusal on the way.

use super::super::super::admin_client::{Admin, AskError, Question};
use super::super::super::chain;
use crate::denials::Entry;
use crate::doctor::Finding;
use crate::doctor::attack::{
    Attack, Fired, Front, HeaderError, Reply, Seen, attacks, findings, stand_in, unanswered,
    unanswered_beside,
};
use crate::probe::{Nonce, ProbeAnswer};
use crate::request_id::RequestId;
use hyper::{Method, StatusCode};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long one batch may begin requests: the last of them ends before the probe does.
const BATCH: Duration = Duration::from_secs(25);
/// For the answer of the admin listener.
const ASKED: Duration = Duration::from_secs(10);

/// Why there was no attack.
#[derive(Debug, thiserror::Error)]
pub(super) enum VolleyError {
    #[error("{}", chain(.0))]
    Ask(#[from] AskError),
    #[error(
        "the admin listener armed no probe: {0} (is this the address of the Portcullis behind that URL?)"
    )]
    NotArmed(String),
    /// Known once the probe has told what is configured.
    #[error("-H: {0}")]
    Header(#[from] HeaderError),
}

/// One armed probe.
struct Batch<'f> {
    front: &'f Front,
    admin: &'f Admin,
    nonce: Nonce,
    began: Instant,
    fired: u16,
    /// Told of earlier requests, of this probe and of those before.
    denials: &'f mut Vec<Entry>,
}

/// Fires everything at `front`, and says what it came to.
pub(super) async fn fire(
    front: &Front,
    admin: &Admin,
    url: &str,
) -> Result<Vec<Finding>, VolleyError> {
    let mut fired: Vec<Fired> = Vec::new();
    let mut first: Option<ProbeAnswer> = None;
    let mut denials = Vec::new();
    loop {
        let mut batch = Batch::arm(front, admin, &mut denials).await?;
        let baseline = match batch.shoot(&[]).await? {
            Seen::Probe(answer) => first.get_or_insert(*answer).clone(),
            other => return batch.without_answer(url, &other).await,
        };
        front.check(&baseline)?;
        // The same list each time, but for the mark.
        let mark = batch.nonce.mark();
        let list = attacks(&baseline, &mark);
        let begun = fired.len();
        let left = list.get(begun..).unwrap_or_default();
        for attack in left {
            if batch.began.elapsed() > BATCH {
                break;
            }
            let seen = match front.sends(&attack.header) {
                true => Seen::Unknown(
                    "-H sends it, so that it can't be told from the attack".to_owned(),
                ),
                false => batch.shoot(&attack.fields()).await?,
            };
            let (attack, mark): (Attack, _) = (attack.clone(), mark.clone());
            fired.push(Fired { attack, mark, seen });
        }
        let after = batch.shoot(&[]).await?;
        if !matches!(after, Seen::Probe(_)) {
            return Ok(vec![unanswered(url, &after)]);
        }
        if fired.len() == begun {
            // Not one in the time of a batch: the others will not be, either.
            fired.extend(left.iter().map(|attack| Fired {
                attack: attack.clone(),
                mark: mark.clone(),
                seen: Seen::Unknown("the address answers too slowly".to_owned()),
            }));
        }
        if fired.len() >= list.len() {
            return Ok(findings(url, &baseline, &fired));
        }
    }
}

impl<'f> Batch<'f> {
    async fn arm(
        front: &'f Front,
        admin: &'f Admin,
        denials: &'f mut Vec<Entry>,
    ) -> Result<Self, VolleyError> {
        let (status, answer) = admin.ask(&question(Method::POST, "/probe")).await?;
        let nonce = answer["nonce"].as_str().and_then(Nonce::read);
        let nonce = nonce.filter(|_| status == StatusCode::OK).ok_or_else(|| {
            let message = answer["error"]["message"].as_str();
            VolleyError::NotArmed(match message {
                Some(message) => format!("{message} ({status})"),
                None => format!("the answer was {status}"),
            })
        })?;
        Ok(Self {
            front,
            admin,
            nonce,
            began: Instant::now(),
            fired: 0,
            denials,
        })
    }

    /// Nothing came through. Where it was for want of a header that the proxy in front has
    /// to set, a client's word stands in for it: that must not come through, either.
    async fn without_answer(
        &mut self,
        url: &str,
        first: &Seen,
    ) -> Result<Vec<Finding>, VolleyError> {
        let mark = self.nonce.mark();
        let mut stand_ins: Vec<Attack> = Vec::new();
        let mut last = first.clone();
        while let Some(attack) = stand_in(&last, &mark) {
            // Missed in spite of it: it doesn't come through.
            let is_known = |known: &Attack| known.header == attack.header;
            if stand_ins.iter().any(is_known) || self.front.sends(&attack.header) {
                break;
            }
            stand_ins.push(attack);
            let fields: Vec<_> = stand_ins.iter().flat_map(Attack::fields).collect();
            last = self.shoot(&fields).await?;
        }
        Ok(unanswered_beside(url, first, &stand_ins, &last, &mark))
    }

    /// Sends one request, and finds out what became of it.
    async fn shoot(&mut self, fields: &[(&str, &str)]) -> Result<Seen, VolleyError> {
        self.fired += 1;
        let reply = match self.front.fire(&self.nonce, self.fired, fields).await {
            Ok(reply) => reply,
            Err(error) => return Ok(error.seen()),
        };
        if let Reply::Error { request_id, .. } = &reply
            && let Some(entry) = self.denial(request_id).await?
        {
            // It is of one request, and has nothing of the probe's to tell which.
            if self.denials.contains(&entry) {
                return Ok(Seen::Replayed);
            }
            self.denials.push(entry.clone());
            return Ok(Seen::Denied(Box::new(entry)));
        }
        Ok(reply.by_itself())
    }

    /// What Portcullis says of a refusal; none: it was not Portcullis'.
    async fn denial(&self, request_id: &str) -> Result<Option<Entry>, VolleyError> {
        // It comes from whoever answered.
        let Some(request_id) = RequestId::accept(request_id.as_bytes()) else {
            return Ok(None);
        };
        let path = format!("/status/denials/{}", request_id.as_str());
        let (status, answer): (_, Value) = self.admin.ask(&question(Method::GET, &path)).await?;
        Ok(match status {
            StatusCode::OK => serde_json::from_value(answer).ok(),
            _ => None,
        })
    }
}

fn question(method: Method, path: &str) -> Question<'_> {
    Question {
        method,
        path,
        address: None,
        patience: ASKED,
    }
}
