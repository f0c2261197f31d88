//! Opening and making of files.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use super::identity::is_ours;

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

/// Opens a file to append to it, without following a link; makes it with this mode where there is none. Anything but a file of ours with
/// one name, or a device, is an error: somebody else may have put it there to receive what is written.
pub(crate) fn open_to_append(path: &Path, mode: u32) -> io::Result<File> {
    match OpenOptions::new().append(true).create_new(true).mode(mode).open(path) {
        Ok(file) => {
            file.set_permissions(std::fs::Permissions::from_mode(mode))?;
            return Ok(file);
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
        Err(error) => return Err(error),
    }
    let file = OpenOptions::new().append(true).custom_flags(ITSELF.bits().cast_signed()).open(path)?;
    let found = file.metadata()?;
    let trap = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    if found.file_type().is_char_device() {
        Ok(file)
    } else if !found.is_file() {
        trap("it is no plain file")
    } else if !is_ours(&found) {
        trap("it belongs to somebody else")
    } else if found.nlink() > 1 {
        trap("it has a second name (a hard link)")
    } else {
        Ok(file)
    }
}

/// Way of opening what is at a path and nothing else, without waiting.
const ITSELF: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

fn itself() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(ITSELF.bits().cast_signed());
    options
}

/// Opens a file for reading, following links. A pipe is opened without waiting for a writer.
pub(crate) fn open_at_once(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}
