//! `listen.proxyProtocolFrom`: load balancers that say whose connection they pass on,
//! and whoever else pretends to.

use crate::client::{Connection, Http2Client, client_config, complete, http2_request, tls_over};
use crate::overload;
use crate::prefixed::Prefixed;
use crate::recorder::Recorder;
use crate::sidecar::{GATEWAY, IDENTITY, Setup, Sidecar};
use crate::websocket::{close_frame, expect_echo, open_on};
use std::net::{IpAddr, Ipv6Addr};

const REFUSED: &str = "portcullis_connections_refused_total{reason=\"proxy_header\"}";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V1: &[u8] = b"PROXY TCP4 198.51.100.7 10.0.0.1 49153 443\r\n";
/// 198.51.100.7 to 10.0.0.1.
const V4: [u8; 12] = [198, 51, 100, 7, 10, 0, 0, 1, 0xc0, 0x01, 0x01, 0xbb];

/// Loopback is a balancer and no trusted proxy. These sources belong to nobody (RFC 5737,
/// RFC 3849), but a host without IPv6 can't tell that of the last.
const BALANCED: &str = r#"
trustedProxies = ["198.51.100.7", "2001:db8::/64"]
[gateway.auth]
mode = "trusted-proxy"
[gateway.auth.trustedProxy]
userHeader = "x-forwarded-user"
requiredHeaders = ["x-forwarded-proto"]
allowUsers = ["nick@example.com"]
allowLoopback = true
allowLocalInterface = true
"#;

fn balanced() -> Setup {
    Setup::new()
        .gateway(BALANCED)
        .listen("address = \"127.0.0.1:0\"\nproxyProtocolFrom = [\"127.0.0.1\"]")
}

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, body].concat()
}

fn v2_of_ipv6() -> Vec<u8> {
    let [from, to] = ["2001:db8::7", "::1"].map(|ip| ip.parse::<Ipv6Addr>().unwrap().octets());
    v2(0x21, 0x21, &[&from[..], &to, &[0xc0, 1, 1, 0xbb]].concat())
}

fn v2_with_additions() -> Vec<u8> {
    // Of no meaning (PP2_TYPE_NOOP), and a balancer's own.
    let additions = [0x04, 0, 3, 0, 0, 0, 0xea, 0, 4, b'v', b'p', b'c', b'e'];
    v2(0x21, 0x11, &[&V4[..], &additions].concat())
}

/// Headers of every kind, each with the source that it names.
fn headers() -> Vec<(Vec<u8>, &'static str)> {
    vec![
        (V1.to_vec(), "198.51.100.7"),
        (
            b"PROXY TCP6 2001:db8::7 ::1 49153 443\r\n".to_vec(),
            "2001:db8::7",
        ),
        (v2(0x21, 0x11, &V4), "198.51.100.7"),
        (v2_of_ipv6(), "2001:db8::7"),
        (v2_with_additions(), "198.51.100.7"),
    ]
}

fn request(path: &str) -> String {
    complete(&format!("GET {path} HTTP/1.1\r\n{IDENTITY}"))
}

/// Sends bytes that may be unwelcome before they are all sent, and reads to the end.
async fn said_to(sidecar: &Sidecar, bytes: &[u8]) -> Vec<u8> {
    let mut connection = Connection::tcp(sidecar.address).await;
    let _ = connection.try_write(bytes).await;
    connection.read_to_end().await
}

/// Sends a header in pieces. Between them others are served who came later: by then a
/// piece has been read.
async fn in_pieces(sidecar: &Sidecar, header: &[u8]) -> Connection {
    let mut connection = Connection::tcp(sidecar.address).await;
    // Behind each line end of version 2's signature, and within its first.
    for (from, to) in [
        (0, 1),
        (1, 2),
        (2, 4),
        (4, 11),
        (11, 14),
        (14, header.len()),
    ] {
        if connection.try_write(&header[from..to]).await.is_err() {
            break;
        }
        for _ in 0..3 {
            assert_eq!(sidecar.admin("GET /livez").await.status, 200);
        }
    }
    connection
}

