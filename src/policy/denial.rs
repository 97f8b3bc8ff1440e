//! Why a request was refused: what the client is told, and what the operator is.

use std::borrow::Cow;
use std::fmt;

use super::assertion::{AssertionFault, Carriage};
use super::mismatch::Mismatch;
use super::names::{FieldName, SCOPES_FIELD};
use super::peer::AltName;
use super::printable::printable;
use super::request::MAX_FIELDS;
use super::source::Source;
use super::user::{MAX_USER_BYTES, UserProblem};

/// How many characters a line of a log shows of what others chose.
const MAX_SHOWN: usize = 120;

/// The rule that refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The source is in none of the trusted networks, nor a trusted Unix peer.
    UntrustedSource,
    /// The source's certificate is for none of the trusted names.
    UntrustedCertificate,
    /// A loopback source without `allowLoopback`.
    LoopbackSource,
    /// An address of this host itself without `allowLocalInterface`.
    LocalInterfaceSource,
    /// Whether the source is this host itself couldn't be told.
    LocalInterfaceCheckFailed,
    /// Headers that two readers could read in two ways.
    AmbiguousHeader,
    /// Scopes came in, and nothing says what they may hold.
    UnexpectedScopes,
    /// A required header is absent or blank.
    MissingHeader,
    /// No assertion came.
    AssertionMissing,
    /// The assertion proves nothing.
    AssertionInvalid,
    /// The assertion's time is over.
    AssertionExpired,
    /// The user header is absent or blank.
    UserMissing,
    /// The user header holds what can't be a user.
    UserInvalid,
    /// The assertion proves another user than the trusted proxy names.
    AssertionUserMismatch,
    /// The user isn't among those allowed.
    UserNotAllowed,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Denial(pub(super) Cause);

/// What exactly was found. Names are ours, out of the configuration; a value of
/// the client's shows only where it is an address or a user in printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    UntrustedSource(Source),
    /// Its certificate's first name of a kind that can be asked for; outer none: no
    /// certificate.
    UnnamedCertificate(Source, Option<Option<AltName>>),
    LoopbackSource(Source),
    LocalInterfaceSource(Source),
    LocalInterfaceCheckFailed(Source),
    TooManyFields(usize),
    Repeated(FieldName, usize),
    Comma(FieldName),
    Alias(FieldName),
    NotScopes,
    UnexpectedScopes,
    MissingHeader(FieldName, Missing),
    AssertionMissing(FieldName, Carriage, Missing),
    AssertionFault(FieldName, AssertionFault),
    UserMissing(FieldName, Missing),
    UserInvalid(FieldName, UserProblem),
    /// Whom the assertion is about; none: a service.
    UserMismatch(FieldName, Option<Box<str>>),
    UserNotAllowed(Box<str>),
    ServiceNotAllowed(Box<str>),
}

/// How a header is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Absent,
    Blank,
}

impl Code {
    /// Every code, in the order of the checks.
    pub const ALL: [Self; 15] = [
        Self::UntrustedSource,
        Self::UntrustedCertificate,
        Self::LoopbackSource,
        Self::LocalInterfaceSource,
        Self::LocalInterfaceCheckFailed,
        Self::AmbiguousHeader,
        Self::UnexpectedScopes,
        Self::MissingHeader,
        Self::AssertionMissing,
        Self::AssertionInvalid,
        Self::AssertionExpired,
        Self::UserMissing,
        Self::UserInvalid,
        Self::AssertionUserMismatch,
        Self::UserNotAllowed,
    ];

