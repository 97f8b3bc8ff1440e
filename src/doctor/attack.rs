//! `doctor --attack`: fires the headers that broke other deployments through the one that
//! an operator names, and tells from what Portcullis says of each request what came of it.
//!
//! Requests that can't be read in one way alone (smuggling) are not among them: what a
//! chain makes of those no answer shows. `tests/attacks` fires them at Portcullis itself.

mod alike;
mod corpus;
mod distrust;
mod front;
mod judge;
mod own_header;
mod replayed;
mod report;
mod seen;
mod unanswered;

pub use corpus::{Attack, Kind, attacks};
pub use distrust::Distrust;
pub use front::{Front, FrontError, TlsTrust};
pub use own_header::{HeaderError, OwnHeader};
pub use report::{Fired, findings, unverified};
pub use seen::{Reply, Seen};
pub use unanswered::{stand_in, unanswered, unanswered_beside};

#[cfg(test)]
mod tests;
