//! Commands that are asked for secrets and take their time, and what ends them.

use crate::client::Connection;
use crate::recorder::Recorder;
use crate::sidecar::{GATEWAY, Setup, until};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[tokio::test]
async fn requests_for_a_reload_are_each_answered_by_a_build_after_them() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("resolver");
    let text = "#!/bin/sh\ncat > /dev/null\necho run >> runs\nwhile [ -e hold ]; do sleep 0.01; done\nprintf s3cret\n";
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let runs = || {
        let runs = fs::read_to_string(folder.path().join("runs")).unwrap_or_default();
        runs.lines().count()
    };
    let sidecar = Setup::new()
        .section(&format!(
            "[upstream.credential]\nheader = \"authorization\"\n\
             value = {{ source = \"exec\", provider = \"slow\", id = \"a\" }}\n\
             [secrets.providers.slow]\nsource = \"exec\"\ncommand = \"{}\"\njsonOnly = false\n\
             passEnv = [\"PATH\"]\ntimeoutMs = 60000\n",
            script.display()
        ))
        .spawn(&upstream.url());
    assert_eq!(runs(), 1);
    fs::write(folder.path().join("hold"), "").unwrap();
    let ask = || async {
        let mut connection = Connection::tcp(sidecar.admin).await;
        let host = sidecar.admin;
        connection
            .write(format!("POST /reload HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        connection
    };
    let mut first = ask().await;
    until(|| (runs() == 2).then_some(())).await;
    // The first build runs: what asks now must not be answered by it.
    let mut later = [ask().await, ask().await];
    fs::remove_file(folder.path().join("hold")).unwrap();
    assert_eq!(first.response(false).await.json()["generation"], 2);
    for connection in &mut later {
        let answer = connection.response(false).await.json();
        assert!(answer["generation"].as_u64() >= Some(3), "{answer}");
    }
}

/// A resolver that hangs while `hold` is there, and notes its own pid first.
fn hanging(folder: &Path) -> String {
    let script = folder.join("resolver");
    let text = "#!/bin/sh\necho $$ > pid.next; mv pid.next pid\n\
                [ -e hold ] && exec sleep 1000\nprintf s3cret\n";
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    format!(
        "[upstream.credential]\nheader = \"authorization\"\n\
         value = {{ source = \"exec\", provider = \"slow\", id = \"a\" }}\n\
         [secrets.providers.slow]\nsource = \"exec\"\ncommand = \"{}\"\njsonOnly = false\n\
         passEnv = [\"PATH\"]\ntimeoutMs = 100000\n",
        script.display()
    )
}

/// Waits until the resolver has begun, or is gone.
async fn resolver(folder: &Path, runs: bool) {
    until(|| {
        let pid = fs::read_to_string(folder.join("pid")).ok()?;
        let is_there = Path::new("/proc").join(pid.trim()).exists();
        (is_there == runs).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_command_that_hangs_and_leaves_none_behind() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let mut sidecar = Setup::new()
        .section(&hanging(folder.path()))
        .spawn(&upstream.url());
    fs::write(folder.path().join("hold"), "").unwrap();
    fs::remove_file(folder.path().join("pid")).unwrap();
    sidecar.signal("HUP");
    resolver(folder.path(), true).await;
    sidecar.signal("TERM");
    assert!(sidecar.wait().success());
    resolver(folder.path(), false).await;
    // The start can be stopped as well.
    fs::remove_file(folder.path().join("pid")).unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["run", "--config"])
        .arg(sidecar.config_path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    resolver(folder.path(), true).await;
    let killed = std::process::Command::new("kill")
        .arg(child.id().to_string())
        .status();
    assert!(killed.unwrap().success());
    let ended = until(|| child.try_wait().unwrap()).await;
    assert!(ended.success(), "{ended}");
    resolver(folder.path(), false).await;
}

#[tokio::test]
async fn only_some_may_wait_for_a_reload_and_the_others_are_still_served() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let sidecar = Setup::new()
        .section(&hanging(folder.path()))
        .spawn(&upstream.url());
    fs::write(folder.path().join("hold"), "").unwrap();
    fs::remove_file(folder.path().join("pid")).unwrap();
    sidecar.signal("HUP");
    resolver(folder.path(), true).await;
    // The build hangs, and so does whoever waits for the next one.
    let sidecar = std::sync::Arc::new(sidecar);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let sidecar = sidecar.clone();
        asking.spawn(async move { sidecar.admin("POST /reload").await });
    }
    let answer = asking.join_next().await.unwrap().unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert_eq!(sidecar.admin("GET /livez").await.status, 200);
}

#[tokio::test]
async fn a_command_of_the_cli_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("portcullis.toml");
    fs::write(
        &config,
        format!(
            "[listen]\naddress = \"127.0.0.1:0\"\n[upstream]\nurl = \"http://127.0.0.1:9\"\n\
             [gateway]{GATEWAY}{}",
            hanging(folder.path())
        ),
    )
    .unwrap();
    fs::write(folder.path().join("hold"), "").unwrap();
    for (arguments, signal) in [
        (&["secrets", "resolve"][..], "-INT"),
        (&["secrets", "list"], "-HUP"),
        (&["check", "--resolve"], "-TERM"),
    ] {
        let _ = fs::remove_file(folder.path().join("pid"));
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(arguments)
            .arg("--config")
            .arg(&config)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        resolver(folder.path(), true).await;
        let killed = std::process::Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
        let ended = until(|| child.try_wait().unwrap()).await;
        assert_eq!(ended.code(), Some(1));
        resolver(folder.path(), false).await;
    }
}

