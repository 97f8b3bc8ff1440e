//! Secrets from standard input.

use super::super::super::output;
use super::super::super::terminal::Hidden;
use super::AuthError;
use std::io::{self, BufRead, IsTerminal, Read};
use zeroize::Zeroizing;

/// Longer than any key or token, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Reads a secret: a line of a terminal, after `prompt` was shown, else all of the input.
/// White space around it is taken off.
pub(super) fn read(prompt: &str) -> Result<Zeroizing<String>, AuthError> {
    let stdin = io::stdin().lock();
    // With this room, it doesn't grow and leaves no copies.
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize + 1));
    let is_terminal = stdin.is_terminal();
    let mut bounded = stdin.take(MAX_BYTES + 1);
    let read = if is_terminal {
        output::complain(prompt);
        let _hidden = Hidden::new();
        bounded.read_line(&mut text)
    } else {
        bounded.read_to_string(&mut text)
    };
    let refused = |words: &str| Err(AuthError::Refused(format!("standard input: {words}")));
    if let Err(error) = read {
        return refused(&error.to_string());
    }
    if text.len() as u64 > MAX_BYTES {
        return refused("got more than a key or token can be");
    }
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return refused("got nothing, expected a key or token");
    }
    if !trimmed.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refused(
            "got white space or other than ASCII within the key or token: was a line broken when \
             it was copied?",
        );
    }
    Ok(Zeroizing::new(trimmed.to_owned()))
}
