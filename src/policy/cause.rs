//! What exactly was found that refuses a request.

use std::borrow::Cow;
use std::fmt;

use super::assertion::{AssertionFault, Carriage};
use super::code::Code;
use super::names::{FieldName, SCOPES_FIELD};
use super::peer::AltName;
use super::printable::printable;
use super::request::MAX_FIELDS;
use super::source::Source;
use super::user::{MAX_USER_BYTES, UserProblem};

/// How many characters a line of a log shows of what others chose.
const MAX_SHOWN: usize = 120;

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

impl Cause {
    /// The rule that it breaks.
    pub(super) fn code(&self) -> Code {
        match self {
            Self::UntrustedSource(_) => Code::UntrustedSource,
            Self::UnnamedCertificate(..) => Code::UntrustedCertificate,
            Self::LoopbackSource(_) => Code::LoopbackSource,
            Self::LocalInterfaceSource(_) => Code::LocalInterfaceSource,
            Self::LocalInterfaceCheckFailed(_) => Code::LocalInterfaceCheckFailed,
            Self::TooManyFields(_)
            | Self::Repeated(..)
            | Self::Comma(_)
            | Self::Alias(_)
            | Self::NotScopes => Code::AmbiguousHeader,
            Self::UnexpectedScopes => Code::UnexpectedScopes,
            Self::MissingHeader(..) => Code::MissingHeader,
            Self::AssertionMissing(..) => Code::AssertionMissing,
            Self::AssertionFault(_, AssertionFault::Invalid(_)) => Code::AssertionInvalid,
            Self::AssertionFault(_, AssertionFault::Expired(_)) => Code::AssertionExpired,
            Self::UserMismatch(..) => Code::AssertionUserMismatch,
            Self::UserMissing(..) => Code::UserMissing,
            Self::UserInvalid(..) => Code::UserInvalid,
            Self::UserNotAllowed(_) | Self::ServiceNotAllowed(_) => Code::UserNotAllowed,
        }
    }

    /// The header that it is about.
    pub(super) fn header(&self) -> Option<&str> {
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

    /// What came, in words.
    pub(super) fn got(&self) -> Cow<'static, str> {
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

    /// What was expected, in words.
    pub(super) fn expected(&self) -> Cow<'static, str> {
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
