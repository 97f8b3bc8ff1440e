//! What the user pastes while the browser is waited for.

use std::io::{self, BufRead, Read};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// Longer than any redirect URL, in bytes.
const MAX_LINE: u64 = 16 * 1024;

/// The lines of standard input that aren't blank; the channel ends with it. The thread
/// stays where it is, since nothing ends a read, and goes with the process.
pub(super) fn lines() -> mpsc::UnboundedReceiver<Zeroizing<String>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let read = move || {
        loop {
            let mut line = Zeroizing::new(String::with_capacity(MAX_LINE as usize));
            match io::stdin().lock().take(MAX_LINE).read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => {}
                Ok(_) => {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            }
        }
    };
    // Without a thread nothing can be pasted, as with standard input at its end.
    let _ = std::thread::Builder::new()
        .name("pasted".to_owned())
        .spawn(read);
    receiver
}
