//! Keeps the floors: reads every path in `src` and fails on one that goes up a
//! floor, crosses it, or uses what another room has to itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "architecture/source.rs"]
mod source;

use source::{Reference, references};

/// Every room on its floor. A room that isn't here has no place in the house.
const FLOORS: [&[&str]; 7] = [
    &[
        "policy",
        "secrets",
        "authority",
        "base_url",
        "transport",
        "drain",
        "html",
        "proxy_protocol",
        "regular_file",
        "request_id",
        "throttle",
        "unix_time",
    ],
    &[
        "assertion",
        "forwarded",
        "credentials",
        "confinement",
        "local_caller",
        "tls",
        "telemetry",
        "http1",
        "redaction",
    ],
    &["config", "upstream", "http_client", "denials", "probe"],
    &["snapshot", "doctor"],
    &["listener", "proxy", "broker", "admin", "demo"],
    &["server"],
    &["cli", "main", "fuzzing"],
];

/// Imports on one floor that are right all the same: who, whom, why.
const NEIGHBOURS: [(&str, &str, &str); 3] = [
    (
        "http_client",
        "upstream",
        "its connections are made as the gateway's are",
    ),
    (
        "listener",
        "proxy",
        "each accepted connection is handed to the front door",
    ),
    (
        "main",
        "cli",
        "the binary does nothing but call the command line",
    ),
];

/// What only some rooms may use: how a path begins or what it holds, and who.
/// Test modules may use it anywhere.
const RESERVED: [(&[&str], &[&str]); 9] = [
    (&["std", "env"], &["secrets", "cli", "main"]),
    (&["process", "Command"], &["secrets"]),
    (&["process", "exit"], &["cli", "main"]),
    (&["anyhow"], &["cli", "main"]),
    (&["println!"], &["cli", "main"]),
    (&["eprintln!"], &["cli", "main"]),
    (&["print!"], &["cli", "main"]),
    (&["eprint!"], &["cli", "main"]),
    (&["dbg!"], &[]),
];

/// The rooms in which Pingora may appear.
const PINGORA_ROOMS: [&str; 8] = [
    "transport",
    "upstream",
    "listener",
    "proxy",
    "broker",
    "admin",
    "tls",
    "server",
];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// Whether a room may import another, and if not, why.
fn import_problem(from: &str, to: &str) -> Option<String> {
    let Some(target) = floor(to) else {
        return Some(format!("imports `{to}`, which is no room of the house"));
    };
    let own = floor(from)?;
    let excused = NEIGHBOURS
        .iter()
        .any(|(who, whom, _)| (*who, *whom) == (from, to));
    if from == to || target < own || excused {
        None
    } else if target == own {
        Some(format!("imports `{to}` on its own floor {own}"))
    } else {
        Some(format!("on floor {own} imports `{to}` on floor {target}"))
    }
}

/// What a reference breaks, if anything.
fn problem(room: &str, reference: &Reference) -> Option<String> {
    if let Some(to) = &reference.room
        && let Some(problem) = import_problem(room, to)
    {
        return Some(problem);
    }
    if reference.in_test {
        return None;
    }
    let path = &reference.path;
    if path.iter().any(|part| part.starts_with("pingora")) && !PINGORA_ROOMS.contains(&room) {
        return Some(format!(
            "uses `{}`, which is for {PINGORA_ROOMS:?}",
            path.join("::")
        ));
    }
    RESERVED.iter().find_map(|(what, rooms)| {
        let used = path.windows(what.len()).any(|part| part == *what);
        (used && !rooms.contains(&room))
            .then(|| format!("uses `{}`, which is for {rooms:?}", path.join("::")))
    })
}

/// The room of a file and how deep in the module tree it lies: 1 for the room
/// itself. `None` for the library's root.
fn place(file: &Path) -> Option<(String, usize)> {
    let parts: Vec<_> = file
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    match &parts[..] {
        [root] if root == "lib" => None,
        // The binary's own root: what it imports begins with the crate's name.
        [root] if root == "main" => Some(("main".into(), 0)),
        _ => Some((parts[0].clone(), parts.len())),
    }
}

fn problems_in(file: &Path, text: &str) -> Vec<String> {
    let Some((room, depth)) = place(file) else {
        let rooms = references(text, 0);
        let declared = rooms
            .iter()
            .filter_map(|reference| reference.declared.as_deref());
        return declared
            .filter(|room| floor(room).is_none())
            .map(|room| {
                format!(
                    "{}: declares `{room}`, which is no room of the house",
                    file.display()
                )
            })
            .collect();
    };
    let mut problems = Vec::new();
    if floor(&room).is_none() {
        problems.push(format!(
            "{}: `{room}` is no room of the house",
            file.display()
        ));
    }
    let text_is_a_test = file.file_stem().is_some_and(|stem| stem == "tests");
    for mut reference in references(text, depth) {
        reference.in_test |= text_is_a_test;
        if let Some(problem) = problem(&room, &reference) {
            problems.push(format!(
                "{}:{}: `{room}` {problem}",
                file.display(),
                reference.line
            ));
        }
    }
    problems
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_keeps_to_its_floor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    assert!(
        files.iter().any(|file| file.ends_with("policy.rs")),
        "read the wrong folder: {}",
        root.display()
    );

    let problems: Vec<_> = files
        .iter()
        .flat_map(|file| {
            problems_in(
                file.strip_prefix(&root).unwrap(),
                &fs::read_to_string(file).unwrap(),
            )
        })
        .collect();
    assert!(
        problems.is_empty(),
        "the floors are broken:\n{}",
        problems.join("\n")
    );
}

