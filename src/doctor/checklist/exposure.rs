//! The listeners beside the front door.

use super::super::finding::{Finding, Severity};
use super::super::finding_id::FindingId;
use super::{Ground, listed};
use std::net::SocketAddr;

pub(super) fn check(ground: &Ground<'_>) -> Vec<Finding> {
    let found = [admin(ground), probe(ground), back_door(ground)];
    found.into_iter().flatten().collect()
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// The variable first: a reference to none would not even be loaded. A restart, for a
/// running process' environment stays what it is.
fn put_token(variable: &str, key: &str) -> String {
    format!(
        "put a random value into the service's environment as {variable} (by an EnvironmentFile= \
         that others can't read), set {key} = \"${variable}\", and restart"
    )
}

fn admin(ground: &Ground<'_>) -> Option<Finding> {
    let admin = &ground.config.admin;
    let key = "admin.address";
    if !is_loopback(admin.address) {
        return Some(ground.finding(
            FindingId::AdminExposed,
            Severity::Warning,
            key,
            format!(
                "the admin listener can be reached from other hosts at {}, in plain HTTP: whoever \
                 reads admin.token on the way can reload and see the state",
                admin.address
            ),
            "listen on loopback (admin.address = \"127.0.0.1:9180\"); for probes and metrics there \
             is admin.probeAddress",
        ));
    }
    admin.token.is_none().then(|| {
        ground.finding(
            FindingId::AdminTokenAbsent,
            Severity::Info,
            key,
            "admin.token is not set: every process of this host can reload and see the state",
            put_token("PORTCULLIS_ADMIN_TOKEN", "admin.token"),
        )
    })
}

fn probe(ground: &Ground<'_>) -> Option<Finding> {
    let address = ground.config.admin.probe_address?;
    if is_loopback(address) {
        return None;
    }
    let public = ground.public_addresses(address);
    let (severity, whom) = match public.as_slice() {
        [] => (Severity::Info, String::new()),
        public => (
            Severity::Warning,
            format!(", the Internet ({}) included", listed(public)),
        ),
    };
    Some(ground.finding(
        FindingId::ProbeExposed,
        severity,
        "admin.probeAddress",
        format!("livez, readyz and metrics can be read from other hosts at {address}{whom}"),
        "listen at the address that the prober and the collector come to, or let a firewall admit \
         them alone",
    ))
}

fn back_door(ground: &Ground<'_>) -> Option<Finding> {
    let models = &ground.config.models;
    let address = models.listen?;
    let key = "models.listen";
    if !is_loopback(address) {
        return Some(ground.finding(
            FindingId::BackDoorExposed,
            Severity::Warning,
            key,
            format!(
                "the back door can be reached from other hosts at {address}, in plain HTTP: whoever \
                 reads a caller's token on the way can spend the model credentials"
            ),
            "listen on loopback (models.listen = \"127.0.0.1:8790\")",
        ));
    }
    let is_open = models.client_token.is_none() && models.agents.is_empty();
    is_open.then(|| {
        ground.finding(
            FindingId::BackDoorTokenAbsent,
            Severity::Info,
            key,
            "models.clientToken is not set: every process of this host can spend the model \
             credentials",
            format!(
                "{}; give the same value to the gateway as the provider's key",
                put_token("PORTCULLIS_CLIENT_TOKEN", "models.clientToken")
            ),
        )
    })
}
