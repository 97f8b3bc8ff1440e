//! What a running process says of itself, as the doctor tells it.

use super::host::{Finding, Report, is_root_as_this_needs};
use crate::sidecar::{GATEWAY, Setup, Sidecar, write_certificate};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

/// No process; port 9 is nobody's.
const NOBODY: &str = "http://127.0.0.1:9";

/// Has the configuration name the admin listener where it came to be.
fn name_admin(sidecar: &Sidecar) {
    let address = sidecar.admin.to_string();
    sidecar.edit(|config| {
        let (before, admin) = config.split_once("[admin]").unwrap();
        let admin = admin.replacen("127.0.0.1:0", &address, 1);
        format!("{before}[admin]{admin}")
    });
}

/// What the doctor says of a sidecar's configuration.
async fn examine(sidecar: &Sidecar) -> Report {
    let units = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .args(["doctor", "--json", "--config"])
        .arg(sidecar.config_path())
        .arg("--units")
        .arg(units.path());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    Report {
        code: output.status.code().unwrap(),
        json: serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}")),
    }
}

/// The findings of a kind.
fn of(report: &Report, id: &str) -> Vec<Finding> {
    report.findings().filter(|found| found.id == id).collect()
}

/// The one finding of a kind, of this severity.
fn the(report: &Report, id: &str, severity: &str) -> Finding {
    let mut found = of(report, id);
    assert_eq!(found.len(), 1, "{id}: {report}");
    let found = found.remove(0);
    assert_eq!(found.severity, severity, "{report}");
    found
}

/// What only a running process can tell.
const ADMITTED: [&str; 5] = [
    "EXEC_HELPER_GONE",
    "RELOAD_FAILED",
    "RESTART_REQUIRED",
    "ASSERTION_KEYS_MISSING",
    "NOT_EXAMINED",
];

#[tokio::test]
async fn a_process_that_is_well_admits_nothing_and_one_without_a_lock_down_does() {
    let sidecar = Setup::new().spawn(NOBODY);
    name_admin(&sidecar);
    let report = examine(&sidecar).await;
    for id in ADMITTED {
        assert!(!report.has(id), "{report}");
    }
    // An older kernel lacks some of it, and that is told.
    for found in of(&report, "LOCKDOWN_OFF") {
        assert!(!found.remedy.contains("--no-lockdown"), "{report}");
    }

    let sidecar = Setup::new().argument("--no-lockdown").spawn(NOBODY);
    name_admin(&sidecar);
    let report = examine(&sidecar).await;
    let found = the(&report, "LOCKDOWN_OFF", "warning");
    assert!(found.remedy.contains("--no-lockdown"), "{report}");
    let process = format!("/proc/{}", sidecar.pid());
    assert_eq!(found.place["file"], process.as_str());
    assert!(!report.has("EXEC_HELPER_GONE"), "{report}");
}

#[tokio::test]
async fn a_helper_that_has_ended_is_told_of() {
    let sidecar = Setup::new().spawn(NOBODY);
    name_admin(&sidecar);
    let pid = sidecar.pid();
    let children = format!("/proc/{pid}/task/{pid}/children");
    let helper = std::fs::read_to_string(children).unwrap();
    let status = Command::new("kill").args(["-KILL", helper.trim()]).status();
    assert!(status.unwrap().success());
    let ended = "the helper process that runs commands has ended";
    sidecar
        .logged(|line| {
            line["message"]
                .as_str()
                .is_some_and(|it| it.starts_with(ended))
        })
        .await;
    let report = examine(&sidecar).await;
    the(&report, "EXEC_HELPER_GONE", "info");
}

