use super::*;
use crate::credentials::Entry;
use crate::credentials::provider::{CODEX, known};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
const HOUR: u64 = 3_600_000;

type Answer = dyn Fn(usize) -> Result<Response<Vec<u8>>, Unanswered> + Send + Sync;

/// A token server that rotates refresh tokens, and takes each once.
#[derive(Clone)]
struct Server {
    used: Arc<Mutex<BTreeMap<String, usize>>>,
    answer: Arc<Answer>,
    delay: Duration,
}

impl Server {
    fn new(
        answer: impl Fn(usize) -> Result<Response<Vec<u8>>, Unanswered> + Send + Sync + 'static,
    ) -> Self {
        Self {
            used: Arc::default(),
            answer: Arc::new(answer),
            delay: Duration::ZERO,
        }
    }

    fn rotating() -> Self {
        Self::new(|count| {
            Ok(answer(
                200,
                &json!({"access_token": format!("access-{}", count + 1), "token_type": "Bearer",
                    "refresh_token": format!("refresh-{}", count + 1), "expires_in": 3600})
                .to_string(),
            ))
        })
    }

    fn failing(status: u16, body: &'static str) -> Self {
        Self::new(move |_| Ok(answer(status, body)))
    }

    async fn refresh(
        &self,
        sink: &TokenSink,
        unfit: Option<&str>,
        now: UnixMillis,
    ) -> Result<Profile, RefreshError> {
        let settings = known(CODEX).unwrap().login.unwrap().settings();
        let http = |request: Request<Vec<u8>>| {
            let fields: BTreeMap<_, _> = url::form_urlencoded::parse(request.body())
                .into_owned()
                .collect();
            assert_eq!(fields["grant_type"], "refresh_token");
            let server = self.clone();
            async move {
                sleep(server.delay).await;
                let count = {
                    let mut used = server.used.lock().unwrap();
                    *used.entry(fields["refresh_token"].clone()).or_default() += 1;
                    used.values().sum()
                };
                (server.answer)(count)
            }
        };
        let unfit = unfit.map(secret);
        refresh(sink, &id(), unfit.as_ref(), &settings, &http, || now).await
    }

    fn used(&self) -> Vec<(String, usize)> {
        self.used.lock().unwrap().clone().into_iter().collect()
    }
}

fn answer(status: u16, body: &str) -> Response<Vec<u8>> {
    let mut answer = Response::new(body.as_bytes().to_vec());
    *answer.status_mut() = status.try_into().unwrap();
    answer
}

fn id() -> ProfileId {
    ProfileId::parse("openai-codex:default").unwrap()
}

fn secret(text: &str) -> SecretValue {
    SecretValue::new(text.to_owned())
}

fn profile(expires: u64) -> Profile {
    Profile {
        id: id(),
        provider: CODEX.to_owned(),
        login: Login::OAuth(OAuthTokens {
            access: secret("access-1"),
            refresh: Some(secret("refresh-1")),
            expires: UnixMillis(expires),
            obtained: None,
            account_id: Some("acc".to_owned()),
            attempt: None,
            needs_login: None,
        }),
        email: None,
    }
}

fn sink(expires: u64) -> (tempfile::TempDir, TokenSink) {
    let folder = tempfile::tempdir().unwrap();
    let sink = TokenSink::new(folder.path().to_owned());
    sink.update(|draft| draft.put_profile(&profile(expires)))
        .unwrap();
    (folder, sink)
}

fn tokens(sink: &TokenSink) -> OAuthTokens {
    match &sink.read().unwrap().profiles[..] {
        [
            Entry::Usable(Profile {
                login: Login::OAuth(tokens),
                ..
            }),
        ] => tokens.clone(),
        other => panic!("{other:?}"),
    }
}

