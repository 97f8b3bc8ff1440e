//! The rule that refused a request, as clients, logs and metrics know it.

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
}
