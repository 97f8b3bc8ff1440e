//! `portcullis doctor --attack` through a real nginx: what it reports is what that nginx lets
//! through, as an upstream without Portcullis sees it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use portcullis::doctor::attack::{Attack, Kind, attacks};
use portcullis::probe::{Nonce, ProbeAnswer};
use serde_json::{Value, json};

use crate::recorder::Recorder;
use crate::reserved_port::reserve;
use crate::sandbox::{PORTCULLIS, PUBLIC_NAME, Running, Sandbox};

const SESSION: &str = "c4nary-session";

/// nginx with a login in front of Portcullis, and the same headers set towards an upstream that
/// writes down what it gets.
struct Chain {
    sandbox: Sandbox,
    edge: SocketAddr,
    admin: SocketAddr,
    gateway: Recorder,
    raw: Recorder,
    _running: [Running; 2],
}

impl Chain {
    /// `http` and `headers` are what nginx is told; `DIR` is a folder for it.
    fn start(http: &str, headers: &str) -> Self {
        let sandbox = Sandbox::new();
        let (gateway, raw) = (Recorder::gateway(), Recorder::gateway());
        let (door, admin, edge) = (reserve(), reserve(), reserve());
        let config = format!(
            "[listen]\naddress = \"{door}\"\n[upstream]\nurl = \"http://{}\"\n\
             [gateway]\ntrustedProxies = [\"127.0.0.1\"]\n[gateway.auth]\nmode = \"trusted-proxy\"\n\
             [gateway.auth.trustedProxy]\nuserHeader = \"x-forwarded-user\"\n\
             requiredHeaders = [\"x-forwarded-proto\", \"x-proof\"]\n\
             passHeaders = [\"x-auth-request-groups\"]\npassScopes = true\n\
             allowUsers = [\"nick@example.com\"]\nallowLoopback = true\n\
             [admin]\naddress = \"{admin}\"\ntoken = \"adm1n-t0ken\"\n",
            gateway.address()
        );
        fs::write(sandbox.path("portcullis.toml"), config).unwrap();
        let portcullis = Running::start(
            &sandbox,
            PORTCULLIS,
            &["run", "--config", &sandbox.text("portcullis.toml")],
        )
        .accepting(&sandbox, "portcullis.log", door);

        let dir = sandbox.text("");
        let http = http.replace("DIR", &dir);
        let raw_address = raw.address();
        let site = format!(
            "daemon off; master_process off; pid {dir}nginx.pid; error_log stderr;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; client_body_temp_path {dir}body; proxy_temp_path {dir}proxy;\n\
             fastcgi_temp_path {dir}fastcgi; uwsgi_temp_path {dir}uwsgi; scgi_temp_path {dir}scgi;\n\
             proxy_headers_hash_max_size 4096; proxy_headers_hash_bucket_size 256;\n{http}\n\
             server {{ listen {edge};\n\
             if ($cookie_session != {SESSION}) {{ return 302 https://id.example/login?state={SESSION}; }}\n\
             proxy_http_version 1.1;\n{headers}\n\
             location /raw {{ proxy_pass http://{raw_address}; }}\n\
             location / {{ proxy_pass http://{door}; }} }} }}\n"
        );
        fs::write(sandbox.path("nginx.conf"), site).unwrap();
        let nginx = Running::start(
            &sandbox,
            "nginx",
            &["-e", "stderr", "-c", &sandbox.text("nginx.conf")],
        )
        .accepting(&sandbox, "nginx.log", edge);
        Self {
            sandbox,
            edge,
            admin,
            gateway,
            raw,
            _running: [portcullis, nginx],
        }
    }

