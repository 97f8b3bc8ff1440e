//! What a running process makes of a new config: what it refuses, because it
//! would open what was closed, and what only a restart can apply.

use super::{AllowUsersSource, Config, ScopeRule};
use crate::policy::AllowUsers;
use crate::tls::MinVersion;

/// How a config differs from the one in force, beyond what is simply applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Why it may not take force while running.
    pub refused: Vec<Refusal>,
    /// The keys that differ and keep their old value until a restart.
    pub restart_required: Vec<&'static str>,
}

/// A change that could be a mistake and would widen access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "got nothing, expected it to be set as it was: only a restart can take this protection away"
)]
pub struct Refusal {
    /// The config key.
    pub key: &'static str,
}

impl Config {
    /// What stands against `next` taking this config's place. `started` is the
    /// config that the process began with: its listeners are the ones that are bound.
    #[must_use]
    pub fn changes(&self, started: &Config, next: &Config) -> Changes {
        let protections = [
            (
                "gateway.auth.trustedProxy.allowUsers",
                Self::lists_users as fn(&Config) -> bool,
            ),
            ("gateway.auth.trustedProxy.requiredHeaders", |config| {
                !config.gateway.trusted_proxy.required_headers.is_empty()
            }),
            (
                "gateway.auth.trustedProxy.scopeCeilings",
                Self::rules_scopes,
            ),
            ("gateway.auth.trustedProxy.clientCertNames", |config| {
                config.gateway.trusted_proxy.client_names.is_some()
            }),
            ("gateway.auth.trustedProxy.assertion", |config| {
                config.gateway.trusted_proxy.assertion.is_some()
            }),
            // Without it the public web's authorities vouch for the keys.
            ("gateway.auth.trustedProxy.assertion.caFile", |config| {
                let assertion = config.gateway.trusted_proxy.assertion.as_ref();
                assertion.is_some_and(|assertion| assertion.ca_file.is_some())
            }),
            ("gateway.tls", |config| config.gateway.tls.is_some()),
            ("gateway.tls.clientCaPath", Self::asks_for_certificates),
            ("gateway.tls.minVersion", |config| {
                let tls = config.gateway.tls.as_ref();
                tls.is_some_and(|tls| tls.min_version == MinVersion::Tls13)
            }),
            ("upstream.caFile", |config| {
                config.upstream.ca_file.is_some()
            }),
            ("admin.token", |config| config.admin.token.is_some()),
            ("models.clientToken", |config| {
                config.models.client_token.is_some()
            }),
        ];
        let refused = protections
            .into_iter()
            .filter(|(_, holds)| holds(self) && !holds(next))
            .map(|(key, _)| Refusal { key });
        let refused = refused.chain(self.lost_authority(next));
        let fixed = [
            (
                "listen.address",
                started.listen.addresses != next.listen.addresses,
            ),
            (
                "listen.redirectHttp",
                started.listen.redirect_http != next.listen.redirect_http,
            ),
            ("admin.address", started.admin.address != next.admin.address),
            (
                "admin.probeAddress",
                started.admin.probe_address != next.admin.probe_address,
            ),
            ("models.listen", started.models.listen != next.models.listen),
            (
                "limits.maxConnections",
                started.limits.max_connections != next.limits.max_connections,
            ),
            (
                // The open files that it needs are made sure of at the start.
                "limits.maxRequestsInFlight",
                started.limits.max_requests_in_flight < next.limits.max_requests_in_flight,
            ),
            ("log.level", started.log.level != next.log.level),
            ("log.format", started.log.format != next.log.format),
        ];
        let differing = fixed.into_iter().filter(|(_, differs)| *differs);
        Changes {
            refused: refused.collect(),
            restart_required: differing.map(|(key, _)| key).collect(),
        }
    }

    /// A provider that had authorities of its own, and would have the public web's.
    fn lost_authority(&self, next: &Config) -> Option<Refusal> {
        let providers = self.models.providers.iter();
        let mut named = providers.filter(|(_, provider)| provider.ca_file.is_some());
        let is_lost = named.any(|(name, _)| {
            let next = next.models.providers.get(name);
            next.is_some_and(|next| next.enabled && next.ca_file.is_none())
        });
        is_lost.then_some(Refusal {
            key: "models.providers.*.caFile",
        })
    }

    fn lists_users(&self) -> bool {
        !matches!(
            self.gateway.trusted_proxy.allow_users,
            AllowUsersSource::Inline(AllowUsers::Any)
        )
    }

    /// Without a rule the gateway's HTTP APIs grant their default set, admin included.
    fn rules_scopes(&self) -> bool {
        !matches!(self.gateway.trusted_proxy.scopes, ScopeRule::Unset)
    }

