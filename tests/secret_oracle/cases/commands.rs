//! Which commands are fit to be asked: kind, mode, owner, links, trusted folders.

use serde_json::{Value, json};

use super::case::{Case, with};
use super::world::{World, command, plain};

const ANSWERS: &str = "read -r request; echo s3cret";

pub(crate) fn cases(world: &World) -> Vec<Case> {
    let mut cases = kinds(world);
    cases.extend(modes(world));
    cases.extend(trusted(world));
    cases.extend(names(world));
    let path = world.script("given", ANSWERS);
    world.mode("given", 0o755);
    if world.give_away(&path, "a command of somebody else's") {
        cases.push(asks("command of somebody else's", plain(&path)));
    }
    cases
}

fn asks(name: impl Into<String>, provider: Value) -> Case {
    Case::new(name)
        .provider("vault", provider)
        .asks("exec", "vault", "a")
}

fn kinds(world: &World) -> Vec<Case> {
    world.folder("programs", 0o755);
    world.script("programs/op", ANSWERS);
    world.script("double", ANSWERS);
    world.hard_link("double", "double-twin");
    // Debian and its kin have this shell as a file of root's.
    let system = json!({"args": ["-c", ANSWERS]});
    [
        ("command", plain(&world.path("programs/op"))),
        ("missing command", plain(&world.path("missing-op"))),
        (
            "command in a missing folder",
            plain(&world.path("nowhere/op")),
        ),
        ("command in a file", plain(&world.path("programs/op/op"))),
        ("folder as command", plain(&world.path("programs"))),
        (
            "symlink as command",
            plain(&world.link("programs/op", "op-link")),
        ),
        (
            "symlink to nothing as command",
            plain(&world.link("missing-op", "op-dangling")),
        ),
        (
            "command in a symlinked folder",
            plain(&{
                world.link("programs", "programs-link");
                world.path("programs-link/op")
            }),
        ),
        ("command with two hard links", plain(&world.path("double"))),
        ("pipe as command", plain(&{ world.pipe("op-pipe") })),
        ("device as command", plain("/dev/null")),
        (
            "command of the system",
            with(&plain("/usr/bin/dash"), &system),
        ),
        (
            "command with `.` in its path",
            plain(&world.path("./programs/./op")),
        ),
        (
            "command with `..` in its path",
            plain(&world.path("programs/../programs/op")),
        ),
        (
            "command with two slashes",
            plain(&format!("/{}", world.path("programs/op"))),
        ),
        (
            "command with a slash at its end",
            plain(&format!("{}/", world.path("programs/op"))),
        ),
    ]
    .into_iter()
    .map(|(name, provider)| asks(name, provider))
    .collect()
}

fn modes(world: &World) -> Vec<Case> {
    let mut cases: Vec<Case> = [
        0o700, 0o755, 0o500, 0o555, 0o711, 0o600, 0o644, 0o400, 0o000, 0o770, 0o775, 0o720, 0o757,
        0o702, 0o777,
    ]
    .into_iter()
    .map(|mode| {
        let name = format!("op-{mode:04o}");
        world.script(&name, ANSWERS);
        asks(
            format!("command of mode {mode:04o}"),
            plain(&world.mode(&name, mode)),
        )
    })
    .collect();
    for mode in [0o755, 0o775, 0o1777, 0o777] {
        let folder = format!("folder-{mode:04o}");
        world.folder(&folder, mode);
        let path = world.script(&format!("{folder}/op"), ANSWERS);
        cases.push(asks(
            format!("command in a folder of mode {mode:04o}"),
            plain(&path),
        ));
    }
    cases
}

fn trusted(world: &World) -> Vec<Case> {
    for folder in ["a", "a/bin", "a/bin/deep", "a/bin2", "a/..bin"] {
        world.folder(folder, 0o755);
        world.script(&format!("{folder}/op"), ANSWERS);
    }
    world.link("a/bin2", "a/bin/out");
    world.link("a/bin", "a/bin-link");
    [
        ("none", "a/bin/op", &[][..]),
        ("its folder", "a/bin/op", &["a/bin"]),
        ("its folder, with a slash", "a/bin/op", &["a/bin/"]),
        ("a folder above", "a/bin/deep/op", &["a/bin"]),
        ("the root", "a/bin/op", &["/"]),
        ("another folder", "a/bin2/op", &["a/bin"]),
        (
            "a name that its folder's begins with",
            "a/bin2/op",
            &["a/bin"],
        ),
        (
            "a name that begins with its folder's",
            "a/bin/op",
            &["a/bin2"],
        ),
        ("a folder named with dots", "a/..bin/op", &["a"]),
        ("a missing folder", "a/bin/op", &["a/nowhere"]),
        ("the command itself", "a/bin/op", &["a/bin/op"]),
        ("the second of two", "a/bin2/op", &["a/bin", "a/bin2"]),
        ("a folder that `..` leaves", "a/bin/../bin2/op", &["a/bin"]),
        (
            "a folder that `..` leads to",
            "a/bin2/../bin/op",
            &["a/bin"],
        ),
        ("a folder with `..`", "a/bin/op", &["a/bin2/../bin"]),
        (
            "a folder with a symlink out of it",
            "a/bin/out/op",
            &["a/bin"],
        ),
        ("a symlink to its folder", "a/bin/op", &["a/bin-link"]),
        ("the same symlink", "a/bin-link/op", &["a/bin-link"]),
        ("the folder of its symlink", "a/bin-link/op", &["a/bin"]),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, (name, command, folders))| {
        let folders: Vec<String> = folders
            .iter()
            .map(|folder| match *folder {
                "/" => "/".to_owned(),
                folder => world.path(folder),
            })
            .collect();
        let provider = with(
            &plain(&world.path(command)),
            &json!({"trustedDirs": folders}),
        );
        asks(format!("trusted {number}: {name}"), provider)
    })
    .collect()
}

/// Names that a shell would read, and that some blocks may not have.
fn names(world: &World) -> Vec<Case> {
    world.folder("names", 0o755);
    let mut cases: Vec<Case> = [
        "a b", "a;b", "a&b", "a|b", "a`b", "a$b", "a<b", "a>b", "a\"b", "a'b", "a\\b", "a*b",
        "a?b", "a(b)", "a{b}", "a#b", "a!b", "a~b", "a=b", "a%b", "-a", "ü", "a\nb", "a\tb", "a ",
        "a\u{7f}b",
    ]
    .into_iter()
    .map(|name| {
        let path = world.script(&format!("names/{name}"), ANSWERS);
        asks(format!("command named {name:?}"), plain(&path))
    })
    .collect();
    world.script("names/op", ANSWERS);
    let absolute = world.path("names/op");
    for path in [
        "names/op",
        "./names/op",
        "op",
        "~/op",
        "",
        " ",
        "C:\\op.exe",
    ] {
        cases.push(asks(format!("command at {path:?}"), command(path)));
    }
    cases.push(asks(
        "command with blanks before",
        plain(&format!(" {absolute}")),
    ));
    cases.push(asks("command with NUL", plain(&format!("{absolute}\0"))));
    cases
}
