//! A secret at every surface, looked for wherever anything is written, and a
//! process that shows its memory to nobody.

use crate::client::{Connection, Http2Client, http2_request};
use crate::recorder::Recorder;
use crate::sidecar::{GATEWAY, IDENTITY, Setup, Sidecar, write_certificate};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};

/// Anybody but root.
const NOBODY: u32 = 65534;

fn write(path: &Path, content: &str, mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A certificate, its key as a secret of a command, and every other surface with a
/// canary of its own. Gives the configuration's sections and what must never show.
fn every_surface(folder: &Path) -> (String, Vec<String>) {
    write_certificate(folder);
    let pem = fs::read_to_string(folder.join("key.pem")).unwrap();
    let key_line = pem.lines().nth(1).unwrap().to_owned();
    let path = folder.display();
    write(
        &folder.join("secrets.json"),
        r#"{"gateway":{"token":"canary-file-token"},"unused":"canary-file-neighbour"}"#,
        0o600,
    );
    write(
        &folder.join("resolver"),
        &format!("#!/bin/sh\ncat > /dev/null\necho canary-stderr >&2\nexec cat {path}/key.pem\n"),
        0o700,
    );
    let gateway = format!(
        "{GATEWAY}[gateway.tls]\ncertPath = \"{path}/cert.pem\"\n\
         key = {{ source = \"exec\", provider = \"key\", id = \"value\" }}\n"
    );
    let sections = format!(
        "[upstream.credential]\nheader = \"x-gateway-token\"\n\
         value = {{ source = \"file\", provider = \"file\", id = \"/gateway/token\" }}\n\
         [secrets.providers.file]\nsource = \"file\"\npath = \"{path}/secrets.json\"\n\
         [secrets.providers.key]\nsource = \"exec\"\ncommand = \"{path}/resolver\"\njsonOnly = false\n\
         passEnv = [\"PATH\"]\nargs = [\"--pin\", \"canary-argument\"]\nenv = {{ PIN = \"canary-variable\" }}\n\
         [models]\nclientToken = \"canary-client-token\"\n\
         [models.providers.openai]\napiKey = \"canary-api-key\"\napiKeys = [\"canary-further-key\"]\n\
         [log]\nlevel = \"trace\"\n"
    );
    let canaries = vec!["canary".to_owned(), key_line];
    (format!("{gateway}\u{0}{sections}"), canaries)
}

async fn admin(sidecar: &Sidecar, line: &str) -> String {
    let mut connection = Connection::tcp(sidecar.admin).await;
    let host = sidecar.admin;
    connection
        .write(format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer canary-admin-token\r\n\r\n"
        ))
        .await;
    let answer = connection.response(false).await;
    format!("{}\n{}", answer.head, String::from_utf8_lossy(&answer.body))
}

