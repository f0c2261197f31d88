//! Files and folders that a process left behind when it was cut off.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::open::open_itself;

/// Kind of the entries of a folder that are made and renamed into place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Files with one name.
    Files,
    Folders,
}

impl Left {
    fn is_kind_of(self, found: &Metadata) -> bool {
        match self {
            Left::Files => found.is_file() && found.nlink() == 1,
            Left::Folders => found.is_dir(),
        }
    }

    fn remove(self, path: &Path) -> io::Result<()> {
        match self {
            Left::Files => fs::remove_file(path),
            Left::Folders => fs::remove_dir_all(path),
        }
    }

    /// Removes those in a folder whose names begin so, that are the user's own and that no process has locked. Those of others are
    /// left alone, and so is whatever cannot be removed.
    pub(crate) fn remove_from(self, folder: &Path, prefix: &OsStr) {
        let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let begins = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes())
        };
        let us = rustix::process::geteuid().as_raw();
        for path in names.filter(begins) {
            // Locked until it is removed: nobody takes it into use meanwhile.
            let Ok(entry) = open_itself(&path) else { continue };
            let is_left = entry.metadata().is_ok_and(|found| self.is_kind_of(&found) && found.uid() == us)
                && rustix::fs::flock(&entry, FlockOperation::NonBlockingLockExclusive).is_ok();
            if is_left {
                _ = self.remove(&path);
            }
        }
    }
}
