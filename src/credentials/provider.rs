//! What is known of the providers, in one table. Any other is described by the config.

use crate::base_url::BaseUrl;

/// How a provider's API speaks: what a streamed answer looks like, where it counts
/// tokens, and where else than in a header a credential could stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `anthropic-messages`: named events, `usage.input_tokens`.
    Anthropic,
    /// `openai-completions`, `openai-responses` and what copies them: `data:` lines up
    /// to `[DONE]`, `usage.prompt_tokens` or `usage.input_tokens`.
    OpenAi,
    /// `google-generative-ai`: `usageMetadata`, and keys in the query (`?key=`).
    Google,
}

/// A provider that needs no description in the config.
#[derive(Debug, Clone, Copy)]
pub struct KnownProvider {
    /// The name in paths and config keys.
    pub name: &'static str,
    /// What stands in front of every request's path.
    pub base_url: &'static str,
    /// How its API speaks.
    pub dialect: Dialect,
    /// The header of its credential.
    pub header: &'static str,
    /// The header's value, with `{secret}` in the credential's place.
    pub format: &'static str,
    /// Its login, where it has one. Then its profiles are logins alone, and it has no
    /// pool of keys.
    pub login: Option<KnownLogin>,
}

/// An OAuth client and its servers (RFC 6749, RFC 7636).
#[derive(Debug, Clone, Copy)]
pub struct KnownLogin {
    authorize_url: &'static str,
    token_url: &'static str,
    client_id: &'static str,
    scopes: &'static [&'static str],
    extra: &'static [(&'static str, &'static str)],
}

/// The header that names the account of an `openai-codex` login.
pub const ACCOUNT_HEADER: &str = "chatgpt-account-id";

/// What the tokens of a Claude login begin with; they are sent as bearers.
pub const ANTHROPIC_LOGIN: &str = "sk-ant-oat";

/// The login whose profiles OpenClaw also calls `openai`.
pub const CODEX: &str = "openai-codex";

const BEARER: &str = "Bearer {secret}";

/// The providers that need no description in the config.
pub const KNOWN: [KnownProvider; 9] = [
    KnownProvider {
        name: "anthropic",
        base_url: "https://api.anthropic.com",
        dialect: Dialect::Anthropic,
        header: "x-api-key",
        format: "{secret}",
        login: None,
    },
    openai_like("openai", "https://api.openai.com/v1"),
    KnownProvider {
        login: Some(KnownLogin {
            authorize_url: "https://auth.openai.com/oauth/authorize",
            token_url: "https://auth.openai.com/oauth/token",
            client_id: "app_EMoamEEZ73f0CkXaXp7hrann",
            scopes: &["openid", "profile", "email", "offline_access"],
            extra: &[
                ("id_token_add_organizations", "true"),
                ("codex_cli_simplified_flow", "true"),
            ],
        }),
        ..openai_like(CODEX, "https://chatgpt.com/backend-api/codex")
    },
    KnownProvider {
        name: "google",
        base_url: "https://generativelanguage.googleapis.com/v1beta",
        dialect: Dialect::Google,
        header: "x-goog-api-key",
        format: "{secret}",
        login: None,
    },
    openai_like("openrouter", "https://openrouter.ai/api/v1"),
    openai_like("mistral", "https://api.mistral.ai/v1"),
    openai_like("groq", "https://api.groq.com/openai/v1"),
    openai_like("xai", "https://api.x.ai/v1"),
    openai_like("deepseek", "https://api.deepseek.com"),
];

const fn openai_like(name: &'static str, base_url: &'static str) -> KnownProvider {
    KnownProvider {
        name,
        base_url,
        dialect: Dialect::OpenAi,
        header: "authorization",
        format: BEARER,
        login: None,
    }
}

/// An OAuth client and its servers, ready to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthSettings {
    /// Where the user logs in.
    pub authorize_url: BaseUrl,
    /// Where codes and refresh tokens are exchanged.
    pub token_url: BaseUrl,
    /// Who we are there.
    pub client_id: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Further parameters of the authorize URL.
    pub extra: Vec<(String, String)>,
}

/// Whether it can be a provider's name, which is a segment of paths.
#[must_use]
pub fn is_provider_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&text.len())
        && text.bytes().all(is_part)
        && text.as_bytes()[0].is_ascii_alphanumeric()
}

/// What is known of the provider `name`.
#[must_use]
pub fn known(name: &str) -> Option<&'static KnownProvider> {
    KNOWN.iter().find(|provider| provider.name == name)
}

impl KnownLogin {
    /// The settings, where the config names no others.
    #[must_use]
    pub fn settings(&self) -> OAuthSettings {
        let url = |text| BaseUrl::parse(text).expect("the table's URLs are tested");
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        OAuthSettings {
            authorize_url: url(self.authorize_url),
            token_url: url(self.token_url),
            client_id: self.client_id.to_owned(),
            scopes: self
                .scopes
                .iter()
                .map(|scope| (*scope).to_owned())
                .collect(),
            extra: self.extra.iter().map(owned).collect(),
        }
    }
}

impl Dialect {
    /// The names of APIs as OpenClaw's config has them (`models.providers.*.api`).
    pub const APIS: [&'static str; 5] = [
        "anthropic-messages",
        "openai-completions",
        "openai-responses",
        "openai-chatgpt-responses",
        "google-generative-ai",
    ];

    /// What stands beside [`Dialect::APIS`].
    pub const OF_APIS: [Self; 5] = [
        Self::Anthropic,
        Self::OpenAi,
        Self::OpenAi,
        Self::OpenAi,
        Self::Google,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_holds_what_can_be_used() {
        let names: BTreeSet<&str> = KNOWN.iter().map(|provider| provider.name).collect();
        assert_eq!(names.len(), KNOWN.len());
        for provider in &KNOWN {
            let url = BaseUrl::parse(provider.base_url).unwrap();
            assert!(url.is_tls(), "{}", provider.name);
            assert!(!provider.base_url.ends_with('/'), "{}", provider.name);
            assert_eq!(provider.format.matches("{secret}").count(), 1);
            if let Some(login) = provider.login {
                let settings = login.settings();
                assert!(settings.authorize_url.is_tls() && settings.token_url.is_tls());
            }
        }
        assert!(known("anthropic").is_some() && known("Anthropic").is_none());
    }
}
