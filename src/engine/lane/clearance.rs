//! Clearance of a change: the question that its row asks before it leaves, and again while it waits.

use tokio::sync::OwnedSemaphorePermit;

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

    /// Waits for one of the few permits for rows of a canary, which is held until the row's answer is known. Returns `None` at
    /// once where no canary goes on.
    pub(crate) async fn one_of_few(&self) -> Option<OwnedSemaphorePermit> {
        self.driver.cautiously().await
    }
}
