//! TLS, HSTS and the redirect.

use crate::client::{Connection, Http2Client, client_config, complete, http2_request, tls_stream};
use crate::recorder::Recorder;
use crate::sidecar::{GATEWAY, IDENTITY, Setup, write_certificate};
use std::process::Command;

const HSTS: &str = "max-age=31536000; includeSubDomains";

#[tokio::test]
async fn every_answer_over_tls_has_hsts() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let requests = [
        (format!("GET / HTTP/1.1\r\n{IDENTITY}"), 200),
        (
            "GET / HTTP/1.1\r\nx-forwarded-proto: https\r\n".to_owned(),
            401,
        ),
        (format!("GET / HTTP/1.1\r\n{IDENTITY}host: twice\r\n"), 400),
        (format!("TRACE / HTTP/1.1\r\n{IDENTITY}"), 405),
        (format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(300)), 431),
    ];
    for (request, status) in requests {
        let answer = sidecar.send(&request).await;
        assert_eq!(
            (answer.status, answer.values("strict-transport-security")),
            (status, vec![HSTS])
        );
    }
    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    for (fields, status) in [(IDENTITY, 200), ("x-forwarded-proto: https\r\n", 401)] {
        let answer = client
            .send(http2_request("GET", "/", fields))
            .await
            .unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["strict-transport-security"], HSTS);
    }
}

#[tokio::test]
async fn errors_and_redirects_of_the_upstream_have_it_once_and_ours() {
    for (answer, status) in [
        (
            "HTTP/1.1 302 Found\r\nlocation: /x\r\nstrict-transport-security: max-age=1\r\ncontent-length: 0\r\n\r\n",
            302,
        ),
        ("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", 500),
    ] {
        let upstream = Recorder::with_answer(answer).await;
        let sidecar = Setup::new().tls().spawn(&upstream.url());
        let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).await;
        assert_eq!(
            (answer.status, answer.values("strict-transport-security")),
            (status, vec![HSTS])
        );
    }
    let sidecar = Setup::new().tls().spawn("http://127.0.0.1:9");
    let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).await;
    assert_eq!(
        (answer.status, answer.values("strict-transport-security")),
        (502, vec![HSTS])
    );
}

#[tokio::test]
async fn plain_http_has_none_unless_the_trusted_proxy_says_https() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .section("[gateway.http.securityHeaders]\nstrictTransportSecurity = \"max-age=60\"")
        .spawn(&upstream.url());
    let plain = IDENTITY.replace("https", "http");
    let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{plain}")).await;
    assert!(answer.values("strict-transport-security").is_empty());
    let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).await;
    assert_eq!(answer.values("strict-transport-security"), ["max-age=60"]);
    for fields in ["x-forwarded-proto: http\r\n", "host: twice\r\n"] {
        let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{fields}")).await;
        assert!(
            answer.values("strict-transport-security").is_empty(),
            "{fields}"
        );
    }
}

#[tokio::test]
async fn tls_1_2_is_spoken_unless_1_3_is_the_minimum() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    for (minimum, accepts_1_2) in [("1.2", true), ("1.3", false)] {
        let path = folder.path().display();
        let gateway = format!(
            "{GATEWAY}[gateway.tls]\ncertPath = \"{path}/cert.pem\"\nkeyPath = \"{path}/key.pem\"\nminVersion = \"{minimum}\""
        );
        let sidecar = Setup::new().gateway(&gateway).spawn(&upstream.url());
        let mut config = client_config(&folder.path().join("cert.pem"), b"http/1.1");
        let only_1_2 =
            rustls::ClientConfig::builder_with_provider(config.crypto_provider().clone())
                .with_protocol_versions(&[&rustls::version::TLS12])
                .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        use rustls::pki_types::pem::PemObject;
        let certificate =
            rustls::pki_types::CertificateDer::from_pem_file(folder.path().join("cert.pem"));
        roots.add(certificate.unwrap()).unwrap();
        assert!(tls_stream(sidecar.address, config.clone()).await.is_ok());
        config = only_1_2.with_root_certificates(roots).with_no_client_auth();
        assert_eq!(
            tls_stream(sidecar.address, config).await.is_ok(),
            accepts_1_2,
            "{minimum}"
        );
    }
}

#[tokio::test]
async fn a_source_without_a_certificate_is_refused_where_one_is_asked_for() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let path = folder.path().display();
    let gateway = format!(
        "{GATEWAY}[gateway.tls]\ncertPath = \"{path}/cert.pem\"\nkeyPath = \"{path}/key.pem\"\n\
         clientCaPath = \"{path}/cert.pem\""
    );
    let sidecar = Setup::new().gateway(&gateway).spawn(&upstream.url());
    let config = client_config(&folder.path().join("cert.pem"), b"http/1.1");
    // TLS 1.3 tells the client after its own handshake is over.
    if let Ok(mut stream) = tls_stream(sidecar.address, config).await {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let _ = stream
            .write_all(complete(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).as_bytes())
            .await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn plain_http_is_redirected_with_308() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .tls()
        .listen("address = \"127.0.0.1:0\"\nredirectHttp = \"127.0.0.1:0\"")
        .spawn(&upstream.url());
    let redirect = sidecar.redirect.unwrap();
    let mut connection = Connection::tcp(redirect).await;
    let request = format!(
        "GET /a?b HTTP/1.1\r\nHost: claw.example.com:{}\r\n\r\n",
        redirect.port()
    );
    connection.write(request).await;
    let answer = connection.response(false).await;
    let expected = format!("https://claw.example.com:{}/a?b", sidecar.address.port());
    assert_eq!(
        (answer.status, answer.values("location")),
        (308, vec![expected.as_str()])
    );
    assert!(answer.values("strict-transport-security").is_empty());
    let mut connection = Connection::tcp(redirect).await;
    connection
        .write("GET / HTTP/1.1\r\nHost: evil/@\r\n\r\n")
        .await;
    assert_eq!(connection.response(false).await.status, 400);
}

#[tokio::test]
async fn curl_sees_hsts_over_both_versions() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let port = sidecar.address.port();
    for version in ["--http1.1", "--http2"] {
        for (user, status) in [("nick@example.com", "200"), ("eve@example.com", "403")] {
            let mut curl = Command::new("curl");
            curl.args(["-sS", "-D", "-", "-o", "/dev/null", version, "--cacert"])
                .arg(sidecar.certificate())
                .args(["--resolve", &format!("claw.example.com:{port}:127.0.0.1")])
                .args([
                    "-H",
                    &format!("x-forwarded-user: {user}"),
                    "-H",
                    "x-forwarded-proto: https",
                ])
                .arg(format!("https://claw.example.com:{port}/"));
            // The upstream runs on this thread: it must not be blocked.
            let output = tokio::task::spawn_blocking(move || curl.output());
            let output = output
                .await
                .unwrap()
                .expect("curl is needed: `make test` installs it");
            let head = String::from_utf8(output.stdout)
                .unwrap()
                .to_ascii_lowercase();
            let protocol = if version == "--http2" {
                "http/2"
            } else {
                "http/1.1"
            };
            assert!(head.starts_with(&format!("{protocol} {status}")), "{head}");
            assert_eq!(
                head.matches("strict-transport-security: ").count(),
                1,
                "{head}"
            );
        }
    }
}
