//! Place of an open journal in the file system, so that its loss is noticed: SQLite goes on writing to a file that was moved,
//! deleted, replaced, cut off or written over, and nobody would find those records.

use std::fs::{File, Metadata};
use std::io;
use std::mem::ManuallyDrop;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::beside::beside;
use super::index::{self, Backfill, Index, LogHead};
use crate::files::identity::FileId;
use crate::files::open::open_itself;

/// Files of an open journal, as they were when it was opened. The database itself is looked at by its path alone: opening and
/// closing it again would release the locks that SQLite holds on it.
///
/// source: sqlite.org/howtocorrupt.html (section 2.2)
#[derive(Debug)]
pub(crate) struct JournalFiles {
    path: PathBuf,
    file: FileId,
    /// Rights and owner of the file.
    mode: u32,
    owner: (u32, u32),
    /// Log beside it, which holds the last writes.
    log: Option<OpenLog>,
    index: Option<OpenIndex>,
    /// State of the file when all was well.
    last: Look,
    /// Time of a later write that did not come from the log.
    touched_at: Option<WrittenAt>,
}

/// Seconds, and nanoseconds behind them.
type WrittenAt = (i64, i64);

#[derive(Debug)]
struct OpenLog {
    id: FileId,
    file: File,
}

/// Index of the log, which tells how long file and log have to be. Never closed, because that would release SQLite's locks on it.
#[derive(Debug)]
struct OpenIndex {
    id: FileId,
    file: ManuallyDrop<File>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    size: u64,
    written_at: WrittenAt,
    /// Part of the log that was written back into the file by then.
    backfill: Option<Backfill>,
    /// Least size of the log.
    log: u64,
}

/// Result of a look that found all files in their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FilesSeen {
    /// Size of the log.
    pub(crate) log: u64,
    /// The file was written to, and not from the log: its content has to be checked.
    pub(crate) was_touched: bool,
}

/// Loss of one of the files, and in which way.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Gone {
    #[error("the journal `{}` {how}", path.display())]
    File { path: PathBuf, how: How },
    #[error("the log `{}` of the journal {how}", path.display())]
    Log { path: PathBuf, how: How },
    #[error("the index `{}` of the journal's log {how}", path.display())]
    Index { path: PathBuf, how: How },
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum How {
    #[error("is no longer there")]
    Missing,
    #[error("was replaced by another file")]
    Replaced,
    #[error("cannot be looked at any more ({0})")]
    Hidden(io::Error),
    #[error("was cut off while the run went on")]
    CutOff,
    #[error("was written over while the run went on")]
    WrittenOver,
    #[error("was written over while the run went on ({0})")]
    Unlike(String),
    /// The file is whole, and what it holds of the run is not what this program recorded.
    #[error("was altered while the run went on ({0})")]
    Altered(String),
}

impl Gone {
    /// Tells whether the open file is intact, though no longer at its path.
    pub(crate) fn is_elsewhere(&self) -> bool {
        let (Gone::File { how, .. } | Gone::Log { how, .. } | Gone::Index { how, .. }) = self;
        match how {
            How::Missing | How::Replaced | How::Hidden(_) => true,
            How::CutOff | How::WrittenOver | How::Unlike(_) | How::Altered(_) => false,
        }
    }

    /// Tells whether the file is intact, and its records were changed by somebody else.
    pub(crate) fn is_altered(&self) -> bool {
        let (Gone::File { how, .. } | Gone::Log { how, .. } | Gone::Index { how, .. }) = self;
        match how {
            How::Altered(_) => true,
            How::Missing | How::Replaced | How::Hidden(_) | How::CutOff | How::WrittenOver | How::Unlike(_) => false,
        }
    }
}

impl JournalFiles {
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let log = beside(path, "-wal");
        let log =
            open_itself(&log).and_then(|file| Ok(OpenLog { id: FileId::from_metadata(&file.metadata()?), file })).ok();
        let index = beside(path, "-shm");
        let index = open_itself(&index).map(ManuallyDrop::new);
        let index = index.and_then(|file| Ok(OpenIndex { id: FileId::from_metadata(&file.metadata()?), file })).ok();
        let found = std::fs::metadata(path)?;
        let last = Look { size: found.len(), written_at: written_at(&found), backfill: None, log: 0 };
        let mut place = Self {
            path: path.to_owned(),
            file: FileId::from_metadata(&found),
            mode: found.mode() & 0o777,
            owner: (found.uid(), found.gid()),
            log,
            index,
            last,
            touched_at: None,
        };
        place.last.backfill = place.index().map(|index| index.backfill);
        Ok(place)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn mode(&self) -> u32 {
        self.mode
    }

