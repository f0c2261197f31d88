//! Names of the files that SQLite keeps beside a journal: the log and its index.

use std::path::{Path, PathBuf};

/// Returns the path of the file with this suffix.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
