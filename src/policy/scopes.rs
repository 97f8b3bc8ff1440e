//! What a user's `x-openclaw-scopes` may hold: a ceiling that an incoming
//! header can lower and never raise.

use std::collections::HashMap;

use super::request::trim;

/// The ceiling of each user, and of everyone else (`*`).
///
/// A user without an entry where there is no `*` gets the empty ceiling: an
/// absent header would mean the gateway's default set, `operator.admin` included.
#[derive(Debug, Clone)]
pub struct ScopeCeilings {
    users: HashMap<Box<str>, Ceiling>,
    everyone_else: Ceiling,
    has_everyone_else: bool,
}

/// What a request says and may hold about scopes. Write it with [`Scopes::write_to`].
#[derive(Debug, Clone, Copy)]
pub struct Scopes<'a>(Grant<'a>);

/// Which scope of which user is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A text that is no scope.
    #[error("got no scope at [{index}] of `{}`, expected a to z, then a to z, digits, `.`, `_`, `-` or `:`", .user.escape_debug())]
    NotAScope {
        /// Whose ceiling.
        user: String,
        /// The scope's place in the list, from 0.
        index: usize,
    },
    /// The same user twice, once trimmed.
    #[error("got two ceilings for `{}`, expected one", .user.escape_debug())]
    Twice {
        /// Whose ceiling.
        user: String,
    },
}

#[derive(Debug, Clone, Default)]
struct Ceiling {
    scopes: Box<[Box<str>]>,
    joined: Box<str>,
}

#[derive(Debug, Clone, Copy)]
enum Grant<'a> {
    Unset,
    Ceiling(&'a Ceiling),
    Cut(&'a Ceiling, &'a [u8]),
    Believed(&'a [u8]),
}

impl ScopeCeilings {
    /// Takes the ceiling of each user; the user `*` stands for everyone else.
    ///
    /// # Errors
    /// Every text that is no scope, and users who come twice.
    pub fn new<U, S>(
        ceilings: impl IntoIterator<Item = (U, Vec<S>)>,
    ) -> Result<Self, Vec<ScopeError>>
    where
        U: AsRef<str>,
        S: AsRef<str>,
    {
        let (mut users, mut everyone_else, mut errors) = (HashMap::new(), None, Vec::new());
        for (user, scopes) in ceilings {
            let user = user.as_ref().trim_matches([' ', '\t']);
            for (index, scope) in scopes.iter().enumerate() {
                if !is_scope(scope.as_ref()) {
                    errors.push(ScopeError::NotAScope {
                        user: user.to_owned(),
                        index,
                    });
                }
            }
            let ceiling = Ceiling::new(&scopes);
            let earlier = if user == "*" {
                everyone_else.replace(ceiling)
            } else {
                users.insert(Box::from(user), ceiling)
            };
            if earlier.is_some() {
                errors.push(ScopeError::Twice {
                    user: user.to_owned(),
                });
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let has_everyone_else = everyone_else.is_some();
        Ok(Self {
            users,
            everyone_else: everyone_else.unwrap_or_default(),
            has_everyone_else,
        })
    }

    /// Whether this user has a ceiling: an entry of their own, or `*`.
    pub fn covers(&self, user: &str) -> bool {
        self.has_everyone_else || self.users.contains_key(user)
    }

    /// Whether everyone else (`*`) has a ceiling.
    pub fn covers_everyone(&self) -> bool {
        self.has_everyone_else
    }

    /// Whether a scope is within this user's ceiling.
    pub fn permits(&self, user: &str, scope: &str) -> bool {
        self.covers_all(user, scope.as_bytes())
    }

    /// Every user with an entry of their own, in no order.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(AsRef::as_ref)
    }

    /// The user's ceiling, cut by what came in.
    pub(super) fn grant<'a>(&'a self, user: &str, incoming: Option<&'a [u8]>) -> Scopes<'a> {
        let ceiling = self.users.get(user).unwrap_or(&self.everyone_else);
        Scopes(match incoming {
            None => Grant::Ceiling(ceiling),
            Some(value) => Grant::Cut(ceiling, value),
        })
    }
}

impl ScopeCeilings {
    /// Whether every scope of a list, as [`Scopes::write_to`] writes it, is within the
    /// user's ceiling.
    pub(super) fn covers_all(&self, user: &str, scopes: &[u8]) -> bool {
        let ceiling = self.users.get(user).unwrap_or(&self.everyone_else);
        scopes
            .split(|&byte| byte == b',')
            .map(trim)
            .filter(|scope| !scope.is_empty())
            .all(|scope| ceiling.scopes.iter().any(|known| known.as_bytes() == scope))
    }
}

impl<'a> Scopes<'a> {
    /// No ceilings, nothing believed: the header is left out.
    pub(super) const UNSET: Scopes<'static> = Scopes(Grant::Unset);

    /// What the trusted proxy said (`passScopes`). Where it said nothing the
    /// header is sent blank, which is none: a proxy that overwrites it always
    /// says something, and an absent one would mean everything.
    pub(super) fn believed(value: Option<&'a [u8]>) -> Self {
        Self(Grant::Believed(value.unwrap_or_default()))
    }

    /// Whether the upstream gets the header, be it blank.
    pub fn is_sent(&self) -> bool {
        !matches!(self.0, Grant::Unset)
    }

    /// Appends the header's value: scopes in the ceiling's order, with commas.
    /// Appends nothing where none is left.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match self.0 {
            Grant::Unset => {}
            Grant::Ceiling(ceiling) => out.extend_from_slice(ceiling.joined.as_bytes()),
            Grant::Believed(value) => out.extend_from_slice(value),
            Grant::Cut(ceiling, incoming) => {
                let asked = |scope: &str| {
                    incoming
                        .split(|&byte| byte == b',')
                        .any(|one| trim(one) == scope.as_bytes())
                };
                let mut separator: &[u8] = b"";
                for scope in ceiling.scopes.iter().filter(|scope| asked(scope)) {
                    out.extend_from_slice(separator);
                    out.extend_from_slice(scope.as_bytes());
                    separator = b",";
                }
            }
        }
    }
}

