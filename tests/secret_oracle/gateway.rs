//! The gateway's side: its shipped resolver in a Node process, asked for all cases.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::json;

use super::case::Case;
use super::outcome::{Outcome, Verdict};

#[derive(Deserialize)]
struct Result {
    refused: Option<String>,
    answers: Vec<Vec<Answer>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Answer {
    Malformed,
    Value(String),
    NotText(String),
    Code(String),
}

pub(crate) fn judge(cases: &[Case], home: PathBuf) -> Vec<Verdict> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let node = root.join(".openclaw/node");
    assert!(
        node.exists() && root.join(".openclaw/node_modules/openclaw").exists(),
        "the real gateway is not in .openclaw: run tests/openclaw/install first"
    );
    let request: Vec<_> = cases
        .iter()
        .map(|case| {
            let batch = |batch: &Vec<super::case::Asked>| -> Vec<_> {
                batch.iter().map(|asked| asked.reference.clone()).collect()
            };
            json!({
                "secrets": case.secrets,
                "environment": case.environment,
                "batches": case.batches.iter().map(batch).collect::<Vec<_>>(),
            })
        })
        .collect();
    let mut oracle = Command::new(node)
        .arg(root.join("tests/openclaw/secret-oracle.mjs"))
        .env_clear()
        .env("HOME", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let request = serde_json::to_vec(&request).unwrap();
    let sent = oracle.stdin.take().unwrap().write_all(&request);
    let output = oracle.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "the oracle ended with {}",
        output.status
    );
    sent.unwrap();
    let results: Vec<Result> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(results.len(), cases.len(), "the oracle lost a case");
    results.into_iter().map(verdict).collect()
}

fn verdict(result: Result) -> Verdict {
    let Result { refused, answers } = result;
    match refused {
        Some(reason) => Err(reason),
        None => Ok(answers
            .into_iter()
            .map(|batch| batch.into_iter().map(outcome).collect())
            .collect()),
    }
}

fn outcome(answer: Answer) -> Outcome {
    match answer {
        Answer::Malformed => Outcome::Malformed,
        Answer::Value(value) => Outcome::Value(value),
        Answer::NotText(shown) => Outcome::NotText(shown),
        Answer::Code(code) => Outcome::Code(code),
    }
}
