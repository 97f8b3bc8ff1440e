//! The `env` provider: what is set, what may be read, and under which alias.

use serde_json::json;

use super::case::{Case, reference};
use super::world::{World, value_file};

pub(crate) fn cases(world: &World) -> Vec<Case> {
    let mut cases = vec![values(), placeholders(), too_many(512), too_many(513)];
    cases.extend(allowlists());
    cases.extend(aliases(world));
    cases
}

fn values() -> Case {
    [
        ("SET", "s3cret"),
        ("BLANKS_AROUND", " s3cret\t"),
        ("LINE_BREAK", "s3cret\n"),
        ("LINES", "a\nb"),
        ("UNICODE", "ü€😀"),
        ("DOLLAR", "$SET"),
        (
            "REFERENCE",
            r#"{"source":"env","provider":"default","id":"SET"}"#,
        ),
        ("EMPTY", ""),
        ("BLANK", " "),
        ("WHITE", " \t\r\n\u{b}\u{c}"),
        ("NO_BREAK_SPACE", "\u{a0}"),
        ("LINE_SEPARATOR", "\u{2028}"),
        ("IDEOGRAPHIC_SPACE", "\u{3000}"),
        ("BYTE_ORDER_MARK", "\u{feff}"),
        ("NEXT_LINE", "\u{85}"),
        ("ZERO_WIDTH_SPACE", "\u{200b}"),
    ]
    .into_iter()
    .fold(Case::new("env value"), |case, (name, value)| {
        case.variable(name, value).asks("env", "default", name)
    })
    .asks("env", "default", "UNSET")
}

/// What a redaction leaves in a secret's place, and what only looks like it.
pub(crate) const PLACEHOLDERS: [&str; 16] = [
    "__OPENCLAW_REDACTED__",
    " __OPENCLAW_REDACTED__\n",
    "REDACTED",
    "xoxb-REDACTED",
    "xapp-REDACTED",
    "***",
    " *** ",
    "[redacted]",
    "[REDACTED]",
    "<redacted>",
    "[REDACTED_PRIVATE_KEY]",
    "[REDACTED CREDENTIAL]",
    "redacted",
    "****",
    "x***",
    "__openclaw_redacted__",
];

fn placeholders() -> Case {
    let mut case = Case::new("env placeholder");
    for (number, placeholder) in PLACEHOLDERS.iter().enumerate() {
        let name = format!("TOKEN_{number}");
        case = case
            .variable(&name, *placeholder)
            .asks_as(placeholder.trim_end(), reference("env", "default", &name));
    }
    case
}

fn allowlists() -> Vec<Case> {
    [
        ("absent", json!({"source": "env"})),
        ("empty", json!({"source": "env", "allowlist": []})),
        (
            "with it",
            json!({"source": "env", "allowlist": ["OTHER", "TOKEN"]}),
        ),
        (
            "without it",
            json!({"source": "env", "allowlist": ["OTHER", "TOKEN_2"]}),
        ),
        (
            "with it twice",
            json!({"source": "env", "allowlist": ["TOKEN", "TOKEN"]}),
        ),
        (
            "with an unset one",
            json!({"source": "env", "allowlist": ["UNSET"]}),
        ),
    ]
    .into_iter()
    .flat_map(|(name, provider)| {
        // The alias `default` is looked up before it stands for any variable.
        ["vars", "default"].map(|alias| {
            Case::new(format!("allowlist {name}, alias {alias}"))
                .provider(alias, provider.clone())
                .variable("TOKEN", "s3cret")
                .asks("env", alias, "TOKEN")
                .asks("env", alias, "UNSET")
        })
    })
    .collect()
}

fn aliases(world: &World) -> Vec<Case> {
    let path = world.file("alias", "from the file");
    let set = |name: &str| {
        Case::new(name)
            .variable("TOKEN", "s3cret")
            .asks_as("env of default", reference("env", "default", "TOKEN"))
            .asks_as("env of house", reference("env", "house", "TOKEN"))
            .asks_as("file of house", reference("file", "house", "value"))
            .asks_as("exec of house", reference("exec", "house", "value"))
    };
    vec![
        set("default alias elsewhere").default_env("house"),
        set("default alias elsewhere, and listed")
            .default_env("house")
            .provider("house", json!({"source": "env", "allowlist": []})),
        set("default alias elsewhere, `default` listed")
            .default_env("house")
            .provider("default", json!({"source": "env"})),
        set("default alias of a file")
            .default_env("house")
            .provider("house", value_file(&path)),
        set("alias of a file").provider("house", value_file(&path)),
        set("`default` is a file").provider("default", value_file(&path)),
    ]
}

/// More references at once than one provider may be asked for.
fn too_many(count: usize) -> Case {
    let case = Case::new(format!("{count} references of one provider"));
    (0..count)
        .fold(case, |case, number| {
            let name = format!("TOKEN_{number}");
            case.variable(&name, "s3cret").asks("env", "default", &name)
        })
        .together()
        .crowd()
}
