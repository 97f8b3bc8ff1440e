//! Logins with a browser, which comes back or whose address is pasted.

use super::{Home, text};
use crate::client::{Connection, Response};
use crate::oauth_server::{ACCOUNT, CANARY, OAuthServer};
use crate::reserved_port::reserve_on_both;
use crate::sidecar::PATIENCE;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use url::Url;

/// A login that was begun, at the point where it waits for the user.
struct Begun {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    said: Vec<String>,
    url: String,
    port: u16,
}

/// What a login ended with.
struct Ended {
    code: Option<i32>,
    printed: String,
    said: String,
}

impl Begun {
    fn new(home: &Home, server: &OAuthServer, further: &[&str]) -> Self {
        Self::at(home, server, reserve_on_both(), further)
    }

    fn at(home: &Home, server: &OAuthServer, port: u16, further: &[&str]) -> Self {
        let provider = match further.contains(&"--provider") {
            true => &[][..],
            false => &["--provider", "openai-codex"],
        };
        let (authorize, token) = (server.authorize_url(), server.token_url());
        let own = [
            "login",
            "--state-dir",
            "state",
            "--authorize-url",
            &authorize,
            "--token-url",
            &token,
            "--callback-port",
            &port.to_string(),
        ];
        let mut child = home
            .command(&[&own, provider, further].concat())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut said = Vec::new();
        let url = loop {
            let line = lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no URL: {said:?}"));
            said.push(line.clone());
            if line.starts_with("http://") {
                break line;
            }
        };
        Self {
            stdin: child.stdin.take(),
            child,
            lines,
            said,
            url,
            port,
        }
    }

    /// Where the identity provider sends the browser back to.
    async fn redirect(&self) -> String {
        let answer = get(&self.url).await;
        assert_eq!(answer.status, 302, "{}", answer.head);
        answer.values("location")[0].to_owned()
    }

