//! `portcullis doctor` on a whole deployment: good, then with one mistake at a time,
//! which is found, and which its remedy mends.

mod folders;
mod host;
mod mistakes;
mod onlooker;
mod openclaw;
mod running;

use host::{CANARY, Host};

#[test]
fn a_good_deployment_has_no_critical_finding_and_no_warning() {
    let host = Host::new();
    let report = host.examine();
    assert_eq!(report.code, 0, "{report}");
    assert!(
        report.findings().all(|finding| finding.severity == "info"),
        "{report}"
    );
    let text = host.text(&[]);
    let last = text.lines().last().unwrap();
    assert!(
        last.starts_with("no critical finding; 0 warnings, "),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn the_worst_comes_first_and_decides_the_exit_code() {
    let host = Host::new();
    host.edit("access = true", "access = false");
    assert_eq!(host.examine().code, 0);
    host.edit(
        "trustedProxies = [\"10.0.0.1\"]",
        "trustedProxies = [\"0.0.0.0/0\"]",
    );
    let report = host.examine();
    assert_eq!(report.code, 1);
    let severities: Vec<_> = report.findings().map(|finding| finding.severity).collect();
    let rank = |severity: &String| {
        let order = ["critical", "warning", "info"];
        order.iter().position(|known| known == severity)
    };
    assert!(severities.is_sorted_by_key(rank), "{severities:?}");
    assert_eq!(report.json["worst"], "critical");
    assert_eq!(report.json["ok"], false);
    let text = host.text(&[]);
    assert!(text.contains("1 critical finding; 1 warning, "), "{text}");
    let block = "critical TRUSTED_PROXIES_WIDE ";
    let at = text
        .lines()
        .position(|line| line.starts_with(block))
        .unwrap();
    let lines: Vec<_> = text.lines().skip(at + 1).take(2).collect();
    assert!(lines[0].starts_with("    every address"), "{text}");
    assert!(lines[1].starts_with("    do: list the addresses"), "{text}");
}

#[test]
fn a_bad_configuration_is_no_finding_but_exit_code_2() {
    let host = Host::new();
    host.edit("mode = \"trusted-proxy\"", "mode = \"none\"");
    let (code, _, said) = host.run(&[]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("gateway.auth.mode"), "{said}");
    let host = Host::new();
    for (name, text) in [("absent", None), ("broken", Some("{ gateway: hunter2 }"))] {
        let path = host.path(name);
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let (code, _, said) = host.run(&["--openclaw", path.to_str().unwrap()]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(name) && !said.contains("hunter2"), "{said}");
    }
    let (code, ..) = host.run(&["--host", "claw.example.com"]);
    assert_eq!(code, 2, "--host without --openclaw");
}

#[test]
fn no_secret_is_shown() {
    let host = Host::new();
    host.edit(
        "token = \"$PORTCULLIS_TEST_DOCTOR_TOKEN\"",
        &format!("token = \"{CANARY}\""),
    );
    // The harness looks for the canary in all that is said.
    let report = host.examine();
    assert!(report.has("PLAINTEXT_FOUND"), "{report}");
    host.text(&[]);
}
