//! Folders: private ones, and the question who else can put a file into one.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Limit of links on one path; the system itself follows no more.
///
/// source: `path_resolution(7)`
pub(super) const MOST_LINKS: usize = 40;

/// Bit of a folder in which users can remove only their own files.
const STICKY: u32 = 0o1000;

/// Returns the folder in which a file of this name is.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a private folder in `parent` for this process, which is removed with the value.
pub(crate) fn private_folder_in(parent: &Path) -> io::Result<TempDir> {
    private_folder_named(".cutover-", parent)
}

/// Makes a private folder like [`private_folder_in`], whose name begins so.
pub(crate) fn private_folder_named(prefix: &str, parent: &Path) -> io::Result<TempDir> {
    let private = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix(prefix).permissions(private).tempdir_in(parent)
}

/// Makes a folder for one user, and its missing parents.
pub(crate) fn make_private_folders(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Tells whether root made the folder for several users so that nobody can remove what is another's.
pub(crate) fn is_shared_by_root(folder: &Path) -> bool {
    std::fs::symlink_metadata(folder).is_ok_and(|found| {
        found.is_dir() && found.uid() == 0 && (found.mode() & 0o002 == 0 || found.mode() & STICKY != 0)
    })
}

/// Tells whether what has this name is another's, in a folder in which users can replace only their own files.
pub(super) fn is_kept_by_another(path: &Path) -> bool {
    let (Ok(found), Ok(folder)) = (std::fs::symlink_metadata(path), std::fs::metadata(folder_of(path))) else {
        return false;
    };
    let us = rustix::process::geteuid();
    // source: unlink(2), rename(2) (EPERM)
    folder.mode() & STICKY != 0 && !us.is_root() && ![found.uid(), folder.uid()].contains(&us.as_raw())
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
