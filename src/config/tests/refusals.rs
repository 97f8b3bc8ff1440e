//! What each section refuses, one row a rule.

use super::*;

#[test]
fn sections_refuse_what_does_not_fit_together() {
    let tls = "[gateway.tls]\ncertPath = \"/c\"\nkeyPath = \"/k\"\n";
    let credential = "[upstream.credential]\nheader = \"x-forwarded-user\"\nvalue = \"x\"\n";
    for (text, problem) in [
        (
            with("8443\"", "8443\"\nredirectHttp = \"127.0.0.1:80\""),
            "listen.redirectHttp: got an address, expected none without `gateway.tls`",
        ),
        (
            with("\"127.0.0.1:8443\"", "[\"127.0.0.1:1\", \"127.0.0.1:1\"]"),
            "listen.address[1]: got `127.0.0.1:1`, expected an address of its own",
        ),
        (
            with("\"127.0.0.1:8443\"", "[]"),
            "listen.address: got an empty array",
        ),
        (
            with("8443\"", "9180\""),
            "admin.address: got `127.0.0.1:9180`, expected an address of its own",
        ),
        (
            and("[admin]\naddress = \"0.0.0.0:9180\""),
            "admin.address: got `0.0.0.0:9180` without a token",
        ),
        (
            and("[admin]\nprobeAddress = \"0.0.0.0:9180\""),
            "admin.probeAddress: got `0.0.0.0:9180`, expected an address of its own",
        ),
        (
            and("[admin]\ntoken = \"\""),
            "admin.token: got an empty string",
        ),
        (
            and("[admin]\ntoken = \"${lower}\""),
            "admin.token: got a string of 8 characters",
        ),
        (
            and("[admin]\ntoken = { source = \"env\", provider = \"vault\", id = \"A\" }"),
            "admin.token: got another, expected a provider of `secrets.providers` (SECRET_PROVIDER_NOT_CONFIGURED)",
        ),
        (
            and(
                "[admin]\ntoken = \"$A\"\n[secrets.providers.default]\nsource = \"env\"\nallowlist = [\"B\"]",
            ),
            "admin.token: got another, expected a name of the provider's allowlist (SECRET_REF_POLICY_DENIED)",
        ),
        (
            and("[admin]\ntoken = { source = \"env\", id = \"A\" }"),
            "admin.token.provider: got nothing",
        ),
        (
            and("[admin]\ntoken = { source = \"env\", provider = \"default\", id = \"a\" }"),
            "admin.token.id: got a string of 1 character",
        ),
        (
            and("[gateway.tls]\ncertPath = \"/c\""),
            "gateway.tls.keyPath: got nothing",
        ),
        (
            and("[gateway.tls]\nkeyPath = \"/k\""),
            "gateway.tls.certPath: got nothing",
        ),
        (
            and("[gateway.tls]\nenabled = true\nkeyPath = \"/k\""),
            "gateway.tls.certPath: got nothing",
        ),
        (
            and(&format!("{tls}key = \"$K\"")),
            "gateway.tls.key: got a key beside `keyPath`",
        ),
        (
            and(&format!("{tls}minVersion = \"1.1\"")),
            "gateway.tls.minVersion: got `1.1`, expected `1.2` or `1.3`",
        ),
        (
            and("[gateway.tls]\nenabled = false\nclientCaPath = \"/c\""),
            "gateway.tls.clientCaPath: got a file, expected none",
        ),
        (
            and("[gateway.http.securityHeaders]\nstrictTransportSecurity = \"yes\""),
            "gateway.http.securityHeaders.strictTransportSecurity: got a string",
        ),
        (
            and("[gateway.http.securityHeaders]\nstrictTransportSecurity = true"),
            "gateway.http.securityHeaders.strictTransportSecurity: got `true`, expected `false`",
        ),
        (
            with("18789\"", "18789\"\ncaFile = \"/ca\""),
            "upstream.caFile: got a file, expected none",
        ),
        (
            and(credential),
            "upstream.credential.header: got a header of `gateway.auth.trustedProxy.userHeader`",
        ),
        (
            and(&credential.replace("-user", "_user")),
            "upstream.credential.header: got a header of",
        ),
        (
            and(&credential.replace("x-forwarded-user", "host")),
            "upstream.credential.header: got `host`",
        ),
        (
            and("[upstream.credential]\nvalue = \"x\""),
            "upstream.credential.header: got nothing",
        ),
        (
            and("[upstream.credential]\nheader = \"x\""),
            "upstream.credential.value: got nothing",
        ),
        (
            and("[upstream.credential]\nheader = \"x\"\nvalue = \"a\\nb\""),
            "upstream.credential.value: got a string of 3 characters",
        ),
        (
            and("[upstream.credential]\nheader = \"x\"\nvalue = \"a\"\nformat = \"Bearer\""),
            "upstream.credential.format: got a string of 6 characters",
        ),
        (
            with("\"trusted-proxy\"", "\"token\""),
            "gateway.auth.mode: got `token`, expected `trusted-proxy`",
        ),
        (
            with("mode =", "token = \"x\"\nmode ="),
            "gateway.auth.token: got a secret, expected none",
        ),
        (
            with("\"x-forwarded-user\"", "\"x-forwarded-for\""),
            "gateway.auth.trustedProxy.userHeader: got `x-forwarded-for`",
        ),
        (
            with(
                "allowUsers",
                "requiredHeaders = [\"x-a\", \"X-A\"]\nallowUsers",
            ),
            "gateway.auth.trustedProxy.requiredHeaders[1]: got the same header again",
        ),
        (
            with("allowUsers", "passHeaders = [\"cookie\"]\nallowUsers"),
            "gateway.auth.trustedProxy.passHeaders[0]: got `cookie`",
        ),
        (
            with("allowUsers", "passScopes = true\nallowUsers"),
            "gateway.auth.trustedProxy.passScopes: got `true` beside `scopeCeilings`",
        ),
        (
            with("allowUsers", "allowUsersFile = \"/u\"\nallowUsers"),
            "gateway.auth.trustedProxy.allowUsersFile: got a file beside `allowUsers`",
        ),
        (
            with("allowUsers", "dropCookies = [\"a b\"]\nallowUsers"),
            "gateway.auth.trustedProxy.dropCookies[0]: got a string of 3 characters",
        ),
        (
            with("\"nick@example.com\"", "\"ok\", \" \", 1"),
            "gateway.auth.trustedProxy.allowUsers[1]: got a blank entry",
        ),
        (
            with("\"*\"", "\"ann\""),
            "gateway.auth.trustedProxy.scopeCeilings: got no entry for `allowUsers[0]`",
        ),
        (
            with(
                "allowUsers = [\"nick@example.com\"]",
                "allowUsersFile = \"/u\"",
            )
            .replace("\"*\"", "\"ann\""),
            "gateway.auth.trustedProxy.scopeCeilings: got no entry `\"*\"`",
        ),
        (
            with("\"operator.read\"", "\"operator.read\", \"Admin!\""),
            "gateway.auth.trustedProxy.scopeCeilings.\"*\"[1]: got a string of 6 characters",
        ),
        (
            with("[\"operator.read\"]", "\"operator.read\""),
            "gateway.auth.trustedProxy.scopeCeilings.\"*\": got a string",
        ),
        (
            with("\"*\"", "\"a,b\" = []\n\"*\""),
            "gateway.auth.trustedProxy.scopeCeilings.\"a,b\": got a name",
        ),
        (
            with("\"*\"", "\" nick\" = []\nnick = []\n\"*\""),
            "gateway.auth.trustedProxy.scopeCeilings.",
        ),
        (
            with("[\"10.0.0.1\"]", "[]"),
            "gateway.trustedProxies: got an empty array",
        ),
        (
            with("\"10.0.0.1\"", "\"fe80::1%eth0\""),
            "gateway.trustedProxies[0]: got an address with a zone, expected `fe80::1`",
        ),
        (
            with("\"10.0.0.1\"", "7"),
            "gateway.trustedProxies[0]: got an integer, expected an IP address or CIDR",
        ),
        (
            with("[\"10.0.0.1\"]", "\"10.0.0.1\""),
            "gateway.trustedProxies: got a string",
        ),
        (
            and("[[gateway.publicRoutes]]\npath = \"/\"\nmethods = [\"GET\"]"),
            "gateway.publicRoutes[0].path: got `/`",
        ),
        (
            and("[[gateway.publicRoutes]]\npath = \"/a\"\nmethods = [\"GET\", \"get\"]"),
            "gateway.publicRoutes[0].methods[1]: got no usable method",
        ),
        (
            and("[[gateway.publicRoutes]]\npath = \"/a\"\nmethods = []"),
            "gateway.publicRoutes[0].methods: got no methods",
        ),
        (
            and("[[gateway.publicRoutes]]\npath = \"/a\"\nmethods = [\"POST\"]\nwebsocket = true"),
            "gateway.publicRoutes[0].websocket: got `websocket = true`",
        ),
        (
            and("[[gateway.publicRoutes]]\npath = \"/a\"\nmethods = [\"POST\"]\nsources = []"),
            "gateway.publicRoutes[0].sources: got an empty array",
        ),
        (
            and("[[gateway.publicRoutes]]\npath = \"/a\"\nmethods = [\"POST\"]\nsources = [\"x\"]"),
            "gateway.publicRoutes[0].sources[0]: got a string of 1 character",
        ),
        (
            and("[gateway.publicRoutes]\npath = \"/a\""),
            "gateway.publicRoutes: got a table, expected an array of tables",
        ),
        (
            and("[secrets.providers.Vault]\nsource = \"env\""),
            "secrets.providers.Vault: got another name",
        ),
        (
            and("[secrets.providers.vault]"),
            "secrets.providers.vault.source: got nothing",
        ),
        (
            and("[secrets.defaults]\nenv = \"Env\""),
            "secrets.defaults.env: got a string of 3 characters",
        ),
        (
            format!("log = 1\n{LEAST}"),
            "log: got an integer, expected a table",
        ),
    ] {
        let messages = messages(&text);
        assert!(!messages.is_empty(), "{text}");
        assert!(
            messages[0].starts_with(problem),
            "{messages:#?} is not {problem}"
        );
    }
}