    /// Returns the numbers of its user and its group.
    pub(crate) fn owner(&self) -> (u32, u32) {
        self.owner
    }

    /// Returns the size of the log in bytes; 0 without one.
    pub(crate) fn log_size(&self) -> u64 {
        self.log.as_ref().and_then(|log| log.file.metadata().ok()).map_or(0, |found| found.len())
    }

    /// Tells whether file and log are at least as long as at the last look. Asked before each write: a write behind a cut-off end
    /// restores the length, and hides the hole.
    pub(crate) fn is_as_long(&self) -> bool {
        let is_long = |path: &Path, size: u64| std::fs::metadata(path).is_ok_and(|found| found.len() >= size);
        is_long(&self.path, self.last.size)
            && (self.last.log == 0 || is_long(&beside(&self.path, "-wal"), self.last.log))
    }

    /// Looks whether the files are in their places and long enough. Takes a few system calls of about a microsecond each.
    pub(crate) fn look(&mut self) -> Result<FilesSeen, Gone> {
        let before = self.index();
        let of_file = |how| Gone::File { path: self.path.clone(), how };
        let found = unless_gone(&self.path, self.file).map_err(of_file)?;
        let log = self.look_at_log(before)?;
        if let Some(OpenIndex { id, .. }) = &self.index {
            let path = beside(&self.path, "-shm");
            unless_gone(&path, *id).map_err(|how| Gone::Index { path, how })?;
        }
        let (size, written_at) = (found.len(), written_at(&found));
        if size < self.last.size && !before.is_some_and(|index| index.fits_in(size)) {
            return Err(of_file(How::CutOff));
        }
        let seen = FilesSeen { log, was_touched: false };
        // The index cannot be read while somebody writes it; the next look decides.
        let Some(before) = before else { return Ok(seen) };
        if written_at != self.last.written_at {
            match self.was_written_back(&before) {
                Some(true) => (),
                Some(false) => {
                    self.touched_at = Some(written_at);
                    return Ok(FilesSeen { was_touched: true, ..seen });
                }
                None => return Ok(seen),
            }
        }
        self.last = Look { size, written_at, backfill: Some(before.backfill), log: before.log_size() };
        Ok(seen)
    }

    /// Accepts the file as of the last foreign write, after its content was checked.
    pub(crate) fn trust(&mut self) {
        self.last.written_at = self.touched_at.take().unwrap_or(self.last.written_at);
    }

    /// Returns the size of the log, if it holds the frames that its index counts.
    fn look_at_log(&self, index: Option<Index>) -> Result<u64, Gone> {
        let Some(log) = &self.log else { return Ok(0) };
        let path = beside(&self.path, "-wal");
        let gone = |how| Gone::Log { path: path.clone(), how };
        let size = unless_gone(&path, log.id).map_err(gone)?.len();
        let Some(index) = index.filter(|index| index.n_frames > 0) else { return Ok(size) };
        let how = if size < index.log_size() {
            How::CutOff
        } else if LogHead::read(&log.file).is_some_and(|head| head.begins(&index)) {
            return Ok(size);
        } else {
            How::WrittenOver
        };
        // Another process may have begun the log anew in between.
        let is_as_before = self.index().is_some_and(|now| now.is_of_the_same_log(&index));
        if is_as_before { Err(gone(how)) } else { Ok(size) }
    }

    /// Tells whether the last write to the file came from the log, which the index notes before it begins; `None` while the index
    /// cannot be read.
    fn was_written_back(&self, before: &Index) -> Option<bool> {
        let after = self.index()?.backfill;
        Some(after.is_under_way() || before.backfill != after || self.last.backfill != Some(after))
    }

    fn index(&self) -> Option<Index> {
        let mut bytes = [0; index::SIZE];
        self.index.as_ref()?.file.read_exact_at(&mut bytes, 0).ok()?;
        Index::read(&bytes)
    }

