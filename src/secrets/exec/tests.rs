use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use super::super::{SecretId, SecretSource};
use super::*;

/// A resolver written for one test.
struct Resolver {
    folder: tempfile::TempDir,
    provider: ExecProvider,
}

impl Resolver {
    /// A shell script that finds its own folder in `$folder`.
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let command = folder.path().join("resolver");
        let text = format!("#!/bin/sh\nfolder=$(pwd)\n{script}\n");
        fs::write(&command, text).unwrap();
        fs::set_permissions(&command, fs::Permissions::from_mode(0o700)).unwrap();
        let provider = ExecProvider {
            command,
            args: Vec::new(),
            pass_env: vec![EnvName::parse("PATH").unwrap()],
            env: BTreeMap::new(),
            json_only: true,
            allow_symlink_command: false,
            trusted_dirs: Vec::new(),
            profile_ids: Default::default(),
            timeout: Duration::from_secs(20),
            no_output_timeout: Duration::from_secs(20),
            max_output_bytes: ExecProvider::DEFAULT_MAX_OUTPUT_BYTES,
        };
        Self { folder, provider }
    }

    fn ask(&self, ids: &[&str]) -> Result<Vec<String>, ExecError> {
        let ids: BTreeSet<ExecId> = ids
            .iter()
            .map(|id| match SecretSource::Exec.parse_id(id).unwrap() {
                SecretId::Exec(id) => id,
                _ => unreachable!("the grammar of commands gives ids of commands"),
            })
            .collect();
        let environment = |name: &str| match name {
            "PATH" => Some("/usr/local/bin:/usr/bin:/bin".into()),
            "LEAKED" => Some("canary".into()),
            _ => None,
        };
        let answers =
            self.provider
                .resolve(&ProviderName::parse("vault").unwrap(), &ids, &environment)?;
        Ok(answers
            .into_values()
            .map(|answer| match answer {
                Ok(value) => value.expose().to_owned(),
                Err(error) => error.code().to_owned(),
            })
            .collect())
    }

    /// What the script left in a file of its folder.
    fn note(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

/// Whether a process runs or waits to be reaped.
fn exists(pid: &str) -> bool {
    !pid.trim().is_empty() && Path::new("/proc").join(pid.trim()).exists()
}

fn waits_to_vanish(pid: &str) -> bool {
    let began = Instant::now();
    while exists(pid) {
        if began.elapsed() > Duration::from_secs(10) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

#[test]
fn gets_the_request_and_answers_in_one_run() {
    let resolver = Resolver::new(
        r#"cat > "$folder/request"; echo run >> "$folder/runs"
        printf '{"protocolVersion":1,"values":{"a/b":"A","c":"C"}}'"#,
    );
    assert_eq!(resolver.ask(&["c", "a/b"]).unwrap(), ["A", "C"]);
    assert_eq!(
        resolver.note("request"),
        r#"{"protocolVersion":1,"provider":"vault","ids":["a/b","c"]}"#
    );
    assert_eq!(resolver.note("runs"), "run\n");
}

#[test]
fn gets_no_variable_descriptor_or_group_of_ours() {
    let mut resolver = Resolver::new(
        r#"env > "$folder/env"
        for fd in /proc/$$/fd/*; do readlink "$fd"; done > "$folder/fds"
        echo "$(pwd) $(cut -d' ' -f5 /proc/$$/stat) $$ $1 $2" > "$folder/facts"
        printf s3cret"#,
    );
    resolver.provider.json_only = false;
    resolver.provider.args = vec!["two words".into(), "$HOME;`id`".into()];
    resolver.provider.env = BTreeMap::from([("EXTRA".into(), "set".into())]);
    // Held open across the run, like a listener or another run's pipe.
    let held = resolver.folder.path().join("held");
    let _held = fs::File::create(&held).unwrap();
    let _listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(resolver.ask(&["a"]).unwrap(), ["s3cret"]);
    let env = resolver.note("env");
    let names: BTreeSet<&str> = env
        .lines()
        .filter_map(|line| line.split('=').next())
        // The shell's own.
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    assert_eq!(names, BTreeSet::from(["EXTRA", "PATH"]), "{env}");
    let fds = resolver.note("fds");
    assert!(fds.contains("pipe:"), "{fds}");
    assert!(!fds.contains("held") && !fds.contains("socket:"), "{fds}");
    let facts = resolver.note("facts");
    let folder = resolver.folder.path().canonicalize().unwrap();
    let mut words = facts.split_whitespace();
    assert_eq!(words.next(), folder.to_str());
    assert_eq!(words.next(), words.next(), "it leads no group of its own");
    assert!(
        facts.trim_end().ends_with("two words $HOME;`id`"),
        "{facts}"
    );
}

#[test]
fn each_way_to_fail_has_its_error() {
    for (script, is_expected) in [
        (
            "echo s3cret >&2; exit 3",
            (|error| matches!(error, ExecError::Failed { end, stderr_bytes: 7 } if end == "exit status 3"))
                as fn(&ExecError) -> bool,
        ),
        (
            "kill -9 $$",
            |error| matches!(error, ExecError::Failed { end, .. } if end == "signal SIGKILL"),
        ),
        ("printf '{'", |error| {
            matches!(error, ExecError::Answer(AnswerProblem::NotJson))
        }),
        ("exit 0", |error| {
            matches!(error, ExecError::Answer(AnswerProblem::Empty))
        }),
    ] {
        let error = Resolver::new(script).ask(&["a"]).unwrap_err();
        assert!(is_expected(&error), "{script}: {error:?}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    let other = Resolver::new(r#"printf '{"protocolVersion":1,"values":{"b":"B"}}'"#);
    assert_eq!(other.ask(&["a"]).unwrap(), ["SECRET_REF_NOT_FOUND"]);
}

#[test]
fn a_command_that_hangs_ends_at_its_deadline_with_its_children() {
    let mut resolver = Resolver::new(
        r#"sleep 1000 & echo $! > "$folder/child"; echo $$ > "$folder/self"; exec sleep 1000"#,
    );
    resolver.provider.timeout = Duration::from_millis(400);
    let error = resolver.ask(&["a"]).unwrap_err();
    assert!(matches!(error, ExecError::TimedOut(_)), "{error:?}");
    assert!(
        !exists(&resolver.note("self")),
        "the command was not reaped"
    );
    assert!(waits_to_vanish(&resolver.note("child")));
}

#[test]
fn a_child_that_keeps_the_pipe_open_is_not_waited_for_beyond_the_deadline() {
    let mut resolver = Resolver::new(
        r#"sleep 1000 & echo $! > "$folder/child"
        printf '{"protocolVersion":1,"values":{"a":"A"}}'"#,
    );
    resolver.provider.timeout = Duration::from_millis(400);
    let error = resolver.ask(&["a"]).unwrap_err();
    assert!(matches!(error, ExecError::TimedOut(_)), "{error:?}");
    assert!(waits_to_vanish(&resolver.note("child")));
}

#[test]
fn a_child_that_is_left_behind_is_killed_after_a_good_answer() {
    let resolver = Resolver::new(
        r#"sleep 1000 >/dev/null 2>&1 & echo $! > "$folder/child"
        printf '{"protocolVersion":1,"values":{"a":"A"}}'"#,
    );
    assert_eq!(resolver.ask(&["a"]).unwrap(), ["A"]);
    assert!(waits_to_vanish(&resolver.note("child")));
}

#[test]
fn silence_has_its_own_bound() {
    let mut resolver = Resolver::new("printf x; exec sleep 1000");
    resolver.provider.no_output_timeout = Duration::from_millis(300);
    let error = resolver.ask(&["a"]).unwrap_err();
    assert!(matches!(error, ExecError::Silent(_)), "{error:?}");
}

#[test]
fn output_is_bounded_over_both_streams() {
    for script in [
        "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done",
        "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx >&2; done",
    ] {
        let mut resolver = Resolver::new(&format!("echo $$ > \"$folder/self\"\n{script}"));
        resolver.provider.max_output_bytes = 10_000;
        let error = resolver.ask(&["a"]).unwrap_err();
        assert!(
            matches!(error, ExecError::TooMuchOutput(10_000)),
            "{error:?}"
        );
        assert!(!exists(&resolver.note("self")));
    }
}

#[test]
fn a_command_that_closes_its_outputs_and_stays_is_ended() {
    let mut resolver = Resolver::new("exec >&- 2>&-; exec sleep 1000");
    resolver.provider.timeout = Duration::from_millis(400);
    let error = resolver.ask(&["a"]).unwrap_err();
    assert!(matches!(error, ExecError::TimedOut(_)), "{error:?}");
}

#[test]
fn a_large_request_does_not_need_to_be_read() {
    let mut resolver = Resolver::new("exec <&-; printf s3cret");
    resolver.provider.json_only = false;
    assert_eq!(resolver.ask(&["a"]).unwrap(), ["s3cret"]);
    let names: Vec<String> = (0..512).map(|n| format!("{n:0>250}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let reads_it = Resolver::new(r#"printf '{"protocolVersion":1,"values":{},"x":%d}' $(wc -c)"#);
    assert_eq!(reads_it.ask(&names).unwrap().len(), 512);
    let ignores_it = Resolver::new(r#"printf '{"protocolVersion":1,"values":{}}'"#);
    assert_eq!(ignores_it.ask(&names).unwrap().len(), 512);
}

#[test]
fn a_command_that_cannot_be_run_says_so() {
    let mut resolver = Resolver::new("");
    fs::set_permissions(
        &resolver.provider.command,
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    let error = resolver.ask(&["a"]).unwrap_err();
    assert!(matches!(error, ExecError::Start { .. }), "{error:?}");
    resolver.provider.command = resolver.folder.path().join("missing");
    let error = resolver.ask(&["a"]).unwrap_err();
    assert!(matches!(error, ExecError::Command { .. }), "{error:?}");
}
