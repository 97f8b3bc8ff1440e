use super::*;
use crate::doctor::{FileFacts, UnitFile};

const CONFIG: &str = r#"
[listen]
address = "127.0.0.1:8443"
[upstream]
url = "http://127.0.0.1:18789"
[gateway]
trustedProxies = ["127.0.0.1"]
[gateway.auth]
mode = "trusted-proxy"
[gateway.auth.trustedProxy]
userHeader = "x-forwarded-user"
allowUsers = ["nick@example.com"]
[admin]
token = "$ADMIN"
[models]
clientToken = { source = "env", provider = "default", id = "CLIENT" }
[secrets.providers.vault]
source = "exec"
command = "/bin/vault"
passEnv = ["PATH", "LC_ALL", "VAULT_ADDR", "VAULT_TOKEN"]
"#;

fn config() -> Config {
    crate::config::parse(CONFIG).unwrap().config
}

fn unit(environment: &str) -> Units {
    Units {
        fragments: vec![Fragment {
            unit: "door.service".to_owned(),
            path: "/etc/door.service".into(),
            content: UnitFile::parse(&format!("[Service]\nEnvironment={environment}\n")),
        }],
        ..Units::default()
    }
}

fn file(owner: u32, mode: u32, names: &[&str]) -> EnvironmentFile {
    let set = names.iter().enumerate().map(|(index, name)| Assignment {
        name: (*name).to_owned(),
        line: index + 1,
        is_blank: false,
    });
    EnvironmentFile {
        unit: "door.service".to_owned(),
        path: "/etc/env".into(),
        facts: Look::Seen(FileFacts { owner, mode }),
        assignments: Look::Seen(set.collect()),
    }
}

fn in_files(file: EnvironmentFile) -> Units {
    Units {
        environment_files: vec![file],
        ..Units::default()
    }
}

fn severities(units: &Units) -> Vec<(FindingId, Severity)> {
    let findings = check(&config(), units, Holder::Onlooker(1000));
    let told = findings
        .iter()
        .map(|finding| (finding.id, finding.severity));
    told.collect()
}

#[test]
fn a_units_variables_are_findings_where_they_are_read_or_sound_secret() {
    use Severity::{Critical, Info};
    for (environment, expected) in [
        ("", &[][..]),
        ("RUST_LOG=debug PATH=/bin LC_ALL=C", &[]),
        ("ADMIN=x", &[Critical]),
        ("CLIENT=x", &[Critical]),
        ("OTHER=x", &[]),
        ("OTHER_TOKEN=x", &[Critical]),
        ("\"OTHER_TOKEN=two words\" ADMIN=x", &[Critical, Critical]),
        ("VAULT_TOKEN=x", &[Critical]),
        ("VAULT_ADDR=https://vault", &[Info]),
        ("VAULT_TOKEN= ADMIN=", &[]),
        ("AGE_KEY_FILE=/etc/key", &[]),
    ] {
        let expected: Vec<_> = expected
            .iter()
            .map(|severity| (FindingId::UnitEnvironment, *severity))
            .collect();
        assert_eq!(severities(&unit(environment)), expected, "{environment}");
    }
}

#[test]
fn a_file_of_variables_is_a_finding_where_it_is_open_and_holds_secrets() {
    use Severity::{Critical, Warning};
    for (owner, mode, names, expected) in [
        (0, 0o600, &["ADMIN"][..], &[][..]),
        (0, 0o644, &["RUST_LOG", "VAULT_ADDR"], &[]),
        (0, 0o640, &["ADMIN"], &[Warning]),
        (0, 0o644, &["RUST_LOG", "API_KEY"], &[Critical]),
        (0, 0o602, &["API_KEY"], &[Critical]),
        (1000, 0o600, &["API_KEY"], &[]),
        (1001, 0o600, &["API_KEY"], &[Warning]),
    ] {
        let expected: Vec<_> = expected
            .iter()
            .map(|severity| (FindingId::FileModeBroad, *severity))
            .collect();
        let units = in_files(file(owner, mode, names));
        assert_eq!(severities(&units), expected, "{owner} {mode:o} {names:?}");
    }
}

#[test]
fn what_is_not_shown_is_told_of_only_where_it_could_matter() {
    fn hidden<T>() -> Look<T> {
        Look::Hidden("permission denied".to_owned())
    }
    let guarded = EnvironmentFile {
        assignments: hidden(),
        ..file(0, 0o600, &[])
    };
    let open = EnvironmentFile {
        assignments: hidden(),
        ..file(0, 0o640, &[])
    };
    let unseen = EnvironmentFile {
        facts: hidden(),
        assignments: hidden(),
        ..file(0, 0o600, &[])
    };
    let missing = EnvironmentFile {
        facts: Look::Missing,
        assignments: Look::Missing,
        ..file(0, 0o600, &[])
    };
    let info = [(FindingId::NotExamined, Severity::Info)];
    for (file, expected) in [
        (guarded, &[][..]),
        (open, &info),
        (unseen, &info),
        (missing, &[]),
    ] {
        assert_eq!(severities(&in_files(file.clone())), expected, "{file:?}");
    }
    let folder = Units {
        unseen: vec![("/etc/systemd/system".into(), "permission denied".to_owned())],
        ..Units::default()
    };
    assert_eq!(severities(&folder), info);
}

#[test]
fn a_file_reached_twice_is_found_once() {
    let mut units = unit("ADMIN=x");
    let twin = units.fragments[0].clone();
    units.fragments.push(twin);
    assert_eq!(severities(&units).len(), 1);
}

#[test]
fn a_name_that_may_be_a_piece_of_a_key_is_not_shown() {
    let canary = "MIIEvQIBADANBgkqhkiG9w0KEY";
    for units in [
        unit(&format!("{canary}=x")),
        in_files(file(0, 0o644, &[canary])),
    ] {
        let findings = check(&config(), &units, Holder::Onlooker(1000));
        assert_eq!(findings.len(), 1);
        let said = serde_json::to_string(&findings).unwrap();
        assert!(!said.contains(canary), "{said}");
    }
}

#[test]
fn the_file_that_sets_a_variable_is_known() {
    let mut units = unit("A=1 B=");
    units.environment_files.push(file(0, 0o600, &["C"]));
    for (name, path) in [
        ("A", Some("/etc/door.service")),
        ("B", None),
        ("C", Some("/etc/env")),
        ("D", None),
    ] {
        assert_eq!(setter(&units, name), path.map(Path::new), "{name}");
    }
}
