//! Readers of the journal: a limited number at a time, each on its own connection in a thread that may block.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::files::identity::FileId;
use crate::journal::{Journal, JournalError};

/// Most pages that are read at the same time; more would only wait for each other.
const AT_ONCE: usize = 4;
/// Most reports that are made at the same time. They take long, so that pages do not wait for them.
const REPORTS_AT_ONCE: usize = 1;
/// Longest time for a page; nobody waits longer for one.
const PAGE_WITHIN: Duration = Duration::from_mins(1);
const REPORT_WITHIN: Duration = Duration::from_mins(10);

/// Demand for a read: over once the client has left, or its time is up.
#[derive(Clone)]
pub(super) struct Demand {
    has_left: Arc<AtomicBool>,
    until: Instant,
}

impl Demand {
    fn within(time: Duration) -> Self {
        Self { has_left: Arc::default(), until: Instant::now() + time }
    }

    pub(super) fn is_over(&self) -> bool {
        self.has_left.load(Ordering::Relaxed) || Instant::now() >= self.until
    }
}

/// Client that waits for a read; dropping it ends the demand.
struct Waiter(Arc<AtomicBool>);

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// An open journal, with the id of its file if there was one when it was opened.
type Idle = (Option<FileId>, Journal);

#[derive(Clone)]
pub(super) struct Reader {
    path: PathBuf,
    /// Connections that are open and not in use.
    idle: Arc<Mutex<Vec<Idle>>>,
    turns: Arc<Semaphore>,
    report_turns: Arc<Semaphore>,
}

impl Reader {
    pub(super) fn new(path: PathBuf) -> Self {
        let turns = |n| Arc::new(Semaphore::new(n));
        Self { path, idle: Arc::default(), turns: turns(AT_ONCE), report_turns: turns(REPORTS_AT_ONCE) }
    }

    /// Reads for a report, like [`Reader::read`] with more time and a turn of its own.
    pub(super) async fn report<T, E>(
        &self,
        read: impl FnOnce(&Journal, &Demand) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        self.read_in_turn(&self.report_turns, REPORT_WITHIN, read).await
    }

    /// Reads in a thread of its own, as long as the client waits for the answer.
    pub(super) async fn read<T, E>(&self, read: impl FnOnce(&Journal) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        self.read_in_turn(&self.turns, PAGE_WITHIN, |journal, _| read(journal)).await
    }

    async fn read_in_turn<T, E>(
        &self,
        turns: &Arc<Semaphore>,
        within: Duration,
        read: impl FnOnce(&Journal, &Demand) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        let turn = Arc::clone(turns).acquire_owned().await.expect("it is never closed");
        let (reader, wanted) = (self.clone(), Demand::within(within));
        let _waiting = Waiter(Arc::clone(&wanted.has_left));
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let file = FileId::at(&reader.path).ok();
            let idle = reader.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let journal = match idle {
                Some((of, journal)) if of == file => journal,
                // Another file is there now, or none.
                Some(_) | None => Journal::open_to_read(&reader.path)?,
            };
            let until = wanted.clone();
            journal.read_until(move || until.is_over())?;
            let read = read(&journal, &wanted);
            // After an error the connection is not used again; nor is one that takes the file for unchanging, which would never
            // see what others write.
            if read.is_ok() && journal.sees_changes() {
                reader.idle.lock().unwrap_or_else(PoisonError::into_inner).push((file, journal));
            }
            read
        });
        reading.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
    }
}
