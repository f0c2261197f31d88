//! Scheduler of calls: keeps enough of them open until no row is left to do, or until the run is asked to stop.
//!
//! Rows come from the journal a page at a time and in the order of waves; what is open is bounded, and so is memory.
//! [`call`] is one row, [`lane`] what the calls of one account share, [`reader`] how they see, [`stop`] how they end.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::event::lane::LaneId;
use crate::event::run::DrainReason;
use crate::gate::queue::QueuePosition;
use crate::journal::read::rows::Which;
use crate::journal::{Journal, JournalError};
use crate::ledger::standing::Standing;
use crate::model::{Row, RowId};
use crate::recorder::refusal::{NotRecorded, unless_to_lane};
use crate::remote::service::Remote;
use crate::waves::Stage;

pub(crate) mod call;
pub(crate) mod command_poll;
pub(crate) mod driver;
mod foreign;
pub(crate) mod journal_reader;
pub(crate) mod lane;
pub(crate) mod look_request;
mod onlookers;
pub(crate) mod reader;
pub(crate) mod stop;

use call::{Call, LaunchPurpose};
use driver::{Driver, DriverError, Leave};
use journal_reader::JournalReader;
use lane::mark::Mark;
use lane::{Lane, RunParts};

/// Calls that are open at once in a few lanes, most of them waiting to be verified.
const OPEN: usize = 2048;
/// Calls that each of many lanes may have open, as far as [`OPEN_IN_ALL`] allows: fewer than a page of sources make looks dear.
const OPEN_IN_LANE: usize = 256;
/// Calls that all lanes together may have open. A portion of rows may go beyond its lane's share by a quarter of it.
const OPEN_IN_ALL: usize = 8192;
/// Rows that are open and not yet answered, in seconds of the pace: the states that one sweep showed of them are still fresh when
/// the last of them is sent.
const FRESH_SECONDS: f64 = 40.0;
const FRESH_AT_MOST: u32 = 1024;

/// Reason for which the engine could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Closed(#[from] NotRecorded),
    #[error("a call panicked; its row stays in doubt")]
    Panicked,
}

impl From<DriverError> for EngineError {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::Journal(error) => error.into(),
            DriverError::Closed(closed) => closed.into(),
        }
    }
}

/// Carries all lanes side by side. A lane that stops leaves the others going.
pub(crate) async fn run<R: Remote>(
    lanes: &[Arc<Lane<R>>],
    of_run: &RunParts,
    purpose: LaunchPurpose,
) -> Result<(), EngineError> {
    let RunParts { driver, journal, .. } = of_run;
    match purpose {
        LaunchPurpose::Carry => {
            // A stage begins when nothing of the one before it is open, in any lane.
            let mut stages = journal.read(Journal::unsettled_stages).await?.into_iter().peekable();
            for (id, n_rows) in journal.read(Journal::unsettled_by_lane).await? {
                if let Some(lane) = lanes.iter().find(|lane| lane.id == id) {
                    lane.expect_rows(n_rows);
                }
            }
            while let Some(stage) = stages.next() {
                // Rows of accounts that have stopped stay as they are.
                if goes_on_in(lanes, journal, &stage).await? {
                    if driver.begin_stage(&stage).await? == Leave::Denied {
                        return Ok(());
                    }
                    carry_stage(lanes, journal, driver, &stage).await?;
                }
                if lanes.iter().all(|lane| lane.is_draining()) {
                    return Ok(());
                }
                if stages.peek().is_some() && driver.may_follow(&stage).await? == Leave::Denied {
                    return Ok(());
                }
            }
            Ok(())
        }
        LaunchPurpose::Reconcile => side_by_side(lanes, journal, purpose, |lane| Which::InDoubt { lane }).await,
    }
}

/// Tells that an account that has not stopped has rows in the stage.
async fn goes_on_in<R: Remote>(
    lanes: &[Arc<Lane<R>>],
    journal: &JournalReader,
    stage: &Stage,
) -> Result<bool, EngineError> {
    if lanes.iter().all(|lane| lane.goes_on()) {
        return Ok(true);
    }
    let (wave_no, part) = (stage.wave_no, stage.part);
    let left = journal.read(move |journal, run| journal.unsettled_in_wave(run, wave_no)).await?;
    let goes = |id: LaneId| lanes.iter().any(|lane| lane.id == id && lane.goes_on());
    Ok(left.iter().any(|(id, of, _)| *of == part && goes(*id)))
}

async fn carry_stage<R: Remote>(
    lanes: &[Arc<Lane<R>>],
    journal: &JournalReader,
    driver: &Driver,
    stage: &Stage,
) -> Result<(), EngineError> {
    let before: Vec<Mark> = lanes.iter().map(|lane| lane.mark()).collect();
    let (wave_no, part) = (stage.wave_no, stage.part);
    let which = |lane| Which::Unsettled { lane, wave_no, part };
    driver.within_the_window(side_by_side(lanes, journal, LaunchPurpose::Carry, which)).await??;
    for (lane, before) in lanes.iter().zip(&before) {
        driver.learn(lane.id, &lane.mark().since(before));
    }
    let left = journal.read(move |journal, run| journal.unsettled_in_wave(run, wave_no)).await?;
    let n_left = left.iter().filter(|(_, of, _)| *of == part).map(|(_, _, n)| n).sum();
    let n_left_in_wave = left.iter().map(|(_, _, n)| n).sum();
    Ok(driver.end_stage(stage, n_left, n_left_in_wave).await?)
}

