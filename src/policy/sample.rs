//! A config for tests, which say beside it what they are about.

use super::{AllowUsers, FieldName, PolicyConfig, TrustedNets};

impl PolicyConfig {
    /// 10.0.0.1 names anybody in `x-forwarded-user`; nothing more is asked for, and nothing
    /// else is let in.
    pub(crate) fn sample() -> Self {
        Self {
            trusted_proxies: TrustedNets::parse(["10.0.0.1"]).expect("it is an address"),
            unix_peer_uids: Vec::new(),
            client_names: None,
            assertion: None,
            user_header: FieldName::parse("x-forwarded-user").expect("it is a name"),
            required_headers: Vec::new(),
            allow_users: AllowUsers::Any,
            allow_loopback: false,
            allow_local_interface: false,
            pass_headers: Vec::new(),
            pass_scopes: false,
            scope_ceilings: None,
            public_routes: Vec::new(),
            credential_header: None,
        }
    }
}
