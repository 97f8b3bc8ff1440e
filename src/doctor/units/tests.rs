use super::*;
use std::os::unix::fs::symlink;

const RUNS: &str = "[Service]\nExecStart=/usr/bin/portcullis run\n";

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
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
             EnvironmentFile={shown}/env 100%%\nEnvironmentFile=/dev/zero\n"
        ),
    );
    let units = Units::gather(&[root.to_owned()]);
    let files: Vec<_> = units
        .environment_files
        .iter()
        .map(|file| (file.path.clone(), file.assignments.seen().map(Vec::len)))
        .collect();
    assert_eq!(
        files,
        [
            (PathBuf::from("/dev/zero"), Some(0)),
            (root.join("env 100%"), Some(1)),
            (root.join("missing"), None),
        ]
    );
    assert_eq!(units.unseen.len(), 2, "{:?}", units.unseen);
}

#[test]
fn a_folder_that_cannot_be_read_is_told_of() {
    let units = Units::gather(&[PathBuf::from("/nonexistent")]);
    assert_eq!(units.unseen[0].0, Path::new("/nonexistent"));
}
