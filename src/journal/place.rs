//! The place of an open journal in the file system, so that one that went away is noticed: SQLite goes on writing to a file
//! that was moved, deleted or replaced, and nobody would find there what it wrote.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::opening::beside;

/// Which file a path named, whatever it names now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn at(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|found| Self::of(&found))
    }

    fn of(found: &std::fs::Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino() }
    }
}

/// The files of an open journal, as they were when it was opened. Only looked at by their paths: to open and close one of
/// them again would give up the locks that SQLite holds on it.
///
/// source: sqlite.org/howtocorrupt.html (section 2.2)
#[derive(Clone, Debug)]
pub(crate) struct Place {
    path: PathBuf,
    file: FileId,
    /// The log beside it, which holds what was written last.
    log: Option<FileId>,
}

/// Fate of one of the files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Gone {
    #[error("the journal `{}` {how}", path.display())]
    File { path: PathBuf, how: How },
    #[error("the log `{}` of the journal {how}", path.display())]
    Log { path: PathBuf, how: How },
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum How {
    #[error("is no longer there")]
    Missing,
    #[error("was replaced by another file")]
    Replaced,
    #[error("cannot be looked at any more ({0})")]
    Hidden(io::Error),
}

impl Place {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let log = FileId::at(&beside(path, "-wal")).ok();
        Ok(Self { path: path.to_owned(), file: FileId::at(path)?, log })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Size of the log, if all is where it was. Two looks at the file system: a microsecond each.
    pub(crate) fn look(&self) -> Result<u64, Gone> {
        size(&self.path, self.file).map_err(|how| Gone::File { path: self.path.clone(), how })?;
        let Some(log) = self.log else { return Ok(0) };
        let path = beside(&self.path, "-wal");
        size(&path, log).map_err(|how| Gone::Log { path, how })
    }

    /// The other processes that read in the log now, and so keep it from being begun anew. None: the system does not say.
    ///
    /// source: `proc_locks(5)`; sqlite.org/walformat.html (section 2.3): who reads holds one of five bytes of the index.
    pub(crate) fn readers(&self) -> Option<Vec<String>> {
        let index = FileId::at(&beside(&self.path, "-shm")).ok()?;
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        let mut pids: Vec<i64> = locks.lines().filter_map(|line| reads_in(line, index.inode)).collect();
        pids.retain(|pid| *pid != i64::from(std::process::id()));
        pids.sort_unstable();
        pids.dedup();
        let named = |pid: i64| match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
            Ok(name) => format!("process {pid} (`{}`)", name.trim_end()),
            Err(_) => format!("process {pid}"),
        };
        Some(pids.into_iter().map(named).collect())
    }

    /// Path of the file that was opened, as it is now, if it has a name at all.
    pub(crate) fn now_at(&self) -> Option<PathBuf> {
        // source: proc_pid_fd(5): the link names the file's path as it is now, or says that it is deleted.
        let open = std::fs::read_dir("/proc/self/fd").ok()?;
        let named = open.flatten().find_map(|entry| {
            let link = entry.path();
            (FileId::at(&link).ok()? == self.file).then(|| std::fs::read_link(&link).ok()).flatten()
        });
        named.filter(|path| FileId::at(path).is_ok_and(|found| found == self.file))
    }
}

fn size(path: &Path, was: FileId) -> Result<u64, How> {
    let found = std::fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => How::Missing,
        _ => How::Hidden(error),
    })?;
    if FileId::of(&found) == was { Ok(found.len()) } else { Err(How::Replaced) }
}

/// Whose lock it is, if a line of the system's locks says that somebody reads by this index.
fn reads_in(line: &str, index: u64) -> Option<i64> {
    const FIRST: u64 = 123;
    const LAST: u64 = 127;
    // `1: POSIX  ADVISORY  READ 4711 fe:00:10158293 123 123`; one who waits for it has an arrow behind the number.
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, "POSIX", _, "READ", pid, file, from, to] = words[..] else { return None };
    let inode: u64 = file.rsplit(':').next()?.parse().ok()?;
    let (from, to): (u64, u64) = (from.parse().ok()?, to.parse().unwrap_or(u64::MAX));
    (inode == index && from <= LAST && to >= FIRST).then(|| pid.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    #[test]
    fn a_journal_is_where_it_was_until_one_of_its_files_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cutover.db");
        let journal = Journal::open(&path).unwrap();
        let place = journal.place().unwrap();
        assert!(place.look().is_ok() && place.now_at().is_some_and(|now| now.ends_with("cutover.db")));

        let moved = folder.path().join("moved.db");
        std::fs::rename(&path, &moved).unwrap();
        let gone = place.look().unwrap_err().to_string();
        assert!(gone.ends_with("cutover.db` is no longer there"), "{gone}");
        assert_eq!(place.now_at().unwrap().file_name(), moved.file_name());
        std::fs::copy(&moved, &path).unwrap();
        assert!(place.look().unwrap_err().to_string().ends_with("cutover.db` was replaced by another file"));
        std::fs::rename(&moved, &path).unwrap();
        assert!(place.look().is_ok());

        std::fs::remove_file(folder.path().join("cutover.db-wal")).unwrap();
        let gone = place.look().unwrap_err().to_string();
        assert!(gone.ends_with("cutover.db-wal` of the journal is no longer there"), "{gone}");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(place.now_at(), None, "it has no name any more");
    }

    #[test]
    fn who_reads_is_found_among_the_locks() {
        let line = |rest: &str| format!("7: {rest}");
        assert_eq!(reads_in(&line("POSIX  ADVISORY  READ  4711 fe:00:99 124 124"), 99), Some(4711));
        for other in [
            "POSIX  ADVISORY  READ  4711 fe:00:98 124 124",
            "POSIX  ADVISORY  WRITE 4711 fe:00:99 120 120",
            "POSIX  ADVISORY  READ  4711 fe:00:99 128 128",
            "FLOCK  ADVISORY  READ  4711 fe:00:99 0 EOF",
        ] {
            assert_eq!(reads_in(&line(other), 99), None, "{other}");
        }
    }
}
