//! Files and folders that a process left behind when it was cut off.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::identity::{FileId, is_ours};
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
        names.filter(begins).for_each(|path| _ = self.take_away(&path));
    }

    /// Takes away what is at a path, unless a process has it locked. What is not ours, or of another kind, is an error.
    pub(super) fn take_away(self, path: &Path) -> io::Result<()> {
        let entry = match open_itself(path) {
            Ok(entry) => entry,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let found = entry.metadata()?;
        if !self.is_kind_of(&found) || !is_ours(&found) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "what is there is not ours"));
        }
        // Locked until it is removed: nobody takes it into use meanwhile.
        match entry.try_lock() {
            Ok(()) if is_at(&entry, path)? => self.remove(path),
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Tells whether a file still has this name.
pub(super) fn is_at(file: &File, name: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(name) {
        Ok(found) => Ok(FileId::from_metadata(&found) == FileId::from_metadata(&file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
