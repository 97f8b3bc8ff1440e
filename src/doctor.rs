//! The doctor: what is wrong around a config that is valid in itself.
//!
//! [`Facts::gather`] looks at files and units; the checks are pure, and turn a
//! config and those facts into [`Finding`]s.

mod assignment;
mod audit;
mod custody;
mod environment_file;
mod facts;
mod finding;
mod key_lines;
mod look;
mod model_credentials;
mod unit_environment;
mod unit_file;
mod units;
mod words;

pub use assignment::Assignment;
pub use audit::{Unresolved, audit_secrets};
pub use custody::{FileFacts, Guard, GuardedFile};
pub use facts::Facts;
pub use finding::{Finding, FindingId, Place, Severity};
pub use key_lines::KeyLines;
pub use look::Look;
pub use model_credentials::{check_model_credentials, check_token_sinks};
pub use unit_file::{EnvironmentFilePath, UnitFile};
pub use units::{EnvironmentFile, Fragment, USUAL_FOLDERS, Units};
