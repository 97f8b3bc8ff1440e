//! The helper: a process that is started before this one locks itself down, and
//! runs the commands for it.
//!
//! It runs what the configuration file says, which it reads itself: whoever has
//! taken over the process that asks can have a configured command run, and no other.

mod client;
mod service;
mod wire;

pub use client::{ExecHelper, HelperStart};
pub(super) use client::{appointed, end_appointed};
pub use service::{Listed, Unlisted, serve};

use super::ExecProvider;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::path::Path;

/// What the helper says that it can't, or may not, do.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// There is no helper any more.
    #[error("the helper process that runs commands has ended")]
    Gone,
    /// It doesn't answer.
    #[error("the helper process that runs commands does not answer")]
    Silent,
    /// It ran no command, or the command failed; in the helper's own words.
    #[error("{message}")]
    Told {
        /// What is wrong.
        message: String,
        /// What to do about it.
        remedy: String,
    },
}

impl HelperError {
    /// What to do about it.
    pub(in crate::secrets) fn remedy(&self) -> String {
        match self {
            Self::Gone | Self::Silent => "restart Portcullis: a process that has locked itself \
                                          down can't start another helper"
                .to_owned(),
            Self::Told { remedy, .. } => remedy.clone(),
        }
    }
}

/// All of a provider in a few bytes: both sides must mean the same command. Its
/// `env` may hold secrets, which needn't cross for that.
fn fingerprint(provider: &ExecProvider) -> String {
    #[derive(Serialize)]
    struct Whole<'a> {
        command: &'a Path,
        args: &'a [String],
        pass_env: Vec<&'a str>,
        env: &'a std::collections::BTreeMap<String, String>,
        json_only: bool,
        allow_symlink_command: bool,
        trusted_dirs: &'a [std::path::PathBuf],
        timeout: u128,
        no_output_timeout: u128,
        max_output_bytes: usize,
    }
    let ExecProvider {
        command,
        args,
        pass_env,
        env,
        json_only,
        allow_symlink_command,
        trusted_dirs,
        // The helper goes by its own.
        profile_ids: _,
        timeout,
        no_output_timeout,
        max_output_bytes,
    } = provider;
    let whole = Whole {
        command,
        args,
        pass_env: pass_env.iter().map(super::EnvName::as_str).collect(),
        env,
        json_only: *json_only,
        allow_symlink_command: *allow_symlink_command,
        trusted_dirs,
        timeout: timeout.as_nanos(),
        no_output_timeout: no_output_timeout.as_nanos(),
        max_output_bytes: *max_output_bytes,
    };
    let mut digest = Digesting(Sha256::new());
    serde_json::to_writer(&mut digest, &whole).expect("a configuration's paths are UTF-8");
    let bytes = digest.0.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// No copy of what is digested is left behind.
struct Digesting(Sha256);

impl std::io::Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
