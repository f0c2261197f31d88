//! Gauges of a gate: figures that are true only now and that nobody stores.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::state::Gate;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) on_the_wire: usize,
    /// Requests per second; `None` for no limit.
    pub(crate) per_second: Option<f64>,
    /// Remaining time in which nothing leaves.
    pub(crate) cooling: Option<Duration>,
    /// Requests that have left so far.
    pub(crate) n_left: u64,
    /// Requests that could have left at the paces that were set.
    pub(crate) offered: f64,
    /// Rate that the service accepts, as far as it stated or showed it.
    pub(crate) believed: Option<f64>,
}

impl Gate {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut pacing = self.pacing();
        let now = Instant::now();
        Snapshot {
            on_the_wire: self.on_the_wire.load(Ordering::Relaxed),
            per_second: pacing.per_second(),
            cooling: pacing.not_before().checked_duration_since(now).filter(|left| !left.is_zero()),
            n_left: self.n_left.load(Ordering::Relaxed),
            offered: pacing.offered(now),
            believed: pacing.believed(),
        }
    }
}
