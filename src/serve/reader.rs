//! The journal, read by a few at a time: each on a connection of its own, in a thread that may wait.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::journal::{Journal, JournalError};

/// More at once would only wait for each other.
const AT_ONCE: usize = 4;

#[derive(Clone)]
pub(super) struct Reader {
    path: PathBuf,
    /// Open, and not in use.
    idle: Arc<Mutex<Vec<Journal>>>,
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
            let idle = reader.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let journal = match idle {
                Some(journal) => journal,
                None => Journal::open_to_read(&reader.path)?,
            };
            let read = read(&journal);
            // What went wrong may be about the connection.
            if read.is_ok() {
                reader.idle.lock().unwrap_or_else(PoisonError::into_inner).push(journal);
            }
            read
        });
        reading.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
    }
}
