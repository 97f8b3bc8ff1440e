//! What is in a file: JSON and the pointers into it, or one value.

use serde_json::json;

use super::case::{Case, reference, with};
use super::environment::PLACEHOLDERS;
use super::world::{World, json_file, value_file};

pub(crate) fn cases(world: &World) -> Vec<Case> {
    let mut cases = vec![
        pointers(world),
        strings(world),
        long_array(world),
        placeholders(world),
    ];
    cases.extend(documents(world));
    cases.extend(single_values(world));
    cases
}

fn pointers(world: &World) -> Case {
    let path = world.file(
        "pointers.json",
        r#"{
          "a": {"b": ["x", "y", {"c": "deep"}, ["inner"]], "": "an empty name", "c/d": "slash",
                "e~f": "tilde", "~1": "escape", "0": "zero", "01": "one"},
          "": {"": "two empty names"}, " ": "a blank name", "%61": "per cent", "A": "capital",
          "dup": "first", "dup": "last", "nested": {"x": "first"}, "nested": {"y": "last"},
          "__proto__": {"p": "own"}, "toString": "own too", "text": "abc",
          "n": 5, "f": 1.5, "null": null, "true": true, "object": {}, "array": []
        }"#,
    );
    [
        "/a/b/0",
        "/a/b/1",
        "/a/b/2/c",
        "/a/b/3/0",
        "/a/b/4",
        "/a/b/01",
        "/a/b/00",
        "/a/b/-",
        "/a/b/-1",
        "/a/b/+1",
        "/a/b/1.0",
        "/a/b/1e0",
        "/a/b/ 1",
        "/a/b/",
        "/a/b/x",
        "/a/b/length",
        "/a/b/99999999999999999999",
        "/a/b/٣",
        "/a/",
        "/a/c~1d",
        "/a/e~0f",
        "/a/~01",
        "/a/0",
        "/a/01",
        "/a/c/d",
        "//",
        "/",
        "/ ",
        "/%61",
        "/A",
        "/A/",
        "/b",
        "/dup",
        "/nested/x",
        "/nested/y",
        "/__proto__/p",
        "/__proto__",
        "/toString",
        "/constructor",
        "/hasOwnProperty",
        "/a/constructor/name",
        "/text/0",
        "/text/length",
        "/n",
        "/n/0",
        "/f",
        "/null",
        "/null/x",
        "/true",
        "/object",
        "/object/x",
        "/array",
        "/array/0",
        "/a/b",
        "/missing",
        "/a/missing",
    ]
    .into_iter()
    .fold(
        Case::new("pointer").provider("files", json_file(&path)),
        |case, id| case.asks("file", "files", id),
    )
}

fn strings(world: &World) -> Case {
    let path = world.file(
        "strings.json",
        r#"{"empty":"", "blank":" \t\n", "nbsp":"\u00a0", "bom":"\ufeff", "nel":"\u0085",
            "padded":" a ", "line":"a\n", "unicode":"ü€😀", "escapes":"\u0041\n\t\"\\\/\u00e9",
            "pair":"\ud83d\ude00", "nul":"a\u0000b", "control":"a\u0001b", "long":"LONG",
            "dollar":"${TOKEN}"}"#
            .replace("LONG", &"x".repeat(100_000)),
    );
    [
        "empty", "blank", "nbsp", "bom", "nel", "padded", "line", "unicode", "escapes", "pair",
        "nul", "control", "long", "dollar",
    ]
    .into_iter()
    .fold(
        Case::new("string").provider("files", json_file(&path)),
        |case, name| case.asks("file", "files", &format!("/{name}")),
    )
}

/// The gateway counts no further than this in an array.
fn long_array(world: &World) -> Case {
    let items = vec!["\"a\""; 100_003].join(",");
    let path = world.file("long.json", format!("{{\"items\":[{items}]}}"));
    [
        "/items/99999",
        "/items/100000",
        "/items/100001",
        "/items/100003",
    ]
    .into_iter()
    .fold(
        Case::new("long array").provider("files", json_file(&path)),
        |case, id| case.asks("file", "files", id),
    )
}

fn placeholders(world: &World) -> Case {
    let path = world.file(
        "placeholders.json",
        json!({"all": PLACEHOLDERS}).to_string(),
    );
    let mut case = Case::new("file placeholder").provider("files", json_file(&path));
    for (number, placeholder) in PLACEHOLDERS.iter().enumerate() {
        let id = format!("/all/{number}");
        case = case.asks_as(placeholder.trim_end(), reference("file", "files", &id));
    }
    case
}

