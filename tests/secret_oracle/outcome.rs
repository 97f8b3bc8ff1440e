//! What became of a reference on one side, and whether the other side agrees.

use std::fmt;

use super::case::Case;

/// What one side makes of a reference, or of a `secrets` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The block is accepted.
    Accepted,
    /// The block is refused, for this reason.
    Refused(String),
    /// It is no reference.
    Malformed,
    /// It resolves to this secret.
    Value(String),
    /// It resolves to something that is no string.
    NotText(String),
    /// It is refused with this code.
    Code(String),
}

/// What one side makes of a case: the answers to each batch, or why its block is
/// refused.
pub(crate) type Verdict = Result<Vec<Vec<Outcome>>, String>;

/// What was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ref,
    /// A further reference of a crowd: not worth a number of its own.
    Further,
    Block,
}

/// Both sides' outcomes of one reference or block.
pub(crate) struct Comparison {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) portcullis: Outcome,
    pub(crate) gateway: Outcome,
}

impl Comparison {
    pub(crate) fn agrees(&self) -> bool {
        match (&self.portcullis, &self.gateway) {
            // Each side has its own words for why.
            (Outcome::Refused(_), Outcome::Refused(_)) => true,
            (ours, theirs) => ours == theirs,
        }
    }

    /// Both outcomes in the words of the table of differences.
    pub(crate) fn words(&self) -> (&str, &str) {
        let theirs = match (&self.portcullis, &self.gateway) {
            (Outcome::Value(ours), Outcome::Value(theirs)) if ours != theirs => "another value",
            (_, gateway) => gateway.word(),
        };
        (self.portcullis.word(), theirs)
    }
}

impl Outcome {
    fn word(&self) -> &str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused(_) => "refused",
            Self::Malformed => "malformed",
            Self::Value(_) => "a value",
            Self::NotText(_) => "no string",
            Self::Code(code) => code,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(detail) => write!(formatter, "refused: {detail}"),
            Self::Value(value) | Self::NotText(value) => {
                let shown: String = value.chars().take(60).collect();
                write!(formatter, "{} {shown:?}", self.word())
            }
            _ => formatter.write_str(self.word()),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            portcullis,
            gateway,
            ..
        } = self;
        write!(
            formatter,
            "{name}: Portcullis {portcullis}, the gateway {gateway}"
        )
    }
}

/// One comparison a reference; the block alone where a side refuses it or where
/// nothing is asked of it.
pub(crate) fn compare(case: &Case, ours: Verdict, theirs: Verdict) -> Vec<Comparison> {
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) if !case.batches.is_empty() => {
            let outcomes = ours.into_iter().flatten().zip(theirs.into_iter().flatten());
            let asked = case.batches.iter().flatten();
            asked
                .zip(outcomes)
                .enumerate()
                .map(|(index, (asked, (portcullis, gateway)))| Comparison {
                    name: format!("{}: {}", case.name, asked.label),
                    kind: match case.is_crowd && index > 0 {
                        true => Kind::Further,
                        false => Kind::Ref,
                    },
                    portcullis,
                    gateway,
                })
                .collect()
        }
        (ours, theirs) => {
            let block = |verdict: Verdict| match verdict {
                Ok(_) => Outcome::Accepted,
                Err(reason) => Outcome::Refused(reason),
            };
            vec![Comparison {
                name: case.name.to_owned(),
                kind: Kind::Block,
                portcullis: block(ours),
                gateway: block(theirs),
            }]
        }
    }
}
