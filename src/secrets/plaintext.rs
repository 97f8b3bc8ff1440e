//! What looks like a secret in the open: something under a credential's name, a URL
//! with a password, a key that bears its maker's mark.
//!
//! Pure. It only guesses: whoever asks says so, and never repeats the value.

use super::EnvName;

/// Why a command's argument looks like a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It is, or holds, the value of an option, a variable or a header whose name
    /// is that of a credential.
    Named,
    /// A URL in it has a user and a password.
    Url,
    /// Something in it begins as keys of a well-known kind do.
    Key,
}

/// What the words of a credential's name end with.
const STEMS: [&str; 7] = [
    "TOKEN",
    "SECRET",
    "KEY",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
];

/// Words that say it only as a whole: a `COMPASS` is no secret.
const WHOLE: [&str; 2] = ["PASS", "AUTHORIZATION"];

/// The last words of names that only lead to a credential, or tell of one:
/// `SOPS_AGE_KEY_FILE`, `--password-stdin`.
const POINTERS: [&str; 15] = [
    "FILE",
    "PATH",
    "DIR",
    "DIRECTORY",
    "URL",
    "URI",
    "ID",
    "NAME",
    "ENV",
    "STDIN",
    "FD",
    "TTL",
    "TYPE",
    "MODE",
    "VERSION",
];

/// Names of files by their own program's rules.
const FILES: [&str; 1] = ["GOOGLE_APPLICATION_CREDENTIALS"];

/// How keys begin: OpenAI, Anthropic, Slack, GitHub, GitLab, AWS, Google, Vault,
/// Stripe, age.
const MARKS: [&str; 17] = [
    "sk-",
    "sk_live_",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "AKIA",
    "AIza",
    "hvs.",
    "hvb.",
    "AGE-SECRET-KEY-",
];

/// What must come after a mark: `sk-learn` is no key.
const LEAST_AFTER_MARK: usize = 8;

/// How values begin that say where a secret is.
const PLACES: [&str; 8] = ["/", "./", "../", "~", "@", "env:", "file:", "fd:"];

impl Sign {
    /// In words, of the argument.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Named => "it is set for a name that is a credential's",
            Self::Url => "a URL in it holds a password",
            Self::Key => "it begins as a well-known kind of key does",
        }
    }
}

/// Whether a variable or an option of this name probably holds a credential.
#[must_use]
pub fn names_credential(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    if FILES.contains(&name.as_str()) {
        return false;
    }
    let words = || name.split(|c: char| !c.is_ascii_alphanumeric());
    let leads_to_one = words().next_back().is_some_and(|w| POINTERS.contains(&w));
    !leads_to_one
        && words().any(|word| {
            let one = word.strip_suffix('S').unwrap_or(word);
            WHOLE.contains(&word) || STEMS.iter().any(|stem| one.ends_with(stem))
        })
}

/// Whether a plain secret is probably a variable's name without its `$`.
#[must_use]
pub fn looks_like_variable(secret: &str) -> bool {
    let name = super::trim(secret);
    name.contains('_') && EnvName::parse(name).is_ok()
}

/// Which of a command's arguments look like secrets: everybody on the machine can
/// read them as long as it runs (`/proc/PID/cmdline`).
#[must_use]
pub fn secrets_in_arguments(arguments: &[String]) -> Vec<(usize, Sign)> {
    let before = std::iter::once(None).chain(arguments.iter().map(Some));
    let signs = before.zip(arguments).map(|(before, argument)| {
        let belongs_to_option = before.is_some_and(|option| {
            is_bare_option(option) && names_credential(option) && !argument.starts_with('-')
        });
        // What curl and its kin take as `-u USER:PASSWORD`.
        let is_login = before.is_some_and(|option| ["-u", "--user"].contains(&option.as_str()))
            && argument
                .split_once(':')
                .is_some_and(|(_, password)| could_be_secret(password));
        if is_login || (belongs_to_option && could_be_secret(argument)) {
            Some(Sign::Named)
        } else {
            sign(argument)
        }
    });
    signs
        .enumerate()
        .filter_map(|(index, sign)| Some((index, sign?)))
        .collect()
}

