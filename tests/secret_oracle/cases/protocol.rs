//! What a command answers over the resolver protocol.

use serde_json::json;

use super::case::{Case, reference};
use super::environment::PLACEHOLDERS;
use super::world::{World, command};

pub(crate) fn cases(world: &World) -> Vec<Case> {
    let mut cases = vec![each_id(world), placeholders(world)];
    cases.push(together(each_id(world)));
    cases.extend(answers(world));
    cases
}

fn together(case: Case) -> Case {
    let name = format!("{}, all at once", case.name);
    Case {
        name,
        ..case.together()
    }
}

fn each_id(world: &World) -> Case {
    let path = world.prints(
        r#"{"protocolVersion":1,
          "values":{"text":"s3cret","unicode":"ü€😀","escapes":"\u0041\n\"\\","pair":"\ud83d\ude00",
            "padded":" a ","empty":"","blank":" ","bom":"\ufeff","number":5,"null":null,"true":true,
            "array":["a"],"object":{"a":"x"},"dup":"first","dup":"last","beaten":"s3cret",
            "beaten/null":"s3cret","a/b":"with a slash","a":{"b":"nested"},"surplus":"x"},
          "errors":{"beaten":{"code":"NOT_FOUND"},"beaten/null":null,"notFound":{"code":"NOT_FOUND"},
            "ambiguous":{"code":"AMBIGUOUS_DUPLICATE_KEY","message":"two"},"other":{"code":"EVIL"},
            "lower":{"code":"not_found"},"blanks":{"code":" NOT_FOUND"},"noCode":{"message":"gone"},
            "numberCode":{"code":5},"asText":"NOT_FOUND","asArray":["NOT_FOUND"],"asNumber":7,
            "asFalse":false,"twice":{"code":"EVIL"},"twice":{"code":"NOT_FOUND"}}}"#,
    );
    [
        "text",
        "unicode",
        "escapes",
        "pair",
        "padded",
        "empty",
        "blank",
        "bom",
        "number",
        "null",
        "true",
        "array",
        "object",
        "dup",
        "beaten",
        "beaten/null",
        "a/b",
        "a",
        "missing",
        "constructor",
        "toString",
        "notFound",
        "ambiguous",
        "other",
        "lower",
        "blanks",
        "noCode",
        "numberCode",
        "asText",
        "asArray",
        "asNumber",
        "asFalse",
        "twice",
    ]
    .into_iter()
    .fold(
        Case::new("answer").provider("vault", command(&path)),
        |case, id| case.asks("exec", "vault", id),
    )
}

fn placeholders(world: &World) -> Case {
    let ids = || (0..PLACEHOLDERS.len()).map(|number| format!("id-{number}"));
    let values: serde_json::Map<_, _> = ids().zip(PLACEHOLDERS.map(Into::into)).collect();
    let path = world.prints(json!({"protocolVersion": 1, "values": values}).to_string());
    let case = Case::new("exec placeholder").provider("vault", command(&path));
    ids()
        .zip(PLACEHOLDERS)
        .fold(case, |case, (id, placeholder)| {
            case.asks_as(placeholder.trim_end(), reference("exec", "vault", &id))
        })
}

