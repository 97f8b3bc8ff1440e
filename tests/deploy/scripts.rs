//! The checks that are scripts, since they need other programs or rights. Each exits 77 where it
//! can't run, and says so.

use std::io::Write;
use std::process::Command;

use crate::sandbox::{PORTCULLIS, repository};

#[test]
fn a_process_of_the_host_is_refused_through_the_hosts_own_address() {
    run("local-interface", &[PORTCULLIS]);
}

#[test]
fn the_images_root_serves_in_a_chroot_without_root_and_without_a_shell() {
    run("docker-root", &[PORTCULLIS]);
}

#[test]
fn the_systemd_unit_is_valid_and_exposes_little() {
    run("systemd-unit", &[PORTCULLIS]);
}

#[test]
fn the_kubernetes_manifests_are_valid_by_the_api_schemas() {
    run("kubernetes-schemas", &[]);
}

/// What a script prints; none where it can't run here, which is said aloud.
pub(crate) fn run(script: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(repository().join("tests/deploy").join(script))
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{script} doesn't start: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = format!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => Some(printed),
        Some(77) => {
            // Not eprintln!: the test harness keeps that to itself when a test passes.
            let loud = format!("\n*** SKIPPED {script} ***\n{said}");
            let _ = std::io::stderr().write_all(loud.as_bytes());
            None
        }
        code => panic!("{script} exits {code:?}:\n{said}"),
    }
}
