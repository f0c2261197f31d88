//! Names of the files that SQLite keeps beside a journal: its log, and the index of that.

use std::path::{Path, PathBuf};

/// Path of the one with this suffix.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
