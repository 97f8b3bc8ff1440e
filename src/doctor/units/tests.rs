use super::*;
use std::os::unix::fs::symlink;

const RUNS: &str = "[Service]\nExecStart=/usr/bin/portcullis run\n";

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn pipe(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
}

fn names(units: &Units) -> Vec<String> {
    let names = units.fragments.iter().map(|fragment| {
        let name = fragment.path.file_name().unwrap().to_string_lossy();
        format!("{} {name}", fragment.unit)
    });
    names.collect()
}

#[test]
fn a_units_files_are_all_that_bear_its_name_in_any_folder() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "a/door.service", RUNS);
    write(root, "b/door.service.d/50.conf", "");
    write(root, "b/door.service.d/40.conf", "");
    write(root, "b/door.service.d/README", "");
    write(root, "a/other.service", "[Service]\nExecStart=/bin/true\n");
    write(root, "a/other.service.d/50.conf", "");
    write(root, "a/by-drop-in.service", "[Service]\n");
    write(root, "b/by-drop-in.service.d/run.conf", RUNS);
    write(root, "a/many@.service", RUNS);
    write(root, "a/many@one.service.d/50.conf", "");
    write(root, "a/door.socket", RUNS);
    symlink("/dev/null", root.join("b/masked.service")).unwrap();
    symlink("/nonexistent", root.join("b/gone.service")).unwrap();
    let units = Units::gather(&[root.join("a"), root.join("b")]);
    assert_eq!(
        names(&units),
        [
            "by-drop-in.service by-drop-in.service",
            "door.service door.service",
            "many@.service many@.service",
            "many@.service 50.conf",
            "by-drop-in.service run.conf",
            "door.service 40.conf",
            "door.service 50.conf",
        ]
    );
    assert_eq!(units.unseen, []);
}

#[test]
fn files_of_variables_are_read_where_their_names_are_plain() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let shown = root.display();
    write(root, "env 100%", "A=1\n");
    write(
        root,
        "door.service",
        &format!(
            "{RUNS}EnvironmentFile=-{shown}/env 100%%\nEnvironmentFile=-{shown}/missing\n\
             EnvironmentFile={shown}/*.env\nEnvironmentFile=/run/%n\nEnvironmentFile=relative\n\
             EnvironmentFile={shown}/env 100%%\nEnvironmentFile=/dev/zero\n\
             EnvironmentFile={shown}/pipe\nEnvironmentFile={shown}/large\n"
        ),
    );
    pipe(&root.join("pipe"));
    write(root, "large", &"A=1\n".repeat((1 << 18) + 1));
    let units = Units::gather(&[root.to_owned()]);
    let files: Vec<_> = units
        .environment_files
        .iter()
        .map(|file| (file.path.clone(), file.assignments.seen().map(Vec::len)))
        .collect();
    assert_eq!(
        files,
        [
            (PathBuf::from("/dev/zero"), None),
            (root.join("env 100%"), Some(1)),
            (root.join("large"), None),
            (root.join("missing"), None),
            (root.join("pipe"), None),
        ]
    );
    let unread = units.environment_files.iter();
    let unread = unread.filter(|file| matches!(file.assignments, Look::Hidden(_)));
    assert_eq!(unread.count(), 3);
    assert_eq!(units.unseen.len(), 2, "{:?}", units.unseen);
}

#[test]
fn a_unit_that_is_no_file_is_told_of_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    pipe(&root.join("pipe.service"));
    symlink("/dev/zero", root.join("endless.service")).unwrap();
    fs::create_dir(root.join("folder.service")).unwrap();
    let units = Units::gather(&[root.to_owned()]);
    assert_eq!(units.fragments, []);
    let unseen: Vec<_> = units.unseen.iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(
        unseen,
        [
            root.join("endless.service"),
            root.join("folder.service"),
            root.join("pipe.service"),
        ]
    );
}

#[test]
fn a_folder_that_cannot_be_read_is_told_of() {
    let units = Units::gather(&[PathBuf::from("/nonexistent")]);
    assert_eq!(units.unseen[0].0, Path::new("/nonexistent"));
}
