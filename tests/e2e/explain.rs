//! Why a request was refused: kept by the running process, told by `explain`.

use crate::client::{Http2Client, http2_request};
use crate::recorder::Recorder;
use crate::sidecar::{ELSEWHERE, Setup, Sidecar};
use serde_json::Value;
use std::process::{Command, Output};

/// Stands in every place whose value is nobody's business.
const CANARY: &str = "c4nary-s3cret";

const GATEWAY: &str = r#"
trustedProxies = ["127.0.0.1"]
[gateway.auth]
mode = "trusted-proxy"
[gateway.auth.trustedProxy]
userHeader = "x-forwarded-user"
requiredHeaders = ["x-forwarded-proto", "x-proof"]
allowUsers = ["nick@example.com"]
allowLoopback = true
"#;

const TRUSTED: &str = "gateway.auth.trustedProxy";

/// Fields; then the reason, the key's last part, and what came.
const ROWS: &[(&str, &str, &str, &str)] = &[
    (
        "x-forwarded-user: nick@example.com\r\nx_forwarded_user: admin\r\nx-forwarded-proto: https\r\n",
        "trusted_proxy_ambiguous_header",
        "userHeader",
        "an alias of `x-forwarded-user`",
    ),
    (
        "x-forwarded-user: nick@example.com\r\nx-forwarded-proto: https\r\nx-openclaw-scopes: operator.admin\r\n",
        "trusted_proxy_unexpected_scopes",
        "scopeCeilings",
        "`x-openclaw-scopes`",
    ),
    (
        "x-forwarded-user: nick@example.com\r\n",
        "trusted_proxy_missing_header_x-forwarded-proto",
        "requiredHeaders",
        "no `x-forwarded-proto`",
    ),
    (
        "x-forwarded-proto: https\r\n",
        "trusted_proxy_user_missing",
        "userHeader",
        "no `x-forwarded-user`",
    ),
    (
        "x-forwarded-user: n\u{ec}ck@example.com\r\nx-forwarded-proto: https\r\n",
        "trusted_proxy_user_invalid",
        "userHeader",
        "a byte outside printable ASCII in `x-forwarded-user`",
    ),
    (
        "x-forwarded-user: eve@example.com\r\nx-forwarded-proto: https\r\n",
        "trusted_proxy_user_not_allowed",
        "allowUsers",
        "user `eve@example.com`",
    ),
];

/// The fields of a row and secrets wherever they may be.
fn planted(fields: &str) -> String {
    format!(
        "{fields}x-proof: {CANARY}\r\nauthorization: Bearer {CANARY}\r\ncookie: s={CANARY}\r\n\
         x-forwarded-access-token: {CANARY}\r\nx-api-key: {CANARY}\r\n"
    )
}

async fn explain(sidecar: &Sidecar, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .args(["explain", "--config"])
        .arg(sidecar.config_path())
        .args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.unwrap().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What the command says of a refused request, to programs; its text is looked at, too.
async fn told(sidecar: &Sidecar, id: &str) -> Value {
    let address = sidecar.admin.to_string();
    let arguments = ["--denial", id, "--address", &address];
    let people = explain(sidecar, &arguments).await;
    let programs = explain(sidecar, &[&arguments[..], &["--json"]].concat()).await;
    let (people, said) = (text(&people.stdout), text(&programs.stdout));
    let complained = text(&programs.stderr);
    assert!(
        !people.contains(CANARY) && !said.contains(CANARY),
        "{people}{said}"
    );
    let answer: Value =
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{complained}"));
    for part in ["reason", "rule", "got", "expected", "remedy"] {
        if let Some(words) = answer["denial"][part].as_str() {
            assert!(
                !words.is_empty() && people.contains(words),
                "{part} `{words}` is not in\n{people}"
            );
        }
    }
    answer
}

#[tokio::test]
async fn the_id_of_a_denial_tells_rule_cause_and_remedy_and_no_secret() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().gateway(GATEWAY).spawn(&upstream.url());
    for (fields, reason, key, came) in ROWS {
        let request = format!("GET /api/x?key={CANARY} HTTP/1.1\r\n{}", planted(fields));
        let answer = sidecar.send(&request).await;
        let id = answer.json()["error"]["requestId"]
            .as_str()
            .unwrap()
            .to_owned();
        let logged = sidecar
            .logged(|line| line["request.id"] == id.as_str())
            .await;
        assert_eq!(logged["denial.reason"], *reason);

        let said = told(&sidecar, &id).await;
        let denial = &said["denial"];
        assert_eq!(denial["reason"], *reason);
        assert_eq!(denial["rule"], format!("{TRUSTED}.{key}"), "{reason}");
        assert!(
            denial["got"].as_str().unwrap().starts_with(came),
            "{denial}"
        );
        assert!(denial["expected"].as_str().unwrap().len() > 5, "{denial}");
        assert!(denial["remedy"].as_str().unwrap().len() > 20, "{denial}");
        assert_eq!(
            (
                &denial["request"]["path"],
                &denial["request"]["hasQuery"],
                &denial["source"]
            ),
            (&"/api/x".into(), &true.into(), &"127.0.0.1".into())
        );
        assert_eq!(said["now"]["reason"], *reason, "the same is denied still");
    }
    let said = told_from_elsewhere("trusted_proxy_untrusted_source", ELSEWHERE).await;
    assert_eq!(said["denial"]["rule"], "gateway.trustedProxies");
    let strict = GATEWAY.replace("allowLoopback = true", "");
    let said = told_from_elsewhere("trusted_proxy_loopback_source", &strict).await;
    assert_eq!(said["denial"]["rule"], format!("{TRUSTED}.allowLoopback"));
}

