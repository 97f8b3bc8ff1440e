//! What came instead of what.

use std::borrow::Cow;
use std::fmt;

/// What came, and what was expected: both there, each to be told by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// What came, in words that can follow "got".
    pub got: Cow<'static, str>,
    /// What was expected, in words that can follow that word.
    pub expected: Cow<'static, str>,
}

impl Mismatch {
    /// The one and the other.
    pub fn new(got: impl Into<Cow<'static, str>>, expected: impl Into<Cow<'static, str>>) -> Self {
        Self {
            got: got.into(),
            expected: expected.into(),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { got, expected } = self;
        write!(f, "got {got}, expected {expected}")
    }
}
