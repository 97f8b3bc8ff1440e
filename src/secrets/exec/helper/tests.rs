use super::service::admit;
use super::wire::Question;
use super::*;
use crate::secrets::{EnvName, ProviderName, SecretId, SecretSource};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

fn provider() -> ExecProvider {
    ExecProvider {
        command: PathBuf::from("/usr/local/bin/resolver"),
        args: vec!["--profile".to_owned(), "prod".to_owned()],
        pass_env: vec![EnvName::parse("PATH").unwrap()],
        env: BTreeMap::from([("A".to_owned(), "b".to_owned())]),
        json_only: true,
        allow_symlink_command: false,
        trusted_dirs: vec![PathBuf::from("/usr/local/bin")],
        profile_ids: BTreeSet::new(),
        timeout: Duration::from_secs(5),
        no_output_timeout: Duration::from_secs(5),
        max_output_bytes: 1 << 20,
    }
}

/// What becomes of a question where the file has `vault`, and nothing else.
fn asked(question: &Question) -> Result<ExecProvider, String> {
    let vault = ProviderName::parse("vault").unwrap();
    let mut look_up = |name: &ProviderName| {
        let unlisted = || Unlisted {
            message: "unlisted".to_owned(),
            remedy: String::new(),
        };
        let ids = ["a/b", "c"].map(|id| match SecretSource::Exec.parse_id(id) {
            Ok(SecretId::Exec(id)) => id,
            other => panic!("{other:?}"),
        });
        let listed = || Listed {
            provider: provider(),
            ids: BTreeSet::from(ids),
        };
        (*name == vault).then(listed).ok_or_else(unlisted)
    };
    let admitted = admit(question, &mut look_up);
    admitted
        .map(|task| task.provider)
        .map_err(|refusal| refusal.message)
}

fn question(asked_for: &ExecProvider) -> Question {
    Question {
        provider: "vault".to_owned(),
        fingerprint: fingerprint(asked_for),
        ids: vec!["a/b".to_owned()],
    }
}

/// A change of one part of a provider.
type Change = fn(&mut ExecProvider);

#[test]
fn nothing_but_what_the_file_holds_is_run() {
    let good = question(&provider());
    assert_eq!(asked(&good), Ok(provider()));
    let changes: [Change; 10] = [
        |it| it.command = PathBuf::from("/bin/sh"),
        |it| it.args = vec!["--profile".to_owned(), "prod; id".to_owned()],
        |it| it.pass_env.clear(),
        |it| drop(it.env.insert("LD_PRELOAD".to_owned(), "/tmp/x".to_owned())),
        |it| it.json_only = false,
        |it| it.allow_symlink_command = true,
        |it| it.trusted_dirs.clear(),
        |it| it.timeout = Duration::from_secs(6),
        |it| it.no_output_timeout = Duration::from_secs(6),
        |it| it.max_output_bytes += 1,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut changed = provider();
        change(&mut changed);
        let message = asked(&question(&changed)).unwrap_err();
        assert!(message.contains("another provider"), "{index}: {message}");
    }
    let other = Question {
        provider: "other".to_owned(),
        ..good.clone()
    };
    assert_eq!(asked(&other).unwrap_err(), "unlisted");
    for (name, id) in [("../vault", "a"), ("vault", "\n"), ("vault", "a b; id")] {
        let odd = Question {
            provider: name.to_owned(),
            ids: vec![id.to_owned()],
            ..good.clone()
        };
        let message = asked(&odd).unwrap_err();
        assert!(
            message.contains("can't be a reference"),
            "{name} {id}: {message}"
        );
    }
}

#[test]
fn only_ids_that_are_listed_are_asked_for() {
    let with = |ids: &[&str]| Question {
        ids: ids.iter().map(|&id| id.to_owned()).collect(),
        ..question(&provider())
    };
    assert_eq!(asked(&with(&["c", "a/b"])), Ok(provider()));
    for ids in [&["prod/root"][..], &["c", "prod/root"], &["a"], &["a/b/c"]] {
        let message = asked(&with(ids)).unwrap_err();
        assert!(message.contains("refers to nowhere"), "{ids:?}: {message}");
    }
    let none = asked(&with(&[])).unwrap_err();
    assert!(none.contains("can't be a reference"), "{none}");
}

#[test]
fn who_takes_no_answers_is_asked_no_more_questions() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_write_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let helper = std::thread::spawn(move || {
        let answers = theirs.try_clone().unwrap();
        let unlisted = |_: &ProviderName| {
            Err(Unlisted {
                message: "unlisted".to_owned(),
                remedy: String::new(),
            })
        };
        let environment = crate::secrets::env::Process;
        serve(theirs, answers, &environment, unlisted)
    });
    let question = question(&provider());
    let blocked = (1..100_000).find(|&number| wire::ask(&mut ours, number, &question).is_err());
    assert!(blocked.is_some(), "every question was taken");
    drop(ours);
    // It waits for nobody who has gone.
    let _ = helper.join().unwrap();
}

#[test]
fn so_many_commands_run_side_by_side_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("resolver");
    fs::write(&script, "#!/bin/sh\nexec sleep 60\n").unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o700)).unwrap();
    let provider = ExecProvider {
        command: script,
        trusted_dirs: Vec::new(),
        timeout: Duration::from_secs(60),
        no_output_timeout: Duration::from_secs(60),
        ..provider()
    };
    let question = question(&provider);
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let patience = Some(Duration::from_secs(20));
    ours.set_read_timeout(patience).unwrap();
    let helper = std::thread::spawn(move || {
        let answers = theirs.try_clone().unwrap();
        let listed = |_: &ProviderName| {
            let Ok(SecretId::Exec(id)) = SecretSource::Exec.parse_id("a/b") else {
                panic!("it is no id of a command");
            };
            Ok(Listed {
                provider: provider.clone(),
                ids: BTreeSet::from([id]),
            })
        };
        serve(theirs, answers, &crate::secrets::env::Process, listed)
    });
    wire::greeted(&mut ours).unwrap();
    for number in 1..=33 {
        wire::ask(&mut ours, number, &question).unwrap();
    }
    // The others have no answer yet.
    let (number, answer) = wire::answered(&mut ours).unwrap().unwrap();
    let refusal = answer.map(|_| ()).unwrap_err();
    assert_eq!(
        (number, refusal.message.as_str()),
        (33, "the helper process runs 32 commands already")
    );
    // They end with it.
    drop(ours);
    helper.join().unwrap().unwrap();
}

#[test]
fn one_list_is_not_taken_for_another() {
    let mut one = provider();
    one.args = vec!["a".to_owned(), "b".to_owned()];
    let mut other = provider();
    other.args = vec!["a\",\"b".to_owned()];
    assert_ne!(fingerprint(&one), fingerprint(&other));
    other.args = vec!["ab".to_owned()];
    assert_ne!(fingerprint(&one), fingerprint(&other));
    assert_eq!(fingerprint(&one), fingerprint(&one.clone()));
}
