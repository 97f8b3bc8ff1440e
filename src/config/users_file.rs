//! `allowUsersFile`: one user a line.

use super::AllowUsersSource;
use crate::policy::{AllowUsers, UserListError, UserProblem};
use crate::regular_file;
use std::io;
use std::path::PathBuf;

/// The largest users file, in bytes: several million users.
const MAX_BYTES: u64 = 256 << 20;

/// Why it can't be told who may pass.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The file can't be read.
    #[error("{path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It holds no list of users.
    #[error("{path}: {source}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: UsersFileError,
    },
}

impl AllowUsersSource {
    /// Who may pass. Reads the file, where it is one.
    ///
    /// # Errors
    /// [`UsersError`], where the file can't be read or holds no list.
    pub fn users(&self) -> Result<AllowUsers, UsersError> {
        let path = match self {
            Self::Inline(users) => return Ok(users.clone()),
            Self::File(path) => path,
        };
        let text = regular_file::read_to_string(path, MAX_BYTES).map_err(|source| {
            UsersError::Unreadable {
                path: path.clone(),
                source,
            }
        })?;
        parse_users_file(&text).map_err(|source| UsersError::Malformed {
            path: path.clone(),
            source,
        })
    }
}

/// Why a users file can't be taken. It names lines, never what stands on them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsersFileError {
    /// No user at all: an emptied file must not let everybody in, nor lock
    /// everybody out.
    #[error("got no user, expected at least one, one a line")]
    Empty,
    /// Lines that no request could match.
    #[error("{}", .0.iter().map(|(line, problem)| format!("line {line}: {problem}")).collect::<Vec<_>>().join("; "))]
    Lines(Vec<(usize, UserProblem)>),
}

/// Reads one user a line. Blank lines and lines that begin with `#` are passed
/// over; white space around a user is trimmed.
///
/// # Errors
/// [`UsersFileError`], with every bad line.
pub fn parse_users_file(text: &str) -> Result<AllowUsers, UsersFileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (numbers, users): (Vec<usize>, Vec<&str>) = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .unzip();
    AllowUsers::only(users).map_err(|error| match error {
        UserListError::Empty => UsersFileError::Empty,
        UserListError::Entries(entries) => UsersFileError::Lines(
            entries
                .iter()
                .map(|entry| {
                    (
                        numbers.get(entry.index).copied().unwrap_or_default(),
                        entry.problem,
                    )
                })
                .collect(),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_user_a_line() {
        let users =
            parse_users_file("\u{feff}# team\n\n nick@example.com \r\nann@example.com#1\n#x\n")
                .unwrap();
        for (user, allowed) in [
            ("nick@example.com", true),
            ("ann@example.com#1", true),
            ("# team", false),
            ("#x", false),
            ("", false),
        ] {
            assert_eq!(users.allows(user), allowed, "{user}");
        }
    }

    #[test]
    fn refuses_a_file_without_users() {
        for text in ["", "\n\n", "# nobody\n  # really\n"] {
            assert_eq!(
                parse_users_file(text).unwrap_err(),
                UsersFileError::Empty,
                "{text:?}"
            );
        }
    }

    #[test]
    fn names_the_lines_that_are_wrong_without_repeating_them() {
        let error = parse_users_file("# team\nann\nnické\n\na,b\n").unwrap_err();
        assert_eq!(
            error,
            UsersFileError::Lines(vec![(3, UserProblem::NotAscii), (5, UserProblem::Comma)])
        );
        assert!(!error.to_string().contains("nick"), "{error}");
    }
}
