//! Why a sink can't be read or changed.

use super::super::words;
use super::PATIENCE;
use crate::secrets::FileError;
use std::io;
use std::path::PathBuf;

/// Why a sink can't be read or changed. The messages never hold what is in it.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The file can't be read, or isn't held as it must be.
    #[error(transparent)]
    File(#[from] FileError),
    /// Others could put another file in its place.
    #[error("{folder}: {problem}", folder = folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        problem: FolderProblem,
    },
    /// The file is damaged, or of another version. It is left as it is.
    #[error("{path}: {problem}: it is left as it is; repair it, or move it away", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Damage,
    },
    /// Another process holds the lock.
    #[error(
        "{path}: another process has held it for {after}",
        path = path.display(),
        after = words::span(PATIENCE)
    )]
    Locked {
        /// The lock's file.
        path: PathBuf,
    },
    /// The new content, or the folder for it, can't be written.
    #[error("{path}: can't be written", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What makes a folder unfit for secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FolderProblem {
    /// It is something else.
    #[error("it is no folder")]
    NotAFolder,
    /// Somebody else's.
    #[error("it belongs to user {got}, expected root or user {user}, as this runs")]
    Owner {
        /// Its owner's id.
        got: u32,
        /// The effective user's id.
        user: u32,
    },
    /// Others may put files in it.
    #[error("its mode is {0:04o}, expected one that lets its owner alone write, such as 0700")]
    Mode(u32),
}

/// What is wrong with a sink's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// No JSON, or something else than an object.
    #[error("it holds no JSON object")]
    NoObject,
    /// Another version, or none.
    #[error("its `version` is not 1")]
    Version,
    /// A member that must be an object.
    #[error("its `{0}` is no object")]
    Member(&'static str),
}
