//! Why the certificate of the attacked address is not believed, in words.

use crate::upstream::ConnectError;
use rustls::CertificateError as Fault;

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// Its authority is not known.
    Issuer,
    /// It is an authority's, and not a server's.
    Authority,
    /// It is for another name.
    Name,
    /// Its time is over, or has not begun.
    Time,
    /// Anything else.
    Other,
}

impl Distrust {
    /// Whose certificate was not believed, and why; none where that was not the trouble.
    pub(super) fn of(error: &ConnectError) -> Option<(&str, Self)> {
        let ConnectError::Tls { target, source } = error else {
            return None;
        };
        let error = source.get_ref()?.downcast_ref::<rustls::Error>()?;
        let rustls::Error::InvalidCertificate(fault) = error else {
            return None;
        };
        let distrust = match fault {
            Fault::UnknownIssuer | Fault::BadSignature => Self::Issuer,
            Fault::NotValidForName | Fault::NotValidForNameContext { .. } => Self::Name,
            Fault::Expired
            | Fault::ExpiredContext { .. }
            | Fault::NotValidYet
            | Fault::NotValidYetContext { .. } => Self::Time,
            // The verifier's own error, which rustls has no name for.
            Fault::Other(inner) if inner.0.to_string() == "CaUsedAsEndEntity" => Self::Authority,
            _ => Self::Other,
        };
        Some((target, distrust))
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Issuer => "no authority that is believed here signed it",
            Self::Authority => "it is an authority's own (CA:TRUE), not one for a server",
            Self::Name => "it is for another name than the URL's",
            Self::Time => "it has expired, or is not valid yet, by this host's clock",
            Self::Other => "it can't be verified",
        }
    }

    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Self::Issuer => {
                "name the authority that signed it by --ca FILE, or let the server send its \
                 intermediate certificates"
            }
            Self::Authority => {
                "let the server show a certificate that an authority signed, and name the authority \
                 by --ca FILE: a self-signed certificate with CA:TRUE serves for neither"
            }
            Self::Name => "attack the name that the certificate is for",
            Self::Time => "renew the certificate, or set the clock",
            Self::Other => {
                "look at it with `openssl s_client`; --ca FILE names a private authority"
            }
        }
    }
}
