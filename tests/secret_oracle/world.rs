//! The folder in which cases find their files and commands.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub(crate) struct World {
    folder: tempfile::TempDir,
    scripts: Cell<usize>,
    left_out: RefCell<Vec<&'static str>>,
}

impl World {
    /// A new folder, and the working directory of this process and of the gateway.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::env::set_current_dir(folder.path()).unwrap();
        let world = Self {
            folder,
            scripts: Cell::new(0),
            left_out: RefCell::default(),
        };
        world.folder("home", 0o700);
        world
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.at("home")
    }

    pub(crate) fn folder(&self, name: &str, mode: u32) -> String {
        fs::create_dir(self.at(name)).unwrap();
        self.mode(name, mode)
    }

    /// A file that only its owner may read.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.at(name), content).unwrap();
        self.mode(name, 0o600)
    }

    /// A shell script that only its owner may run.
    pub(crate) fn script(&self, name: &str, text: &str) -> String {
        fs::write(self.at(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        self.mode(name, 0o700)
    }

    /// A script under a name of its own.
    pub(crate) fn unnamed(&self, text: &str) -> String {
        let number = self.scripts.replace(self.scripts.get() + 1);
        self.script(&format!("script-{number}"), text)
    }

    /// A script that takes the request and prints `output`.
    pub(crate) fn prints(&self, output: impl AsRef<[u8]>) -> String {
        let path = self.file(&format!("output-{}", self.scripts.get()), output);
        self.unnamed(&format!("read -r request; exec cat '{path}'"))
    }

    pub(crate) fn link(&self, target: &str, name: &str) -> String {
        std::os::unix::fs::symlink(self.at(target), self.at(name)).unwrap();
        self.path(name)
    }

    pub(crate) fn hard_link(&self, target: &str, name: &str) {
        fs::hard_link(self.at(target), self.at(name)).unwrap();
    }

    pub(crate) fn pipe(&self, name: &str) -> String {
        nix::unistd::mkfifo(&self.at(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
        self.path(name)
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) -> String {
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(mode)).unwrap();
        self.path(name)
    }

    /// Gives a file away, which only root can; notes what is left out otherwise.
    pub(crate) fn give_away(&self, path: &str, what: &'static str) -> bool {
        let somebody_else = nix::unistd::geteuid().as_raw() + 1;
        let is_given = chown(Path::new(path), Some(somebody_else), None).is_ok();
        if !is_given {
            self.left_out.borrow_mut().push(what);
        }
        is_given
    }

    /// What this user can't try.
    pub(crate) fn left_out(&self) -> Vec<&'static str> {
        self.left_out.borrow().clone()
    }
}

pub(crate) fn json_file(path: &str) -> Value {
    json!({"source": "file", "path": path})
}

pub(crate) fn value_file(path: &str) -> Value {
    json!({"source": "file", "path": path, "mode": "singleValue"})
}

pub(crate) fn command(path: &str) -> Value {
    json!({"source": "exec", "command": path})
}

/// A command whose plain output counts.
pub(crate) fn plain(path: &str) -> Value {
    json!({"source": "exec", "command": path, "jsonOnly": false})
}