#[test]
fn no_room_stands_on_two_floors_and_each_excuse_is_for_one_floor() {
    let rooms: Vec<_> = FLOORS.iter().flat_map(|rooms| rooms.iter()).collect();
    assert_eq!(rooms.iter().collect::<BTreeSet<_>>().len(), rooms.len());
    for (who, whom, why) in NEIGHBOURS {
        assert!(
            floor(who).is_some() && floor(who) == floor(whom) && !why.is_empty(),
            "{who} {whom}"
        );
    }
}

#[test]
fn finds_what_breaks_the_rules() {
    for (file, text, broken) in [
        ("policy.rs", "use crate::forwarded::Rewriter;", true),
        ("policy.rs", "use crate::secrets::Value;", true),
        ("policy/user.rs", "use super::source::Source;", false),
        ("policy/user.rs", "use super::super::forwarded::X;", true),
        ("policy.rs", "use super::config::Config;", true),
        ("policy.rs", "fn f() { crate::server::run(); }", true),
        (
            "policy.rs",
            "mod tests { use super::source::Source; }",
            false,
        ),
        (
            "policy.rs",
            "mod tests { use super::super::config::Config; }",
            true,
        ),
        (
            "policy.rs",
            "// use crate::server;\n/* crate::server /* x */ crate::server */",
            false,
        ),
        (
            "policy.rs",
            "const A: &str = \"crate::server\"; const B: &str = r#\"crate::server \" \"#;",
            false,
        ),
        (
            "policy.rs",
            "const A: char = '\"'; use crate::server::run;",
            true,
        ),
        (
            "policy.rs",
            "fn f<'a>(x: &'a str) { crate::server::run() }",
            true,
        ),
        (
            "policy.rs",
            "use crate::{policy::Policy, server::{self, run as r}};",
            true,
        ),
        ("policy.rs", "use crate as house; ", true),
        (
            "policy.rs",
            "pub(crate) fn f() {} pub(in crate::policy) fn g() {}",
            false,
        ),
        ("forwarded.rs", "use crate::policy::{Permit, Class};", false),
        (
            "config.rs",
            "use crate::{policy, tls::X, forwarded as f};",
            false,
        ),
        ("admin.rs", "use crate::proxy::respond;", true),
        ("listener.rs", "use crate::proxy::respond;", false),
        ("proxy.rs", "use crate::nowhere::X;", true),
        ("nowhere.rs", "", true),
        ("nowhere/x.rs", "", true),
        ("lib.rs", "pub mod policy; pub mod nowhere;", true),
        ("lib.rs", "pub mod policy; mod server;", false),
        ("main.rs", "fn main() { portcullis::cli::run() }", false),
        ("server.rs", "use portcullis::cli;", true),
        ("policy.rs", "use pingora_http::X;", true),
        ("tls.rs", "use pingora_core::X;", false),
        ("config.rs", "use std::env;", true),
        (
            "config.rs",
            "use std::{collections::HashMap, env::{self, var}};",
            true,
        ),
        ("config.rs", "const V: &str = env!(\"X\");", false),
        (
            "config.rs",
            "#[cfg(test)] mod tests { fn f() { std::env::temp_dir(); } }",
            false,
        ),
        ("config/tests.rs", "fn f() { std::env::temp_dir(); }", false),
        (
            "secrets/env.rs",
            "fn f() { std::env::var_os(\"X\"); }",
            false,
        ),
        (
            "secrets/exec.rs",
            "use std::process::{Command, Stdio};",
            false,
        ),
        (
            "server.rs",
            "use std::process; fn f() { process::exit(1) }",
            true,
        ),
        (
            "cli.rs",
            "fn f() { println!(\"x\"); std::process::exit(1) }",
            false,
        ),
        ("server.rs", "fn f() { println!(\"x\") }", true),
        ("server.rs", "fn f() -> anyhow::Result<()> { Ok(()) }", true),
        ("cli.rs", "fn f() { dbg!(1); }", true),
    ] {
        assert_eq!(
            !problems_in(Path::new(file), text).is_empty(),
            broken,
            "{file}: {text}"
        );
    }
}