/// Whole answers, each asked for `a`.
fn answers(world: &World) -> Vec<Case> {
    let answers: [(&str, &[u8]); 44] = [
        (
            "white space around",
            b" \r\n{\"protocolVersion\":1,\"values\":{\"a\":\"x\"}}\n\n",
        ),
        (
            "a no-break space around",
            b"\xc2\xa0{\"protocolVersion\":1,\"values\":{\"a\":\"x\"}}\xc2\xa0",
        ),
        (
            "a byte order mark",
            b"\xef\xbb\xbf{\"protocolVersion\":1,\"values\":{\"a\":\"x\"}}",
        ),
        (
            "a next-line character",
            b"{\"protocolVersion\":1,\"values\":{\"a\":\"x\"}}\xc2\x85",
        ),
        (
            "version 1.0",
            br#"{"protocolVersion":1.0,"values":{"a":"x"}}"#,
        ),
        (
            "version 1e0",
            br#"{"protocolVersion":1e0,"values":{"a":"x"}}"#,
        ),
        ("version 2", br#"{"protocolVersion":2,"values":{"a":"x"}}"#),
        ("version 0", br#"{"protocolVersion":0,"values":{"a":"x"}}"#),
        (
            "version 1.5",
            br#"{"protocolVersion":1.5,"values":{"a":"x"}}"#,
        ),
        (
            "version -1",
            br#"{"protocolVersion":-1,"values":{"a":"x"}}"#,
        ),
        (
            "version \"1\"",
            br#"{"protocolVersion":"1","values":{"a":"x"}}"#,
        ),
        (
            "version true",
            br#"{"protocolVersion":true,"values":{"a":"x"}}"#,
        ),
        (
            "version null",
            br#"{"protocolVersion":null,"values":{"a":"x"}}"#,
        ),
        (
            "version [1]",
            br#"{"protocolVersion":[1],"values":{"a":"x"}}"#,
        ),
        ("no version", br#"{"values":{"a":"x"}}"#),
        (
            "version twice",
            br#"{"protocolVersion":2,"protocolVersion":1,"values":{"a":"x"}}"#,
        ),
        ("no values", br#"{"protocolVersion":1}"#),
        (
            "no values but errors",
            br#"{"protocolVersion":1,"errors":{"a":{"code":"NOT_FOUND"}}}"#,
        ),
        ("values null", br#"{"protocolVersion":1,"values":null}"#),
        (
            "values as array",
            br#"{"protocolVersion":1,"values":["x"]}"#,
        ),
        ("values as text", br#"{"protocolVersion":1,"values":"x"}"#),
        ("no value", br#"{"protocolVersion":1,"values":{}}"#),
        (
            "values twice",
            br#"{"protocolVersion":1,"values":{"a":"x"},"values":{"a":"y"}}"#,
        ),
        (
            "errors null",
            br#"{"protocolVersion":1,"values":{"a":"x"},"errors":null}"#,
        ),
        (
            "errors as array",
            br#"{"protocolVersion":1,"values":{"a":"x"},"errors":["a"]}"#,
        ),
        (
            "errors as text",
            br#"{"protocolVersion":1,"values":{"a":"x"},"errors":"a"}"#,
        ),
        (
            "no errors",
            br#"{"protocolVersion":1,"values":{"a":"x"},"errors":{}}"#,
        ),
        (
            "another id's error",
            br#"{"protocolVersion":1,"values":{"a":"x"},"errors":{"b":{}}}"#,
        ),
        (
            "a key more",
            br#"{"protocolVersion":1,"values":{"a":"x"},"provider":"other"}"#,
        ),
        (
            "a number out of range",
            br#"{"protocolVersion":1,"values":{"a":"x","n":1e999}}"#,
        ),
        (
            "half a surrogate pair",
            br#"{"protocolVersion":1,"values":{"a":"x","b":"\ud800"}}"#,
        ),
        (
            "invalid UTF-8",
            b"{\"protocolVersion\":1,\"values\":{\"a\":\"x\xff\"}}",
        ),
        ("nothing", b""),
        ("white space alone", b" \r\n\t"),
        ("a byte order mark alone", b"\xef\xbb\xbf"),
        ("plain text", b"s3cret"),
        ("text", br#""s3cret""#),
        ("a number", b"5"),
        ("null", b"null"),
        ("an array", br#"[{"protocolVersion":1,"values":{"a":"x"}}]"#),
        ("half of it", br#"{"protocolVersion":1,"values":{"a":"x""#),
        (
            "a line before",
            b"note\n{\"protocolVersion\":1,\"values\":{\"a\":\"x\"}}",
        ),
        (
            "two answers",
            br#"{"protocolVersion":1,"values":{"a":"x"}} {}"#,
        ),
        (
            "NUL at its end",
            b"{\"protocolVersion\":1,\"values\":{\"a\":\"x\"}}\0",
        ),
    ];
    answers
        .iter()
        .map(|(name, output)| {
            Case::new(format!("answer with {name}"))
                .provider("vault", command(&world.prints(output)))
                .asks("exec", "vault", "a")
        })
        .collect()
}
