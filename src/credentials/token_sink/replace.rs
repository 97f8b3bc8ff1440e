//! Puts a new file in an old one's place: whenever the process or the machine dies,
//! there is the old one or the new one, whole.

use serde_json::{Map, Value};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use zeroize::Zeroizing;

const SUFFIX: &str = ".tmp";

/// Writes `document` to `name` in `folder`, for its owner alone. The caller holds the
/// lock of the file.
pub(super) fn replace(folder: &Path, name: &str, document: &Map<String, Value>) -> io::Result<()> {
    let prefix = format!("{name}.");
    sweep(folder, &prefix)?;
    let text = text(document)?;
    // tempfile makes files of mode 0600.
    let mut file = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(SUFFIX)
        .tempfile_in(folder)?;
    file.write_all(&text)?;
    file.as_file().sync_all()?;
    file.persist(folder.join(name))
        .map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// Removes what a writer that was killed has left; it holds secrets, and under the
/// lock nobody is still at it.
fn sweep(folder: &Path, prefix: &str) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        let is_left = name
            .to_str()
            .is_some_and(|name| name.starts_with(prefix) && name.ends_with(SUFFIX));
        if is_left {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn text(document: &Map<String, Value>) -> io::Result<Zeroizing<Vec<u8>>> {
    // Growing would leave copies behind that aren't wiped: measure first.
    let mut length = Length(0);
    serde_json::to_writer_pretty(&mut length, document)?;
    let mut text = Zeroizing::new(Vec::with_capacity(length.0 + 1));
    serde_json::to_writer_pretty(&mut *text, document)?;
    text.push(b'\n');
    Ok(text)
}

/// Counts what is written to it.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
