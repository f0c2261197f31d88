//! Opening and making of files.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

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