fn command(arguments: &[&str], config: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(arguments)
        .arg("--config")
        .arg(config)
        .env("ADMIN_TOKEN", "canary-admin-token")
        .output()
        .unwrap();
    format!(
        "{arguments:?}: {:?}\n{}{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test]
async fn a_canary_at_every_surface_shows_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let (text, canaries) = every_surface(folder.path());
    let (gateway, sections) = text.split_once('\u{0}').unwrap();
    let upstream = Recorder::spawn().await;
    let mut sidecar = Setup::new()
        .gateway(gateway)
        .admin("token = \"$ADMIN_TOKEN\"\n")
        .section(sections)
        .env("ADMIN_TOKEN", "canary-admin-token")
        .spawn(&upstream.url());
    let certificate = folder.path().join("cert.pem");
    let mut seen = Vec::new();

    let requests = [
        format!("GET / HTTP/1.1\r\n{IDENTITY}"),
        format!("GET / HTTP/1.1\r\n{IDENTITY}x-gateway-token: mine\r\n"),
        format!("GET / HTTP/1.1\r\n{IDENTITY}accept: text/html\r\nhost: twice\r\n"),
        "GET / HTTP/1.1\r\nx-forwarded-proto: https\r\n".to_owned(),
    ];
    for request in &requests {
        let mut connection = Connection::tls(sidecar.address, &certificate, b"http/1.1").await;
        let answer = connection.exchange(request).await;
        seen.push(answer.head.clone() + &String::from_utf8_lossy(&answer.body));
    }
    let client = Http2Client::connect(sidecar.address, &certificate).await;
    let answer = client
        .send(http2_request("GET", "/", IDENTITY))
        .await
        .unwrap();
    seen.push(format!("{:?}", answer.headers()));
    let arrived = upstream.requests();
    assert!(arrived.len() >= 3, "{arrived:#?}");
    for request in arrived {
        assert_eq!(request.values("x-gateway-token"), ["canary-file-token"]);
    }

    seen.push(admin(&sidecar, "POST /reload").await);
    assert!(seen.last().unwrap().contains("\"generation\":2"));
    for broken in [
        r#"{"gateway":{"token":"canary\nline"}}"#,
        r#"{"gateway":{"token":["canary"]}}"#,
        r#"{"gateway":"canary""#,
    ] {
        write(&folder.path().join("secrets.json"), broken, 0o600);
        seen.push(admin(&sidecar, "POST /reload").await);
        assert!(seen.last().unwrap().contains("reload_failed"));
    }
    for path in ["/status", "/metrics", "/readyz", "/nowhere"] {
        seen.push(admin(&sidecar, &format!("GET {path}")).await);
    }
    let config = sidecar.config_path();
    for arguments in [
        &["check"][..],
        &["check", "--json"],
        &["check", "--resolve"],
        &["check", "--resolve", "--json"],
        &["secrets", "list"],
        &["secrets", "list", "--json"],
        &["secrets", "resolve", "--json"],
        &[
            "explain",
            "--json",
            "--source",
            "127.0.0.1",
            "-H",
            "x-forwarded-user: nick@example.com",
            "-H",
            "x-forwarded-proto: https",
        ],
        &["secrets", "reload", "--address", &sidecar.admin.to_string()],
        &[
            "secrets",
            "reload",
            "--json",
            "--address",
            &sidecar.admin.to_string(),
        ],
        &["run"],
    ] {
        seen.push(command(arguments, &config));
    }
    drop(client);
    // What it says of this is for the loudest log alone.
    let mut garbage = Connection::tcp(sidecar.admin).await;
    garbage.write("canary\r\n\r\n").await;
    let _ = garbage.read_to_end().await;
    sidecar.signal("TERM");
    assert!(sidecar.wait().success());
    seen.extend(sidecar.log());
    assert!(
        seen.iter().any(
            |text| text.contains("\"level\":\"DEBUG\"") || text.contains("\"level\":\"TRACE\"")
        ),
        "the log is not at its loudest"
    );
    for canary in &canaries {
        let shown: Vec<_> = seen
            .iter()
            .filter(|text| text.contains(canary.as_str()))
            .collect();
        assert!(shown.is_empty(), "{canary}: {shown:#?}");
    }
}

/// A configuration with a secret from the environment, in a folder that `NOBODY`
/// may read, and the program beside it.
fn for_nobody(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_portcullis"), folder.join("portcullis")).unwrap();
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[upstream]\nurl = \"http://127.0.0.1:9\"\n\
         [upstream.credential]\nheader = \"authorization\"\nvalue = \"$GATEWAY_TOKEN\"\n\
         [gateway]{GATEWAY}[admin]\naddress = \"127.0.0.1:0\"\n"
    );
    write(&folder.join("portcullis.toml"), &config, 0o644);
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Runs as somebody whom no capability helps.
fn unprivileged(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Starts it, waits until it serves, looks into it as another process of its user,
/// and ends it by a signal that dumps core. Says whether it could be looked into,
/// and whether the kernel wrote a core file.
fn look_into(folder: &Path, flags: &[&str]) -> (bool, bool) {
    let mut shell = unprivileged("/bin/sh");
    let mut child = shell
        .args([
            "-c",
            "ulimit -c unlimited; exec \"$0\" \"$@\"",
            "./portcullis",
            "run",
        ])
        .args(flags)
        .args(["--config", "portcullis.toml"])
        .current_dir(folder)
        .env("GATEWAY_TOKEN", "canary-token")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(child.stderr.take().unwrap());
    let serves = std::io::BufRead::lines(lines)
        .map_while(Result::ok)
        .any(|line| line.contains("\"serving\""));
    assert!(serves, "it did not come up");
    let environ = format!("/proc/{}/environ", child.id());
    let looked = unprivileged("cat").arg(environ).output().unwrap();
    let is_open = String::from_utf8_lossy(&looked.stdout).contains("canary-token");
    let killed = Command::new("kill")
        .args(["-ABRT", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    (is_open, child.wait().unwrap().core_dumped())
}

#[test]
fn no_process_of_its_user_looks_into_it_and_the_kernel_writes_no_core_file() {
    let folder = tempfile::tempdir().unwrap();
    for_nobody(folder.path());
    assert_eq!(look_into(folder.path(), &[]), (false, false));
    // The other way round, so that what is seen above is the sealing's doing. Where
    // the system writes no core files, that half can't be told.
    let (is_open, _) = look_into(folder.path(), &["--allow-core-dumps"]);
    assert!(is_open);
}
