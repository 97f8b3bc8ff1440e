//! What an operator has sent with every request, such as a session's cookie.

use super::corpus::is_the_proxys;
use crate::http1::field_line::{FieldLineError, split_field_line};
use crate::policy::PROBE_HEADER;
use crate::secrets::SecretValue;

/// A header that the operator has sent with every request. Its value is a secret.
pub struct OwnHeader {
    name: String,
    value: SecretValue,
}

/// Why a text is no header to send. It doesn't repeat the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// No colon, or no name before it.
    #[error("expected `name: value`")]
    Malformed,
    /// A character that would end the line.
    #[error("the value holds a control character")]
    Control,
    /// What the doctor itself sends.
    #[error("`host`, `connection`, framing fields and `{PROBE_HEADER}` are the doctor's own")]
    Own,
    /// What the proxy in front has to set, or to take out.
    #[error(
        "got `{0}`, which the proxy in front must set or take out itself: sent with every request \
         it would hide that the proxy doesn't; expected a session alone, such as `cookie: …`"
    )]
    Proxys(String),
}

impl OwnHeader {
    /// Reads `name: value`.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        const DOCTORS: [&str; 5] = [
            "host",
            "connection",
            "content-length",
            "transfer-encoding",
            PROBE_HEADER,
        ];
        let (name, value) = split_field_line(text).map_err(|error| match error {
            FieldLineError::NoColon | FieldLineError::NoName => HeaderError::Malformed,
            FieldLineError::Control(_) => HeaderError::Control,
        })?;
        if DOCTORS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(HeaderError::Own);
        }
        if is_the_proxys(name) {
            return Err(HeaderError::Proxys(name.to_ascii_lowercase()));
        }
        Ok(Self {
            name: name.to_owned(),
            value: SecretValue::concat(&[value]),
        })
    }

    /// Whether its name is this.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn value(&self) -> &str {
        self.value.expose()
    }
}
