//! Portcullis as a peer by the book: HTTP/2 frame by frame (RFC 9113 and 7541, in the
//! sections that h2spec goes through, over TLS) and HTTP/1 (RFC 9110 and 9112). Where
//! it departs from what a recommendation says, the table says so, and why.

// A helper of tests may fail the test like the test itself; departures are printed for
// `make conformance`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[allow(dead_code)]
#[path = "../e2e/client.rs"]
mod client;
mod frames;
mod http1;
mod http2;
#[allow(dead_code)]
#[path = "../e2e/recorder.rs"]
mod recorder;
#[allow(dead_code)]
#[path = "../e2e/sidecar.rs"]
mod sidecar;