/// Whether the process tells it, or another file is seen in the place of its socket.
#[tokio::test]
async fn a_socket_that_is_not_the_process_own_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("front.sock");
    let listen = format!(
        "address = [\"unix:{}\", \"127.0.0.1:0\"]\nunixPeerUids = [4711]",
        path.display()
    );
    let sidecar = Setup::new().listen(&listen).spawn(NOBODY);
    let silent = sidecar.config();
    name_admin(&sidecar);
    let asked = sidecar.config();
    for config in [&silent, &asked] {
        sidecar.edit(|_| config.clone());
        let report = examine(&sidecar).await;
        assert!(!report.has("SOCKET_DISPLACED"), "{report}");
    }

    std::fs::remove_file(&path).unwrap();
    for config in [&silent, &asked] {
        sidecar.edit(|_| config.clone());
        let report = examine(&sidecar).await;
        let found = the(&report, "SOCKET_DISPLACED", "critical");
        assert_eq!(found.place["key"], "listen.address", "{report}");
        assert_eq!(report.code, 1);
    }
    let _impostor = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let report = examine(&sidecar).await;
    let found = the(&report, "SOCKET_DISPLACED", "critical");
    let folder = format!("nobody else write the folder of {}", path.display());
    assert!(found.remedy.contains(&folder), "{report}");
    if !is_root_as_this_needs() {
        return;
    }
    chown(&path, Some(4711), None).unwrap();
    sidecar.edit(|_| silent);
    let report = examine(&sidecar).await;
    let found = the(&report, "SOCKET_DISPLACED", "critical");
    assert!(found.evidence.contains("is user 4711's"), "{report}");
}

#[tokio::test]
async fn a_failed_reload_and_a_restart_that_is_due_are_told_of() {
    let sidecar = Setup::new().spawn(NOBODY);
    let credential =
        "[upstream.credential]\nheader = \"authorization\"\nvalue = \"$PORTCULLIS_TEST_UNSET\"\n";
    let good = sidecar.config();
    sidecar.edit(|config| format!("{config}{credential}"));
    assert_eq!(sidecar.reload().await.0, 422);
    sidecar.edit(|_| good);
    name_admin(&sidecar);
    let report = examine(&sidecar).await;
    let found = the(&report, "RELOAD_FAILED", "warning");
    assert_eq!(found.place["key"], "upstream.credential.value", "{report}");
    assert!(!report.has("RESTART_REQUIRED"), "{report}");

    assert_eq!(sidecar.reload().await.0, 200);
    let report = examine(&sidecar).await;
    assert!(!report.has("RELOAD_FAILED"), "{report}");
    let found = the(&report, "RESTART_REQUIRED", "warning");
    assert_eq!(found.place["key"], "admin.address", "{report}");
}

#[tokio::test]
async fn an_issuer_that_gives_no_keys_is_told_of() {
    let assertion = "[gateway.auth.trustedProxy.assertion]\npreset = \"oidc\"\nheader = \"x-signed\"\n\
         algorithms = [\"ES256\"]\nissuer = \"https://issuer.example.com\"\naudience = \"claw\"\n\
         keysUrl = \"http://127.0.0.1:9/keys\"\n";
    let gateway = format!("{GATEWAY}{assertion}");
    let sidecar = Setup::new().gateway(&gateway).spawn(NOBODY);
    name_admin(&sidecar);
    let report = examine(&sidecar).await;
    the(&report, "ASSERTION_KEYS_MISSING", "critical");
    assert_eq!(report.code, 1);
}

#[tokio::test]
async fn a_process_that_refuses_the_token_is_told_of_and_none_at_all_is_not() {
    let mut sidecar = Setup::new()
        .admin("token = \"admin-t0ken\"\n")
        .spawn(NOBODY);
    name_admin(&sidecar);
    let report = examine(&sidecar).await;
    assert!(!report.has("NOT_EXAMINED"), "{report}");
    sidecar.edit(|config| config.replace("admin-t0ken", "an0ther-t0ken"));
    let report = examine(&sidecar).await;
    the(&report, "NOT_EXAMINED", "info");
    assert!(!report.json.to_string().contains("t0ken"), "{report}");
    sidecar.signal("TERM");
    sidecar.wait();
    let report = examine(&sidecar).await;
    assert!(!report.has("NOT_EXAMINED"), "{report}");
}

