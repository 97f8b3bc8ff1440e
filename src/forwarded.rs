//! The head that the upstream gets: everything that could speak for us is
//! dropped, then ours is set from what was verified.

use std::io::Write as _;
use std::net::IpAddr;

mod chain;
mod cookies;
mod credential;
mod nominated;

pub use cookies::{CookieError, CookiePatterns};
pub use credential::{Credential, HeaderBytes, HeaderBytesError};

use crate::authority::Authority;
use crate::policy::{
    Class, Field, FieldName, Identity, Permit, Standing, TrustedNets, Upgrade, trim,
};
use nominated::Nominated;

/// All that the rewriting of headers depends on.
#[derive(Debug, Clone)]
pub struct ForwardedConfig {
    /// The header in which the upstream gets the user: the policy's `user_header`.
    pub user_header: FieldName,
    /// The hops to pass over in `x-forwarded-for`: the policy's `trusted_proxies`.
    pub trusted: TrustedNets,
    /// The cookies that the upstream doesn't get.
    pub drop_cookies: CookiePatterns,
    /// The upstream's own secret. Its header must be the policy's
    /// `credential_header`, which is what drops a client's copy.
    pub credential: Option<Credential>,
}

/// Writes the upstream's head for requests that the policy permitted.
#[derive(Debug, Clone)]
pub struct Rewriter {
    user_header: FieldName,
    trusted: TrustedNets,
    drop_cookies: CookiePatterns,
    credential: Option<Credential>,
}

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}

/// What the engine knows of a request beside its fields.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The listener's.
    pub scheme: Scheme,
    /// `Host` or `:authority`, already found valid.
    pub host: &'a str,
    /// The request's id: a token, ours or the trusted proxy's.
    pub request_id: &'a str,
}

/// What was found out while writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// What `x-forwarded-proto` became: how the client itself connected.
    pub scheme: Scheme,
    /// What `x-forwarded-for` became: where the client is.
    pub client: IpAddr,
}

impl Scheme {
    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// What a trusted proxy's `x-forwarded-proto` says: exactly one of the two
    /// words, or `ws`/`wss` on an upgrade, as Traefik sends it.
    pub fn forwarded(value: &[u8], upgrade: Upgrade) -> Option<Self> {
        let is_websocket = upgrade == Upgrade::Websocket;
        match trim(value) {
            b"http" => Some(Self::Http),
            b"https" => Some(Self::Https),
            b"ws" if is_websocket => Some(Self::Http),
            b"wss" if is_websocket => Some(Self::Https),
            _ => None,
        }
    }

    /// 80 or 443.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Rewriter {
    /// Makes a rewriter.
    pub fn new(config: ForwardedConfig) -> Self {
        let ForwardedConfig {
            user_header,
            trusted,
            drop_cookies,
            credential,
        } = config;
        Self {
            user_header,
            trusted,
            drop_cookies,
            credential,
        }
    }

    /// Whether the upstream's own secret is put on.
    pub fn has_credential(&self) -> bool {
        self.credential.is_some()
    }

    /// Appends the `name: value` lines of the upstream's HTTP/1.1 head: `host`,
    /// the end-to-end fields in the order received, then ours. Framing,
    /// `Connection` and `Upgrade` are for the engine to add.
    pub fn rewrite(&self, permit: &Permit<'_>, facts: &Facts<'_>, out: &mut Vec<u8>) -> Written {
        write_field(out, "host", facts.host.as_bytes());
        self.write_passed(permit, out);
        self.write_ours(permit, facts, out)
    }

