//! A secret in the wrong place never comes back in a message.

use std::sync::LazyLock;

use proptest::prelude::*;
use toml::de::{DeTable, DeValue};

use super::*;

/// Every key in one document that holds, so that each value of it can be replaced.
static FULL: LazyLock<String> = LazyLock::new(|| {
    // Of keys that exclude each other, one.
    let left_out = [
        "allowUsersFile = ",
        "key = ",
        "apiKey = ",
        "signer = ",
        "client = ",
    ];
    let is_wanted = |line: &&str| {
        let is_left_out = left_out.iter().any(|key| line.starts_with(key));
        !is_left_out && !line.starts_with('#') && !line.is_empty()
    };
    let text = example::uncommented().replace("http://127", "https://127");
    let lines = text.lines().filter(is_wanted);
    lines.fold(String::new(), |text, line| text + line + "\n")
});

/// The byte ranges of every value in a table, containers and their parts alike.
fn spans(table: &DeTable<'_>, out: &mut Vec<std::ops::Range<usize>>) {
    for value in table.values() {
        span(value, out);
    }
}

fn span(value: &toml::Spanned<DeValue<'_>>, out: &mut Vec<std::ops::Range<usize>>) {
    match value.get_ref() {
        DeValue::Table(table) => spans(table, out),
        DeValue::Array(items) => items.iter().for_each(|item| span(item, out)),
        _ => {}
    }
    // A table with a header has the header for its span: not a value to replace.
    if !FULL[value.span()].starts_with("[g") && !FULL[value.span()].contains('\n') {
        out.push(value.span());
    }
}

fn values() -> Vec<std::ops::Range<usize>> {
    let document = DeTable::parse(&FULL).unwrap();
    let mut out = Vec::new();
    spans(document.get_ref(), &mut out);
    let headers = |range: &std::ops::Range<usize>| {
        let line_start = FULL[..range.start].rfind('\n').map_or(0, |at| at + 1);
        line_start != range.start && !FULL[line_start..range.start].starts_with('[')
    };
    out.retain(headers);
    out
}

/// What `check` would print about a text.
fn printed(text: &str) -> String {
    match parse(text) {
        Ok(parsed) => format!("{:#?}", parsed.warnings),
        Err(problems) => problems
            .iter()
            .map(|problem| format!("{problem}\n{problem:?}\n"))
            .collect(),
    }
}

#[test]
fn the_full_document_holds() {
    assert!(parse(&FULL).is_ok(), "{:#?}", problems(&FULL));
    assert!(values().len() > 120, "{}", values().len());
}

/// What a secret may look like: a password, a token, hexadecimal, digits alone.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{8,12}[A-Z!$&]{1,4}[0-9]{2,6}",
        "sk-[a-zA-Z0-9]{20,40}",
        "[0-9a-f]{32}",
        "[a-z]{17,24}",
        "[0-9]{13,18}",
        "hunter2[ -~]{0,20}",
    ]
}

proptest! {
    // Each case goes through every key.
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn whatever_key_it_is_put_under(secret in secret()) {
        let quoted = toml::Value::String(secret.clone()).to_string();
        let bare = secret.bytes().all(|byte| byte.is_ascii_digit()) && !secret.starts_with('0');
        for range in values() {
            for value in [quoted.clone(), format!("[{quoted}]"), format!("{{ a = {quoted} }}")]
                .into_iter()
                .chain(bare.then(|| secret.clone()))
            {
                let mut text = FULL.clone();
                text.replace_range(range.clone(), &value);
                let printed = printed(&text);
                prop_assert!(!printed.contains(&secret), "{printed}\n{text}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn under_an_unknown_key_without_quotes_or_as_a_key(secret in secret(), at in 0..FULL.len()) {
        let line = FULL[..at].rfind('\n').map_or(0, |at| at + 1);
        let quoted = toml::Value::String(secret.clone()).to_string();
        for slip in [
            format!("password = {quoted}\n"),
            format!("password = {secret}\n"),
            format!("password = \"{}\n", secret.replace('\\', "")),
            format!("token {secret}\n"),
            format!("{quoted}\n"),
        ] {
            let mut text = FULL.clone();
            text.insert_str(line, &slip);
            let printed = printed(&text);
            prop_assert!(!printed.contains(&secret), "{printed}\n{text}");
        }
    }

    #[test]
    fn in_the_userinfo_path_or_query_of_the_upstream(secret in "[a-z]{6}[0-9]{6}") {
        for url in [
            format!("http://user:{secret}@127.0.0.1"),
            format!("http://127.0.0.1/{secret}"),
            format!("http://127.0.0.1?token={secret}"),
            format!("{secret}://127.0.0.1"),
            format!("http://127.0.0.1:{secret}"),
        ] {
            let printed = printed(&FULL.replace("https://127.0.0.1:18789", &url));
            prop_assert!(!printed.is_empty() && !printed.contains(&secret), "{printed}");
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[ -~\n]{0,200}", at in 0..FULL.len()) {
        let _ = parse(&text);
        let mut spoilt = FULL.clone();
        spoilt.insert_str(at, &text);
        let _ = parse(&spoilt);
    }
}
