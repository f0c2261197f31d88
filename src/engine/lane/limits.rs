//! Handle by which the rate and the concurrency of a lane are set.

use std::sync::Arc;

use crate::event::lane::LaneId;
use crate::gate::Gate;
use crate::gate::queue::Queue;

/// Cheap to clone; every clone is the handle of the same lane.
#[derive(Clone)]
pub(crate) struct LaneLimits {
    lane: LaneId,
    gate: Arc<Gate>,
    /// Queues before the gate, as wide as its settings ask for.
    queue: Arc<Queue>,
    direct_queue: Arc<Queue>,
}

impl LaneLimits {
    pub(crate) fn new(lane: LaneId, gate: Arc<Gate>) -> Self {
        let (queue, direct_queue) = (Queue::new(gate.n_intents()), Queue::new(n_direct(&gate)));
        Self { lane, queue: Arc::new(queue), direct_queue: Arc::new(direct_queue), gate }
    }

    pub(crate) fn lane(&self) -> LaneId {
        self.lane
    }

    /// Queue in which rows wait for their turn.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Queue of rows that must be looked at directly before they are sent.
    pub(crate) fn direct_queue(&self) -> &Queue {
        &self.direct_queue
    }

    /// Sets another rate, from now on; what was learned of the service's quota stands.
    pub(crate) fn set_rate(&self, per_second: Option<f64>) {
        self.gate.set_rate(per_second);
    }

    /// Sets another number of requests under way at once, from now on.
    pub(crate) fn set_concurrency(&self, concurrency: u32) {
        self.gate.set_concurrency(concurrency);
        self.fit_queues();
    }

    /// Fits the queues to what the gate lets through now.
    pub(crate) fn fit_queues(&self) {
        self.queue.resize(self.gate.n_intents());
        self.direct_queue.resize(n_direct(&self.gate));
    }

    /// Rate that the service accepts, as far as it stated or showed it.
    pub(crate) fn believed(&self) -> Option<f64> {
        self.gate.snapshot().believed
    }
}

/// Number of rows that may be between their direct look and their request, at least one: as many as leave in two seconds.
fn n_direct(gate: &Gate) -> usize {
    const SECONDS: f64 = 2.0;
    let most = gate.n_intents();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number, or clamped")]
    let by_pace = gate.snapshot().per_second.map_or(most, |rate| (rate * SECONDS) as usize);
    by_pace.clamp(1, most)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::gate::Past;
    use crate::gate::settings::GateSettings;

    #[tokio::test]
    async fn a_queue_counts_its_positions_whoever_shares_it() {
        let settings =
            GateSettings { per_second: None, burst: 1, concurrency: 8, max_throttle: Duration::from_mins(10) };
        let limits = LaneLimits::new(LaneId(1), Arc::new(Gate::new(&settings, Past::default(), None)));
        let of_driver = limits.clone();
        let lens = || [limits.queue().len(), of_driver.queue().len()];
        assert_eq!(lens(), [0, 0]);
        let positions = [limits.queue().join(), of_driver.queue().join()];
        assert_eq!(lens(), [2, 2]);
        drop(positions);
        assert_eq!(lens(), [0, 0]);
    }
}
