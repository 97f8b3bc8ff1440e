use super::*;
use crate::doctor::checklist::tests::{config, facts};
use FindingId as Id;
use Severity::{Critical, Info, Warning};
use serde_json::json;

const EXEC: &str = "[secrets.providers.vault]\nsource = \"exec\"\ncommand = \"/usr/bin/vault\"\n";

/// A process that has nothing to tell, but for these parts of its status.
fn status(changes: &Value) -> Value {
    let mut status = json!({
        "pid": 7, "generation": 3, "degraded": false, "lastReload": null,
        "restartRequired": [], "notReadyBecause": [], "assertion": null,
        "confinement": {"noNewPrivs": true, "landlock": "enforced (ABI 6)",
            "capabilities": "enforced", "seccomp": "enforced", "execHelper": true},
    });
    for (name, part) in changes.as_object().unwrap() {
        match part {
            Value::Object(parts) if status[name].is_object() => {
                let known = status[name].as_object_mut().unwrap();
                known.extend(parts.clone());
            }
            part => status[name] = part.clone(),
        }
    }
    status
}

fn found(rest: &str, changes: &Value) -> Vec<Finding> {
    let config = config("127.0.0.1:8443", "http://127.0.0.1:18789", rest);
    let running = Running::read(status(changes)).unwrap();
    check_running(&config, &facts(), &running)
}

#[test]
fn what_a_process_admits_is_found() {
    let off = json!({"confinement": {"noNewPrivs": false, "landlock": "off (not asked for)",
        "capabilities": "off (not asked for)", "seccomp": "off (not asked for)", "execHelper": false}});
    for (rest, changes, expected) in [
        ("", json!({}), None),
        ("", json!({"confinement": null}), None),
        ("", off, Some((Id::LockdownOff, Warning, "--no-lockdown"))),
        (
            "",
            json!({"confinement": {"landlock": "partly enforced (ABI 3)"}}),
            Some((Id::LockdownOff, Info, "newer kernel")),
        ),
        (
            "",
            json!({"confinement": {"seccomp": "off (not permitted)"}}),
            Some((Id::LockdownOff, Warning, "newer kernel")),
        ),
        (
            "",
            json!({"confinement": {"capabilities": "off (no leave)"}}),
            Some((Id::LockdownOff, Warning, "newer kernel")),
        ),
        (
            "",
            json!({"confinement": {"capabilities": "partly enforced (SYS_PTRACE)"}}),
            Some((Id::LockdownOff, Info, "newer kernel")),
        ),
        // An older version says nothing of them.
        ("", json!({"confinement": {"capabilities": null}}), None),
        (
            "",
            json!({"confinement": {"noNewPrivs": false}}),
            Some((Id::LockdownOff, Warning, "newer kernel")),
        ),
        (
            EXEC,
            json!({"confinement": {"execHelper": false}}),
            Some((Id::ExecHelperGone, Warning, "restart")),
        ),
        (
            "",
            json!({"confinement": {"execHelper": false}}),
            Some((Id::ExecHelperGone, Info, "restart")),
        ),
        (
            "",
            json!({"degraded": true}),
            Some((Id::ReloadFailed, Warning, "reload")),
        ),
        (
            "",
            json!({"restartRequired": ["listen.address", "models.listen"]}),
            Some((Id::RestartRequired, Warning, "restart")),
        ),
        ("", json!({"listeners": {"displaced": []}}), None),
        (
            "",
            json!({"listeners": {"displaced": ["/run/p.sock"]}}),
            Some((Id::SocketDisplaced, Critical, "the folder of /run/p.sock")),
        ),
        // Keys that are fetched as they are met: none is missing.
        ("", json!({"assertion": {"keys": 0, "error": null}}), None),
        (
            "",
            json!({"assertion": {"keys": 2, "error": "timed out"}}),
            Some((Id::AssertionKeysMissing, Warning, "issuer's keys")),
        ),
        (
            "",
            json!({"assertion": {"keys": 0}, "notReadyBecause": ["assertion_keys_missing"]}),
            Some((Id::AssertionKeysMissing, Critical, "issuer's keys")),
        ),
    ] {
        let found = found(rest, &changes);
        let seen: Vec<_> = found.iter().map(|it| (it.id, it.severity)).collect();
        let wanted = expected.map(|(id, severity, _)| (id, severity));
        assert_eq!(seen, wanted.into_iter().collect::<Vec<_>>(), "{changes}");
        if let Some((_, _, words)) = expected {
            assert!(found[0].remedy.contains(words), "{:?}", found[0]);
        }
    }
}

#[test]
fn what_is_kept_is_told_part_by_part() {
    let changes = json!({"confinement": {"capabilities": "off (no leave)"}});
    let evidence = &found("", &changes)[0].evidence;
    let parts = "(new privileges: given up; Landlock: enforced (ABI 6); \
                 capabilities: off (no leave); seccomp: enforced)";
    assert!(evidence.contains(parts), "{evidence}");
}

#[test]
fn a_failed_reload_is_told_by_its_key_and_its_reason() {
    let problems = json!([{"key": "listen.address", "message": "got `x`"}, {"message": "y"}]);
    let found = found(
        "",
        &json!({"degraded": true, "lastReload": {"ok": false, "problems": problems}}),
    );
    let [found] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(found.place.shown_key().as_deref(), Some("listen.address"));
    assert!(
        found
            .evidence
            .contains("(listen.address: got `x`): configuration 3"),
        "{found:?}"
    );
}

#[test]
fn what_is_no_status_is_none() {
    for answer in [json!({}), json!([]), json!("x"), json!({"generation": "3"})] {
        assert!(Running::read(answer.clone()).is_none(), "{answer}");
    }
}
