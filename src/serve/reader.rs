//! The journal, read by a few at a time: each on a connection of its own, in a thread that may wait.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::files::FileId;
use crate::journal::{Journal, JournalError};

/// More at once would only wait for each other.
const AT_ONCE: usize = 4;
/// A report may take a while, and what is looked at meanwhile does not wait for it.
const REPORTS_AT_ONCE: usize = 1;
/// Nobody looks at a page that takes longer.
const PAGE_WITHIN: Duration = Duration::from_mins(1);
const REPORT_WITHIN: Duration = Duration::from_mins(10);

/// Tells a reading when it is for nobody any more: whoever waited for it left, or it took too long.
#[derive(Clone)]
pub(super) struct Wanted {
    has_left: Arc<AtomicBool>,
    until: Instant,
}

impl Wanted {
    fn within(time: Duration) -> Self {
        Self { has_left: Arc::default(), until: Instant::now() + time }
    }

    pub(super) fn is_over(&self) -> bool {
        self.has_left.load(Ordering::Relaxed) || Instant::now() >= self.until
    }
}

/// Reader that waits; once this is dropped, nobody does.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A journal, and the file that it is of, if there was one.
type Idle = (Option<FileId>, Journal);

#[derive(Clone)]
pub(super) struct Reader {
    path: PathBuf,
    /// Open, and not in use.
    idle: Arc<Mutex<Vec<Idle>>>,
    turns: Arc<Semaphore>,
    report_turns: Arc<Semaphore>,
}

impl Reader {
    pub(super) fn new(path: PathBuf) -> Self {
        let turns = |n| Arc::new(Semaphore::new(n));
        Self { path, idle: Arc::default(), turns: turns(AT_ONCE), report_turns: turns(REPORTS_AT_ONCE) }
    }

    /// The same for what takes long.
    pub(super) async fn report<T, E>(
        &self,
        read: impl FnOnce(&Journal, &Wanted) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        self.read_in_turn(&self.report_turns, REPORT_WITHIN, read).await
    }

    /// Reads in a thread of its own, as long as somebody waits for the answer.
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
        read: impl FnOnce(&Journal, &Wanted) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        let turn = Arc::clone(turns).acquire_owned().await.expect("it is never closed");
        let (reader, wanted) = (self.clone(), Wanted::within(within));
        let _waiting = Waiting(Arc::clone(&wanted.has_left));
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
            // What went wrong may be about the connection; and one that takes the file for one that does not change would
            // never see what others write to it.
            if read.is_ok() && journal.sees_changes() {
                reader.idle.lock().unwrap_or_else(PoisonError::into_inner).push((file, journal));
            }
            read
        });
        reading.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
    }
}
