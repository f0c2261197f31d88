//! Where an open journal stands in the file system, so that one that went away is noticed: SQLite goes on writing to a file
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
        let found = std::fs::metadata(path)?;
        Ok(Self { device: found.dev(), inode: found.ino() })
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

/// What became of one of the files.
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
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let log = FileId::at(&beside(path, "-wal")).ok();
        Ok(Self { path: path.to_owned(), file: FileId::at(path)?, log })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Two looks at the file system, at most: a microsecond each.
    pub(crate) fn gone(&self) -> Option<Gone> {
        if let Some(how) = missing(&self.path, self.file) {
            return Some(Gone::File { path: self.path.clone(), how });
        }
        let path = beside(&self.path, "-wal");
        let how = missing(&path, self.log?)?;
        Some(Gone::Log { path, how })
    }

    /// Where the file is now that was opened, if it has a name at all.
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

fn missing(path: &Path, was: FileId) -> Option<How> {
    match FileId::at(path) {
        Ok(is) if is == was => None,
        Ok(_) => Some(How::Replaced),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Some(How::Missing)
        }
        Err(error) => Some(How::Hidden(error)),
    }
}

#[cfg(test)]
mod tests {
    use crate::journal::Journal;

    #[test]
    fn a_journal_is_where_it_was_until_one_of_its_files_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cutover.db");
        let journal = Journal::open(&path).unwrap();
        let place = journal.place().unwrap();
        assert!(place.gone().is_none() && place.now_at().is_some_and(|now| now.ends_with("cutover.db")));

        let moved = folder.path().join("moved.db");
        std::fs::rename(&path, &moved).unwrap();
        let gone = place.gone().unwrap().to_string();
        assert!(gone.ends_with("cutover.db` is no longer there"), "{gone}");
        assert_eq!(place.now_at().unwrap().file_name(), moved.file_name());
        std::fs::copy(&moved, &path).unwrap();
        assert!(place.gone().unwrap().to_string().ends_with("cutover.db` was replaced by another file"));
        std::fs::rename(&moved, &path).unwrap();
        assert!(place.gone().is_none());

        std::fs::remove_file(folder.path().join("cutover.db-wal")).unwrap();
        let gone = place.gone().unwrap().to_string();
        assert!(gone.ends_with("cutover.db-wal` of the journal is no longer there"), "{gone}");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(place.now_at(), None, "it has no name any more");
    }
}
