//! What can be told of credentials: a row for each, and what a check makes of them.
//! Pure: facts in, words out; nothing here holds a secret.

use super::pool::PoolKey;
use super::{Cooldown, Entry, Login, OAuthTokens, Profile, UnixMillis, Usage};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A credential, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialStatus {
    /// The provider whose requests carry it.
    pub provider: String,
    /// Whose it is; none: everyone's who is no agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// A profile's name, or a key's `#fingerprint`.
    pub name: String,
    /// What it is.
    pub kind: CredentialKind,
    /// What it is good for now.
    pub state: State,
    /// Whether it is renewed before it ends, so that its end is nobody's business: else
    /// an hour's token would always be about to expire.
    pub renews_itself: bool,
    /// When it ends, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// Until when it is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown_until: Option<u64>,
    /// When a request last carried it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<u64>,
    /// Where it is from, or what is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What a credential is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A key, of the config's pools or a profile's.
    ApiKey,
    /// A bearer token that somebody put in.
    Token,
    /// A login that Portcullis made.
    #[serde(rename = "oauth")]
    OAuth,
    /// Another program's login.
    External,
    /// There is no credential.
    None,
}

impl CredentialKind {
    /// As JSON has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Token => "token",
            Self::OAuth => "oauth",
            Self::External => "external",
            Self::None => "none",
        }
    }
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What the name of a pool's key begins with, and no profile's.
const POOL_KEY: char = '#';

/// What a credential is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It may be used.
    Ready,
    /// It hit a limit, and is left alone for a while.
    CoolingDown,
    /// An order leaves it out, so that it is never tried.
    LeftOut,
    /// Its provider answers 401 to it.
    Rejected,
    /// It has ended, and nobody can renew it.
    Expired,
    /// Its provider refused to renew it, or nobody knows whether it did.
    NeedsLogin,
    /// Its secret is not to be had.
    Unresolved,
    /// What the sink has under its name is no credential.
    Unusable,
    /// The provider has no credential at all.
    Missing,
}

/// What a check makes of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All is well.
    Good,
    /// Something ends soon.
    Expiring,
    /// Something has ended, or is missing.
    Bad,
}

/// A refresh that began longer ago has ended, with its process if not otherwise.
const LONGEST_REFRESH: Duration = Duration::from_secs(120);

/// How a credential fared, as a row tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fare {
    /// Its limits.
    pub cooldown: Cooldown,
    /// When a request last carried it.
    pub last_used: Option<UnixMillis>,
    /// Its provider last answered 401 to it.
    pub is_rejected: bool,
}

impl From<&Usage> for Fare {
    /// What a sink keeps; that a credential is refused is not kept.
    fn from(usage: &Usage) -> Self {
        Self {
            cooldown: Cooldown {
                until: usage.cooldown_until,
                limits: usage.error_count,
            },
            last_used: usage.last_used,
            is_rejected: false,
        }
    }
}

impl Fare {
    /// What a sink is to keep of it, and of whom that is.
    #[must_use]
    pub fn to_usage(self, of: Option<String>) -> Usage {
        Usage {
            last_used: self.last_used,
            cooldown_until: self.cooldown.until,
            error_count: self.cooldown.limits,
            of,
        }
    }
}

/// What else is known of what a sink has under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// When another program's login ends.
    pub expires: Option<UnixMillis>,
    /// What is wrong with its secret.
    pub problem: Option<String>,
    /// How it fared.
    pub fare: Fare,
    /// Whether an OAuth login can be renewed.
    pub renewable: Renewable,
}

/// Whether an OAuth login can be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewable {
    /// Its provider's token server is known.
    Here,
    /// Nobody here can.
    Nowhere,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Ready,
        Self::CoolingDown,
        Self::LeftOut,
        Self::Rejected,
        Self::Expired,
        Self::NeedsLogin,
        Self::Unresolved,
        Self::Unusable,
        Self::Missing,
    ];

    /// As JSON and the metric's label have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::CoolingDown => "cooling_down",
            Self::LeftOut => "left_out",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::NeedsLogin => "needs_login",
            Self::Unresolved => "unresolved",
            Self::Unusable => "unusable",
            Self::Missing => "missing",
        }
    }
}

impl CredentialStatus {
    /// The row of a key of `provider`'s pool.
    #[must_use]
    pub fn of_key(provider: &str, key: &PoolKey, fare: Fare, now: UnixMillis) -> Self {
        let mut row = Self::new(
            provider,
            format!("{POOL_KEY}{}", key.fingerprint),
            CredentialKind::ApiKey,
        );
        row.detail = Some(key.origin.clone());
        row.fared(fare, now);
        row
    }

    /// The row of what a sink has under a name.
    #[must_use]
    pub fn of_entry(entry: &Entry, facts: Facts, now: UnixMillis) -> Self {
        match entry {
            Entry::Usable(profile) => Self::of_profile(profile, facts, now),
            Entry::Unusable { id, why } => {
                let provider = id.split(':').next().unwrap_or_default();
                let mut row = Self::new(provider, id.clone(), CredentialKind::None);
                row.state = State::Unusable;
                row.detail = Some(why.to_string());
                row
            }
        }
    }

