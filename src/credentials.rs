//! The credentials of model providers: key pools and profiles, which one is next, and
//! how long one that hit a limit is left alone.

pub mod provider;

pub use provider::{Dialect, KnownProvider, OAuthSettings};
