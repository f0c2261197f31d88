//! Destinations that are written to and never replaced: devices, pipes, sockets, and open descriptors of a process.
//!
//! `/dev/stdout` is a link to an open descriptor of the process. A report that was renamed into its place would be
//! everybody's standard output from then on.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fd::{OwnedFd, RawFd};
use rustix::fs::{OFlags, PROC_SUPER_MAGIC, fcntl_getfl, fcntl_setfl, statfs};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use super::folder::{MOST_LINKS, folder_of, open_to_others};
use super::identity::is_ours;

/// Destination that is written to as it is.
#[derive(Debug)]
pub(super) struct Stream {
    path: PathBuf,
    /// Number of the descriptor under which this process has it open.
    open_here: Option<RawFd>,
}

impl Stream {
    /// Finds the stream at a path; `None` where a file is, or can be made. Fails where somebody else may have put a name there to
    /// receive what is written.
    pub(super) fn at(path: &Path) -> io::Result<Option<Self>> {
        let way = LinkPath::from(path);
        let found = std::fs::metadata(path).ok();
        let is_no_file = found.as_ref().is_some_and(|found| !found.is_file() && !found.is_dir());
        if way.ends_in == End::AName && !is_no_file {
            return Ok(None);
        }
        if way.is_of_somebody_else {
            return Err(trap("the link"));
        }
        if let Some(found) = found.filter(|_| way.ends_in == End::AName) {
            check_is_nobodys_trap(path, &found)?;
        }
        let open_here = match way.ends_in {
            End::OpenHere(number) => Some(number),
            End::AName | End::OpenElsewhere => None,
        };
        Ok(Some(Self { path: path.to_owned(), open_here }))
    }

    /// Checks before the work that an open descriptor can be written to. A pipe may still get its reader until then.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.open_here.is_some() { self.open().map(drop) } else { Ok(()) }
    }

    /// Tells whether people read what is written to it, as it is written.
    pub(super) fn is_a_terminal(&self) -> bool {
        let may_be = self.open_here.is_some()
            || std::fs::metadata(&self.path).is_ok_and(|found| found.file_type().is_char_device());
        may_be && self.open().is_ok_and(|file| file.is_terminal())
    }

    /// Opens it for writing, behind its present content. An open descriptor is continued at its position, as by any
    /// other program that writes to its standard output.
    pub(super) fn open(&self) -> io::Result<File> {
        if let Some(file) = self.open_here.and_then(|number| taken(number).ok()) {
            let access = fcntl_getfl(&file)? & OFlags::RWMODE;
            return if access == OFlags::RDONLY {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is open, and not to be written to"))
            } else {
                Ok(File::from(file))
            };
        }
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = OpenOptions::new().append(true).custom_flags(flags.bits().cast_signed()).open(&self.path);
        let file = opened.map_err(|error| {
            let nobody = error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error());
            if nobody { io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads from this pipe") } else { error }
        })?;
        check_is_nobodys_trap(&self.path, &file.metadata()?)?;
        fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
        Ok(file)
    }
}

/// Duplicates a descriptor of this process, with a shared position.
///
/// source: `pidfd_getfd(2)`
fn taken(number: RawFd) -> rustix::io::Result<OwnedFd> {
    let this_process = pidfd_open(getpid(), PidfdFlags::empty())?;
    pidfd_getfd(&this_process, number, PidfdGetfdFlags::empty())
}

/// Links that a path leads through.
struct LinkPath {
    ends_in: End,
    /// True if another user made one of the links, in a folder in which everybody can.
    is_of_somebody_else: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    AName,
    /// Descriptor of this process.
    OpenHere(RawFd),
    /// Descriptor of another process.
    OpenElsewhere,
}

impl LinkPath {
    fn from(path: &Path) -> Self {
        let (mut here, mut is_of_somebody_else) = (path.to_owned(), false);
        for _ in 0..MOST_LINKS {
            let Ok(folder) = folder_of(&here).canonicalize() else { break };
            if let Some(ends_in) = here.file_name().and_then(|name| descriptor(&folder, name.to_str()?)) {
                return Self { ends_in, is_of_somebody_else };
            }
            let Ok(leads_to) = std::fs::read_link(&here) else { break };
            let is_ours = std::fs::symlink_metadata(&here).is_ok_and(|found| is_ours(&found));
            is_of_somebody_else |= !is_ours && open_to_others(&here).is_some();
            here = folder.join(leads_to);
        }
        Self { ends_in: End::AName, is_of_somebody_else }
    }
}

/// Returns the descriptor of this name, if the folder is one of descriptors.
///
/// source: `proc_pid_fd(5)`
fn descriptor(folder: &Path, name: &str) -> Option<End> {
    let number = name.parse().ok()?;
    if folder.file_name()? != "fd" || statfs(folder).ok()?.f_type != PROC_SUPER_MAGIC {
        return None;
    }
    let is_here = folder
        .ancestors()
        .any(|above| above.file_name().is_some_and(|name| name == getpid().as_raw_nonzero().to_string().as_str()));
    Some(if is_here { End::OpenHere(number) } else { End::OpenElsewhere })
}

/// Refuses a pipe that somebody else may have put there to receive what is written. Everybody can make a pipe where everybody can
/// make files; a device is made by root alone, and a terminal belongs to whoever sits at it.
fn check_is_nobodys_trap(path: &Path, found: &Metadata) -> io::Result<()> {
    // A pipe without a name was handed to us, already open.
    let named = path.canonicalize().ok();
    let is_open_to_others = named.as_deref().is_some_and(|path| open_to_others(path).is_some());
    if !found.file_type().is_char_device() && is_open_to_others && !is_ours(found) {
        return Err(trap("the pipe"));
    }
    Ok(())
}

fn trap(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("{what} belongs to somebody else, in a folder in which everybody can put files"),
    )
}
