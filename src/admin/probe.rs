//! `POST /probe`: arms the probe of `doctor --attack`.

use super::answer::{Answer, Refusal};
use crate::probe::{ARMED_FOR, Probe};
use serde_json::json;
use std::time::Instant;

/// Arms it anew. The nonce is in the answer and nowhere else.
pub(super) fn arm(probe: &Probe) -> Result<Answer, Refusal> {
    let nonce = probe
        .arm(Instant::now())
        .map_err(|_| Refusal::NoRandomness)?;
    let seconds = ARMED_FOR.as_secs();
    tracing::info!(
        probe.expires_in_s = seconds,
        "a probe is armed: requests that are permitted and show its nonce are answered here"
    );
    Ok(Answer::json(
        200,
        &json!({"nonce": nonce.expose(), "expiresInSeconds": seconds}),
    ))
}
