use super::*;

fn parse(text: &str) -> Result<SecretInput, RefError> {
    SecretInput::parse(text, &ProviderName::fallback())
}

#[test]
fn reads_shorthands_as_environment_references() {
    for text in ["$TOKEN", "${TOKEN}", " $TOKEN "] {
        let Ok(SecretInput::Ref(reference)) = parse(text) else {
            panic!("{text} is no reference");
        };
        assert_eq!(reference.to_string(), "env:default:TOKEN");
    }
}

#[test]
fn takes_every_other_string_as_the_secret_itself() {
    for text in [
        "hunter2",
        "$ecret",
        "pre$TOKEN",
        "$",
        " spaces stay ",
        "{TOKEN}",
        "$A-B",
    ] {
        let Ok(SecretInput::Plain(value)) = parse(text) else {
            panic!("{text} is no plain secret");
        };
        assert_eq!(value.expose(), text);
    }
}

#[test]
fn refuses_what_would_be_a_guessable_secret() {
    for (text, error) in [
        ("", RefError::Blank),
        (" \t", RefError::Blank),
        ("${token}", RefError::Template),
        ("${}", RefError::Template),
        ("secretref-env:TOKEN", RefError::RetiredMarker),
        ("__env__:TOKEN", RefError::RetiredMarker),
    ] {
        assert_eq!(parse(text), Err(error), "{text}");
    }
}

#[test]
fn ids_follow_the_grammar_of_their_source() {
    use SecretSource::{Env, Exec, File};
    let long = "A".repeat(129);
    for (source, id, good) in [
        (Env, "A", true),
        (Env, "OPENCLAW_TOKEN_2", true),
        (Env, "lower", false),
        (Env, "2A", false),
        (Env, "_A", false),
        (Env, "A-B", false),
        (Env, "", false),
        (Env, &long[..128], true),
        (Env, &long[..], false),
        (File, "value", true),
        (File, "/a/b~0c~1d", true),
        (File, "/", true),
        (File, "a/b", false),
        (File, "/a~2", false),
        (File, "/a~", false),
        (File, "", false),
        (Exec, "providers/anthropic/apiKey", true),
        (Exec, "a:b#c.d-e", true),
        (Exec, "a/../b", false),
        (Exec, "a/./b", false),
        (Exec, "/a", false),
        (Exec, "a b", false),
    ] {
        assert_eq!(source.parse_id(id).is_ok(), good, "{source:?} {id}");
    }
}

#[test]
fn provider_names_are_short_and_small() {
    for (name, good) in [
        ("default", true),
        ("a-b_2", true),
        ("A", false),
        ("2a", false),
        ("", false),
        (&"a".repeat(64), true),
        (&"a".repeat(65), false),
    ] {
        assert_eq!(ProviderName::parse(name).is_ok(), good, "{name}");
    }
}
