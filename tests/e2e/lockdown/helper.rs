//! The helper that runs commands: what it is asked, and by whom.

use super::{fact, helper_of};
use crate::recorder::Recorder;
use crate::reload::{credential, status};
use crate::sidecar::{Setup, until};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A resolver that prints its first argument, and notes that it ran.
fn resolver(folder: &Path) -> PathBuf {
    let script = folder.join("resolver");
    let text = "#!/bin/sh\necho \"$1\" >> runs\ngrep ^SigBlk: /proc/self/status > blocked\n\
                ls -l /proc/$$/fd > descriptors\nprintf %s \"$1\"\n";
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    script
}

fn provider(script: &Path, word: &str) -> String {
    format!(
        "[secrets.providers.op]\nsource = \"exec\"\ncommand = \"{}\"\nargs = [\"{word}\"]\n\
         jsonOnly = false\npassEnv = [\"PATH\"]\n",
        script.display()
    )
}

const CREDENTIAL: &str = "[upstream.credential]\nheader = \"authorization\"\n\
     value = { source = \"exec\", provider = \"op\", id = \"a\" }\n";

#[tokio::test]
async fn a_changed_command_is_run_after_a_reload_and_an_ended_helper_is_told() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let script = resolver(folder.path());
    let sidecar = Setup::new()
        .section(CREDENTIAL)
        .section(&provider(&script, "one"))
        .spawn(&upstream.url());
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer one");
    // The helper keeps signals away from itself, not from commands.
    let blocked = fs::read_to_string(folder.path().join("blocked")).unwrap();
    assert_eq!(blocked.split_whitespace().last(), Some("0000000000000000"));
    let descriptors = fs::read_to_string(folder.path().join("descriptors")).unwrap();
    assert!(!descriptors.contains("socket:"), "{descriptors}");

    sidecar.edit(|config| config.replace("\"one\"", "\"two\""));
    let (code, answer) = sidecar.reload().await;
    assert_eq!(code, 200, "{answer}");
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer two");

    let helper = helper_of(&sidecar);
    let killed = Command::new("kill")
        .args(["-KILL", &helper.to_string()])
        .status();
    assert!(killed.unwrap().success());
    sidecar
        .logged(|line| {
            let message = line["message"].as_str().unwrap_or_default();
            line["level"] == "ERROR" && message.contains("helper process")
        })
        .await;
    sidecar.edit(|config| config.replace("\"two\"", "\"three\""));
    let (code, answer) = sidecar.reload().await;
    assert_eq!(code, 422, "{answer}");
    let problem = &answer["problems"][0];
    assert_eq!(problem["code"], "SECRET_PROVIDER_UNAVAILABLE", "{answer}");
    assert!(
        problem["message"].as_str().unwrap().contains("has ended"),
        "{answer}"
    );
    assert!(
        problem["remedy"].as_str().unwrap().contains("restart"),
        "{answer}"
    );
    assert_eq!(status(&sidecar).await["confinement"]["execHelper"], false);
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer two");
}

#[tokio::test]
async fn the_helper_outlives_signals_and_not_its_master() {
    let upstream = Recorder::spawn().await;
    let mut sidecar = Setup::new().spawn(&upstream.url());
    let helper = helper_of(&sidecar);
    for signal in ["HUP", "INT", "QUIT", "TERM"] {
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &helper.to_string()])
            .status();
        assert!(sent.unwrap().success());
    }
    let pending = format!("{:016x}", 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14);
    until(|| (fact(helper, "ShdPnd") == pending).then_some(())).await;
    assert_eq!(status(&sidecar).await["confinement"]["execHelper"], true);
    // However that ends.
    sidecar.signal("KILL");
    assert!(!sidecar.wait().success());
    let is_gone = || !Path::new("/proc").join(helper.to_string()).exists();
    until(|| is_gone().then_some(())).await;
}

/// A helper that this test asks as a master would that somebody has taken over.
struct Helper {
    stream: UnixStream,
    child: std::process::Child,
}

impl Helper {
    fn start(config: &Path) -> Self {
        let (stream, theirs) = UnixStream::pair().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["exec-helper", "--config"])
            .arg(config)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .unwrap();
        stream
            .set_read_timeout(Some(crate::sidecar::PATIENCE))
            .unwrap();
        let mut helper = Self { stream, child };
        // It says first that it is ready, by an empty answer to nothing.
        let mut ready = [0; 13];
        helper.stream.read_exact(&mut ready).unwrap();
        assert_eq!(ready, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        helper
    }