    /// Attacks it from "another machine": its exit code, what it prints and what it complains of.
    fn attack(&self, arguments: &[&str]) -> (Option<i32>, Value, String) {
        let output = Command::new(PORTCULLIS)
            .args([
                "doctor",
                "--json",
                "--attack",
                &format!("http://{}", self.edge),
            ])
            .args(["--admin", &self.admin.to_string()])
            .args(arguments)
            .env_remove("PORTCULLIS_CONFIG")
            .env("PORTCULLIS_ADMIN_TOKEN", "adm1n-t0ken")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, complained) = (text(&output.stdout), text(&output.stderr));
        for secret in [SESSION, "adm1n-t0ken"] {
            assert!(
                !said.contains(secret) && !complained.contains(secret),
                "{said}{complained}"
            );
        }
        let json = serde_json::from_str(&said).unwrap_or(Value::Null);
        (output.status.code(), json, complained)
    }

    /// The same with a session.
    fn attack_signed_in(&self) -> (Option<i32>, Value) {
        let cookie = format!("cookie: session={SESSION}");
        let (code, findings, complained) = self.attack(&["-H", &cookie]);
        assert!(complained.is_empty(), "{complained}");
        assert!(
            self.gateway.heads().is_empty(),
            "the gateway gets nothing of it"
        );
        (code, findings)
    }

    /// The headers of the corpus whose values nginx lets through.
    fn lets_through(&self, proto: &str) -> BTreeSet<String> {
        let mut through = BTreeSet::new();
        for attack in corpus(proto) {
            let fields: String = attack
                .fields()
                .iter()
                .map(|(name, value)| format!("{name}: {value}\r\n"))
                .collect();
            let mut stream = TcpStream::connect(self.edge).unwrap();
            let head = format!(
                "GET /raw HTTP/1.1\r\nHost: h\r\nCookie: session={SESSION}\r\nX-Count: {}\r\n{fields}{}\r\n",
                self.raw.heads().len(),
                match attack.kind {
                    Kind::Connection => "",
                    _ => "Connection: close\r\n",
                }
            );
            stream.write_all(head.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            let heads = self.raw.heads();
            let last = heads.last().unwrap();
            if last.values(&attack.header).contains(&attack.value.as_str()) {
                through.insert(attack.header);
            }
        }
        through
    }
}

/// The corpus as it is for the configuration of these tests, where the client's protocol is
/// told to be `proto`.
fn corpus(proto: &str) -> Vec<Attack> {
    let baseline: ProbeAnswer = serde_json::from_value(json!({
        "shot": { "mark": "", "number": 1 }, "requestId": "r", "source": "127.0.0.1", "announcedBy": null, "scheme": "http",
        "protocol": "HTTP/1.1", "user": "nick@example.com", "client": "127.0.0.1",
        "received": [], "upstream": [{
            "name": "x-forwarded-proto", "state": "present", "bytes": proto.len(), "value": proto,
            "isMarked": false, "role": "forwarded",
        }], "userHeader": "x-forwarded-user",
        "requiredHeaders": ["x-forwarded-proto", "x-proof"],
        "namedHeaders": ["x-forwarded-proto", "x-proof", "x-auth-request-groups"],
    }))
    .unwrap();
    let mark = Nonce::read("00112233445566778899aabbccddeeff")
        .unwrap()
        .mark();
    attacks(&baseline, &mark)
}

/// The headers that findings of this severity are about.
fn headers(findings: &Value, severity: &str) -> BTreeSet<String> {
    let all = findings["findings"].as_array().unwrap().iter();
    all.filter(|finding| finding["severity"] == severity)
        .flat_map(|finding| match finding["place"]["key"].as_str() {
            Some(key) => vec![key.to_owned()],
            // Of many alike, by name.
            None => {
                let evidence = finding["evidence"].as_str().unwrap();
                let names = evidence.split('`').skip(1).step_by(2);
                names.map(str::to_owned).collect()
            }
        })
        .collect()
}

#[test]
fn a_careless_nginx_is_told_exactly_what_it_lets_through() {
    let chain = Chain::start(
        "underscores_in_headers on; ignore_invalid_headers off;\n\
         map $http_x_forwarded_proto $proto { default $http_x_forwarded_proto; \"\" https; }\n\
         map $http_x_forwarded_user $user { default $http_x_forwarded_user; \"\" nick@example.com; }",
        "proxy_set_header X-Forwarded-User $user;\n\
         proxy_set_header X-Forwarded-Proto $proto;\n\
         proxy_set_header X-Proof of-the-proxy;\n\
         proxy_set_header X-Real-IP $remote_addr;\n\
         proxy_set_header Remote-User \"\";",
    );
    let (code, findings) = chain.attack_signed_in();
    assert_eq!(code, Some(1), "{findings:#}");
    let critical = headers(&findings, "critical");
    let believed = [
        "x-auth-request-groups",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-user",
        "x-openclaw-scopes",
    ];
    assert_eq!(critical, believed.map(str::to_owned).into(), "{findings:#}");
    let mut reported = critical;
    for severity in ["warning", "info"] {
        reported.extend(headers(&findings, severity));
    }
    let through = chain.lets_through("https");
    assert_eq!(reported, through);
    for overwritten in ["x-proof", "x-real-ip", "remote-user"] {
        assert!(!through.contains(overwritten), "{overwritten}");
    }
    for passed in [
        "x_forwarded_user",
        "x.forwarded.user",
        "forwarded",
        "x-original-url",
    ] {
        assert!(through.contains(passed), "{passed}");
    }
    let text = findings.to_string();
    assert!(
        text.contains("proxy_set_header X-Forwarded-Proto $scheme;"),
        "{text}"
    );
}

