//! What is a reference, and which provider it means.

use serde_json::{Value, json};

use super::case::{Case, reference};
use super::world::{World, command, json_file};

pub(crate) fn cases(world: &World) -> Vec<Case> {
    vec![
        aliases(),
        env_ids(),
        file_ids(world),
        exec_ids(world),
        shapes(),
        shorthands(),
        shorthands_of_another_alias(),
        sources(world),
        unlisted(),
    ]
}

fn aliases() -> Case {
    let (most, more) = ("a".repeat(64), "a".repeat(65));
    let case = [
        "a", "a-b_2", "z9", "A", "2a", "", "_a", "-a", "a.b", "a/b", "a b", " a", "a ", "ä",
    ]
    .into_iter()
    .fold(Case::new("alias"), |case, alias| {
        case.asks_as(alias, reference("env", alias, "TOKEN"))
    });
    case.asks_as("64 characters", reference("env", &most, "TOKEN"))
        .asks_as("65 characters", reference("env", &more, "TOKEN"))
        .asks_as("a line break at its end", reference("env", "a\n", "TOKEN"))
}

fn env_ids() -> Case {
    let (most, more) = ("A".repeat(128), "A".repeat(129));
    let case = [
        "T", "TOKEN", "T_1", "TOKEN_", "token", "Token", "_TOKEN", "1TOKEN", "TO-KEN", "TO.KEN",
        "TO KEN", " TOKEN", "TOKEN ", "", " ", "TÖKEN", "$TOKEN", "${TOKEN}", "value",
    ]
    .into_iter()
    .fold(Case::new("env id"), |case, id| {
        case.asks("env", "default", id)
    });
    ["T", "TOKEN", "T_1", "TOKEN_", &most]
        .into_iter()
        .fold(case, |case, name| case.variable(name, "s3cret"))
        .asks_as("128 characters", reference("env", "default", &most))
        .asks_as("129 characters", reference("env", "default", &more))
        .asks_as(
            "a line break at its end",
            reference("env", "default", "TOKEN\n"),
        )
}

fn file_ids(world: &World) -> Case {
    let path = world.file(
        "ids.json",
        r#"{"a":"at a","":"at the empty name","A":"at A","a b":"with a blank","value":"at value",
            "ü":"at ü","a\nb":"with a line break"}"#,
    );
    [
        "/a", "/A", "/", "/a b", "/ü", "/a\nb", "/value", "value", "//", "/a/", "/~0", "/~1",
        "/a~2", "/~", "/a~", "a", "a/b", "", " ", "VALUE", "value/", "value ", "#/a", " /a", "/a ",
        "/ a",
    ]
    .into_iter()
    .fold(
        Case::new("file id").provider("files", json_file(&path)),
        |case, id| case.asks("file", "files", id),
    )
}

fn exec_ids(world: &World) -> Case {
    // Answers for the one id that it is asked for, whatever it is.
    let path = world.unnamed(
        r#"read -r request; id=${request#*'"ids":["'}; id=${id%%'"'*}
        printf '{"protocolVersion":1,"values":{"%s":"for %s"}}' "$id" "$id""#,
    );
    let (most, more) = ("a".repeat(256), "a".repeat(257));
    [
        "a", "Z", "9", "a.b", "a_b", "a:b", "a/b", "a#b", "a-b", "a/b/c", "a//b", "a/", "a/.b",
        "a/..b", "a/b..", "a/...", "value", "a/.", "a/..", "./a", "../a", "a/./b", "a/../b", ".a",
        "_a", ":a", "#a", "-a", "/a", "a b", "a%b", "a@b", "a+b", "a\\b", "a~b", "a\"b", "ä", "aé",
        "a\n", "", " ", " a", "a ",
    ]
    .into_iter()
    .fold(
        Case::new("exec id").provider("vault", command(&path)),
        |case, id| case.asks("exec", "vault", id),
    )
    .asks_as("256 characters", reference("exec", "vault", &most))
    .asks_as("257 characters", reference("exec", "vault", &more))
}

