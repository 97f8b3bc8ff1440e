//! Which profiles a request may carry, and in which order.

use super::provider::known;
use super::{Login, Profile, ProfileId, Sink};

/// The profiles that serve `provider`, the next to try first: the pinned one, then those
/// of the order stored in the sink (`models auth order`), else those of the config's
/// (`auth.order`), else all of them: logins, tokens, keys, each by its name. An order
/// leaves out whom it doesn't name.
#[must_use]
pub fn ordered<'a>(
    sink: &'a Sink,
    provider: &str,
    pinned: Option<&ProfileId>,
    configured: Option<&[String]>,
) -> Vec<&'a Profile> {
    let mut serving: Vec<&Profile> = sink
        .profiles
        .iter()
        .filter_map(|entry| entry.profile())
        .filter(|profile| serves(profile, provider))
        .collect();
    let stored = sink.order.get(provider).filter(|order| !order.is_empty());
    let order: Option<Vec<&str>> = match (stored, configured) {
        (Some(stored), _) => Some(stored.iter().map(ProfileId::as_str).collect()),
        (None, Some(configured)) => Some(configured.iter().map(String::as_str).collect()),
        (None, None) => None,
    };
    let pinned = pinned.and_then(|pinned| serving.iter().position(|it| it.id == *pinned));
    let pinned = pinned.map(|index| serving.remove(index));
    match order {
        Some(order) => {
            let rank = |profile: &&Profile| order.iter().position(|id| *id == profile.id.as_str());
            serving.retain(|profile| rank(profile).is_some());
            serving.sort_by_key(rank);
        }
        None => serving.sort_by_key(|profile| (kind_rank(&profile.login), profile.id.clone())),
    }
    pinned.into_iter().chain(serving).collect()
}

/// Whether `provider`'s requests may carry a profile. A provider with a login takes
/// logins and tokens, and no keys: they go to different services.
#[must_use]
pub fn serves(profile: &Profile, provider: &str) -> bool {
    let takes_keys = known(provider).is_none_or(|known| known.login.is_none());
    profile.serves() == provider && (takes_keys || !matches!(profile.login, Login::ApiKey(_)))
}

fn kind_rank(login: &Login) -> u8 {
    match login {
        Login::OAuth(_) => 0,
        Login::Token { .. } | Login::External(_) => 1,
        Login::ApiKey(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, Held, OAuthTokens, UnixMillis};
    use super::*;
    use crate::secrets::SecretValue;

    fn sink() -> Sink {
        let secret = || SecretValue::new("s3cret".to_owned());
        let oauth = || {
            Login::OAuth(OAuthTokens {
                access: secret(),
                refresh: None,
                expires: UnixMillis(0),
                obtained: None,
                account_id: None,
                attempt: None,
                needs_login: None,
            })
        };
        let key = || Login::ApiKey(Held::Value(secret()));
        let token = || Login::Token {
            token: Held::Value(secret()),
            expires: None,
        };
        let profile = |id: &str, provider: &str, login| {
            Entry::Usable(Profile {
                id: ProfileId::parse(id).unwrap(),
                provider: provider.to_owned(),
                login,
                email: None,
            })
        };
        Sink {
            profiles: vec![
                profile("anthropic:a", "anthropic", key()),
                profile("anthropic:b", "anthropic", token()),
                profile("anthropic:c", "anthropic", key()),
                profile("openai:default", "openai", oauth()),
                profile("openai:key", "openai", key()),
                profile("openai-codex:key", "openai-codex", key()),
                profile("openai-codex:work", "openai-codex", oauth()),
            ],
            ..Sink::default()
        }
    }

    fn ids(
        sink: &Sink,
        provider: &str,
        pinned: Option<&str>,
        configured: Option<&[&str]>,
    ) -> Vec<String> {
        let pinned = pinned.map(|id| ProfileId::parse(id).unwrap());
        let configured: Option<Vec<String>> =
            configured.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
        let ordered = ordered(sink, provider, pinned.as_ref(), configured.as_deref());
        ordered
            .iter()
            .map(|profile| profile.id.to_string())
            .collect()
    }

    #[test]
    fn the_pin_goes_first_then_the_nearest_order() {
        let mut sink = sink();
        let all = ["anthropic:b", "anthropic:a", "anthropic:c"];
        assert_eq!(ids(&sink, "anthropic", None, None), all);
        let pinned = Some("anthropic:c");
        assert_eq!(
            ids(&sink, "anthropic", pinned, None),
            ["anthropic:c", "anthropic:b", "anthropic:a"]
        );
        let configured: Option<&[&str]> = Some(&["anthropic:c", "anthropic:gone", "anthropic:a"]);
        assert_eq!(
            ids(&sink, "anthropic", None, configured),
            ["anthropic:c", "anthropic:a"]
        );
        let stored = ProfileId::parse("anthropic:a").unwrap();
        sink.order.insert("anthropic".to_owned(), vec![stored]);
        assert_eq!(ids(&sink, "anthropic", None, configured), ["anthropic:a"]);
        assert_eq!(
            ids(&sink, "anthropic", pinned, configured),
            ["anthropic:c", "anthropic:a"]
        );
    }

    #[test]
    fn logins_and_keys_of_openai_never_meet() {
        let sink = sink();
        assert_eq!(ids(&sink, "openai", None, None), ["openai:key"]);
        assert_eq!(
            ids(&sink, "openai-codex", None, None),
            ["openai-codex:work", "openai:default"]
        );
        let other = Some("openai:key");
        assert_eq!(
            ids(&sink, "openai-codex", other, None),
            ["openai-codex:work", "openai:default"]
        );
    }
}