async fn side_by_side<R: Remote>(
    lanes: &[Arc<Lane<R>>],
    journal: &JournalReader,
    purpose: LaunchPurpose,
    which: impl Fn(LaneId) -> Which,
) -> Result<(), EngineError> {
    let n_going = lanes.iter().filter(|lane| lane.has_rows_to_come()).count();
    let n_open = share_of_open(n_going);
    let mut carrying = JoinSet::new();
    for lane in lanes {
        let (lane, journal, which) = (Arc::clone(lane), journal.clone(), which(lane.id));
        carrying.spawn(async move { carry(&lane, &journal, which, purpose, n_open).await });
    }
    let mut first_failed = Ok(());
    while let Some(carried) = carrying.join_next().await {
        let carried = carried.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        first_failed = first_failed.and(carried);
    }
    first_failed
}

/// Calls that each of so many lanes may have open, at least one.
fn share_of_open(n_lanes: usize) -> usize {
    let n_lanes = n_lanes.max(1);
    (OPEN / n_lanes).max(OPEN_IN_LANE.min(OPEN_IN_ALL / n_lanes)).max(1)
}

async fn carry<R: Remote>(
    lane: &Arc<Lane<R>>,
    journal: &JournalReader,
    which: Which,
    purpose: LaunchPurpose,
    n_open: usize,
) -> Result<(), EngineError> {
    let fresh = Arc::new(Semaphore::new(0));
    let mut n_fresh = 0;
    let mut calls = JoinSet::new();
    let mut after: Option<RowId> = None;
    let mut read = Ok(());
    loop {
        // The pace may have changed since the last portion.
        let share = u32::try_from(n_open).expect("a few thousand");
        let wanted = fresh_rows(lane).min(share);
        fresh.add_permits(usize::try_from(wanted.saturating_sub(n_fresh)).expect("a few hundred"));
        n_fresh = n_fresh.max(wanted);
        // Taken half at a time, so that rows which need a look ask for it together.
        // The first ones need not wait for the rest to be read.
        let portion = if after.is_none() { lane.gate().concurrency().min(wanted) } else { wanted.div_ceil(2) };
        let portion = portion.min(share.div_ceil(4));
        let admitted = admit(lane, &fresh, portion, &mut calls, n_open).await?;
        let Some(mut admitted) = admitted else { break };
        let rows = match journal.read(move |journal, run| journal.page(run, which, after, portion)).await {
            Ok(rows) => rows,
            Err(error) => {
                // Open calls come to their ends.
                lane.drain_run(DrainReason::JournalClosed);
                read = Err(error);
                break;
            }
        };
        let Some((last, _)) = rows.last() else { break };
        after = Some(last.id);
        for (row, standing) in rows {
            let permit = admitted.split(1);
            // Joined here and not in its task: tasks do not begin in the order in which they are spawned.
            let position = lane.admit(&standing);
            calls.spawn(one(Arc::clone(lane), row, standing, purpose, permit, position));
        }
    }
    while let Some(ended) = calls.join_next().await {
        ending(lane, &ended)?;
    }
    read?;
    if lane.drains_for(DrainReason::Panicked) { Err(EngineError::Panicked) } else { Ok(()) }
}

fn fresh_rows<R: Remote>(lane: &Lane<R>) -> u32 {
    let floor = lane.gate().concurrency().saturating_mul(2).min(FRESH_AT_MOST);
    let by_pace = lane.gauges().per_second.map_or(f64::from(FRESH_AT_MOST), |rate| rate * FRESH_SECONDS);
    // A saturating cast of a positive number of rows.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a few hundred")]
    let rows = by_pace.clamp(f64::from(floor), f64::from(FRESH_AT_MOST)) as u32;
    rows
}

/// Waits until there is room for more rows; `None` if nothing new is started.
async fn admit<R: Remote>(
    lane: &Lane<R>,
    fresh: &Arc<Semaphore>,
    portion: u32,
    calls: &mut JoinSet<Result<(), NotRecorded>>,
    n_open: usize,
) -> Result<Option<OwnedSemaphorePermit>, EngineError> {
    let mut room = std::pin::pin!(lane.unless_draining(Arc::clone(fresh).acquire_many_owned(portion)));
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
    ended: &Result<Result<(), NotRecorded>, tokio::task::JoinError>,
) -> Result<(), EngineError> {
    let Ok(recorded) = ended else {
        // The others are awaited; this row stays in doubt, and a later launch looks at it.
        lane.drain_run(DrainReason::Panicked);
        return Ok(());
    };
    // A refused lane drains; its other calls come to their ends.
    Ok(unless_to_lane(*recorded)?)
}

async fn one<R: Remote>(
    lane: Arc<Lane<R>>,
    row: Row,
    standing: Standing,
    purpose: LaunchPurpose,
    permit: Option<OwnedSemaphorePermit>,
    position: Option<QueuePosition>,
) -> Result<(), NotRecorded> {
    Call::new(&lane, row, standing, purpose, permit, position).run().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_bounded_over_all_lanes_in_equal_shares() {
        assert_eq!([1, 2, 8, 32, 200].map(share_of_open), [2048, 1024, 256, 256, 40]);
        for n_lanes in 1..=OPEN_IN_ALL {
            let all = n_lanes * share_of_open(n_lanes);
            assert!(all <= OPEN_IN_ALL, "{all} of {n_lanes} lanes");
        }
        assert_eq!(share_of_open(usize::MAX), 1);
    }

    #[test]
    fn the_future_of_a_row_is_small_because_it_is_moved_with_its_task() {
        fn size_of_future<A, B, C, D, E, F, T>(_: impl FnOnce(A, B, C, D, E, F) -> T) -> usize {
            size_of::<T>()
        }
        let size = size_of_future(one::<crate::remote::http::Http>);
        assert!(size <= 2464, "{size} bytes: box what takes much room for a short time");
    }
}