/// `--token`, and `-token` as programs in Go have it; `-t` could be anything.
fn is_bare_option(argument: &str) -> bool {
    let name = argument.trim_start_matches('-');
    name.len() < argument.len() && name.len() > 1 && !name.contains('=')
}

/// What an argument says by itself, as one word or as the several that it holds: a
/// header, a shell's line, JSON.
fn sign(argument: &str) -> Option<Sign> {
    if has_password(argument) {
        Some(Sign::Url)
    } else if has_key(argument) {
        Some(Sign::Key)
    } else if sets_credential(argument) || holds_one_among_words(argument) {
        Some(Sign::Named)
    } else {
        None
    }
}

fn holds_one_among_words(argument: &str) -> bool {
    let mut unquoted = argument.replace(['"', '\''], "");
    if argument.contains('{') {
        // In JSON a name and its value are one word, whatever stands between them.
        unquoted = unquoted.replace(": ", ":");
    }
    let is_between = |c: char| c.is_whitespace() || "{}(),;|".contains(c);
    // `${NAME}` is one word, too.
    let words: Vec<String> = unquoted
        .replace("${", "$")
        .split(is_between)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    // A single word has been looked at, unless it was quoted.
    let is_new = words.len() > 1 || words.first().is_some_and(|word| *word != argument);
    is_new && !secrets_in_arguments(&words).is_empty()
}

/// `--token=…`, `--env=TOKEN=…`, `TOKEN=…`, `X-Api-Key: …`, `-HX-Api-Key:…`,
/// `https://host/?token=…`.
fn sets_credential(argument: &str) -> bool {
    let fields: Vec<&str> = match argument.contains("://") {
        true => argument.split(['?', '&', '#', ';']).collect(),
        false => vec![argument],
    };
    fields.iter().any(|field| {
        field.match_indices(['=', ':']).any(|(at, sign)| {
            let (before, value) = (&field[..at], &field[at + sign.len()..]);
            let name = before.rsplit(['=', ':']).next().unwrap_or(before);
            let name = name.strip_prefix("-H").unwrap_or(name);
            is_name(name) && names_credential(name) && could_be_secret(value)
        })
    })
}

fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !text.is_empty() && text.bytes().all(is_part)
}

/// Whether a value is more than a place, a reference or a switch.
fn could_be_secret(value: &str) -> bool {
    let value = super::trim(value);
    let is_variable = value.strip_prefix('$').is_some_and(|name| {
        let braced = name.strip_prefix('{').and_then(|n| n.strip_suffix('}'));
        EnvName::parse(braced.unwrap_or(name)).is_ok()
    });
    let is_switch = ["", "-", "true", "false"].contains(&value);
    let is_place = PLACES.iter().any(|place| value.starts_with(place));
    // Of a URL, its own signs count.
    let is_url = value.split_once("://").is_some_and(|(s, _)| is_name(s));
    !(is_variable || is_switch || is_place || is_url)
}

/// `https://user:password@host`, and `https://token@host`; not `ssh://git@host`.
fn has_password(argument: &str) -> bool {
    argument.match_indices("://").any(|(at, sign)| {
        let is_web = argument[..at].ends_with("http") || argument[..at].ends_with("https");
        let rest = &argument[at + sign.len()..];
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        match authority.rsplit_once('@') {
            Some((user, _)) => match user.split_once(':') {
                Some((_, password)) => !password.is_empty(),
                None => is_web && !user.is_empty(),
            },
            // A password may hold what ends the authority, though it should not.
            None => rest.contains('@') && has_odd_port(authority),
        }
    })
}

