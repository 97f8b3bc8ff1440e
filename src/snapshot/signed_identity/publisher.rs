//! The place where an issuer publishes its keys.

use crate::assertion::{Fetch, FetchError};
use crate::base_url::BaseUrl;
use crate::config::KeysPlace;
use crate::http_client::call_once;
use crate::policy::printable;
use crate::telemetry::with_causes;
use crate::tls::UpstreamTrust;
use async_trait::async_trait;
use http::{Request, StatusCode, header};
use serde::Deserialize;
use std::time::Duration;

/// For one document, in time and in bytes: Google's keys have 5 kB.
const LIMIT: (Duration, usize) = (Duration::from_secs(10), 256 << 10);

/// How many characters a message shows of a document's own words.
const MAX_SHOWN: usize = 120;

/// The place where an issuer publishes its keys.
pub(super) struct Publisher {
    pub(super) place: KeysPlace,
    pub(super) trust: UpstreamTrust,
}

/// What counts of a discovery document (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[async_trait]
impl Fetch for Publisher {
    async fn fetch(&self, id: Option<&str>) -> Result<Vec<u8>, FetchError> {
        match &self.place {
            KeysPlace::Url(url) => self.get(url, id).await,
            // Asked for each time: an issuer may move its keys.
            KeysPlace::Discovered { document, issuer } => {
                let found = self.get(document, None).await?;
                let url = keys_url(&found, document, issuer).map_err(|problem| {
                    FetchError::Unanswered(format!("{}: {problem}", document.as_str()))
                })?;
                self.get(&url, id).await
            }
        }
    }
}

impl Publisher {
    async fn get(&self, url: &BaseUrl, id: Option<&str>) -> Result<Vec<u8>, FetchError> {
        let path = url.path();
        let target = match id {
            Some(id) => format!("{path}/{id}"),
            None if path.is_empty() => "/".to_owned(),
            None => path.to_owned(),
        };
        let shown = format!("{}{target}", url.authority());
        let failed = |what: String| FetchError::Unanswered(format!("{shown}: {what}"));
        let request = Request::get(target)
            .header(header::ACCEPT, "application/json, */*;q=0.1")
            .body(Vec::new())
            .map_err(|error| failed(error.to_string()))?;
        let answer = call_once(url, self.trust.clone(), request, LIMIT).await;
        let answer = answer.map_err(|error| failed(with_causes(&error)))?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            // A redirect isn't followed: keys come from the place that was named.
            other => Err(failed(format!("got status {other}, expected 200"))),
        }
    }
}

/// Where a discovery document of `issuer`, which was found at `document`, says that the
/// keys are.
fn keys_url(found: &[u8], document: &BaseUrl, issuer: &str) -> Result<BaseUrl, String> {
    let found: Discovery = serde_json::from_slice(found)
        .map_err(|_| "got no JSON object with `issuer` and `jwks_uri`".to_owned())?;
    if found.issuer != issuer {
        let got = printable(&found.issuer, MAX_SHOWN);
        return Err(format!("got `issuer` `{got}`, expected `{issuer}`"));
    }
    let got = printable(&found.jwks_uri, MAX_SHOWN);
    let url = BaseUrl::parse(&found.jwks_uri)
        .map_err(|error| format!("got `jwks_uri` `{got}`: {error}; `keysUrl` can name another"))?;
    // As good a connection as the document came by, else it proves nothing.
    match url.is_tls() || (!document.is_tls() && !url.is_plain_to_another_host()) {
        true => Ok(url),
        false => Err(format!("got `jwks_uri` `{got}`, expected an https URL")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ISSUER: &str = "https://idp.example.com/";

    fn read(document: &str, found: &str) -> Result<String, String> {
        let document = BaseUrl::parse(document).unwrap();
        keys_url(found.as_bytes(), &document, ISSUER).map(|url| url.as_str().to_owned())
    }

    fn naming(issuer: &str, jwks_uri: &str) -> String {
        json!({"issuer": issuer, "jwks_uri": jwks_uri, "claims_supported": ["sub"]}).to_string()
    }

    #[test]
    fn the_keys_are_where_the_issuers_own_document_says() {
        for (document, jwks_uri) in [
            (
                "https://idp.example.com/x",
                "https://keys.example.net/certs",
            ),
            ("http://127.0.0.1:9/x", "http://127.0.0.1:8/keys"),
            ("http://127.0.0.1:9/x", "https://keys.example.net/certs"),
        ] {
            let found = naming(ISSUER, jwks_uri);
            assert_eq!(read(document, &found).as_deref(), Ok(jwks_uri));
        }
    }

    #[test]
    fn a_document_that_proves_nothing_names_no_keys() {
        let https = "https://idp.example.com/x";
        for (document, found, problem) in [
            (https, "[]".to_owned(), "no JSON object"),
            (https, "{}".to_owned(), "no JSON object"),
            (
                https,
                json!({"issuer": ISSUER}).to_string(),
                "no JSON object",
            ),
            (
                https,
                naming("https://idp.example.com", "https://a/keys"),
                "got `issuer` `https://idp.example.com`, expected `https://idp.example.com/`",
            ),
            (
                https,
                naming(ISSUER, "http://idp.example.com/keys"),
                "expected an https URL",
            ),
            (
                https,
                naming(ISSUER, "http://127.0.0.1/keys"),
                "expected an https URL",
            ),
            (
                "http://127.0.0.1:9/x",
                naming(ISSUER, "http://idp.example.com/keys"),
                "expected an https URL",
            ),
            (https, naming(ISSUER, "file:///etc/keys"), "its scheme is"),
            (https, naming(ISSUER, "https://a/keys?p=b"), "no query"),
            (https, naming(ISSUER, "\u{1b}]0;"), "got `jwks_uri` `?]0;`"),
        ] {
            let got = read(document, &found).unwrap_err();
            assert!(got.contains(problem), "{found}: {got}");
        }
    }
}
