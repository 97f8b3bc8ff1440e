//! Files that change, and are taken up by themselves.

use crate::recorder::Recorder;
use crate::reload::{credential, generation, status};
use crate::sidecar::{GATEWAY, IDENTITY, Setup, write_certificate};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Writes a file as a secret must be: whole, and for its owner alone.
pub(crate) fn write_secret(path: &Path, value: &str) {
    let next = path.with_extension("next");
    fs::write(&next, value).unwrap();
    fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(next, path).unwrap();
}

/// A sidecar whose credential lies in `token`, a file of one value.
pub(crate) fn with_token(token: &Path, mounted: bool) -> Setup {
    Setup::new().section(&format!(
        "[upstream.credential]\nheader = \"authorization\"\n\
         value = {{ source = \"file\", provider = \"token\", id = \"value\" }}\n\
         [secrets.providers.token]\nsource = \"file\"\npath = \"{}\"\nmode = \"singleValue\"\n\
         mountedVolume = {mounted}\n",
        token.display()
    ))
}

#[tokio::test]
async fn a_changed_secret_file_is_taken_up_by_itself() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    write_secret(&token, "first");
    let sidecar = with_token(&token, false).spawn(&upstream.url());
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer first");
    write_secret(&token, "second");
    let status = generation(&sidecar, 2).await;
    assert_eq!(status["lastReload"]["trigger"], "files");
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer second");
    // A rotation that went wrong: the old one is served on, and the next is taken.
    fs::remove_file(&token).unwrap();
    sidecar
        .logged(|line| line["code"] == "SECRETS_RELOADER_DEGRADED")
        .await;
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer second");
    write_secret(&token, "third");
    generation(&sidecar, 3).await;
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer third");
}

/// A new generation of a volume, put in place as a kubelet does it.
fn volume(folder: &Path, generation: &str, value: &str) {
    let data = folder.join(generation);
    fs::create_dir(&data).unwrap();
    fs::write(data.join("token"), value).unwrap();
    let next = folder.join("..data_tmp");
    symlink(generation, &next).unwrap();
    fs::rename(next, folder.join("..data")).unwrap();
}

#[tokio::test]
async fn a_swapped_kubernetes_volume_is_picked_up_within_five_seconds() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    volume(folder.path(), "..2026_01", "first");
    symlink("..data/token", folder.path().join("token")).unwrap();
    let sidecar = with_token(&folder.path().join("token"), true).spawn(&upstream.url());
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer first");
    volume(folder.path(), "..2026_02", "second");
    fs::remove_dir_all(folder.path().join("..2026_01")).unwrap();
    let within = std::time::Duration::from_secs(5);
    tokio::time::timeout(within, generation(&sidecar, 2))
        .await
        .expect("it takes longer");
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer second");
}

#[tokio::test]
async fn certificates_are_swapped_without_dropping_a_connection() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let mut open = sidecar.connect().await;
    let ask = format!("GET / HTTP/1.1\r\n{IDENTITY}");
    assert_eq!(open.exchange(&ask).await.status, 200);
    let old = fs::read(sidecar.certificate()).unwrap();
    let next = tempfile::tempdir().unwrap();
    write_certificate(next.path());
    let folder = sidecar.certificate().parent().unwrap().to_owned();
    for name in ["key.pem", "cert.pem"] {
        fs::copy(next.path().join(name), folder.join(name)).unwrap();
    }
    generation(&sidecar, 2).await;
    // The client trusts the new certificate alone by now.
    assert_ne!(fs::read(sidecar.certificate()).unwrap(), old);
    assert_eq!(sidecar.send(&ask).await.status, 200);
    assert_eq!(
        open.exchange(&ask).await.status,
        200,
        "the old connection lives"
    );
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_file_is_an_error_and_no_wait() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    fs::write(&users, "nick@example.com\n").unwrap();
    let gateway = GATEWAY.replace(
        "allowUsers = [\"nick@example.com\", \"ada@example.com\"]",
        &format!("allowUsersFile = \"{}\"", users.display()),
    );
    let sidecar = Setup::new().gateway(&gateway).spawn(&upstream.url());
    fs::remove_file(&users).unwrap();
    nix::unistd::mkfifo(&users, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (code, answer) = sidecar.reload().await;
    assert_eq!(code, 422, "{answer}");
    let message = answer["problems"][0]["message"].as_str().unwrap();
    assert!(message.contains("not a regular file"), "{answer}");
    assert_eq!(status(&sidecar).await["reloadingSince"], Value::Null);
}

#[tokio::test]
async fn a_change_that_met_a_failing_command_is_tried_again_whoever_asked() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    write_secret(&token, "first");
    let script = folder.path().join("resolver");
    fs::write(
        &script,
        "#!/bin/sh\n[ -e broken ] && exit 1\nprintf admin-token\n",
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let sidecar = with_token(&token, false)
        .section(&format!(
            "[gateway.tls]\nenabled = false\n[secrets.providers.other]\nsource = \"exec\"\n\
             command = \"{}\"\njsonOnly = false\n",
            script.display()
        ))
        .admin("token = { source = \"exec\", provider = \"other\", id = \"value\" }\n")
        .spawn(&upstream.url());
    // As a renewal hook does it: the file, then the signal, and the vault is away.
    fs::write(folder.path().join("broken"), "").unwrap();
    write_secret(&token, "second");
    sidecar.signal("HUP");
    sidecar
        .logged(|line| line["code"] == "SECRETS_RELOADER_DEGRADED")
        .await;
    fs::remove_file(folder.path().join("broken")).unwrap();
    sidecar
        .logged(|line| line["code"] == "SECRETS_RELOADER_RECOVERED")
        .await;
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer second");
}
