//! Check that a journal is one file with one name: its log and its locks lie beside it and are found by its name, so that under a
//! second name two launches would not know of each other.
//!
//! source: sqlite.org/howtocorrupt.html (sections 2.4, 2.5)

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};

use super::beside::beside;
use crate::files;

/// Reason for which a path cannot hold a journal, or not safely.
#[derive(Debug, thiserror::Error)]
pub enum Misplaced {
    #[error("`{}` is a device, a pipe or a socket, and a journal is a file", .0.display())]
    NoFile(PathBuf),
    #[error("`{}` is a link that leads nowhere, and no journal is made behind it", .0.display())]
    LinkToNowhere(PathBuf),
    #[error(
        "the journal `{}` has {names} names (hard links): whoever uses another one has another log and other locks",
        path.display()
    )]
    Names {
        path: PathBuf,
        names: u64,
        /// A log lies beside this name, and may hold the last records.
        has_log: bool,
    },
    #[error("the journal `{}` is mounted as a single file: its log and its locks are not where others look for them", .0.display())]
    MountedAlone(PathBuf),
    #[error("`{}` beside the journal {how}", path.display())]
    Beside { path: PathBuf, how: &'static str },
}

/// Refuses a path that is no file, has a second name, or is mounted alone, or beside which lies a file that SQLite must not use.
/// A path at which nothing is yet passes.
pub(super) fn check(path: &Path) -> Result<(), Misplaced> {
    let Ok(found) = std::fs::metadata(path) else {
        // A path that cannot be looked at passes here and fails when it is opened.
        let is_link = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        let leads_nowhere = std::fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        return if is_link && leads_nowhere { Err(Misplaced::LinkToNowhere(path.to_owned())) } else { Ok(()) };
    };
    if !found.is_file() {
        return Err(Misplaced::NoFile(path.to_owned()));
    }
    if found.nlink() > 1 {
        // The file's own name, and not a link to it, is the one to find and remove.
        let path =
            if path.is_symlink() { path.canonicalize().unwrap_or_else(|_| path.to_owned()) } else { path.to_owned() };
        let has_log = std::fs::metadata(beside(&path, "-wal")).is_ok_and(|log| log.len() > 0);
        return Err(Misplaced::Names { path, names: found.nlink(), has_log });
    }
    if is_mounted_alone(path) {
        return Err(Misplaced::MountedAlone(path.to_owned()));
    }
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let is_open_to_others = files::folder::open_to_others(&path).is_some();
    ["-wal", "-shm", "-journal"].into_iter().try_for_each(|suffix| {
        let path = beside(&path, suffix);
        match std::fs::symlink_metadata(&path).map(|there| amiss(&there, &found, is_open_to_others)) {
            Ok(Some(how)) => Err(Misplaced::Beside { path, how }),
            Ok(None) | Err(_) => Ok(()),
        }
    })
}

/// Returns the fault of a file beside the journal that SQLite would read and write.
fn amiss(there: &Metadata, journal: &Metadata, folder_is_open_to_others: bool) -> Option<&'static str> {
    if !there.is_file() {
        Some("is not a plain file, as what SQLite keeps there is")
    } else if there.nlink() > 1 {
        Some("has a second name (a hard link), and what is written there would be written to that")
    } else if folder_is_open_to_others && there.uid() != journal.uid() && !files::identity::is_ours(there) {
        Some("belongs to somebody else, in a folder in which everybody can put files")
    } else {
        None
    }
}

/// Tells whether something is mounted on the file itself. Kernels before 5.8 do not say; there it is known by its device.
///
/// source: statx(2), `STATX_ATTR_MOUNT_ROOT`
fn is_mounted_alone(path: &Path) -> bool {
    if let Ok(found) = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS)
        && found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
    {
        return found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    }
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev()).ok();
    device(&path) != device(files::folder::folder_of(&path))
}
