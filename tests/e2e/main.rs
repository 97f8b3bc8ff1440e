//! Portcullis as its users meet it: the real program, over real sockets, in
//! front of an upstream that records what reaches it.

// A helper of tests may fail the test like the test itself.
#![allow(clippy::unwrap_used)]

mod abuse;
mod admin;
mod assertion;
mod attack;
mod audit;
mod authority;
mod cli;
mod client;
mod denials;
mod doctor;
mod exec;
mod explain;
mod forwarding;
mod import;
mod issuer;
mod lifecycle;
mod limits;
mod lockdown;
mod models;
mod models_auth;
mod oauth_server;
mod overload;
mod peer_proof;
mod prefixed;
mod probe;
mod protocol;
mod proxy_protocol;
mod rates;
mod recorder;
mod refresh;
mod reload;
mod reload_command;
mod reload_files;
mod reserved_port;
mod revocation;
mod revoked_streams;
mod rotation;
mod secrecy;
mod secrets;
mod shared_connection;
mod sidecar;
mod signer;
mod streaming;
mod tls;
mod unix_listener;
mod upstreams;
mod websocket;