async fn told_from_elsewhere(code: &str, gateway: &str) -> Value {
    let sidecar = Setup::new().gateway(gateway).spawn("http://127.0.0.1:9");
    let answer = sidecar
        .send(&format!("GET / HTTP/1.1\r\n{}", planted("")))
        .await;
    assert_eq!(answer.code(), code);
    let id = answer.values("x-request-id")[0].to_owned();
    told(&sidecar, &id).await
}

#[tokio::test]
async fn a_changed_configuration_is_what_a_denial_is_decided_by_anew() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().gateway(GATEWAY).spawn(&upstream.url());
    let fields = "x-forwarded-user: eve@example.com\r\nx-forwarded-proto: https\r\nx-request-id: eves-first\r\n\
         user-agent: curl/8.14.1\r\naccept: */*\r\n";
    let answer = sidecar
        .send(&format!("GET / HTTP/1.1\r\n{}", planted(fields)))
        .await;
    assert_eq!(answer.status, 403);
    sidecar.edit(|config| config.replace("[\"nick@", "[\"eve@example.com\", \"nick@"));
    let said = told(&sidecar, "eves-first").await;
    assert_eq!(
        (
            &said["denial"]["generation"],
            &said["now"]["decision"],
            &said["now"]["user"]
        ),
        (&1.into(), &"permitted".into(), &"eve@example.com".into())
    );
    let address = sidecar.admin.to_string();
    let output = explain(&sidecar, &["--denial", "eves-first", "--address", &address]).await;
    assert_eq!(output.status.code(), Some(0));
    // A value that was not kept is its length, here as in the list of what came.
    let said = text(&output.stdout);
    let (_, gets) = said.split_once("the upstream gets:").unwrap();
    for shown in [
        "x-forwarded-user: eve@example.com",
        "x-proof: [13 bytes]",
        "user-agent: [11 bytes]",
        "accept: [3 bytes]",
        "cookie: [at most 15 bytes]",
    ] {
        assert!(gets.contains(&format!("  {shown}\n")), "{shown}: {said}");
    }
    assert!(!gets.contains("Bearer"), "{said}");
    assert_eq!(sidecar.reload().await.0, 200);
    assert_eq!(
        sidecar
            .send(&format!("GET / HTTP/1.1\r\n{}", planted(fields)))
            .await
            .status,
        200
    );
    let again = fields.replace("eve@", "mallory@");
    sidecar
        .send(&format!("GET / HTTP/1.1\r\n{}", planted(&again)))
        .await;
    // One id twice: the latest is meant.
    let said = told(&sidecar, "eves-first").await;
    assert_eq!(said["denial"]["generation"], 2);
    assert!(said["denial"]["got"].as_str().unwrap().contains("mallory@"));
}

