//! SecretRefs through Portcullis and through the real gateway's own resolver: both
//! must say the same, byte for byte, but for the differences that are meant.
//!
//! Needs the gateway in `.openclaw` (`tests/openclaw/install`), so plain `cargo
//! test` leaves it out and `make test-openclaw` runs it.

#![allow(clippy::unwrap_used, reason = "a test ends where its premise fails")]
#![allow(clippy::print_stdout, reason = "its last line says what was compared")]

#[path = "secret_oracle/case.rs"]
mod case;
#[path = "secret_oracle/differences.rs"]
mod differences;
#[path = "secret_oracle/gateway.rs"]
mod gateway;
#[path = "secret_oracle/outcome.rs"]
mod outcome;
#[path = "secret_oracle/portcullis.rs"]
mod portcullis;
#[path = "secret_oracle/world.rs"]
mod world;

#[path = "secret_oracle/cases/blocks.rs"]
mod blocks;
#[path = "secret_oracle/cases/commands.rs"]
mod commands;
#[path = "secret_oracle/cases/documents.rs"]
mod documents;
#[path = "secret_oracle/cases/environment.rs"]
mod environment;
#[path = "secret_oracle/cases/files.rs"]
mod files;
#[path = "secret_oracle/cases/grammar.rs"]
mod grammar;
#[path = "secret_oracle/cases/plain.rs"]
mod plain;
#[path = "secret_oracle/cases/protocol.rs"]
mod protocol;
#[path = "secret_oracle/cases/runs.rs"]
mod runs;
#[path = "secret_oracle/cases/wholes.rs"]
mod wholes;

use std::collections::BTreeSet;

use case::Case;
use outcome::{Comparison, Kind, Verdict};
use world::World;

/// As many references as the promise to users says, at the least.
const FEWEST: usize = 150;

#[test]
fn portcullis_and_the_gateway_resolve_alike() {
    let world = World::new();
    let cases: Vec<Case> = [
        grammar::cases(&world),
        environment::cases(&world),
        documents::cases(&world),
        files::cases(&world),
        protocol::cases(&world),
        plain::cases(&world),
        runs::cases(&world),
        commands::cases(&world),
        blocks::cases(),
        wholes::cases(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let theirs = gateway::judge(&cases, world.home());
    let ours: Vec<Verdict> = cases.iter().map(portcullis::judge).collect();
    let comparisons: Vec<Comparison> = cases
        .iter()
        .zip(ours.into_iter().zip(theirs))
        .flat_map(|(case, (ours, theirs))| outcome::compare(case, ours, theirs))
        .collect();

    let mut names = BTreeSet::new();
    for comparison in &comparisons {
        assert!(names.insert(&comparison.name), "two of {}", comparison.name);
    }
    let objections = differences::objections(&comparisons);
    assert!(objections.is_empty(), "\n{}", objections.join("\n"));
    println!("{}", differences::summary(&comparisons, world.left_out()));
    let is_ref = |one: &&Comparison| one.kind == Kind::Ref;
    let refs = comparisons.iter().filter(is_ref).count();
    assert!(refs >= FEWEST, "only {refs} references were compared");
}
