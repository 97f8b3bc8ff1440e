//! The certificate that the front door shows.

use super::super::deployment::{Certificate, Key};
use super::super::finding::{Finding, Place, Severity};
use super::super::finding_id::FindingId;
use super::Ground;
use std::path::Path;

const KEY: &str = "gateway.tls.certPath";
const DAY: i64 = 86_400;
/// A certificate that ends within so many days should have been renewed.
const SOON_DAYS: i64 = 14;
/// NIST SP 800-57: nothing smaller.
const LEAST_RSA_BITS: usize = 2048;

pub(super) fn check(ground: &Ground<'_>) -> Vec<Finding> {
    let chain = ground.deployment.chain.as_slice();
    let (Some(tls), [leaf, rest @ ..]) = (&ground.config.gateway.tls, chain) else {
        return Vec::new();
    };
    let about = About {
        path: &tls.cert_path,
        now: ground.deployment.now,
    };
    let mut findings = Vec::new();
    findings.extend(about.times(leaf));
    findings.extend(about.names(leaf));
    findings.extend(about.trust(leaf, rest));
    findings.extend(chain.iter().filter_map(|it| about.strength(it)));
    findings
}

struct About<'a> {
    path: &'a Path,
    now: i64,
}

impl About<'_> {
    fn finding(
        &self,
        id: FindingId,
        severity: Severity,
        evidence: impl Into<String>,
        remedy: &str,
    ) -> Finding {
        Finding {
            id,
            severity,
            evidence: evidence.into(),
            remedy: remedy.to_owned(),
            place: Place::key(self.path, KEY),
        }
    }

    fn times(&self, leaf: &Certificate) -> Option<Finding> {
        const RENEW: &str = "have it renewed and put the new one in its place: it is taken up by \
                             itself";
        let left = leaf.not_after - self.now;
        if left < 0 {
            let evidence = format!("the certificate ended {} ago", days(-left));
            Some(self.finding(
                FindingId::CertificateExpired,
                Severity::Critical,
                evidence,
                RENEW,
            ))
        } else if leaf.not_before > self.now {
            let evidence = format!(
                "the certificate begins in {}",
                days(leaf.not_before - self.now)
            );
            let remedy = "set this host's clock, or have a certificate issued that holds now";
            let id = FindingId::CertificateNotYetValid;
            Some(self.finding(id, Severity::Critical, evidence, remedy))
        } else if left < SOON_DAYS * DAY {
            let evidence = format!("the certificate ends in {}", days(left));
            Some(self.finding(
                FindingId::CertificateExpiring,
                Severity::Warning,
                evidence,
                RENEW,
            ))
        } else {
            None
        }
    }

    fn names(&self, leaf: &Certificate) -> Option<Finding> {
        (leaf.names().count() == 0).then(|| {
            self.finding(
                FindingId::CertificateNames,
                Severity::Warning,
                "the certificate holds no name (subjectAltName): browsers and most proxies refuse \
                 it for every host",
                "have one issued with the host's name as a subjectAltName",
            )
        })
    }

    fn trust(&self, leaf: &Certificate, rest: &[Certificate]) -> Option<Finding> {
        if leaf.is_self_signed() {
            return Some(self.finding(
                FindingId::CertificateSelfSigned,
                Severity::Warning,
                "the certificate vouches for itself: an identity proxy that takes it has to be \
                 given it, or checks nothing",
                "have one issued by an authority that the identity proxy knows",
            ));
        }
        let mut below = leaf;
        for above in rest {
            if below.issuer != above.subject {
                return Some(self.finding(
                    FindingId::CertificateChain,
                    Severity::Warning,
                    format!(
                        "`{}` is followed by `{}`, which did not sign it: some clients refuse the \
                         chain",
                        below.name, above.name
                    ),
                    "order the file: the host's certificate first, then each one's issuer",
                ));
            }
            below = above;
        }
        let is_complete = below.is_self_signed() || below.is_of_public_root;
        (!is_complete && below.names_issuers_file).then(|| {
            self.finding(
                FindingId::CertificateChain,
                Severity::Warning,
                format!(
                    "the chain ends with `{}`, whose issuer is no root that clients know by name: \
                     an intermediate certificate seems to be missing",
                    below.name
                ),
                "append the issuer's certificate to the file (ACME clients call it fullchain.pem)",
            )
        })
    }

    /// A root's own signature is not checked by anyone.
    fn strength(&self, certificate: &Certificate) -> Option<Finding> {
        let name = &certificate.name;
        let weakness = match certificate.key {
            Key::Rsa(bits) if bits < LEAST_RSA_BITS => {
                format!(
                    "`{name}` has an RSA key of {bits} bits, expected {LEAST_RSA_BITS} at least"
                )
            }
            _ if certificate.has_weak_signature && !certificate.is_self_signed() => {
                format!("`{name}` is signed with SHA-1 or MD5, which can be forged")
            }
            Key::Rsa(_) | Key::Other => return None,
        };
        Some(self.finding(
            FindingId::CertificateWeak,
            Severity::Critical,
            weakness,
            "have it issued anew with an ECDSA P-256 key and a SHA-256 signature",
        ))
    }
}

fn days(seconds: i64) -> String {
    match seconds / DAY {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}
