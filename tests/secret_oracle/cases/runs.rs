//! How a command is run: what it gets, how it ends, and within what bounds.

use serde_json::{Value, json};

use super::case::{Case, reference, with};
use super::world::{World, command, plain};

/// Prints an answer; a script goes on from there.
const ANSWERS: &str = r#"read -r request; printf '{"protocolVersion":1,"values":{"a":"x"}}'"#;

pub(crate) fn cases(world: &World) -> Vec<Case> {
    let mut cases = inputs(world);
    cases.extend(ends(world));
    cases.extend(bounds(world));
    cases.push(large_request(world));
    cases
}

fn asks(name: &str, provider: Value) -> Case {
    Case::new(name)
        .provider("vault", provider)
        .asks("exec", "vault", "a/b#c")
}

/// What a command is given, printed by itself.
fn inputs(world: &World) -> Vec<Case> {
    let changed = |script: &str, extra: Value| with(&plain(&world.unnamed(script)), &extra);
    // The gateway marks its children by a variable of its own.
    let all = "read -r request; env | grep -v ^OPENCLAW_CLI= | sort";
    let args = r#"read -r request; printf '%s|' "$#" "$@""#;
    vec![
        asks("request", plain(&world.unnamed("printf 'got '; exec cat"))),
        asks("no arguments", plain(&world.unnamed(args))),
        asks(
            "arguments",
            changed(
                args,
                json!({"args": ["--profile", "prod", "", "a b", "ü", "-"]}),
            ),
        ),
        asks(
            "arguments that a shell would read",
            changed(
                args,
                json!({"args": ["$HOME", "`id`", "*", ";id", "a|b", "'\"", "\\", "~", "a\nb"]}),
            ),
        ),
        asks(
            "environment with marks",
            plain(&world.unnamed("read -r request; env | sort")),
        )
        .variable("TOKEN", "s3cret"),
        asks("no environment", plain(&world.unnamed(all))).variable("TOKEN", "s3cret"),
        asks(
            "environment",
            changed(
                all,
                json!({"env": {"B": "2", "A": "1", "lower": "x", "E": ""}}),
            ),
        ),
        asks(
            "environment passed",
            changed(all, json!({"passEnv": ["TOKEN", "UNSET", "EMPTY", "HOME"]})),
        )
        .variable("TOKEN", "s3cret")
        .variable("OTHER", "not passed")
        .variable("EMPTY", ""),
        asks(
            "environment passed and set",
            changed(all, json!({"passEnv": ["TOKEN"], "env": {"TOKEN": "set"}})),
        )
        .variable("TOKEN", "passed"),
        asks(
            "search path",
            changed(all, json!({"env": {"PATH": "/bin:/usr/bin"}})),
        ),
        asks("folder", plain(&world.unnamed("read -r request; pwd -P"))),
        asks("mask", plain(&world.unnamed("read -r request; umask"))),
        asks(
            "no terminal",
            plain(&world.unnamed("read -r request; [ -t 1 ] || echo none")),
        ),
    ]
}

