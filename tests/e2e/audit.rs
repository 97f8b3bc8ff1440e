//! `portcullis secrets audit` on real files.

use crate::sidecar::GATEWAY;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const CANARY: &str = "hunter2-Tr0ub4dor";
/// A variable that the tests set nowhere but for the program.
const VARIABLE: &str = "PORTCULLIS_TEST_AUDITED";

/// A host of its own: a config, and a folder of units.
struct Host {
    folder: tempfile::TempDir,
    sections: String,
    config_mode: u32,
    variable: Option<&'static str>,
}

/// What the audit said.
struct Audit {
    code: i32,
    text: String,
    json: Value,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("units")).unwrap();
        Self {
            folder,
            sections: String::new(),
            config_mode: 0o600,
            variable: None,
        }
    }

    fn section(mut self, toml: &str) -> Self {
        let toml = toml.replace("{folder}", &self.folder.path().display().to_string());
        self.sections.push_str(&toml);
        self
    }

    fn config_mode(mut self, mode: u32) -> Self {
        self.config_mode = mode;
        self
    }

    /// Sets [`VARIABLE`] to the canary.
    fn variable(mut self) -> Self {
        self.variable = Some(CANARY);
        self
    }

    fn file(self, name: &str, text: &str, mode: u32) -> Self {
        let path = self.path(name);
        // Whatever the umask, the tests' own folders are no findings.
        let mut folders = fs::DirBuilder::new();
        folders.recursive(true).mode(0o755);
        folders.create(path.parent().unwrap()).unwrap();
        let text = text.replace("{folder}", &self.folder.path().display().to_string());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn folder_mode(self, name: &str, mode: u32) -> Self {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["secrets", "audit"]).args(arguments);
        command.arg("--config").arg(self.path("portcullis.toml"));
        command.arg("--units").arg(self.path("units"));
        command.env_remove(VARIABLE);
        if let Some(value) = self.variable {
            command.env(VARIABLE, value);
        }
        let output = command.output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        for said in [&stdout, &stderr] {
            assert!(
                !said.contains("hunter2") && !said.contains("Tr0ub4dor"),
                "{said}"
            );
        }
        assert_eq!(stderr, "");
        (output.status.code().unwrap(), stdout)
    }

    fn audit(self) -> Audit {
        let text = format!(
            "[listen]\naddress = \"127.0.0.1:8443\"\n[upstream]\nurl = \"http://127.0.0.1:18789\"\n\
             [gateway]{GATEWAY}{}",
            self.sections
        );
        let mode = self.config_mode;
        let host = self.file("portcullis.toml", &text, mode);
        let (without_check, _) = host.run(&[]);
        assert_eq!(without_check, 0);
        let (code, text) = host.run(&["--check"]);
        let (same, json) = host.run(&["--check", "--json"]);
        assert_eq!(code, same);
        Audit {
            code,
            text,
            json: serde_json::from_str(&json).unwrap(),
        }
    }
}

impl Audit {
    /// The exit code, and `severity ID` of each finding; both formats agree.
    fn told(&self) -> (i32, Vec<String>) {
        let findings = self.json["findings"].as_array().unwrap();
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        let told: Vec<_> = findings
            .iter()
            .map(|found| format!("{} {}", word(&found["severity"]), word(&found["id"])))
            .collect();
        let lines: Vec<_> = self.text.lines().collect();
        assert_eq!(lines.len(), told.len() + 1, "{}", self.text);
        for (line, told) in lines.iter().zip(&told) {
            assert!(
                line.starts_with(told.as_str()) && line.contains("; do: "),
                "{line}"
            );
        }
        assert_eq!(self.json["ok"], self.code == 0);
        (self.code, told)
    }
}

const PLAIN: &str = "[admin]\ntoken = \"hunter2-Tr0ub4dor\"\n";
const REFERENCE: &str = "[admin]\ntoken = \"$PORTCULLIS_TEST_AUDITED\"\n";
const KEY_FILE: &str =
    "[gateway.tls]\ncertPath = \"{folder}/cert.pem\"\nkeyPath = \"{folder}/key.pem\"\n";
const SECRET_FILE: &str = "[secrets.providers.main]\nsource = \"file\"\npath = \"{folder}/secret\"\n\
                           mode = \"singleValue\"\n";
