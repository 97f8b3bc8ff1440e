//! The way in that an operator names: one request on one connection, byte for byte as
//! asked, and to no other address.

use super::corpus::is_configured;
use super::distrust::Distrust;
use super::own_header::{HeaderError, OwnHeader};
use super::seen::{Reply, Seen};
use crate::base_url::{BaseHost, BaseUrl};
use crate::http1::body::Decoder;
use crate::http1::request::FieldList;
use crate::http1::response::{self, RequestKind};
use crate::http1::scan::HeadScanner;
use crate::policy::PROBE_HEADER;
use crate::probe::{Nonce, ProbeAnswer, Shot};
use crate::secrets::SecretValue;
use crate::tls::{self, TlsError, UpstreamTrust};
use crate::upstream::{ConnectError, Target, Upstream, UpstreamConfig, UpstreamTls};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const CONNECT: Duration = Duration::from_secs(10);
/// From the connection to the answer's last byte.
const EXCHANGE: Duration = Duration::from_secs(20);
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// How the certificate of the named address is verified.
#[derive(Debug, Clone)]
pub enum TlsTrust {
    /// By these authorities.
    Verified(UpstreamTrust),
    /// Not at all.
    Insecure,
}

/// Sends requests to one address.
pub struct Front {
    upstream: Upstream,
    authority: String,
    target: String,
    headers: Vec<OwnHeader>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// No connection.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    /// There was none in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// What came is no answer of HTTP/1.1.
    #[error("the answer can't be read")]
    Malformed,
}

impl FrontError {
    /// As what is seen of the request.
    #[must_use]
    pub fn seen(&self) -> Seen {
        match self {
            Self::Connect(error) => Distrust::of(error).map_or_else(
                || Seen::Unreachable(error.to_string()),
                |(target, distrust)| Seen::Untrusted(target.to_owned(), distrust),
            ),
            _ => Seen::Unknown(self.to_string()),
        }
    }
}

impl Front {
    /// The way in at `url`.
    ///
    /// # Errors
    /// [`TlsError`] where an authority is malformed.
    pub fn new(url: &BaseUrl, trust: TlsTrust, headers: Vec<OwnHeader>) -> Result<Self, TlsError> {
        let (target, name) = match url.host() {
            BaseHost::Ip(ip) => (
                Target::Address(SocketAddr::new(ip, url.port())),
                ip.to_string(),
            ),
            BaseHost::Dns(host) => (
                Target::Name {
                    host: host.clone(),
                    port: url.port(),
                },
                host,
            ),
        };
        let tls = match (url.is_tls(), trust) {
            (false, _) => None,
            (true, TlsTrust::Verified(trust)) => Some(UpstreamTls {
                config: tls::client_config(&trust, "--ca")?,
                name: tls::server_name(&name)?,
                trust,
            }),
            (true, TlsTrust::Insecure) => Some(UpstreamTls {
                config: unverified()?,
                name: tls::server_name(&name)?,
                trust: UpstreamTrust::Authorities(Vec::new()),
            }),
        };
        Ok(Self {
            upstream: Upstream::new(UpstreamConfig {
                target,
                tls,
                idle_timeout: Duration::ZERO,
                connect_timeout: CONNECT,
            }),
            authority: url.authority(),
            target: match url.path() {
                "" => "/".to_owned(),
                path => path.to_owned(),
            },
            headers,
        })
    }

    /// Whether the operator sends this header with every request.
    #[must_use]
    pub fn sends(&self, name: &str) -> bool {
        self.headers.iter().any(|header| header.is(name))
    }

    /// Whether nothing that the operator sends is for the proxy in front to set, by the
    /// configuration behind `baseline`.
    ///
    /// # Errors
    /// [`HeaderError::Proxys`], with the first that is.
    pub fn check(&self, baseline: &ProbeAnswer) -> Result<(), HeaderError> {
        let proxys = |header: &&OwnHeader| is_configured(header.name(), baseline);
        self.headers.iter().find(proxys).map_or(Ok(()), |header| {
            Err(HeaderError::Proxys(header.name().to_ascii_lowercase()))
        })
    }

