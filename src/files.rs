//! Opening and making files in folders where other users may have put something first: one way for all of them.
//!
//! A name in a folder promises nothing: behind it may be a link to somebody's file, a second name of one, or a pipe that nobody
//! reads. So a file that is made here is new and readable for few, an opened file is checked before it is used, and nothing
//! waits for a peer that may never come. [`beside`] replaces a file in one step, [`stream`] writes to what cannot be replaced.
//!
//! Temporary files without a name (`tempfile::tempfile`) need none of this: nobody else finds them.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tempfile::TempDir;

pub(crate) mod beside;
mod stream;

/// Bit of a folder in which users can remove only their own files.
const STICKY: u32 = 0o1000;

/// Mode of a file that only its owner reads and writes.
pub(crate) const PRIVATE: u32 = 0o600;

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

/// Returns the mode of a new file that is not for others: its owner's alone, and also for a group where the folder passes its
/// group on to new files (setgid), or where the umask leaves the group more than everybody.
pub(crate) fn private_mode(folder: &Path) -> u32 {
    const SETGID: u32 = 0o2000;
    let hands_on = std::fs::metadata(folder).is_ok_and(|found| found.mode() & SETGID != 0);
    mode_under(umask(), hands_on)
}

fn mode_under(umask: u32, folder_hands_on_its_group: bool) -> u32 {
    let left = 0o666 & !umask;
    let (of_group, of_everybody) = (left >> 3 & 0o6, left & 0o6);
    let is_for_the_group = folder_hands_on_its_group || of_group & !of_everybody != 0;
    let mode = PRIVATE & left;
    if is_for_the_group { mode | of_group << 3 } else { mode }
}

/// Returns the umask. Asking the system call itself would change it for a moment, for all threads.
///
/// source: `proc_pid_status(5)`
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let written = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    written.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok()).unwrap_or(0o077)
}

/// Returns the folder in which a file of this name is.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a new file with this mode. Anything that is there already is an error, even a dangling link.
pub(crate) fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)?;
    // The mode is meant as it is: undoes what the umask took away.
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    Ok(file)
}

/// Makes a new file of a kind that people edit: readable as their umask allows, and writable only for them.
pub(crate) fn create_for_people(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)
}

/// Opens an existing file for reading, without following a link. A pipe or a device is opened without waiting, and left to the
/// caller to refuse.
pub(crate) fn open_itself(path: &Path) -> io::Result<File> {
    itself().open(path)
}

/// Does the same for writing, too, where that is allowed.
pub(crate) fn open_itself_to_write(path: &Path) -> io::Result<File> {
    match itself().write(true).open(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            open_itself(path)
        }
        opened => opened,
    }
}

fn itself() -> OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    options
}

/// Opens a file for reading, following links. A pipe is opened without waiting for a writer.
pub(crate) fn open_at_once(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Makes a private folder for this process, which is removed with the value.
pub(crate) fn private_folder() -> io::Result<TempDir> {
    private_folder_in(&std::env::temp_dir())
}

/// Makes a private folder in `parent`, beside the destination of its content.
pub(crate) fn private_folder_in(parent: &Path) -> io::Result<TempDir> {
    let private = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix(".cutover-").permissions(private).tempdir_in(parent)
}

/// Makes a folder for one user, and its missing parents.
pub(crate) fn make_private_folders(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Tells whether a file belongs to the user of this process, or to root, who could do everything anyway.
pub(crate) fn is_ours(found: &Metadata) -> bool {
    is_ours_or_of(found, None)
}

fn is_ours_or_of(found: &Metadata, owner: Option<u32>) -> bool {
    let owners = [Some(rustix::process::geteuid().as_raw()), Some(0), owner];
    owners.contains(&Some(found.uid()))
}

/// Tells whether root made the folder for several users so that nobody can remove what is another's.
pub(crate) fn is_shared_by_root(folder: &Path) -> bool {
    std::fs::symlink_metadata(folder).is_ok_and(|found| {
        found.is_dir() && found.uid() == 0 && (found.mode() & 0o002 == 0 || found.mode() & STICKY != 0)
    })
}

/// Tells whether only this user can change the folder's rights, and nobody meant it for everybody (sticky).
pub(crate) fn is_ours_to_close(folder: &Path) -> bool {
    let us = rustix::process::geteuid().as_raw();
    std::fs::metadata(folder).is_ok_and(|found| found.uid() == us && found.mode() & STICKY == 0)
}

/// Returns the folder that lets everybody on the machine put a file in this one's place: its own, or one above it in which
/// everybody can rename entries.
pub(crate) fn open_to_others(path: &Path) -> Option<PathBuf> {
    let folder = folder_of(path).canonicalize().ok()?;
    let is_open = |folder: &&Path, unless: u32| {
        std::fs::metadata(folder).is_ok_and(|found| found.mode() & 0o002 != 0 && found.mode() & unless == 0)
    };
    // In a sticky folder, only the owner can rename an entry.
    let mut above = folder.ancestors().skip(1);
    let found = Some(folder.as_path()).filter(|folder| is_open(folder, 0));
    found.or_else(|| above.find(|folder| is_open(folder, STICKY))).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_its_owners_alone_unless_something_says_that_it_is_a_groups() {
        for (umask, hands_on, mode) in [
            (0o022, false, 0o600),
            (0o000, false, 0o600),
            (0o077, false, 0o600),
            (0o002, false, 0o660),
            (0o007, false, 0o660),
            (0o027, false, 0o640),
            (0o022, true, 0o640),
            (0o002, true, 0o660),
            (0o077, true, 0o600),
        ] {
            assert_eq!(mode_under(umask, hands_on), mode, "{umask:o}, setgid: {hands_on}");
        }
    }

    #[test]
    fn folders_that_everybody_may_write_to_are_found_also_above() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("a/b");
        std::fs::create_dir_all(&folder).unwrap();
        let set =
            |folder: &Path, mode| std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
        let file = folder.join("cutover.db");
        assert_eq!(open_to_others(&file), None);
        set(&folder, 0o1777);
        assert_eq!(open_to_others(&file), Some(folder.canonicalize().unwrap()));
        assert!(!is_ours_to_close(&folder), "it was made for everybody");
        set(&folder, 0o777);
        assert!(is_ours_to_close(&folder));
        set(&folder, 0o775);
        set(&top.path().join("a"), 0o1777);
        assert_eq!(open_to_others(&file), None);
        set(&top.path().join("a"), 0o777);
        assert_eq!(open_to_others(&file), Some(top.path().join("a").canonicalize().unwrap()));
    }
}
