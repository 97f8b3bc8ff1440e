//! The deployments under `deploy/`, tried as they are committed: only addresses, ports and paths are
//! replaced, and a replacement that finds nothing fails the test.
//!
//! nginx and Caddy run as Debian ships them. Traefik and Pomerium don't run here: what their
//! documentation says they send is replayed, in tests whose names begin with `replayed_`. `pass`, gpg,
//! age and sops run; 1Password's and Vault's programs have stand-ins (`deploy/secret-tools/`).

#![allow(clippy::unwrap_used, reason = "a test ends where its premise fails")]

#[path = "deploy/chain.rs"]
mod chain;
#[path = "deploy/client.rs"]
mod client;
#[path = "deploy/portcullis.rs"]
mod portcullis;
#[path = "deploy/recipe.rs"]
mod recipe;
#[path = "deploy/recorder.rs"]
mod recorder;
#[allow(
    dead_code,
    reason = "ports on both of loopback's addresses are for `e2e`"
)]
#[path = "e2e/reserved_port.rs"]
mod reserved_port;
#[path = "deploy/sandbox.rs"]
mod sandbox;

#[path = "deploy/attack.rs"]
mod attack;
#[path = "deploy/chains.rs"]
mod chains;
#[path = "deploy/configs.rs"]
mod configs;
#[path = "deploy/replays.rs"]
mod replays;
#[path = "deploy/resolver.rs"]
mod resolver;
#[path = "deploy/scripts.rs"]
mod scripts;
#[path = "deploy/secret_files.rs"]
mod secret_files;
#[path = "deploy/secret_tools.rs"]
mod secret_tools;
#[path = "deploy/secrets.rs"]
mod secrets;
