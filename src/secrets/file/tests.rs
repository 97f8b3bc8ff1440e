use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::super::{SecretId, SecretSource};
use super::*;

fn nothing(_: &str) -> Option<OsString> {
    None
}

fn provider(path: impl Into<PathBuf>, mode: FileMode) -> FileProvider {
    FileProvider {
        path: path.into(),
        mode,
        custody: Custody::Own,
        timeout: FileProvider::DEFAULT_TIMEOUT,
        max_bytes: FileProvider::DEFAULT_MAX_BYTES,
    }
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn whole(provider: &FileProvider) -> Result<String, FileError> {
    match provider.read(&nothing)? {
        Payload::Whole(value) => Ok(value.expose().to_owned()),
        Payload::Json(_) => panic!("it was read as JSON"),
    }
}

#[test]
fn a_single_value_loses_one_line_break_and_a_byte_order_mark() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    for (content, value) in [
        ("s3cret", "s3cret"),
        ("s3cret\n", "s3cret"),
        ("s3cret\r\n", "s3cret"),
        ("s3cret\n\n", "s3cret\n"),
        ("\u{feff}s3cret", "s3cret"),
        (" s3cret \n", " s3cret "),
        ("a\nb\n", "a\nb"),
    ] {
        write(&path, content);
        let read = whole(&provider(&path, FileMode::SingleValue)).unwrap();
        assert_eq!(read, value, "{content:?}");
    }
}

#[test]
fn a_json_file_must_hold_an_object() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets.json");
    for (content, good) in [
        ("{}", true),
        ("\u{feff}{\"a\":\"b\"}\n", true),
        ("[]", false),
        ("\"a\"", false),
        ("", false),
        ("{", false),
    ] {
        write(&path, content);
        let read = provider(&path, FileMode::Json).read(&nothing);
        assert_eq!(read.is_ok(), good, "{content:?}");
    }
    write(&path, [b'"', 0xff, b'"']);
    assert!(provider(&path, FileMode::Json).read(&nothing).is_err());
}

#[test]
fn refuses_what_is_not_plainly_its_own_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write(&path("good"), "s3cret");
    symlink(path("good"), path("link")).unwrap();
    write(&path("linked"), "s3cret");
    fs::hard_link(path("linked"), path("twin")).unwrap();
    write(&path("open"), "s3cret");
    fs::set_permissions(path("open"), fs::Permissions::from_mode(0o640)).unwrap();
    nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (name, words) in [
        ("link", "symlink"),
        ("linked", "2 hard links"),
        ("open", "0640"),
        ("pipe", "not a regular file"),
        (".", "not a regular file"),
        ("missing", "No such file"),
    ] {
        let error = whole(&provider(path(name), FileMode::SingleValue)).unwrap_err();
        assert!(error.to_string().contains(words), "{name}: {error}");
    }
    assert!(whole(&provider(path("good"), FileMode::SingleValue)).is_ok());
}

#[test]
fn size_is_bounded_by_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let mut provider = provider(&path, FileMode::SingleValue);
    provider.max_bytes = 20_000;
    write(&path, vec![b'a'; 20_000]);
    assert_eq!(whole(&provider).unwrap().len(), 20_000);
    write(&path, vec![b'a'; 20_001]);
    let error = whole(&provider).unwrap_err();
    assert!(error.to_string().contains("larger than 20000"), "{error}");
    // Its size is 0 to whoever asks, and it never ends.
    provider.path = "/dev/zero".into();
    assert!(whole(&provider).is_err());
}

#[test]
fn a_home_folder_is_expanded_and_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("token"), "s3cret");
    let home = |name: &str| (name == "HOME").then(|| folder.path().into());
    let provider = provider("~/token", FileMode::SingleValue);
    assert!(provider.read(&home).is_ok());
    assert!(matches!(provider.read(&nothing), Err(FileError::NoHome)));
    // Another user's home, or a strange name: taken as it is written.
    let tilde = FileProvider {
        path: "~nick/token".into(),
        ..provider
    };
    assert_eq!(tilde.location(&home).unwrap(), Path::new("~nick/token"));
}

/// The layout that a kubelet makes: names link into `..data`, which links to a
/// folder named by its time.
fn volume(folder: &Path, generation: &str, value: &str) {
    let data = folder.join(generation);
    fs::create_dir(&data).unwrap();
    fs::write(data.join("token"), value).unwrap();
    fs::set_permissions(data.join("token"), fs::Permissions::from_mode(0o440)).unwrap();
    let next = folder.join("..data_tmp");
    symlink(generation, &next).unwrap();
    fs::rename(next, folder.join("..data")).unwrap();
}

#[test]
fn a_mounted_volume_is_followed_inside_and_not_out() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    write(&outside.path().join("token"), "elsewhere");
    volume(folder.path(), "..2026_01", "first");
    let path = |name: &str| folder.path().join(name);
    symlink("..data/token", path("token")).unwrap();
    symlink(outside.path().join("token"), path("escape")).unwrap();
    let mounted = |name: &str| FileProvider {
        custody: Custody::MountedVolume,
        ..provider(path(name), FileMode::SingleValue)
    };
    assert_eq!(whole(&mounted("token")).unwrap(), "first");
    volume(folder.path(), "..2026_02", "second");
    assert_eq!(whole(&mounted("token")).unwrap(), "second");
    let error = whole(&mounted("escape")).unwrap_err();
    assert!(error.to_string().contains("out of the mounted"), "{error}");
    let strict = provider(path("token"), FileMode::SingleValue);
    assert!(whole(&strict).is_err());
    // A name in a folder of the volume links through that folder.
    fs::create_dir(path("..2026_02/sub")).unwrap();
    fs::write(path("..2026_02/sub/token"), "deep").unwrap();
    symlink("..data/sub", path("sub")).unwrap();
    assert_eq!(whole(&mounted("sub/token")).unwrap(), "deep");
}

#[test]
fn a_mounted_file_that_others_may_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    for (mode, fit) in [(0o444, true), (0o640, true), (0o660, false), (0o646, false)] {
        write(&path, "s3cret");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let mounted = FileProvider {
            custody: Custody::MountedVolume,
            ..provider(&path, FileMode::SingleValue)
        };
        assert_eq!(whole(&mounted).is_ok(), fit, "{mode:o}");
    }
}

#[test]
fn what_never_answers_is_given_up() {
    let (answer, question) = std::sync::mpsc::channel::<()>();
    let never = in_time(Duration::from_millis(20), move || question.recv());
    assert!(never.unwrap().is_none());
    drop(answer);
    assert_eq!(in_time(Duration::from_secs(20), || 5).unwrap(), Some(5));
}

#[test]
fn the_id_says_how_a_file_is_read() {
    let id = |text| match SecretSource::File.parse_id(text).unwrap() {
        SecretId::File(id) => id,
        _ => unreachable!("the grammar of files gives ids of files"),
    };
    for (mode, text, taken) in [
        (FileMode::SingleValue, "value", true),
        (FileMode::SingleValue, "/a", false),
        (FileMode::Json, "/a", true),
        (FileMode::Json, "value", false),
    ] {
        assert_eq!(provider("x", mode).takes(&id(text)), taken, "{text}");
    }
}
