use super::*;
use crate::credentials::{Held, Login, OAuthTokens};
use crate::secrets::SecretValue;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicUsize, Ordering};

fn folder() -> (tempfile::TempDir, TokenSink) {
    let folder = tempfile::tempdir().unwrap();
    let sink = TokenSink::new(folder.path().to_owned());
    (folder, sink)
}

fn write(sink: &TokenSink, text: impl AsRef<[u8]>) {
    fs::write(sink.path(), text).unwrap();
    set_mode(&sink.path(), 0o600);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn json_of(sink: &TokenSink) -> Value {
    serde_json::from_slice(&fs::read(sink.path()).unwrap()).unwrap()
}

fn id(text: &str) -> ProfileId {
    ProfileId::parse(text).unwrap()
}

fn secret(text: &str) -> SecretValue {
    SecretValue::new(text.to_owned())
}

fn key(name: &str) -> Profile {
    Profile {
        id: id(name),
        provider: "openai".to_owned(),
        login: Login::ApiKey(Held::Value(secret("sk-1"))),
        email: None,
    }
}

fn login(name: &str) -> Profile {
    Profile {
        id: id(name),
        provider: "openai-codex".to_owned(),
        login: Login::OAuth(OAuthTokens {
            access: secret("access-1"),
            refresh: Some(secret("refresh-1")),
            expires: UnixMillis(1_790_000_000_000),
            obtained: Some(UnixMillis(1_780_000_000_000)),
            account_id: Some("account".to_owned()),
            attempt: None,
            needs_login: None,
        }),
        email: Some("nick@example.com".to_owned()),
    }
}

#[test]
fn a_missing_file_or_folder_holds_nothing_and_a_change_makes_both_private() {
    let (folder, sink) = folder();
    assert_eq!(sink.read().unwrap(), Sink::default());
    let sink = TokenSink::new(folder.path().join("a/b"));
    assert_eq!(sink.read().unwrap(), Sink::default());
    sink.update(|draft| draft.put_profile(&login("openai:default")))
        .unwrap();
    assert_eq!(mode(sink.folder()), 0o700);
    assert_eq!(mode(&sink.path()), 0o600);
    assert_eq!(mode(&sink.folder().join("auth-profiles.json.lock")), 0o600);
    let read = sink.read().unwrap();
    assert_eq!(read.profiles, [Entry::Usable(login("openai:default"))]);
}

#[test]
fn every_kind_of_profile_is_read_as_it_was_written() {
    use crate::credentials::profile::{ExternalLogin, ExternalProgram};
    use crate::secrets::{ProviderName, SecretRef, SecretSource};
    let (_folder, sink) = folder();
    let reference = SecretRef {
        provider: ProviderName::fallback(),
        id: SecretSource::Env.parse_id("KEY").unwrap(),
    };
    let with = |name: &str, login| Profile { login, ..key(name) };
    let expires = Some(UnixMillis(7));
    let profiles = [
        Profile {
            provider: "anthropic".to_owned(),
            ..with(
                "a:external",
                Login::External(ExternalLogin {
                    program: ExternalProgram::ClaudeCli,
                    file: "/home/x/.claude/.credentials.json".into(),
                }),
            )
        },
        key("a:key"),
        login("a:oauth"),
        with("a:ref", Login::ApiKey(Held::Ref(reference.clone()))),
        with(
            "a:token",
            Login::Token {
                token: Held::Value(secret("t")),
                expires,
            },
        ),
        with(
            "a:tokenref",
            Login::Token {
                token: Held::Ref(reference),
                expires: None,
            },
        ),
    ];
    sink.update(|draft| profiles.iter().for_each(|it| draft.put_profile(it)))
        .unwrap();
    let read = sink.read().unwrap();
    assert_eq!(read.profiles, profiles.map(Entry::Usable));
}

#[test]
fn a_damaged_file_is_told_and_never_touched() {
    let (_folder, sink) = folder();
    for text in [
        "",
        "canary",
        "[]",
        "{}",
        "null",
        r#"{"version":2,"profiles":{}}"#,
        r#"{"version":"1","profiles":{}}"#,
        r#"{"version":1,"profiles":[]}"#,
        r#"{"version":1,"profiles":null}"#,
        r#"{"version":1,"order":5}"#,
        r#"{"version":1,"profiles":{}"#,
    ] {
        write(&sink, text);
        for error in [
            sink.read().unwrap_err(),
            sink.update(|draft| draft.put_profile(&key("openai:new")))
                .unwrap_err(),
        ] {
            assert!(matches!(error, SinkError::Damaged { .. }), "{text}");
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
        assert_eq!(fs::read(sink.path()).unwrap(), text.as_bytes());
    }
    write(&sink, vec![b' '; MAX_BYTES as usize + 1]);
    assert!(matches!(sink.read(), Err(SinkError::File(_))));
}

#[test]
fn a_file_or_folder_that_others_could_read_or_change_is_refused() {
    let (folder, sink) = folder();
    for (of_folder, of_file, good) in [
        (0o700, 0o600, true),
        (0o755, 0o600, true),
        (0o700, 0o400, true),
        (0o700, 0o640, false),
        (0o700, 0o604, false),
        (0o770, 0o600, false),
        (0o702, 0o600, false),
        (0o1777, 0o600, false),
    ] {
        write(&sink, r#"{"version":1}"#);
        set_mode(&sink.path(), of_file);
        set_mode(folder.path(), of_folder);
        let read = sink.read();
        let changed = sink.update(|draft| draft.set_order("openai", &[id("openai:a")]));
        assert_eq!(read.is_ok(), good, "{of_folder:o} {of_file:o}");
        assert_eq!(changed.is_ok(), good, "{of_folder:o} {of_file:o}");
        set_mode(folder.path(), 0o700);
    }
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(sink.path(), &elsewhere).unwrap();
    symlink(&elsewhere, sink.path()).unwrap();
    assert!(matches!(sink.read(), Err(SinkError::File(_))));
}

#[test]
fn nothing_is_written_where_nothing_changes() {
    let (_folder, sink) = folder();
    write(&sink, r#"{"version":1,"profiles":{},"order":{}}"#);
    let before = fs::metadata(sink.path()).unwrap().ino();
    sink.update(|draft| {
        draft.set_order("openai", &[]);
        draft.set_usage(&BTreeMap::from([("a:b".to_owned(), Usage::default())]));
        assert!(!draft.remove_profile("openai:none"));
    })
    .unwrap();
    assert_eq!(fs::metadata(sink.path()).unwrap().ino(), before);
    assert_eq!(
        json_of(&sink),
        json!({"version": 1, "profiles": {}, "order": {}})
    );
}

#[test]
fn what_a_killed_writer_left_goes_with_the_next_change() {
    let (folder, sink) = folder();
    let left = folder.path().join("auth-profiles.json.Abc123.tmp");
    let other = folder.path().join("other.tmp");
    fs::write(&left, "canary").unwrap();
    fs::write(&other, "").unwrap();
    sink.update(|draft| draft.put_profile(&key("openai:a")))
        .unwrap();
    assert!(!left.exists() && other.exists());
}

#[test]
fn a_profile_that_goes_is_named_nowhere_any_more() {
    let (_folder, sink) = folder();
    let (a, b) = (id("openai:a"), id("openai:b"));
    let used = Usage {
        last_used: Some(UnixMillis(5)),
        cooldown_until: Some(UnixMillis(9)),
        error_count: 2,
        of: Some("d2b2c54f".to_owned()),
    };
    sink.update(|draft| {
        draft.put_profile(&key("openai:a"));
        draft.put_profile(&key("openai:b"));
        draft.set_order("openai", &[a.clone(), b.clone()]);
        draft.set_order("other", std::slice::from_ref(&a));
        draft.set_last_good("openai", &a);
        draft.set_usage(&BTreeMap::from([(a.to_string(), used.clone())]));
    })
    .unwrap();
    let read = sink.read().unwrap();
    assert_eq!(read.order["openai"], [a.clone(), b.clone()]);
    assert_eq!(read.last_good["openai"], a);
    assert_eq!(read.usage["openai:a"], used);
    assert!(
        sink.update(|draft| draft.remove_profile("openai:a"))
            .unwrap()
    );
    let read = sink.read().unwrap();
    assert_eq!(read.profiles.len(), 1);
    assert_eq!(read.order, BTreeMap::from([("openai".to_owned(), vec![b])]));
    assert!(read.last_good.is_empty() && read.usage.is_empty());
}

#[test]
fn unknown_fields_stay_and_known_ones_of_another_kind_go() {
    let (_folder, sink) = folder();
    write(
        &sink,
        r#"{"version":1,"theirs":[1.5],"profiles":{
            "openai:a":{"type":"token","provider":"openai","token":"t","theirs":{"x":null}},
            "odd":{"type":"magic"}},
            "usageStats":{"openai:a":{"errorCount":1,"disabledUntil":7,"lastUsed":3}}}"#,
    );
    sink.update(|draft| {
        draft.put_profile(&key("openai:a"));
        draft.set_usage(&BTreeMap::from([(
            "openai:a".to_owned(),
            Usage {
                last_used: Some(UnixMillis(4)),
                ..Usage::default()
            },
        )]));
    })
    .unwrap();
    assert_eq!(
        json_of(&sink),
        json!({"version": 1, "theirs": [1.5], "profiles": {
            "openai:a": {"type": "api_key", "provider": "openai", "key": "sk-1",
                "theirs": {"x": null}},
            "odd": {"type": "magic"}},
            "usageStats": {"openai:a": {"disabledUntil": 7, "lastUsed": 4}}})
    );
}

#[test]
fn a_refresh_changes_the_login_whose_refresh_token_was_sent_and_no_other() {
    let (_folder, sink) = folder();
    let name = id("openai:default");
    sink.update(|draft| draft.put_profile(&login("openai:default")))
        .unwrap();
    let tokens = || match sink.read().unwrap().profile(&name).unwrap().login.clone() {
        Login::OAuth(tokens) => tokens,
        other => panic!("{other:?}"),
    };
    let (sent, other) = (secret("refresh-1"), secret("refresh-0"));
    let now = UnixMillis(5);
    let begin = |sent| sink.update(|draft| draft.begin_refresh(&name, sent, now));
    assert!(!begin(&other).unwrap());
    assert!(begin(&sent).unwrap());
    assert!(tokens().is_attempted());
    assert!(
        sink.update(|draft| draft.end_attempt(&name, &sent))
            .unwrap()
    );
    assert!(tokens().can_refresh());
    assert!(begin(&sent).unwrap());
    let refuse = |sent| sink.update(|draft| draft.refuse_refresh(&name, sent, "gone", now));
    assert!(!refuse(&other).unwrap());
    assert!(refuse(&sent).unwrap());
    assert_eq!(tokens().needs_login.as_deref(), Some("gone"));
    let new = OAuthTokens {
        access: secret("access-2"),
        refresh: Some(secret("refresh-2")),
        needs_login: None,
        ..tokens()
    };
    let finish = |sent| sink.update(|draft| draft.finish_refresh(&name, sent, &new));
    assert!(!finish(&other).unwrap());
    assert!(finish(&sent).unwrap());
    assert_eq!(tokens(), new);
    // The answer to what was sent before came late.
    assert!(!finish(&sent).unwrap());
    assert_eq!(
        json_of(&sink)["profiles"]["openai:default"]["email"],
        "nick@example.com"
    );
}

#[test]
fn changes_of_many_at_once_are_all_made() {
    let (_folder, sink) = folder();
    let inside = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (sink, inside) = (sink.clone(), &inside);
            scope.spawn(move || {
                for round in 0..4 {
                    sink.update(|draft| {
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        draft.put_profile(&key(&format!("openai:{worker}-{round}")));
                        inside.fetch_sub(1, Ordering::SeqCst);
                    })
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(sink.read().unwrap().profiles.len(), 32);
}

#[test]
fn a_lock_that_another_holds_is_waited_for_and_then_told() {
    let (_folder, sink) = folder();
    let lock = FileLock::try_take(&sink.lock_of(NAME).unwrap()).unwrap();
    let lock = lock.unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| sink.update(|draft| draft.put_profile(&key("openai:a"))));
        std::thread::sleep(Duration::from_millis(100));
        assert!(!waiting.is_finished() && !sink.path().exists());
        drop(lock);
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(sink.read().unwrap().profiles.len(), 1);
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_change_keeps_all_that_it_does_not_change(
        top in proptest::collection::btree_map("x[a-z]{0,5}", json_values(), 0..4),
        theirs in proptest::collection::btree_map("[a-z:]{1,9}", json_values(), 0..4),
    ) {
        let (_folder, sink) = folder();
        let mut document = json!({"version": 1, "profiles": theirs});
        document.as_object_mut().unwrap().extend(top);
        write(&sink, document.to_string());
        let read = sink.read().unwrap();
        prop_assert_eq!(read.profiles.len(), document["profiles"].as_object().unwrap().len());
        sink.update(|draft| draft.put_profile(&key("openai:A"))).unwrap();
        let mut after = json_of(&sink);
        let added = after["profiles"].as_object_mut().unwrap().remove("openai:A");
        prop_assert!(added.is_some());
        prop_assert_eq!(after, document);
    }
}
