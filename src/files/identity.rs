//! Identity and owner of a file.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

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

/// Tells whether a file belongs to the user of this process, or to root, who could do everything anyway.
pub(crate) fn is_ours(found: &Metadata) -> bool {
    is_ours_or_of(found, None)
}

pub(super) fn is_ours_or_of(found: &Metadata, owner: Option<u32>) -> bool {
    let owners = [Some(rustix::process::geteuid().as_raw()), Some(0), owner];
    owners.contains(&Some(found.uid()))
}
