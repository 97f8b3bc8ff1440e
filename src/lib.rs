//! Portcullis: the front door (ingress) and the back door (egress) of a
//! self-hosted AI-agent gateway.
//!
//! The floor plan: a room may use the floors below it and never one above;
//! `tests/architecture.rs` keeps that.
//!
//! | floor | rooms |
//! |---|---|
//! | 6 | [`cli`]: the commands; `fuzzing`: the ways in for fuzz targets |
//! | 5 | [`server`]: the composition root |
//! | 4 | [`listener`], [`proxy`], [`broker`], [`admin`], [`demo`] |
//! | 3 | [`snapshot`]: all that a reload replaces; [`doctor`]: what is wrong around a config |
//! | 2 | [`config`], [`upstream`], [`http_client`], [`denials`]: why requests were refused, [`probe`] |
//! | 1 | [`assertion`], [`confinement`], [`credentials`], [`forwarded`], [`local_caller`], [`http1`], [`tls`], [`telemetry`], [`redaction`] |
//! | 0 | [`policy`], [`secrets`], [`authority`], [`base_url`], [`transport`], [`drain`], [`html`], [`proxy_protocol`], [`regular_file`], [`request_id`], [`throttle`], [`unix_time`] |

pub mod admin;
pub mod assertion;
pub mod authority;
pub mod base_url;
pub mod broker;
pub mod cli;
pub mod config;
pub mod confinement;
pub mod credentials;
pub mod demo;
pub mod denials;
pub mod doctor;
pub mod drain;
pub mod forwarded;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod html;
pub mod http1;
pub mod http_client;
pub mod listener;
pub mod local_caller;
pub mod policy;
pub mod probe;
pub mod proxy;
pub mod proxy_protocol;
pub mod redaction;
pub mod regular_file;
pub mod request_id;
pub mod secrets;
pub mod server;
pub mod snapshot;
pub mod telemetry;
pub mod throttle;
pub mod tls;
pub mod transport;
pub mod unix_time;
pub mod upstream;
