//! Clearance of a change: the question that its row asks before it leaves, and again while it waits.

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;

use super::state::Lane;
use crate::engine::driver::Clearance;
use crate::ledger::standing::Standing;
use crate::model::SourceId;

/// Reason for which a wait for leave was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hindered {
    /// The lane stops.
    Stopped,
    /// The run is paused.
    Paused,
}

impl<R> Lane<R> {
    /// Tells if a change of this row may leave now.
    pub(crate) fn clearance(&self, source: &SourceId, standing: &Standing) -> Clearance {
        self.driver.clearance(&self.stop, source, standing)
    }

    /// Waits while changes are paused. Returns `None` as soon as the lane drains.
    pub(crate) async fn unpaused(&self) -> Option<()> {
        self.stop.unless_draining(self.driver.unpaused()).await
    }

    /// Does the work, unless the lane stops or the run is paused meanwhile.
    pub(crate) async fn while_cleared<T>(&self, work: impl Future<Output = T> + Unpin) -> Result<T, Hindered> {
        let unpaused = self.stop.unless_draining(self.driver.unless_paused(work)).await.ok_or(Hindered::Stopped)?;
        unpaused.ok_or(Hindered::Paused)
    }

    /// Waits until nothing of the launch before this one can leave any more. Returns at once where nobody else can lead the run.
    pub(crate) async fn until_alone(&self) -> Result<(), Hindered> {
        match self.recorder.holds_run_in() {
            Some(time) => self.while_cleared(Box::pin(sleep(time))).await,
            None => Ok(()),
        }
    }

    /// Tells that a change may leave now, as far as the log of the run knows.
    pub(crate) fn holds_run(&self) -> bool {
        self.recorder.holds_run()
    }

    /// Waits for the log of the run to say that nobody else has taken the run over.
    pub(crate) async fn hold_run(&self) -> Result<(), Hindered> {
        self.until_alone().await?;
        // A log that takes nothing more stops the lane.
        self.while_cleared(Box::pin(self.recorder.hold_run())).await?.map_err(|_| Hindered::Stopped)
    }

    /// Waits for one of the few permits for rows of a canary, which is held until the row's answer is known. Returns `None` at
    /// once where no canary goes on.
    pub(crate) async fn one_of_few(&self) -> Option<OwnedSemaphorePermit> {
        self.driver.cautiously().await
    }
}
