//! Folders in which others may put another file in the place of one that decides.

use super::host::{Finding, Host, is_root_as_this_needs};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

const USERS: &str = "allowUsers = [\"nick@example.com\", \"ada@example.com\"]";
const ASSERTION: &str = "[gateway.auth.trustedProxy.assertion]\npreset = \"oidc\"\n\
     header = \"x-signed\"\nissuer = \"https://idp.example.com\"\naudience = [\"portcullis\"]\n\
     keysUrl = \"https://idp.example.com/keys\"\n";
const PROVIDER: &str = "[models.providers.local]\nbaseUrl = \"https://models.example.com\"\n\
     enabled = false\n";
const SECRETS: &str = "[secrets.providers.box]\nsource = \"file\"\nmode = \"singleValue\"\n";

fn open(folder: &Path, mode: u32) {
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}

/// A host with `ww`, a folder that nobody else may write yet, and `safe` beside it.
fn host() -> Host {
    let host = Host::new();
    for name in ["ww", "safe"] {
        fs::create_dir(host.path(name)).unwrap();
        open(&host.path(name), 0o755);
    }
    host
}

/// What is told of `ww` once others may write it; at first, nothing is.
fn opened(host: &Host, severity: &str, key: &str, words: &str) -> Finding {
    let report = host.examine();
    assert!(!report.has("FILE_MODE_BROAD"), "{key}: {report}");
    open(&host.path("ww"), 0o777);
    let report = host.examine();
    let mut found = report.of("FILE_MODE_BROAD", severity);
    assert_eq!(found.len(), 1, "{key}: {report}");
    let found = found.remove(0);
    assert_eq!(found.place["key"], key, "{report}");
    let folder = host.path("ww").display().to_string();
    assert_eq!(found.place["file"], folder.as_str(), "{report}");
    assert!(found.evidence.contains(words), "{words}: {report}");
    assert_eq!(report.code, i32::from(severity == "critical"), "{report}");
    found
}

#[test]
fn a_folder_in_which_others_may_replace_a_file() {
    let named = |name: &str| format!("\"{{folder}}/{name}\"");
    let in_place = |name: &'static str| {
        move |host: &Host, path: &str| host.edit(&named(name), &format!("\"{path}\""))
    };
    let section = |section: &'static str, key: &'static str| {
        move |host: &Host, path: &str| {
            host.edit("[admin]", &format!("{section}{key} = \"{path}\"\n[admin]"));
        }
    };
    type Edit = Box<dyn Fn(&Host, &str)>;
    let users: Edit =
        Box::new(|host, path| host.edit(USERS, &format!("allowUsersFile = \"{path}\"")));
    let upstream: Edit = Box::new(|host, path| {
        let https = format!("url = \"https://127.0.0.1:{{port}}\"\ncaFile = \"{path}\"");
        host.edit("url = \"http://127.0.0.1:{port}\"", &https);
    });
    for (file, edit, severity, key, words) in [
        (
            "users",
            users,
            "critical",
            "gateway.auth.trustedProxy.allowUsersFile",
            "who may put another there decides who may pass",
        ),
        (
            "chain.pem",
            Box::new(in_place("chain.pem")),
            "critical",
            "gateway.tls.certPath",
            "a folder above the certificate",
        ),
        (
            "key.pem",
            Box::new(in_place("key.pem")),
            "critical",
            "gateway.tls.keyPath",
            "a folder above the private key",
        ),
        (
            "ca.pem",
            Box::new(in_place("ca.pem")),
            "critical",
            "gateway.tls.clientCaPath",
            "a folder above the sources' authorities",
        ),
        (
            "ca.pem",
            upstream,
            "critical",
            "upstream.caFile",
            "decides who gets what is sent there",
        ),
        (
            "ca.pem",
            Box::new(section(ASSERTION, "caFile")),
            "critical",
            "gateway.auth.trustedProxy.assertion.caFile",
            "decides who may pass",
        ),
        (
            "ca.pem",
            Box::new(section(PROVIDER, "caFile")),
            "critical",
            "models.providers.local.caFile",
            "decides who gets what is sent there",
        ),
        // Another user's file isn't taken for it.
        (
            "secret",
            Box::new(section(SECRETS, "path")),
            "warning",
            "secrets.providers.box.path",
            "who may write there can take it away",
        ),
    ] as [(&str, Edit, &str, &str, &str); 8]
    {
        for is_by_link in [false, true] {
            let host = host();
            host.write("users", "nick@example.com\n", 0o644);
            host.write("secret", "hunter2\n", 0o600);
            fs::rename(host.path(file), host.path("ww").join(file)).unwrap();
            if file != "users" && file != "secret" {
                // What else names it finds it as before.
                fs::copy(host.path("ww").join(file), host.path(file)).unwrap();
            }
            let path = match is_by_link {
                false => host.path("ww").join(file),
                true => {
                    symlink(host.path("ww").join(file), host.path("safe").join(file)).unwrap();
                    host.path("safe").join(file)
                }
            };
            edit(&host, &path.display().to_string());
            opened(&host, severity, key, words);
        }
    }
}

