use super::super::rate_limit::Limit;
use super::*;
use crate::secrets::Providers;
use serde_json::json;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

const NOW: UnixMillis = UnixMillis(1_000_000);

fn keeper() -> Keeper {
    Keeper::new(&|_: &str| None, Arc::new(Metrics::new("", "", &[])))
}

fn key() -> CredentialKey {
    CredentialKey {
        folder: None,
        name: "anthropic:a".to_owned(),
    }
}

fn limited() -> Limited {
    Limited {
        limit: Limit::Rate,
        wait: Some(Duration::from_secs(3600)),
    }
}

#[test]
fn who_asks_with_an_older_secret_takes_nothing_from_the_newer_one() {
    let (keeper, key) = (keeper(), key());
    let (older, newer) = (Mark::of_fingerprint("one"), Mark::of_fingerprint("two"));
    keeper.used(&key, &older, NOW);
    assert!(keeper.rejected(&key, &older));
    keeper.used(&key, &newer, NOW);
    assert!(!keeper.fare(&key, &newer).is_rejected);
    keeper.limited(&key, &newer, limited(), NOW);
    assert!(keeper.fare(&key, &older).cooldown.left(NOW).is_none());
    assert!(keeper.fare(&key, &newer).cooldown.left(NOW).is_some());
}

#[test]
fn an_answer_to_a_secret_that_was_replaced_meanwhile_is_not_learnt() {
    let (keeper, key) = (keeper(), key());
    let (older, newer) = (Mark::of_fingerprint("one"), Mark::of_fingerprint("two"));
    keeper.used(&key, &older, NOW);
    keeper.used(&key, &newer, NOW);
    keeper.limited(&key, &older, limited(), NOW);
    keeper.rejected(&key, &older);
    assert_eq!(keeper.fare(&key, &newer).cooldown, Cooldown::default());
    assert!(!keeper.fare(&key, &newer).is_rejected);
    keeper.limited(&key, &newer, limited(), NOW);
    keeper.succeeded(&key, &older, NOW);
    assert!(keeper.fare(&key, &newer).cooldown.left(NOW).is_some());
}

#[test]
fn an_answer_that_an_agent_was_given_is_kept_for_it_alone() {
    let keeper = keeper();
    let answer = |text: &'static str| SavedAnswer {
        status: StatusCode::TOO_MANY_REQUESTS,
        headers: HeaderMap::new(),
        body: Bytes::from_static(text.as_bytes()),
    };
    let last = |agent, provider| {
        let answer = keeper.last_refusal(agent, provider)?;
        Some(answer.body)
    };
    keeper.refused(Some("coder"), "openai", answer("of the coder's account"));
    assert_eq!(last(None, "openai"), None);
    keeper.refused(None, "openai", answer("of the shared account"));
    assert_eq!(last(Some("writer"), "openai"), None);
    assert_eq!(last(Some("coder"), "anthropic"), None);
    let coders = last(Some("coder"), "openai").unwrap();
    assert_eq!(coders, "of the coder's account");
    assert_eq!(last(None, "openai").unwrap(), "of the shared account");
}

#[test]
fn a_limit_of_a_secret_that_was_replaced_is_not_written_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let door = BackDoor {
        client_token: None,
        agents: Vec::new(),
        providers: BTreeMap::new(),
        credential_headers: Vec::new(),
        allowed_hosts: Vec::new(),
        state_dir: Some(folder.to_owned()),
        max_replay_bytes: 0,
        order: BTreeMap::new(),
        secret_providers: Providers::default(),
    };
    let keeper = keeper();
    let key = CredentialKey {
        folder: Some(folder.to_owned()),
        name: "openai:a".to_owned(),
    };
    let put = |profile: serde_json::Value| {
        let sink = json!({"version": 1, "profiles": {"openai:a": profile}});
        let next = folder.join("next");
        fs::write(&next, sink.to_string()).unwrap();
        fs::set_permissions(&next, Permissions::from_mode(0o600)).unwrap();
        fs::rename(next, folder.join("auth-profiles.json")).unwrap();
        keeper.look(&door, Extent::Due);
        let loaded = keeper.known_store(folder).unwrap().loaded();
        let id = ProfileId::parse("openai:a").unwrap();
        loaded.mark_of(loaded.profile(&id).unwrap()).unwrap()
    };
    let written = || keeper.unsaved(Extent::All)[folder]["openai:a"].clone();
    // A login that names no account has nothing that its limits could be written by.
    let login = put(json!({"type": "oauth", "provider": "openai", "access": "a",
        "refresh": "r", "expires": 1_790_000_000_000_u64}));
    keeper.used(&key, &login, NOW);
    keeper.limited(&key, &login, limited(), NOW);
    let usage = written();
    assert!(usage.cooldown_until.is_some() && usage.of.is_none());
    let next = put(json!({"type": "api_key", "provider": "openai", "key": "sk-next"}));
    assert!(next.limits.is_some());
    let usage = written();
    assert_eq!((usage.cooldown_until, usage.of), (None, next.limits));
}

/// A login's limits are its account's, whichever token it shows.
#[test]
fn a_renewed_token_keeps_the_limits_of_its_account() {
    let (keeper, key) = (keeper(), key());
    let of = |refusals: &str| Mark {
        limits: None,
        refusals: Some(refusals.to_owned()),
    };
    keeper.used(&key, &of("one"), NOW);
    keeper.rejected(&key, &of("one"));
    keeper.limited(&key, &of("one"), limited(), NOW);
    keeper.used(&key, &of("two"), NOW);
    let fare = keeper.fare(&key, &of("two"));
    assert!(fare.cooldown.left(NOW).is_some());
    assert!(!fare.is_rejected);
}
