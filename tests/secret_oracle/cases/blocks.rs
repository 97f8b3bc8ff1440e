//! Which providers a `secrets` block may have.

use serde_json::{Value, json};

use super::case::{Case, with};
use super::world::{command, json_file};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let env = json!({"source": "env"});
    let file = json_file("/nonexistent/secrets.json");
    let exec = command("/nonexistent/resolver");
    for (source, base, changes) in [
        ("env", env, env_changes()),
        ("file", file, file_changes()),
        ("exec", exec, exec_changes()),
    ] {
        cases.push(Case::new(format!("{source} provider")).provider("p", base.clone()));
        for (key, values) in changes {
            for value in values {
                let shown = shown(&value);
                let provider = with(&base, &json!({key: value}));
                cases.push(
                    Case::new(format!("{source} with {key} = {shown}")).provider("p", provider),
                );
            }
        }
    }
    cases.extend(lists());
    cases
}

/// A value as the name of a case has it.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.chars().count() {
        ..=60 => text,
        count => format!("{}… ({count})", text.chars().take(20).collect::<String>()),
    }
}

type Changes = Vec<(&'static str, Vec<Value>)>;

fn env_changes() -> Changes {
    vec![
        (
            "source",
            vec![
                json!("store"),
                json!("vault"),
                json!("ENV"),
                json!(""),
                json!(1),
            ],
        ),
        (
            "allowlist",
            vec![
                json!([]),
                json!(["A"]),
                json!(["a"]),
                json!([""]),
                json!([" A"]),
                json!([1]),
                json!("A"),
                json!(["A".repeat(128)]),
                json!(["A".repeat(129)]),
            ],
        ),
        ("path", vec![json!("/a")]),
        ("timeoutMs", vec![json!(1)]),
        ("colour", vec![json!("blue")]),
    ]
}

fn file_changes() -> Changes {
    vec![
        ("path", vec![json!(""), json!(" "), json!(1), json!("a")]),
        (
            "mode",
            vec![
                json!("json"),
                json!("singleValue"),
                json!("singlevalue"),
                json!("text"),
                json!(""),
                json!(true),
            ],
        ),
        ("timeoutMs", numbers(120_000)),
        ("maxBytes", numbers(20 * 1024 * 1024)),
        ("mountedVolume", vec![json!(false), json!(true)]),
        ("allowInsecurePath", vec![json!(true)]),
        ("command", vec![json!("/a")]),
        ("allowlist", vec![json!(["A"])]),
        ("colour", vec![json!("blue")]),
    ]
}

fn exec_changes() -> Changes {
    vec![
        ("timeoutMs", numbers(120_000)),
        ("noOutputTimeoutMs", numbers(120_000)),
        ("maxOutputBytes", numbers(20 * 1024 * 1024)),
        (
            "jsonOnly",
            vec![json!(true), json!(false), json!("true"), json!(1)],
        ),
        (
            "args",
            vec![
                json!([]),
                json!([""]),
                json!(["a\nb"]),
                json!("a"),
                json!([1]),
                json!(["a".repeat(1024)]),
                json!(["b".repeat(1025)]),
                json!(["ü".repeat(1024)]),
                json!(["a\0b"]),
            ],
        ),
        (
            "env",
            vec![
                json!({}),
                json!({"A": "1"}),
                json!({"lower": "1"}),
                json!({"A": ""}),
                json!({"A": 1}),
                json!({"A B": "1"}),
                json!({"": "1"}),
                json!({"A=B": "1"}),
                json!({"A": "a\0b"}),
                json!(["A"]),
            ],
        ),
        (
            "passEnv",
            vec![
                json!([]),
                json!(["PATH"]),
                json!(["path"]),
                json!([""]),
                json!(["A B"]),
                json!("PATH"),
            ],
        ),
        (
            "trustedDirs",
            vec![
                json!([]),
                json!(["/a"]),
                json!(["a"]),
                json!(["./a"]),
                json!(["~/a"]),
                json!([""]),
                json!(["/a b"]),
                json!(["/a;b"]),
                json!(["/a\nb"]),
                json!("/a"),
                json!(["C:\\a"]),
            ],
        ),
        ("allowSymlinkCommand", vec![json!(false), json!(true)]),
        ("allowInsecurePath", vec![json!(true)]),
        (
            "pluginIntegration",
            vec![json!({"pluginId": "a", "integrationId": "b"})],
        ),
        ("path", vec![json!("/a")]),
        ("mode", vec![json!("json")]),
        ("colour", vec![json!("blue")]),
    ]
}

/// Around both ends of 1 to `most`, and what is no whole number.
fn numbers(most: u64) -> Vec<Value> {
    let mut numbers: Vec<Value> = [0, 1, 5000, most, most + 1].map(Value::from).into();
    numbers.extend([json!(-1), json!(1.5), json!("5000"), json!(true)]);
    numbers
}

fn lists() -> Vec<Case> {
    let names =
        |count: usize| -> Vec<String> { (0..count).map(|number| format!("A_{number}")).collect() };
    let folders =
        |count: usize| -> Vec<String> { (0..count).map(|number| format!("/a/{number}")).collect() };
    let exec = command("/nonexistent/resolver");
    let env = json!({"source": "env"});
    [
        (
            "256 names in an allowlist",
            &env,
            json!({"allowlist": names(256)}),
        ),
        (
            "257 names in an allowlist",
            &env,
            json!({"allowlist": names(257)}),
        ),
        ("128 arguments", &exec, json!({"args": names(128)})),
        ("129 arguments", &exec, json!({"args": names(129)})),
        (
            "128 names in passEnv",
            &exec,
            json!({"passEnv": names(128)}),
        ),
        (
            "129 names in passEnv",
            &exec,
            json!({"passEnv": names(129)}),
        ),
        (
            "64 trusted folders",
            &exec,
            json!({"trustedDirs": folders(64)}),
        ),
        (
            "65 trusted folders",
            &exec,
            json!({"trustedDirs": folders(65)}),
        ),
        (
            "a symlinked command in a trusted folder",
            &exec,
            json!({"allowSymlinkCommand": true, "trustedDirs": ["/a"]}),
        ),
    ]
    .into_iter()
    .map(|(name, base, extra)| Case::new(name).provider("p", with(base, &extra)))
    .collect()
}