fn has_odd_port(authority: &str) -> bool {
    // The colons of an IPv6 address stand in brackets.
    let after_host = match authority.starts_with('[') {
        true => authority
            .split_once(']')
            .map_or(authority, |(_, rest)| rest),
        false => authority,
    };
    let port = after_host.split_once(':');
    port.is_some_and(|(_, port)| !port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn has_key(argument: &str) -> bool {
    // A folder's name may begin like a key; a slash is not where a key begins.
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let is_private_key = argument
        .split_once("-----BEGIN ")
        .is_some_and(|(_, label)| label.contains("PRIVATE KEY"));
    is_private_key
        || argument.split(|c| !is_part(c)).any(|piece| {
            let has_mark = MARKS.iter().any(|mark| {
                let rest = piece.strip_prefix(mark);
                rest.is_some_and(|rest| rest.len() >= LEAST_AFTER_MARK)
            });
            has_mark || is_json_web_token(piece)
        })
}

/// RFC 7519: three parts, the first of which is a JSON object in Base64.
fn is_json_web_token(piece: &str) -> bool {
    piece.starts_with("eyJ") && piece.matches('.').count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_tell_credentials_from_what_leads_to_them() {
        for (name, expected) in [
            ("OPENCLAW_GATEWAY_TOKEN", true),
            ("ANTHROPIC_API_KEY", true),
            ("ANTHROPIC_API_KEYS", true),
            ("ANTHROPIC_API_KEY_2", true),
            ("APIKEY", true),
            ("PGPASSWORD", true),
            ("MYSQL_ROOT_PASSWD", true),
            ("DB_PASS", true),
            ("client_secret", true),
            ("dbPassword", true),
            ("app.secret", true),
            ("--api-key", true),
            ("GPG_PASSPHRASE", true),
            ("AWS_CREDENTIALS", true),
            ("SOPS_AGE_KEY", true),
            ("Authorization", true),
            ("SOPS_AGE_KEY_FILE", false),
            ("VAULT_TOKEN_PATH", false),
            ("AWS_ACCESS_KEY_ID", false),
            ("--password-stdin", false),
            ("--token-env", false),
            ("CREDENTIALS_DIRECTORY", false),
            ("GOOGLE_APPLICATION_CREDENTIALS", false),
            ("VAULT_ADDR", false),
            ("PATH", false),
            ("COMPASS", false),
            ("KEYBOARD", false),
            ("TOKENIZERS_PARALLELISM", false),
            ("", false),
        ] {
            assert_eq!(names_credential(name), expected, "{name}");
        }
    }

    #[test]
    fn arguments_that_hold_secrets_are_told_from_those_that_lead_to_them() {
        use Sign::{Key, Named, Url};
        for (arguments, expected) in [
            (&["--token=hunter2"][..], &[(0, Named)][..]),
            (&["--token", "hunter2"], &[(1, Named)]),
            (&["-token=hunter2"], &[(0, Named)]),
            (&["-token", "hunter2"], &[(1, Named)]),
            (&["--db.password=hunter2", "x"], &[(0, Named)]),
            (&["-Dapi.key=hunter2"], &[(0, Named)]),
            (&["VAULT_TOKEN=hunter2", "vault"], &[(0, Named)]),
            (&["--env=VAULT_TOKEN=hunter2"], &[(0, Named)]),
            (&["-e", "VAULT_TOKEN=hunter2"], &[(1, Named)]),
            (&["--token=-hunter2"], &[(0, Named)]),
            (&["--token=a=b"], &[(0, Named)]),
            (&["-H", "X-Api-Key: hunter2"], &[(1, Named)]),
            (&["-H", "Authorization: Bearer hunter2"], &[(1, Named)]),
            (&["-HX-Api-Key:hunter2"], &[(0, Named)]),
            (&["--header", "X-Vault-Token:hunter2"], &[(1, Named)]),
            (&["--header=Authorization: Bearer hunter2"], &[(0, Named)]),
            (&["-u", "user:hunter2"], &[(1, Named)]),
            (&[r#"{"token":"hunter2"}"#], &[(0, Named)]),
            (&[r#"{"a": 1, "password": "hunter2"}"#], &[(0, Named)]),
            (&["-c", "vault read -token hunter2 x"], &[(1, Named)]),
            (
                &["-c", "export VAULT_TOKEN='hunter2'; exec vault"],
                &[(1, Named)],
            ),
            (&["https://vault/?a=b&token=hunter2"], &[(0, Named)]),
            (&["https://user:hunter2@vault/x"], &[(0, Url)]),
            (&["--addr=https://user:hunter2@vault"], &[(0, Url)]),
            (&["--token", "https://user:hunter2@vault"], &[(1, Url)]),
            (&["https://:hunter2@vault"], &[(0, Url)]),
            (&["https://hunter2@vault"], &[(0, Url)]),
            (&["https://user:hunter2/?@vault"], &[(0, Url)]),
            (&["postgres://user:hunter2@[::1]:5432/db"], &[(0, Url)]),
            (
                &["--token=sk-live-abcdef", "--password", "hunter2"],
                &[(0, Key), (2, Named)],
            ),
            (&["sk-ant-REDACTED"], &[(0, Key)]),
            (&["xoxb-1234567890"], &[(0, Key)]),
            (&["xoxp-1234567890"], &[(0, Key)]),
            (&["ghp_abcdefghij"], &[(0, Key)]),
            (&["github_pat_abcdefghij"], &[(0, Key)]),
            (&["glpat-abcdefghij"], &[(0, Key)]),
            (&["AKIAABCDEFGHIJKLMNOP"], &[(0, Key)]),
            (&["AIzaSyABCDEFGHIJ"], &[(0, Key)]),
            (&["hvs.abcdefghij"], &[(0, Key)]),
            (&["x", "eyJhbGciOiJ9.e30.c2ln"], &[(1, Key)]),
            (&["-tghp_x", "--with:ghp_abcdefghij"], &[(1, Key)]),
            (&["-----BEGIN OPENSSH PRIVATE KEY-----"], &[(0, Key)]),
            // Places, references, switches, and what only sounds alike.
            (&["--token=/run/token", "--token", "~/token"], &[]),
            (&["--token=./a", "--token=../a", "--token=@a"], &[]),
            (&["--token=op://vault/item/token"], &[]),
            (&["--token", "op://vault/item/token"], &[]),
            (&["--token=env:TOKEN", "--token=$TOKEN"], &[]),
            (&["--token=${TOKEN}", "--token=-", "--token="], &[]),
            (&["--token", "--verbose", "x"], &[]),
            (&["--show-token=true"], &[]),
            (&["--token-file=x", "--password-stdin", "x"], &[]),
            (&["-p", "x", "-k=x", "-k", "x"], &[]),
            (&["kv", "get", "-field=token", "secret/openclaw"], &[]),
            (&["read", "op://vault/sk-ant-of-mine/token"], &[]),
            (&["/etc/sk-keys-of-mine", "sk-learn"], &[]),
            (&["https://vault:8200/v1", "ssh://git@host/x"], &[]),
            (&["https://[::1]:8200/@x", "https://h/a@b"], &[]),
            (&["-----BEGIN CERTIFICATE-----", "eyJ.x"], &[]),
            (&["jsonpath={.data.token}", "a == b", "the token: x"], &[]),
            (&[], &[]),
        ] {
            let arguments: Vec<_> = arguments.iter().map(|&it| it.to_owned()).collect();
            assert_eq!(secrets_in_arguments(&arguments), expected, "{arguments:?}");
        }
    }

    #[test]
    fn a_forgotten_dollar_shows() {
        for (secret, expected) in [
            ("OPENCLAW_GATEWAY_TOKEN", true),
            (" API_KEY_2\n", true),
            ("TOKEN", false),
            ("Gateway_Token", false),
            ("2_TOKEN", false),
            ("_TOKEN", false),
            ("A_TOKEN!", false),
            ("", false),
        ] {
            assert_eq!(looks_like_variable(secret), expected, "{secret}");
        }
    }

    proptest! {
        #[test]
        fn any_arguments_are_read(arguments in proptest::collection::vec("\\PC*|-*[a-z]*=?[:/@?=a-z]*", 0..4)) {
            let found = secrets_in_arguments(&arguments);
            prop_assert!(found.iter().all(|(index, _)| *index < arguments.len()));
        }

        #[test]
        fn a_password_in_a_url_is_found_whatever_it_holds(password in "[!-~é]{1,20}") {
            let argument = format!("https://user:x{password}@host/");
            prop_assert_eq!(secrets_in_arguments(&[argument]).len(), 1);
        }
    }
}
