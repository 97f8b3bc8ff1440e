//! The front door.

pub mod respond;
