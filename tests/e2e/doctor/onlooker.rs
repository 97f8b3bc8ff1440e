//! What the user who looks may not read, and the service's user may.

use super::host::{Finding, Host, Report};
use nix::unistd::geteuid;

fn one(report: &Report, id: &str, severity: &str) -> Finding {
    let found = report.of(id, severity);
    assert_eq!(found.len(), 1, "{report}");
    found.into_iter().next().unwrap()
}

/// Once with nothing to tell the service's user by, and once with a unit that names the one
/// who looks.
fn judged(id: &str, hidden: &str, text: &str, plant: impl FnOnce(&Host)) {
    let host = Host::new();
    plant(&host);
    host.write(hidden, text, 0o000);
    let uid = geteuid();
    let report = host.examine_bound_by_modes();
    let Finding {
        evidence, remedy, ..
    } = one(&report, id, "warning");
    let path = host.path(hidden).display().to_string();
    let words = format!("uid {uid}");
    for words in [&path, &words, "may not read it"] {
        assert!(evidence.contains(words), "{words}: {evidence}");
    }
    assert!(!evidence.contains("does not start"), "{evidence}");
    let words = "run this as the service's user, or let it read the file";
    assert_eq!(remedy, words);
    assert_eq!(report.code, 0, "{report}");

    let unit = format!("[Service]\nUser={uid}\nExecStart=/usr/bin/portcullis run\n");
    host.write("units/portcullis.service", &unit, 0o644);
    let report = host.examine_bound_by_modes();
    let Finding {
        evidence, remedy, ..
    } = one(&report, id, "critical");
    assert!(
        evidence.starts_with("Portcullis does not start: "),
        "{evidence}"
    );
    assert!(
        remedy.starts_with("let ") && remedy.ends_with(" read it"),
        "{remedy}"
    );
    assert_eq!(report.code, 1, "{report}");

    // What is no question of who looks is as bad as before.
    host.write("units/portcullis.service", "", 0o644);
    std::fs::remove_file(host.path(hidden)).unwrap();
    let report = host.examine_bound_by_modes();
    let Finding { evidence, .. } = one(&report, id, "critical");
    assert!(evidence.contains("Portcullis does not start"), "{evidence}");
}

#[test]
fn a_certificate_that_only_the_service_may_read() {
    judged("START_REFUSED", "ca.pem", "", |_| {});
}

#[test]
fn users_whom_only_the_service_may_read() {
    judged(
        "ALLOW_USERS_UNREADABLE",
        "users",
        "nick@example.com\n",
        |host| {
            let users = "allowUsers = [\"nick@example.com\", \"ada@example.com\"]";
            host.edit(users, "allowUsersFile = \"{folder}/users\"");
        },
    );
}