#[test]
fn a_folder_in_which_others_may_put_a_socket() {
    let host = host();
    host.edit(
        "address = \"10.0.0.2:8443\"",
        "address = \"unix:{folder}/ww/f.sock\"\nunixPeerUids = [33]",
    );
    let words = "who may put a socket of his own there";
    let found = opened(&host, "critical", "listen.address", words);
    host.obey(&found.remedy);
    let report = host.examine();
    assert!(!report.has("FILE_MODE_BROAD"), "{report}");
    // Nothing runs, so nothing is missed.
    assert!(!report.has("SOCKET_DISPLACED"), "{report}");
}

#[test]
fn a_folder_is_good_again_once_nobody_takes_away_anothers_file() {
    let host = host();
    host.write("ww/users", "nick@example.com\n", 0o644);
    host.edit(USERS, "allowUsersFile = \"{folder}/ww/users\"");
    let key = "gateway.auth.trustedProxy.allowUsersFile";
    let found = opened(&host, "critical", key, "its mode is 0777");
    host.obey(&found.remedy);
    let report = host.examine();
    assert!(!report.has("FILE_MODE_BROAD"), "{report}");
    open(&host.path("ww"), 0o775);
    assert_eq!(host.examine().code, 1);
    open(&host.path("ww"), 0o1777);
    let report = host.examine();
    assert!(!report.has("FILE_MODE_BROAD"), "{report}");
}

/// Whoever replaces it names who may pass, whatever else it names.
#[test]
fn a_folder_in_which_others_may_replace_a_config_without_commands() {
    let host = Host::new();
    open(&host.path(""), 0o777);
    let report = host.examine();
    let found = report.of("FILE_MODE_BROAD", "critical");
    // The certificate's files are there, too, and it is told of once.
    assert_eq!(found.len(), 1, "{report}");
    let words = "a folder above the config is open to others";
    assert!(found[0].evidence.starts_with(words), "{report}");
    host.obey(&found[0].remedy);
    let report = host.examine();
    assert!(!report.has("FILE_MODE_BROAD"), "{report}");
    assert_eq!(report.code, 0, "{report}");
}

#[test]
fn a_file_of_another_user_that_decides_who_may_pass() {
    if !is_root_as_this_needs() {
        return;
    }
    let host = host();
    let unit = "[Service]\nUser=root\nExecStart=/usr/bin/portcullis run\n";
    host.write("units/portcullis.service", unit, 0o644);
    host.write("users", "nick@example.com\n", 0o644);
    host.edit(USERS, "allowUsersFile = \"{folder}/users\"");
    assert_eq!(host.examine().code, 0);
    std::os::unix::fs::chown(host.path("users"), Some(4711), None).unwrap();
    let report = host.examine();
    let found = report.of("FILE_MODE_BROAD", "critical");
    assert_eq!(found.len(), 1, "{report}");
    let words = "belongs to user 4711";
    assert!(found[0].evidence.contains(words), "{report}");
    assert_eq!(report.code, 1, "{report}");
    std::os::unix::fs::chown(host.path("users"), Some(0), None).unwrap();
    assert_eq!(host.examine().code, 0);
}
