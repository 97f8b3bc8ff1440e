//! What Portcullis tells its operator: the metric names and the log fields,
//! which are a contract and so stand here alone.

mod causes;
pub mod line_sink;
pub mod log_format;
pub mod logging;
pub mod metrics;
mod not_ready;

pub use causes::with_causes;
pub use not_ready::NotReady;
