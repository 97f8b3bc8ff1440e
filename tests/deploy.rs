//! The deployments under `deploy/`, tried as they are committed: only addresses, ports and paths are
//! replaced, and a replacement that finds nothing fails the test.
//!
//! nginx and Caddy run as Debian ships them. Traefik and Pomerium don't run here: what their
//! documentation says they send is replayed, in tests whose names begin with `replayed_`.

#![allow(clippy::unwrap_used, reason = "a test ends where its premise fails")]

#[path = "deploy/chain.rs"]
mod chain;
#[path = "deploy/client.rs"]
mod client;
#[path = "deploy/portcullis.rs"]
mod portcullis;
#[path = "deploy/recorder.rs"]
mod recorder;
#[path = "deploy/sandbox.rs"]
mod sandbox;

#[path = "deploy/chains.rs"]
mod chains;
#[path = "deploy/configs.rs"]
mod configs;
#[path = "deploy/replays.rs"]
mod replays;
#[path = "deploy/scripts.rs"]
mod scripts;
