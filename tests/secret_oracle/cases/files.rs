//! How a secret file must be held: its kind, links, mode, owner, size and path.

use serde_json::{Value, json};

use super::case::{Case, with};
use super::world::{World, value_file};

pub(crate) fn cases(world: &World) -> Vec<Case> {
    let mut cases = kinds(world);
    cases.extend(modes(world));
    cases.extend(sizes(world));
    cases.extend(paths(world));
    let path = world.file("given-away", "s3cret");
    if world.give_away(&path, "a file of somebody else's") {
        cases.push(asks("file of somebody else's", value_file(&path)));
    }
    cases
}

fn asks(name: impl Into<String>, provider: Value) -> Case {
    Case::new(name)
        .provider("files", provider)
        .asks("file", "files", "value")
}

fn kinds(world: &World) -> Vec<Case> {
    world.file("plain", "s3cret");
    world.folder("real", 0o700);
    world.file("real/token", "s3cret");
    world.file("twice", "s3cret");
    world.hard_link("twice", "twin");
    [
        ("file", world.path("plain")),
        ("missing file", world.path("missing")),
        ("file in a missing folder", world.path("nowhere/token")),
        ("file in a file", world.path("plain/token")),
        ("folder as file", world.path("real")),
        ("symlink to a file", world.link("plain", "link")),
        ("symlink to nothing", world.link("missing", "dangling")),
        ("symlink to itself", world.link("loop", "loop")),
        ("symlink to a folder", world.link("real", "linked")),
        ("file in a symlinked folder", world.path("linked/token")),
        ("file with two hard links", world.path("twice")),
        ("pipe", world.pipe("pipe")),
        ("endless device", "/dev/zero".to_owned()),
        ("empty device", "/dev/null".to_owned()),
        ("standard input", "/dev/stdin".to_owned()),
        ("the system's own file", "/proc/version".to_owned()),
    ]
    .into_iter()
    .map(|(name, path)| asks(name, value_file(&path)))
    .collect()
}

fn modes(world: &World) -> Vec<Case> {
    [
        0o600, 0o400, 0o700, 0o500, 0o200, 0o000, 0o640, 0o604, 0o660, 0o606, 0o620, 0o602, 0o610,
        0o601, 0o644, 0o666, 0o777, 0o4600, 0o1600,
    ]
    .into_iter()
    .map(|mode| {
        let name = format!("file-{mode:04o}");
        world.file(&name, "s3cret");
        let path = world.mode(&name, mode);
        asks(format!("file of mode {mode:04o}"), value_file(&path))
    })
    .collect()
}

fn sizes(world: &World) -> Vec<Case> {
    let bounded = |path: &str, most: u64| with(&value_file(path), &json!({"maxBytes": most}));
    let ten = world.file("ten", "0123456789");
    let mebibyte = world.file("mebibyte", vec![b'a'; 1 << 20]);
    let more = world.file("more", vec![b'a'; (1 << 20) + 1]);
    vec![
        asks("10 bytes of at most 11", bounded(&ten, 11)),
        asks("10 bytes of at most 10", bounded(&ten, 10)),
        asks("10 bytes of at most 9", bounded(&ten, 9)),
        asks("10 bytes of at most 1", bounded(&ten, 1)),
        asks("1 MiB by default", value_file(&mebibyte)),
        asks("more than 1 MiB by default", value_file(&more)),
        asks("more than 1 MiB of at most 2 MiB", bounded(&more, 2 << 20)),
    ]
}

fn paths(world: &World) -> Vec<Case> {
    world.file("home/token", "at home");
    world.folder("elsewhere", 0o700);
    world.file("elsewhere/token", "elsewhere");
    world.file("~nick", "a strange name");
    let plain = world.path("plain");
    let home = world.path("home");
    let at_home = |name: &str, path: &str| asks(name, value_file(path)).variable("HOME", &home);
    vec![
        asks("relative path", value_file("plain")),
        asks("relative path with a dot", value_file("./plain")),
        asks("path with blanks around", value_file(&format!(" {plain} "))),
        asks(
            "path with a slash at its end",
            value_file(&format!("{plain}/")),
        ),
        asks("path with two slashes", value_file(&format!("/{plain}"))),
        asks("path with `.`", value_file(&world.path("./real/./token"))),
        asks("path with `..`", value_file(&world.path("real/../plain"))),
        asks(
            "path with `..` after nothing",
            value_file(&world.path("nowhere/../plain")),
        ),
        asks(
            "path with `..` after a symlink",
            value_file(&world.path("linked/../plain")),
        ),
        asks("path with NUL", value_file(&format!("{plain}\0"))),
        at_home("path at home", "~/token"),
        at_home("path at home with two slashes", "~//token"),
        at_home("path of the home folder", "~"),
        at_home("path of another user's home", "~nick"),
        at_home("path that only ends in `~`", &format!("{plain}~")),
        at_home("path with `~` inside", &world.path("~/token")),
        at_home("path at OPENCLAW_HOME", "~/token")
            .variable("OPENCLAW_HOME", world.path("elsewhere")),
        asks("path at a blank home", value_file("~/no-such-token")).variable("HOME", ""),
        asks("path at no home", value_file("~/no-such-token")),
    ]
}
