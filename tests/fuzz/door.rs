//! A front door without a network, for the targets that send requests through one.

use portcullis::forwarded::{CookiePatterns, Credential, ForwardedConfig, HeaderBytes, Rewriter};
use portcullis::policy::{
    AllowUsers, FieldName, Policy, PolicyConfig, PublicRoute, RoutePath, ScopeCeilings, TrustedNets,
};
use portcullis::secrets::SecretValue;

/// The header that names the user.
pub const USER_HEADER: &str = "x-forwarded-user";
/// An identity header that may pass.
pub const PASSED: &str = "x-auth-request-groups";
/// Who may pass.
pub const USERS: [&str; 2] = ["nick@example.com", "ann"];
/// What everybody but `ann`, who may nothing, may at most.
pub const CEILING: [&str; 2] = ["operator.read", "operator.write"];
/// What the upstream gets in `authorization`.
pub const CREDENTIAL: &str = "Bearer ours";
/// The trusted proxies.
pub const TRUSTED: [&str; 3] = ["10.0.0.0/8", "2001:db8:a::/48", "127.0.0.1"];

/// The user whose processes are one behind a Unix socket.
pub const TRUSTED_UID: u32 = 33;

/// The policy, and what writes the upstream's head.
pub struct Door {
    /// Who is let in.
    pub policy: Policy,
    /// As whom.
    pub rewriter: Rewriter,
}

impl Door {
    /// Trusts [`TRUSTED`], caps scopes, holds a credential, has `/hooks/` open for POST
    /// to the trusted and to one more source.
    pub fn new() -> Self {
        let name = |text| FieldName::parse(text).expect("a field's name");
        let trusted = TrustedNets::parse(TRUSTED).expect("networks");
        let hook_sources = [&TRUSTED[..], &["198.51.100.1"]].concat();
        let hooks = PublicRoute::new(
            RoutePath::parse("/hooks/").expect("a plain path"),
            ["POST"],
            false,
            Some(TrustedNets::parse(hook_sources).expect("networks")),
        );
        let ceilings = [("*", &CEILING[..]), ("ann", &[])];
        let ceilings = ceilings.map(|(user, scopes)| (user, scopes.to_vec()));
        let policy = Policy::new(PolicyConfig {
            trusted_proxies: trusted.clone(),
            unix_peer_uids: vec![TRUSTED_UID],
            client_names: None,
            assertion: None,
            user_header: name(USER_HEADER),
            required_headers: vec![],
            allow_users: AllowUsers::only(USERS).expect("users"),
            allow_loopback: true,
            allow_local_interface: true,
            pass_headers: vec![name(PASSED)],
            pass_scopes: false,
            scope_ceilings: Some(ScopeCeilings::new(ceilings).expect("scopes")),
            public_routes: vec![hooks.expect("a route")],
            credential_header: Some(name("authorization")),
        });
        let secret = HeaderBytes::new(SecretValue::concat(&[CREDENTIAL]));
        let rewriter = Rewriter::new(ForwardedConfig {
            user_header: name(USER_HEADER),
            trusted,
            drop_cookies: CookiePatterns::default(),
            credential: Some(Credential {
                header: name("authorization"),
                value: secret.expect("a header's value"),
            }),
        });
        Self { policy, rewriter }
    }
}

impl Default for Door {
    fn default() -> Self {
        Self::new()
    }
}

/// One line of an upstream's head.
pub type Line = (String, Vec<u8>);

/// Splits a head's field lines as a reader does that knows nothing of us.
pub fn lines(head: &[u8]) -> Vec<Line> {
    let text = head.strip_suffix(b"\r\n").expect("each line has an end");
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n");
        let line = &rest[..end.unwrap_or(rest.len())];
        assert!(!line.contains(&b'\r') && !line.contains(&b'\n') && !line.contains(&0));
        let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
        let name = std::str::from_utf8(&line[..colon]).expect("a name in ASCII");
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()));
        found.push((
            name.to_ascii_lowercase(),
            line[colon + 1..].trim_ascii().to_vec(),
        ));
        match end {
            Some(end) => rest = &rest[end + 2..],
            None => return found,
        }
    }
}

/// The only value under a name.
pub fn only<'a>(lines: &'a [Line], name: &str) -> &'a str {
    let mut values = lines.iter().filter(|(other, _)| other == name);
    let (_, value) = values.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(values.next().is_none(), "{name} comes twice");
    std::str::from_utf8(value).expect("ours is text")
}
