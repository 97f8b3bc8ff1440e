//! Refreshes in processes of their own, many at once and killed at any point. The
//! processes are this test's own program, run for one ignored test.

use crate::oauth_server::OAuthServer;
use portcullis::base_url::BaseUrl;
use portcullis::credentials::oauth::Unanswered;
use portcullis::credentials::provider::{CODEX, known};
use portcullis::credentials::refresh::{OUTCOME_UNKNOWN, RefreshError, refresh};
use portcullis::credentials::{
    Login, OAuthSettings, OAuthTokens, Profile, ProfileId, TokenSink, UnixMillis,
};
use portcullis::http_client::call_once;
use portcullis::secrets::SecretValue;
use portcullis::tls::UpstreamTrust;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const FOLDER: &str = "PORTCULLIS_TEST_FOLDER";
const TOKEN_URL: &str = "PORTCULLIS_TEST_TOKEN_URL";
const TASKS: usize = 50;
const KILLS: usize = 50;

fn id() -> ProfileId {
    ProfileId::parse("openai-codex:default").unwrap()
}

fn new_sink() -> (TempDir, TokenSink) {
    let folder = tempfile::tempdir().unwrap();
    let sink = TokenSink::new(folder.path().to_owned());
    (folder, sink)
}

fn now() -> UnixMillis {
    UnixMillis::of(SystemTime::now())
}

fn settings(token_url: &str) -> OAuthSettings {
    let mut settings = known(CODEX).unwrap().login.unwrap().settings();
    settings.token_url = BaseUrl::parse(token_url).unwrap();
    settings
}

async fn refreshed(
    sink: &TokenSink,
    token_url: &str,
    unfit: Option<&SecretValue>,
) -> Result<OAuthTokens, RefreshError> {
    let settings = settings(token_url);
    let http = |request| {
        let url = settings.token_url.clone();
        async move {
            let limit = (Duration::from_secs(60), 1 << 18);
            let answer = call_once(&url, UpstreamTrust::PublicRoots, request, limit);
            answer.await.map_err(Unanswered::from)
        }
    };
    let profile = refresh(sink, &id(), unfit, &settings, &http, now).await?;
    match profile.login {
        Login::OAuth(tokens) => Ok(tokens),
        other => panic!("{other:?}"),
    }
}

fn tokens(sink: &TokenSink) -> OAuthTokens {
    match &sink.read().unwrap().profile(&id()).unwrap().login {
        Login::OAuth(tokens) => tokens.clone(),
        other => panic!("{other:?}"),
    }
}

/// A login with a refresh token that the server takes.
fn log_in(sink: &TokenSink, server: &OAuthServer, refresh: &str) {
    server.knows(refresh);
    let profile = Profile {
        id: id(),
        provider: CODEX.to_owned(),
        login: Login::OAuth(OAuthTokens {
            access: SecretValue::new(format!("access-of-{refresh}")),
            refresh: Some(SecretValue::new(refresh.to_owned())),
            expires: now(),
            obtained: None,
            account_id: None,
            attempt: None,
            needs_login: None,
        }),
        email: None,
    };
    sink.update(|draft| draft.put_profile(&profile)).unwrap();
}

fn spawn(test: &str, sink: &TokenSink, server: &OAuthServer) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", test])
        .env(FOLDER, sink.folder())
        .env(TOKEN_URL, server.token_url())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn given() -> (TokenSink, String) {
    let folder = std::env::var_os(FOLDER).expect("run by another test");
    let url = std::env::var(TOKEN_URL).unwrap();
    (TokenSink::new(folder.into()), url)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process of the test below"]
async fn many_tasks() {
    let (sink, url) = given();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (sink, url) = (sink.clone(), url.clone());
            tokio::spawn(async move { refreshed(&sink, &url, None).await.unwrap() })
        })
        .collect();
    let mut seen = BTreeSet::new();
    for task in tasks {
        seen.insert(task.await.unwrap().access.expose().to_owned());
    }
    assert_eq!(seen.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_of_two_processes_send_a_refresh_token_once() {
    let (_folder, sink) = new_sink();
    let server = OAuthServer::spawn().await;
    server.delay(Duration::from_millis(300));
    log_in(&sink, &server, "refresh-0");
    let both = [(); 2].map(|()| spawn("refresh::many_tasks", &sink, &server));
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    }
    assert_eq!(
        server.uses().into_iter().collect::<Vec<_>>(),
        [("refresh-0".to_owned(), 1)]
    );
    assert_eq!(
        tokens(&sink).refresh.unwrap().expose(),
        server.current().unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process of the test below"]
async fn endless() {
    let (sink, url) = given();
    loop {
        let access = tokens(&sink).access;
        refreshed(&sink, &url, Some(&access)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_leaves_a_good_login_or_one_that_says_so() {
    let (_folder, sink) = new_sink();
    let server = OAuthServer::spawn().await;
    server.delay(Duration::from_millis(5));
    log_in(&sink, &server, "refresh-0");
    let (mut good, mut marked) = (0, 0);
    for round in 1..=KILLS {
        let before = server.uses().len();
        let mut child = spawn("refresh::endless", &sink, &server);
        // Let it get going, then kill it anywhere in what it does over and over.
        let began = std::time::Instant::now();
        while server.uses().len() == before && began.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        let random = RandomState::new().hash_one(round) % 40_000;
        tokio::time::sleep(Duration::from_micros(random)).await;
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(!status.success());
        // What it had sent arrives after its end.
        tokio::time::sleep(Duration::from_millis(100)).await;

        let left = tokens(&sink);
        let unfit = Some(&left.access);
        let uses = server.uses();
        assert!(uses.len() > before, "it did not begin");
        if left.is_attempted() {
            marked += 1;
            // The access token is as good as it was.
            let same = refreshed(&sink, &server.token_url(), None).await;
            if left.is_fresh(now()) {
                assert_eq!(same.unwrap().access, left.access);
            }
            match refreshed(&sink, &server.token_url(), unfit).await {
                Err(RefreshError::Refused { code, .. }) => assert_eq!(code, OUTCOME_UNKNOWN),
                other => panic!("{other:?}"),
            }
            assert_eq!(server.uses(), uses);
            assert_eq!(tokens(&sink).needs_login.as_deref(), Some(OUTCOME_UNKNOWN));
            log_in(&sink, &server, &format!("refresh-of-login-{round}"));
        } else {
            good += 1;
            // What the provider considers current is what is on the disk.
            assert_eq!(
                left.refresh.as_ref().unwrap().expose(),
                server.current().unwrap()
            );
            refreshed(&sink, &server.token_url(), unfit).await.unwrap();
        }
        let twice: Vec<_> = server
            .uses()
            .into_iter()
            .filter(|(_, count)| *count > 1)
            .collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
    // Both were met.
    assert!(good > 0 && marked > 0, "{good} good, {marked} marked");
}
