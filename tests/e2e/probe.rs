//! The armed probe: answered by Portcullis itself, after the permit and for its nonce.

use crate::client::{Connection, Http2Client, http2_request};
use crate::recorder::Recorder;
use crate::sidecar::{ELSEWHERE, IDENTITY, Setup, Sidecar};
use portcullis::probe::Nonce;
use serde_json::{Value, json};

const CANARY: &str = "c4nary-s3cret";

/// Arms a probe.
async fn arm(sidecar: &Sidecar) -> Nonce {
    let answer = sidecar.admin("POST /probe").await;
    let body = answer.json();
    assert_eq!(
        (answer.status, &body["expiresInSeconds"]),
        (200, &60.into())
    );
    Nonce::read(body["nonce"].as_str().unwrap()).unwrap()
}

fn shows(nonce: &Nonce) -> String {
    format!("X-Portcullis-Probe: {}\r\n", nonce.shoot(42).0)
}

/// The fields of a part of the answer that bear a name.
fn named<'a>(told: &'a Value, part: &str, name: &str) -> Vec<&'a Value> {
    let fields = told[part].as_array().unwrap().iter();
    fields
        .filter(|field| field["name"].as_str().unwrap().eq_ignore_ascii_case(name))
        .collect()
}

#[tokio::test]
async fn a_probe_tells_what_came_and_what_would_have_gone_on_and_no_secret() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .upstream(&format!(
            "[upstream.credential]\nheader = \"authorization\"\nformat = \"Bearer {{secret}}\"\nvalue = \"{CANARY}\"\n"
        ))
        .spawn(&upstream.url());
    let nonce = arm(&sidecar).await;
    let mark = nonce.mark();
    let answer = sidecar
        .send(&format!(
            "GET /x?key={CANARY} HTTP/1.1\r\n{IDENTITY}{}X-Forwarded-For: 203.0.113.7\r\n\
             X-Original-Url: /{}\r\nX-Other: {}\r\nX-Secret: {CANARY}\r\nCookie: s={CANARY}; {}\r\n\
             Authorization: Bearer {CANARY}\r\n",
            shows(&nonce),
            mark.as_str(),
            mark.as_str(),
            mark.as_str()
        ))
        .await;
    assert_eq!(answer.status, 200);
    let (told, text) = (
        answer.json(),
        String::from_utf8_lossy(&answer.body).into_owned(),
    );
    assert!(
        !text.contains(CANARY) && !text.contains(nonce.expose()),
        "{text}"
    );
    assert_eq!(
        told["shot"],
        json!({ "mark": mark.as_str(), "number": 42 }),
        "what it answers"
    );
    assert_eq!(
        (
            &told["user"],
            &told["client"],
            &told["protocol"],
            &told["userHeader"]
        ),
        (
            &"nick@example.com".into(),
            &"203.0.113.7".into(),
            &"HTTP/1.1".into(),
            &"x-forwarded-user".into()
        )
    );
    for (name, marked, role) in [
        ("x-original-url", true, "drop"),
        ("x-other", true, "pass"),
        ("x-secret", false, "pass"),
        ("cookie", true, "cookie"),
        ("authorization", false, "credential"),
        ("x-forwarded-user", false, "user"),
    ] {
        let fields = named(&told, "received", name);
        assert_eq!(fields.len(), 1, "{name}");
        assert_eq!(
            (&fields[0]["isMarked"], &fields[0]["role"]),
            (&marked.into(), &role.into())
        );
    }
    assert_eq!(
        named(&told, "upstream", "x-forwarded-for")[0]["value"],
        "203.0.113.7"
    );
    assert_eq!(named(&told, "upstream", "x-other")[0]["isMarked"], true);
    assert!(named(&told, "upstream", "x-original-url").is_empty());
    assert!(named(&told, "upstream", "authorization")[0]["value"].is_null());
    assert!(
        upstream.requests().is_empty(),
        "the upstream gets nothing of it"
    );
    let logged = sidecar
        .logged(|line| {
            line["message"]
                .as_str()
                .is_some_and(|said| said.starts_with("a probe is answered"))
        })
        .await;
    assert_eq!(logged["request.id"], told["requestId"]);
    assert!(
        sidecar
            .log()
            .iter()
            .all(|line| !line.contains(nonce.expose()))
    );
    sidecar
        .counts(
            "portcullis_requests_total{outcome=\"permitted\",status=\"200\"}",
            1.0,
        )
        .await;
}