fn shapes() -> Case {
    let good = reference("env", "default", "TOKEN");
    let without = |key: &str| {
        let mut less = good.clone();
        less.as_object_mut().unwrap().remove(key);
        less
    };
    let changed = |key: &str, value: Value| {
        let mut other = good.clone();
        other[key] = value;
        other
    };
    let shapes = [
        ("complete", good.clone()),
        ("a key more", changed("version", json!(1))),
        (
            "a key that the gateway's providers have",
            changed("mode", json!("json")),
        ),
        ("no source", without("source")),
        ("no provider", without("provider")),
        ("no id", without("id")),
        ("no key", json!({})),
        ("a number as source", changed("source", json!(5))),
        ("a number as provider", changed("provider", json!(5))),
        ("a number as id", changed("id", json!(5))),
        ("an array as id", changed("id", json!(["TOKEN"]))),
        ("a blank source", changed("source", json!(""))),
        ("an unknown source", changed("source", json!("vault"))),
        ("a source in capitals", changed("source", json!("ENV"))),
        ("a source with a blank", changed("source", json!("env "))),
        ("the gateway's own store", changed("source", json!("store"))),
        ("a number", json!(5)),
        ("a boolean", json!(true)),
        ("an array", json!([good])),
    ];
    shapes.into_iter().fold(
        // The store lies in the home folder, should a side look for it.
        Case::new("shape")
            .variable("HOME", "/nonexistent")
            .variable("TOKEN", "s3cret"),
        |case, (label, shape)| case.asks_as(label, shape),
    )
}

/// Strings in a reference's place.
fn shorthands() -> Case {
    let (most, more) = ("A".repeat(128), "A".repeat(129));
    [
        "$TOKEN",
        "${TOKEN}",
        " $TOKEN ",
        "\t${TOKEN}\n",
        "$UNSET",
        "${UNSET}",
        "$token",
        "$_A",
        "$1",
        "$",
        "$$TOKEN",
        "pre$TOKEN",
        "$TOKEN-2",
        "${TOKEN}x",
        "{TOKEN}",
        "$(TOKEN)",
        "%TOKEN%",
        "hunter2",
        " padded ",
        "line\n",
        "ü€😀",
        "",
        " ",
        "env:default:TOKEN",
        "${token}",
        "${}",
        "${ TOKEN }",
        "${TOKEN",
        "secretref-env:TOKEN",
        "__env__:TOKEN",
        "__OPENCLAW_REDACTED__",
    ]
    .into_iter()
    .fold(
        Case::new("shorthand")
            .variable("TOKEN", "s3cret")
            .variable(&most, "long"),
        |case, text| case.asks_as(&format!("{text:?}"), json!(text)),
    )
    .asks_as("128 characters", json!(format!("${most}")))
    .asks_as("129 characters", json!(format!("${more}")))
    .asks_as("129 characters in braces", json!(format!("${{{more}}}")))
}

/// A shorthand means the default alias, and what that alias may read.
fn shorthands_of_another_alias() -> Case {
    Case::new("shorthand of another alias")
        .default_env("house")
        .provider("house", json!({"source": "env", "allowlist": ["TOKEN"]}))
        .variable("TOKEN", "s3cret")
        .variable("OTHER", "s3cret")
        .asks_as("$TOKEN", json!("$TOKEN"))
        .asks_as("${TOKEN}", json!("${TOKEN}"))
        .asks_as("$OTHER", json!("$OTHER"))
}

/// Each source asked of a provider of each source, listed and not.
fn sources(world: &World) -> Case {
    let file = world.file("sources.json", r#"{"a":"from the file"}"#);
    let script = world.prints(r#"{"protocolVersion":1,"values":{"a":"from the command"}}"#);
    let case = Case::new("source")
        .provider("vars", json!({"source": "env"}))
        .provider("files", json_file(&file))
        .provider("vault", command(&script))
        .variable("TOKEN", "from the environment");
    ["vars", "files", "vault", "default", "nobody"]
        .into_iter()
        .fold(case, |case, provider| {
            [("env", "TOKEN"), ("file", "/a"), ("exec", "a")]
                .into_iter()
                .fold(case, |case, (source, id)| {
                    let label = format!("{source} of {provider}");
                    case.asks_as(&label, reference(source, provider, id))
                })
        })
}

/// Nothing at all is configured.
fn unlisted() -> Case {
    Case::new("no provider listed")
        .variable("TOKEN", "s3cret")
        .asks("env", "default", "TOKEN")
        .asks("file", "default", "/a")
        .asks("exec", "default", "a")
        .asks_as("another alias", reference("env", "vars", "TOKEN"))
}
