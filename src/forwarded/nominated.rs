//! Fields that a `Connection` header names, which end at this hop
//! (RFC 9110 §7.6.1), unless that would take out what the upstream relies on
//! (CVE-2024-45410, CVE-2025-48865, CVE-2026-105299).

use crate::policy::{Class, MAX_FIELDS, Permit, trim};

/// A bit for each field of a request that ends at this hop.
#[derive(Clone, Copy)]
pub(super) struct Nominated(u128);

impl Nominated {
    /// Reads every `Connection` header of the request. Only fields of class
    /// [`Class::Pass`] can be named: what is ours was classed otherwise.
    pub(super) fn read(permit: &Permit<'_>) -> Self {
        let connection = permit
            .fields()
            .filter(|(class, _)| *class == Class::Connection);
        let tokens = connection
            .flat_map(|(_, field)| field.value.split(|&byte| byte == b','))
            .map(trim)
            .filter(|token| !names_no_field(token))
            // No request has more fields to name: bounds what a long list costs.
            .take(MAX_FIELDS);
        let mut bits = 0;
        for token in tokens.filter(|token| !is_protected(token)) {
            for (place, (class, field)) in permit.fields().enumerate() {
                if class == Class::Pass && field.name.as_bytes().eq_ignore_ascii_case(token) {
                    bits |= 1 << place;
                }
            }
        }
        Self(bits)
    }

    /// Whether the field at this place was named.
    pub(super) fn holds(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }
}

/// The usual tokens, which say something of the connection and name no field to pass.
fn names_no_field(token: &[u8]) -> bool {
    token.is_empty()
        || ["close", "keep-alive", "upgrade"]
            .iter()
            .any(|usual| token.eq_ignore_ascii_case(usual.as_bytes()))
}

/// Fields whose loss would change who a request speaks for or what it means.
fn is_protected(token: &[u8]) -> bool {
    const PROTECTED: [&str; 5] = ["host", "authorization", "cookie", "content-type", "origin"];
    const FAMILY: &[u8] = b"sec-websocket-";
    PROTECTED
        .iter()
        .any(|name| token.eq_ignore_ascii_case(name.as_bytes()))
        || token
            .get(..FAMILY.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(FAMILY))
}
