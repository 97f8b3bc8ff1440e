//! Which errors the service's user may not have.

use crate::credentials::SinkError;
use crate::credentials::token_sink::FolderProblem;
use crate::doctor::Barrier;
use crate::secrets::{Exposure, FileError};
use crate::snapshot::BuildError;
use std::error::Error;
use std::io::{self, ErrorKind};

/// What the user that this is run as is stopped by, though another may not be.
pub(super) fn barrier(error: &BuildError) -> Option<Barrier> {
    if is_denied(error) {
        return Some(Barrier::Denied);
    }
    let file = match error {
        BuildError::EnvFile(file) => file,
        BuildError::Sink { source, .. } => match source {
            SinkError::File(file) => file,
            SinkError::Folder {
                problem: FolderProblem::Owner { .. },
                ..
            } => return Some(Barrier::Owner),
            _ => return None,
        },
        _ => return None,
    };
    let is_owner = matches!(
        file,
        FileError::Unsafe {
            problem: Exposure::Owner { .. },
            ..
        }
    );
    is_owner.then_some(Barrier::Owner)
}

fn is_denied(error: &BuildError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let of_system = error.downcast_ref::<io::Error>();
        if of_system.is_some_and(|error| error.kind() == ErrorKind::PermissionDenied) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::TlsError;

    fn file(kind: ErrorKind) -> FileError {
        FileError::Io {
            path: "/x".into(),
            source: kind.into(),
        }
    }

    fn sink(source: SinkError) -> BuildError {
        BuildError::Sink {
            key: "models.stateDir".to_owned(),
            source,
        }
    }

    fn owned() -> FileError {
        FileError::Unsafe {
            path: "/x".into(),
            problem: Exposure::Owner {
                got: 7,
                expected: "root",
                user: 8,
            },
        }
    }

    #[test]
    fn what_another_user_may_be_spared_is_told_from_what_nobody_is() {
        let tls = |kind: ErrorKind| BuildError::Tls {
            key: "gateway.tls.keyPath".to_owned(),
            source: TlsError::Unreadable {
                path: "/x".into(),
                source: kind.into(),
            },
        };
        let denied = ErrorKind::PermissionDenied;
        let missing = ErrorKind::NotFound;
        let of_folder = |problem| SinkError::Folder {
            folder: "/x".into(),
            problem,
        };
        let owner = FolderProblem::Owner { got: 7, user: 8 };
        for (error, expected) in [
            (tls(denied), Some(Barrier::Denied)),
            (BuildError::EnvFile(file(denied)), Some(Barrier::Denied)),
            (sink(file(denied).into()), Some(Barrier::Denied)),
            (BuildError::EnvFile(owned()), Some(Barrier::Owner)),
            (sink(owned().into()), Some(Barrier::Owner)),
            (sink(of_folder(owner)), Some(Barrier::Owner)),
            (tls(missing), None),
            (BuildError::EnvFile(file(missing)), None),
            (sink(file(missing).into()), None),
            (sink(of_folder(FolderProblem::Mode(0o777))), None),
        ] {
            assert_eq!(barrier(&error), expected, "{error:?}");
        }
    }
}
