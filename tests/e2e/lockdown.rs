//! What a process that has locked itself down can still do, and what it can't.

mod helper;
mod inside;
mod socket;
mod traced;

use crate::recorder::Recorder;
use crate::reload::status;
use crate::reload_files::write_secret;
use crate::sidecar::{Setup, Sidecar};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// `CAP_DAC_OVERRIDE`, `CAP_DAC_READ_SEARCH`, `CAP_NET_BIND_SERVICE`, `CAP_IPC_LOCK`.
const KEPT: u64 = 1 << 1 | 1 << 2 | 1 << 10 | 1 << 14;

/// A line of `/proc/PID/status`.
fn fact(pid: u32, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.strip_prefix(':'));
    value
        .unwrap_or_else(|| panic!("{name}: {text}"))
        .trim()
        .to_owned()
}

/// The helper process of a sidecar.
fn helper_of(sidecar: &Sidecar) -> u32 {
    let pid = sidecar.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let mut children = children.split_whitespace().map(|pid| pid.parse().unwrap());
    let helper = children.next().expect("there is a helper");
    assert_eq!(children.next(), None);
    helper
}

/// A file provider's credential for the upstream.
fn credential(file: &Path) -> String {
    format!(
        "[upstream.credential]\nheader = \"authorization\"\n\
         value = {{ source = \"file\", provider = \"f\", id = \"value\" }}\n\
         [secrets.providers.f]\nsource = \"file\"\npath = \"{}\"\nmode = \"singleValue\"\n",
        file.display()
    )
}

#[tokio::test]
async fn every_thread_is_held_and_the_status_says_so() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let pid = sidecar.pid();
    let mut sets = vec!["CapInh", "CapPrm", "CapEff", "CapAmb"];
    // `CAP_SETPCAP`: without it none can be taken from what a program may ever get.
    let ours = u64::from_str_radix(&fact(std::process::id(), "CapEff"), 16).unwrap();
    sets.extend((ours & 1 << 8 != 0).then_some("CapBnd"));
    let mut threads = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let id: u32 = task.unwrap().file_name().to_str().unwrap().parse().unwrap();
        assert_eq!(
            (fact(id, "NoNewPrivs"), fact(id, "Seccomp")),
            ("1".into(), "2".into())
        );
        for set in &sets {
            let left = u64::from_str_radix(&fact(id, set), 16).unwrap();
            assert_eq!(left & !KEPT, 0, "{set}: {left:x}");
        }
        threads += 1;
    }
    assert!(threads > 1);
    // A command may be one that needs more rights than its caller has.
    let helper = helper_of(&sidecar);
    assert_eq!(fact(helper, "Name"), "portcullis-exec");
    assert_eq!(
        fact(helper, "NoNewPrivs"),
        fact(std::process::id(), "NoNewPrivs")
    );
    for set in ["CapPrm", "CapBnd"] {
        assert_eq!(fact(helper, set), fact(std::process::id(), set));
    }
    let confinement = &status(&sidecar).await["confinement"];
    assert_eq!(confinement["unixSockets"], false, "{confinement}");
    let capabilities = confinement["capabilities"].as_str().unwrap();
    assert!(capabilities.starts_with("enforced ("), "{confinement}");
    assert_eq!(confinement["noNewPrivs"], true, "{confinement}");
    assert_eq!(confinement["seccomp"], "enforced", "{confinement}");
    assert_eq!(confinement["execHelper"], true, "{confinement}");
    let landlock = confinement["landlock"].as_str().unwrap();
    assert!(landlock.contains("enforced (ABI "), "{landlock}");
    sidecar
        .logged(|line| {
            line["message"]
                .as_str()
                .is_some_and(|it| it.starts_with("locked down"))
        })
        .await;
}

#[tokio::test]
async fn the_flag_leaves_all_as_it_was_and_says_so() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .argument("--no-lockdown")
        .spawn(&upstream.url());
    assert_eq!(
        fact(sidecar.pid(), "Seccomp"),
        fact(std::process::id(), "Seccomp")
    );
    let confinement = &status(&sidecar).await["confinement"];
    assert_eq!(confinement["noNewPrivs"], false, "{confinement}");
    assert_eq!(
        confinement["landlock"], "off (not asked for)",
        "{confinement}"
    );
    assert_eq!(confinement["execHelper"], false, "{confinement}");
    let warning = |line: &serde_json::Value| {
        let message = line["message"].as_str().unwrap_or_default();
        line["level"] == "WARN" && message.contains("--no-lockdown")
    };
    sidecar.logged(warning).await;
}

