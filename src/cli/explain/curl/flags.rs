//! curl's flags: those that change what the policy sees, and those that don't.

/// What a flag does to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing that the policy sees.
    Nothing,
    Method,
    Url,
    Target,
    Data,
    /// Taken as it stands: no `@` names a file.
    DataRaw,
    DataUrlencode,
    Json,
    Form,
    Upload,
    Cookie,
    User,
    Bearer,
    UserAgent,
    Referer,
    Range,
    Header,
    Head,
    Get,
    Compressed,
    PathAsIs,
}

/// Whether a value follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Switch(Effect),
    Value(Effect),
}

const SWITCHES: &[(&str, &str, Effect)] = &[
    ("I", "head", Effect::Head),
    ("G", "get", Effect::Get),
    ("", "compressed", Effect::Compressed),
    ("", "path-as-is", Effect::PathAsIs),
    ("k", "insecure", Effect::Nothing),
    ("s", "silent", Effect::Nothing),
    ("S", "show-error", Effect::Nothing),
    ("v", "verbose", Effect::Nothing),
    ("i", "include", Effect::Nothing),
    ("i", "show-headers", Effect::Nothing),
    ("L", "location", Effect::Nothing),
    ("", "location-trusted", Effect::Nothing),
    ("f", "fail", Effect::Nothing),
    ("", "fail-with-body", Effect::Nothing),
    ("N", "no-buffer", Effect::Nothing),
    ("#", "progress-bar", Effect::Nothing),
    ("", "progress-meter", Effect::Nothing),
    ("", "no-progress-meter", Effect::Nothing),
    ("g", "globoff", Effect::Nothing),
    ("4", "ipv4", Effect::Nothing),
    ("6", "ipv6", Effect::Nothing),
    ("0", "http1.0", Effect::Nothing),
    ("", "http1.1", Effect::Nothing),
    ("", "http2", Effect::Nothing),
    ("", "http2-prior-knowledge", Effect::Nothing),
    ("", "http3", Effect::Nothing),
    ("", "http3-only", Effect::Nothing),
    ("1", "tlsv1", Effect::Nothing),
    ("", "tlsv1.2", Effect::Nothing),
    ("", "tlsv1.3", Effect::Nothing),
    ("", "no-alpn", Effect::Nothing),
    ("", "no-keepalive", Effect::Nothing),
    ("", "tcp-nodelay", Effect::Nothing),
    ("", "basic", Effect::Nothing),
    ("q", "disable", Effect::Nothing),
    ("O", "remote-name", Effect::Nothing),
    ("J", "remote-header-name", Effect::Nothing),
    ("", "ssl-no-revoke", Effect::Nothing),
    ("", "ca-native", Effect::Nothing),
];

const VALUES: &[(&str, &str, Effect)] = &[
    ("X", "request", Effect::Method),
    ("H", "header", Effect::Header),
    ("d", "data", Effect::Data),
    ("", "data-ascii", Effect::Data),
    ("", "data-raw", Effect::DataRaw),
    ("", "data-binary", Effect::Data),
    ("", "data-urlencode", Effect::DataUrlencode),
    ("", "json", Effect::Json),
    ("F", "form", Effect::Form),
    ("", "form-string", Effect::Form),
    ("T", "upload-file", Effect::Upload),
    ("b", "cookie", Effect::Cookie),
    ("u", "user", Effect::User),
    ("", "oauth2-bearer", Effect::Bearer),
    ("A", "user-agent", Effect::UserAgent),
    ("e", "referer", Effect::Referer),
    ("r", "range", Effect::Range),
    ("", "url", Effect::Url),
    ("", "request-target", Effect::Target),
    ("o", "output", Effect::Nothing),
    ("", "output-dir", Effect::Nothing),
    ("D", "dump-header", Effect::Nothing),
    ("w", "write-out", Effect::Nothing),
    ("m", "max-time", Effect::Nothing),
    ("", "connect-timeout", Effect::Nothing),
    ("", "expect100-timeout", Effect::Nothing),
    ("", "keepalive-time", Effect::Nothing),
    ("", "resolve", Effect::Nothing),
    ("", "connect-to", Effect::Nothing),
    ("", "interface", Effect::Nothing),
    ("", "unix-socket", Effect::Nothing),
    ("c", "cookie-jar", Effect::Nothing),
    ("E", "cert", Effect::Nothing),
    ("", "cert-type", Effect::Nothing),
    ("", "key", Effect::Nothing),
    ("", "key-type", Effect::Nothing),
    ("", "pass", Effect::Nothing),
    ("", "cacert", Effect::Nothing),
    ("", "capath", Effect::Nothing),
    ("", "ciphers", Effect::Nothing),
    ("", "tls13-ciphers", Effect::Nothing),
    ("", "curves", Effect::Nothing),
    ("", "tls-max", Effect::Nothing),
    ("", "proto", Effect::Nothing),
    ("", "proto-default", Effect::Nothing),
    ("", "retry", Effect::Nothing),
    ("", "retry-delay", Effect::Nothing),
    ("", "retry-max-time", Effect::Nothing),
    ("", "limit-rate", Effect::Nothing),
    ("", "max-redirs", Effect::Nothing),
    ("", "max-filesize", Effect::Nothing),
    ("x", "proxy", Effect::Nothing),
    ("U", "proxy-user", Effect::Nothing),
    ("", "proxy-header", Effect::Nothing),
    ("", "noproxy", Effect::Nothing),
    ("", "stderr", Effect::Nothing),
    ("", "trace", Effect::Nothing),
    ("", "trace-ascii", Effect::Nothing),
];

/// The flag `--name`.
pub(super) fn long(name: &str) -> Option<Kind> {
    find(|(_, long)| *long == name)
}

/// The flag `-letter`.
pub(super) fn short(letter: char) -> Option<Kind> {
    find(|(short, _)| short.chars().eq([letter]))
}

fn find(is_it: impl Fn(&(&str, &str)) -> bool) -> Option<Kind> {
    let among = |table: &'static [(&str, &str, Effect)]| {
        let found = table
            .iter()
            .find(|(short, long, _)| is_it(&(*short, *long)));
        found.map(|(_, _, effect)| *effect)
    };
    among(SWITCHES)
        .map(Kind::Switch)
        .or_else(|| among(VALUES).map(Kind::Value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_flag_means_two_things() {
        let all = || SWITCHES.iter().chain(VALUES);
        let longs: HashSet<_> = all().map(|(_, long, _)| long).collect();
        assert_eq!(longs.len(), SWITCHES.len() + VALUES.len());
        assert_eq!(short('X'), Some(Kind::Value(Effect::Method)));
        assert_eq!(long("compressed"), Some(Kind::Switch(Effect::Compressed)));
        assert_eq!((short('Z'), long("")), (None, None));
    }
}