    /// Returns the other processes that read in the log now, and so keep it from being restarted; `None` if the system does not
    /// tell.
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

    /// Returns the present path of the file that was opened; `None` if it has no name any more.
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

fn written_at(found: &Metadata) -> WrittenAt {
    (found.mtime(), found.mtime_nsec())
}

fn unless_gone(path: &Path, was: FileId) -> Result<Metadata, How> {
    let found = std::fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => How::Missing,
        _ => How::Hidden(error),
    })?;
    if FileId::from_metadata(&found) == was { Ok(found) } else { Err(How::Replaced) }
}

/// Returns the process that holds the lock on a line of `/proc/locks`, if that is a reader's lock on the index with this inode.
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
        let mut place = journal.place().unwrap();
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

    /// A journal with a page or two in its log, and all else written back.
    fn in_use(folder: &Path) -> (PathBuf, Journal, JournalFiles) {
        let path = folder.join("cutover.db");
        let journal = Journal::open(&path).unwrap();
        journal.write_back().unwrap();
        change(&path);
        let place = journal.place().unwrap();
        (path, journal, place)
    }

    /// Writes to the journal from another connection, as a command does.
    fn change(path: &Path) {
        let other = rusqlite::Connection::open(path).unwrap();
        other.execute_batch("CREATE TABLE IF NOT EXISTS other (a); INSERT INTO other VALUES (1)").unwrap();
    }

    fn truncate(path: &Path, size: u64) {
        File::options().write(true).open(path).unwrap().set_len(size).unwrap();
    }

    #[test]
    fn what_is_written_and_written_back_by_whomever_is_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let (path, journal, mut place) = in_use(folder.path());
        for _ in 0..3 {
            assert!(place.is_as_long() && !place.look().unwrap().was_touched);
            change(&path);
            assert!(place.is_as_long() && !place.look().unwrap().was_touched);
            assert!(journal.write_back().unwrap());
            assert!(place.is_as_long() && !place.look().unwrap().was_touched);
            let other = rusqlite::Connection::open(&path).unwrap();
            other.execute_batch("INSERT INTO other VALUES (2); PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
            assert!(!place.look().unwrap().was_touched);
        }
    }

    #[test]
    fn a_file_that_is_cut_off_or_written_over_where_it_is_is_noticed() {
        type Harm = fn(&Path);
        let harms: [(Harm, &str); 5] = [
            (|path| truncate(path, 0), "cutover.db` was cut off while the run went on"),
            (|path| truncate(path, 8192), "cutover.db` was cut off while the run went on"),
            (
                |path| truncate(&beside(path, "-wal"), 0),
                "cutover.db-wal` of the journal was cut off while the run went on",
            ),
            (
                |path| truncate(&beside(path, "-wal"), 4096),
                "cutover.db-wal` of the journal was cut off while the run went on",
            ),
            (
                |path| {
                    let log = File::options().write(true).open(beside(path, "-wal")).unwrap();
                    log.write_all_at(&[0; 32], 0).unwrap();
                },
                "cutover.db-wal` of the journal was written over while the run went on",
            ),
        ];
        for (harm, expected) in harms {
            let folder = tempfile::tempdir().unwrap();
            let (path, _journal, mut place) = in_use(folder.path());
            place.look().unwrap();
            harm(&path);
            assert_eq!(place.is_as_long(), expected.contains("written over"), "{expected}");
            let gone = place.look().unwrap_err();
            assert!(gone.to_string().ends_with(expected) && !gone.is_elsewhere(), "{gone}");
        }
    }

    #[test]
    fn a_file_that_was_touched_is_told_until_it_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _journal, mut place) = in_use(folder.path());
        assert!(!place.look().unwrap().was_touched);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert!(place.look().unwrap().was_touched && place.look().unwrap().was_touched);
        place.trust();
        assert!(!place.look().unwrap().was_touched);
        std::fs::remove_file(beside(&path, "-shm")).unwrap();
        let gone = place.look().unwrap_err();
        assert!(
            gone.is_elsewhere()
                && gone.to_string().ends_with("cutover.db-shm` of the journal's log is no longer there")
        );
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
