use super::*;
use crate::doctor::{Fragment, GuardedFile, KeyLines, UnitFile, Units};
use crate::secrets::Custody;
use std::path::PathBuf;

const CANARY: &str = "hunter2-Tr0ub4dor&3";
const BASE: &str = r#"
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
"#;

fn config(rest: &str) -> (Config, KeyLines) {
    let text = format!("{BASE}{rest}");
    let parsed = crate::config::parse(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
    (parsed.config, KeyLines::read(&text))
}

fn facts(mode: u32, key_lines: KeyLines) -> Facts {
    Facts {
        user: 1000,
        user_name: None,
        holder: Holder::Onlooker(1000),
        config_path: PathBuf::from("/p.toml"),
        config_file: Look::Seen(FileFacts { owner: 1000, mode }),
        key_lines,
        guarded: Vec::new(),
        units: Units::default(),
    }
}

/// `severity ID key` of each finding.
fn told(findings: &[Finding]) -> Vec<String> {
    let told = findings.iter().map(|finding| {
        let key = finding.place.shown_key();
        let key = key.as_deref().unwrap_or("-");
        format!("{} {} {key}", finding.severity, finding.id)
    });
    told.collect()
}

fn audit(rest: &str, mode: u32) -> Vec<Finding> {
    let (config, lines) = config(&rest.replace("CANARY", CANARY));
    let findings = audit_secrets(&config, &facts(mode, lines), &[]);
    let said = serde_json::to_string(&findings).unwrap();
    assert!(
        !said.contains("hunter2") && !said.contains("Tr0ub4dor"),
        "{said}"
    );
    findings
}

#[test]
fn plaintext_is_found_on_every_surface_in_use_or_not() {
    for (rest, keys) in [
        ("", &[][..]),
        ("[admin]\ntoken = \"$TOKEN\"\n", &[]),
        ("[admin]\ntoken = \"CANARY\"\n", &["admin.token"]),
        (
            "[upstream.credential]\nheader = \"authorization\"\nvalue = \"CANARY\"\n",
            &["upstream.credential.value"],
        ),
        (
            "[gateway.tls]\nenabled = false\nkey = \"CANARY\"\n",
            &["gateway.tls.key"],
        ),
        (
            "[models]\nclientToken = \"CANARY\"\n[models.providers.\"a.b\"]\n\
             apiKey = \"CANARY\"\napiKeys = [\"$KEY\", \"CANARY\"]\n",
            &[
                "models.clientToken",
                "models.providers.a.b.apiKey",
                "models.providers.a.b.apiKeys[1]",
            ],
        ),
        (
            "[secrets.providers.vault]\nsource = \"exec\"\ncommand = \"/bin/vault\"\n\
             env = { VAULT_TOKEN = \"CANARY\", VAULT_ADDR = \"http://v\", DB_PASSWORD = \" \", \
             OP_KEY_FILE = \"/k\" }\n",
            &["secrets.providers.vault.env.VAULT_TOKEN"],
        ),
        // The name itself could be the secret.
        (
            "[secrets.providers.vault]\nsource = \"exec\"\ncommand = \"/bin/vault\"\n\
             env = { \"CANARY_KEY\" = \"CANARY\" }\n",
            &["secrets.providers.vault.env"],
        ),
    ] {
        let expected: Vec<_> = keys
            .iter()
            .map(|key| format!("warning PLAINTEXT_FOUND {key}"))
            .collect();
        let findings = audit(rest, 0o600);
        assert_eq!(told(&findings), expected, "{rest}");
        assert!(findings.iter().all(|finding| finding.place.has_line()));
    }
}

#[test]
fn plaintext_is_as_bad_as_the_file_is_open() {
    let plain = "[admin]\ntoken = \"CANARY\"\n";
    for (mode, expected) in [
        (0o600, &["warning PLAINTEXT_FOUND admin.token"][..]),
        (
            0o640,
            &[
                "critical PLAINTEXT_FOUND admin.token",
                "warning FILE_MODE_BROAD -",
            ],
        ),
        (
            0o644,
            &[
                "critical PLAINTEXT_FOUND admin.token",
                "critical FILE_MODE_BROAD -",
            ],
        ),
        (
            0o622,
            &[
                "critical FILE_MODE_BROAD -",
                "warning PLAINTEXT_FOUND admin.token",
            ],
        ),
    ] {
        assert_eq!(told(&audit(plain, mode)), expected, "{mode:o}");
    }
}

#[test]
fn a_config_that_others_can_change_is_a_finding_whatever_it_holds() {
    let reference = "[admin]\ntoken = \"$TOKEN\"\n";
    for (owner, mode, expected) in [
        (1000, 0o644, &[][..]),
        (0, 0o644, &[]),
        (1000, 0o666, &["critical FILE_MODE_BROAD -"]),
        (1000, 0o660, &["critical FILE_MODE_BROAD -"]),
        (1001, 0o600, &["critical FILE_MODE_BROAD -"]),
    ] {
        let (config, lines) = config(reference);
        let mut facts = facts(mode, lines);
        facts.config_file = Look::Seen(FileFacts { owner, mode });
        let findings = audit_secrets(&config, &facts, &[]);
        assert_eq!(told(&findings), expected, "{owner} {mode:o}");
        let says_why = |found: &Finding| found.evidence.contains("have any command run");
        assert!(findings.iter().all(says_why), "{findings:?}");
    }
}

#[test]
fn a_config_that_is_no_file_was_not_examined() {
    let (config, lines) = config("");
    let mut facts = facts(0o600, lines);
    facts.config_file = Look::Hidden("it is not a regular file".to_owned());
    assert_eq!(
        told(&audit_secrets(&config, &facts, &[])),
        ["info NOT_EXAMINED -"]
    );
}

#[test]
fn an_argument_is_public_whatever_the_configs_mode() {
    let findings = audit(
        "[secrets.providers.vault]\nsource = \"exec\"\ncommand = \"/bin/vault\"\nargs = [\n\
         \"--token=CANARY\",\n\"--password\",\n\"CANARY\",\n\"https://u:CANARY@h/\",\n\
         \"op://vault/token\",\n\"--key\", \"/run/key\",\n]\n",
        0o600,
    );
    let places: Vec<_> = findings
        .iter()
        .map(|found| (found.severity, found.id, found.place.to_string()))
        .collect();
    let line = BASE.lines().count() + 5;
    let expected = [(0, line), (2, line + 2), (3, line + 3)].map(|(index, line)| {
        (
            Severity::Critical,
            FindingId::PlaintextFound,
            format!("/p.toml:{line}: secrets.providers.vault.args[{index}]"),
        )
    });
    assert_eq!(places, expected);
}

#[test]
fn a_forgotten_dollar_is_thought_of() {
    for (token, is_thought_of) in [
        ("OPENCLAW_GATEWAY_TOKEN", true),
        ("OPENCLAW", false),
        ("hunter2_token", false),
    ] {
        let findings = audit(&format!("[admin]\ntoken = \"{token}\"\n"), 0o600);
        assert_eq!(told(&findings), ["warning PLAINTEXT_FOUND admin.token"]);
        let Finding {
            evidence, remedy, ..
        } = &findings[0];
        assert_eq!(remedy.contains("write `$` before it"), is_thought_of);
        assert!(!evidence.contains(token) && !remedy.contains(token));
    }
}

#[test]
fn places_are_lines_of_the_config() {
    let findings = audit("[admin]\n\ntoken = \"CANARY\"\n", 0o600);
    let line = BASE.lines().count() + 3;
    assert_eq!(
        findings[0].place.to_string(),
        format!("/p.toml:{line}: admin.token")
    );
}

#[test]
fn guarded_files_are_judged_and_the_worst_comes_first() {
    let (config, lines) = config("");
    let mut facts = facts(0o600, lines);
    let file = |key: &str, guard, mode| GuardedFile {
        what: "a file".into(),
        key: Some(key.to_owned()),
        path: PathBuf::from("/x").join(key),
        guard,
        facts: Look::Seen(FileFacts { owner: 1000, mode }),
    };
    facts.guarded = vec![
        file("good", Guard::Private, 0o600),
        file("group", Guard::Private, 0o640),
        file("all", Guard::Held(Custody::Own), 0o644),
        file("command", Guard::Command, 0o775),
    ];
    assert_eq!(
        told(&audit_secrets(&config, &facts, &[])),
        [
            "critical FILE_MODE_BROAD all",
            "critical FILE_MODE_BROAD command",
            "warning FILE_MODE_BROAD group",
        ]
    );
}

#[test]
fn a_reference_without_a_value_says_who_would_set_it() {
    let (config, lines) = config("[admin]\ntoken = \"$TOKEN\"\n");
    let mut facts = facts(0o600, lines);
    let unresolved = Unresolved {
        key: "admin.token".to_owned(),
        reference: "env:default:TOKEN".to_owned(),
        variable: Some("TOKEN".to_owned()),
        code: "SECRET_REF_NOT_FOUND",
        message: "environment variable `TOKEN` is not set, or blank".to_owned(),
        remedy: "set it".to_owned(),
        owner: None,
    };
    let finding = |facts: &Facts| {
        let found = audit_secrets(&config, facts, std::slice::from_ref(&unresolved));
        let mut found = found.into_iter();
        found
            .find(|finding| finding.id == FindingId::RefUnresolved)
            .unwrap()
    };
    let alone = finding(&facts);
    assert_eq!(alone.severity, Severity::Critical);
    assert_eq!(alone.remedy, "set it");
    assert!(alone.evidence.contains("env:default:TOKEN") && alone.place.has_line());
    facts.units.fragments.push(Fragment {
        unit: "door.service".to_owned(),
        path: "/etc/door.service".into(),
        content: UnitFile::parse("[Service]\nEnvironment=TOKEN=x\n"),
    });
    let remedy = finding(&facts).remedy;
    assert!(remedy.starts_with("/etc/door.service sets it"), "{remedy}");
}

#[test]
fn a_secret_that_is_the_services_own_is_not_said_to_be_missing() {
    let (config, lines) = config("[admin]\ntoken = \"$TOKEN\"\n");
    let mut facts = facts(0o600, lines);
    facts.user = 0;
    facts.config_file = Look::Missing;
    for (owner, holder, expected) in [
        (Some(7), Holder::Service(7), "info NOT_EXAMINED admin.token"),
        (Some(7), Holder::Unknown, "info NOT_EXAMINED admin.token"),
        (
            Some(8),
            Holder::Service(7),
            "critical REF_UNRESOLVED admin.token",
        ),
        (
            Some(7),
            Holder::Service(0),
            "critical REF_UNRESOLVED admin.token",
        ),
        // Root is the service, and refuses it.
        (
            Some(0),
            Holder::Service(0),
            "critical REF_UNRESOLVED admin.token",
        ),
        (None, Holder::Unknown, "critical REF_UNRESOLVED admin.token"),
    ] {
        facts.holder = holder;
        let unresolved = Unresolved {
            key: "admin.token".to_owned(),
            reference: "file:box:value".to_owned(),
            variable: None,
            code: "SECRET_PROVIDER_FAILED",
            message: "/x: it belongs to user 7".to_owned(),
            remedy: "chown it".to_owned(),
            owner,
        };
        let found = told(&audit_secrets(&config, &facts, &[unresolved]));
        assert_eq!(found, [expected], "{owner:?} {holder:?}");
    }
}
