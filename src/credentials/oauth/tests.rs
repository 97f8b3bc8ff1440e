use super::*;
use crate::base_url::BaseUrl;
use crate::credentials::provider::{CODEX, known};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, Response};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;
use url::Url;

const REDIRECT: &str = "http://localhost:1455/auth/callback";
const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

fn pending() -> PendingLogin {
    let settings = known(CODEX).unwrap().login.unwrap().settings();
    PendingLogin::begin(&settings, REDIRECT).unwrap()
}

fn parameters(login: &PendingLogin) -> BTreeMap<String, String> {
    let url = Url::parse(login.authorize_url()).unwrap();
    url.query_pairs().into_owned().collect()
}

#[test]
fn the_user_is_sent_with_challenge_state_and_all_that_the_provider_wants() {
    let login = pending();
    assert!(
        login
            .authorize_url()
            .starts_with("https://auth.openai.com/oauth/authorize?")
    );
    let got = parameters(&login);
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "app_EMoamEEZ73f0CkXaXp7hrann"),
        ("redirect_uri", REDIRECT),
        ("scope", "openid profile email offline_access"),
        ("code_challenge_method", "S256"),
        ("id_token_add_organizations", "true"),
        ("codex_cli_simplified_flow", "true"),
    ] {
        assert_eq!(got[name], value, "{name}");
    }
    assert_eq!(got["state"].len(), 32);
    assert!(got["state"].bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(
        URL_SAFE_NO_PAD
            .decode(&got["code_challenge"])
            .unwrap()
            .len(),
        32
    );
    assert_eq!(
        URL_SAFE_NO_PAD
            .decode(login.verifier.secret())
            .unwrap()
            .len(),
        32
    );
    let other = parameters(&pending());
    assert!(other["state"] != got["state"] && other["code_challenge"] != got["code_challenge"]);
}

#[test]
fn each_form_of_a_pasted_answer_is_read() {
    let login = pending();
    let state = parameters(&login)["state"].clone();
    let code = Code(SecretValue::new("c0de-1".to_owned()));
    let denied = || AnswerError::Denied("access_denied".to_owned());
    for (line, expected) in [
        (
            format!("{REDIRECT}?code=c0de-1&state={state}"),
            Ok(code.clone()),
        ),
        (
            format!("  {REDIRECT}?state={state}&scope=x&code=c0de%2D1 \n"),
            Ok(code.clone()),
        ),
        (
            format!("https://elsewhere/?code=c0de-1&state={state}#x"),
            Ok(code.clone()),
        ),
        (format!("?code=c0de-1&state={state}"), Ok(code.clone())),
        (format!("code=c0de-1&state={state}"), Ok(code.clone())),
        (format!("state={state}&code=c0de-1"), Ok(code.clone())),
        (format!("c0de-1#{state}"), Ok(code.clone())),
        ("c0de-1".to_owned(), Ok(code)),
        (String::new(), Err(AnswerError::Blank)),
        (" \n".to_owned(), Err(AnswerError::Blank)),
        ("two words".to_owned(), Err(AnswerError::NoCode)),
        (format!("#{state}"), Err(AnswerError::NoCode)),
        (REDIRECT.to_owned(), Err(AnswerError::NoCode)),
        (format!("?state={state}"), Err(AnswerError::NoCode)),
        (
            format!("?code=a&code=b&state={state}"),
            Err(AnswerError::NoCode),
        ),
        (
            format!("?code=a&state={state}&state=x"),
            Err(AnswerError::WrongState),
        ),
        ("?code=c0de-1".to_owned(), Err(AnswerError::WrongState)),
        (
            "?code=c0de-1&state=".to_owned(),
            Err(AnswerError::WrongState),
        ),
        ("c0de-1#".to_owned(), Err(AnswerError::WrongState)),
        ("c0de-1#other".to_owned(), Err(AnswerError::WrongState)),
        (
            format!("{REDIRECT}?code=c0de-1&state=x{state}"),
            Err(AnswerError::WrongState),
        ),
        (format!("?error=access_denied&state={state}"), Err(denied())),
        ("?error=access_denied".to_owned(), Err(denied())),
        (
            "?error=access_denied&state=x".to_owned(),
            Err(AnswerError::WrongState),
        ),
        (
            format!("?error=%1b[31m&state={state}"),
            Err(AnswerError::Denied("unreadable".to_owned())),
        ),
    ] {
        assert_eq!(login.read_pasted(&line), expected, "{line}");
    }
    assert_eq!(format!("{login:?}"), "PendingLogin(redacted)");
}

