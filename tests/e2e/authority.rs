//! An authority that signs the certificates which sources show.

use crate::client::{Connection, Http2Client, Response, client_config, tls_over};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, SupportedProtocolVersion};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

/// An authority with a key of its own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, as a client shows it.
pub(crate) struct Shown {
    parameters: CertificateParams,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// From when to when a certificate is good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validity {
    Now,
    Past,
    Future,
}

impl Authority {
    /// Another one at each call.
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let name = &mut parameters.distinguished_name;
        name.push(DnType::CommonName, "an authority");
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(parameters, key).unwrap())
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A client's certificate with these names, good now.
    pub(crate) fn sign(&self, names: &[SanType]) -> Shown {
        self.sign_for(
            names,
            Validity::Now,
            ExtendedKeyUsagePurpose::ClientAuth,
            None,
        )
    }

    /// One that is good at another time.
    pub(crate) fn sign_at(&self, names: &[SanType], validity: Validity) -> Shown {
        self.sign_for(names, validity, ExtendedKeyUsagePurpose::ClientAuth, None)
    }

    /// One that is for a server.
    pub(crate) fn sign_server(&self, names: &[SanType]) -> Shown {
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        self.sign_for(names, Validity::Now, usage, None)
    }

    /// One that has this subject beside its names.
    pub(crate) fn sign_subject(&self, names: &[SanType], subject: &str) -> Shown {
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        self.sign_for(names, Validity::Now, usage, Some(subject))
    }

    fn sign_for(
        &self,
        names: &[SanType],
        validity: Validity,
        usage: ExtendedKeyUsagePurpose,
        subject: Option<&str>,
    ) -> Shown {
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = names.to_vec();
        parameters.extended_key_usages = vec![usage];
        let subject = subject.unwrap_or("a source");
        let name = &mut parameters.distinguished_name;
        name.push(DnType::CommonName, subject);
        let (from, to) = match validity {
            Validity::Now => (2000, 4000),
            Validity::Past => (2000, 2020),
            Validity::Future => (3000, 4000),
        };
        parameters.not_before = date_time_ymd(from, 1, 1);
        parameters.not_after = date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        Shown {
            parameters,
            chain: vec![certificate.der().clone()],
            key: key.into(),
        }
    }
}

impl Shown {
    /// The same with another's certificate behind it, which anybody can come by.
    pub(crate) fn beside(mut self, other: &Self) -> Self {
        self.chain.push(other.chain[0].clone());
        self
    }

    /// A certificate that this one's bearer, who is no authority, has signed.
    pub(crate) fn sign(&self, names: &[SanType]) -> Self {
        let key = KeyPair::try_from(&self.key).unwrap();
        let issuer = Issuer::from_params(&self.parameters, key);
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = names.to_vec();
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &issuer).unwrap();
        Self {
            parameters,
            chain: vec![certificate.der().clone(), self.chain[0].clone()],
            key: key.into(),
        }
    }
}

pub(crate) fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

pub(crate) fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

pub(crate) fn email(name: &str) -> SanType {
    SanType::Rfc822Name(name.try_into().unwrap())
}

/// A client that shows a certificate, or none. It keeps what it needs to resume its
/// sessions.
#[derive(Clone)]
pub(crate) struct Source {
    address: SocketAddr,
    from: &'static str,
    config: ClientConfig,
}

impl Source {
    /// A client of `address`, whose server has `certificate`.
    pub(crate) fn new(address: SocketAddr, certificate: &Path, shown: Option<&Shown>) -> Self {
        let versions = &[&rustls::version::TLS12, &rustls::version::TLS13];
        Self::speaking(address, certificate, shown, versions)
    }

    /// One that speaks these versions of TLS.
    pub(crate) fn speaking(
        address: SocketAddr,
        certificate: &Path,
        shown: Option<&Shown>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let config = client_config(certificate, b"http/1.1");
        let provider = config.crypto_provider().clone();
        let mut roots = rustls::RootCertStore::empty();
        use rustls::pki_types::pem::PemObject;
        roots
            .add(CertificateDer::from_pem_file(certificate).unwrap())
            .unwrap();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_webpki_verifier(verifier.build().unwrap());
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some(shown) => builder
                .with_client_auth_cert(shown.chain.clone(), shown.key.clone_key())
                .unwrap(),
        };
        Self {
            address,
            from: "127.0.0.1",
            config,
        }
    }

    /// The same from another address of this host.
    pub(crate) fn from(mut self, address: &'static str) -> Self {
        self.from = address;
        self
    }

    async fn stream(&self, alpn: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(self.from.parse().unwrap(), 0))?;
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        let mut config = self.config.clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        tls_over(stream, config).await
    }

    /// An HTTP/1.1 connection. TLS 1.3 says after its handshake that it is refused.
    pub(crate) async fn connect(&self) -> std::io::Result<Connection> {
        Ok(Connection::over(self.stream(b"http/1.1").await?))
    }

    /// An HTTP/2 connection.
    pub(crate) async fn http2(&self) -> Http2Client {
        Http2Client::over(self.stream(b"h2").await.unwrap()).await
    }

    /// Sends one request on a connection of its own; none: it isn't even read.
    pub(crate) async fn ask(&self, request: &str) -> Option<Response> {
        self.ask_in(request).await.map(|(response, _, _)| response)
    }

    /// The same with how the handshake went, and in which version.
    pub(crate) async fn ask_in(
        &self,
        request: &str,
    ) -> Option<(Response, HandshakeKind, ProtocolVersion)> {
        let stream = self.stream(b"http/1.1").await.ok()?;
        let tls = stream.get_ref().1;
        let (kind, version) = (tls.handshake_kind()?, tls.protocol_version()?);
        let mut connection = Connection::over(stream);
        let request = crate::client::complete(request);
        connection.try_write(request).await.ok()?;
        let response = connection.try_response().await?;
        Some((response, kind, version))
    }
}