    fn of_profile(profile: &Profile, facts: Facts, now: UnixMillis) -> Self {
        let Facts {
            expires,
            problem,
            fare,
            renewable,
        } = facts;
        let name = profile.id.to_string();
        let mut row = Self::new(profile.serves(), name, profile.login.kind());
        row.fared(fare, now);
        row.detail.clone_from(&profile.email);
        let expires = expires.or(profile.login.expires());
        row.expires_at = expires.map(|at| at.0);
        let has_ended = expires.is_some_and(|at| at <= now);
        let (refusal, renews_itself) = match &profile.login {
            Login::OAuth(tokens) if renewable == Renewable::Here => renewal(tokens, has_ended, now),
            Login::OAuth(tokens) => (tokens.needs_login.clone(), false),
            // Its own program does, as long as it is used.
            Login::External(_) => (None, !has_ended),
            Login::ApiKey(_) | Login::Token { .. } => (None, false),
        };
        if !super::order::serves(profile, profile.serves()) {
            row.state = State::Unusable;
            row.detail = Some("this provider takes logins alone".to_owned());
        } else if let Some(problem) = problem {
            row.state = State::Unresolved;
            row.detail = Some(problem);
        } else if let Some(refusal) = refusal {
            row.state = State::NeedsLogin;
            row.detail = Some(refusal);
        } else if has_ended && !renews_itself {
            row.state = State::Expired;
        }
        row.renews_itself = renews_itself;
        row
    }

    /// Whether it is a key of a pool, which has no profile.
    #[must_use]
    pub fn is_pool_key(&self) -> bool {
        self.kind == CredentialKind::ApiKey && self.name.starts_with(POOL_KEY)
    }

    /// An order leaves it out.
    pub fn leave_out(&mut self) {
        if !matches!(self.state, State::Unusable) {
            self.state = State::LeftOut;
            self.detail =
                Some("not in the order, which leaves out whom it doesn't name".to_owned());
        }
    }

    /// The row of a provider that has no credential.
    #[must_use]
    pub fn missing(provider: &str) -> Self {
        let mut row = Self::new(provider, "-".to_owned(), CredentialKind::None);
        row.state = State::Missing;
        row
    }

    /// The row of a key of the config whose secret is not to be had.
    #[must_use]
    pub fn unresolved(provider: &str, key: String, problem: String) -> Self {
        let mut row = Self::new(provider, key, CredentialKind::ApiKey);
        row.state = State::Unresolved;
        row.detail = Some(problem);
        row
    }

    fn new(provider: &str, name: String, kind: CredentialKind) -> Self {
        Self {
            provider: provider.to_owned(),
            agent: None,
            name,
            kind,
            state: State::Ready,
            renews_itself: false,
            expires_at: None,
            cooldown_until: None,
            last_used: None,
            detail: None,
        }
    }

    fn fared(&mut self, fare: Fare, now: UnixMillis) {
        self.last_used = fare.last_used.map(|at| at.0);
        if fare.is_rejected {
            self.state = State::Rejected;
        }
        if fare.cooldown.left(now).is_some() {
            self.state = State::CoolingDown;
            self.cooldown_until = fare.cooldown.until.map(|at| at.0);
        }
    }

    /// What a check makes of this one, with `within` for "soon".
    #[must_use]
    pub fn verdict(&self, now: UnixMillis, within: Duration) -> Verdict {
        match self.state {
            State::LeftOut => Verdict::Good,
            State::Rejected
            | State::Expired
            | State::NeedsLogin
            | State::Unresolved
            | State::Unusable
            | State::Missing => Verdict::Bad,
            State::Ready | State::CoolingDown => match self.expires_at {
                Some(at) if !self.renews_itself && UnixMillis(at) <= now.plus(within) => {
                    Verdict::Expiring
                }
                _ => Verdict::Good,
            },
        }
    }
}

/// Why a login has to be renewed by its user, and whether it renews itself.
fn renewal(tokens: &OAuthTokens, has_ended: bool, now: UnixMillis) -> (Option<String>, bool) {
    if tokens.needs_login.is_some() {
        return (tokens.needs_login.clone(), false);
    }
    let attempt = tokens.attempt.as_ref().filter(|_| tokens.is_attempted());
    match attempt {
        None => (None, tokens.can_refresh()),
        // It may be under way, in this process or another.
        Some(attempt) if attempt.at.until(now) <= LONGEST_REFRESH => (None, true),
        Some(_) => {
            let lost = "the outcome of its last refresh is unknown";
            (has_ended.then(|| lost.to_owned()), false)
        }
    }
}

/// What a check makes of all of them.
#[must_use]
pub fn verdict(rows: &[CredentialStatus], now: UnixMillis, within: Duration) -> Verdict {
    let verdicts = rows.iter().map(|row| row.verdict(now, within));
    verdicts.max().unwrap_or(Verdict::Good)
}

#[cfg(test)]
mod tests {
    use super::super::profile::RefreshAttempt;
    use super::super::{Held, ProfileId, fingerprint};
    use super::*;
    use crate::secrets::SecretValue;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn secret() -> SecretValue {
        SecretValue::new("canary-s3cret".to_owned())
    }

