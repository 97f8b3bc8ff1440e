//! Every problem at once, at its line and column, with what was got and expected.

use super::*;

#[test]
fn five_mistakes_give_five_located_problems() {
    let text = r#"# five mistakes
[listen]
address = "0.0.0.0"
[upstream]
url = "ftp://gateway"
[gateway]
trustedProxies = ["10.0.0.1", "10.0.0.1/8"]
[gateway.auth]
mode = "trusted-proxy"
[gateway.auth.trustedProxy]
userHeader = "x-forwarded-user"
allowUsers = []
[limits]
headerTimout = "10s"
"#;
    assert_eq!(
        problems(text),
        [
            "3:11: listen.address: got `0.0.0.0`, expected an IP address and port such as \
             \"0.0.0.0:8443\"",
            "5:7: upstream.url: got a string of 13 characters, expected http://HOST[:PORT], \
             https://HOST[:PORT] or unix:/PATH",
            "7:31: gateway.trustedProxies[1]: got `10.0.0.1/8` has host bits set, write \
             `10.0.0.0/8`, expected an IP address or CIDR",
            "12:14: gateway.auth.trustedProxy.allowUsers: got an empty array, expected at least \
             one user, or none of the key to let any named user pass",
            "14:1: limits.headerTimout: unknown key, did you mean `headerTimeout`?",
        ]
    );
}

#[test]
fn an_empty_config_misses_just_what_is_required() {
    let keys: Vec<String> = parse("")
        .unwrap_err()
        .into_iter()
        .map(|problem| problem.key)
        .collect();
    assert_eq!(
        keys,
        [
            "gateway.auth.mode",
            "gateway.auth.trustedProxy.userHeader",
            "gateway.trustedProxies",
            "listen.address",
            "upstream.url",
        ]
    );
}

#[test]
fn columns_count_characters() {
    let text = with(
        "userHeader = \"x-forwarded-user\"",
        "\"userHeader\" = 'ü' # é\nallowLoopback = 1",
    );
    assert_eq!(
        problems(&text),
        [
            "11:16: gateway.auth.trustedProxy.userHeader: got a name with the character 'ü', \
             expected a header name",
            "12:17: gateway.auth.trustedProxy.allowLoopback: got an integer, expected `true` or \
             `false`",
        ]
    );
    let inline = and("admin = { \"tökén\" = 1, adress = 2 }");
    // Still inside scopeCeilings, where `admin` is a user.
    assert!(
        problems(&inline)[0].starts_with("14:9: gateway.auth.trustedProxy.scopeCeilings.admin: ")
    );
    let inline = format!("admin = {{ \"tökén\" = 1, adress = 2 }}\n{LEAST}");
    assert_eq!(
        problems(&inline),
        [
            "1:11: admin.\"…\": unknown key, expected `address`, `probeAddress` or `token`",
            "1:24: admin.adress: unknown key, did you mean `address`?",
        ]
    );
}

#[test]
fn mistakes_of_syntax_are_located_too() {
    for (text, problem) in [
        ("[listen\naddress = 1", "1:8: not valid TOML: "),
        (
            "[listen]\naddress = hunter2\n",
            "2:11: not valid TOML: string values must be quoted",
        ),
        ("[listen]\naddress = \"open\nx = 1\n", "2:"),
        ("a = = 1", "1:5: not valid TOML: "),
        ("ok = 1\n\n  = 2", "3:3: not valid TOML: "),
    ] {
        let problems = problems(text);
        assert!(
            problems[0].starts_with(problem),
            "{problems:#?} is not {problem}"
        );
    }
}

#[test]
fn a_key_that_comes_twice_does_not_hide_the_other_problems() {
    let text = and("\"*\" = []\n[log]\nlevel = \"inof\"");
    assert_eq!(
        problems(&text),
        [
            "14:1: got a key or table that is there already, expected it once",
            "16:9: log.level: got `inof`, expected `error`, `warn`, `info`, `debug` or `trace`",
        ]
    );
}

#[test]
fn unknown_keys_are_refused_wherever_they_are() {
    for (text, problem) in [
        (
            format!("lissten = 1\n{LEAST}"),
            "lissten: unknown key, did you mean `listen`?",
        ),
        (
            format!("userHeader = \"x\"\n{LEAST}"),
            "userHeader: unknown key, did you mean `gateway.auth.trustedProxy.userHeader`?",
        ),
        (
            with("address", "proxy_protocol_from = []\naddress"),
            "listen.proxy_protocol_from: unknown key, did you mean `proxyProtocolFrom`?",
        ),
        (
            with("url =", "zzz = 1\nurl ="),
            "upstream.zzz: unknown key, expected `url`, `idleTimeout`, `caFile` or `credential`",
        ),
        (
            with("mode =", "Mode = 1\nmode ="),
            "gateway.auth.Mode: unknown key, did you mean `mode`?",
        ),
        (
            and("[gateway.http]\nheaders = 1"),
            "gateway.http.headers: unknown key, expected `securityHeaders`",
        ),
        (
            and("[gateway.tls]\ncaPath = \"/ca\""),
            "gateway.tls.caPath: unknown key, did you mean `clientCaPath` (source proxies must show a certificate)?",
        ),
        (
            and("[admin.token]\nsource=\"env\"\nprovider=\"default\"\nid=\"A\"\nversion=1"),
            "admin.token.version: unknown key, expected `source`, `provider` or `id`",
        ),
        (
            and("[[gateway.publicRoutes]]\npath=\"/a\"\nmethods=[\"GET\"]\nwebsockets=true"),
            "gateway.publicRoutes[0].websockets: unknown key, did you mean `websocket`?",
        ),
    ] {
        assert_eq!(messages(&text), [problem]);
    }
}

