//! The back door: model calls leave with a credential that the caller never holds.

mod rate_limit;