    /// Sends request `number` of a probe with `fields` behind the operator's, and reads its
    /// answer. No redirect is followed.
    ///
    /// # Errors
    /// [`FrontError`].
    pub async fn fire(
        &self,
        nonce: &Nonce,
        number: u16,
        fields: &[(&str, &str)],
    ) -> Result<Reply, FrontError> {
        let (shown, shot) = nonce.shoot(number);
        let request_id = format!("doctor-{}-{number}", shot.mark.as_str());
        let head = self.head(&shown, &request_id, fields);
        let connection = self.upstream.connect().await?;
        let mut transport = connection.into_transport();
        let exchange = async {
            transport.write_all(head.expose_bytes()).await?;
            transport.flush().await?;
            let mut bytes = Vec::new();
            loop {
                if let Some(reply) = read(&shot, &bytes, Connection::Open)? {
                    return Ok(reply);
                }
                let mut piece = [0; 8 * 1024];
                let count = transport.read(&mut piece).await?;
                if count == 0 {
                    return read(&shot, &bytes, Connection::Ended)?.ok_or(FrontError::Malformed);
                }
                bytes.extend_from_slice(&piece[..count]);
                if bytes.len() > MAX_ANSWER_BYTES {
                    return Err(FrontError::Malformed);
                }
            }
        };
        timeout(EXCHANGE, exchange)
            .await
            .unwrap_or(Err(FrontError::TimedOut(EXCHANGE)))
    }

    /// The request, which holds the operator's session.
    fn head(&self, shown: &str, request_id: &str, fields: &[(&str, &str)]) -> SecretValue {
        let Self {
            authority,
            target,
            headers,
            ..
        } = self;
        let own = [
            ("accept", "application/json"),
            (
                "user-agent",
                concat!("portcullis-doctor/", env!("CARGO_PKG_VERSION")),
            ),
            ("x-request-id", request_id),
            ("connection", "close"),
        ];
        // What an attack or the operator sends stands in for the doctor's own.
        let own = own.into_iter().filter(|(name, _)| {
            let is_sent = |(field, _): &(&str, &str)| field.eq_ignore_ascii_case(name);
            !fields.iter().any(is_sent) && !self.sends(name)
        });
        let mut parts = vec!["GET ", target, " HTTP/1.1\r\nhost: ", authority, "\r\n"];
        let mut line = |name, value| parts.extend([name, ": ", value, "\r\n"]);
        line(PROBE_HEADER, shown);
        for (name, value) in own {
            line(name, value);
        }
        for header in headers {
            line(header.name(), header.value());
        }
        for &(name, value) in fields {
            line(name, value);
        }
        parts.push("\r\n");
        SecretValue::concat(&parts)
    }
}

/// Whether more can come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Connection {
    Open,
    Ended,
}

/// Reads an answer to `shot` out of what has come; none: more is to come.
fn read(shot: &Shot, bytes: &[u8], connection: Connection) -> Result<Option<Reply>, FrontError> {
    let mut rest = bytes;
    loop {
        let length = HeadScanner::default()
            .advance(rest)
            .map_err(|_| FrontError::Malformed)?;
        let Some(length) = length else {
            return Ok(None);
        };
        let (head, after) = rest.split_at(length);
        rest = after;
        let mut fields = FieldList::default();
        let head = response::parse(head, RequestKind::Other, &mut fields)
            .map_err(|_| FrontError::Malformed)?;
        // Interim answers are of no interest.
        if (100..200).contains(&head.status) {
            continue;
        }
        let mut decoder = Decoder::new(head.framing);
        let mut body = Vec::new();
        let mut input = rest;
        while let Some(piece) = decoder
            .next(&mut input)
            .map_err(|_| FrontError::Malformed)?
        {
            body.extend_from_slice(piece);
        }
        let has_ended =
            decoder.is_done() || connection == Connection::Ended && decoder.ends_with_connection();
        if !has_ended {
            return Ok(None);
        }
        let location = fields
            .as_slice()
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case("location"))
            .map(|field| String::from_utf8_lossy(field.value).into_owned());
        return Ok(Some(Reply::read(shot, head.status, location, &body)));
    }
}

fn unverified() -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Unverified(provider.clone()));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Believes every certificate: for `--insecure` alone, which is told as a finding.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
