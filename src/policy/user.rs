//! Which users may pass, and the proof that one may.

use std::collections::HashSet;
use std::fmt;

use super::request::trim;

/// The longest user, in bytes: what an e-mail address may have (RFC 5321
/// §4.5.3.1: 64 + 1 + 255).
pub const MAX_USER_BYTES: usize = 320;

/// The users that may pass.
#[derive(Clone)]
pub enum AllowUsers {
    /// Any user that the trusted proxy names.
    Any,
    /// Those listed, compared byte for byte.
    Only(UserList),
}

/// A list of at least one user. The hasher is keyed: users are chosen by others.
#[derive(Clone)]
pub struct UserList(HashSet<Box<str>>);

/// Why a list of users can't be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserListError {
    /// No entry: it would lock everybody out, or mean "anyone" to another reader.
    #[error("got an empty list, expected at least one user")]
    Empty,
    /// Entries that could never match a request.
    #[error("{}", .0.iter().map(|error| format!("[{}]: {error}", error.index)).collect::<Vec<_>>().join("; "))]
    Entries(Vec<UserEntryError>),
}

/// Which entry of a list of users is wrong, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct UserEntryError {
    /// The entry's place in the list, from 0.
    pub index: usize,
    /// What is wrong with it.
    #[source]
    pub problem: UserProblem,
}

/// Why a text is no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserProblem {
    /// Nothing but white space.
    #[error("got a blank entry, expected a user")]
    Blank,
    /// More than [`MAX_USER_BYTES`].
    #[error("got {0} bytes, expected a user of at most {MAX_USER_BYTES}")]
    TooLong(usize),
    /// A byte outside printable ASCII.
    #[error("got a byte outside printable ASCII, expected a user in ASCII")]
    NotAscii,
    /// A comma, which in a header would separate two users.
    #[error("got a comma, expected one user an entry")]
    Comma,
}

/// A user that the policy let pass. Made by it alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifiedUser<'a> {
    name: &'a str,
    principal: Principal,
}

/// What a verified name is that of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// A user.
    User,
    /// A service with a token of its own.
    Service,
}

impl AllowUsers {
    /// Lists users; each is trimmed, duplicates are fine.
    ///
    /// # Errors
    /// An empty list, and every entry that no request could match.
    pub fn only<S: AsRef<str>>(users: impl IntoIterator<Item = S>) -> Result<Self, UserListError> {
        let (mut list, mut errors) = (HashSet::new(), Vec::new());
        for (index, user) in users.into_iter().enumerate() {
            match read_entry(user.as_ref()) {
                Ok(user) => {
                    if !list.contains(user) {
                        list.insert(user.into());
                    }
                }
                Err(problem) => errors.push(UserEntryError { index, problem }),
            }
        }
        if !errors.is_empty() {
            return Err(UserListError::Entries(errors));
        }
        if list.is_empty() {
            return Err(UserListError::Empty);
        }
        Ok(Self::Only(UserList(list)))
    }

    /// Whether this user may pass: exact, never folded or decoded.
    pub fn allows(&self, user: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(list) => list.0.contains(user),
        }
    }
}

impl UserList {
    /// Every user listed, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// How many different users are listed: at least one.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for AllowUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("Any"),
            Self::Only(list) => write!(f, "Only({} users)", list.count()),
        }
    }
}

impl fmt::Debug for UserList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserList({} users)", self.count())
    }
}

impl<'a> VerifiedUser<'a> {
    /// Whoever calls this vouches for the user: the policy alone does.
    pub(super) fn vouch(name: &'a str, principal: Principal) -> Self {
        Self { name, principal }
    }

    /// The user, or the service: printable ASCII, trimmed, 1 to [`MAX_USER_BYTES`] bytes.
    pub fn as_str(&self) -> &'a str {
        self.name
    }

    /// What it is the name of.
    pub fn principal(&self) -> Principal {
        self.principal
    }
}

impl fmt::Debug for VerifiedUser<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedUser({})", self.name)
    }
}

/// Reads a header's value, already trimmed and not blank, as a user.
pub(super) fn read_user(value: &[u8]) -> Result<&str, UserProblem> {
    if value.len() > MAX_USER_BYTES {
        return Err(UserProblem::TooLong(value.len()));
    }
    if !value.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(UserProblem::NotAscii);
    }
    str::from_utf8(value).map_err(|_| UserProblem::NotAscii)
}

/// Reads a claim as a user: it is not trimmed, for others may read it as it is.
pub(super) fn read_claim(claim: &str) -> Result<&str, UserProblem> {
    match read_entry(claim)? {
        user if user == claim => Ok(user),
        _ => Err(UserProblem::Blank),
    }
}

fn read_entry(entry: &str) -> Result<&str, UserProblem> {
    let trimmed = trim(entry.as_bytes());
    if trimmed.is_empty() {
        return Err(UserProblem::Blank);
    }
    let user = read_user(trimmed)?;
    if user.contains(',') {
        return Err(UserProblem::Comma);
    }
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_listed_users_to_the_letter() {
        let users = AllowUsers::only([" admin@x\t", "b", "b"]).unwrap();
        for (user, allowed) in [
            ("admin@x", true),
            ("Admin@x", false),
            ("%61dmin@x", false),
            ("admin@x ", false),
            ("a@evil@x", false),
            ("", false),
        ] {
            assert_eq!(users.allows(user), allowed, "{user:?}");
        }
        assert!(AllowUsers::Any.allows("whoever"));
    }

    #[test]
    fn refuses_lists_that_could_not_mean_what_they_say() {
        let none: [&str; 0] = [];
        assert_eq!(AllowUsers::only(none).unwrap_err(), UserListError::Empty);
        let long = "a".repeat(321);
        let error = AllowUsers::only(["ok", " ", "nické", "a, b", &long]).unwrap_err();
        let UserListError::Entries(entries) = error else {
            panic!("{error}")
        };
        let found: Vec<_> = entries
            .iter()
            .map(|entry| (entry.index, entry.problem))
            .collect();
        assert_eq!(
            found,
            [
                (1, UserProblem::Blank),
                (2, UserProblem::NotAscii),
                (3, UserProblem::Comma),
                (4, UserProblem::TooLong(321)),
            ]
        );
    }

    #[test]
    fn reads_printable_ascii_up_to_320_bytes() {
        assert_eq!(read_user(b"John Smith"), Ok("John Smith"));
        assert!(read_user(&[b'a'; 320]).is_ok());
        assert_eq!(read_user(&[b'a'; 321]), Err(UserProblem::TooLong(321)));
        for value in [
            &b"\xc2\xa0a"[..],
            b"a\xe2\x80\x8b",
            b"a\x7f",
            b"a\x00",
            b"a\tb",
            b"\xff",
        ] {
            assert_eq!(read_user(value), Err(UserProblem::NotAscii), "{value:?}");
        }
    }
}
