//! What a resolver command printed. The first line is for this target: the ids that
//! were asked for, and `plain` where `jsonOnly = false`; the rest is the output.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::fuzzing::exec_answers;
use portcullis::secrets::{ExecId, ProviderName, SecretId, SecretSource, SecretValue};
use serde_json::Value;
use std::collections::BTreeSet;

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let words = std::str::from_utf8(&bytes[..end]).unwrap_or("a b");
    let output = bytes.get(end + 1..).unwrap_or_default();
    let (plain, asked): (Vec<&str>, Vec<&str>) =
        words.split(' ').partition(|word| *word == "plain");
    let json_only = plain.is_empty();
    let ids: BTreeSet<ExecId> = asked.iter().filter_map(|word| exec_id(word)).collect();
    let provider = ProviderName::parse("vault").expect("a provider's name");

    let Ok(answers) = exec_answers(&provider, &ids, output, json_only) else {
        return;
    };
    assert!(
        answers.keys().eq(&ids),
        "each id that was asked for, and no other"
    );
    let text = std::str::from_utf8(output).expect("no secret is anything but UTF-8");
    // White space is JavaScript's here, and JSON's in the oracle.
    let text = text.trim_matches(|c: char| c == '\u{feff}' || c.is_whitespace() && c != '\u{85}');
    // Of a name that comes twice, the last one counts here and there.
    let document = serde_json::from_str::<Value>(text).ok();
    let object = document.as_ref().filter(|document| document.is_object());
    assert!(object.is_some() || (!json_only && ids.len() == 1));
    if let Some(object) = object {
        assert_eq!(object["protocolVersion"].as_f64(), Some(1.0));
    }
    for (id, answer) in &answers {
        let own = object.map(|object| {
            (
                &object["values"][id.as_str()],
                &object["errors"][id.as_str()],
            )
        });
        match (answer, own) {
            (Ok(value), Some((given, refused))) => {
                assert_eq!(given.as_str(), Some(value.expose()));
                assert!(refused.is_null(), "an error beats a value");
            }
            (Ok(value), None) => assert!(text.contains(value.expose()) || text.contains('\\')),
            (Err(error), _) => {
                let message = error.to_string();
                assert!(message.len() < 400 + id.as_str().len(), "{message}");
            }
        }
        if let Ok(value) = answer {
            assert!(!value.expose().trim().is_empty());
            let another = SecretValue::concat(&["another"]);
            assert_eq!(format!("{value:?}"), format!("{another:?}"));
        }
    }
});

fn exec_id(word: &str) -> Option<ExecId> {
    match SecretSource::Exec.parse_id(word).ok()? {
        SecretId::Exec(id) => Some(id),
        _ => unreachable!("the grammar of commands gives ids of commands"),
    }
}
