//! Names and authorities that change while connections are open, and that go missing.

use super::*;
use crate::client::{Connection, Http2Client};
use crate::recorder::Reply;
use crate::websocket::{SWITCHED, close_frame, expect_echo, open_on};

/// What was opened before a reload: connections idle and in use, and a WebSocket.
struct Opened {
    idle: Connection,
    multiplexed: Http2Client,
    session: Connection,
}

async fn open(source: &Source) -> Opened {
    let mut idle = source.connect().await.unwrap();
    assert_eq!(idle.exchange(&ask()).await.status, 200);
    let multiplexed = source.http2().await;
    let answer = multiplexed.send(http2_request("GET", "/", IDENTITY)).await;
    assert_eq!(answer.unwrap().status(), 200);
    let mut session = open_on(source.connect().await.unwrap(), IDENTITY).await;
    expect_echo(&mut session, "before").await;
    Opened {
        idle,
        multiplexed,
        session,
    }
}

/// Serves requests, and WebSockets that echo.
async fn both() -> Recorder {
    Recorder::counting(|head| match head.contains("upgrade: websocket") {
        true => Reply::Echo(SWITCHED),
        false => Reply::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
    })
    .await
}

impl Opened {
    async fn expect_refused(mut self, status: u16, code: &str) {
        assert_eq!(self.session.read_to_end().await, close_frame(4001));
        let answer = self.idle.exchange(&ask()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
        assert_eq!(self.idle.read_to_end().await, b"");
        let answer = self
            .multiplexed
            .send(http2_request("GET", "/", IDENTITY))
            .await;
        assert_eq!(answer.unwrap().status(), status);
    }

    async fn expect_served(&mut self) {
        expect_echo(&mut self.session, "after").await;
        assert_eq!(self.idle.exchange(&ask()).await.status, 200);
        let answer = self
            .multiplexed
            .send(http2_request("GET", "/", IDENTITY))
            .await;
        assert_eq!(answer.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn names_are_swapped_by_a_reload_for_open_connections_as_well() {
    let (upstream, door) = (both().await, Door::new());
    let sidecar = door.spawn(&upstream);
    let old = door.source(&sidecar, &door.authority.sign(&right()));
    let new = door.source(&sidecar, &door.authority.sign(&[dns("new.example.com")]));
    let mut kept = open(&door.source(
        &sidecar,
        &door.authority.sign(&[email("proxy@example.com")]),
    ))
    .await;
    let opened = open(&old).await;
    assert_eq!(new.ask(&ask()).await.unwrap().status, 403);
    sidecar.edit(|config| config.replace("Proxy.example.com", "new.example.com"));
    let (status, answer) = sidecar.reload().await;
    assert_eq!(status, 200, "{answer}");
    opened
        .expect_refused(403, "trusted_proxy_untrusted_certificate")
        .await;
    let ended = sidecar
        .logged(|line| line["revocation.code"].is_string())
        .await;
    assert_eq!(
        ended["revocation.code"],
        "trusted_proxy_untrusted_certificate"
    );
    assert_eq!(old.ask(&ask()).await.unwrap().status, 403);
    assert_eq!(new.ask(&ask()).await.unwrap().status, 200);
    kept.expect_served().await;
}

#[tokio::test]
async fn an_authority_is_swapped_by_its_file_for_open_connections_as_well() {
    let (upstream, door) = (both().await, Door::new());
    let sidecar = door.spawn(&upstream);
    let next = Authority::new();
    let old = door.source(&sidecar, &door.authority.sign(&right()));
    let new = door.source(&sidecar, &next.sign(&right()));
    let mut opened = open(&old).await;
    assert!(new.ask(&ask()).await.is_none());
    // A rollover: both count, and nobody is put out.
    door.put_authorities(&(door.authority.pem() + &next.pem()));
    generation(&sidecar, 2).await;
    opened.expect_served().await;
    assert_eq!(new.ask(&ask()).await.unwrap().status, 200);
    door.put_authorities(&next.pem());
    generation(&sidecar, 3).await;
    opened.expect_refused(503, "draining").await;
    let ended = sidecar
        .logged(|line| line["revocation.code"].is_string())
        .await;
    assert_eq!(ended["revocation.code"], "tls_changed");
    assert!(old.ask(&ask()).await.is_none());
    assert_eq!(new.ask(&ask()).await.unwrap().status, 200);
}

#[tokio::test]
async fn an_authority_that_is_missing_never_opens_the_door() {
    let (upstream, door) = (both().await, Door::new());
    let sidecar = door.spawn(&upstream);
    let source = door.source(&sidecar, &door.authority.sign(&right()));
    let mut opened = open(&source).await;
    let file = door.folder.path().join("ca.pem");
    for broken in [None, Some(""), Some("no certificate\n")] {
        match broken {
            None => fs::remove_file(&file).unwrap(),
            Some(text) => door.put_authorities(text),
        }
        let (status, answer) = sidecar.reload().await;
        assert_eq!(
            (status, &answer["generation"]),
            (422, &1.into()),
            "{answer}"
        );
        assert_eq!(answer["problems"][0]["key"], "gateway.tls.clientCaPath");
        opened.expect_served().await;
        assert_eq!(source.ask(&ask()).await.unwrap().status, 200);
        assert!(door.stranger(&sidecar).ask(&ask()).await.is_none());
        // Nor does a start without it.
        let setup = Setup::new().gateway(&door.gateway(NAMES));
        let (code, said) = tokio::task::spawn_blocking(|| setup.refused())
            .await
            .unwrap();
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains("gateway.tls.clientCaPath") && said.contains("ca.pem"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_reload_takes_neither_names_nor_authorities_away() {
    let (upstream, door) = (both().await, Door::new());
    let sidecar = door.spawn(&upstream);
    let good = sidecar.config();
    let other = door.source(&sidecar, &door.authority.sign(&[dns("other.example.com")]));
    for (config, key) in [
        (
            good.replace("clientCertNames", "#clientCertNames"),
            "gateway.auth.trustedProxy.clientCertNames",
        ),
        (
            good.replace("clientCaPath", "#clientCaPath"),
            "gateway.auth.trustedProxy.clientCertNames",
        ),
        (
            good.replace("clientCaPath", "#clientCaPath")
                .replace("clientCertNames", "#clientCertNames"),
            "gateway.tls.clientCaPath",
        ),
    ] {
        sidecar.edit(|_| config);
        let (status, answer) = sidecar.reload().await;
        assert_eq!(status, 422, "{answer}");
        let problems = answer["problems"].as_array().unwrap();
        assert!(
            problems.iter().any(|problem| problem["key"] == key),
            "{answer}"
        );
        assert_eq!(other.ask(&ask()).await.unwrap().status, 403);
    }
}