    /// The code as clients, logs and metrics know it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UntrustedSource => "trusted_proxy_untrusted_source",
            Self::UntrustedCertificate => "trusted_proxy_untrusted_certificate",
            Self::LoopbackSource => "trusted_proxy_loopback_source",
            Self::LocalInterfaceSource => "trusted_proxy_local_interface_source",
            Self::LocalInterfaceCheckFailed => "trusted_proxy_local_interface_check_failed",
            Self::AmbiguousHeader => "trusted_proxy_ambiguous_header",
            Self::UnexpectedScopes => "trusted_proxy_unexpected_scopes",
            Self::MissingHeader => "trusted_proxy_missing_header",
            Self::AssertionMissing => "trusted_proxy_assertion_missing",
            Self::AssertionInvalid => "trusted_proxy_assertion_invalid",
            Self::AssertionExpired => "trusted_proxy_assertion_expired",
            Self::AssertionUserMismatch => "trusted_proxy_assertion_user_mismatch",
            Self::UserMissing => "trusted_proxy_user_missing",
            Self::UserInvalid => "trusted_proxy_user_invalid",
            Self::UserNotAllowed => "trusted_proxy_user_not_allowed",
        }
    }

    /// The code of a name; none of another room's refusals has one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == name)
    }

    /// The HTTP status: 400, 401 or 403.
    pub const fn status(self) -> u16 {
        match self {
            Self::UntrustedSource
            | Self::UntrustedCertificate
            | Self::LoopbackSource
            | Self::LocalInterfaceSource
            | Self::LocalInterfaceCheckFailed
            | Self::AssertionUserMismatch
            | Self::UserNotAllowed => 403,
            Self::AmbiguousHeader | Self::UnexpectedScopes => 400,
            Self::MissingHeader
            | Self::AssertionMissing
            | Self::AssertionInvalid
            | Self::AssertionExpired
            | Self::UserMissing
            | Self::UserInvalid => 401,
        }
    }

    /// The `type` of the answer's body, which follows from the status.
    pub const fn kind(self) -> &'static str {
        match self.status() {
            401 => "unauthorized",
            403 => "forbidden",
            _ => "invalid_request",
        }
    }

    /// What the client is told: the rule, none of the policy's values.
    pub const fn message(self) -> &'static str {
        match self {
            Self::UntrustedSource => "the request did not come through a trusted proxy",
            Self::UntrustedCertificate => {
                "the request came with a certificate that is not a trusted proxy's"
            }
            Self::LoopbackSource => "requests from loopback addresses are not accepted",
            Self::LocalInterfaceSource => {
                "requests from this host's own addresses are not accepted"
            }
            Self::LocalInterfaceCheckFailed => {
                "whether the request came from this host itself could not be checked"
            }
            Self::AmbiguousHeader => "a header that identity depends on is ambiguous",
            Self::UnexpectedScopes => "the request names scopes, which are not accepted here",
            Self::MissingHeader => "a header that the trusted proxy must set is missing",
            Self::AssertionMissing => "the request shows no signed identity",
            Self::AssertionInvalid => "the signed identity could not be verified",
            Self::AssertionExpired => "the signed identity has expired",
            Self::AssertionUserMismatch => {
                "the signed identity is not that of the user whom the trusted proxy named"
            }
            Self::UserMissing => "the trusted proxy named no user",
            Self::UserInvalid => "the trusted proxy named a user that is not valid",
            Self::UserNotAllowed => "the user is not allowed",
        }
    }
}

impl Denial {
    pub(super) fn new(cause: Cause) -> Self {
        Self(cause)
    }

