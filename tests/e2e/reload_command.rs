//! `portcullis secrets reload`, towards its own process and towards strangers.

use crate::recorder::Recorder;
use crate::sidecar::{GATEWAY, Setup};
use serde_json::Value;
use std::fs;

#[tokio::test]
async fn the_command_finds_the_running_process_by_its_admin_address() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .admin("token = \"s3cret\"\n")
        .spawn(&upstream.url());
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command
            .args(["secrets", "reload", "--config"])
            .arg(sidecar.config_path())
            .args(arguments);
        async move {
            let output = tokio::task::spawn_blocking(move || command.output());
            let output = output.await.unwrap().unwrap();
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            (
                output.status.code(),
                text(output.stdout),
                text(output.stderr),
            )
        }
    };
    let address = sidecar.admin.to_string();
    let (code, said, complained) = run(&["--address", &address]).await;
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "reloaded: generation 2\n"),
        "{complained}"
    );
    let (code, said, _) = run(&["--address", &address, "--json"]).await;
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &answer["generation"]), (Some(0), &3.into()));
    let (code, _, complained) = run(&[]).await;
    assert_eq!(code, Some(1), "the test's configuration asks for port 0");
    assert!(complained.contains("--address"), "{complained}");
    let (code, _, complained) = run(&["--address", "127.0.0.1:9"]).await;
    assert_eq!(code, Some(1));
    assert!(complained.contains("is Portcullis running"), "{complained}");
    // The command reads the file that the process would: so it is valid, and refused.
    sidecar.edit(|config| config.replace("allowUsers =", "#"));
    let (code, _, complained) = run(&["--address", &address]).await;
    assert_eq!(code, Some(1));
    assert!(
        complained.contains("gateway.auth.trustedProxy.allowUsers: got nothing"),
        "{complained}"
    );
    assert!(!complained.contains("s3cret"), "{complained}");
}

#[tokio::test]
async fn the_command_believes_an_admin_listener_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("portcullis.toml");
    fs::write(
        &config,
        format!(
            "[listen]\naddress = \"127.0.0.1:0\"\n[upstream]\nurl = \"http://127.0.0.1:9\"\n[gateway]{GATEWAY}"
        ),
    )
    .unwrap();
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{\"generation\":\"\\u001b\"}",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 422 No\r\ncontent-length: 36\r\n\r\n{\"problems\":[{\"message\":\"\\u001b[2J\"}]}",
        "HTTP/1.1 404 No\r\ncontent-length: 2\r\n\r\n{}",
    ] {
        let stranger = Recorder::with_answer(answer).await;
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command
            .args([
                "secrets",
                "reload",
                "--address",
                &stranger.address.to_string(),
                "--config",
            ])
            .arg(&config);
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(1), "{answer}");
        let said = [output.stdout, output.stderr].concat();
        assert!(!said.is_empty() && !said.contains(&0x1b), "{answer}");
    }
}
