//! The credentials of model providers: key pools and profiles, which one is next, and
//! how long one that hit a limit is left alone.

mod cooldown;
mod fingerprint;
pub mod pool;
pub mod provider;
mod unix_millis;

pub use cooldown::Cooldown;
pub use fingerprint::fingerprint;
pub use provider::{Dialect, KnownProvider, OAuthSettings};
pub use unix_millis::UnixMillis;