const COMMAND: &str =
    "[secrets.providers.vault]\nsource = \"exec\"\ncommand = \"{folder}/bin/vault\"\n";
const RUNS: &str = "[Service]\nExecStart=/usr/local/bin/portcullis run\n";

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn a_host_without_plaintext_is_clean() {
    let audit = Host::new()
        .variable()
        .config_mode(0o644)
        .section(REFERENCE)
        .section(KEY_FILE)
        .section(SECRET_FILE)
        .section(COMMAND)
        .file("key.pem", CANARY, 0o600)
        .file("secret", CANARY, 0o600)
        .file("bin/vault", CANARY, 0o755)
        .file("environment", "PORTCULLIS_TEST_AUDITED=hunter2\n", 0o600)
        .file(
            "units/portcullis.service",
            &format!("{RUNS}EnvironmentFile=-{{folder}}/environment\nEnvironment=RUST_LOG=info\n"),
            0o644,
        )
        .file(
            "units/other.service",
            "[Service]\nExecStart=/bin/true\nEnvironment=TOKEN=hunter2\n",
            0o644,
        )
        .audit();
    assert_eq!(audit.told(), (0, vec![]));
    assert_eq!(audit.text, "0 findings: 0 critical, 0 warning, 0 info\n");
}

#[test]
fn plaintext_and_files_open_to_others_are_findings() {
    for (host, expected) in [
        (Host::new().section(PLAIN), &["warning PLAINTEXT_FOUND"][..]),
        (
            Host::new().section(PLAIN).config_mode(0o644),
            &["critical PLAINTEXT_FOUND", "critical FILE_MODE_BROAD"],
        ),
        (
            Host::new()
                .section(COMMAND)
                .section("env = { VAULT_TOKEN = \"hunter2-Tr0ub4dor\" }\n"),
            &["warning PLAINTEXT_FOUND"],
        ),
        (
            Host::new()
                .section(COMMAND)
                .section("args = [\"--token=hunter2\", \"--password\", \"hunter2\"]\n"),
            &["critical PLAINTEXT_FOUND", "critical PLAINTEXT_FOUND"],
        ),
        (
            Host::new().config_mode(0o664),
            &["critical FILE_MODE_BROAD"],
        ),
        (
            Host::new().section(KEY_FILE).file("key.pem", CANARY, 0o640),
            &["warning FILE_MODE_BROAD"],
        ),
        (
            Host::new().section(KEY_FILE).file("key.pem", CANARY, 0o644),
            &["critical FILE_MODE_BROAD"],
        ),
        (
            Host::new()
                .section(SECRET_FILE)
                .file("secret", CANARY, 0o644),
            &["critical FILE_MODE_BROAD"],
        ),
        (
            Host::new()
                .section(SECRET_FILE)
                .section("mountedVolume = true\n")
                .file("secret", CANARY, 0o664),
            &["critical FILE_MODE_BROAD"],
        ),
        (
            Host::new()
                .section(COMMAND)
                .file("bin/vault", CANARY, 0o775),
            &["critical FILE_MODE_BROAD"],
        ),
        (
            Host::new()
                .section(COMMAND)
                .file("bin/vault", CANARY, 0o755)
                .folder_mode("", 0o775),
            &["critical FILE_MODE_BROAD"],
        ),
    ] {
        let sections = host.sections.clone();
        let expected: Vec<_> = expected.iter().map(|&told| told.to_owned()).collect();
        assert_eq!(host.audit().told(), (1, expected), "{sections}");
    }
}

#[test]
fn files_of_another_user_are_findings() {
    // Only root can give a file away.
    if !is_root() {
        return;
    }
    let host = || {
        let host = Host::new().section(KEY_FILE).file("key.pem", CANARY, 0o600);
        std::os::unix::fs::chown(host.path("key.pem"), Some(65534), None).unwrap();
        host
    };
    // Nothing shows as whom Portcullis runs.
    assert_eq!(
        host().audit().told(),
        (0, vec!["info NOT_EXAMINED".to_owned()])
    );
    let unit = "[Service]\nUser=root\nExecStart=/usr/bin/portcullis run\n";
    let audit = host().file("units/portcullis.service", unit, 0o644).audit();
    assert_eq!(
        audit.told(),
        (1, vec!["warning FILE_MODE_BROAD".to_owned()])
    );
    assert!(
        audit
            .text
            .contains("belongs to user 65534, and Portcullis runs as user 0")
            && audit.text.contains("chown it to root or that user")
            && !audit.text.contains("open to others"),
        "{}",
        audit.text
    );
}

