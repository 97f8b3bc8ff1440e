//! What this process gives up before it serves: new privileges, most files, other
//! programs, root's further powers and most of the kernel's calls. Whoever breaks into it
//! then holds what it needs itself, and little more.
//!
//! Each part is the kernel's, and holds until the process ends. A kernel that lacks
//! one gives less, which is told and never a reason not to serve.

mod capabilities;
mod filter;
mod folders;
mod report;
mod rules;
mod syscalls;

pub use report::{Report, Strength};

use folders::{Folders, Held, NAME_SERVICE};
use std::collections::BTreeSet;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};

/// What the process needs of the system as long as it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Files that are read, again and again: each with the folder that it lies in, for
    /// it may be replaced by another of its name, and where symlinks lead to it.
    pub files: BTreeSet<PathBuf>,
    /// Folders in which files are made, replaced and removed.
    pub state_folders: BTreeSet<PathBuf>,
    /// Folders in which sockets are made and removed.
    pub socket_folders: BTreeSet<PathBuf>,
    /// The TCP ports that are listened on; 0 is any.
    pub tcp_ports: BTreeSet<u16>,
    /// Whether it listens on a Unix socket, or connects to one.
    pub unix_sockets: bool,
}

/// What holds this process.
#[derive(Debug, Default)]
pub struct Confinement {
    report: Report,
    /// What may be used; none: anything.
    left: Option<Held>,
}

impl Confinement {
    /// Nothing holds it.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Confines the calling thread, and every thread and process that it starts from
    /// here on: to be called before there is another thread.
    #[must_use]
    pub fn enter(needs: &Needs) -> Self {
        load_name_modules();
        let folders = Folders::of(needs);
        let held = folders.held();
        // The others need it, where the process may not do more than its user anyway.
        let no_new_privs = nix::sys::prctl::set_no_new_privs().is_ok();
        let landlock = rules::enforce(&folders, &needs.tcp_ports);
        // Behind the rest, which older kernels grant to root alone; the filter forbids it.
        let capabilities = capabilities::reduce();
        let seccomp = filter::install(needs.unix_sockets);
        let left = match landlock {
            Strength::Whole(_) | Strength::Less(_) => Some(held),
            Strength::Off(_) => None,
        };
        Self {
            report: Report {
                no_new_privs,
                landlock,
                capabilities,
                // Without a filter nothing keeps it from them.
                unix_sockets: needs.unix_sockets || matches!(seccomp, Strength::Off(_)),
                seccomp,
            },
            left,
        }
    }

    /// Whether anything was to hold the process, whatever the kernel made of it.
    #[must_use]
    pub fn is_asked_for(&self) -> bool {
        self.report != Report::default()
    }

    /// What is in force.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Whether files are held back at all.
    #[must_use]
    pub fn holds_files(&self) -> bool {
        self.left.is_some()
    }

    /// Whether the process may read what `path` leads to now; also where there is
    /// nothing, for then that is what is wrong.
    #[must_use]
    pub fn admits(&self, path: &Path) -> bool {
        match (&self.left, path.canonicalize()) {
            (Some(left), Ok(target)) => left.may_read(&target),
            (None, _) | (_, Err(_)) => true,
        }
    }

    /// The files by which addresses are found by name that the process may no more read:
    /// others have taken their place since.
    pub fn lost_name_files(&self) -> impl Iterator<Item = &'static Path> {
        let files = NAME_SERVICE.iter().map(Path::new);
        files.filter(|file| !self.admits(file))
    }

    /// Whether the process may make and replace files in `folder`, which may not be
    /// there yet.
    #[must_use]
    pub fn keeps(&self, folder: &Path) -> bool {
        let mut above = folder.ancestors();
        match (
            &self.left,
            above.find_map(|folder| folder.canonicalize().ok()),
        ) {
            (Some(left), Some(found)) => left.may_keep(&found),
            (None, _) | (_, None) => true,
        }
    }
}

/// Has the C library load every module that finds addresses by name: later it couldn't,
/// for their code would have to be mapped. No name server is asked for a label that is
/// too long for one, and each module in turn doesn't know it.
fn load_name_modules() {
    let unknown = "x".repeat(64);
    // Whatever comes of it: a name that can't be found later, its own error tells of.
    let _ = (unknown.as_str(), 0).to_socket_addrs();
}
