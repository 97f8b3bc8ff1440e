//! The URL of a curl line: user, host and target, as curl would send them.

/// What a URL says.
pub(super) struct Address {
    pub(super) host: String,
    /// Path and query.
    pub(super) target: String,
    /// `user:password`.
    pub(super) user: Option<String>,
    pub(super) is_websocket: bool,
}

impl Address {
    /// Reads `text`; dot segments go unless `is_path_as_is`, as with curl.
    pub(super) fn read(text: &str, is_path_as_is: bool) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let is_websocket = match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => false,
            "ws" | "wss" => true,
            _ => return Err("expected a URL of http, https, ws or wss".to_owned()),
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(at);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, authority),
        };
        if host.is_empty() {
            return Err("expected a URL with a host".to_owned());
        }
        let (path, query) = match target.find('?') {
            Some(at) => target.split_at(at),
            None => (target, ""),
        };
        let path = match is_path_as_is {
            _ if path.is_empty() => "/".to_owned(),
            true => path.to_owned(),
            false => without_dot_segments(path),
        };
        Ok(Self {
            host: host.to_owned(),
            target: format!("{path}{query}"),
            user,
            is_websocket,
        })
    }
}

/// RFC 3986 section 5.2.4.
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (place, segment) in segments.iter().enumerate() {
        let is_last = place + 1 == segments.len();
        match *segment {
            "." | ".." => {
                if *segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_url_apart_as_curl_does() {
        for (text, host, target, user) in [
            (
                "https://claw.example.com/x?y=1#z",
                "claw.example.com",
                "/x?y=1",
                None,
            ),
            ("claw.example.com:8443", "claw.example.com:8443", "/", None),
            ("HTTP://u:p@h/", "h", "/", Some("u:p")),
            ("https://h?a=/../b", "h", "/?a=/../b", None),
            ("https://[::1]:1/a/./b/../c/..", "[::1]:1", "/a/", None),
            ("https://h/../../a", "h", "/a", None),
            ("https://h/a//b/", "h", "/a//b/", None),
        ] {
            let read = Address::read(text, false).unwrap();
            assert_eq!(
                (
                    read.host.as_str(),
                    read.target.as_str(),
                    read.user.as_deref()
                ),
                (host, target, user),
                "{text}"
            );
        }
        assert_eq!(
            Address::read("http://h/a/../b", true).unwrap().target,
            "/a/../b"
        );
        assert!(Address::read("wss://h/", false).unwrap().is_websocket);
        for bad in ["", "ftp://h/", "https:///x", "http://u@/x"] {
            assert!(Address::read(bad, false).is_err(), "{bad}");
        }
    }
}
