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
             \"0.0.0.0:8443\", or \"unix:/PATH\"",
            "5:7: upstream.url: got a string of 13 characters, expected http://HOST[:PORT], \
             https://HOST[:PORT] or unix:/PATH",
            "7:31: gateway.trustedProxies[1]: got `10.0.0.1/8`, which has host bits \
             set, expected `10.0.0.0/8`",
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
        problems(&inline)[0].starts_with("15:9: gateway.auth.trustedProxy.scopeCeilings.admin: ")
    );
    let inline = format!("admin = {{ \"tökén\" = 1, adress = 2 }}\n{LEAST}");
    assert_eq!(
        problems(&inline),
        [
            "1:11: admin.\"…\": unknown key, did you mean `token`?",
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
            "15:1: got a key or table that is there already, expected it once",
            "17:9: log.level: got `inof`, expected `error`, `warn`, `info`, `debug` or `trace`",
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
fn a_unix_listener_needs_its_peers() {
    let at_a_socket = |rest: &str| {
        with(
            "\"127.0.0.1:8443\"",
            &format!("\"unix:/run/p.sock\"\n{rest}"),
        )
    };
    assert!(parse(&at_a_socket("unixPeerUids = [33, 1000]")).is_ok());
    for (text, problem) in [
        (
            at_a_socket(""),
            "listen.unixPeerUids: got nothing, expected an array of users' numbers (uids): who may \
             connect to the Unix socket",
        ),
        (
            at_a_socket("unixPeerUids = []"),
            "listen.unixPeerUids: got an empty array, expected an array of users' numbers (uids): \
             who may connect to the Unix socket",
        ),
        (
            at_a_socket("unixPeerUids = [-1]"),
            "listen.unixPeerUids[0]: got `-1`, expected an integer from 0 to 4294967294",
        ),
        (
            with("127.0.0.1:8443", "unix:run/p.sock"),
            "listen.address: got a string of 15 characters, expected an IP address and port such as \
             \"0.0.0.0:8443\", or \"unix:/PATH\": the socket's path must be absolute",
        ),
        (
            with("127.0.0.1:8443", &format!("unix:/{}", "p".repeat(107))),
            "listen.address: got a string of 113 characters, expected an IP address and port such \
             as \"0.0.0.0:8443\", or \"unix:/PATH\": the socket's path must be at most 107 bytes long",
        ),
        (
            with(
                "\"127.0.0.1:8443\"",
                "[\"unix:/run/p.sock\", \"unix:/run/p.sock\"]\nunixPeerUids = [33]",
            ),
            "listen.address[1]: got `unix:/run/p.sock` twice, expected an address of its own",
        ),
    ] {
        assert_eq!(messages(&text), [problem]);
    }
}

#[test]
fn who_speaks_for_others_is_a_list_of_networks() {
    let from = |nets: &str| with("address", &format!("proxyProtocolFrom = {nets}\naddress"));
    for good in ["[]", "[\"10.0.0.7\", \"10.1.0.0/16\"]"] {
        assert!(parse(&from(good)).is_ok(), "{good}");
    }
    for (nets, problem) in [
        (
            "[\"10.0.0.7/8\"]",
            "listen.proxyProtocolFrom[0]: got `10.0.0.7/8`, which has host bits set, expected \
             `10.0.0.0/8`",
        ),
        (
            "\"10.0.0.7\"",
            "listen.proxyProtocolFrom: got a string of 8 characters, expected an array of the load \
             balancers' IP addresses and CIDRs",
        ),
    ] {
        assert_eq!(messages(&from(nets)), [problem]);
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