#[test]
fn an_nginx_that_overwrites_everything_is_told_nothing() {
    let own = |name: &str| match name {
        "x-forwarded-user" => "nick@example.com",
        "x-proof" => "of-the-proxy",
        "x-forwarded-proto" => "$scheme",
        "x-forwarded-for" | "x-real-ip" => "$remote_addr",
        "x-forwarded-host" => "$http_host",
        "x-request-id" => "$request_id",
        _ => "\"\"",
    };
    let names: BTreeSet<String> = corpus("http")
        .into_iter()
        .filter(|attack| !matches!(attack.kind, Kind::Alias | Kind::Connection))
        .map(|attack| attack.header)
        .collect();
    let lines: String = names
        .iter()
        .map(|name| format!("proxy_set_header {name} {};\n", own(name)))
        .collect();
    let chain = Chain::start("", &lines);
    assert_eq!(chain.lets_through("http"), BTreeSet::new());
    let (code, findings) = chain.attack_signed_in();
    assert_eq!(
        (code, &findings["findings"]),
        (Some(0), &json!([])),
        "{findings:#}"
    );
}

#[test]
fn the_committed_nginx_lets_nothing_be_believed_and_its_certificate_is_verified() {
    let chain = crate::chain::Chain::nginx();
    let ca = chain.sandbox.text(&format!("edge/{PUBLIC_NAME}.pem"));
    let attack = |arguments: &[&str]| {
        let output = Command::new(PORTCULLIS)
            .args([
                "doctor",
                "--json",
                "--attack",
                &format!("https://{}", chain.edge),
            ])
            .args(["--admin", &chain.portcullis.admin.to_string()])
            .args(["-H", "cookie: _oauth2_proxy=nicks-session"])
            .args(arguments)
            .env_remove("PORTCULLIS_CONFIG")
            .output()
            .unwrap();
        let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), findings)
    };
    let (code, findings) = attack(&["--ca", &ca]);
    assert_eq!(code, Some(0), "{findings:#}");
    assert!(headers(&findings, "critical").is_empty(), "{findings:#}");
    // What it doesn't name goes no further than Portcullis.
    assert!(headers(&findings, "warning").is_empty(), "{findings:#}");
    let dropped = headers(&findings, "info");
    assert!(dropped.contains("remote-user"), "{findings:#}");
    assert_eq!(findings["findings"].as_array().unwrap().len(), 1);
    for blanked in [
        "x-auth-request-user",
        "forwarded",
        "x-openclaw-scopes",
        "x_forwarded_user",
    ] {
        assert!(!dropped.contains(blanked), "{blanked}");
    }
    assert!(chain.gateway.heads().is_empty());

    let (code, findings) = attack(&[]);
    assert_eq!(code, Some(1));
    let found = &findings["findings"][0];
    assert_eq!(found["id"], "ATTACK_UNANSWERED");
    assert!(
        found["evidence"]
            .as_str()
            .unwrap()
            .contains("TLS handshake"),
        "{found}"
    );
    assert!(found["remedy"].as_str().unwrap().contains("--ca FILE"));

    let (code, findings) = attack(&["--insecure"]);
    assert_eq!(code, Some(0));
    let ids = findings["findings"].as_array().unwrap().iter();
    assert!(
        ids.filter(|found| found["id"] == "ATTACK_UNVERIFIED_TLS")
            .count()
            == 1
    );
}

