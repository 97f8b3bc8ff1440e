//! `doctor --attack`: fires the headers that broke other deployments through the one that
//! an operator names, and tells from what Portcullis says of each request what came of it.
//!
//! Requests that can't be read in one way alone (smuggling) are not among them: what a
//! chain makes of those no answer shows. `tests/attacks` fires them at Portcullis itself.

mod corpus;
mod front;
mod judge;
mod report;
mod seen;

pub use corpus::{Attack, Kind, attacks};
pub use front::{Front, FrontError, HeaderError, OwnHeader, TlsTrust};
pub use report::{Fired, findings, unanswered, unverified};
pub use seen::{Reply, Seen};

#[cfg(test)]
mod tests;
