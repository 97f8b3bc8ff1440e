//! What a trusted proxy says of the client. The first line is for this target: the
//! source's address, or `unix`, and `ws` for a WebSocket handshake; each further one is a field.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::forwarded::{Facts, Scheme};
use portcullis::policy::{
    Field, Keyless, LocalInterface, Request, Source, Standing, TrustedNets, Upgrade,
};
use portcullis_fuzz::{Door, TRUSTED, TRUSTED_UID, USER_HEADER, lines, only};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;

const HOST: &str = "claw.example.com:8443";

static DOOR: LazyLock<Door> = LazyLock::new(Door::new);

fuzz_target!(|bytes: &[u8]| {
    let mut rows = bytes.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(rows.next().unwrap_or_default()).unwrap_or_default();
    let mut words = first.split(' ');
    let address = words.next().unwrap_or_default();
    let source = match address.parse() {
        Ok(address) => Source::new(address, LocalInterface::No),
        Err(_) if address == "unix" => Source::unix_peer(TRUSTED_UID),
        Err(_) => Source::new(IpAddr::from([10, 0, 0, 1]), LocalInterface::No),
    };
    let upgrade = match words.next() {
        Some("ws") => Upgrade::Websocket,
        _ => Upgrade::None,
    };
    let mut fields = vec![Field {
        name: USER_HEADER,
        value: b"ann",
    }];
    fields.extend(rows.filter_map(field).take(32));

    for target in ["/", "/hooks/x"] {
        let request = Request {
            method: if target == "/" { "GET" } else { "POST" },
            target,
            upgrade: if target == "/" {
                upgrade
            } else {
                Upgrade::None
            },
            fields: &fields,
        };
        check(source, &request);
    }
});

/// A field as the engine reads it.
fn field(row: &[u8]) -> Option<Field<'_>> {
    let colon = row.iter().position(|byte| *byte == b':')?;
    let name = std::str::from_utf8(&row[..colon]).ok()?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let value = row[colon + 1..].trim_ascii();
    let is_value = |byte: &u8| *byte == b'\t' || *byte >= b' ' && *byte != 0x7f;
    (!name.is_empty() && name.bytes().all(is_token) && value.iter().all(is_value))
        .then_some(Field { name, value })
}

fn check(source: Source, request: &Request<'_>) {
    let Ok(permit) = DOOR.policy.decide(source, request, &Keyless) else {
        return;
    };
    let facts = Facts {
        scheme: Scheme::Https,
        host: HOST,
        request_id: "id-1",
    };
    let mut head = Vec::new();
    let written = DOOR.rewriter.rewrite(&permit, &facts, &mut head);
    let lines = lines(&head);

    let trusted = TrustedNets::parse(TRUSTED).expect("networks");
    let is_believed = permit.standing() == Standing::TrustedProxy;
    let of_network = source
        .address()
        .is_some_and(|address| trusted.contains(address));
    assert_eq!(is_believed, of_network || source.uid() == Some(TRUSTED_UID));
    let all = |name: &str| -> Vec<&[u8]> {
        let same = |field: &&Field<'_>| field.name.eq_ignore_ascii_case(name);
        request
            .fields
            .iter()
            .filter(same)
            .map(|field| field.value)
            .collect()
    };

    // Where the client is.
    let client = only(&lines, "x-forwarded-for");
    assert_eq!(only(&lines, "x-real-ip"), client);
    let client: IpAddr = client.parse().expect("an address and nothing else");
    assert_eq!(client, written.client);
    assert_eq!(client, client.to_canonical());
    if client != source.place() {
        assert!(
            !client.is_loopback() && !trusted.contains(client),
            "{client}"
        );
    }
    let walked = walk(&all("x-forwarded-for"), &trusted).filter(|_| is_believed);
    assert_eq!(client, walked.unwrap_or(source.place()));

    // How it connected, and to whom.
    let scheme = only(&lines, "x-forwarded-proto");
    assert_eq!(scheme, written.scheme.as_str());
    let said = all("x-forwarded-proto");
    let said_plain = matches!(&said[..], [b"http"])
        || matches!(&said[..], [b"ws"]) && request.upgrade == Upgrade::Websocket;
    assert_eq!(scheme == "http", said_plain && is_believed);

    let host = only(&lines, "x-forwarded-host");
    let said = all("x-forwarded-host");
    if host != HOST {
        assert!(is_believed && said == [host.as_bytes()], "{host}");
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, digits)) if !host.ends_with(']') => (name, digits.parse::<u16>().ok()),
        _ => (host, None),
    };
    let is_address = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match is_address {
        Some(address) => assert!(address.parse::<Ipv6Addr>().is_ok(), "{host}"),
        None => assert!(
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)),
            "{host}"
        ),
    }
    let port = port.unwrap_or(if scheme == "http" { 80 } else { 443 });
    assert_eq!(only(&lines, "x-forwarded-port"), port.to_string());
    assert_eq!(only(&lines, "x-request-id"), "id-1");
    assert_eq!(only(&lines, "host"), HOST);
}

/// The contract's walk: from the right, over loopback and trusted hops, to the first
/// other address; an entry that is no address ends it.
fn walk(values: &[&[u8]], trusted: &TrustedNets) -> Option<IpAddr> {
    let list = values.join(&b',');
    let hops = list.split(|byte| *byte == b',').rev();
    let mut hops = hops.map(|hop| {
        std::str::from_utf8(hop)
            .ok()
            .and_then(|hop| address(hop.trim_matches([' ', '\t'])))
    });
    if values.is_empty() {
        return None;
    }
    let is_hop = |address: &IpAddr| address.is_loopback() || trusted.contains(*address);
    hops.find(|hop| !hop.as_ref().is_some_and(is_hop)).flatten()
}

/// An address, with or without brackets and port as the standard library reads them;
/// a zone is taken off first.
fn address(hop: &str) -> Option<IpAddr> {
    let without_zone = match hop.split_once('%') {
        None => hop.to_owned(),
        Some((address, rest)) => {
            let (zone, after) = match rest.split_once(']') {
                Some((zone, after)) if hop.starts_with('[') => (zone, format!("]{after}")),
                _ => (rest, String::new()),
            };
            let _: Ipv6Addr = address.trim_start_matches('[').parse().ok()?;
            (!zone.is_empty()).then(|| format!("{address}{after}"))?
        }
    };
    let bracketed = without_zone
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = match bracketed {
        Some(address) => IpAddr::V6(address.parse().ok()?),
        None => match without_zone.parse::<SocketAddr>() {
            Ok(socket) => socket.ip(),
            Err(_) => without_zone.parse().ok()?,
        },
    };
    Some(address.to_canonical())
}