/// Careless and caching: what it lets through is in no answer but the first.
#[test]
fn an_nginx_that_caches_every_answer_is_no_pass() {
    let lines = "proxy_set_header X-Forwarded-User nick@example.com;\n\
                 proxy_set_header X-Forwarded-Proto $scheme;\n\
                 proxy_set_header X-Proof of-the-proxy;";
    let careless = Chain::start("", lines);
    let (_, findings) = careless.attack_signed_in();
    assert!(headers(&findings, "critical").contains("x-openclaw-scopes"));

    let http = "proxy_cache_path DIRcache keys_zone=all:1m;";
    let cache = "proxy_cache all; proxy_cache_valid any 5m; proxy_ignore_headers Cache-Control;";
    let caching = Chain::start(http, &format!("{lines}\n{cache}"));
    // The second time it has an answer to give to the very first request.
    for _ in 0..2 {
        let (code, findings) = caching.attack_signed_in();
        let found = &findings["findings"][0];
        assert_eq!(
            (code, &found["id"], &found["severity"]),
            (Some(1), &json!("ATTACK_REPLAYED"), &json!("critical")),
            "{findings:#}"
        );
        assert!(
            found["remedy"]
                .as_str()
                .unwrap()
                .contains("proxy_cache off")
        );
    }
}

/// The newcomer's two: whoever signs in may be anybody, and `-H` must not hide it.
#[test]
fn an_nginx_that_leaves_out_a_header_is_wide_open_and_told_so() {
    let set = "proxy_set_header X-Proof of-the-proxy;";
    for (header, lines, value) in [
        (
            "x-forwarded-user",
            format!("{set} proxy_set_header X-Forwarded-Proto $scheme;"),
            "nick@example.com",
        ),
        (
            "x-forwarded-proto",
            format!(
                "{set} proxy_set_header X-Forwarded-User nick@example.com;\n\
                 proxy_set_header X-Forwarded-Proto $http_x_forwarded_proto;"
            ),
            "https",
        ),
    ] {
        let chain = Chain::start("", &lines);
        let (code, findings) = chain.attack_signed_in();
        let all = findings["findings"].as_array().unwrap();
        let told: Vec<_> = all
            .iter()
            .map(|found| (&found["id"], found["place"]["key"].as_str()))
            .collect();
        let expected = [
            (&json!("ATTACK_UNANSWERED"), None),
            (&json!("ATTACK_HEADER_BELIEVED"), Some(header)),
        ];
        assert_eq!((code, told), (Some(1), expected.into()), "{findings:#}");
        let remedy = all[0]["remedy"].as_str().unwrap();
        assert!(
            remedy.contains(&format!("doesn't set `{header}`")),
            "{remedy}"
        );

        let cookie = format!("cookie: session={SESSION}");
        let own = format!("{header}: {value}");
        let (code, _, complained) = chain.attack(&["-H", &cookie, "-H", &own]);
        assert_eq!(code, Some(2), "{complained}");
        assert!(
            complained.contains(&format!("got `{header}`")),
            "{complained}"
        );
    }
}

#[test]
fn nothing_is_known_where_no_probe_comes_through() {
    let chain = Chain::start("", "proxy_set_header X-Forwarded-User nick@example.com;");
    for (arguments, said) in [
        (&[][..], "302 to `https://id.example/login`"),
        // A session, and a chain that is not permitted.
        (
            &["-H", "cookie: session=c4nary-session"][..],
            "trusted_proxy_missing_header_x-forwarded-proto",
        ),
    ] {
        let (code, findings, _) = chain.attack(arguments);
        let found = &findings["findings"][0];
        assert_eq!((code, &found["id"]), (Some(1), &"ATTACK_UNANSWERED".into()));
        let evidence = found["evidence"].as_str().unwrap();
        assert!(
            evidence.contains("not a single probe came through"),
            "{evidence}"
        );
        assert!(evidence.contains(said), "{evidence}");
    }
    // Sessions may come from a file, whose lines are not repeated.
    let file = chain.sandbox.path("headers");
    fs::write(&file, format!("cookie: session={SESSION}\n{SESSION}\n")).unwrap();
    let (code, _, complained) = chain.attack(&["-H", &format!("@{}", file.display())]);
    assert_eq!(code, Some(2), "{complained}");
    let (code, _, complained) = chain.attack(&["-H", SESSION]);
    assert_eq!(code, Some(2), "{complained}");

    let output = Command::new(PORTCULLIS)
        .args(["doctor", "--attack", &format!("http://{}", chain.edge)])
        .args(["--admin", &chain.admin.to_string()])
        .env_remove("PORTCULLIS_CONFIG")
        .env("PORTCULLIS_ADMIN_TOKEN", "another")
        .output()
        .unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(complained.contains("armed no probe"), "{complained}");
}