#[tokio::test]
async fn what_is_refused_for_another_reason_is_told_too() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .tls()
        .section("[limits]\nmaxBodyBytes = \"1KiB\"\n")
        .spawn(&upstream.url());
    let answer = sidecar.send("GET /\x01 HTTP/1.1\r\n").await;
    assert_eq!(answer.code(), "bad_request");
    let id = answer.values("x-request-id")[0].to_owned();
    let said = told(&sidecar, &id).await;
    assert!(
        said["denial"]["request"].is_null() && said["now"].is_null(),
        "{said}"
    );
    assert!(said["notDecidedBecause"].is_string());

    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    let fields = format!("{}content-length: 2000\r\n", crate::sidecar::IDENTITY);
    let mut request = http2_request("POST", "/up", &fields);
    *request.body_mut() = vec![b'x'; 2000].into();
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.status().as_u16(), 413);
    let id = answer.headers()["x-request-id"].to_str().unwrap();
    let said = told(&sidecar, id).await;
    assert_eq!(said["denial"]["rule"], "limits.maxBodyBytes");
    assert_eq!(said["denial"]["request"]["protocol"], "HTTP/2");
    assert_eq!(said["now"]["decision"], "permitted", "the policy's part");
}

#[tokio::test]
async fn the_list_is_short_and_latest_first_and_the_oldest_goes() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    let denied = |count: usize| {
        crate::client::complete(&format!(
            "GET /{count} HTTP/1.1\r\nx-forwarded-proto: https\r\nx-request-id: denied-{count}\r\n"
        ))
    };
    for count in 0..1000 {
        connection.write(denied(count)).await;
        assert_eq!(connection.response(false).await.status, 401);
    }
    let first = sidecar.admin("GET /status/denials/denied-0").await;
    assert_eq!(
        (first.status, &first.json()["requestId"]),
        (200, &"denied-0".into())
    );
    connection.write(denied(1000)).await;
    assert_eq!(connection.response(false).await.status, 401);
    let first = sidecar.admin("GET /status/denials/denied-0").await;
    assert_eq!(
        (first.status, first.code().as_str()),
        (404, "unknown_denial")
    );
    assert!(text(&first.body).contains("the last 1,000"));
    assert_eq!(
        sidecar.admin("GET /status/denials/denied-1").await.status,
        200
    );

    let list = sidecar.admin("GET /status/denials?limit=2").await.json();
    let ids: Vec<_> = list["denials"].as_array().unwrap().iter().collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(
        (&ids[0]["requestId"], &ids[0]["path"], &ids[1]["requestId"]),
        (&"denied-1000".into(), &"/1000".into(), &"denied-999".into())
    );
    let all = sidecar.admin("GET /status/denials").await.json();
    assert_eq!(all["denials"].as_array().unwrap().len(), 50);

    let address = sidecar.admin.to_string();
    let output = explain(&sidecar, &["--denial", "denied-0", "--address", &address]).await;
    assert_eq!(output.status.code(), Some(2), "1 would be: denied");
    assert!(text(&output.stderr).contains("the last 1,000"));
    let output = explain(&sidecar, &["--denial", "a b", "--address", &address]).await;
    assert_eq!(output.status.code(), Some(2));
    let nobody = ["--denial", "denied-1", "--address", "127.0.0.1:9"];
    let output = explain(&sidecar, &nobody).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("can't reach"));
}

#[tokio::test]
async fn denials_need_the_admin_token_where_there_is_one() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .admin("token = \"admin-t0ken\"\n")
        .spawn(&upstream.url());
    let fields = "x-forwarded-proto: https\r\nx-request-id: asked-for\r\n";
    sidecar.send(&format!("GET / HTTP/1.1\r\n{fields}")).await;
    for path in ["/status/denials", "/status/denials/asked-for"] {
        assert_eq!(sidecar.admin(&format!("GET {path}")).await.status, 401);
    }
    assert_eq!(sidecar.admin("POST /probe").await.status, 401);
    // The command has it from the configuration.
    let said = told(&sidecar, "asked-for").await;
    assert_eq!(said["denial"]["code"], "trusted_proxy_user_missing");
}

