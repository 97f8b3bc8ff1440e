//! The config: TOML in, a [`Config`] out that can't be wrong, or every problem
//! at once, each at its line and column.
//!
//! The document is walked by hand rather than derived: a derived reader stops at
//! its first mistake, and its messages repeat the value, which may be a secret.

mod admin;
mod assertion;
mod ceilings;
mod change;
mod credential;
mod entry;
mod gateway;
mod import;
mod limits;
mod listen;
mod log;
mod models;
mod named_file;
mod problem;
mod providers;
mod quantity;
mod routes;
mod secret;
mod section;
mod shape;
mod suggest;
mod surface;
mod syntax;
mod tls;
mod trusted_proxy;
mod upstream;
mod upstream_url;
mod users_file;
mod walk;

use std::sync::OnceLock;

use toml::de::DeTable;

pub use admin::Admin;
pub use assertion::{Assertion, KeysPlace};
pub use change::{Changes, Refusal};
pub use credential::{CredentialFormat, UpstreamCredential};
pub use gateway::Gateway;
pub use import::{ImportError, Imported, LeftOut, import_openclaw, read_openclaw};
pub use limits::{Limits, RESERVED_DESCRIPTORS};
pub use listen::{Listen, ListenAddress, OVERFLOW_UID};
pub use log::{Log, LogLevel};
pub use models::{Agent, ModelProvider, Models, SharedKeys};
pub use named_file::{FileRole, NamedFile};
pub use problem::{InFile, Problem, Warning};
pub use quantity::{ByteSize, parse_duration};
pub use surface::{
    ADMIN_TOKEN, Activity, CLIENT_TOKEN, Surface, TLS_KEY, UPSTREAM_CREDENTIAL, agent_token,
};
pub use tls::{Tls, TlsKey};
pub use trusted_proxy::{AllowUsersSource, ScopeRule, TrustedProxy};
pub use upstream::Upstream;
pub use upstream_url::{UpstreamHost, UpstreamUrl};
pub use users_file::{UsersError, UsersFileError, parse_users_file};

use crate::policy::{AllowUsers, PolicyConfig};
use crate::secrets::Providers;
use section::Section;
use walk::{Place, Walk};

/// Where a config is looked for when nobody says where it is, one after the other.
pub const DEFAULT_PATHS: [&str; 2] = ["./portcullis.toml", "/etc/portcullis/portcullis.toml"];

/// The variable that says where the config is.
pub const PATH_VARIABLE: &str = "PORTCULLIS_CONFIG";

/// A config's file is no larger, in bytes: it may list its users itself.
pub const MAX_CONFIG_BYTES: u64 = 64 << 20;

/// The whole config, valid by construction.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where sources connect to.
    pub listen: Listen,
    /// The gateway, and how to reach it.
    pub upstream: Upstream,
    /// Who is trusted to say who the user is, and under what conditions.
    pub gateway: Gateway,
    /// The listeners for operators and probes.
    pub admin: Admin,
    /// How much and how long.
    pub limits: Limits,
    /// What is logged, and how.
    pub log: Log,
    /// Where secrets come from.
    pub secrets: Providers,
    /// The back door.
    pub models: Models,
}

/// A config that holds, and what its author should know of it.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The config.
    pub config: Config,
    /// In the order of the text.
    pub warnings: Vec<Warning>,
}

/// Reads a config. Pure: it opens no file and resolves no secret, so paths and
/// references are checked for their form alone.
///
/// # Errors
/// Every [`Problem`], in the order of the text. Text that is no TOML gives the
/// problems of its syntax alone, since nothing sure can be said of the rest.
pub fn parse(text: &str) -> Result<Parsed, Vec<Problem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut walk = Walk::read(text);
    let document = syntax::parse(text, &mut walk);
    let config = document.and_then(|document| read(&Section::root(document.get_ref()), &mut walk));
    let (mut problems, warnings) = walk.finish();
    match config {
        Some(config) if problems.is_empty() => Ok(Parsed { config, warnings }),
        Some(_) => Err(problems),
        None => {
            if problems.is_empty() {
                // No reader gives up without saying why; should one ever, the
                // config must still be refused, and by words.
                problems.push(Problem {
                    line: 1,
                    column: 1,
                    key: String::new(),
                    message: "got a config that can't be read, for a reason that went unrecorded"
                        .to_owned(),
                });
            }
            Err(problems)
        }
    }
}

/// The path of every key that exists, sorted: `gateway.publicRoutes[].path`,
/// `secrets.providers.*.source`. Learnt from the readers themselves.
pub fn known_keys() -> &'static [String] {
    static KEYS: OnceLock<Vec<String>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut walk = Walk::learn();
        let empty = DeTable::new();
        // Only what the readers ask for counts here, not what they make of it.
        let _config = read(&Section::root(&empty), &mut walk);
        walk.learnt()
    })
}

