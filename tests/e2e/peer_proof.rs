//! `clientCertNames`: a source needs the right address and the right certificate, now.

mod swapped;

use crate::authority::{Authority, Shown, Source, Validity, dns, email, uri};
use crate::client::http2_request;
use crate::recorder::Recorder;
use crate::reload::generation;
use crate::sidecar::{GATEWAY, IDENTITY, Setup, Sidecar, write_certificate};
use rcgen::SanType;
use rustls::{HandshakeKind, ProtocolVersion};
use std::fs;
use tempfile::TempDir;

const NAMES: &str = "clientCertNames = [\"Proxy.example.com\", \
                     \"spiffe://example.com/ns/edge/sa/proxy\", \"proxy@example.com\"]";
const REFUSED: &str = "portcullis_connections_refused_total{reason=\"tls_handshake\"}";

fn ask() -> String {
    format!("GET / HTTP/1.1\r\n{IDENTITY}")
}

fn right() -> [SanType; 1] {
    [dns("proxy.example.com")]
}

/// Files of a door that asks for certificates of an authority.
struct Door {
    folder: TempDir,
    authority: Authority,
}

impl Door {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_certificate(folder.path());
        let authority = Authority::new();
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        Self { folder, authority }
    }

    /// Asks for one of these names beside the address.
    fn gateway(&self, names: &str) -> String {
        let path = self.folder.path().display();
        format!(
            "{GATEWAY}{names}\n[gateway.tls]\ncertPath = \"{path}/cert.pem\"\n\
             keyPath = \"{path}/key.pem\"\nclientCaPath = \"{path}/ca.pem\"\n"
        )
    }

    fn spawn(&self, upstream: &Recorder) -> Sidecar {
        let setup = Setup::new().gateway(&self.gateway(NAMES));
        setup.spawn(&upstream.url())
    }

    fn source(&self, sidecar: &Sidecar, shown: &Shown) -> Source {
        let certificate = self.folder.path().join("cert.pem");
        Source::new(sidecar.address, &certificate, Some(shown))
    }

    fn stranger(&self, sidecar: &Sidecar) -> Source {
        Source::new(sidecar.address, &self.folder.path().join("cert.pem"), None)
    }

    /// Puts another file in the place of the authorities', as a renewal does.
    fn put_authorities(&self, text: &str) {
        let next = self.folder.path().join("next.pem");
        fs::write(&next, text).unwrap();
        fs::rename(next, self.folder.path().join("ca.pem")).unwrap();
    }
}

