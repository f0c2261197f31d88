//! Keeps enough calls open until the worklist is empty, or until the run is asked to stop.
//!
//! Rows come from the journal a page at a time and in the order of waves; what is open is bounded, and so is memory.
//! [`call`] is one row, [`lane`] what the calls of one account share, [`reader`] how they see, [`stop`] how they end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::event::{DrainReason, LaneId};
use crate::journal::read::Which;
use crate::journal::{Journal, JournalError, RunKey};
use crate::ledger::Standing;
use crate::model::{Row, RowId};
use crate::recorder::JournalClosed;
use crate::remote::Remote;

pub(crate) mod call;
pub(crate) mod lane;
pub(crate) mod reader;
mod sight;
pub(crate) mod stop;

use call::Call;
use lane::Lane;

/// Calls that are open at once in all lanes, most of them waiting to be verified.
const OPEN: usize = 2048;
/// What a lane may have open however many there are: less than a page of sources would make its looks dear.
const OPEN_IN_LANE: usize = 256;
/// Rows that are open and not yet answered, as seconds of the pace: what one sweep saw of them is still fresh when
/// the last of them is sent.
const FRESH_SECONDS: f64 = 40.0;
const FRESH_AT_MOST: u32 = 512;

/// The journal as a run reads it, beside the recorder that writes it.
#[derive(Clone)]
pub(crate) struct Book {
    journal: Arc<Mutex<Journal>>,
    pub(crate) run: RunKey,
}

impl Book {
    pub(crate) fn new(journal: Journal, run: RunKey) -> Self {
        Self { journal: Arc::new(Mutex::new(journal)), run }
    }

    /// Reads off the runtime's threads.
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

/// Why the engine could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Closed(#[from] JournalClosed),
    #[error("a call panicked; its row stays in doubt")]
    Panicked,
}

/// What a launch does with the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Carry,
    /// Settles what is in doubt by reading; sends no change.
    Reconcile,
}

/// Carries all lanes side by side. One that stops leaves the others going.
pub(crate) async fn run<R: Remote>(lanes: &[Arc<Lane<R>>], book: &Book, purpose: Purpose) -> Result<(), EngineError> {
    match purpose {
        Purpose::Carry => {
            // A wave begins when nothing of the one before it is open, in any lane.
            for wave_no in unsettled_waves(lanes, book).await? {
                side_by_side(lanes, book, purpose, |lane| Which::Unsettled { lane, wave_no }).await?;
            }
            Ok(())
        }
        Purpose::Reconcile => side_by_side(lanes, book, purpose, |lane| Which::InDoubt { lane }).await,
    }
}

async fn unsettled_waves<R: Remote>(lanes: &[Arc<Lane<R>>], book: &Book) -> Result<BTreeSet<u32>, EngineError> {
    let mut waves = BTreeSet::new();
    for lane in lanes.iter().map(|lane| lane.id) {
        waves.extend(book.read(move |journal, run| journal.unsettled_waves(run, lane)).await?);
    }
    Ok(waves)
}

async fn side_by_side<R: Remote>(
    lanes: &[Arc<Lane<R>>],
    book: &Book,
    purpose: Purpose,
    which: impl Fn(LaneId) -> Which,
) -> Result<(), EngineError> {
    let n_open = (OPEN / lanes.len().max(1)).max(OPEN_IN_LANE);
    let mut carrying = JoinSet::new();
    for lane in lanes {
        let (lane, book, which) = (Arc::clone(lane), book.clone(), which(lane.id));
        carrying.spawn(async move { carry(&lane, &book, which, purpose, n_open).await });
    }
    let mut first_failed = Ok(());
    while let Some(carried) = carrying.join_next().await {
        let carried = carried.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        first_failed = first_failed.and(carried);
    }
    first_failed
}

async fn carry<R: Remote>(
    lane: &Arc<Lane<R>>,
    book: &Book,
    which: Which,
    purpose: Purpose,
    n_open: usize,
) -> Result<(), EngineError> {
    let n_fresh = fresh_rows(lane);
    let fresh = Arc::new(Semaphore::new(usize::try_from(n_fresh).expect("a few hundred")));
    // Taken half at a time, so that rows which need a look ask for it together.
    let portion = n_fresh.div_ceil(2);
    let mut calls = JoinSet::new();
    let mut after: Option<RowId> = None;
    loop {
        let admitted = admit(lane, &fresh, portion, &mut calls, n_open).await?;
        let Some(mut admitted) = admitted else { break };
        let rows = book.read(move |journal, run| journal.page(run, which, after, portion)).await?;
        let Some((last, _)) = rows.last() else { break };
        after = Some(last.id);
        for (row, standing) in rows {
            let permit = admitted.split(1);
            calls.spawn(one(Arc::clone(lane), row, standing, purpose, permit));
        }
    }
    while let Some(ended) = calls.join_next().await {
        ending(lane, &ended)?;
    }
    if lane.stop.has_reason(DrainReason::Panicked) { Err(EngineError::Panicked) } else { Ok(()) }
}

fn fresh_rows<R: Remote>(lane: &Lane<R>) -> u32 {
    let floor = lane.settings.concurrency.saturating_mul(2).min(FRESH_AT_MOST);
    let by_pace = lane.gate.snapshot().per_second.map_or(f64::from(FRESH_AT_MOST), |rate| rate * FRESH_SECONDS);
    // A saturating cast of a positive number of rows.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a few hundred")]
    let rows = by_pace.clamp(f64::from(floor), f64::from(FRESH_AT_MOST)) as u32;
    rows
}

/// Waits until there is room for more rows. None: nothing new is started.
async fn admit<R: Remote>(
    lane: &Lane<R>,
    fresh: &Arc<Semaphore>,
    portion: u32,
    calls: &mut JoinSet<Result<(), JournalClosed>>,
    n_open: usize,
) -> Result<Option<OwnedSemaphorePermit>, EngineError> {
    let mut room = std::pin::pin!(lane.stop.unless_draining(Arc::clone(fresh).acquire_many_owned(portion)));
    loop {
        tokio::select! {
            biased;
            Some(ended) = calls.join_next() => ending(lane, &ended)?,
            permit = &mut room, if calls.len() < n_open => {
                return Ok(permit.map(|permit| permit.expect("the semaphore is never closed")));
            }
        }
    }
}

fn ending<R: Remote>(
    lane: &Lane<R>,
    ended: &Result<Result<(), JournalClosed>, tokio::task::JoinError>,
) -> Result<(), EngineError> {
    let Ok(recorded) = ended else {
        // The others are awaited; this row stays in doubt, and a later launch looks at it.
        lane.stop.drain(DrainReason::Panicked);
        return Ok(());
    };
    Ok((*recorded)?)
}

async fn one<R: Remote>(
    lane: Arc<Lane<R>>,
    row: Row,
    standing: Standing,
    purpose: Purpose,
    permit: Option<OwnedSemaphorePermit>,
) -> Result<(), JournalClosed> {
    let mut call = Call::new(&lane, row, standing, purpose == Purpose::Carry);
    call.fresh = permit;
    call.run().await.map(|_| ())
}