    fn write(&mut self, content: &[u8]) {
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        let number = 1_u64.to_le_bytes();
        let frame = [&length[..], &number, content].concat();
        self.stream.write_all(&frame).unwrap();
    }

    /// The refusal that comes for a question.
    fn refusal(&mut self, question: &Value) -> String {
        self.write(question.to_string().as_bytes());
        let mut head = [0; 13];
        self.stream.read_exact(&mut head).unwrap();
        let length = u32::from_le_bytes(head[..4].try_into().unwrap());
        let mut content = vec![0; length as usize - 1];
        self.stream.read_exact(&mut content).unwrap();
        assert_eq!(head[12], 1, "it was not refused");
        let refusal: Value = serde_json::from_slice(&content).unwrap();
        refusal["message"].as_str().unwrap().to_owned()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn whoever_has_taken_over_the_master_gets_no_other_command_run() {
    let folder = tempfile::tempdir().unwrap();
    let script = resolver(folder.path());
    let config = folder.path().join("portcullis.toml");
    let rest = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[upstream]\nurl = \"http://127.0.0.1:9\"\n\
         [gateway]{}",
        crate::sidecar::GATEWAY
    );
    fs::write(&config, format!("{rest}{}", provider(&script, "one"))).unwrap();
    let mut helper = Helper::start(&config);
    let ask = |provider: &str, fingerprint: &str| json!({"provider": provider, "fingerprint": fingerprint, "ids": ["a"]});
    let other = helper.refusal(&ask("op", &"0".repeat(64)));
    assert!(other.contains("another provider"), "{other}");
    let unlisted = helper.refusal(&ask("sh", ""));
    assert!(unlisted.contains("no exec provider `sh`"), "{unlisted}");
    let odd = helper.refusal(&ask("/bin/sh", ""));
    assert!(odd.contains("can't be a reference"), "{odd}");
    // What was removed from the file is no more run than what never was there.
    fs::write(&config, rest).unwrap();
    let removed = helper.refusal(&ask("op", ""));
    assert!(removed.contains("no exec provider `op`"), "{removed}");
    // A question that says more than it may ends the helper.
    helper.write(
        json!({"provider": "op", "fingerprint": "", "ids": [], "command": "/bin/sh"})
            .to_string()
            .as_bytes(),
    );
    let ended = until(|| helper.child.try_wait().unwrap()).await;
    assert!(ended.success(), "{ended}");
    assert!(!folder.path().join("runs").exists(), "a command was run");
}

#[test]
fn by_hand_it_does_nothing() {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["exec-helper", "--config", "/nonexistent"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no command to be called by hand"), "{said}");
}

fn back_door(state: &Path) -> String {
    format!(
        "[models]\nlisten = \"127.0.0.1:0\"\nclientToken = \"canary\"\nstateDir = \"{}\"\n",
        state.display()
    )
}

#[test]
fn it_does_not_start_where_it_could_write_its_own_configuration() {
    // The configuration is in a folder below.
    let state = std::env::temp_dir();
    let (code, said) = Setup::new().section(&back_door(&state)).refused();
    assert_eq!(code, Some(2), "{said}");
    let state = state.display().to_string();
    for named in ["portcullis.toml lies in", &state, "models.stateDir"] {
        assert!(said.contains(named), "{named}: {said}");
    }
}

#[tokio::test]
async fn a_reload_takes_no_command_from_where_it_may_write() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    let (outside, inside) = (resolver(folder.path()), resolver(&state));
    let sidecar = Setup::new()
        .section(CREDENTIAL)
        .section(&provider(&outside, "one"))
        .section(&back_door(&state))
        .spawn(&upstream.url());
    let outside = outside.display().to_string();
    sidecar.edit(|config| config.replace(&outside, &inside.display().to_string()));
    let (code, answer) = sidecar.reload().await;
    assert_eq!(code, 422, "{answer}");
    let problem = &answer["problems"][0];
    assert_eq!(problem["key"], "secrets.providers.op.command", "{answer}");
    assert!(problem["remedy"].is_string(), "{answer}");
    assert!(!state.join("runs").exists(), "it was run");
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer one");
}
