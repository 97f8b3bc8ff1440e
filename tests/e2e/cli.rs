//! The commands that need no network.

use crate::sidecar::GATEWAY;
use std::process::{Command, Output};

fn portcullis(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(arguments)
        .output()
        .unwrap()
}

fn config_file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portcullis.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn good() -> String {
    format!(
        "[listen]\naddress = \"127.0.0.1:8443\"\n[upstream]\nurl = \"http://127.0.0.1:18789\"\n[gateway]{GATEWAY}"
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn five_mistakes_are_five_located_problems() {
    let (_folder, path) = config_file(
        "[listen]\naddress = \"nowhere\"\n[upstream]\nurl = \"ftp://127.0.0.1\"\nidleTimeout = \"soon\"\n\
         [gateway]\ntrustedProxies = [\"10.0.0.1/8\"]\n[gateway.auth]\nmode = \"trusted-proxy\"\n\
         [gateway.auth.trustedProxy]\nuserHeader = \"cookie\"\nallowUsers = [\"nick@example.com\"]\n",
    );
    let output = portcullis(&["check", "--config", &path]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for (line, key) in [
        (2, "listen.address"),
        (4, "upstream.url"),
        (5, "upstream.idleTimeout"),
        (7, "gateway.trustedProxies[0]"),
        (11, "gateway.auth.trustedProxy.userHeader"),
    ] {
        let start = format!("{path}:{line}:");
        let found = said
            .lines()
            .find(|said| said.starts_with(&start))
            .unwrap_or_else(|| panic!("{start}\n{said}"));
        assert!(found.contains(&format!(" {key}: ")), "{found}");
    }
    assert_eq!(
        said.lines().filter(|line| line.starts_with(&path)).count(),
        5,
        "{said}"
    );
    assert!(
        said.contains("10.0.0.0/8"),
        "the corrected form is not named: {said}"
    );
}

#[test]
fn a_password_in_a_wrong_place_is_not_printed() {
    const CANARY: &str = "hunter2-Tr0ub4dor&3";
    for place in [
        format!("[listen]\naddress = \"{CANARY}\"\n"),
        format!("[listen]\npassword = \"{CANARY}\"\n"),
        format!("[upstream]\nurl = \"http://user:{CANARY}@127.0.0.1/\"\n"),
        format!("[gateway]\ntrustedProxies = [\"{CANARY}\"]\n"),
        format!("[gateway.auth]\nmode = \"{CANARY}\"\n"),
        format!("[limits]\nheaderTimeout = \"{CANARY}\"\n"),
        format!("[admin]\ntoken = [\"{CANARY}\"]\n"),
        format!("[admin]\ntoken = \"{CANARY}\n"),
        format!("{CANARY} = 1\n"),
    ] {
        let (_folder, path) = config_file(&place);
        for arguments in [
            vec!["check", "--config", &path],
            vec!["check", "--json", "--config", &path],
            vec!["run", "--config", &path],
        ] {
            let output = portcullis(&arguments);
            let said = text(&output.stderr) + &text(&output.stdout);
            assert_eq!(output.status.code(), Some(2), "{place}: {said}");
            assert!(
                !said.contains("hunter2") && !said.contains("Tr0ub4dor"),
                "{place}: {said}"
            );
        }
    }
}

#[test]
fn a_good_configuration_is_good_and_the_example_is_one() {
    let (_folder, path) = config_file(&good());
    let output = portcullis(&["check", "--config", &path]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml");
    let output = portcullis(&["check", "--config", example]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn check_resolve_names_files_keys_and_secrets_that_cannot_be_had() {
    let (_folder, path) = config_file(&format!(
        "{}[gateway.tls]\ncertPath = \"/nonexistent/cert.pem\"\nkeyPath = \"/nonexistent/key.pem\"\n\
         [admin]\ntoken = \"$PORTCULLIS_TEST_UNSET\"\n",
        good()
    ));
    assert_eq!(
        portcullis(&["check", "--config", &path]).status.code(),
        Some(0)
    );
    for command in [
        vec!["check", "--resolve", "--config", &path],
        vec!["run", "--config", &path],
    ] {
        let output = portcullis(&command);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for words in [
            "gateway.tls.certPath",
            "/nonexistent/cert.pem",
            "gateway.tls.keyPath",
            "admin.token",
            "PORTCULLIS_TEST_UNSET",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
}

#[test]
fn a_key_of_another_certificate_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    crate::sidecar::write_certificate(folder.path());
    crate::sidecar::write_certificate(other.path());
    let (_folder, path) = config_file(&format!(
        "{}[gateway.tls]\ncertPath = \"{}/cert.pem\"\nkeyPath = \"{}/key.pem\"\n",
        good(),
        folder.path().display(),
        other.path().display()
    ));
    let output = portcullis(&["run", "--config", &path]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("does not belong to the first certificate"),
        "{said}"
    );
}

#[test]
fn explain_says_what_would_become_of_a_request() {
    let (_folder, path) = config_file(&good());
    let explain = |rest: &[&str]| {
        let mut arguments = vec!["explain", "--json", "--config", &path];
        arguments.extend_from_slice(rest);
        let output = portcullis(&arguments);
        (
            output.status.code(),
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap(),
        )
    };
    let identity = [
        "-H",
        "X-Forwarded-User: nick@example.com",
        "-H",
        "X-Forwarded-Proto: https",
    ];
    let (code, said) = explain(&[&["--source", "127.0.0.1"], &identity[..]].concat());
    assert_eq!(
        (code, &said["decision"], &said["user"]),
        (Some(0), &"permitted".into(), &"nick@example.com".into())
    );
    assert!(
        said["headers"]
            .as_array()
            .unwrap()
            .contains(&serde_json::json!(["x-forwarded-proto", "https"]))
    );
    let (code, said) = explain(&[&["--source", "10.9.9.9"], &identity[..]].concat());
    assert_eq!(
        (code, &said["code"]),
        (Some(1), &"trusted_proxy_untrusted_source".into())
    );
    let (code, said) = explain(&[
        "--source",
        "::1",
        "-H",
        "x-forwarded-user: nick@example.com",
    ]);
    assert_eq!(
        (code, &said["reason"]),
        (
            Some(1),
            &"trusted_proxy_missing_header_x-forwarded-proto".into()
        )
    );
    assert_eq!(
        portcullis(&["explain", "--source", "nowhere", "--config", &path])
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn version_help_completions_and_man_page_go_to_stdout() {
    for (arguments, words) in [
        (vec!["--version"], "rustls"),
        (vec!["--help"], "demo"),
        (vec!["completions", "bash"], "_portcullis"),
        (vec!["man"], ".TH"),
    ] {
        let output = portcullis(&arguments);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains(words), "{arguments:?}");
    }
    let output = portcullis(&["serve"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
}

#[test]
fn no_configuration_anywhere_says_where_it_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("run")
        .current_dir(folder.path())
        .env_remove("PORTCULLIS_CONFIG")
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("portcullis.toml") && said.contains("--config"),
        "{said}"
    );
}
