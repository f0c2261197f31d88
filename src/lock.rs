//! File locks that end with the process: one launch per run, one run per account and endpoint.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::files;
use crate::files::identity::FileId;
use crate::values;
use crate::wording::plain::plain;

/// Holder of a lock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) pid: u32,
    pub(crate) host: String,
    pub(crate) since: jiff::Timestamp,
    /// Journal that it writes to; `None` from an earlier version, which did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) journal: Option<PathBuf>,
}

impl Owner {
    fn this_process(journal: &Path) -> Self {
        let journal = std::path::absolute(journal).unwrap_or_else(|_| journal.to_owned());
        Self { pid: std::process::id(), host: host(), since: jiff::Timestamp::now(), journal: Some(journal) }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} on {}, since {:.0}", self.pid, plain(&self.host), self.since)?;
        match &self.journal {
            Some(journal) => write!(f, ", with the journal `{}`", plain(&journal.display().to_string())),
            None => Ok(()),
        }
    }
}

/// Returns the machine's name, as locks and the journal have it.
pub(crate) fn host() -> String {
    // source: proc_sys_kernel(5)
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "unknown".to_owned() } else { name.to_owned() }
}

const A_MOMENT: Duration = Duration::from_millis(100);
/// Limit in bytes, longer than any holder's description of itself.
const LONGEST_OWNER: u64 = 64 << 10;

/// Returns the path of a run's lock: beside its journal, where everybody who could open the journal sees it, and beside the
/// file itself, whichever link it was named by.
pub(crate) fn of_run(journal: &Path, run_id: &str) -> PathBuf {
    let file = std::fs::canonicalize(journal).unwrap_or_else(|_| journal.to_owned());
    let mut name = file.into_os_string();
    name.push(format!(".{run_id}.lock"));
    PathBuf::from(name)
}

/// Tells whether a lock is held; `None` if that cannot be found out.
pub(crate) fn is_held(path: &Path) -> Option<bool> {
    match files::open::open_itself(path) {
        Ok(file) if !file.metadata().is_ok_and(|found| found.is_file()) => None,
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Some(false),
            Err(TryLockError::WouldBlock) => Some(true),
            Err(TryLockError::Error(_)) => None,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}

/// Conduct of a launch that meets a lock of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfLocked {
    Fail,
    /// Ends well, and counts for nothing.
    Skip,
    /// Waits for the lock, at most so long.
    Wait(Duration),
}

/// Longest wait for a lock, unless one is named.
const WAIT_UNLESS_NAMED: Duration = Duration::from_mins(5);

