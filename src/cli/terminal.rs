//! A terminal that doesn't show what is typed, for as long as a secret is.

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How the terminal was, while it doesn't show what is typed.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Standard input shows nothing of what is typed until this is dropped.
pub(super) struct Hidden(());

impl Hidden {
    /// None where standard input is no terminal, or doesn't let itself be told.
    pub(super) fn new() -> Option<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin).ok()?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        // The line's end shows, so that what is printed next has a line of its own.
        hidden.local_flags.insert(LocalFlags::ECHONL);
        *lock() = Some(before);
        tcsetattr(&stdin, SetArg::TCSANOW, &hidden).ok()?;
        Some(Self(()))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        restore();
    }
}

/// Shows again what is typed, for a process that ends before it was told.
pub(super) fn restore() {
    if let Some(before) = lock().take() {
        // A terminal that has gone needs nothing.
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &before);
    }
}

fn lock() -> MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}