impl Config {
    /// What the policy is made of. `users` are those of
    /// `gateway.auth.trustedProxy.allowUsers`, or of the file in its place,
    /// which isn't read here.
    #[must_use]
    pub fn policy_config(&self, users: AllowUsers) -> PolicyConfig {
        let Gateway {
            trusted_proxies,
            trusted_proxy,
            public_routes,
            tls: _,
            idle_tls_key: _,
            strict_transport_security: _,
        } = &self.gateway;
        let TrustedProxy {
            client_names,
            assertion,
            user_header,
            required_headers,
            allow_users: _,
            allow_loopback,
            allow_local_interface,
            pass_headers,
            scopes,
            drop_cookies: _,
        } = trusted_proxy;
        PolicyConfig {
            trusted_proxies: trusted_proxies.clone(),
            unix_peer_uids: self.listen.unix_peer_uids.clone(),
            client_names: client_names.clone(),
            assertion: assertion.as_ref().map(|assertion| assertion.rule.clone()),
            user_header: user_header.clone(),
            required_headers: required_headers.clone(),
            allow_users: users,
            allow_loopback: *allow_loopback,
            allow_local_interface: *allow_local_interface,
            pass_headers: pass_headers.clone(),
            pass_scopes: matches!(scopes, ScopeRule::Passed),
            scope_ceilings: match scopes {
                ScopeRule::Ceilings(ceilings) => Some(ceilings.clone()),
                ScopeRule::Unset | ScopeRule::Passed => None,
            },
            public_routes: public_routes.clone(),
            credential_header: self
                .upstream
                .credential
                .as_ref()
                .map(|credential| credential.header.clone()),
        }
    }
}

fn read(root: &Section<'_>, walk: &mut Walk<'_>) -> Option<Config> {
    let [
        listen,
        upstream,
        gateway,
        admin,
        limits,
        log,
        secrets,
        models,
        auth,
        agents,
    ] = root.fields(
        walk,
        [
            "listen", "upstream", "gateway", "admin", "limits", "log", "secrets", "models", "auth",
            "agents",
        ],
        &[],
    );

    // Secrets first: the other sections refer to their providers.
    let secrets = providers::read(&secrets.section(walk), walk);
    let listen = listen::read(&listen.section(walk), walk);
    let upstream = upstream::read(&upstream.section(walk), walk, &secrets);
    let gateway = gateway::read(&gateway.section(walk), walk, &secrets);
    let admin = admin::read(&admin.section(walk), walk, &secrets);
    let limits = limits::read(&limits.section(walk), walk);
    let log = log::read(&log.section(walk), walk);
    let models = models::read(&models, &auth, &agents, walk, &secrets);

    if let Some(listen) = &listen {
        check_listeners(listen, &admin, models.place, gateway.wants_tls, walk);
    }
    if let (Some(upstream), Some(gateway)) = (&upstream, &gateway.gateway) {
        check_credential(upstream, gateway, root, walk);
    }
    if let (Some(listen), Some(gateway)) = (&listen, &gateway.gateway)
        && listen.tcp.is_empty()
        && gateway.trusted_proxy.client_names.is_some()
    {
        walk.warn(
            &root.locate(&["gateway", "auth", "trustedProxy", "clientCertNames"]),
            "has no effect: `unix:` addresses alone are listened on, where the kernel says who \
             connects (`listen.unixPeerUids`) and nobody shows a certificate",
        );
    }
    Some(Config {
        listen: listen?.listen,
        upstream: upstream?,
        gateway: gateway.gateway?,
        admin: admin.admin,
        limits,
        log,
        secrets,
        models: models.models,
    })
}

fn check_listeners(
    listen: &listen::Read,
    admin: &admin::Read,
    models: Option<(std::net::SocketAddr, Place)>,
    tls: bool,
    walk: &mut Walk<'_>,
) {
    let mut listeners = listen.tcp.clone();
    if !tls {
        if let Some((_, place)) = &listen.redirect_http {
            walk.refuse(place, "got an address, expected none without `gateway.tls`: there is no https to redirect to");
        }
        let exposed = listeners
            .iter()
            .find(|(address, _)| !address.ip().to_canonical().is_loopback());
        if let Some((_, place)) = exposed {
            walk.warn(
                place,
                "serves plain HTTP off loopback: anyone between the trusted proxy and here can \
                 read and forge requests; see `gateway.tls`",
            );
        }
    } else if let (Some((_, place)), true) = (&listen.redirect_http, listen.tcp.is_empty()) {
        walk.refuse(place, "got an address, expected none without a TCP `listen.address`: there is no https to redirect to");
    }
    listeners.extend(listen.redirect_http.clone());
    listeners.extend(admin.places.iter().cloned());
    listeners.extend(models);
    listen::refuse_clashes(&listeners, walk);
}

/// The credential would overwrite what was verified.
fn check_credential(
    upstream: &Upstream,
    gateway: &Gateway,
    root: &Section<'_>,
    walk: &mut Walk<'_>,
) {
    let Some(credential) = &upstream.credential else {
        return;
    };
    let TrustedProxy {
        user_header,
        required_headers,
        pass_headers,
        ..
    } = &gateway.trusted_proxy;
    let taken = std::iter::once((user_header, "userHeader"))
        .chain(
            required_headers
                .iter()
                .map(|name| (name, "requiredHeaders")),
        )
        .chain(pass_headers.iter().map(|name| (name, "passHeaders")));
    let clash = taken
        .into_iter()
        .find(|(name, _)| same_field(name.as_str(), credential.header.as_str()));
    if let Some((_, key)) = clash {
        let place = root.locate(&["upstream", "credential", "header"]);
        walk.refuse(
            &place,
            format!("got a header of `gateway.auth.trustedProxy.{key}`, expected one of its own"),
        );
    }
}

/// Names compare with `_` and `.` read as `-`, as some servers read them.
fn same_field(one: &str, other: &str) -> bool {
    let fold = |name: &str| name.replace(['_', '.'], "-");
    fold(one) == fold(other)
}

#[cfg(test)]
mod tests;
