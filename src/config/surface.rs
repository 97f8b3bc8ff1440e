//! Every place of the config where a secret may stand, in one list: what is
//! resolved, what is only told of, and what `secrets list` shows.

use super::{Config, ModelProvider, TlsKey};
use crate::secrets::{SecretInput, SecretRef};

/// A place where a secret stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface<'a> {
    /// The config key: `upstream.credential.value`.
    pub key: String,
    /// What stands there.
    pub input: &'a SecretInput,
    /// Whether anything uses it.
    pub activity: Activity,
}

/// Whether anything uses a secret, or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It must have a value.
    Active,
    /// It isn't resolved or read, for this reason.
    Inactive(&'static str),
}

/// The key of `[upstream.credential]`'s secret.
pub const UPSTREAM_CREDENTIAL: &str = "upstream.credential.value";
/// The key of the admin listener's token.
pub const ADMIN_TOKEN: &str = "admin.token";
/// The key of the listener's private key.
pub const TLS_KEY: &str = "gateway.tls.key";
/// The key of the back door's token.
pub const CLIENT_TOKEN: &str = "models.clientToken";

const NO_TLS: &str = "gateway.tls is off";
const NO_BACK_DOOR: &str = "the back door is off (models.listen)";
const DISABLED: &str = "the provider is not enabled";

impl Surface<'_> {
    /// The reference that has to be resolved, if it is one and in use.
    #[must_use]
    pub fn to_resolve(&self) -> Option<&SecretRef> {
        match (self.input, self.activity) {
            (SecretInput::Ref(reference), Activity::Active) => Some(reference),
            _ => None,
        }
    }
}

impl Config {
    /// Every secret of the config, in use or not.
    #[must_use]
    pub fn surfaces(&self) -> Vec<Surface<'_>> {
        let credential = self.upstream.credential.as_ref();
        let credential = credential.map(|credential| &credential.value);
        let tls_key = match self.gateway.tls.as_ref().map(|tls| &tls.key) {
            Some(TlsKey::Inline(input)) => Some(input),
            Some(TlsKey::File(_)) | None => None,
        };
        let back_door = self.back_door();
        let single = [
            (UPSTREAM_CREDENTIAL, credential, Activity::Active),
            (ADMIN_TOKEN, self.admin.token.as_ref(), Activity::Active),
            (TLS_KEY, tls_key, Activity::Active),
            (
                TLS_KEY,
                self.gateway.idle_tls_key.as_ref(),
                Activity::Inactive(NO_TLS),
            ),
            (CLIENT_TOKEN, self.models.client_token.as_ref(), back_door),
        ];
        let single = single.into_iter().filter_map(|(key, input, activity)| {
            Some(Surface {
                key: key.to_owned(),
                input: input?,
                activity,
            })
        });
        let models = self.models.providers.iter();
        let agents = self.models.agents.iter().map(|(name, agent)| Surface {
            key: agent_token(name),
            input: &agent.client_token,
            activity: back_door,
        });
        single
            .chain(models.flat_map(|(name, provider)| provider.surfaces(name, back_door)))
            .chain(agents)
            .collect()
    }

    /// Of what the back door alone uses.
    pub(super) fn back_door(&self) -> Activity {
        match self.models.listen {
            Some(_) => Activity::Active,
            None => Activity::Inactive(NO_BACK_DOOR),
        }
    }
}

/// The key of an agent's token.
#[must_use]
pub fn agent_token(name: &str) -> String {
    format!("agents.{name}.clientToken")
}

impl ModelProvider {
    /// The config keys of its pool, in the pool's order.
    pub fn key_surfaces(&self, name: &str) -> impl Iterator<Item = (String, &SecretInput)> {
        let only = self.api_key.iter().map(|key| ("apiKey".to_owned(), key));
        let further = self.api_keys.iter().enumerate();
        let further = further.map(|(index, key)| (format!("apiKeys[{index}]"), key));
        only.chain(further)
            .map(move |(key, input)| (format!("models.providers.{name}.{key}"), input))
    }

    fn surfaces<'a>(
        &'a self,
        name: &'a str,
        back_door: Activity,
    ) -> impl Iterator<Item = Surface<'a>> {
        let activity = match self.enabled {
            true => back_door,
            false => Activity::Inactive(DISABLED),
        };
        self.key_surfaces(name).map(move |(key, input)| Surface {
            key,
            input,
            activity,
        })
    }
}