    fn write_passed(&self, permit: &Permit<'_>, out: &mut Vec<u8>) {
        let nominated = Nominated::read(permit);
        let is_public = matches!(permit.identity(), Identity::Public);
        let mut cookies_written = false;
        for (place, (class, field)) in permit.fields().enumerate() {
            let passes = match class {
                Class::Pass => !nominated.holds(place),
                Class::Named => !is_public,
                // A public route carries its own proof, often in this header.
                Class::Credential => is_public,
                Class::Cookie => {
                    if !cookies_written {
                        self.drop_cookies
                            .write_line(values(permit, Class::Cookie), out);
                    }
                    cookies_written = true;
                    false
                }
                Class::Drop
                | Class::Host
                | Class::Connection
                | Class::ForwardedFor
                | Class::ForwardedProto
                | Class::ForwardedHost
                | Class::User
                | Class::Scopes => false,
            };
            if passes {
                write_field(out, field.name, field.value);
            }
        }
    }

    fn write_ours(&self, permit: &Permit<'_>, facts: &Facts<'_>, out: &mut Vec<u8>) -> Written {
        if let Identity::User { user, scopes } = permit.identity() {
            write_field(out, self.user_header.as_str(), user.as_str().as_bytes());
            if scopes.is_sent() {
                out.extend_from_slice(b"x-openclaw-scopes: ");
                scopes.write_to(out);
                out.extend_from_slice(b"\r\n");
            }
            if let Some(credential) = &self.credential {
                write_field(out, credential.header.as_str(), credential.value.expose());
            }
        }

        let client = self.client(permit);
        let scheme = believed_scheme(permit).unwrap_or(facts.scheme);
        let host = believed_host(permit).or_else(|| Authority::parse(facts.host.as_bytes()));
        let port = host
            .and_then(|host| host.port())
            .unwrap_or(scheme.default_port());
        display_line(out, "x-forwarded-for", client);
        display_line(out, "x-real-ip", client);
        write_field(out, "x-forwarded-proto", scheme.as_str().as_bytes());
        write_field(
            out,
            "x-forwarded-host",
            host.map_or(facts.host, |host| host.as_str()).as_bytes(),
        );
        display_line(out, "x-forwarded-port", port);
        write_field(out, "x-request-id", facts.request_id.as_bytes());
        Written { scheme, client }
    }

    /// Where the client of a permitted request is: what `x-forwarded-for` becomes.
    pub fn client(&self, permit: &Permit<'_>) -> IpAddr {
        let source = permit.source().place();
        match permit.standing() {
            Standing::TrustedProxy => {
                chain::client(values(permit, Class::ForwardedFor).rev(), &self.trusted)
                    .unwrap_or(source)
            }
            Standing::RouteSource => source,
        }
    }
}

/// The trusted proxy's scheme, where it said exactly one that we know. Traefik
/// calls a WebSocket handshake's `ws` or `wss`.
fn believed_scheme(permit: &Permit<'_>) -> Option<Scheme> {
    let value = believed(permit, Class::ForwardedProto)?;
    Scheme::forwarded(value, permit.request().upgrade)
}

/// The trusted proxy's host, where it named exactly one that is valid.
fn believed_host<'a>(permit: &Permit<'a>) -> Option<Authority<'a>> {
    Authority::parse(trim(believed(permit, Class::ForwardedHost)?))
}

/// The value of the only field of a class, if the source may say such things.
fn believed<'a>(permit: &Permit<'a>, class: Class) -> Option<&'a [u8]> {
    if permit.standing() == Standing::RouteSource {
        return None;
    }
    let mut values = values(permit, class);
    values.next().filter(|_| values.next().is_none())
}

fn values<'p, 'a: 'p>(
    permit: &'p Permit<'a>,
    wanted: Class,
) -> impl DoubleEndedIterator<Item = &'a [u8]> + 'p {
    permit
        .fields()
        .filter(move |(class, _)| *class == wanted)
        .map(|(_, &Field { value, .. })| value)
}

/// Appends `name: value` and its line end to an HTTP/1.1 head.
pub fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn display_line(out: &mut Vec<u8>, name: &str, value: impl std::fmt::Display) {
    write!(out, "{name}: {value}\r\n").expect("writing to a vector cannot fail");
}

#[cfg(test)]
mod tests;