/// A service of another user, which root looks at. The files are its own.
#[tokio::test]
async fn files_of_the_service_are_its_own_whoever_looks() {
    if !is_root_as_this_needs() {
        return;
    }
    const SERVICE: u32 = 65534;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_certificate(folder.path());
    for name in ["credential", "token"] {
        std::fs::write(path(name), format!("{name}-0123456789abcdef")).unwrap();
    }
    std::fs::create_dir(path("state")).unwrap();
    std::fs::write(path("users"), "nick@example.com\n").unwrap();
    for (name, mode) in [
        ("", 0o755),
        ("cert.pem", 0o644),
        ("key.pem", 0o600),
        ("credential", 0o600),
        ("token", 0o600),
        ("users", 0o644),
        ("state", 0o700),
    ] {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path(name), mode).unwrap();
        chown(path(name), Some(SERVICE), None).unwrap();
    }
    let at = |name: &str| path(name).display().to_string();
    let provider = |name: &str| {
        format!(
            "[secrets.providers.{name}]\nsource = \"file\"\nmode = \"singleValue\"\n\
             path = \"{}\"\n",
            at(name)
        )
    };
    let value =
        |name: &str| format!("{{ source = \"file\", provider = \"{name}\", id = \"value\" }}");
    let users = format!("allowUsersFile = \"{}\"", at("users"));
    let listed = "allowUsers = [\"nick@example.com\", \"ada@example.com\"]";
    let gateway = GATEWAY.replace(listed, &users);
    let mut sidecar = Setup::new()
        .gateway(&gateway)
        .section(&format!(
            "[gateway.tls]\ncertPath = \"{}\"\nkeyPath = \"{}\"\n\
             [upstream.credential]\nheader = \"authorization\"\nvalue = {}\n\
             [models]\nlisten = \"127.0.0.1:0\"\nclientToken = {}\nstateDir = \"{}\"\n{}{}",
            at("cert.pem"),
            at("key.pem"),
            value("credential"),
            value("token"),
            at("state"),
            provider("credential"),
            provider("token"),
        ))
        .user(&SERVICE.to_string())
        .spawn(NOBODY);
    name_admin(&sidecar);
    let report = examine(&sidecar).await;
    assert!(!report.has("FILE_MODE_BROAD"), "{report}");
    assert!(!report.has("REF_UNRESOLVED"), "{report}");
    let mut findings = report.findings();
    assert!(findings.all(|it| it.severity != "critical"), "{report}");
    assert_eq!(report.code, 0, "{report}");

    // Neither root's nor the service's.
    for name in ["users", "token"] {
        chown(path(name), Some(4711), None).unwrap();
    }
    let report = examine(&sidecar).await;
    the(&report, "REF_UNRESOLVED", "critical");
    let found = report.of("FILE_MODE_BROAD", "critical");
    assert_eq!(found.len(), 1, "{report}");
    let words = "belongs to user 4711, and Portcullis runs as user 65534";
    assert!(found[0].evidence.contains(words), "{report}");
    for name in ["users", "token"] {
        chown(path(name), Some(SERVICE), None).unwrap();
    }

    // Once nothing runs, nobody knows whose they should be.
    sidecar.signal("TERM");
    sidecar.wait();
    let report = examine(&sidecar).await;
    assert!(!report.has("FILE_MODE_BROAD"), "{report}");
    assert!(!report.has("REF_UNRESOLVED"), "{report}");
    let unjudged = of(&report, "NOT_EXAMINED");
    let users = at("users");
    let mut places = unjudged.iter().map(|found| &found.place["file"]);
    assert!(places.any(|file| *file == users.as_str()), "{report}");
    assert_eq!(report.code, 0, "{report}");
}