#[tokio::test]
async fn a_pasted_curl_line_is_decided_and_its_secrets_are_not_repeated() {
    let sidecar = Setup::new().gateway(GATEWAY).spawn("http://127.0.0.1:9");
    let pasted = [
        "--source",
        "127.0.0.1",
        "-H",
        "x-forwarded-proto: https",
        "-H",
        &format!("x-proof: {CANARY}"),
        "--",
        "curl",
        &format!("https://claw.example.com/api?key={CANARY}"),
        "-X",
        "POST",
        "-H",
        "x-forwarded-user: nick@example.com",
        "-H",
        "accept: application/json",
        "-b",
        &format!("s={CANARY}"),
        "-u",
        &format!("u:{CANARY}"),
        "--data-raw",
        CANARY,
        "--compressed",
        "-k",
    ]
    .map(str::to_owned);
    let pasted: Vec<&str> = pasted.iter().map(String::as_str).collect();
    let output = explain(&sidecar, &pasted).await;
    let said = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{said}{}",
        text(&output.stderr)
    );
    for shown in [
        "permitted",
        "host: claw.example.com",
        "x-forwarded-user: nick@example.com",
        "authorization: [redacted]",
        "cookie: [redacted]",
        "x-proof: [redacted]",
        "accept: application/json",
    ] {
        assert!(said.contains(shown), "{shown} is not in\n{said}");
    }
    assert!(!said.contains(CANARY), "{said}");
    let upgrade = explain(&sidecar, &[&["--websocket"], &pasted[..]].concat()).await;
    let upgrade = text(&upgrade.stdout);
    for shown in ["connection: Upgrade", "upgrade: websocket"] {
        assert!(upgrade.contains(shown), "{shown} is not in\n{upgrade}");
        assert!(!said.contains(shown), "{said}");
    }

    let denied = explain(&sidecar, &["--source", "127.0.0.1", "--", "curl", "h"]).await;
    let said = text(&denied.stdout);
    assert_eq!(denied.status.code(), Some(1));
    for shown in [
        "denied: trusted_proxy_missing_header_x-forwarded-proto (401)",
        "rule: gateway.auth.trustedProxy.requiredHeaders",
        "came: no `x-forwarded-proto`",
        "expected: the trusted proxy to set it",
        "to change: ",
    ] {
        assert!(said.contains(shown), "{shown} is not in\n{said}");
    }

    let secret = format!("--unheard-of={CANARY}");
    for wrong in [
        &["--source", "127.0.0.1", "--", "curl", "h", &secret][..],
        &["--source", "127.0.0.1", "-H", CANARY],
        &["--source", "127.0.0.1", "--", "curl", "h", "-H", CANARY],
        &["--", "curl", "h"],
    ] {
        let output = explain(&sidecar, wrong).await;
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(!text(&output.stderr).contains(CANARY), "{wrong:?}");
    }
}

#[tokio::test]
async fn an_assertion_is_judged_by_its_claims_and_that_is_said() {
    use base64::Engine;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let token = |issuer: &str| {
        let header = encode(br#"{"alg":"ES256","kid":"k"}"#);
        let claims = format!(
            r#"{{"iss":"{issuer}","aud":"claw.example.com","exp":32503680000,"email":"nick@example.com"}}"#
        );
        format!(
            "{header}.{}.{}",
            encode(claims.as_bytes()),
            encode(&[7; 64])
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portcullis.toml");
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:8443\"\n[upstream]\nurl = \"http://127.0.0.1:18789\"\n[gateway]{GATEWAY}\
         [gateway.auth.trustedProxy.assertion]\npreset = \"pomerium\"\nissuer = \"claw.example.com\"\n\
         audience = \"claw.example.com\"\n"
    );
    std::fs::write(&path, config).unwrap();
    let explain = |token: &str, user: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["explain", "--json", "--source", "127.0.0.1", "--config"])
            .arg(&path)
            .args(["-H", &format!("x-forwarded-user: {user}")])
            .args(["-H", "x-forwarded-proto: https", "-H", "x-proof: p"])
            .args(["-H", &format!("x-pomerium-jwt-assertion: {token}")])
            .output()
            .unwrap();
        let said = text(&output.stdout);
        assert!(!said.contains(token), "{said}");
        serde_json::from_str::<Value>(&said)
            .unwrap_or_else(|_| panic!("{said}{}", text(&output.stderr)))
    };
    let good = explain(&token("claw.example.com"), "nick@example.com");
    assert_eq!(good["decision"], "permitted", "{good}");
    assert!(good["assumed"].as_str().unwrap().contains("signature"));
    let because = good["because"].to_string();
    assert!(
        because.contains("the assertion in `x-pomerium-jwt-assertion` is of `nick@example.com`"),
        "{because}"
    );
    for (issuer, user, code) in [
        (
            "evil.example",
            "nick@example.com",
            "trusted_proxy_assertion_invalid",
        ),
        (
            "claw.example.com",
            "ada@example.com",
            "trusted_proxy_assertion_user_mismatch",
        ),
    ] {
        let said = explain(&token(issuer), user);
        for part in ["got", "expected"] {
            let words = said[part].as_str().unwrap();
            assert!(!words.is_empty() && !words.contains("got "), "{said}");
        }
        assert_eq!(
            (&said["code"], &said["rule"]),
            (&code.into(), &format!("{TRUSTED}.assertion").into()),
            "{said}"
        );
    }
}