/// Reads `fail`, `skip`, `wait` or `wait=DURATION`.
pub(crate) fn if_locked(text: &str) -> Result<IfLocked, String> {
    match (text, text.strip_prefix("wait=")) {
        ("fail", _) => Ok(IfLocked::Fail),
        ("skip", _) => Ok(IfLocked::Skip),
        ("wait", _) => Ok(IfLocked::Wait(WAIT_UNLESS_NAMED)),
        (_, Some(most)) => values::duration(most).map(IfLocked::Wait),
        (_, None) => Err(format!("`{text}` is none of fail, skip, wait and wait=5m")),
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("another launch holds {what}: {}", owner.as_ref().map_or_else(
        || "it does not say who it is".to_owned(),
        ToString::to_string))]
    Held { path: PathBuf, what: String, owner: Option<Owner> },
    #[error("the file system of `{}` does not keep locks, so that two launches could run at once", .0.display())]
    Unworkable(PathBuf),
    #[error("the lock `{}` {how}: it is not one that cutover made, and is left as it is", path.display())]
    NotOurs { path: PathBuf, how: &'static str },
    #[error("could not make the lock `{}`", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Lock that is held until it is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes a lock. `what` completes "another launch holds …"; the journal is recorded, to be told to a process that is refused. A missing lock file
    /// is made with the rights of `mode`.
    pub(crate) fn take(path: &Path, mode: u32, what: &str, journal: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        let asked = Instant::now();
        loop {
            let OpenedLock { mut file, is_ours } = open(path, mode)?;
            match file.try_lock() {
                Ok(()) => (),
                // Perhaps another process only tests it, see [`is_held`], and releases it in a moment.
                Err(TryLockError::WouldBlock) if asked.elapsed() < A_MOMENT => {
                    std::thread::sleep(A_MOMENT / 10);
                    continue;
                }
                Err(TryLockError::WouldBlock) => {
                    let (path, what) = (path.to_owned(), what.to_owned());
                    return Err(LockError::Held { path, what, owner: read_owner(&mut file) });
                }
                Err(TryLockError::Error(source)) if source.kind() == io::ErrorKind::Unsupported => {
                    return Err(LockError::Unworkable(path.to_owned()));
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            // Its last holder may have removed the file between our opening and our locking it.
            if !is_still_at(&file, path) {
                continue;
            }
            // A file system without working locks lets a second handle have it too.
            if open(path, mode)?.file.try_lock().is_ok() {
                return Err(LockError::Unworkable(path.to_owned()));
            }
            if is_ours {
                write_owner(&mut file, journal).map_err(failed)?;
            } else if std::fs::remove_file(path).is_ok() {
                // The file of another user was removed, so that one of ours can record the holder. One that stays is held as it is.
                continue;
            }
            return Ok(Self { path: path.to_owned(), _file: file });
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is held, so that it is not the file of the next holder.
        _ = std::fs::remove_file(&self.path);
    }
}

/// Opened file of a lock, read-only if somebody else made it.
struct OpenedLock {
    file: File,
    /// Belongs to us or to root, and may be written to.
    is_ours: bool,
}

fn open(path: &Path, mode: u32) -> Result<OpenedLock, LockError> {
    let failed = |source| LockError::Io { path: path.to_owned(), source };
    let not_ours = |how| LockError::NotOurs { path: path.to_owned(), how };
    let is_no_file = "is no plain file";
    loop {
        let file = match files::open::open_itself_to_write(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => match files::open::create_new(path, mode) {
                Ok(file) => file,
                // Somebody made it in between.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(source) => return Err(failed(source)),
            },
            Err(error) => {
                let found = std::fs::symlink_metadata(path);
                return Err(match found {
                    Ok(found) if found.is_symlink() => not_ours("is a link"),
                    Ok(found) if !found.is_file() => not_ours(is_no_file),
                    Ok(_) | Err(_) => failed(error),
                });
            }
        };
        let found = file.metadata().map_err(failed)?;
        return match found.nlink() {
            _ if !found.is_file() => Err(not_ours(is_no_file)),
            // Its holder removed it in between.
            0 => continue,
            1 => Ok(OpenedLock { file, is_ours: files::identity::is_ours(&found) }),
            _ => Err(not_ours("has a second name (a hard link)")),
        };
    }
}

fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => FileId::from_metadata(&ours) == FileId::from_metadata(&there),
        (_, _) => false,
    }
}

fn write_owner(file: &mut File, journal: &Path) -> io::Result<()> {
    let owner = serde_json::to_vec(&Owner::this_process(journal))?;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&owner)
}

/// Reads the holder; `None` in the moment between its locking and writing.
fn read_owner(file: &mut File) -> Option<Owner> {
    let mut text = String::new();
    file.take(LONGEST_OWNER).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::mode::PRIVATE;

    #[test]
    fn a_second_taker_is_told_who_holds_it_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.lock");
        let lock = Lock::take(&path, PRIVATE, "the run", Path::new("night.db")).unwrap();
        let text = Lock::take(&path, PRIVATE, "the run", Path::new("night.db")).unwrap_err().to_string();
        assert!(text.starts_with(&format!("another launch holds the run: pid {}", std::process::id())), "{text}");
        assert!(text.ends_with("/night.db`"), "{text}");
        drop(lock);
        assert!(!path.exists());
        Lock::take(&path, PRIVATE, "the run", Path::new("night.db")).unwrap();
    }

    #[test]
    fn conduct_is_named_by_a_word_and_a_wait_may_have_its_length() {
        assert_eq!(if_locked("skip"), Ok(IfLocked::Skip));
        assert_eq!(if_locked("wait"), Ok(IfLocked::Wait(WAIT_UNLESS_NAMED)));
        assert_eq!(if_locked("wait=90s"), Ok(IfLocked::Wait(Duration::from_secs(90))));
        for bad in ["", "Wait", "wait 5m", "wait=", "wait=0s", "wait=soon", "skip=5m"] {
            assert!(if_locked(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_that_a_dead_process_left_is_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.lock");
        std::fs::write(&path, r#"{"pid":1,"host":"gone","since":"2026-01-01T00:00:00Z"}"#).unwrap();
        Lock::take(&path, PRIVATE, "the run", Path::new("night.db")).unwrap();
    }

    #[test]
    fn what_is_no_lock_of_ours_is_refused_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "theirs").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        std::os::unix::fs::symlink("absent", at("nowhere")).unwrap();
        std::fs::hard_link(at("file"), at("name")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for name in ["link", "nowhere", "name", "folder", "pipe"] {
            let refused = Lock::take(&at(name), PRIVATE, "the run", Path::new("night.db")).unwrap_err();
            assert!(matches!(refused, LockError::NotOurs { .. }), "{name}: {refused}");
            assert!(is_held(&at(name)) != Some(true), "{name}");
        }
        assert_eq!(std::fs::read_to_string(at("file")).unwrap(), "theirs");
        assert!(!at("absent").exists());
    }
}
