//! `listen.redirectHttp`: a plain listener that sends everyone to https, and
//! does nothing else.

use crate::authority::Authority;
use crate::drain::Drain;
use crate::http1::request::{FieldList, parse};
use crate::http1::scan::HeadScanner;
use crate::request_id::RequestId;
use pingora_timeout::timeout;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Redirected clients at the same time; each is gone within the deadline.
const MAX_CLIENTS: usize = 1024;
const DEADLINE: Duration = Duration::from_secs(10);
const MAX_HEAD: usize = 8 * 1024;
const MAX_FIELDS: usize = 100;

/// Where clients are sent.
#[derive(Debug, Clone, Copy)]
pub struct Redirect {
    /// The port of this plain listener.
    pub own_port: u16,
    /// The port of the TLS listener.
    pub tls_port: u16,
}

impl Redirect {
    /// Answers until the drain begins.
    pub async fn run(self, listener: TcpListener, drain: Drain) {
        let mut drain = drain.watch();
        let mut exhaustion = super::Exhaustion::default();
        let slots = Arc::new(Semaphore::new(MAX_CLIENTS));
        loop {
            let accepted = tokio::select! {
                biased;
                () = drain.begun() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((tcp, _)) => {
                    let Ok(slot) = slots.clone().try_acquire_owned() else {
                        continue;
                    };
                    tokio::spawn(async move {
                        // Whoever is slower than that, or breaks off, is not redirected.
                        let _ = timeout(DEADLINE, self.answer(tcp)).await;
                        drop(slot);
                    });
                }
                Err(error) => exhaustion.pause_after(&error).await,
            }
        }
    }

    async fn answer(self, mut tcp: TcpStream) -> std::io::Result<()> {
        let mut head = Vec::with_capacity(1024);
        let mut scanner = HeadScanner::default();
        let answer = loop {
            match scanner.advance(&head) {
                Ok(Some(length)) => break self.respond(&head[..length]),
                Ok(None) if head.len() <= MAX_HEAD => {}
                _ => break bad_request(),
            }
            if tcp.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        };
        tcp.write_all(answer.as_bytes()).await?;
        tcp.shutdown().await?;
        // A body that is still on its way would reset the connection under the answer.
        while tcp.read(&mut [0; 1024]).await? > 0 {}
        Ok(())
    }

    fn respond(self, head: &[u8]) -> String {
        let mut fields = FieldList::default();
        match parse(head, MAX_FIELDS, &mut fields) {
            Ok(request) => {
                let location = self.location(request.host, request.target);
                format!(
                    "HTTP/1.1 308 Permanent Redirect\r\nlocation: {location}\r\n\
                     x-request-id: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                    RequestId::generate().as_str()
                )
            }
            Err(_) => bad_request(),
        }
    }

    /// A client that reached this listener under its own port reaches the TLS
    /// listener under its own as well; one that came by another port came through
    /// a mapping, which has the standard port on its other side.
    fn location(self, authority: Authority<'_>, target: &str) -> String {
        let name = authority.host();
        let port = authority.port().unwrap_or(80);
        let is_direct = port == self.own_port;
        if is_direct && self.tls_port != 443 {
            format!("https://{name}:{}{target}", self.tls_port)
        } else {
            format!("https://{name}{target}")
        }
    }
}

fn bad_request() -> String {
    format!(
        "HTTP/1.1 400 Bad Request\r\nx-request-id: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        RequestId::generate().as_str()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_host_path_and_query_and_finds_the_port() {
        let direct = Redirect {
            own_port: 8080,
            tls_port: 8443,
        };
        let standard = Redirect {
            own_port: 80,
            tls_port: 443,
        };
        let cases = [
            (
                direct,
                "claw.example.com:8080",
                "https://claw.example.com:8443/a?b",
            ),
            (direct, "claw.example.com", "https://claw.example.com/a?b"),
            (direct, "[::1]:8080", "https://[::1]:8443/a?b"),
            (standard, "claw.example.com", "https://claw.example.com/a?b"),
            (
                Redirect {
                    own_port: 80,
                    tls_port: 8443,
                },
                "h",
                "https://h:8443/a?b",
            ),
        ];
        for (redirect, host, location) in cases {
            assert_eq!(
                redirect.location(Authority::parse(host.as_bytes()).unwrap(), "/a?b"),
                location
            );
        }
    }

    #[test]
    fn a_host_that_is_none_is_not_sent_anywhere() {
        let redirect = Redirect {
            own_port: 80,
            tls_port: 443,
        };
        for host in ["evil.com/@", "a b", "a\u{e9}", "u@h", ""] {
            let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert!(
                redirect
                    .respond(head.as_bytes())
                    .starts_with("HTTP/1.1 400"),
                "{host}"
            );
        }
        let answer = redirect.respond(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n");
        assert!(
            answer.starts_with("HTTP/1.1 308 ") && answer.contains("location: https://h/a\r\n")
        );
    }
}