#[tokio::test]
async fn a_code_is_exchanged_for_tokens_with_account_owner_and_end() {
    let login = pending();
    let code = login.read_pasted("c0de").unwrap();
    let jwt = |claims: serde_json::Value| {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    };
    let access = jwt(json!({"exp": 1_790_000_600, "https://api.openai.com/auth":
        {"chatgpt_account_id": "acc-1"}}));
    let id_token = jwt(json!({"email": "nick@example.com"}));
    for (answer, left, account, email) in [
        (
            json!({"access_token": access, "refresh_token": "r", "id_token": id_token,
                "token_type": "Bearer", "expires_in": 60, "scope": "openid"}),
            60,
            Some("acc-1"),
            Some("nick@example.com"),
        ),
        (
            json!({"access_token": access, "refresh_token": "r"}),
            600,
            Some("acc-1"),
            None,
        ),
        (
            json!({"access_token": "opaque", "refresh_token": "r"}),
            3600,
            None,
            None,
        ),
    ] {
        let sent = Mutex::new(Vec::new());
        let http = |request: Request<Vec<u8>>| {
            sent.lock().unwrap().push(request);
            let answer = Response::new(answer.to_string().into_bytes());
            async { Ok(answer) }
        };
        let logged_in = login.exchange(&code, &http, NOW).await.unwrap();
        let tokens = logged_in.tokens;
        assert_eq!(tokens.refresh.unwrap().expose(), "r");
        assert_eq!(NOW.until(tokens.expires), Duration::from_secs(left));
        assert_eq!(tokens.account_id.as_deref(), account);
        assert_eq!(logged_in.email.as_deref(), email);
        let sent = sent.into_inner().unwrap();
        let [request] = &sent[..] else {
            panic!("{} requests", sent.len());
        };
        let fields: BTreeMap<_, _> = url::form_urlencoded::parse(request.body())
            .into_owned()
            .collect();
        assert_eq!(request.uri(), "https://auth.openai.com/oauth/token");
        assert_eq!(fields["grant_type"], "authorization_code");
        assert_eq!(fields["code"], "c0de");
        assert_eq!(fields["redirect_uri"], REDIRECT);
        assert_eq!(fields["client_id"], "app_EMoamEEZ73f0CkXaXp7hrann");
        assert_eq!(&fields["code_verifier"], login.verifier.secret());
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_leaks_nothing() {
    let login = pending();
    let code = login.read_pasted("canary-code").unwrap();
    for (status, body) in [
        (200, r#"{"access_token":"canary with spaces"}"#),
        (200, r#"{"access_token":["canary"]}"#),
        (200, "canary"),
        (
            400,
            r#"{"error":"invalid_grant","error_description":"canary"}"#,
        ),
        (500, "canary"),
    ] {
        let http = |_| async move {
            let mut answer = Response::new(body.as_bytes().to_vec());
            *answer.status_mut() = status.try_into().unwrap();
            Ok(answer)
        };
        let error = login.exchange(&code, &http, NOW).await.unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("canary"),
            "{error:?}"
        );
    }
}

#[test]
fn settings_may_name_another_server() {
    let mut settings = known(CODEX).unwrap().login.unwrap().settings();
    settings.authorize_url = BaseUrl::parse("http://127.0.0.1:9/authorize").unwrap();
    settings.scopes = Vec::new();
    settings.extra = Vec::new();
    let login = PendingLogin::begin(&settings, REDIRECT).unwrap();
    let got = parameters(&login);
    assert!(
        login
            .authorize_url()
            .starts_with("http://127.0.0.1:9/authorize?")
    );
    assert!(!got.contains_key("scope"), "{got:?}");
    let error = PendingLogin::begin(&settings, "no url").unwrap_err();
    assert_eq!(error, LoginError::Redirect);
}

proptest! {
    #[test]
    fn whatever_is_pasted_a_foreign_state_is_never_taken(
        code in "[A-Za-z0-9._~-]{1,20}",
        state in "[a-f0-9]{32}",
        form in 0..4,
    ) {
        let login = pending();
        let line = match form {
            0 => format!("{REDIRECT}?code={code}&state={state}"),
            1 => format!("?state={state}&code={code}"),
            2 => format!("code={code}&state={state}"),
            _ => format!("{code}#{state}"),
        };
        prop_assert_eq!(login.read_pasted(&line), Err(AnswerError::WrongState));
    }

    #[test]
    fn any_line_is_read(line in "\\PC{0,80}") {
        let _ = pending().read_pasted(&line);
    }
}
