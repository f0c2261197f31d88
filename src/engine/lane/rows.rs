//! Rows of a lane: those to come, their queues, and the counts of those that are tried.

use tokio::time::Instant;

use super::first_answers::FirstAnswers;
use super::mark::Mark;
use super::state::Lane;
use super::under_way::UnderWayGuard;
use crate::event::outcome::Outcome;
use crate::gate::queue::QueuePosition;
use crate::ledger::standing::Standing;
use crate::recorder::refusal::NotRecorded;
use crate::steering::counts::{TryResult, Turn};

impl<R> Lane<R> {
    /// Joins the queue of rows that wait for their turn. A row that was just looked at, to be sent again, goes past it.
    pub(crate) fn join_queue(&self) -> QueuePosition {
        self.limits.queue().join()
    }

    /// Waits for a position among the rows that may be between their direct look and their request: no more of them than leave
    /// in the time for which the look is good.
    pub(crate) async fn come_first_of_direct(&self) -> QueuePosition {
        let mut position = self.limits.direct_queue().join();
        position.come_first().await;
        position
    }

    /// Sets the number of unsettled rows that are not queued yet.
    pub(crate) fn expect_rows(&self, n_rows: u64) {
        self.to_do.count(n_rows);
    }

    /// Takes a row out of those that are to come, and gives it its position in the queue. A row that may have been sent already
    /// has none: it goes first in any case.
    pub(crate) fn admit(&self, standing: &Standing) -> Option<QueuePosition> {
        self.to_do.queued_one();
        let is_new = !standing.doubted && !standing.phase.is_in_doubt();
        is_new.then(|| self.join_queue())
    }

    pub(crate) fn has_rows_to_come(&self) -> bool {
        self.to_do.n_to_come() > 0
    }

    /// Number of rows that were not sent yet; `u64::MAX` until they are counted.
    pub(super) fn n_unsent(&self) -> u64 {
        let n_queued = u64::try_from(self.limits.queue().len()).expect("a few hundred");
        self.to_do.n_to_come().saturating_add(n_queued)
    }

    /// Counts a row as tried, once the service has taken it or it has come out.
    pub(crate) fn begin_row(&self) -> Turn {
        self.driver.begin()
    }

    /// Counts the result of a row that was tried. Enough failures stop the run.
    pub(crate) async fn end_row(&self, turn: Option<Turn>, result: TryResult) -> Result<(), NotRecorded> {
        self.to_do.tried_one();
        let turn = turn.unwrap_or_else(|| self.begin_row());
        self.driver.end(turn, result).await
    }

    /// Leaves the row of a turn to a later launch.
    pub(crate) fn leave_row(&self, turn: Turn) {
        self.driver.leave(turn);
    }

    /// Counts one more row that this run has moved.
    pub(crate) fn moved_row(&self) {
        self.driver.moved_one(self.id);
    }

    /// Takes rows out of the count that were all refused with this answer and are opened again.
    pub(crate) fn forget_refused(&self, outcome: &Outcome, n_rows: usize) {
        self.driver.forget(&TryResult::from_refusal(outcome), n_rows as u64);
    }

    /// Begins a change, which is under way until the guard is dropped.
    pub(crate) fn begin_change(&self) -> UnderWayGuard<'_> {
        self.under_way.begin()
    }

    /// Start of the time in which no change is under way; `None` while one is.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        self.under_way.idle_since()
    }

    /// Waits until the last change under way ends, or the lane is throttled.
    pub(crate) async fn changes_ended(&self) {
        self.under_way.ended().await;
    }

    pub(crate) async fn first_answers(&self) -> tokio::sync::MutexGuard<'_, FirstAnswers> {
        self.first_answers.lock().await
    }

    /// Progress of the lane up to now.
    pub(crate) fn mark(&self) -> Mark {
        Mark::new(self.to_do.n_tried(), &self.gate.snapshot(), self.under_way.busy(), Instant::now())
    }
}