    /// The rule that refused.
    pub fn code(&self) -> Code {
        match self.0 {
            Cause::UntrustedSource(_) => Code::UntrustedSource,
            Cause::UnnamedCertificate(..) => Code::UntrustedCertificate,
            Cause::LoopbackSource(_) => Code::LoopbackSource,
            Cause::LocalInterfaceSource(_) => Code::LocalInterfaceSource,
            Cause::LocalInterfaceCheckFailed(_) => Code::LocalInterfaceCheckFailed,
            Cause::TooManyFields(_)
            | Cause::Repeated(..)
            | Cause::Comma(_)
            | Cause::Alias(_)
            | Cause::NotScopes => Code::AmbiguousHeader,
            Cause::UnexpectedScopes => Code::UnexpectedScopes,
            Cause::MissingHeader(..) => Code::MissingHeader,
            Cause::AssertionMissing(..) => Code::AssertionMissing,
            Cause::AssertionFault(_, AssertionFault::Invalid(_)) => Code::AssertionInvalid,
            Cause::AssertionFault(_, AssertionFault::Expired(_)) => Code::AssertionExpired,
            Cause::UserMismatch(..) => Code::AssertionUserMismatch,
            Cause::UserMissing(..) => Code::UserMissing,
            Cause::UserInvalid(..) => Code::UserInvalid,
            Cause::UserNotAllowed(_) | Cause::ServiceNotAllowed(_) => Code::UserNotAllowed,
        }
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

impl Cause {
    fn header(&self) -> Option<&str> {
        match self {
            Self::UntrustedSource(_)
            | Self::UnnamedCertificate(..)
            | Self::LoopbackSource(_)
            | Self::LocalInterfaceSource(_)
            | Self::LocalInterfaceCheckFailed(_)
            | Self::TooManyFields(_)
            | Self::UserNotAllowed(_)
            | Self::ServiceNotAllowed(_) => None,
            Self::NotScopes | Self::UnexpectedScopes => Some(SCOPES_FIELD),
            Self::Repeated(name, _)
            | Self::Comma(name)
            | Self::Alias(name)
            | Self::MissingHeader(name, _)
            | Self::AssertionMissing(name, ..)
            | Self::AssertionFault(name, _)
            | Self::UserMissing(name, _)
            | Self::UserInvalid(name, _)
            | Self::UserMismatch(name, _) => Some(name.as_str()),
        }
    }

    fn got(&self) -> Cow<'static, str> {
        Cow::Owned(match self {
            Self::UntrustedSource(source) => format!("source `{source}`"),
            Self::UnnamedCertificate(source, None) => {
                format!("source `{source}` without a certificate")
            }
            Self::UnnamedCertificate(source, Some(None)) => format!(
                "source `{source}` with a certificate for no DNS name, URI or e-mail address"
            ),
            Self::UnnamedCertificate(source, Some(Some(name))) => format!(
                "source `{source}` with a certificate for `{}`",
                printable(&name.to_string(), MAX_SHOWN)
            ),
            Self::LoopbackSource(source) => format!("loopback source `{source}`"),
            Self::LocalInterfaceSource(source) => {
                format!("source `{source}`, an address of this host")
            }
            Self::LocalInterfaceCheckFailed(source) => {
                format!("source `{source}` and could not read this host's addresses")
            }
            Self::TooManyFields(count) => format!("{count} header fields"),
            Self::Repeated(name, count) => format!("`{name}` {count} times"),
            Self::Comma(name) => format!("a comma in `{name}`"),
            Self::Alias(name) => {
                format!("an alias of `{name}` (`_` or `.` for `-` or the reverse)")
            }
            Self::NotScopes => return "no list of scopes in `x-openclaw-scopes`".into(),
            Self::UnexpectedScopes => return "`x-openclaw-scopes`".into(),
            Self::AssertionMissing(name, Carriage::Bearer, Missing::Blank) => {
                format!("no bearer token in `{name}`")
            }
            Self::MissingHeader(name, missing)
            | Self::AssertionMissing(name, _, missing)
            | Self::UserMissing(name, missing) => format!("{missing} `{name}`"),
            Self::AssertionFault(name, AssertionFault::Invalid(fault)) => {
                format!("an assertion in `{name}` with {}", fault.got)
            }
            Self::AssertionFault(name, AssertionFault::Expired(seconds)) => {
                format!("an assertion in `{name}` that ended {seconds} s ago")
            }
            Self::UserMismatch(_, Some(user)) => {
                format!("an assertion of user `{}`", printable(user, MAX_SHOWN))
            }
            Self::UserMismatch(_, None) => return "an assertion of a service".into(),
            Self::UserInvalid(name, problem) => match problem {
                UserProblem::TooLong(bytes) => format!("{bytes} bytes in `{name}`"),
                UserProblem::Comma => format!("a comma in the user of `{name}`"),
                UserProblem::Blank => format!("white space around the user of `{name}`"),
                UserProblem::NotAscii => format!("a byte outside printable ASCII in `{name}`"),
            },
            Self::UserNotAllowed(user) => format!("user `{user}`"),
            Self::ServiceNotAllowed(service) => {
                format!("service `{}`", printable(service, MAX_SHOWN))
            }
        })
    }

    fn expected(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::UntrustedSource(peer) if peer.uid().is_some() => "one of `listen.unixPeerUids`",
            Self::UntrustedSource(_) => "one of `gateway.trustedProxies`",
            Self::UnnamedCertificate(..) => {
                "one for a name in `gateway.auth.trustedProxy.clientCertNames`"
            }
            Self::LoopbackSource(_) => "another or `allowLoopback = true`",
            Self::LocalInterfaceSource(_) => "another or `allowLocalInterface = true`",
            Self::LocalInterfaceCheckFailed(_) => "to tell them apart",
            Self::TooManyFields(_) => return format!("at most {MAX_FIELDS}").into(),
            Self::Repeated(..) => "it once",
            Self::Comma(_) | Self::UserInvalid(_, UserProblem::Comma) => "one user",
            Self::Alias(name) => return format!("`{name}` alone").into(),
            Self::NotScopes => "words and commas",
            Self::UnexpectedScopes => "none unless `scopeCeilings` or `passScopes` is configured",
            Self::MissingHeader(..) => "the trusted proxy to set it",
            Self::AssertionMissing(..) => "a signed assertion",
            Self::AssertionFault(_, AssertionFault::Invalid(fault)) => {
                return fault.expected.clone();
            }
            Self::AssertionFault(_, AssertionFault::Expired(_)) => {
                "one that is still good (are both clocks right?)"
            }
            Self::UserMismatch(name, Some(_)) => return format!("the one in `{name}`").into(),
            Self::UserMismatch(name, None) => {
                return format!("no user in `{name}` beside it").into();
            }
            Self::UserMissing(..) => "a user",
            Self::UserInvalid(_, UserProblem::TooLong(_)) => {
                return format!("a user of at most {MAX_USER_BYTES}").into();
            }
            Self::UserInvalid(_, UserProblem::Blank) => "none",
            Self::UserInvalid(_, UserProblem::NotAscii) => "a user in ASCII",
            Self::UserNotAllowed(_) => "one of `allowUsers` (compared to the letter)",
            Self::ServiceNotAllowed(_) => {
                "one of `gateway.auth.trustedProxy.assertion.allowServices`"
            }
        })
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "no",
            Self::Blank => "a blank",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_contracts_status_and_type_for_each_code() {
        let table: Vec<_> = Code::ALL
            .iter()
            .map(|code| (code.as_str(), code.status(), code.kind()))
            .collect();
        assert_eq!(
            table,
            [
                ("trusted_proxy_untrusted_source", 403, "forbidden"),
                ("trusted_proxy_untrusted_certificate", 403, "forbidden"),
                ("trusted_proxy_loopback_source", 403, "forbidden"),
                ("trusted_proxy_local_interface_source", 403, "forbidden"),
                (
                    "trusted_proxy_local_interface_check_failed",
                    403,
                    "forbidden"
                ),
                ("trusted_proxy_ambiguous_header", 400, "invalid_request"),
                ("trusted_proxy_unexpected_scopes", 400, "invalid_request"),
                ("trusted_proxy_missing_header", 401, "unauthorized"),
                ("trusted_proxy_assertion_missing", 401, "unauthorized"),
                ("trusted_proxy_assertion_invalid", 401, "unauthorized"),
                ("trusted_proxy_assertion_expired", 401, "unauthorized"),
                ("trusted_proxy_user_missing", 401, "unauthorized"),
                ("trusted_proxy_user_invalid", 401, "unauthorized"),
                ("trusted_proxy_assertion_user_mismatch", 403, "forbidden"),
                ("trusted_proxy_user_not_allowed", 403, "forbidden"),
            ]
        );
    }

    #[test]
    fn a_code_is_known_by_its_whole_name_alone() {
        for code in Code::ALL {
            assert_eq!(Code::named(code.as_str()), Some(code));
            assert_eq!(Code::named(&format!("{}_x", code.as_str())), None);
        }
        for other in [
            "",
            "trusted_proxy_",
            "trusted_proxy_of_next_year",
            "rate_limited",
        ] {
            assert_eq!(Code::named(other), None, "{other}");
        }
    }

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