#[tokio::test]
async fn the_first_process_of_a_container_keeps_no_zombies() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("resolver");
    // What leaves the group is not killed with it, and ends by itself.
    fs::write(
        &script,
        "#!/bin/sh\nsetsid sh -c 'exec >/dev/null 2>&1; while [ -e hold ]; do sleep 0.01; done' &\n\
         printf s3cret\n",
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let config = folder.path().join("portcullis.toml");
    fs::write(
        &config,
        format!(
            "[listen]\naddress = \"127.0.0.1:0\"\n[upstream]\nurl = \"http://127.0.0.1:9\"\n\
             [upstream.credential]\nheader = \"authorization\"\n\
             value = {{ source = \"exec\", provider = \"op\", id = \"a\" }}\n\
             [secrets.providers.op]\nsource = \"exec\"\ncommand = \"{}\"\njsonOnly = false\n\
             passEnv = [\"PATH\"]\n[gateway]{GATEWAY}[admin]\naddress = \"127.0.0.1:0\"\n",
            script.display()
        ),
    )
    .unwrap();
    fs::write(folder.path().join("hold"), "").unwrap();
    let mut command = std::process::Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let child = command
        .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(env!("CARGO_BIN_EXE_portcullis"))
        .args(["run", "--config"])
        .arg(&config)
        .stderr(log)
        .spawn()
        .expect("unshare is needed: Debian's util-linux has it");
    let init = Killed(child);
    let heard = |words: &str| {
        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        log.matches(words).count()
    };
    until(|| (heard("\"serving\"") == 1).then_some(())).await;
    let children = |pid: u32| {
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        list.split_whitespace()
            .map(|pid| pid.parse::<u32>().unwrap())
            .filter(|pid| {
                // Not what runs the commands: it stays.
                let name = fs::read_to_string(format!("/proc/{pid}/comm"));
                !name.is_ok_and(|name| name.trim() == "portcullis-exec")
            })
            .collect::<Vec<_>>()
    };
    let portcullis = children(init.0.id())[0];
    // The orphan is Portcullis' by now, and alive; then it ends.
    until(|| (children(portcullis).len() == 1).then_some(())).await;
    fs::remove_file(folder.path().join("hold")).unwrap();
    // The next runs reap it, long before the look that is taken every ten seconds.
    let reaped = async {
        let mut reloads = 0;
        while !children(portcullis).is_empty() {
            let sent = std::process::Command::new("kill")
                .args(["-HUP", &portcullis.to_string()])
                .status();
            assert!(sent.unwrap().success());
            reloads += 1;
            until(|| (heard("\"reloaded\"") >= reloads).then_some(())).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), reaped)
        .await
        .expect("a zombie stays");
}

/// A child that doesn't outlive its test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