    fn row(provider: &str, login: Login) -> CredentialStatus {
        let profile = Profile {
            id: ProfileId::parse(&format!("{provider}:x")).unwrap(),
            provider: provider.to_owned(),
            login,
            email: None,
        };
        let entry = Entry::Usable(profile);
        let facts = Facts {
            expires: None,
            problem: None,
            fare: Fare::default(),
            renewable: match provider {
                "openai-codex" => Renewable::Here,
                _ => Renewable::Nowhere,
            },
        };
        CredentialStatus::of_entry(&entry, facts, NOW)
    }

    fn token(expires: Option<UnixMillis>) -> Login {
        let token = Held::Value(secret());
        Login::Token { token, expires }
    }

    fn oauth(expires: UnixMillis) -> OAuthTokens {
        OAuthTokens {
            access: secret(),
            refresh: Some(secret()),
            expires,
            obtained: None,
            account_id: None,
            attempt: None,
            needs_login: None,
        }
    }

    #[test]
    fn each_situation_has_its_state_and_verdict() {
        use State::{Expired, NeedsLogin, Ready, Unusable};
        use Verdict::{Bad, Expiring, Good};
        let attempted = |at| {
            let of = fingerprint(&secret());
            Some(RefreshAttempt { of, at })
        };
        let attempt = attempted(UnixMillis(NOW.0 - 121_000));
        let later = NOW.plus(2 * DAY);
        for (login, provider, state, verdict) in [
            (token(None), "anthropic", Ready, Good),
            (token(Some(later)), "anthropic", Ready, Good),
            (token(Some(NOW.plus(DAY / 2))), "anthropic", Ready, Expiring),
            (token(Some(NOW)), "anthropic", Expired, Bad),
            (Login::OAuth(oauth(later)), "openai-codex", Ready, Good),
            // OpenClaw writes such ones, and nobody here can renew them.
            (
                Login::OAuth(oauth(UnixMillis(1))),
                "anthropic",
                Expired,
                Bad,
            ),
            // It is renewed when it is needed.
            (
                Login::OAuth(oauth(UnixMillis(1))),
                "openai-codex",
                Ready,
                Good,
            ),
            (
                Login::OAuth(OAuthTokens {
                    refresh: None,
                    ..oauth(UnixMillis(1))
                }),
                "openai-codex",
                Expired,
                Bad,
            ),
            (
                Login::OAuth(OAuthTokens {
                    needs_login: Some("invalid_grant".into()),
                    ..oauth(later)
                }),
                "openai-codex",
                NeedsLogin,
                Bad,
            ),
            (
                Login::OAuth(OAuthTokens {
                    attempt: attempt.clone(),
                    ..oauth(UnixMillis(1))
                }),
                "openai-codex",
                NeedsLogin,
                Bad,
            ),
            (
                // Another process may be at it.
                Login::OAuth(OAuthTokens {
                    attempt: attempted(NOW),
                    ..oauth(UnixMillis(1))
                }),
                "openai-codex",
                Ready,
                Good,
            ),
            (
                Login::OAuth(OAuthTokens {
                    attempt,
                    ..oauth(NOW.plus(DAY / 2))
                }),
                "openai-codex",
                Ready,
                Expiring,
            ),
            (
                Login::ApiKey(Held::Value(secret())),
                "openai-codex",
                Unusable,
                Bad,
            ),
        ] {
            let row = row(provider, login);
            assert_eq!(row.state, state, "{row:?}");
            assert_eq!(row.verdict(NOW, DAY), verdict, "{row:?}");
            let told = serde_json::to_string(&row).unwrap();
            assert!(!told.contains("canary") && !format!("{row:?}").contains("canary"));
            assert_eq!(
                serde_json::from_str::<CredentialStatus>(&told).unwrap(),
                row
            );
        }
    }

    #[test]
    fn json_and_people_read_the_same_kind() {
        use CredentialKind::{ApiKey, External, None, OAuth, Token};
        for kind in [ApiKey, Token, OAuth, External, None] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn the_worst_counts_and_a_cool_down_is_no_fault() {
        let mut fare = Fare::default();
        fare.cooldown.limited(None, NOW);
        let key = PoolKey {
            value: secret(),
            fingerprint: "00000000".to_owned(),
            origin: "OPENAI_API_KEY".to_owned(),
        };
        let cooling = CredentialStatus::of_key("openai", &key, fare, NOW);
        assert_eq!(cooling.state, State::CoolingDown);
        let soon = row("anthropic", token(Some(NOW.plus(DAY))));
        let missing = CredentialStatus::missing("groq");
        for (rows, expected) in [
            (vec![], Verdict::Good),
            (vec![cooling.clone()], Verdict::Good),
            (vec![soon.clone(), cooling.clone()], Verdict::Expiring),
            (vec![missing, soon, cooling], Verdict::Bad),
        ] {
            assert_eq!(verdict(&rows, NOW, DAY), expected, "{rows:?}");
        }
    }
}