/// Whole files, each asked for `/a` as JSON.
fn documents(world: &World) -> Vec<Case> {
    let deep = format!(
        r#"{{"a":"x","deep":{}{}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    let documents: [(&str, &[u8]); 26] = [
        ("an object", br#"{"a":"x"}"#),
        ("white space around", b" \r\n\t{ \"a\" : \"x\" }\n\n"),
        ("a byte order mark", b"\xef\xbb\xbf{\"a\":\"x\"}"),
        (
            "two byte order marks",
            b"\xef\xbb\xbf\xef\xbb\xbf{\"a\":\"x\"}",
        ),
        ("a no-break space", b"\xc2\xa0{\"a\":\"x\"}"),
        ("an empty object", b"{}"),
        ("an array", br#"[{"a":"x"}]"#),
        ("a string", br#""x""#),
        ("a number", b"5"),
        ("null", b"null"),
        ("nothing", b""),
        ("white space alone", b" \n"),
        ("plain text", b"s3cret"),
        ("half of it", br#"{"a":"x""#),
        ("a comma too many", br#"{"a":"x",}"#),
        ("a comment", b"{\"a\":\"x\"} // why"),
        ("single quotes", b"{'a':'x'}"),
        ("no quotes", b"{a:\"x\"}"),
        ("two objects", br#"{"a":"x"}{"a":"y"}"#),
        ("a line break in a string", b"{\"a\":\"x\ny\"}"),
        ("an unknown escape", br#"{"a":"\x41"}"#),
        ("a number out of range", br#"{"a":"x","n":1e999}"#),
        ("half a surrogate pair", br#"{"a":"x","half":"\ud800"}"#),
        ("200 levels", deep.as_bytes()),
        ("invalid UTF-8", b"{\"a\":\"x\xff\"}"),
        ("UTF-16", b"\xff\xfe{\0}\0"),
    ];
    documents
        .iter()
        .enumerate()
        .map(|(number, (name, content))| {
            let path = world.file(&format!("document-{number}"), content);
            Case::new(format!("document of {name}"))
                .provider("files", json_file(&path))
                .asks("file", "files", "/a")
        })
        .collect()
}

fn single_values(world: &World) -> Vec<Case> {
    let contents: [(&str, &[u8]); 21] = [
        ("no line break", b"s3cret"),
        ("LF", b"s3cret\n"),
        ("CRLF", b"s3cret\r\n"),
        ("CR", b"s3cret\r"),
        ("LF LF", b"s3cret\n\n"),
        ("CRLF CRLF", b"s3cret\r\n\r\n"),
        ("CR CR LF", b"s3cret\r\r\n"),
        ("LF CR", b"s3cret\n\r"),
        ("lines", b"a\nb\n"),
        ("blanks around", b" s3cret \n"),
        ("JSON", b"{\"a\":\"x\"}\n"),
        ("a byte order mark", b"\xef\xbb\xbfs3cret\n"),
        ("two byte order marks", b"\xef\xbb\xbf\xef\xbb\xbfs3cret\n"),
        ("NUL", b"a\0b\n"),
        ("Unicode", "ü€😀\n".as_bytes()),
        ("nothing", b""),
        ("a line break alone", b"\n"),
        ("a blank", b" "),
        ("a byte order mark alone", b"\xef\xbb\xbf"),
        ("a placeholder", b"__OPENCLAW_REDACTED__\n"),
        ("invalid UTF-8", b"s3cret\xff"),
    ];
    let mut cases: Vec<Case> = contents
        .iter()
        .enumerate()
        .map(|(number, (name, content))| {
            let path = world.file(&format!("single-{number}"), content);
            Case::new(format!("single value, {name}"))
                .provider("files", value_file(&path))
                .asks("file", "files", "value")
        })
        .collect();
    let path = world.file("single", "s3cret");
    cases.push(
        Case::new("single value")
            .provider("files", value_file(&path))
            .asks("file", "files", "/value")
            .asks("file", "files", "/")
            .asks("file", "files", "/a"),
    );
    let json = with(&value_file(&path), &json!({"mode": "json"}));
    cases.push(
        Case::new("single value read as JSON")
            .provider("files", json)
            .asks("file", "files", "value"),
    );
    cases
}