async fn expect_source(sidecar: &Sidecar, upstream: &Recorder, path: &str, source: &str) {
    let request = upstream.requests().pop().unwrap();
    assert_eq!(request.values("x-forwarded-for"), [source], "{path}");
    assert_eq!(request.values("x-real-ip"), [source], "{path}");
    let line = sidecar.logged(|line| line["path"] == *path).await;
    assert_eq!(
        (line["source.ip"].as_str(), line["client.ip"].as_str()),
        (Some(source), Some(source))
    );
}

#[tokio::test]
async fn the_address_in_the_header_is_the_source() {
    let upstream = Recorder::spawn().await;
    let sidecar = balanced().spawn(&upstream.url());
    for (index, (header, source)) in headers().into_iter().enumerate() {
        let path = format!("/at-once-{index}");
        let mut connection = Connection::tcp(sidecar.address).await;
        let bytes = [&header[..], request(&path).as_bytes()].concat();
        connection.write(bytes).await;
        assert_eq!(connection.response(false).await.status, 200, "{source}");
        expect_source(&sidecar, &upstream, &path, source).await;

        let path = format!("/in-pieces-{index}");
        let mut connection = in_pieces(&sidecar, &header).await;
        connection.write(request(&path)).await;
        assert_eq!(connection.response(false).await.status, 200, "{source}");
        expect_source(&sidecar, &upstream, &path, source).await;
    }
}

#[tokio::test]
async fn a_tls_handshake_may_follow_in_the_same_segment() {
    let upstream = Recorder::spawn().await;
    let sidecar = balanced().tls().spawn(&upstream.url());
    let tls = |alpn: &[u8]| client_config(&sidecar.certificate(), alpn);
    for (index, (header, source)) in headers().into_iter().enumerate() {
        let path = format!("/{index}");
        let stream = Prefixed::connect(&sidecar, &header).await;
        let mut connection = Connection::over(tls_over(stream, tls(b"http/1.1")).await.unwrap());
        connection.write(request(&path)).await;
        assert_eq!(connection.response(false).await.status, 200, "{source}");
        expect_source(&sidecar, &upstream, &path, source).await;
    }
    let stream = Prefixed::connect(&sidecar, V1).await;
    let client = Http2Client::over(tls_over(stream, tls(b"h2")).await.unwrap()).await;
    let answer = client.send(http2_request("GET", "/2", IDENTITY)).await;
    assert_eq!(answer.unwrap().status(), 200);
    expect_source(&sidecar, &upstream, "/2", "198.51.100.7").await;
}

#[tokio::test]
async fn an_announced_source_is_held_to_every_rule() {
    let upstream = Recorder::spawn().await;
    let sidecar = balanced().spawn(&upstream.url());
    // The balancer's own address is as good as any other.
    for source in ["203.0.113.9", "127.0.0.1"] {
        let mut connection = Connection::tcp(sidecar.address).await;
        let header = format!("PROXY TCP4 {source} 10.0.0.1 49153 443\r\n");
        connection.write(header + &request("/")).await;
        let answer = connection.response(false).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "trusted_proxy_untrusted_source"),
            "{source}"
        );
    }
    assert!(upstream.requests().is_empty());
    // A proxy behind the balancer says who its own client is.
    let mut connection = Connection::tcp(sidecar.address).await;
    let ask = format!("GET / HTTP/1.1\r\n{IDENTITY}x-forwarded-for: 203.0.113.9, 198.51.100.7\r\n");
    connection
        .write([V1, complete(&ask).as_bytes()].concat())
        .await;
    assert_eq!(connection.response(false).await.status, 200);
    assert_eq!(upstream.only().values("x-forwarded-for"), ["203.0.113.9"]);
}

