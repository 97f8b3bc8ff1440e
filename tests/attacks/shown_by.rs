//! Tests that rows of the corpus name as their proof: each must be there.

use std::path::{Path, PathBuf};

/// Whether `name` (`e2e::tls::a_test`, or `policy::tests::a_test` of the library)
/// is a test in the sources.
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
            lines[..at]
                .iter()
                .rev()
                .map(|line| line.trim_start())
                .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
                .any(|line| line.starts_with("#[test") || line.starts_with("#[tokio::test"))
        })
}
