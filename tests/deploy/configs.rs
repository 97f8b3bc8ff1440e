//! Every `portcullis.toml` under `deploy/` is valid, and the halves of a pair agree.

use std::fs;
use std::process::Command;

use crate::sandbox::{PORTCULLIS, Sandbox, committed_file};

#[test]
fn every_committed_portcullis_toml_passes_check() {
    let sandbox = Sandbox::new();
    let tls = sandbox.text("tls/");
    for (file, from) in [
        (
            "deploy/systemd/portcullis.toml",
            "/run/credentials/portcullis.service/",
        ),
        (
            "deploy/identity-proxies/nginx-oauth2-proxy/portcullis.toml",
            "/etc/portcullis/tls/",
        ),
        (
            "deploy/identity-proxies/caddy/portcullis.toml",
            "/etc/portcullis/tls/",
        ),
        (
            "deploy/identity-proxies/traefik/portcullis.toml",
            "/etc/portcullis/tls/",
        ),
        (
            "deploy/identity-proxies/pomerium/portcullis.toml",
            "/etc/portcullis/tls/",
        ),
    ] {
        // The unit gives the CA's file another name than make-certificates.
        let text = committed_file(file)
            .replace(from, &tls)
            .replace("proxy-ca.pem", "ca.pem");
        check(&sandbox, file, &text);
    }
}

#[test]
fn the_pods_configuration_passes_check() {
    let sandbox = Sandbox::new();
    let text = pod_config()
        .replace(
            "/run/portcullis/tls/tls.crt",
            &sandbox.text("tls/portcullis.pem"),
        )
        .replace(
            "/run/portcullis/tls/tls.key",
            &sandbox.text("tls/portcullis.key"),
        )
        .replace("/run/portcullis/tls/ca.crt", &sandbox.text("tls/ca.pem"));
    check(&sandbox, "deploy/kubernetes/pod.yaml", &text);
}

#[test]
fn the_pod_outlives_the_grace_time_and_probes_the_probe_listener() {
    let pod = committed_file("deploy/kubernetes/pod.yaml");
    let number = |key: &str, end: &str| -> u64 {
        let (_, rest) = pod
            .split_once(key)
            .unwrap_or_else(|| panic!("`{key}` is in pod.yaml"));
        rest.split(end).next().unwrap().trim().parse().unwrap()
    };
    let grace = number("shutdownGrace = \"", "s\"");
    assert!(number("terminationGracePeriodSeconds: ", "\n") > grace + number("seconds: ", "\n"));
    let probe = pod
        .split_once("probeAddress = \"0.0.0.0:")
        .unwrap()
        .1
        .split('"')
        .next()
        .unwrap();
    assert!(
        pod.contains(&format!(
            "- name: probe\n              containerPort: {probe}\n"
        )),
        "{probe}"
    );
}

#[test]
fn no_deployment_trusts_the_hosts_own_addresses() {
    for (file, text) in all_configs() {
        assert!(!text.contains("allowLocalInterface = true"), "{file}");
        if text.contains("allowLoopback = true") {
            assert!(
                text.contains("clientCaPath ="),
                "{file} lets every process of the host in"
            );
        }
    }
}

fn all_configs() -> Vec<(&'static str, String)> {
    [
        "deploy/systemd/portcullis.toml",
        "deploy/identity-proxies/nginx-oauth2-proxy/portcullis.toml",
        "deploy/identity-proxies/caddy/portcullis.toml",
        "deploy/identity-proxies/traefik/portcullis.toml",
        "deploy/identity-proxies/pomerium/portcullis.toml",
    ]
    .into_iter()
    .map(|file| (file, committed_file(file)))
    .chain([("deploy/kubernetes/pod.yaml", pod_config())])
    .collect()
}

/// The block of the ConfigMap, without its indentation.
fn pod_config() -> String {
    let pod = committed_file("deploy/kubernetes/pod.yaml");
    let (_, block) = pod
        .split_once("  portcullis.toml: |\n")
        .expect("pod.yaml holds a portcullis.toml");
    block
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("    "))
        .map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or("")))
        .collect()
}

fn check(sandbox: &Sandbox, file: &str, text: &str) {
    let path = sandbox.path("check.toml");
    fs::write(&path, text).unwrap();
    let output = Command::new(PORTCULLIS)
        .args(["check", "--config"])
        .arg(&path)
        .env(
            "PORTCULLIS_ADMIN_TOKEN",
            "a-token-for-the-test-of-thirty-two-characters",
        )
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{file}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