fn access(outcome: &Result<Profile, RefreshError>) -> &str {
    match &outcome.as_ref().unwrap().login {
        Login::OAuth(tokens) => tokens.access.expose(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_fresh_token_is_given_back_without_a_call() {
    let (_folder, sink) = sink(NOW.0 + HOUR);
    let server = Server::rotating();
    for unfit in [None, Some("access-0")] {
        let outcome = server.refresh(&sink, unfit, NOW).await;
        assert_eq!(access(&outcome), "access-1");
    }
    assert!(server.used().is_empty());
}

#[tokio::test]
async fn one_that_ends_soon_or_was_not_taken_is_refreshed_and_saved() {
    for (left, unfit) in [(0, None), (299_000, None), (HOUR, Some("access-1"))] {
        let (_folder, sink) = sink(NOW.0 + left);
        let server = Server::rotating();
        let outcome = server.refresh(&sink, unfit, NOW).await;
        assert_eq!(access(&outcome), "access-2");
        let saved = tokens(&sink);
        assert_eq!(saved.refresh, Some(secret("refresh-2")));
        assert_eq!(saved.expires, UnixMillis(NOW.0 + HOUR));
        assert_eq!(saved.account_id.as_deref(), Some("acc"));
        assert_eq!(saved.attempt, None);
        assert_eq!(server.used(), [("refresh-1".to_owned(), 1)]);
    }
}

#[tokio::test]
async fn a_refresh_token_that_is_not_rotated_stays() {
    let (_folder, sink) = sink(NOW.0);
    let server = Server::failing(200, r#"{"access_token":"access-2","token_type":"Bearer"}"#);
    let outcome = server.refresh(&sink, None, NOW).await;
    assert_eq!(access(&outcome), "access-2");
    assert_eq!(tokens(&sink).refresh, Some(secret("refresh-1")));
    assert!(tokens(&sink).can_refresh());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_at_once_make_one_call() {
    let (_folder, sink) = sink(NOW.0);
    let server = Server {
        delay: Duration::from_millis(100),
        ..Server::rotating()
    };
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let (sink, server) = (sink.clone(), server.clone());
            let unfit = (number % 2 == 0).then_some("access-1");
            tokio::spawn(async move { server.refresh(&sink, unfit, NOW).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(access(&task.await.unwrap()), "access-2");
    }
    assert_eq!(server.used(), [("refresh-1".to_owned(), 1)]);
}

#[tokio::test]
async fn the_mark_is_on_the_disk_before_the_token_is_sent() {
    let (_folder, sink) = sink(NOW.0);
    let seen = sink.clone();
    let server = Server::new(move |_| {
        assert!(tokens(&seen).is_attempted());
        Ok(answer(
            200,
            r#"{"access_token":"access-2","token_type":"Bearer"}"#,
        ))
    });
    server.refresh(&sink, None, NOW).await.unwrap();
}

#[tokio::test]
async fn a_token_that_was_sent_before_is_never_sent_again() {
    let soon = NOW.0 + 60_000;
    for (expires, unfit, is_over) in [
        (soon, None, false),
        (soon, Some("access-1"), true),
        (NOW.0, None, true),
    ] {
        let (_folder, sink) = sink(expires);
        // What a process leaves that is killed between the mark and the answer.
        sink.update(|draft| draft.begin_refresh(&id(), &secret("refresh-1"), NOW))
            .unwrap();
        let server = Server::rotating();
        let error = server.refresh(&sink, unfit, NOW).await.unwrap_err();
        match error {
            RefreshError::Attempted { usable_until, .. } if !is_over => {
                assert_eq!(usable_until.0, expires);
                assert!(tokens(&sink).needs_login.is_none());
            }
            RefreshError::Refused { code, .. } if is_over => {
                assert_eq!(code, OUTCOME_UNKNOWN);
                assert_eq!(tokens(&sink).needs_login.as_deref(), Some(OUTCOME_UNKNOWN));
            }
            other => panic!("{other:?}"),
        }
        assert!(server.used().is_empty());
        // A login ends it.
        sink.update(|draft| draft.put_profile(&profile(NOW.0)))
            .unwrap();
        assert_eq!(access(&server.refresh(&sink, None, NOW).await), "access-2");
    }
}

#[tokio::test]
async fn an_unknown_outcome_leaves_the_mark() {
    let silent = Server::new(|_| Err(Unanswered::Unknown("broken".into())));
    for server in [silent, Server::failing(200, "{}"), Server::failing(204, "")] {
        let (_folder, sink) = sink(NOW.0 + 60_000);
        let error = server.refresh(&sink, None, NOW).await.unwrap_err();
        assert!(matches!(error, RefreshError::Unknown { .. }), "{error:?}");
        assert!(tokens(&sink).is_attempted());
        let error = server.refresh(&sink, None, NOW).await.unwrap_err();
        assert!(matches!(error, RefreshError::Attempted { .. }), "{error:?}");
        let error = server
            .refresh(&sink, None, UnixMillis(NOW.0 + 60_000))
            .await;
        let error = error.unwrap_err();
        assert!(matches!(error, RefreshError::Refused { .. }), "{error:?}");
        assert_eq!(server.used(), [("refresh-1".to_owned(), 1)]);
    }
}

#[tokio::test]
async fn a_bad_moment_leaves_the_login_as_it_was() {
    let unsent = Server::new(|_| Err(Unanswered::Unsent("refused".into())));
    for server in [
        unsent,
        Server::failing(503, r#"{"error":"temporarily_unavailable"}"#),
        Server::failing(429, r#"{"error":"invalid_grant"}"#),
        Server::failing(403, "<html>a captive portal</html>"),
    ] {
        let (_folder, sink) = sink(NOW.0);
        let before = tokens(&sink);
        let error = server.refresh(&sink, None, NOW).await.unwrap_err();
        assert!(matches!(error, RefreshError::Transient { .. }), "{error:?}");
        assert_eq!(tokens(&sink), before);
        let outcome = Server::rotating().refresh(&sink, None, NOW).await;
        assert_eq!(access(&outcome), "access-2");
    }
}

#[tokio::test]
async fn a_refusal_is_noted_and_not_asked_for_again() {
    let (_folder, sink) = sink(NOW.0);
    let server = Server::failing(
        401,
        r#"{"error":{"message":"canary","code":"refresh_token_reused"}}"#,
    );
    for _ in 0..2 {
        let error = server.refresh(&sink, None, NOW).await.unwrap_err();
        let RefreshError::Refused { ref code, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(code, "refresh_token_reused");
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
    assert_eq!(server.used(), [("refresh-1".to_owned(), 1)]);
    let noted = tokens(&sink);
    assert_eq!(noted.needs_login.as_deref(), Some("refresh_token_reused"));
    assert!(noted.attempt.is_none() && !noted.is_usable(NOW));
}

#[tokio::test]
async fn a_login_made_meanwhile_is_not_overwritten() {
    let (_folder, sink) = sink(NOW.0);
    let other = sink.clone();
    let server = Server::new(move |_| {
        let mut new = profile(NOW.0 + HOUR);
        if let Login::OAuth(tokens) = &mut new.login {
            tokens.access = secret("access-new");
            tokens.refresh = Some(secret("refresh-new"));
        }
        other.update(|draft| draft.put_profile(&new)).unwrap();
        Ok(answer(
            200,
            r#"{"access_token":"access-2","refresh_token":"refresh-2"}"#,
        ))
    });
    let outcome = server.refresh(&sink, None, NOW).await;
    assert_eq!(access(&outcome), "access-new");
    assert_eq!(tokens(&sink).refresh, Some(secret("refresh-new")));
}

#[tokio::test]
async fn a_profile_that_is_gone_stays_gone() {
    let (_folder, sink) = sink(NOW.0);
    let other = sink.clone();
    let server = Server::new(move |_| {
        other
            .update(|draft| draft.remove_profile(id().as_str()))
            .unwrap();
        Ok(answer(200, r#"{"access_token":"access-2"}"#))
    });
    for _ in 0..2 {
        let error = server.refresh(&sink, None, NOW).await.unwrap_err();
        assert!(matches!(error, RefreshError::Gone(_)), "{error:?}");
    }
    assert!(sink.read().unwrap().profiles.is_empty());
}

#[tokio::test]
async fn tokens_that_cannot_be_saved_at_once_are_saved_when_they_can() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, sink) = sink(NOW.0);
    let set = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let path = folder.path().to_owned();
    let server = Server::new(move |_| {
        // Others may write: the sink refuses that folder.
        set(&path, 0o777);
        let path = path.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            set(&path, 0o700);
        });
        Ok(answer(
            200,
            r#"{"access_token":"access-2","refresh_token":"refresh-2"}"#,
        ))
    });
    let outcome = server.refresh(&sink, None, NOW).await;
    assert_eq!(access(&outcome), "access-2");
    assert_eq!(tokens(&sink).refresh, Some(secret("refresh-2")));
}
