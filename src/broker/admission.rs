//! Who calls whom, with which profile, by a request's head alone.

use super::caller::Caller;
use super::outgoing::PROFILE_HEADER;
use super::problem::Problem;
use super::route::{Route, RouteError};
use crate::credentials::ProfileId;
use crate::local_caller::{self, AllowedHosts};
use crate::snapshot::{BackDoor, Provider};
use http::header::{EXPECT, UPGRADE};
use http::{Method, Request};
use std::net::SocketAddr;
use std::sync::Arc;

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) source: SocketAddr,
    pub(super) local: SocketAddr,
}

/// What the head says.
#[derive(Debug)]
pub(super) struct Admitted<'a> {
    pub(super) caller: Caller<'a>,
    pub(super) provider: Arc<Provider>,
    /// The profile that path or header pin.
    pub(super) pin: Option<ProfileId>,
    /// What of the path goes behind the provider's own.
    pub(super) rest: String,
}

/// Reads the head; or why nothing comes of it. `provider` learns the provider's name as
/// soon as it is known.
pub(super) fn admit<'a>(
    door: &'a BackDoor,
    head: &Request<()>,
    ends: Ends,
) -> Result<Admitted<'a>, Problem> {
    let hosts = AllowedHosts::for_listener(ends.local).and(&door.allowed_hosts);
    local_caller::refuse_web_pages(head.headers()).map_err(Problem::Caller)?;
    local_caller::check_host(head, &hosts, ends.local.ip()).map_err(Problem::Caller)?;
    if matches!(*head.method(), Method::CONNECT | Method::TRACE) {
        return Err(Problem::MethodNotAllowed);
    }
    let route = Route::parse(head.uri().path());
    let provider = match &route {
        Ok(route) => door.providers.get(route.provider),
        Err(_) => None,
    };
    // Before all that a stranger could learn from.
    let own = provider.map(|provider| &provider.header);
    let caller = Caller::identify(door, ends.source.ip(), head.headers(), own)?;
    let route = route.map_err(|error| match error {
        RouteError::NoProvider => unknown("", door),
        RouteError::Ambiguous => Problem::BadRequest(
            "expected a path without dot segments, backslashes and a double slash at its start",
        ),
    })?;
    let provider = provider.ok_or_else(|| unknown(route.provider, door))?;
    check_connection(head)?;
    let by_path = route.pin.map(|pin| pin_of(&pin, provider)).transpose()?;
    let mut pin = by_path;
    for value in head.headers().get_all(PROFILE_HEADER) {
        let text = value.to_str().unwrap_or_default();
        pin = one_pin(pin, Some(pin_of(text, provider)?))?;
    }
    Ok(Admitted {
        caller,
        provider: provider.clone(),
        pin,
        rest: route.rest.to_owned(),
    })
}

/// The longest name of a provider that is repeated, in characters.
const MAX_SHOWN: usize = 64;

fn unknown(got: &str, door: &BackDoor) -> Problem {
    Problem::UnknownProvider {
        got: got.chars().take(MAX_SHOWN).collect(),
        known: door.providers.keys().cloned().collect(),
    }
}

/// Refuses what can't be had here: WebSockets, and expectations but the one of RFC 9110
/// section 10.1.1.
fn check_connection(head: &Request<()>) -> Result<(), Problem> {
    let has = |name, other_than: bool, value: &str| {
        let mut values = head.headers().get_all(name).iter();
        values.any(|it| it.as_bytes().eq_ignore_ascii_case(value.as_bytes()) != other_than)
    };
    if has(UPGRADE, false, "websocket") {
        return Err(Problem::BadRequest(
            "WebSockets are not passed on at the back door",
        ));
    }
    match has(EXPECT, true, "100-continue") {
        true => Err(Problem::ExpectationFailed),
        false => Ok(()),
    }
}

/// A pin as it is written: a profile's id, or its name within the provider.
fn pin_of(text: &str, provider: &Provider) -> Result<ProfileId, Problem> {
    let whole = match text.contains(':') {
        true => text.to_owned(),
        false => format!("{}:{text}", provider.name),
    };
    ProfileId::parse(&whole).map_err(|_| {
        Problem::BadRequest("expected a profile's id such as `anthropic:work` as the pin")
    })
}

/// The one profile that two pins mean.
pub(super) fn one_pin(
    one: Option<ProfileId>,
    other: Option<ProfileId>,
) -> Result<Option<ProfileId>, Problem> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(Problem::BadRequest(
            "expected one profile, got different ones in path, header and model",
        )),
        (one, other) => Ok(one.or(other)),
    }
}