    fn asks_for_certificates(&self) -> bool {
        let tls = self.gateway.tls.as_ref();
        tls.is_some_and(|tls| tls.client_ca_path.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"
[upstream]
url = "http://127.0.0.1:18789"
[gateway]
trustedProxies = ["10.0.0.1"]
[gateway.auth]
mode = "trusted-proxy"
[gateway.auth.trustedProxy]
userHeader = "x-forwarded-user"
"#;
    const USERS: &str = "allowUsers = [\"nick@example.com\"]\n";
    const CEILINGS: &str =
        "[gateway.auth.trustedProxy.scopeCeilings]\n\"*\" = [\"operator.read\"]\n";
    const TLS: &str = "[gateway.tls]\ncertPath = \"c\"\nkeyPath = \"k\"\n";
    const CA: &str = "clientCaPath = \"ca\"\n";
    const TOKEN: &str = "[admin]\ntoken = \"s3cret\"\n";

    fn config(parts: &[&str]) -> Config {
        config_at("127.0.0.1:8443", parts)
    }

    fn config_at(address: &str, parts: &[&str]) -> Config {
        let text = format!(
            "{HEAD}{}[listen]\naddress = \"{address}\"\n",
            parts.concat()
        );
        super::super::parse(&text)
            .unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
            .config
    }

    #[test]
    fn a_protection_may_change_and_may_not_go() {
        let all = config(&[USERS, CEILINGS, TLS, CA, TOKEN]);
        let file = "allowUsersFile = \"users\"\n";
        let none: &[&str] = &[];
        for (parts, refused) in [
            (vec![USERS, CEILINGS, TLS, CA, TOKEN], none),
            (vec![file, CEILINGS, TLS, CA, TOKEN], none),
            (
                vec![CEILINGS, TLS, CA, TOKEN],
                &["gateway.auth.trustedProxy.allowUsers"],
            ),
            (
                vec![USERS, TLS, CA, TOKEN],
                &["gateway.auth.trustedProxy.scopeCeilings"],
            ),
            (vec![USERS, "passScopes = true\n", TLS, CA, TOKEN], none),
            (
                vec![USERS, CEILINGS, TLS, TOKEN],
                &["gateway.tls.clientCaPath"],
            ),
            (
                vec![USERS, CEILINGS, TOKEN],
                &["gateway.tls", "gateway.tls.clientCaPath"],
            ),
            (vec![USERS, CEILINGS, TLS, CA], &["admin.token"]),
        ] {
            let next = config(&parts);
            let changes = all.changes(&all, &next);
            let keys: Vec<_> = changes.refused.iter().map(|refusal| refusal.key).collect();
            assert_eq!(keys, refused, "{parts:?}");
            assert_eq!(next.changes(&all, &all).refused, [], "{parts:?}");
        }
    }

    #[test]
    fn required_headers_and_the_upstreams_authorities_may_not_go_either() {
        let least = format!("{HEAD}[listen]\naddress = \"127.0.0.1:8443\"\n");
        let read = |text: &str| super::super::parse(text).unwrap().config;
        let https = least.replace("http://", "https://");
        for (with, without, key) in [
            (
                least.replace("userHeader", "requiredHeaders = [\"a\"]\nuserHeader"),
                &least,
                "gateway.auth.trustedProxy.requiredHeaders",
            ),
            (
                format!("{least}{TLS}minVersion = \"1.3\"\n"),
                &format!("{least}{TLS}"),
                "gateway.tls.minVersion",
            ),
            (
                https.replace("[gateway]", "caFile = \"ca\"\n[gateway]"),
                &https,
                "upstream.caFile",
            ),
            (
                format!("{least}[models.providers.openai]\ncaFile = \"ca\"\n"),
                &least,
                "models.providers.*.caFile",
            ),
            (
                format!("{least}[models]\nclientToken = \"$T\"\n"),
                &least,
                "models.clientToken",
            ),
        ] {
            let (with, without) = (read(&with), read(without));
            let refused = with.changes(&with, &without).refused;
            assert_eq!(refused.len(), 1, "{refused:?}");
            assert_eq!(refused[0].key, key);
            assert_eq!(without.changes(&without, &with).refused, []);
        }
    }

    #[test]
    fn what_is_bound_at_the_start_is_compared_with_the_start() {
        let started = config(&[USERS]);
        let other = config_at(
            "127.0.0.1:9443",
            &[
                USERS,
                "[admin]\naddress = \"127.0.0.1:9181\"\nprobeAddress = \"127.0.0.1:9182\"\n",
                "[limits]\nmaxConnections = 5\n[log]\nlevel = \"warn\"\nformat = \"text\"\n",
            ],
        );
        let keys = [
            "listen.address",
            "admin.address",
            "admin.probeAddress",
            "limits.maxConnections",
            "log.level",
            "log.format",
        ];
        assert_eq!(started.changes(&started, &other).restart_required, keys);
        assert_eq!(other.changes(&started, &other).restart_required, keys);
        assert!(
            other
                .changes(&started, &started)
                .restart_required
                .is_empty()
        );
    }
}
