//! Identity and owner of a file.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::folder::{MOST_LINKS, folder_of};

/// Identity of a file, independent of its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    pub(crate) inode: u64,
}

impl FileId {
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|found| Self::from_metadata(&found))
    }

    pub(crate) fn from_metadata(found: &Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino() }
    }
}

/// Place of a plain file, independent of the spelling of its path.
#[derive(Debug, PartialEq, Eq)]
enum FilePlace {
    There(FileId),
    /// Folder and name of a file that is yet to be made.
    ToBeMade(FileId, OsString),
}

impl FilePlace {
    /// Returns the place that a path leads to; `None` where there is no plain file and can be none.
    fn at(path: &Path) -> Option<Self> {
        if let Ok(found) = std::fs::metadata(path) {
            return found.is_file().then(|| FilePlace::There(FileId::from_metadata(&found)));
        }
        let end = end_of_links(path);
        Some(FilePlace::ToBeMade(FileId::at(folder_of(&end)).ok()?, end.file_name()?.to_owned()))
    }
}

/// Tells whether two paths lead to one plain file, be it there or yet to be made. What is no plain file takes what several write.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    FilePlace::at(one).is_some_and(|place| Some(place) == FilePlace::at(other))
}

/// Follows links at the end of a path, as far as they lead.
fn end_of_links(path: &Path) -> PathBuf {
    let mut end = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(leads_to) = std::fs::read_link(&end) else { break };
        end = folder_of(&end).join(leads_to);
    }
    end
}

/// Tells whether a file belongs to the user of this process, or to root, who could do everything anyway.
pub(crate) fn is_ours(found: &Metadata) -> bool {
    is_ours_or_of(found, None)
}

pub(super) fn is_ours_or_of(found: &Metadata, owner: Option<u32>) -> bool {
    let owners = [Some(rustix::process::geteuid().as_raw()), Some(0), owner];
    owners.contains(&Some(found.uid()))
}
