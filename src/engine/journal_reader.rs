//! Journal as a run reads it, on a connection of its own.

use std::sync::{Arc, Mutex, PoisonError};

use crate::journal::{Journal, JournalError, RunKey};

/// Connection to the journal for reading, beside the recorder that writes it.
#[derive(Clone)]
pub(crate) struct JournalReader {
    journal: Arc<Mutex<Journal>>,
    pub(crate) run: RunKey,
}

impl JournalReader {
    pub(crate) fn new(journal: Journal, run: RunKey) -> Self {
        Self { journal: Arc::new(Mutex::new(journal)), run }
    }

    /// Reads on a blocking thread, so that the runtime's own threads never wait for the disk.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Journal, RunKey) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (journal, run) = (Arc::clone(&self.journal), self.run);
        let reading =
            tokio::task::spawn_blocking(move || read(&journal.lock().unwrap_or_else(PoisonError::into_inner), run));
        match reading.await {
            Ok(read) => read,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
