//! Portcullis: the front door (ingress) and the back door (egress) of a
//! self-hosted AI-agent gateway.

pub mod config;
pub mod forwarded;
pub mod policy;
pub mod secrets;
