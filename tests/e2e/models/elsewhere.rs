//! A provider's key never reaches another's server, whatever a caller writes.

use super::provider::Provider;
use super::{back_door, section, start};
use crate::client::Connection;
use crate::sidecar::Sidecar;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Two providers, and a third listener that is none.
struct Town {
    one: Provider,
    other: Provider,
    evil: Provider,
    sidecar: Sidecar,
}

impl Town {
    async fn new() -> Self {
        let (one, other) = (Provider::spawn().await, Provider::spawn().await);
        let sidecar = start(back_door(&format!(
            "{}{}",
            section("anthropic", &one, &["key-of-one"]),
            section("openai", &other, &["key-of-other"])
        )));
        let evil = Provider::spawn().await;
        Self {
            one,
            other,
            evil,
            sidecar,
        }
    }

    /// Sends a head as it is, and waits for an answer or the end.
    async fn send(&self, head: &str) -> Option<u16> {
        let mut connection = Connection::tcp(self.sidecar.models()).await;
        let _ = connection.try_write(format!("{head}\r\n\r\n")).await;
        connection.try_response().await.map(|answer| answer.status)
    }

    /// Whether every key went where it belongs, and nothing anywhere else.
    fn is_quiet(&self) -> bool {
        let only =
            |provider: &Provider, key: &str| provider.shown().iter().all(|shown| shown == key);
        only(&self.one, "key-of-one")
            && only(&self.other, "key-of-other")
            && self.evil.requests().is_empty()
    }
}

#[tokio::test]
async fn no_path_leads_to_another_server() {
    let town = Town::new().await;
    let evil = town.evil.address;
    for path in [
        "/anthropic/../openai/v1".to_owned(),
        "/anthropic/%2e%2e/openai/v1".to_owned(),
        "/anthropic/.%2E/openai/v1".to_owned(),
        "/anthropic/v1/..%2f..%2fopenai".to_owned(),
        "/anthropic/..;/openai".to_owned(),
        "/anthropic/..\\openai".to_owned(),
        "/anthropic\\..\\openai".to_owned(),
        format!("//{evil}/anthropic/v1"),
        format!("/anthropic//{evil}/v1"),
        format!("/anthropic/\\{evil}/v1"),
        format!("/anthropic@{evil}/v1"),
        format!("/anthropic:x@{evil}/v1"),
        format!("/anthropic%40{evil}/v1"),
        format!("/anthropic.{evil}/v1"),
        format!("@{evil}/v1"),
        format!("anthropic@{evil}"),
        "/%61nthropic/v1".to_owned(),
        "/anthropic%2fv1".to_owned(),
        "*".to_owned(),
    ] {
        let status = town
            .send(&format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1"))
            .await;
        assert!(
            status.is_none_or(|status| (400..500).contains(&status)),
            "{path}: {status:?}"
        );
        assert!(town.is_quiet(), "{path}");
    }
    assert!(town.one.requests().is_empty() && town.other.requests().is_empty());
}

#[tokio::test]
async fn what_is_no_trick_goes_to_its_own_server() {
    let town = Town::new().await;
    let evil = town.evil.address;
    for path in [
        format!("/anthropic/@{evil}/v1"),
        format!("/anthropic/v1?url=http://{evil}/&x=/../.."),
        format!("/anthropic?@{evil}"),
        "/anthropic/:?.;;%5c///.openai@..\\;".to_owned(),
        "/anthropic".to_owned(),
    ] {
        assert_eq!(
            town.send(&format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1"))
                .await,
            Some(200)
        );
        assert!(town.is_quiet(), "{path}");
    }
    assert_eq!(town.one.requests().len(), 5);
}

#[tokio::test]
async fn no_header_leads_to_another_server() {
    let town = Town::new().await;
    let evil = town.evil.address;
    for fields in [
        format!("Host: {evil}"),
        format!("Host: 127.0.0.1\r\nHost: {evil}"),
        format!("Host: 127.0.0.1@{evil}"),
        format!("Host: 127.0.0.1\r\nX-Forwarded-Host: {evil}"),
        format!("Host: 127.0.0.1\r\nForwarded: host={evil}"),
        format!("Host: 127.0.0.1\r\nX-Original-URL: http://{evil}/"),
        format!("Host: 127.0.0.1\r\nX-Original-Host: {evil}"),
        format!("Host: 127.0.0.1\r\nConnection: host\r\nProxy-Connection: {evil}"),
    ] {
        town.send(&format!("GET /anthropic/v1 HTTP/1.1\r\n{fields}"))
            .await;
        assert!(town.is_quiet(), "{fields}");
    }
    for line in [
        format!("GET http://{evil}/anthropic/v1"),
        format!("GET http://127.0.0.1@{evil}/anthropic/v1"),
        format!("CONNECT {evil}"),
        format!("CONNECT {evil}/anthropic/v1"),
    ] {
        town.send(&format!("{line} HTTP/1.1\r\nHost: {evil}")).await;
        town.send(&format!("{line} HTTP/1.1\r\nHost: 127.0.0.1"))
            .await;
        assert!(town.is_quiet(), "{line}");
    }
    for request in town.one.requests() {
        assert_eq!(request.values("host"), [town.one.address.to_string()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_does_any_other_path() {
    let town = Town::new().await;
    let runtime = tokio::runtime::Handle::current();
    let segment =
        "(anthropic|openai|\\.|\\.\\.|%2e|%2E%2e|%2f|%5c|\\\\|;|@|:|//|/|[a-z0-9]|[!-~]){0,8}";
    let path = format!("/?(anthropic|openai)?/?{segment}/{segment}");
    tokio::task::block_in_place(|| {
        let mut runner = TestRunner::new(Config {
            cases: 400,
            ..Config::default()
        });
        runner
            .run(&path.as_str(), |path| {
                let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1");
                runtime.block_on(town.send(&head));
                prop_assert!(town.is_quiet());
                Ok(())
            })
            .unwrap();
    });
    assert!(!town.one.requests().is_empty() && !town.other.requests().is_empty());
    for provider in [&town.one, &town.other] {
        for request in provider.requests() {
            let line = request.line();
            // A query is the provider's to read: it is no part of the way.
            let path = line.split('?').next().unwrap_or_default();
            assert!(!path.contains("/../") && !path.contains('\\'), "{line}");
        }
    }
}
