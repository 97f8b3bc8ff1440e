//! Portcullis: the front door (ingress) and the back door (egress) of a
//! self-hosted AI-agent gateway.

pub mod forwarded;
pub mod policy;