#[tokio::test]
async fn the_right_address_with_the_right_certificate_passes() {
    let (upstream, door) = (Recorder::spawn().await, Door::new());
    let sidecar = door.spawn(&upstream);
    for names in [
        vec![dns("proxy.example.com")],
        vec![dns("PROXY.EXAMPLE.COM")],
        vec![uri("spiffe://example.com/ns/edge/sa/proxy")],
        vec![email("proxy@example.com")],
        vec![dns("other.example.com"), email("proxy@example.com")],
    ] {
        let source = door.source(&sidecar, &door.authority.sign(&names));
        let answer = source.ask(&ask()).await.expect("it was turned away");
        assert_eq!(answer.status, 200, "{names:?}");
        let client = source.http2().await;
        let answer = client.send(http2_request("GET", "/", IDENTITY)).await;
        assert_eq!(answer.unwrap().status(), 200, "{names:?}");
    }
    assert_eq!(upstream.requests().len(), 10);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_denied_and_the_log_says_for_which() {
    let (upstream, door) = (Recorder::spawn().await, Door::new());
    let sidecar = door.spawn(&upstream);
    let subject = "proxy.example.com";
    let none: &[SanType] = &[];
    for (shown, named) in [
        (
            door.authority.sign(&[dns("other.example.com")]),
            "`other.example.com`",
        ),
        (
            door.authority.sign(&[dns("*.example.com")]),
            "`*.example.com`",
        ),
        (
            door.authority.sign(&[dns("x.proxy.example.com")]),
            "`x.proxy.example.com`",
        ),
        // Whose certificate it shows besides is no proof.
        (
            door.authority
                .sign(&[dns("beside.example.com")])
                .beside(&door.authority.sign(&right())),
            "`beside.example.com`",
        ),
        // The right text in the wrong kind of name.
        (
            door.authority.sign(&[uri("proxy.example.com")]),
            "`proxy.example.com`",
        ),
        (
            door.authority.sign(&[email("Proxy@example.com")]),
            "`Proxy@example.com`",
        ),
        (
            door.authority
                .sign(&[uri("spiffe://example.com/ns/edge/sa/Proxy")]),
            "`spiffe://example.com/ns/edge/sa/Proxy`",
        ),
        // A subject names nobody (RFC 9525 section 2).
        (
            door.authority.sign_subject(none, subject),
            "no DNS name, URI or e-mail address",
        ),
        (
            door.authority
                .sign_subject(&[SanType::IpAddress("127.0.0.1".parse().unwrap())], subject),
            "no DNS name, URI or e-mail address",
        ),
    ] {
        let source = door.source(&sidecar, &shown);
        let answer = source.ask(&ask()).await.expect("it wasn't read");
        let code = answer.code();
        assert_eq!(
            (answer.status, code.as_str()),
            (403, "trusted_proxy_untrusted_certificate"),
            "{named}"
        );
        assert!(!String::from_utf8_lossy(&answer.body).contains(named.trim_matches('`')));
        let client = source.http2().await;
        let answer = client
            .send(http2_request("GET", "/", IDENTITY))
            .await
            .unwrap();
        assert_eq!(answer.status(), 403, "{named}");
        let key = "gateway.auth.trustedProxy.clientCertNames";
        let says = |line: &serde_json::Value| {
            let detail = line["denial.detail"].as_str();
            detail.is_some_and(|detail| detail.contains(named) && detail.contains(key))
        };
        sidecar.logged(says).await;
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn the_right_certificate_from_the_wrong_address_is_denied() {
    let (upstream, door) = (Recorder::spawn().await, Door::new());
    let sidecar = door.spawn(&upstream);
    let source = door.source(&sidecar, &door.authority.sign(&right()));
    let answer = source.clone().from("127.0.0.2").ask(&ask()).await.unwrap();
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "trusted_proxy_untrusted_source")
    );
    assert!(upstream.requests().is_empty());
    assert_eq!(source.ask(&ask()).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_certificate_that_proves_nothing_ends_the_handshake() {
    let (upstream, door) = (Recorder::spawn().await, Door::new());
    let sidecar = door.spawn(&upstream);
    let foreign = Authority::new();
    let ours = &door.authority;
    let shown = [
        ours.sign_at(&right(), Validity::Past),
        ours.sign_at(&right(), Validity::Future),
        ours.sign_server(&right()),
        foreign.sign(&right()),
        // Whoever has a certificate of ours is no authority.
        ours.sign(&[dns("other.example.com")]).sign(&right()),
    ];
    let sources = shown.iter().map(|shown| door.source(&sidecar, shown));
    let sources: Vec<_> = sources.chain([door.stranger(&sidecar)]).collect();
    for (place, source) in sources.iter().enumerate() {
        assert!(source.ask(&ask()).await.is_none(), "{place}");
        sidecar.counts(REFUSED, (place + 1) as f64).await;
    }
    assert!(upstream.requests().is_empty());
    let source = door.source(&sidecar, &ours.sign(&right()));
    assert_eq!(source.ask(&ask()).await.unwrap().status, 200);
}

#[tokio::test]
async fn nobody_resumes_a_session_around_a_rotated_authority() {
    let upstream = Recorder::spawn().await;
    for (version, expected) in [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        // The client is one that resumes, where it may.
        let open = Setup::new().tls().spawn(&upstream.url());
        let client = Source::speaking(open.address, &open.certificate(), None, &[version]);
        let (_, first, spoken) = client.ask_in(&ask()).await.unwrap();
        assert_eq!((first, spoken), (HandshakeKind::Full, expected));
        let (_, second, _) = client.ask_in(&ask()).await.unwrap();
        assert_eq!(second, HandshakeKind::Resumed);

        let door = Door::new();
        let sidecar = door.spawn(&upstream);
        let certificate = door.folder.path().join("cert.pem");
        let shown = door.authority.sign(&right());
        let source = Source::speaking(sidecar.address, &certificate, Some(&shown), &[version]);
        for _ in 0..3 {
            let (answer, kind, spoken) = source.ask_in(&ask()).await.unwrap();
            assert_eq!(
                (answer.status, kind, spoken),
                (200, HandshakeKind::Full, expected)
            );
        }
        door.put_authorities(&Authority::new().pem());
        generation(&sidecar, 2).await;
        let before = upstream.requests().len();
        assert!(source.ask(&ask()).await.is_none(), "{expected:?}");
        assert_eq!(upstream.requests().len(), before);
    }
}

#[tokio::test]
async fn names_that_could_not_be_asked_for_stop_the_start() {
    let door = Door::new();
    for (names, expected) in [
        ("clientCertNames = []", "at least one"),
        (
            "clientCertNames = [\"*.example.com\"]",
            "compared to the letter",
        ),
        ("clientCertNames = [\"10.0.0.1\"]", "not an IP address"),
        ("clientCertNames = [\"\"]", "printable ASCII"),
        ("clientCertNames = [\"a b\"]", "printable ASCII"),
        ("clientCertNames = \"proxy.example.com\"", "an array"),
    ] {
        let (code, said) = Setup::new().gateway(&door.gateway(names)).refused();
        assert_eq!(code, Some(2), "{names}: {said}");
        assert!(
            said.contains("gateway.auth.trustedProxy.clientCertNames"),
            "{said}"
        );
        assert!(said.contains(expected), "{names}: {said}");
    }
    let without = door.gateway(NAMES).replace("clientCaPath", "#clientCaPath");
    for gateway in [without, format!("{GATEWAY}{NAMES}\n")] {
        let (code, said) = Setup::new().gateway(&gateway).refused();
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains("expected `gateway.tls.clientCaPath` beside them"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_public_route_takes_its_own_sources_and_of_trusted_ones_the_named() {
    let (upstream, door) = (Recorder::spawn().await, Door::new());
    let sidecar = Setup::new()
        .gateway(&door.gateway(NAMES))
        .section("[[gateway.publicRoutes]]\npath = \"/hooks/\"\nmethods = [\"GET\"]")
        .section("[[gateway.publicRoutes]]\npath = \"/own/\"\nmethods = [\"GET\"]\nsources = [\"127.0.0.1\"]")
        .spawn(&upstream.url());
    for (names, hooks) in [(right(), 200), ([dns("other.example.com")], 403)] {
        let source = door.source(&sidecar, &door.authority.sign(&names));
        for (path, status) in [("/hooks/a", hooks), ("/own/a", 200)] {
            let answer = source
                .ask(&format!("GET {path} HTTP/1.1\r\n"))
                .await
                .unwrap();
            assert_eq!(answer.status, status, "{path}");
        }
    }
}
