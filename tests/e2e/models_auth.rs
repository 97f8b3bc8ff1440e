//! Logins, pasted keys and their order, as the user meets them.

mod login;

use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// A folder with a sink, away from every configuration.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command
            .args(["models", "auth"])
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in [
            "PORTCULLIS_CONFIG",
            "CLAUDE_CONFIG_DIR",
            "DISPLAY",
            "WAYLAND_DISPLAY",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command on the sink in `state`, with this on its standard input.
    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let arguments = [arguments, &["--state-dir", "state"]].concat();
        let mut child = self
            .command(&arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        // It may have ended without reading.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// As [`Home::run`], for what must go well; gives back what was printed.
    fn good(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        text(&output.stdout)
    }

    /// As [`Home::run`], for what must be refused; gives back why.
    fn bad(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        text(&output.stderr)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state/auth-profiles.json")
    }

    fn sink(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path()).unwrap()).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn endpoints_on_other_hosts_must_be_encrypted() {
    let home = Home::new();
    let output = home.run(
        &[
            "login",
            "--provider",
            "openai-codex",
            "--token-url",
            "http://192.0.2.1/token",
        ],
        "",
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("expected https"));
}

#[test]
fn a_provider_without_a_login_says_what_to_do_instead() {
    let home = Home::new();
    for (provider, words) in [
        ("google", "models auth paste-token --provider google"),
        ("anthropic", "models auth setup-token"),
        ("acme", "expected one of anthropic, "),
    ] {
        let said = home.bad(&["login", "--provider", provider], "");
        assert!(said.contains(words), "{said}");
    }
    let said = home.bad(&["login", "--provider", "openai", "--method", "cli"], "");
    assert!(said.contains("expected anthropic"), "{said}");
}

#[test]
fn keys_and_tokens_are_checked_before_they_are_stored() {
    let home = Home::new();
    let setup = format!("sk-ant-oat01-{}", "c".repeat(70));
    let paste =
        |arguments: &[&str], input: &str| home.good(&[&["paste-token"], arguments].concat(), input);
    assert_eq!(
        home.good(
            &["setup-token", "--expires-in", "365d"],
            &format!("  {setup}\n")
        ),
        "stored: anthropic:default (token, expires in 364 days)\n"
    );
    assert_eq!(
        paste(
            &["--provider", "openai", "--profile-name", "work"],
            "sk-key\n"
        ),
        "stored: openai:work (api_key)\n"
    );
    assert_eq!(
        paste(&["--provider", "anthropic", "--profile-name", "b"], &setup),
        "stored: anthropic:b (token)\n"
    );
    assert_eq!(
        paste(&["--provider", "mistral", "--kind", "token"], "bearer"),
        "stored: mistral:default (token)\n"
    );
    let sink = home.sink();
    assert_eq!(sink["profiles"]["anthropic:default"]["token"], setup);
    assert_eq!(sink["profiles"]["openai:work"]["key"], "sk-key");

    let short = "sk-ant-oat01-canary";
    for (arguments, input, words) in [
        (&["setup-token"][..], short, "got 19 characters"),
        (&["setup-token"], "sk-canary", "got another beginning"),
        (&["setup-token"], "", "got nothing"),
        (
            &["paste-token", "--provider", "openai"],
            " \n",
            "got nothing",
        ),
        (
            &["paste-token", "--provider", "openai"],
            "canary\ncanary",
            "white space",
        ),
        (
            &["paste-token", "--provider", "openai"],
            "canary-\u{e9}",
            "other than ASCII",
        ),
        (
            &["paste-token", "--provider", "openai"],
            "sk-ant-canary",
            "credential of anthropic",
        ),
        (
            &["paste-token", "--provider", "anthropic"],
            short,
            "got 19 characters",
        ),
        (
            &[
                "paste-token",
                "--provider",
                "anthropic",
                "--kind",
                "api-key",
            ],
            &setup,
            "leave --kind out",
        ),
        (
            &["paste-token", "--provider", "openai-codex"],
            "canary",
            "logins alone",
        ),
        (
            &["paste-token", "--provider", "acme"],
            "canary",
            "expected one of",
        ),
        (
            &[
                "paste-token",
                "--provider",
                "openai",
                "--profile-name",
                "a/b",
            ],
            "canary",
            "--profile-name",
        ),
    ] {
        let said = home.bad(arguments, input);
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert!(!said.contains("canary"), "{said}");
    }
    assert_eq!(home.sink(), sink);
}

#[test]
fn order_and_logout_take_profiles_that_are_there() {
    let home = Home::new();
    for name in ["a", "b", "c"] {
        let named = [
            "paste-token",
            "--provider",
            "openai",
            "--profile-name",
            name,
        ];
        home.good(&named, "sk-1");
    }
    home.good(
        &["paste-token", "--provider", "groq", "--set-default"],
        "gsk",
    );
    fn order<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        [&["order"], arguments].concat()
    }
    let get = order(&["get", "--provider", "openai"]);
    assert_eq!(home.good(&get, ""), "");
    home.good(
        &order(&["set", "--provider", "openai", "openai:b", "openai:a"]),
        "",
    );
    assert_eq!(home.good(&get, ""), "openai:b\nopenai:a\n");
    let printed: Value =
        serde_json::from_str(&home.good(&order(&["get", "--provider", "openai", "--json"]), ""))
            .unwrap();
    assert_eq!(
        printed,
        json!({"provider": "openai", "order": ["openai:b", "openai:a"]})
    );
    for (ids, words) in [
        (&["openai:d"][..], "no such profile"),
        (&["openai:a", "openai:a"], "twice"),
        (&["groq:default"], "it is for `groq`"),
    ] {
        let set = order(&["set", "--provider", "openai"]);
        let said = home.bad(&[&set, ids].concat(), "");
        assert!(said.contains(words), "{said}");
    }
    let again = [
        "paste-token",
        "--provider=openai",
        "--profile-name=c",
        "--set-default",
    ];
    home.good(&again, "sk-2");
    assert_eq!(home.good(&get, ""), "openai:c\nopenai:b\nopenai:a\n");
    let unlisted = ["paste-token", "--provider=openai", "--profile-name=d"];
    let output = home.run(&unlisted, "sk-3");
    let said = text(&output.stderr);
    assert!(
        output.status.success() && said.contains("not in the order of openai"),
        "{said}"
    );
    home.good(&["logout", "openai:d"], "");
    assert_eq!(
        home.good(&["logout", "openai:b"], ""),
        "logged out: openai:b\n"
    );
    assert_eq!(home.good(&get, ""), "openai:c\nopenai:a\n");
    home.good(&order(&["clear", "--provider", "openai"]), "");
    assert_eq!(home.good(&get, ""), "");
    assert!(
        home.bad(&["logout", "openai:b"], "")
            .contains("no such profile")
    );
    let all = home.good(&["logout", "--provider", "openai"], "");
    assert_eq!(all, "logged out: openai:a, openai:c\n");
    assert!(
        home.bad(&["logout", "--provider", "openai"], "")
            .contains("no profile")
    );
    assert_eq!(home.sink()["order"], json!({"groq": ["groq:default"]}));
}

