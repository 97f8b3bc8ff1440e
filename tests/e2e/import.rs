//! `portcullis config import`: a gateway's configuration in, ours out.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const OPENCLAW: &str = r#"// the gateway's own comments
{
  gateway: {
    mode: 'local', bind: 'lan', port: 18790,
    trustedProxies: ['10.0.0.5'],
    auth: {
      mode: 'token', token: '${OPENCLAW_GATEWAY_TOKEN}',
      trustedProxy: { userHeader: 'x-forwarded-user', allowUsers: ['nick@example.com'], allowLoopback: true },
    },
  },
  channels: { telegram: { botToken: 'hunter2' } },
}"#;

fn import(file: &str, stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["config", "import", file])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that doesn't read stdin may be gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn file(folder: &Path, name: &str, text: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn check(config: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["check", "--config", config])
        .output()
        .unwrap()
}

#[test]
fn what_is_printed_is_a_configuration_that_holds() {
    let folder = tempfile::tempdir().unwrap();
    let openclaw = file(folder.path(), "openclaw.json", OPENCLAW.as_bytes());
    let output = import(&openclaw, b"");
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
    for line in [
        "url = \"http://127.0.0.1:18790\"",
        "value = \"${OPENCLAW_GATEWAY_TOKEN}\"",
        "trustedProxies = [\"10.0.0.5\"]",
        "mode = \"trusted-proxy\"",
        "allowUsers = [\"nick@example.com\"]",
        "# - channels: the gateway's own",
    ] {
        assert!(
            printed.lines().any(|found| found == line),
            "{line}\n{printed}"
        );
    }
    for key in [
        "gateway.bind",
        "gateway.mode",
        "gateway.auth.trustedProxy.allowLoopback",
    ] {
        assert!(
            printed.contains(&format!("\n# - {key}: ")),
            "{key}\n{printed}"
        );
    }
    assert!(said.contains("4 keys left out"), "{said}");
    assert!(!said.contains("check` passes"), "{said}");
    assert!(!(printed.clone() + &said).contains("hunter2"));

    let config = file(folder.path(), "portcullis.toml", printed.as_bytes());
    let checked = check(&config);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    assert_eq!(text(&import("-", OPENCLAW.as_bytes()).stdout), printed);
}

#[test]
fn what_is_missing_is_said_and_check_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let output = import("-", b"{ gateway: { auth: { token: 'hunter2' } } }");
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        printed.contains("\n# - gateway.auth.token: a plaintext secret"),
        "{printed}"
    );
    assert!(!(printed.clone() + &said).contains("hunter2"));
    let config = file(folder.path(), "portcullis.toml", printed.as_bytes());
    let checked = text(&check(&config).stderr);
    for key in [
        "gateway.trustedProxies",
        "gateway.auth.trustedProxy.userHeader",
    ] {
        assert!(said.contains(&format!(" {key}: got nothing")), "{said}");
        assert!(
            checked.contains(&format!(" {key}: got nothing")),
            "{checked}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_located_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let rows: [(&[u8], &str); 5] = [
        (
            b"{\n  token: hunter2\n}",
            ":2:10: not valid JSON5: expected value",
        ),
        (
            b"{ token: 'hunter2",
            ":1:18: not valid JSON5: EOF parsing string",
        ),
        (b"", ":1:1: not valid JSON5: EOF"),
        (b"['hunter2']", ":1:1: got an array, expected an object"),
        (b"{ token: 'hunter2\xff' }", ": "),
    ];
    for (openclaw, words) in rows {
        let path = file(folder.path(), "openclaw.json", openclaw);
        for (name, stdin) in [(path.as_str(), &b""[..]), ("-", openclaw)] {
            let output = import(name, stdin);
            let said = text(&output.stderr);
            assert_eq!(
                (output.status.code(), output.stdout.len()),
                (Some(2), 0),
                "{said}"
            );
            assert!(said.contains(words), "{words}: {said}");
            assert!(
                said.contains(if name == "-" { "stdin" } else { name }),
                "{said}"
            );
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
    let missing = folder.path().join("nowhere.json");
    let output = import(missing.to_str().unwrap(), b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("nowhere.json"));
    let folder_itself = import(folder.path().to_str().unwrap(), b"");
    assert_eq!(folder_itself.status.code(), Some(2));
}
