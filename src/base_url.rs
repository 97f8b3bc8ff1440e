//! The URL of an HTTP service that we call: whom to connect to, whom to verify, and
//! the path that every request's own path is put behind.

use std::net::IpAddr;
use url::{Host, Url};

/// `http://HOST[:PORT][/PATH]` or `https://…`, without user, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    url: Url,
}

/// The host of a [`BaseUrl`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseHost {
    /// An address.
    Ip(IpAddr),
    /// A DNS name in lower case.
    Dns(String),
}

/// Why a text is no [`BaseUrl`]. It doesn't repeat the text, which may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// It can't be read as a URL.
    #[error("it is no URL")]
    Malformed,
    /// Another scheme.
    #[error("its scheme is neither http nor https")]
    Scheme,
    /// A user or a password.
    #[error("no user or password may stand in it")]
    UserInfo,
    /// A query or a fragment.
    #[error("no query or fragment may stand in it")]
    Query,
}

impl BaseUrl {
    /// Reads a URL (WHATWG); a slash at its end doesn't count.
    ///
    /// # Errors
    /// [`BaseUrlError`].
    pub fn parse(text: &str) -> Result<Self, BaseUrlError> {
        let mut url = Url::parse(text).map_err(|_| BaseUrlError::Malformed)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BaseUrlError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BaseUrlError::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BaseUrlError::Query);
        }
        // Spaces and line ends at the ends are what the parser forgives.
        if url.host().is_none() || text.contains(|c: char| c.is_whitespace() || c == '\\') {
            return Err(BaseUrlError::Malformed);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self { url })
    }

    /// Whether it is `https`.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host to connect to, and to verify.
    #[must_use]
    pub fn host(&self) -> BaseHost {
        match self.url.host().expect("checked when it was read") {
            Host::Ipv4(ip) => BaseHost::Ip(ip.into()),
            Host::Ipv6(ip) => BaseHost::Ip(ip.into()),
            Host::Domain(name) => BaseHost::Dns(name.to_owned()),
        }
    }

    /// The port, 80 or 443 where none is written.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.url
            .port_or_known_default()
            .expect("both schemes have one")
    }

    /// `host[:port]`, as the `Host` header has it (RFC 9110 section 7.2).
    #[must_use]
    pub fn authority(&self) -> String {
        let host = self.url.host_str().expect("checked when it was read");
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The path without a slash at its end: empty, or `/v1`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }

    /// The whole URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Whether what is sent there leaves this host unencrypted.
    #[must_use]
    pub fn is_plain_to_another_host(&self) -> bool {
        let is_own = match self.host() {
            BaseHost::Ip(ip) => ip.to_canonical().is_loopback(),
            BaseHost::Dns(name) => name == "localhost",
        };
        !self.is_tls() && !is_own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_where_to_connect_and_what_to_put_in_front() {
        for (text, tls, host, port, authority, path) in [
            (
                "https://api.anthropic.com",
                true,
                BaseHost::Dns("api.anthropic.com".into()),
                443,
                "api.anthropic.com",
                "",
            ),
            (
                "https://API.openai.com/v1/",
                true,
                BaseHost::Dns("api.openai.com".into()),
                443,
                "api.openai.com",
                "/v1",
            ),
            (
                "http://127.0.0.1:9/a/b",
                false,
                BaseHost::Ip("127.0.0.1".parse().unwrap()),
                9,
                "127.0.0.1:9",
                "/a/b",
            ),
            (
                "http://[::1]:9/",
                false,
                BaseHost::Ip("::1".parse().unwrap()),
                9,
                "[::1]:9",
                "",
            ),
        ] {
            let url = BaseUrl::parse(text).unwrap();
            assert_eq!(url.is_tls(), tls, "{text}");
            assert_eq!(url.host(), host, "{text}");
            assert_eq!(url.port(), port, "{text}");
            assert_eq!(url.authority(), authority, "{text}");
            assert_eq!(url.path(), path, "{text}");
        }
    }

    #[test]
    fn refuses_what_could_lead_elsewhere_or_hold_a_secret() {
        for (text, error) in [
            ("", BaseUrlError::Malformed),
            ("api.openai.com", BaseUrlError::Malformed),
            ("https://", BaseUrlError::Malformed),
            ("https:\\\\evil", BaseUrlError::Malformed),
            (" https://a", BaseUrlError::Malformed),
            ("https://a/b c", BaseUrlError::Malformed),
            ("ftp://a", BaseUrlError::Scheme),
            ("file:///etc/passwd", BaseUrlError::Scheme),
            ("https://user@a", BaseUrlError::UserInfo),
            ("https://user:password@a", BaseUrlError::UserInfo),
            ("https://a/?key=s3cret", BaseUrlError::Query),
            ("https://a/#x", BaseUrlError::Query),
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn knows_when_a_credential_would_travel_in_the_clear() {
        for (text, plain) in [
            ("http://127.0.0.1:1", false),
            ("http://localhost", false),
            ("http://[::ffff:127.0.0.1]", false),
            ("https://a.example", false),
            ("http://a.example", true),
            ("http://10.0.0.1", true),
        ] {
            assert_eq!(
                BaseUrl::parse(text).unwrap().is_plain_to_another_host(),
                plain,
                "{text}"
            );
        }
    }
}