#[test]
fn what_a_later_version_knows_is_never_passed_over() {
    for (text, key) in [
        (with("127.0.0.1:8443", "unix:/run/p.sock"), "listen.address"),
        (
            with("address", "unixPeerUids = [33]\naddress"),
            "listen.unixPeerUids",
        ),
        (
            with("address", "proxyProtocolFrom = [\"10.0.0.1\"]\naddress"),
            "listen.proxyProtocolFrom",
        ),
        (
            and("[limits]\nrequestsPerSecondPerUser = 5"),
            "limits.requestsPerSecondPerUser",
        ),
        (and("[models]\nlisten = \"127.0.0.1:8790\""), "models"),
        (and("[auth.order]\nanthropic = []"), "auth"),
        (and("[agents]"), "agents"),
        (
            and("[secrets.providers.vault]\nsource = \"exec\"\ncommand = \"/x\"\nargs = []"),
            "secrets.providers.vault.source",
        ),
        (
            and("[secrets.providers.filemain]\nsource = \"file\"\npath = \"/x\""),
            "secrets.providers.filemain.source",
        ),
        (
            and("[secrets.defaults]\nfile = \"filemain\""),
            "secrets.defaults.file",
        ),
        (
            and("[admin]\ntoken = { source = \"file\", provider = \"f\", id = \"value\" }"),
            "admin.token.source",
        ),
        (
            and("[admin]\ntoken = { source = \"exec\", provider = \"f\", id = \"a/b\" }"),
            "admin.token.source",
        ),
    ] {
        let messages = messages(&text);
        assert_eq!(messages.len(), 1, "{messages:#?}");
        assert!(
            messages[0].starts_with(&format!("{key}: ")),
            "{messages:#?}"
        );
        assert!(messages[0].ends_with("not supported yet"), "{messages:#?}");
    }
}

#[test]
fn each_limit_has_its_range() {
    for (key, low, high, below, above) in [
        (
            "maxHeaderBytes",
            "\"1KiB\"",
            "\"1MiB\"",
            "\"1023B\"",
            "\"2MiB\"",
        ),
        ("maxHeaders", "1", "128", "0", "129"),
        ("maxBodyBytes", "\"1KiB\"", "\"1TiB\"", "\"0B\"", "\"2TiB\""),
        ("headerTimeout", "\"1s\"", "\"5m\"", "\"999ms\"", "\"6m\""),
        ("handshakeTimeout", "\"1s\"", "\"5m\"", "\"0s\"", "\"301s\""),
        ("keepaliveTimeout", "\"1s\"", "\"1h\"", "\"0s\"", "\"2h\""),
        ("bodyStallTimeout", "\"1s\"", "\"1h\"", "\"0s\"", "\"2h\""),
        (
            "upstreamConnectTimeout",
            "\"100ms\"",
            "\"2m\"",
            "\"99ms\"",
            "\"3m\"",
        ),
        (
            "upstreamFirstByteTimeout",
            "\"1s\"",
            "\"1d\"",
            "\"0s\"",
            "\"2d\"",
        ),
        ("shutdownGrace", "\"0s\"", "\"1h\"", "\"-1s\"", "\"2h\""),
        (
            "websocketIdleTimeout",
            "\"30s\"",
            "\"7d\"",
            "\"29s\"",
            "\"8d\"",
        ),
        ("maxConnections", "1", "1000000", "0", "1000001"),
    ] {
        for good in [low, high] {
            config(&and(&format!("[limits]\n{key} = {good}")));
        }
        for bad in [below, above] {
            let messages = messages(&and(&format!("[limits]\n{key} = {bad}")));
            assert_eq!(messages.len(), 1, "{key} = {bad}");
            let (got, range) = messages[0].split_once(", expected ").unwrap();
            assert!(got.starts_with(&format!("limits.{key}: got ")), "{got}");
            let shown = |text: &str| text.trim_matches('"').to_owned();
            let ends = format!("from {} to {}", shown(low), shown(high));
            assert!(range.ends_with(&ends), "{range} is not {ends}");
        }
    }
    config(&and("[limits]\nrequestsPerSecondPerUser = 0"));
}

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
            "gateway.trustedProxies[0]: got `fe80::1` comes with a zone",
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

#[test]
fn a_section_of_the_wrong_type_is_one_problem() {
    let text = "listen = 1\nupstream = 2\ngateway = 3\n";
    assert_eq!(
        problems(text),
        [
            "1:10: listen: got an integer, expected a table",
            "2:12: upstream: got an integer, expected a table",
            "3:11: gateway: got an integer, expected a table",
        ]
    );
}
