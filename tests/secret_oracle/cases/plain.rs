//! What a command prints where plain output counts.

use super::case::{Case, reference};
use super::world::{World, plain};

pub(crate) fn cases(world: &World) -> Vec<Case> {
    let mut cases = outputs(world);
    cases.push(together(world));
    cases
}

fn outputs(world: &World) -> Vec<Case> {
    let outputs: [(&str, &[u8]); 34] = [
        ("text", b"s3cret"),
        ("LF", b"s3cret\n"),
        ("CRLF", b"s3cret\r\n"),
        ("blanks around", b"  two words \n\n"),
        ("a no-break space", b"\xc2\xa0s3cret\xc2\xa0"),
        ("a byte order mark", b"\xef\xbb\xbfs3cret\n"),
        ("a next-line character", b"s3cret\xc2\x85"),
        ("lines", b"a\nb\n"),
        ("Unicode", "ü€😀\n".as_bytes()),
        ("NUL", b"a\0b"),
        ("invalid UTF-8", b"s3cret\xff"),
        ("quotes", b"\"s3cret\"\n"),
        ("quotes and escapes", br#""a\u0041\n""#),
        ("quotes around blanks", br#""  ""#),
        ("no text in quotes", br#""""#),
        ("one quote", b"\"s3cret"),
        ("half a surrogate pair in quotes", br#""\ud800""#),
        ("digits", b"12345678\n"),
        ("digits after a zero", b"0123"),
        ("a negative number", b"-5"),
        ("a fraction", b"1.50"),
        ("an exponent", b"1e5"),
        ("a number out of range", b"1e999"),
        ("hexadecimal", b"0x10"),
        ("true", b"true"),
        ("null", b"null"),
        ("undefined", b"undefined"),
        ("an array", b"[\"s3cret\"]"),
        ("an object", br#"{"a":"x"}"#),
        ("half an object", br#"{"a":"x""#),
        (
            "the protocol",
            br#"{"protocolVersion":1,"values":{"a":"x"}}"#,
        ),
        (
            "the protocol's version 2",
            br#"{"protocolVersion":2,"values":{"a":"x"}}"#,
        ),
        ("nothing", b""),
        ("white space alone", b" \n"),
    ];
    let mut cases: Vec<Case> = outputs
        .iter()
        .map(|(name, output)| {
            Case::new(format!("plain output of {name}"))
                .provider("vault", plain(&world.prints(output)))
                .asks("exec", "vault", "a")
        })
        .collect();
    let placeholder = world.prints("__OPENCLAW_REDACTED__\n");
    cases.push(
        Case::new("plain output of a placeholder")
            .provider("vault", plain(&placeholder))
            .asks("exec", "vault", "a"),
    );
    let deep = world.prints(format!("{}{}", "[".repeat(200), "]".repeat(200)));
    cases.push(
        Case::new("plain output of 200 levels")
            .provider("vault", plain(&deep))
            .asks("exec", "vault", "a"),
    );
    cases
}

/// Plain output says nothing of several ids.
fn together(world: &World) -> Case {
    Case::new("plain output for two ids at once")
        .provider("text", plain(&world.prints("s3cret")))
        .provider("quotes", plain(&world.prints("\"s3cret\"")))
        .provider(
            "protocol",
            plain(&world.prints(r#"{"protocolVersion":1,"values":{"a":"x","b":"y"}}"#)),
        )
        .asks_as("text", reference("exec", "text", "a"))
        .asks_as("text, the other", reference("exec", "text", "b"))
        .asks_as("quotes", reference("exec", "quotes", "a"))
        .asks_as("quotes, the other", reference("exec", "quotes", "b"))
        .asks_as("the protocol", reference("exec", "protocol", "a"))
        .asks_as(
            "the protocol, the other",
            reference("exec", "protocol", "b"),
        )
        .together()
}
