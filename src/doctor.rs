//! The doctor: what is wrong around a config that is valid in itself.
//!
//! [`Facts::gather`] looks at files and units, [`Deployment::gather`] at the host and
//! the way to the gateway; the checks are pure, and turn a config and those facts into
//! [`Finding`]s.

mod above;
mod assignment;
pub mod attack;
mod audit;
mod checklist;
mod custody;
mod deployment;
mod environment_file;
mod facts;
mod finding;
mod finding_id;
mod guard;
mod holder;
mod key_lines;
mod look;
mod model_credentials;
mod onlooker;
mod openclaw;
mod running;
mod unit_environment;
mod unit_file;
mod units;
mod words;

pub use assignment::Assignment;
pub use audit::{Unresolved, audit_secrets};
pub use checklist::check_deployment;
pub use custody::{FileFacts, GuardedFile};
pub use deployment::{
    Answer, Certificate, Deployment, FrontSocket, Gateway, Key, ListeningSocket, ServiceProcess,
    Target, UsersUnread, service_processes,
};
pub use facts::Facts;
pub use finding::{Finding, Place, Severity, Tally, worst_first};
pub use finding_id::FindingId;
pub use guard::{Below, Guard};
pub use holder::Holder;
pub use key_lines::KeyLines;
pub use look::Look;
pub use model_credentials::{check_model_credentials, check_token_sinks};
pub use onlooker::{Barrier, Onlooker, Verdict};
pub use openclaw::{OpenClaw, OpenClawError, check_openclaw};
pub use running::{Running, check_running, unanswered};
pub use unit_file::{EnvironmentFilePath, UnitFile};
pub use units::{EnvironmentFile, Fragment, USUAL_FOLDERS, Units};
