//! Why a request was refused: what the client is told, and what the operator is.

use std::borrow::Cow;

use super::cause::Cause;
use super::code::Code;
use super::mismatch::Mismatch;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Denial(pub(super) Cause);

impl Denial {
    pub(super) fn new(cause: Cause) -> Self {
        Self(cause)
    }

    /// The rule that refused.
    pub fn code(&self) -> Code {
        self.0.code()
    }

    /// The `reason` in log and body: the code, with `_<name>` where a required
    /// header is missing.
    pub fn reason(&self) -> Cow<'static, str> {
        match &self.0 {
            Cause::MissingHeader(name, _) => {
                format!("{}_{name}", Code::MissingHeader.as_str()).into()
            }
            _ => self.code().as_str().into(),
        }
    }

    /// What the client is told.
    pub fn message(&self) -> &'static str {
        self.code().message()
    }

    /// The header that it is about; none where it is about the source, the number of
    /// fields, or whom a proven name lets in.
    pub fn header(&self) -> Option<&str> {
        self.0.header()
    }

    /// What came, and what was expected. Never the value of a header, but for the user who
    /// isn't allowed.
    pub fn mismatch(&self) -> Mismatch {
        Mismatch::new(self.0.got(), self.0.expected())
    }

    /// What the operator's log is told: [`Self::mismatch`] in one line.
    pub fn detail(&self) -> String {
        self.mismatch().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::super::cause::Missing;
    use super::super::names::FieldName;
    use super::*;

    #[test]
    fn names_the_missing_header_in_the_reason() {
        let name = FieldName::parse("X-Forwarded-Proto").unwrap();
        let denial = Denial::new(Cause::MissingHeader(name, Missing::Blank));
        assert_eq!(
            denial.reason(),
            "trusted_proxy_missing_header_x-forwarded-proto"
        );
        assert_eq!(
            denial.detail(),
            "got a blank `x-forwarded-proto`, expected the trusted proxy to set it"
        );
        assert_eq!(denial.code(), Code::MissingHeader);
        assert_eq!(denial.header(), Some("x-forwarded-proto"));
    }
}