#[test]
fn a_unit_tells_every_user_what_it_sets() {
    let environment = "Environment=A=1 \\\n  \"PORTCULLIS_TEST_AUDITED=hunter2 Tr0ub4dor\"\n";
    let audit = Host::new()
        .variable()
        .section(REFERENCE)
        .file("units/door.service", RUNS, 0o644)
        .file(
            "units/door.service.d/override.conf",
            &format!("[Service]\n{environment}"),
            0o600,
        )
        .file("environment", "export API_KEY='hunter2'\n", 0o644)
        .file(
            "units/two.service",
            &format!(
                "{RUNS}EnvironmentFile={{folder}}/environment\nEnvironmentFile=-/nonexistent\n"
            ),
            0o644,
        )
        .audit();
    assert_eq!(
        audit.told(),
        (
            1,
            vec![
                "critical UNIT_ENVIRONMENT".to_owned(),
                "critical FILE_MODE_BROAD".to_owned()
            ]
        )
    );
    let place = &audit.json["findings"][0]["place"];
    let file = Path::new(place["file"].as_str().unwrap());
    assert!(file.ends_with("door.service.d/override.conf"), "{place}");
    assert_eq!(place["line"], 2);
    assert!(
        audit
            .text
            .contains("`PORTCULLIS_TEST_AUDITED`, which `admin.token` reads"),
        "{}",
        audit.text
    );
}

#[test]
fn a_reference_without_a_value_counts_before_all_else() {
    let alone = Host::new().section(REFERENCE).audit();
    assert_eq!(
        alone.told(),
        (2, vec!["critical REF_UNRESOLVED".to_owned()])
    );
    assert!(
        alone.text.contains("SECRET_REF_NOT_FOUND") && alone.text.contains(": admin.token: "),
        "{}",
        alone.text
    );
    let with_others = Host::new()
        .section(REFERENCE)
        .section("[models]\nclientToken = \"hunter2-Tr0ub4dor\"\n")
        .section(KEY_FILE)
        .file("key.pem", CANARY, 0o640)
        .audit();
    assert_eq!(
        with_others.told(),
        (
            2,
            vec![
                "critical REF_UNRESOLVED".to_owned(),
                "warning PLAINTEXT_FOUND".to_owned(),
                "warning FILE_MODE_BROAD".to_owned(),
            ]
        )
    );
}

#[test]
fn what_would_never_end_is_told_of_and_not_waited_for() {
    let pipe = |host: &Host, name: &str| {
        nix::unistd::mkfifo(&host.path(name), nix::sys::stat::Mode::S_IRUSR).unwrap();
    };
    let host = Host::new().file(
        "units/door.service",
        &format!("{RUNS}EnvironmentFile={{folder}}/pipe\n"),
        0o644,
    );
    pipe(&host, "pipe");
    pipe(&host, "units/other.service");
    symlink("/dev/zero", host.path("units/zero.service")).unwrap();
    assert_eq!(
        host.audit().told(),
        (0, vec!["info NOT_EXAMINED".to_owned(); 3])
    );
}

#[test]
fn a_folder_that_is_not_there_is_told_of_and_no_failure() {
    let host = Host::new();
    fs::remove_dir(host.path("units")).unwrap();
    assert_eq!(
        host.audit().told(),
        (0, vec!["info NOT_EXAMINED".to_owned()])
    );
}

#[test]
fn a_bad_configuration_is_told_of_as_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portcullis.toml");
    fs::write(&path, format!("[admin]\ntoken = [\"{CANARY}\"]\n")).unwrap();
    for arguments in [&["--check"][..], &[], &["--json"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["secrets", "audit"])
            .args(arguments)
            .arg("--config")
            .arg(&path)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
        assert!(
            said.contains(":2:9: admin.token: ") && !said.contains("hunter2"),
            "{said}"
        );
    }
}