impl Ceiling {
    fn new<S: AsRef<str>>(scopes: &[S]) -> Self {
        let mut unique: Vec<Box<str>> = Vec::new();
        for scope in scopes {
            if !unique.iter().any(|known| **known == *scope.as_ref()) {
                unique.push(scope.as_ref().into());
            }
        }
        Self {
            joined: unique.join(",").into(),
            scopes: unique.into(),
        }
    }
}

/// Whether a header's value is a list of scopes that can be believed: printable
/// ASCII words with commas between them, or nothing.
pub(super) fn is_scope_list(value: &[u8]) -> bool {
    value.split(|&byte| byte == b',').all(|one| {
        trim(one)
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-:*/".contains(byte))
    })
}

fn is_scope(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-:".contains(&byte)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceilings() -> ScopeCeilings {
        ScopeCeilings::new([
            (
                "nick",
                vec!["operator.read", "operator.write", "operator.approvals"],
            ),
            ("*", vec!["operator.read"]),
        ])
        .unwrap()
    }

    fn written(scopes: Scopes<'_>) -> String {
        let mut out = Vec::new();
        scopes.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cuts_to_the_ceiling_and_never_widens_it() {
        for (user, incoming, expected) in [
            (
                "nick",
                None,
                "operator.read,operator.write,operator.approvals",
            ),
            ("nick", Some("operator.admin"), ""),
            ("nick", Some(""), ""),
            (
                "nick",
                Some("operator.write , operator.read,operator.read"),
                "operator.read,operator.write",
            ),
            ("nick", Some("OPERATOR.READ"), ""),
            ("nick", Some("operator.rea"), ""),
            ("nick", Some("operator.read\u{a0}"), ""),
            ("else", None, "operator.read"),
            (
                "else",
                Some("operator.read,operator.admin"),
                "operator.read",
            ),
            ("*", None, "operator.read"),
        ] {
            let ceilings = ceilings();
            let scopes = ceilings.grant(user, incoming.map(str::as_bytes));
            assert!(scopes.is_sent());
            assert_eq!(written(scopes), expected, "{user} {incoming:?}");
        }
    }

    #[test]
    fn gives_nothing_to_a_user_without_an_entry_where_there_is_no_star() {
        let ceilings = ScopeCeilings::new([("nick", vec!["operator.read"])]).unwrap();
        let scopes = ceilings.grant("else", None);
        assert!(scopes.is_sent() && !ceilings.covers("else") && ceilings.covers("nick"));
        assert_eq!(written(scopes), "");
    }

    #[test]
    fn sends_a_blank_header_where_a_believed_one_is_absent() {
        assert!(Scopes::believed(None).is_sent());
        assert_eq!(written(Scopes::believed(None)), "");
        assert_eq!(
            written(Scopes::believed(Some(b"operator.read, b"))),
            "operator.read, b"
        );
        assert!(!Scopes::UNSET.is_sent());
    }

    #[test]
    fn refuses_what_is_no_scope_and_names_its_place() {
        let errors = ScopeCeilings::new([
            ("a", vec!["operator.read", "x y"]),
            ("b", vec!["Up"]),
            (" a", vec![]),
        ]);
        let expected = [
            ScopeError::NotAScope {
                user: "a".into(),
                index: 1,
            },
            ScopeError::NotAScope {
                user: "b".into(),
                index: 0,
            },
            ScopeError::Twice { user: "a".into() },
        ];
        assert_eq!(errors.unwrap_err(), expected);
    }

    #[test]
    fn believes_lists_of_words_alone() {
        for (value, believable) in [
            (&b"operator.read, operator.write"[..], true),
            (b"", true),
            (b"operator read", false),
            (b"a;b", false),
            (b"a\xc2\xa0", false),
            (b"\"a\"", false),
        ] {
            assert_eq!(is_scope_list(value), believable, "{value:?}");
        }
    }
}