#[tokio::test]
async fn an_unarmed_or_wrong_nonce_is_dropped_and_the_request_goes_on() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let unarmed = Nonce::read("00112233445566778899aabbccddeeff").unwrap();
    let request = |nonce: &Nonce| format!("GET / HTTP/1.1\r\n{IDENTITY}{}", shows(nonce));
    let goes_on = |count: usize| {
        let requests = upstream.requests();
        assert_eq!(requests.len(), count);
        let last = &requests[count - 1];
        assert!(
            !last.head.to_ascii_lowercase().contains("portcullis-probe"),
            "{}",
            last.head
        );
    };
    sidecar.send(&request(&unarmed)).await;
    goes_on(1);

    let old = arm(&sidecar).await;
    let new = arm(&sidecar).await;
    sidecar.send(&request(&unarmed)).await;
    goes_on(2);
    sidecar.send(&request(&old)).await;
    goes_on(3);
    // Shown twice it is nobody's.
    sidecar
        .send(&format!("{}{}", request(&new), shows(&new)))
        .await;
    goes_on(4);
    // An alias reaches nobody either.
    let alias = request(&new).replace("X-Portcullis-Probe", "x_portcullis_probe");
    sidecar.send(&alias).await;
    goes_on(5);
    let misspelt = request(&new).replace("-42\r\n", "-042\r\n");
    sidecar.send(&misspelt).await;
    goes_on(6);
    // By hand the nonce alone will do.
    let bare = request(&new).replace("-42\r\n", "\r\n");
    for (shown, number) in [(request(&new), 42), (bare, 0)] {
        let probed = sidecar.send(&shown).await.json();
        assert!(probed["received"].is_array());
        assert_eq!(probed["shot"]["number"], number);
    }
    goes_on(6);
}

#[tokio::test]
async fn a_denied_request_gets_its_denial_whatever_nonce_it_shows() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let nonce = arm(&sidecar).await;
    let denied = format!(
        "GET / HTTP/1.1\r\nx-forwarded-proto: https\r\n{}",
        shows(&nonce)
    );
    let answer = sidecar.send(&denied).await;
    assert_eq!(answer.code(), "trusted_proxy_user_missing");
    // What is kept of it has no nonce.
    let id = answer.values("x-request-id")[0].to_owned();
    let kept = sidecar.admin(&format!("GET /status/denials/{id}")).await;
    assert_eq!(kept.status, 200);
    assert!(!String::from_utf8_lossy(&kept.body).contains(nonce.expose()));

    let elsewhere = Setup::new().gateway(ELSEWHERE).spawn(&upstream.url());
    let nonce = arm(&elsewhere).await;
    let answer = elsewhere
        .send(&format!("GET / HTTP/1.1\r\n{IDENTITY}{}", shows(&nonce)))
        .await;
    assert_eq!(answer.status, 403);
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_connection_goes_on_after_a_probe_over_both_versions() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let nonce = arm(&sidecar).await;
    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    let fields = format!("{IDENTITY}{}", shows(&nonce));
    let answer = client
        .send(http2_request("GET", "/", &fields))
        .await
        .unwrap();
    let told: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(told["protocol"], "HTTP/2");
    assert!(answer.headers().contains_key("strict-transport-security"));
    let answer = client
        .send(http2_request("GET", "/", IDENTITY))
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200);

    let mut connection: Connection = sidecar.connect().await;
    let probe = connection
        .exchange(&format!("GET / HTTP/1.1\r\n{fields}"))
        .await;
    assert!(probe.json()["upstream"].is_array());
    let next = connection
        .exchange(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
        .await;
    assert_eq!(next.status, 200);
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn only_a_post_of_no_web_page_arms_a_probe() {
    let sidecar = Setup::new().spawn("http://127.0.0.1:9");
    assert_eq!(sidecar.admin("GET /probe").await.status, 405);
    let mut connection = Connection::tcp(sidecar.admin).await;
    let host = sidecar.admin;
    connection
        .write(format!(
            "POST /probe HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n\r\n"
        ))
        .await;
    assert_eq!(connection.response(false).await.status, 403);
}
