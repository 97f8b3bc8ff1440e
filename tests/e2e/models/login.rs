//! An OAuth login in a sink of its own, with its token server and its provider.

use super::provider::Provider;
use super::{back_door, in_seconds, write_sink};
use crate::oauth_server::OAuthServer;
use crate::sidecar::Setup;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The name of the only profile.
pub(super) const NAME: &str = "openai-codex:default";
/// A call.
pub(super) const CALL: &str = "POST /openai-codex/responses";

/// The three of them.
pub(super) struct Town {
    pub(super) folder: TempDir,
    pub(super) server: OAuthServer,
    pub(super) provider: Provider,
}

/// A login with the access token `access` and the refresh token `refresh`.
pub(super) fn profile(access: &str, refresh: &str, expires_in: i64) -> Value {
    json!({"type": "oauth", "provider": "openai-codex", "access": access, "refresh": refresh,
        "expires": in_seconds(expires_in), "accountId": "acc-of-login"})
}

impl Town {
    /// With a login that ends in so many seconds, and that the server renews.
    pub(super) async fn new(expires_in: i64) -> Self {
        let town = Self {
            folder: tempfile::tempdir().unwrap(),
            server: OAuthServer::spawn().await,
            provider: Provider::spawn().await,
        };
        town.log_in("refresh-0", expires_in);
        town
    }

    /// Replaces the sink by one with this login.
    pub(super) fn log_in(&self, refresh: &str, expires_in: i64) {
        self.server.knows(refresh);
        self.write(json!({NAME: profile("access-0", refresh, expires_in)}));
    }

    /// Writes the sink.
    pub(super) fn write(&self, profiles: Value) {
        write_sink(
            self.folder.path(),
            json!({"version": 1, "profiles": profiles}),
        );
    }

    /// The login as the sink has it.
    pub(super) fn stored(&self) -> Value {
        let path = self.folder.path().join("auth-profiles.json");
        let sink: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        sink["profiles"][NAME].clone()
    }

    /// A Portcullis of them.
    pub(super) fn setup(&self) -> Setup {
        back_door(&format!(
            "stateDir = \"{}\"\n[models.providers.openai-codex]\nbaseUrl = \"{}\"\n\
             oauth = {{ tokenUrl = \"{}\" }}\n",
            self.folder.path().display(),
            self.provider.url(),
            self.server.token_url()
        ))
    }

    /// How often each refresh token came.
    pub(super) fn uses(&self) -> Vec<(String, usize)> {
        self.server.uses().into_iter().collect()
    }
}