#[tokio::test]
async fn a_balancer_on_this_host_must_be_let_in_itself() {
    let upstream = Recorder::spawn().await;
    let gateway = BALANCED.replace("allowLoopback = true", "");
    let sidecar = balanced().gateway(&gateway).spawn(&upstream.url());
    let bytes = [V1, request("/").as_bytes()].concat();
    assert_eq!(said_to(&sidecar, &bytes).await, b"");
    sidecar.counts(REFUSED, 1.0).await;
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_balancer_that_names_no_source_is_closed_without_an_answer() {
    let upstream = Recorder::spawn().await;
    let sidecar = balanced().spawn(&upstream.url());
    let cut = v2(0x21, 0x11, &V4[..11]);
    let mut beyond = v2(0x21, 0x11, &V4);
    beyond[14..16].copy_from_slice(&13_u16.to_be_bytes());
    let cases = [
        b"".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 198.51.100.7 10.0.0.1 49153 443\r\n".to_vec(),
        b"PROXY TCP4 198.51.100.7 10.0.0.1 49153\r\n".to_vec(),
        v2(0x20, 0x11, &V4),
        v2(0x20, 0x00, &[]),
        v2(0x21, 0x00, &[]),
        // Lengths that its addresses, or its additions, do not have.
        cut,
        beyond,
        [V1, V1].concat(),
        [V1, &v2(0x21, 0x11, &V4)[..]].concat(),
        [&v2(0x21, 0x11, &V4)[..], V1].concat(),
    ];
    let mut refused = 0.0;
    for header in cases {
        let bytes = [&header[..], request("/").as_bytes()].concat();
        assert_eq!(said_to(&sidecar, &bytes).await, b"", "{header:?}");
        refused += 1.0;
        sidecar.counts(REFUSED, refused).await;
    }
    for header in [V1, &v2(0x21, 0x11, &V4)] {
        let mut connection = Connection::tcp(sidecar.address).await;
        connection.write(&header[..header.len() - 1]).await;
        connection.finish().await;
        assert_eq!(connection.read_to_end().await, b"", "it was cut off");
        refused += 1.0;
        sidecar.counts(REFUSED, refused).await;
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn tls_does_not_stand_in_for_a_header() {
    let upstream = Recorder::spawn().await;
    let sidecar = balanced().tls().spawn(&upstream.url());
    let tls = || client_config(&sidecar.certificate(), b"http/1.1");
    let without = Prefixed::connect(&sidecar, b"").await;
    tls_over(without, tls()).await.unwrap_err();
    sidecar.counts(REFUSED, 1.0).await;
    // The second one of two is no handshake.
    let twice = Prefixed::connect(&sidecar, &[V1, V1].concat()).await;
    tls_over(twice, tls()).await.unwrap_err();
    let refused = "portcullis_connections_refused_total{reason=\"tls_handshake\"}";
    sidecar.counts(refused, 1.0).await;
    // The second one of two, within the tunnel of the first.
    let once = Prefixed::connect(&sidecar, V1).await;
    let mut within = Connection::over(tls_over(once, tls()).await.unwrap());
    within.write([V1, request("/").as_bytes()].concat()).await;
    assert_eq!(within.read_to_end().await, b"");
    sidecar.counts(REFUSED, 2.0).await;
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_header_and_a_handshake_have_a_deadline() {
    let upstream = Recorder::spawn().await;
    let sidecar = balanced()
        .tls()
        .section("[limits]\nhandshakeTimeout = \"1s\"")
        .spawn(&upstream.url());
    let mut waiting = Vec::new();
    for begun in [&b""[..], b"PROXY TCP4 198.51", &SIGNATURE[..5], V1] {
        let mut connection = Connection::tcp(sidecar.address).await;
        connection.write(begun).await;
        waiting.push(connection);
    }
    for mut connection in waiting {
        assert_eq!(connection.read_to_end().await, b"");
    }
    sidecar.reached("handshakeTimeout", 4).await;
    sidecar.counts(REFUSED, 0.0).await;
}

#[tokio::test]
async fn whoever_is_no_balancer_may_not_speak_for_others() {
    let upstream = Recorder::spawn().await;
    // The header's source and the connection's own are both trusted: it is not the
    // policy that stands in the way.
    let gateway = GATEWAY.replace("[\"127", "[\"198.51.100.7\", \"127");
    for (index, header) in [V1, &v2(0x21, 0x11, &V4)].into_iter().enumerate() {
        let listen = "address = \"127.0.0.1:0\"\nproxyProtocolFrom = [\"192.0.2.77\"]";
        let setup = || Setup::new().gateway(&gateway).listen(listen);
        let bytes = [header, request("/").as_bytes()].concat();

        let sidecar = setup().spawn(&upstream.url());
        assert_eq!(said_to(&sidecar, &bytes).await, b"");
        sidecar.counts(REFUSED, 1.0).await;
        let mut slow = in_pieces(&sidecar, header).await;
        assert_eq!(slow.read_to_end().await, b"", "in pieces");
        sidecar.counts(REFUSED, 2.0).await;

        let sidecar = setup().tls().spawn(&upstream.url());
        let mut within = sidecar.connect().await;
        within.write(&bytes).await;
        assert_eq!(within.read_to_end().await, b"", "within TLS");
        sidecar.counts(REFUSED, 1.0).await;
        let before = Prefixed::connect(&sidecar, header).await;
        let config = client_config(&sidecar.certificate(), b"http/1.1");
        tls_over(before, config).await.unwrap_err();
        assert!(upstream.requests().len() == index);
        // The same without a header is served.
        let mut plain = sidecar.connect().await;
        plain.write(request("/")).await;
        assert_eq!(plain.response(false).await.status, 200);
    }
}

#[tokio::test]
async fn a_reload_makes_and_unmakes_a_balancer_for_new_connections() {
    let upstream = Recorder::spawn().await;
    let gateway = GATEWAY.replace("[\"127", "[\"198.51.100.7\", \"127");
    let sidecar = Setup::new()
        .gateway(&gateway)
        .listen("address = \"127.0.0.1:0\"\nproxyProtocolFrom = []")
        .spawn(&upstream.url());
    let announced = [V1, request("/announced").as_bytes()].concat();
    let mut old = Connection::tcp(sidecar.address).await;
    old.write(request("/old")).await;
    assert_eq!(old.response(false).await.status, 200);
    for (list, is_balancer) in [("[\"127.0.0.1\"]", true), ("[]", false)] {
        sidecar.edit(|config| {
            let rest = config.split_once("proxyProtocolFrom = ").unwrap();
            let line = rest.1.split_once('\n').unwrap();
            format!("{}proxyProtocolFrom = {list}\n{}", rest.0, line.1)
        });
        let (code, answer) = sidecar.reload().await;
        assert_eq!(code, 200, "{answer}");
        assert_eq!(answer["restartRequired"], serde_json::json!([]));
        let said = |bytes: Vec<u8>| {
            let address = sidecar.address;
            async move {
                let mut connection = Connection::tcp(address).await;
                let _ = connection.try_write(bytes).await;
                connection.try_response().await.map(|answer| answer.status)
            }
        };
        let served = |is_served: bool| is_served.then_some(200);
        assert_eq!(said(announced.clone()).await, served(is_balancer));
        assert_eq!(said(request("/bare").into()).await, served(!is_balancer));
        old.write(request("/old")).await;
        assert_eq!(old.response(false).await.status, 200);
    }
    let sources: Vec<IpAddr> = upstream
        .requests()
        .iter()
        .filter(|request| request.line().contains("/announced"))
        .map(|request| request.values("x-forwarded-for")[0].parse().unwrap())
        .collect();
    assert_eq!(sources, ["198.51.100.7".parse::<IpAddr>().unwrap()]);
}

#[tokio::test]
async fn what_a_balancer_announced_ends_with_its_being_listed() {
    let (upstream, _) = overload::upstream().await;
    let gateway = GATEWAY.replace("[\"127", "[\"198.51.100.7\", \"127");
    let sidecar = Setup::new()
        .gateway(&gateway)
        .listen("address = \"127.0.0.1:0\"\nproxyProtocolFrom = [\"127.0.0.1\", \"127.0.0.2\"]")
        .spawn(&upstream.url());
    let address = sidecar.address;
    let announced = |from: &'static str| async move {
        let mut connection = Connection::tcp_from(from, address).await;
        connection.write(V1).await;
        connection
    };
    let (gone, stays) = ("127.0.0.2", "127.0.0.1");
    let mut session = open_on(announced(gone).await, IDENTITY).await;
    let mut other = open_on(announced(stays).await, IDENTITY).await;
    let mut idle = announced(gone).await;
    idle.write(request("/")).await;
    assert_eq!(idle.response(false).await.status, 200);
    expect_echo(&mut session, "before").await;
    sidecar.edit(|config| config.replace("\"127.0.0.1\", \"127.0.0.2\"]\n", "\"127.0.0.1\"]\n"));
    assert_eq!(sidecar.reload().await.0, 200);
    assert_eq!(session.read_to_end().await, close_frame(4001));
    expect_echo(&mut other, "still here").await;
    idle.write(request("/")).await;
    let answer = idle.response(false).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "draining"));
    assert_eq!(idle.read_to_end().await, b"");
}