fn ends(world: &World) -> Vec<Case> {
    let run = |text: &str| command(&world.unnamed(text));
    [
        ("ends well", run(ANSWERS)),
        ("ends with 1", run(&format!("{ANSWERS}; exit 1"))),
        ("ends with 255", run(&format!("{ANSWERS}; exit 255"))),
        ("ends by SIGKILL", run(&format!("{ANSWERS}; kill -9 $$"))),
        ("ends by SIGTERM", run(&format!("{ANSWERS}; kill $$"))),
        ("ends without a word", run("exit 1")),
        ("complains and answers", run(&format!("echo careful >&2; {ANSWERS}"))),
        ("answers on standard error", run(&format!("{{ {ANSWERS}; }} >&2"))),
        ("answers in pieces", run(r#"read -r request; printf '{"protocolVersion":1,'; sleep 0.1; printf '"values":{"a":"x"}}'"#)),
        ("reads nothing", run(r#"printf '{"protocolVersion":1,"values":{"a":"x"}}'"#)),
        ("leaves a child that let go", run(&format!("sleep 2 </dev/null >/dev/null 2>&1 & {ANSWERS}"))),
        ("waits for a child", run(&format!("( sleep 0.1; {ANSWERS} )"))),
        ("no such interpreter", command(&{
            let path = world.file("interpreter", "#!/nonexistent\n");
            world.mode("interpreter", 0o700);
            path
        })),
        ("no interpreter named", command(&{
            let path = world.file("shebang", ANSWERS);
            world.mode("shebang", 0o700);
            path
        })),
        ("empty command", command(&{
            let path = world.file("void", "");
            world.mode("void", 0o700);
            path
        })),
    ]
    .into_iter()
    .map(|(name, provider)| {
        Case::new(format!("run that {name}"))
            .provider("vault", provider)
            .asks("exec", "vault", "a")
    })
    .collect()
}

fn bounds(world: &World) -> Vec<Case> {
    let run = |text: &str, extra: Value| with(&command(&world.unnamed(text)), &extra);
    let quick = json!({"timeoutMs": 300});
    // 38 bytes and as many of white space as make up the rest.
    let padded = |total: usize| format!("{ANSWERS}; printf '%{}s' ''", total - 38);
    let noise = "printf '%50s' '' >&2";
    let most = |bytes: u64| json!({"maxOutputBytes": bytes});
    [
        ("takes too long", run("exec sleep 5", quick.clone())),
        (
            "answers and takes too long",
            run(&format!("{ANSWERS}; exec sleep 5"), quick.clone()),
        ),
        (
            "ignores SIGTERM",
            run("trap '' TERM; sleep 5; sleep 5", quick.clone()),
        ),
        (
            "leaves a child that holds on",
            run(&format!("sleep 5 & {ANSWERS}"), quick.clone()),
        ),
        (
            "leaves a child that holds on to standard error",
            run(&format!("sleep 5 >/dev/null & {ANSWERS}"), quick.clone()),
        ),
        (
            "leaves a child that lets go in time",
            run(
                &format!("sleep 0.2 & {ANSWERS}"),
                json!({"timeoutMs": 3000}),
            ),
        ),
        (
            "is silent at first",
            run(
                &format!("sleep 3; {ANSWERS}"),
                json!({"timeoutMs": 4000, "noOutputTimeoutMs": 200}),
            ),
        ),
        (
            "is silent at its end",
            run(
                &format!("{ANSWERS}; exec sleep 3"),
                json!({"timeoutMs": 4000, "noOutputTimeoutMs": 200}),
            ),
        ),
        (
            "is never silent for long",
            run(
                &format!("for n in 1 2 3 4; do sleep 0.3; echo; done; {ANSWERS}"),
                json!({"timeoutMs": 6000, "noOutputTimeoutMs": 1000}),
            ),
        ),
        (
            "is loud on standard error alone",
            run(
                &format!("for n in 1 2 3 4; do sleep 0.3; echo >&2; done; {ANSWERS}"),
                json!({"timeoutMs": 6000, "noOutputTimeoutMs": 1000}),
            ),
        ),
        ("prints less than it may", run(&padded(99), most(100))),
        ("prints as much as it may", run(&padded(100), most(100))),
        ("prints one byte too many", run(&padded(101), most(100))),
        (
            "complains as much as it may",
            run(&format!("{noise}; {}", padded(50)), most(100)),
        ),
        (
            "complains one byte too many",
            run(&format!("{noise}; {}", padded(51)), most(100)),
        ),
        (
            "only complains too much",
            run(&format!("{ANSWERS}; printf '%200s' '' >&2"), most(100)),
        ),
        ("prints without end", run("exec yes", most(1000))),
        ("prints 1 MiB by default", run(&padded(1 << 20), json!({}))),
        (
            "prints more than 1 MiB by default",
            run(&padded((1 << 20) + 1), json!({})),
        ),
    ]
    .into_iter()
    .map(|(name, provider)| {
        Case::new(format!("run that {name}"))
            .provider("vault", provider)
            .asks("exec", "vault", "a")
    })
    .collect()
}

/// 512 long ids fit into a request, so only their count bounds them.
fn large_request(world: &World) -> Case {
    let path = world.unnamed(r#"cat >/dev/null; printf '{"protocolVersion":1,"values":{}}'"#);
    (0..512)
        .fold(
            Case::new("512 long ids at once").provider("vault", command(&path)),
            |case, number| {
                let id = format!("{number:a>256}");
                case.asks_as(&number.to_string(), reference("exec", "vault", &id))
            },
        )
        .together()
        .crowd()
}