    fn paste(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn end_input(&mut self) {
        self.stdin = None;
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    async fn end(mut self) -> Ended {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "it doesn't end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        self.said.extend(self.lines.iter());
        let mut printed = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut printed).unwrap();
        let said = self.said.join("\n");
        assert!(!format!("{printed}{said}").contains(CANARY), "{said}");
        Ended {
            code: status.code(),
            printed,
            said,
        }
    }
}

impl Ended {
    /// It failed, and said these words.
    fn failed_with(&self, words: &str) {
        assert_eq!(self.code, Some(1), "{}", self.said);
        assert!(self.said.contains(words), "{words}: {}", self.said);
        assert!(self.printed.is_empty(), "{}", self.printed);
        let last = self.said.lines().last().unwrap();
        assert!(last.starts_with("portcullis: "), "{last}");
    }
}

async fn get(url: &str) -> Response {
    request("GET", url, None).await
}

/// What a browser sends; `localhost` is 127.0.0.1 here.
async fn request(method: &str, url: &str, host: Option<&str>) -> Response {
    let url = Url::parse(url).unwrap();
    let port = url.port().unwrap();
    let own = format!("{}:{port}", url.host_str().unwrap());
    let host = host.unwrap_or(&own);
    let mut connection = Connection::tcp(SocketAddr::from(([127, 0, 0, 1], port))).await;
    let target = &url[url::Position::BeforePath..];
    connection
        .write(format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"
        ))
        .await;
    connection.response(method == "HEAD").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_whose_browser_comes_back_is_stored_and_shows_no_secret() {
    let (home, server) = (Home::new(), OAuthServer::spawn().await);
    let login = Begun::new(&home, &server, &["--set-default"]);
    let page = get(&login.redirect().await).await;
    assert_eq!(page.status, 200, "{}", text(&page.body));
    assert!(text(&page.body).contains("Logged in"));
    assert!(!text(&page.body).contains(CANARY));
    assert_eq!(page.values("cache-control"), ["no-store"]);
    let ended = login.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(
        ended.printed,
        format!("logged in: openai-codex:default (account {ACCOUNT}, expires in 10 days)\n")
    );
    for verifier in server.verifiers() {
        assert!(!ended.said.contains(&verifier));
    }
    let mode = std::fs::metadata(home.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let sink = home.sink();
    let profile = &sink["profiles"]["openai-codex:default"];
    assert_eq!(profile["type"], "oauth");
    assert_eq!(profile["provider"], "openai-codex");
    assert_eq!(profile["accountId"], ACCOUNT);
    assert_eq!(profile["email"], "nick@example.com");
    assert!(profile["refresh"].as_str().unwrap().contains(CANARY));
    assert_eq!(
        sink["order"],
        json!({"openai-codex": ["openai-codex:default"]})
    );
    let listed = home.good(&["list"], "");
    assert!(
        listed.contains("openai-codex:default  oauth  ready"),
        "{listed}"
    );
    assert!(
        listed.contains("in 10 days") && !listed.contains(CANARY),
        "{listed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_form_of_what_the_browser_came_back_with_can_be_pasted() {
    let server = OAuthServer::spawn().await;
    for form in 0..5 {
        let home = Home::new();
        let mut login = Begun::new(&home, &server, &["--provider", "openai"]);
        let redirect = login.redirect().await;
        let url = Url::parse(&redirect).unwrap();
        let value = |name: &str| {
            let found = url.query_pairs().find(|(key, _)| key == name);
            found.unwrap().1.into_owned()
        };
        let (code, state) = (value("code"), value("state"));
        login.paste("");
        login.paste(&match form {
            0 => redirect,
            1 => format!("{code}#{state}"),
            2 => format!("?code={code}&state={state}"),
            3 => format!("state={state}&code={code}"),
            _ => format!("  {code}  "),
        });
        let ended = login.end().await;
        assert_eq!(ended.code, Some(0), "{form}: {}", ended.said);
        assert!(ended.printed.starts_with("logged in: openai:default ("));
        let sink = home.sink();
        assert_eq!(sink["profiles"]["openai:default"]["provider"], "openai");
        assert!(home.good(&["list"], "").contains("openai-codex"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_state_ends_the_login_by_either_way() {
    let (home, server) = (Home::new(), OAuthServer::spawn().await);
    let login = Begun::new(&home, &server, &[]);
    let other = Begun::new(&home, &server, &[]);
    let foreign = other.redirect().await;
    let query = foreign.split_once('?').unwrap().1;
    let page = get(&format!(
        "http://localhost:{}/auth/callback?{query}",
        login.port
    ))
    .await;
    assert_eq!(page.status, 400);
    assert!(text(&page.body).contains("state"), "{}", text(&page.body));
    login
        .end()
        .await
        .failed_with("its state is not that of this login");
    let mut login = other;
    login.paste("canary-code#0123");
    login
        .end()
        .await
        .failed_with("its state is not that of this login");
    assert!(server.verifiers().is_empty() && !home.path().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_and_every_error_of_the_provider_are_told() {
    let (home, server) = (Home::new(), OAuthServer::spawn().await);
    let mut login = Begun::new(&home, &server, &[]);
    login.paste("canary-of-nobody");
    login
        .end()
        .await
        .failed_with("the login failed: the token server refused: `invalid_grant` (status 400)");
    for (status, body, words) in [
        (
            500,
            "canary <b>",
            "the token server is not well: status 500",
        ),
        (200, "canary", "holds no tokens"),
        (
            401,
            r#"{"error":{"code":"deactivated","message":"canary"}}"#,
            "the token server refused: `deactivated` (status 401)",
        ),
    ] {
        server.refuse(status, body);
        let login = Begun::new(&home, &server, &[]);
        let page = get(&login.redirect().await).await;
        assert_eq!(page.status, 400);
        let shown = text(&page.body);
        assert!(
            shown.contains("Not logged in") && !shown.contains(CANARY),
            "{shown}"
        );
        login.end().await.failed_with(words);
    }
    server.deny("access_denied");
    let login = Begun::new(&home, &server, &[]);
    assert_eq!(get(&login.redirect().await).await.status, 400);
    login
        .end()
        .await
        .failed_with("the provider refused the login: `access_denied`");
    assert!(!home.path().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_server_that_is_not_there_is_told() {
    let (home, server) = (Home::new(), OAuthServer::spawn().await);
    let nowhere = format!("http://127.0.0.1:{}/token", reserve_on_both());
    let port = reserve_on_both().to_string();
    let arguments = [
        "login",
        "--provider=openai-codex",
        "--authorize-url",
        &server.authorize_url(),
        "--token-url",
        &nowhere,
        "--callback-port",
        &port,
    ];
    let said = home.bad(&arguments, "a-code\n");
    assert!(said.contains("can't reach the token server"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_port_taken_the_answer_can_still_be_pasted() {
    let (home, server) = (Home::new(), OAuthServer::spawn().await);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut login = Begun::at(&home, &server, port, &[]);
    let redirect = login.redirect().await;
    login.paste(&redirect);
    let ended = login.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let words = format!("127.0.0.1:{port} is taken: ");
    assert!(ended.said.contains(&words), "{}", ended.said);
    assert!(ended.said.contains("; paste the redirect URL here instead"));
    let mut login = Begun::at(&home, &server, port, &[]);
    login.end_input();
    login
        .end()
        .await
        .failed_with("the port is taken, and standard input is at its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_nobody_ends_ends_in_time() {
    let (home, server) = (Home::new(), OAuthServer::spawn().await);
    let mut login = Begun::new(&home, &server, &["--timeout", "1s"]);
    login.end_input();
    login.end().await.failed_with("no login within 1 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_answers_browsers_that_come_back_and_nobody_else() {
    let (home, server) = (Home::new(), OAuthServer::spawn().await);
    let login = Begun::new(&home, &server, &[]);
    let redirect = login.redirect().await;
    let elsewhere = format!("http://localhost:{}/favicon.ico", login.port);
    assert_eq!(get(&elsewhere).await.status, 404);
    assert_eq!(request("POST", &redirect, None).await.status, 405);
    assert_eq!(request("HEAD", &redirect, None).await.status, 405);
    for host in [
        "evil.example",
        "localhost",
        "localhost:1",
        "localhost.evil.example",
    ] {
        assert_eq!(
            request("GET", &redirect, Some(host)).await.status,
            403,
            "{host}"
        );
    }
    let mut connection = Connection::tcp(login.address()).await;
    let long = "x".repeat(64 * 1024);
    let _ = connection
        .try_write(format!("GET /auth/callback?{long} HTTP/1.1\r\n\r\n"))
        .await;
    assert!(server.verifiers().is_empty());
    assert_eq!(get(&redirect).await.status, 200);
    assert_eq!(login.end().await.code, Some(0));
}
