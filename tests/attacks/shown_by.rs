//! Tests that rows of the corpus name as their proof: each must be there, and has
//! passed where the table counts it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What came of a test that didn't fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    Passed,
    /// It needs what this machine lacks, and showed nothing.
    Skipped,
}

/// Runs each of `names`, and fails where one does.
pub(crate) fn run<'a>(names: impl IntoIterator<Item = &'a String>) -> BTreeMap<String, Ran> {
    let names = names.into_iter();
    names.map(|name| (name.clone(), run_one(name))).collect()
}

fn run_one(name: &str) -> Ran {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--locked", "--quiet"]);
    // What Cargo tells this test of its package would have dependencies built anew.
    for (variable, _) in std::env::vars_os() {
        let text = variable.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(variable);
        }
    }
    match name.split_once("::") {
        Some((program @ ("attacks" | "deploy" | "e2e"), test)) => {
            command.args(["--test", program, "--", "--exact", test]);
        }
        _ => {
            command.args(["--lib", "--", "--exact", name]);
        }
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let has_passed = output.status.success() && said.contains("ok. 1 passed;");
    assert!(has_passed, "{name} has not passed:\n{said}");
    // As `tests/deploy/scripts.rs` says it of a script that can't run.
    if said.contains("*** SKIPPED ") {
        Ran::Skipped
    } else {
        Ran::Passed
    }
}

/// Whether `name` (`e2e::tls::a_test`, or `policy::tests::a_test` of the library)
/// is a test in the sources, and one that is run.
pub(crate) fn exists(name: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let parts: Vec<&str> = name.split("::").collect();
    let [modules @ .., function] = &parts[..] else {
        return false;
    };
    let is_test =
        |path: PathBuf| std::fs::read_to_string(path).is_ok_and(|text| has_test(&text, function));
    // A module is a file of its own or stands in its parent's.
    (1..=modules.len()).any(|count| {
        let path: PathBuf = modules[..count].iter().collect();
        ["src", "tests"].iter().any(|folder| {
            let file = root.join(folder).join(&path);
            is_test(file.with_extension("rs")) || is_test(file.join("main.rs"))
        })
    })
}

fn has_test(text: &str, function: &str) -> bool {
    let signature = format!("fn {function}(");
    let lines: Vec<&str> = text.lines().collect();
    lines
        .iter()
        .position(|line| {
            line.trim_start()
                .trim_start_matches("async ")
                .starts_with(&signature)
        })
        .is_some_and(|at| {
            let attributes = || {
                let above = lines[..at].iter().rev().map(|line| line.trim_start());
                above
                    .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
                    .filter(|line| line.starts_with("#["))
            };
            let is_test =
                |line: &str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            attributes().any(is_test) && !attributes().any(|line| line.contains("ignore"))
        })
}
