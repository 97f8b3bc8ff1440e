//! Secrets: needed at the start, put where they belong, and shown to nobody.

use crate::client::{Connection, Http2Client, http2_request};
use crate::recorder::Recorder;
use crate::sidecar::{GATEWAY, IDENTITY, Setup};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn portcullis(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Writes a file for its owner alone.
fn write(path: &Path, content: &str, mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A configuration in a file, for a front door at `listen`.
fn config_file(folder: &Path, listen: &str, rest: &str) -> String {
    let path = folder.join("portcullis.toml");
    let config = format!(
        "[listen]\naddress = \"{listen}\"\n[upstream]\nurl = \"http://127.0.0.1:9\"\n\
         [gateway]{GATEWAY}{rest}\n"
    );
    fs::write(&path, config).unwrap();
    path.to_str().unwrap().to_owned()
}

/// One reference of each source that can't be had, and a token in use.
fn unresolved(folder: &Path) -> String {
    let resolver = folder.join("resolver");
    write(
        &resolver,
        "#!/bin/sh\necho canary-words >&2\nexit 4\n",
        0o700,
    );
    format!(
        "[upstream.credential]\nheader = \"authorization\"\n\
         value = {{ source = \"env\", provider = \"default\", id = \"PORTCULLIS_TEST_UNSET\" }}\n\
         [admin]\naddress = \"127.0.0.1:0\"\n\
         token = {{ source = \"file\", provider = \"gone\", id = \"/admin/token\" }}\n\
         [gateway.tls]\ncertPath = \"{folder}/cert.pem\"\n\
         key = {{ source = \"exec\", provider = \"fails\", id = \"tls/key\" }}\n\
         [secrets.providers.gone]\nsource = \"file\"\npath = \"{folder}/gone.json\"\n\
         [secrets.providers.fails]\nsource = \"exec\"\ncommand = \"{resolver}\"\n",
        folder = folder.display(),
        resolver = resolver.display(),
    )
}

#[test]
fn a_start_without_a_secret_in_use_lists_them_all_and_binds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    crate::sidecar::write_certificate(folder.path());
    // It is taken: whoever tried to bind it would complain of that.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let path = config_file(folder.path(), &listen, &unresolved(folder.path()));
    for arguments in [
        &["run", "--config", &path][..],
        &["check", "--resolve", "--config", &path],
    ] {
        let output = portcullis(arguments, &[]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for words in [
            "upstream.credential.value: env:default:PORTCULLIS_TEST_UNSET: ",
            "SECRET_REF_NOT_FOUND",
            "set `PORTCULLIS_TEST_UNSET` in the environment",
            "admin.token: file:gone:/admin/token: ",
            "gateway.tls.key: exec:fails:tls/key: ",
            "SECRET_PROVIDER_UNAVAILABLE",
            "exit status 4 (13 bytes on standard error, not shown)",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(
            !said.contains("canary") && !said.contains("listen on"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_secret_that_nothing_uses_does_not_stop_the_start_and_is_told_of() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .section(
            "[models.providers.anthropic]\nenabled = false\n\
             apiKey = { source = \"env\", provider = \"default\", id = \"PORTCULLIS_TEST_UNSET\" }\n\
             [gateway.tls]\nenabled = false\nkey = \"$PORTCULLIS_TEST_UNSET\"\n",
        )
        .spawn(&upstream.url());
    for surface in ["models.providers.anthropic.apiKey", "gateway.tls.key"] {
        let line = sidecar
            .logged(|line| {
                line["code"] == "SECRETS_REF_IGNORED_INACTIVE_SURFACE"
                    && line["secret.surface"] == surface
            })
            .await;
        assert_eq!(line["secret.id"], "PORTCULLIS_TEST_UNSET");
    }
}

#[test]
fn list_resolve_and_check_tell_every_state_and_no_value() {
    let folder = tempfile::tempdir().unwrap();
    crate::sidecar::write_certificate(folder.path());
    let rest = unresolved(folder.path())
        + "[models.providers.openai]\napiKey = \"$PORTCULLIS_TEST_UNSET\"\n";
    let path = config_file(folder.path(), "127.0.0.1:8443", &rest);
    let good = portcullis(
        &["secrets", "list", "--json", "--config", &path],
        &[("PORTCULLIS_TEST_UNSET", "canary-value")],
    );
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    let account: serde_json::Value = serde_json::from_slice(&good.stdout).unwrap();
    let states: Vec<(&str, &str)> = account["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|secret| {
            (
                secret["surface"].as_str().unwrap(),
                secret["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        states,
        [
            ("upstream.credential.value", "resolved"),
            ("admin.token", "unresolved"),
            ("gateway.tls.key", "unresolved"),
            ("models.providers.openai.apiKey", "inactive"),
        ]
    );
    assert!(!text(&good.stdout).contains("canary"));
    for (command, code) in [("list", 0), ("resolve", 2)] {
        let output = portcullis(&["secrets", command, "--config", &path], &[]);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{said}");
        for words in ["exec:fails:tls/key", "unresolved", "inactive", "do: "] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
    let output = portcullis(&["check", "--resolve", "--json", "--config", &path], &[]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2));
    let codes: Vec<_> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|problem| problem["code"].as_str())
        .collect();
    assert_eq!(
        codes,
        [
            "SECRET_REF_NOT_FOUND",
            "SECRET_PROVIDER_UNAVAILABLE",
            "SECRET_PROVIDER_UNAVAILABLE"
        ]
    );
}

const CREDENTIAL: &str =
    "[upstream.credential]\nheader = \"authorization\"\nvalue = \"$GATEWAY_TOKEN\"\n";

#[tokio::test]
async fn the_credential_goes_upstream_instead_of_the_clients_and_never_back() {
    // An upstream that shows what it was shown.
    let upstream = Recorder::with_answer(
        "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let sidecar = Setup::new()
        .tls()
        .section(CREDENTIAL)
        .env("GATEWAY_TOKEN", "canary-token")
        .spawn(&upstream.url());
    let answers = [
        sidecar.send(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).await,
        sidecar
            .send(&format!("GET / HTTP/1.1\r\n{IDENTITY}Authorization: Bearer mine\r\n"))
            .await,
        sidecar
            .send(&format!(
                "GET / HTTP/1.1\r\n{IDENTITY}Connection: Upgrade, authorization\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            ))
            .await,
    ];
    for answer in answers {
        assert_eq!(answer.status, 401, "the gateway's own answer is passed on");
        assert!(!answer.head.contains("canary"), "{}", answer.head);
    }
    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    let fields = format!("{IDENTITY}authorization: Bearer mine\r\n");
    client
        .send(http2_request("GET", "/", &fields))
        .await
        .unwrap();
    for request in upstream.requests() {
        assert_eq!(request.values("authorization"), ["Bearer canary-token"]);
    }
    assert_eq!(upstream.requests().len(), 4);
}

#[tokio::test]
async fn a_tls_key_may_come_from_any_source() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    crate::sidecar::write_certificate(folder.path());
    let pem = fs::read_to_string(folder.path().join("key.pem")).unwrap();
    let path = folder.path().display();
    write(
        &folder.path().join("secrets.json"),
        &serde_json::json!({ "tls": { "key": pem } }).to_string(),
        0o600,
    );
    write(
        &folder.path().join("resolver"),
        &format!("#!/bin/sh\nexec cat {path}/key.pem\n"),
        0o700,
    );
    let providers = format!(
        "[secrets.providers.json]\nsource = \"file\"\npath = \"{path}/secrets.json\"\n\
         [secrets.providers.cat]\nsource = \"exec\"\ncommand = \"{path}/resolver\"\n\
         passEnv = [\"PATH\"]\njsonOnly = false\n"
    );
    for key in [
        "\"$TLS_KEY\"",
        "{ source = \"file\", provider = \"json\", id = \"/tls/key\" }",
        "{ source = \"exec\", provider = \"cat\", id = \"value\" }",
    ] {
        let gateway =
            format!("{GATEWAY}[gateway.tls]\ncertPath = \"{path}/cert.pem\"\nkey = {key}\n");
        let sidecar = Setup::new()
            .gateway(&gateway)
            .section(&providers)
            .env("TLS_KEY", &pem)
            .spawn(&upstream.url());
        let mut connection = Connection::tls(
            sidecar.address,
            &folder.path().join("cert.pem"),
            b"http/1.1",
        )
        .await;
        let answer = connection
            .exchange(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
            .await;
        assert_eq!(answer.status, 200, "{key}");
    }
}

#[tokio::test]
async fn a_secret_that_no_header_can_hold_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = config_file(folder.path(), "127.0.0.1:0", CREDENTIAL);
    for value in [
        "canary\nx-forwarded-user: admin",
        "canary\u{e9}",
        " canary ",
    ] {
        let output = portcullis(&["run", "--config", &path], &[("GATEWAY_TOKEN", value)]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("upstream.credential.value"), "{said}");
        assert!(!said.contains("canary"), "{said}");
        for (command, code) in [("list", 0), ("resolve", 2)] {
            let output = portcullis(
                &["secrets", command, "--config", &path],
                &[("GATEWAY_TOKEN", value)],
            );
            let said = text(&[output.stdout, output.stderr].concat());
            assert_eq!(output.status.code(), Some(code), "{said}");
            assert!(said.contains("can't be sent in a header"), "{said}");
            assert!(!said.contains("canary"), "{said}");
        }
    }
}
