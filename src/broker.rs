//! The back door: model calls leave with a credential that the caller never holds.

mod events;
mod model_name;
mod rate_limit;
mod route;
mod usage;
