//! What stands for something else in the corpus: `${host}`, `${user}`,
//! `${identity}`, `${request:PATH}`, `${repeat:COUNT:TEXT}`, `${hex:DIGITS}`.

use super::corpus::CorpusError;

/// Whom the requests name: the host that is asked for, and a user who is allowed.
#[derive(Debug, Clone)]
pub(crate) struct Cast {
    pub(crate) host: String,
    pub(crate) user: String,
}

impl Cast {
    /// The fields that make a request permitted.
    pub(crate) fn identity(&self) -> [(&'static str, &str); 2] {
        [
            ("x-forwarded-user", &self.user),
            ("x-forwarded-proto", "https"),
        ]
    }

    /// The same as lines of HTTP/1.1.
    pub(crate) fn identity_lines(&self) -> String {
        self.identity()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .concat()
    }

    /// A whole permitted request of HTTP/1.1.
    pub(crate) fn request(&self, path: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n{}\r\n",
            self.host,
            self.identity_lines()
        )
    }

    /// `text` with everything in its place.
    pub(crate) fn expand(&self, text: &str) -> Result<Vec<u8>, CorpusError> {
        let mut bytes = Vec::new();
        let mut rest = text;
        while let Some((before, placeholder)) = rest.split_once("${") {
            bytes.extend_from_slice(before.as_bytes());
            let unknown = || CorpusError::Placeholder(placeholder.to_owned());
            let (name, after) = placeholder.split_once('}').ok_or_else(unknown)?;
            let (name, argument) = name.split_once(':').unwrap_or((name, ""));
            match name {
                "host" => bytes.extend_from_slice(self.host.as_bytes()),
                "user" => bytes.extend_from_slice(self.user.as_bytes()),
                "identity" => bytes.extend_from_slice(self.identity_lines().as_bytes()),
                "request" => bytes.extend_from_slice(self.request(argument).as_bytes()),
                "repeat" => {
                    let (count, text) = argument.split_once(':').ok_or_else(unknown)?;
                    let count = count.parse().map_err(|_| unknown())?;
                    bytes.extend_from_slice(text.repeat(count).as_bytes());
                }
                "hex" => bytes.extend(from_hex(argument).ok_or_else(unknown)?),
                _ => return Err(unknown()),
            }
            rest = after;
        }
        bytes.extend_from_slice(rest.as_bytes());
        Ok(bytes)
    }
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b' ').collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
