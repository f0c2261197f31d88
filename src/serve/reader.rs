//! The journal, read by a few at a time: each on a connection of its own, in a thread that may wait.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::journal::{Journal, JournalError};

/// More at once would only wait for each other.
const AT_ONCE: usize = 4;

/// Which file it is, whatever its name; none where there is none.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileId(Option<(u64, u64)>);

impl FileId {
    fn of(path: &Path) -> Self {
        Self(fs::metadata(path).ok().map(|found| (found.dev(), found.ino())))
    }
}

#[derive(Clone)]
pub(super) struct Reader {
    path: PathBuf,
    /// Open, and not in use, each with the file that it is of.
    idle: Arc<Mutex<Vec<(FileId, Journal)>>>,
    turns: Arc<Semaphore>,
}

impl Reader {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Arc::default(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Reads in a thread of its own; whoever let go of the answer meanwhile lets it end unheard.
    pub(super) async fn read<T, E>(&self, read: impl FnOnce(&Journal) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        let turn = Arc::clone(&self.turns).acquire_owned().await.expect("it is never closed");
        let reader = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let file = FileId::of(&reader.path);
            let idle = reader.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let journal = match idle {
                Some((of, journal)) if of == file => journal,
                // Another file is there now, or none.
                Some(_) | None => Journal::open_to_read(&reader.path)?,
            };
            let read = read(&journal);
            // What went wrong may be about the connection.
            if read.is_ok() {
                reader.idle.lock().unwrap_or_else(PoisonError::into_inner).push((file, journal));
            }
            read
        });
        reading.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
    }
}
