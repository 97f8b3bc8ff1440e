//! Who calls: someone on loopback, a holder of the client token, or an agent by its own.

use super::problem::Problem;
use crate::local_caller::{bearer, only_value};
use crate::snapshot::{AgentCaller, BackDoor, Token};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use std::net::IpAddr;

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub(super) enum Caller<'a> {
    /// Nobody in particular.
    Main,
    /// An agent, which has its own profiles.
    Agent(&'a AgentCaller),
}

impl<'a> Caller<'a> {
    /// Tells who calls by what is shown in `Authorization` and in `own`, the header of
    /// the provider that is called.
    pub(super) fn identify(
        door: &'a BackDoor,
        source: IpAddr,
        headers: &HeaderMap,
        own: Option<&HeaderName>,
    ) -> Result<Self, Problem> {
        let Some(client_token) = &door.client_token else {
            // Agents are configured together with a client token.
            return match source.to_canonical().is_loopback() && door.agents.is_empty() {
                true => Ok(Self::Main),
                false => Err(Problem::ClientUnauthorized {
                    token_is_set: false,
                }),
            };
        };
        let authorization = only_value(headers, &AUTHORIZATION).and_then(bearer);
        let own = own.and_then(|own| only_value(headers, own));
        let own = own.map(|value| bearer(value).unwrap_or(value.as_bytes()));
        let shown: Vec<&[u8]> = authorization.into_iter().chain(own).collect();
        // Every token is compared, whichever fits: time tells nothing.
        let is_shown = |token: &Token| {
            shown
                .iter()
                .fold(false, |found, shown| found | token.is(shown))
        };
        let mut caller = is_shown(client_token).then_some(Self::Main);
        for agent in &door.agents {
            if is_shown(&agent.token) {
                // Two tokens of two callers say nothing.
                caller = match caller {
                    None => Some(Self::Agent(agent)),
                    Some(_) => return Err(Problem::BadRequest(TWO_CALLERS)),
                };
            }
        }
        caller.ok_or(Problem::ClientUnauthorized { token_is_set: true })
    }

    /// The agent's name.
    pub(super) fn agent(self) -> Option<&'a str> {
        match self {
            Self::Main => None,
            Self::Agent(agent) => Some(&agent.name),
        }
    }
}

const TWO_CALLERS: &str = "expected the token of one caller, got those of two";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SharedKeys;
    use crate::secrets::{Providers, SecretValue};
    use http::HeaderValue;

    fn token(text: &str) -> Token {
        Token::new(SecretValue::concat(&[text])).unwrap()
    }

    fn door(client: Option<&str>, agents: &[(&str, &str)]) -> BackDoor {
        BackDoor {
            client_token: client.map(token),
            agents: agents
                .iter()
                .map(|(name, shown)| AgentCaller {
                    name: (*name).to_owned(),
                    token: token(shown),
                    state_dir: None,
                    shared_keys: SharedKeys::Withheld,
                })
                .collect(),
            providers: Default::default(),
            credential_headers: Vec::new(),
            allowed_hosts: Vec::new(),
            state_dir: None,
            max_replay_bytes: 0,
            order: Default::default(),
            secret_providers: Providers::default(),
        }
    }

    fn who(door: &BackDoor, source: &str, shown: &[(&'static str, &'static str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in shown {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let own = HeaderName::from_static("x-api-key");
        match Caller::identify(door, source.parse().unwrap(), &headers, Some(&own)) {
            Ok(caller) => caller.agent().unwrap_or("main").to_owned(),
            Err(problem) => problem.code().to_owned(),
        }
    }

    #[test]
    fn without_a_token_loopback_alone_may_call() {
        let door = door(None, &[]);
        for (source, expected) in [
            ("127.0.0.1", "main"),
            ("::1", "main"),
            ("::ffff:127.0.0.2", "main"),
            ("10.0.0.1", "client_unauthorized"),
            ("::ffff:10.0.0.1", "client_unauthorized"),
        ] {
            assert_eq!(who(&door, source, &[]), expected, "{source}");
        }
    }

    #[test]
    fn a_token_says_who_calls_wherever_it_is_shown() {
        let door = door(
            Some("main-token"),
            &[("work", "work-token"), ("home", "home-token")],
        );
        let refused = "client_unauthorized";
        for (shown, expected) in [
            (&[][..], refused),
            (&[("authorization", "Bearer main-token")], "main"),
            (&[("authorization", "bearer work-token")], "work"),
            (&[("x-api-key", "home-token")], "home"),
            (&[("x-api-key", "Bearer main-token")], "main"),
            (&[("authorization", "main-token")], refused),
            (&[("authorization", "Bearer portcullis")], refused),
            (&[("authorization", "Bearer work-toke")], refused),
            (&[("x-goog-api-key", "main-token")], refused),
            (
                &[("x-api-key", "main-token"), ("x-api-key", "main-token")],
                refused,
            ),
            (
                &[
                    ("authorization", "Bearer portcullis"),
                    ("x-api-key", "work-token"),
                ],
                "work",
            ),
            (
                &[
                    ("authorization", "Bearer main-token"),
                    ("x-api-key", "work-token"),
                ],
                "bad_request",
            ),
        ] {
            assert_eq!(who(&door, "127.0.0.1", shown), expected, "{shown:?}");
            assert_eq!(who(&door, "10.0.0.1", shown), expected, "{shown:?}");
        }
    }
}