#[test]
fn a_login_of_claude_is_read_from_its_file_each_time() {
    let home = Home::new();
    let cli = [
        "login",
        "--provider",
        "anthropic",
        "--method",
        "cli",
        "--set-default",
    ];
    let said = home.bad(&cli, "");
    assert!(
        said.contains(".claude/.credentials.json") && said.contains("--file"),
        "{said}"
    );
    let folder = home.folder.path().join(".claude");
    let file = folder.join(".credentials.json");
    std::fs::create_dir(&folder).unwrap();
    let write = |expires: u64| {
        let login = json!({"claudeAiOauth": {"accessToken": "sk-ant-oat01-canary",
            "refreshToken": "canary", "expiresAt": expires}});
        std::fs::write(&file, login.to_string()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write(4_000_000_000_000);
    let printed = home.good(&cli, "");
    assert!(
        printed.starts_with("logged in: anthropic:claude-cli ("),
        "{printed}"
    );
    let sink = std::fs::read_to_string(home.path()).unwrap();
    assert!(!sink.contains("canary"), "{sink}");
    assert_eq!(
        home.sink()["profiles"]["anthropic:claude-cli"],
        json!({"type": "token", "provider": "anthropic", "managedBy": "claude-cli", "file": file})
    );
    assert_eq!(
        home.sink()["order"]["anthropic"],
        json!(["anthropic:claude-cli"])
    );
    let listed = |words: &str| {
        let listed = home.good(&["list"], "");
        assert!(
            listed.contains(words) && !listed.contains("canary"),
            "{listed}"
        );
    };
    listed("external  ready");
    write(1_000);
    listed("external  expired");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    listed("external  unresolved");
}

#[test]
fn a_name_is_not_taken_from_a_key_by_a_login_and_what_is_damaged_stays() {
    let home = Home::new();
    home.good(&["paste-token", "--provider", "openai"], "sk-1");
    let said = home.bad(&["login", "--provider", "openai", "--no-browser"], "");
    assert!(
        said.contains("`openai:default` is there already, as api_key"),
        "{said}"
    );
    std::fs::write(home.path(), "{\"version\":1,\"profiles\":{\"canary").unwrap();
    for arguments in [
        &["paste-token", "--provider", "openai"][..],
        &["list"],
        &["logout", "openai:default"],
        &["login", "--provider", "openai-codex"],
        &["order", "get", "--provider", "openai"],
    ] {
        let said = home.bad(arguments, "sk-2");
        assert!(
            said.contains("it is left as it is") && !said.contains("canary"),
            "{said}"
        );
    }
    let left = std::fs::read_to_string(home.path()).unwrap();
    assert_eq!(left, "{\"version\":1,\"profiles\":{\"canary");
}

#[test]
fn what_many_processes_store_at_once_is_all_there() {
    let home = Home::new();
    let children: Vec<Child> = (0..12)
        .map(|number| {
            let name = format!("--profile-name={number}");
            let mut child = home
                .command(&[
                    "paste-token",
                    "--provider=openai",
                    &name,
                    "--state-dir=state",
                ])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(b"sk-1").unwrap();
            child
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    assert_eq!(home.sink()["profiles"].as_object().unwrap().len(), 12);
    let left = std::fs::read_dir(home.path().parent().unwrap()).unwrap();
    let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn the_configuration_says_where_the_profiles_of_each_agent_are() {
    let home = Home::new();
    let at = |name: &str| home.folder.path().join(name).display().to_string();
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:8443\"\n[upstream]\nurl = \"http://127.0.0.1:9\"\n\
         [gateway]{}\n[models]\nlisten = \"127.0.0.1:8790\"\nstateDir = \"{}\"\n\
         clientToken = \"$CLIENT_TOKEN\"\n[agents.work]\nclientToken = \"$WORK_TOKEN\"\nstateDir = \"{}\"\n",
        crate::sidecar::GATEWAY,
        at("state"),
        at("work")
    );
    std::fs::write(home.folder.path().join("portcullis.toml"), config).unwrap();
    let run = |further: &[&str]| {
        let arguments = [&["paste-token", "--provider", "openai"], further].concat();
        let mut child = home
            .command(&arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(b"sk-1");
        child.wait_with_output().unwrap()
    };
    let output = run(&["--agent", "work"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(home.folder.path().join("work/auth-profiles.json").exists());
    assert!(!home.path().exists());
    assert!(run(&[]).status.success());
    assert!(home.path().exists());
    let output = run(&["--agent", "play"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--agent: got `play`"));
}