#[tokio::test]
async fn a_reload_that_names_a_place_outside_says_that_a_restart_is_needed() {
    let upstream = Recorder::spawn().await;
    let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, other) = (inside.path().join("token"), outside.path().join("token"));
    write_secret(&first, "one");
    write_secret(&other, "two");
    let sidecar = Setup::new()
        .section(&credential(&first))
        .spawn(&upstream.url());
    sidecar.edit(|config| config.replace(first.to_str().unwrap(), other.to_str().unwrap()));
    let (code, answer) = sidecar.reload().await;
    assert_eq!(code, 422, "{answer}");
    let problem = &answer["problems"][0];
    assert_eq!(problem["key"], "secrets.providers.f.path", "{answer}");
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains(other.to_str().unwrap()), "{message}");
    assert!(message.contains("locked itself down"), "{message}");
    assert!(
        problem["remedy"].as_str().unwrap().contains("restart"),
        "{problem}"
    );
    assert_eq!(
        crate::reload::credential(&sidecar, &upstream).await,
        "Bearer one"
    );
    // A place inside that leads outside is none, either.
    let leading = inside.path().join("folder");
    symlink(outside.path(), &leading).unwrap();
    let leading = leading.join("token");
    sidecar.edit(|config| config.replace(other.to_str().unwrap(), leading.to_str().unwrap()));
    let (code, answer) = sidecar.reload().await;
    assert_eq!(code, 422, "{answer}");
    let text = answer.to_string();
    assert!(text.contains("locked itself down"), "{text}");
    // A further file of a folder that was named is fine.
    let further = inside.path().join("further");
    write_secret(&further, "three");
    sidecar.edit(|config| config.replace(leading.to_str().unwrap(), further.to_str().unwrap()));
    let (code, answer) = sidecar.reload().await;
    assert_eq!(code, 200, "{answer}");
    assert_eq!(
        crate::reload::credential(&sidecar, &upstream).await,
        "Bearer three"
    );
}

#[tokio::test]
async fn a_state_folder_outside_needs_a_restart_too() {
    let upstream = Recorder::spawn().await;
    let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = |root: &Path| root.join("state").display().to_string();
    let sidecar = Setup::new()
        .section(&format!(
            "[models]\nlisten = \"127.0.0.1:0\"\nstateDir = \"{}\"\n",
            folder(inside.path())
        ))
        .spawn(&upstream.url());
    assert!(inside.path().join("state").is_dir());
    sidecar.edit(|config| config.replace(&folder(inside.path()), &folder(outside.path())));
    let (code, answer) = sidecar.reload().await;
    assert_eq!(code, 422, "{answer}");
    assert_eq!(answer["problems"][0]["key"], "models.stateDir", "{answer}");
}

#[tokio::test]
async fn a_certificate_that_certbot_renews_is_taken_up() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["archive/claw", "live/claw"] {
        fs::create_dir_all(path(name)).unwrap();
    }
    let issue = |number: u32| {
        crate::sidecar::write_certificate(folder.path());
        for name in ["cert", "key"] {
            let archived = format!("archive/claw/{name}{number}.pem");
            fs::rename(path(&format!("{name}.pem")), path(&archived)).unwrap();
            let next = path("next");
            symlink(format!("../../{archived}"), &next).unwrap();
            fs::rename(next, path(&format!("live/claw/{name}.pem"))).unwrap();
        }
        let served = path(&format!("archive/claw/cert{number}.pem"));
        fs::read_to_string(served).unwrap()
    };
    issue(1);
    let live = path("live/claw").display().to_string();
    let sidecar = Setup::new()
        .section(&format!(
            "[gateway.tls]\ncertPath = \"{live}/cert.pem\"\nkeyPath = \"{live}/key.pem\"\n"
        ))
        .spawn(&upstream.url());
    issue(2);
    crate::reload::generation(&sidecar, 2).await;
    let renewed = path("archive/claw/cert2.pem");
    crate::client::Connection::tls(sidecar.address, &renewed, b"http/1.1").await;
}

#[tokio::test]
async fn a_folder_that_takes_anothers_name_needs_a_restart_too() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let (users, old) = (folder.path().join("users"), folder.path().join("users.old"));
    fs::create_dir(&users).unwrap();
    write_secret(&users.join("token"), "one");
    let sidecar = Setup::new()
        .section(&credential(&users.join("token")))
        .spawn(&upstream.url());
    fs::rename(&users, &old).unwrap();
    fs::create_dir(&users).unwrap();
    write_secret(&users.join("token"), "two");
    let (code, answer) = sidecar.reload().await;
    assert_eq!(code, 422, "{answer}");
    let problem = &answer["problems"][0];
    assert_eq!(problem["key"], "secrets.providers.f.path", "{answer}");
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains("locked itself down"), "{message}");

    // The configuration itself, by a symlink that leads elsewhere now.
    let elsewhere = folder.path().join("portcullis.toml");
    fs::write(&elsewhere, sidecar.config()).unwrap();
    fs::remove_file(sidecar.config_path()).unwrap();
    symlink(&elsewhere, sidecar.config_path()).unwrap();
    let (code, answer) = sidecar.reload().await;
    assert_eq!(code, 422, "{answer}");
    let remedy = answer["problems"][0]["remedy"].as_str().unwrap();
    assert!(remedy.contains("restart Portcullis"), "{answer}");
}

#[tokio::test]
async fn a_unix_socket_of_the_gateway_that_was_none_needs_a_restart() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    sidecar.edit(|config| config.replace(&upstream.url(), "unix:/run/gateway.sock"));
    let (code, answer) = sidecar.reload().await;
    assert_eq!(code, 422, "{answer}");
    let mut problems = answer["problems"].as_array().unwrap().iter();
    let problem = problems.find(|it| it["key"] == "upstream.url").unwrap();
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains("gave them up"), "{answer}");
    assert_eq!(problem["remedy"], "restart Portcullis", "{answer}");
}
