//! The lines to paste: one permitted request, one for each denial, a stream and
//! a WebSocket.

use crate::cli::output::Style;
use crate::policy::Code;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// What the lines point at.
pub(super) struct Tour {
    pub(super) front: SocketAddr,
    /// The door that refuses loopback, and this host's own address where it has one.
    pub(super) strict: Vec<SocketAddr>,
    pub(super) admin: SocketAddr,
    pub(super) certificate: PathBuf,
}

const USER: &str = "-H 'x-forwarded-user: nick@example.com'";
const PROTO: &str = "-H 'x-forwarded-proto: https'";

/// One line and what comes of it.
struct Stop {
    status: u16,
    what: String,
    command: String,
}

impl Tour {
    /// The whole text.
    pub(super) fn render(&self, style: Style) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{}\n\n  front door     https://{}  (TLS, self-signed)\n  second door    https://{}  \
             (the same, without allowLoopback)\n  administration http://{}  (livez, readyz, metrics, status)\n\n\
             Paste these into another terminal. {}\n",
            style.bold("Portcullis demo: a trusted-proxy front door over an embedded gateway."),
            self.front,
            self.strict[0],
            self.admin,
            style.dim("Ctrl-C stops the demo."),
        );
        let _ = writeln!(text, "{}\n", style.bold("Permitted"));
        for stop in self.permitted() {
            stop.write(style, &mut text);
        }
        let _ = writeln!(text, "{}\n", style.bold("Denied, each by its own rule"));
        for stop in self.denied() {
            stop.write(style, &mut text);
        }
        let _ = writeln!(
            text,
            "{}",
            style.dim("Next: config.example.toml shows every key; `portcullis explain` says why without a network.")
        );
        text
    }

    fn curl(&self, address: SocketAddr, rest: &str) -> String {
        let certificate = self.certificate.display();
        format!("curl -si --cacert {certificate} {rest} https://{address}/").replace("  ", " ")
    }

    fn permitted(&self) -> Vec<Stop> {
        let certificate = self.certificate.display();
        let front = self.front;
        vec![
            Stop {
                status: 200,
                what: "the gateway's echo shows what it was told".to_owned(),
                command: self.curl(
                    front,
                    &format!("{USER} {PROTO} -H 'x-forwarded-for: 203.0.113.7'"),
                ),
            },
            Stop {
                status: 200,
                what: "server-sent events, each passed on as it comes".to_owned(),
                command: format!(
                    "curl -siN --cacert {certificate} {USER} {PROTO} https://{front}/events"
                ),
            },
            Stop {
                status: 101,
                what: "a WebSocket over TLS that echoes `hello`".to_owned(),
                command: format!(
                    "(printf 'GET /echo HTTP/1.1\\r\\nHost: {front}\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\
                     Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\
                     X-Forwarded-User: nick@example.com\\r\\nX-Forwarded-Proto: https\\r\\n\\r\\n\
                     \\201\\205\\0\\0\\0\\0hello'; sleep 1) | openssl s_client -quiet -no_ign_eof -CAfile {certificate} -connect {front} 2>/dev/null"
                ),
            },
        ]
    }

    fn denied(&self) -> Vec<Stop> {
        let front = self.front;
        let both = format!("{USER} {PROTO}");
        let mut stops = vec![
            self.denial(Code::LoopbackSource, None, &both, self.strict[0]),
            self.denial(
                Code::AmbiguousHeader,
                Some("a second user under an alias"),
                &format!("{both} -H 'x_forwarded_user: admin'"),
                front,
            ),
            self.denial(
                Code::UnexpectedScopes,
                Some("scopes that nothing here vouches for"),
                &format!("{both} -H 'x-openclaw-scopes: operator.admin'"),
                front,
            ),
            self.denial(
                Code::MissingHeader,
                Some("no x-forwarded-proto, which is required"),
                USER,
                front,
            ),
            self.denial(Code::UserMissing, None, PROTO, front),
            self.denial(
                Code::UserInvalid,
                Some("a name that is not ASCII"),
                &format!("-H 'x-forwarded-user: nïck@example.com' {PROTO}"),
                front,
            ),
            self.denial(
                Code::UserNotAllowed,
                None,
                &format!("-H 'x-forwarded-user: eve@example.com' {PROTO}"),
                front,
            ),
        ];
        if front.ip() == IpAddr::from([127, 0, 0, 1]) {
            let rest = format!("--interface 127.0.0.2 {both}");
            stops.insert(
                0,
                self.denial(
                    Code::UntrustedSource,
                    Some("from 127.0.0.2, which is not in trustedProxies"),
                    &rest,
                    front,
                ),
            );
        }
        if let Some(&own) = self.strict.get(1) {
            let what = "from this host's own address, although it is in trustedProxies";
            stops.insert(
                2.min(stops.len()),
                self.denial(Code::LocalInterfaceSource, Some(what), &both, own),
            );
        }
        stops
    }

    fn denial(&self, code: Code, what: Option<&str>, rest: &str, to: SocketAddr) -> Stop {
        let what = what.map_or_else(|| code.message().to_owned(), str::to_owned);
        Stop {
            status: code.status(),
            what: format!("{}: {what}", code.as_str()),
            command: self.curl(to, rest),
        }
    }
}

impl Stop {
    fn write(&self, style: Style, text: &mut String) {
        let status = if self.status < 400 {
            style.green(self.status)
        } else {
            style.red(self.status)
        };
        let _ = writeln!(
            text,
            "  {status} {}\n      {}\n",
            self.what,
            style.dim(&self.command)
        );
    }
}
