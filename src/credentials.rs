//! The credentials of model providers: key pools and profiles, which one is next, and
//! how long one that hit a limit is left alone.

mod cooldown;
mod fingerprint;
pub mod oauth;
pub mod order;
pub mod pool;
pub mod profile;
pub mod provider;
pub mod refresh;
pub mod status;
pub mod token_sink;
mod unix_millis;
mod wiped;
pub mod words;

pub use cooldown::Cooldown;
pub use fingerprint::fingerprint;
pub use profile::{Entry, Held, Login, OAuthTokens, Profile, ProfileId};
pub use provider::{Dialect, KnownProvider, OAuthSettings};
pub use token_sink::{Sink, SinkError, TokenSink, Usage};
pub use unix_millis::UnixMillis;