/// The usual gateway, whose users must be proven in this header.
fn proven_in(header: &str) -> String {
    format!(
        "{GATEWAY}[gateway.auth.trustedProxy.assertion]\npreset = \"oidc\"\nheader = \"{header}\"\n\
         algorithms = [\"ES256\"]\nissuer = \"https://issuer.example.com\"\naudience = \"claw\"\n\
         keysUrl = \"http://127.0.0.1:9/keys\"\n"
    )
}

#[tokio::test]
async fn an_assertion_that_did_not_come_is_missing_still_and_one_that_was_refused_is_not_judged() {
    let upstream = Recorder::spawn().await;
    for (header, sent, code) in [
        ("x-signed", "", Some("trusted_proxy_assertion_missing")),
        (
            "x-signed",
            "x-signed: \r\n",
            Some("trusted_proxy_assertion_missing"),
        ),
        (
            "authorization",
            "authorization: Basic bm9ib2R5\r\n",
            Some("trusted_proxy_assertion_missing"),
        ),
        ("x-signed", "x-signed: c4nary-s3cret\r\n", None),
    ] {
        let sidecar = Setup::new()
            .gateway(&proven_in(header))
            .spawn(&upstream.url());
        let fields = format!(
            "x-forwarded-user: nick@example.com\r\nx-forwarded-proto: https\r\nx-proof: p\r\n\
             x-request-id: unproven\r\n{sent}"
        );
        let request = format!("GET / HTTP/1.1\r\n{fields}");
        assert_eq!(sidecar.send(&request).await.status, 401);
        let said = told(&sidecar, "unproven").await;
        assert_eq!(said["now"]["code"].as_str(), code, "{sent}: {said}");
        let absent = said["denial"]["request"]["absent"].to_string();
        assert_eq!(absent.contains(header), sent.is_empty(), "{absent}");
        let address = sidecar.admin.to_string();
        let arguments = ["--denial", "unproven", "--address", &address];
        let output = explain(&sidecar, &arguments).await;
        let expected = if code.is_some() { 1 } else { 2 };
        assert_eq!(output.status.code(), Some(expected), "{sent}: {said}");
        let people = text(&output.stdout);
        assert_eq!(
            people.contains(&format!("{header}: [absent]")),
            sent.is_empty(),
            "{people}"
        );
        // Nothing is asked for any more: whatever came, it is decided.
        sidecar.edit(|config| config.replace(&proven_in(header), GATEWAY));
        let said = told(&sidecar, "unproven").await;
        assert_eq!(said["now"]["decision"], "permitted", "{sent}: {said}");
    }
}

#[test]
fn the_certificate_that_lets_a_source_in_is_among_the_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portcullis.toml");
    let gateway = GATEWAY.replace(
        "allowLoopback",
        "clientCertNames = [\"proxy.example.com\"]\nallowLoopback",
    );
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:8443\"\n[upstream]\nurl = \"http://127.0.0.1:18789\"\n[gateway]{gateway}\
         [gateway.tls]\ncertPath = \"/c\"\nkeyPath = \"/k\"\nclientCaPath = \"/ca\"\n"
    );
    std::fs::write(&path, config).unwrap();
    let explain = |names: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["explain", "--source", "127.0.0.1", "--config"])
            .arg(&path)
            .args(["-H", "x-forwarded-user: nick@example.com"])
            .args(["-H", "x-forwarded-proto: https", "-H", "x-proof: p"])
            .args(names.iter().flat_map(|name| ["--cert-name", name]))
            .output()
            .unwrap();
        text(&output.stdout)
    };
    let said = explain(&["other.example.com", "proxy.example.com"]);
    let reason = "its certificate is for `proxy.example.com`, which is in clientCertNames";
    assert!(
        said.starts_with("permitted") && said.contains(reason),
        "{said}"
    );
    assert!(explain(&[]).starts_with("denied"));
}
