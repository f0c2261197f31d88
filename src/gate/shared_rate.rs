//! Rate limit behind the gates of all accounts of a run.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::pace::PaceGrid;
use super::pace_queue::{PaceQueue, n_next};

/// Pace behind the gates of all accounts of a run, where a rate is set for all of them.
pub(crate) struct SharedRate {
    burst: u32,
    pace: Mutex<Option<(f64, PaceGrid)>>,
    pub(super) next: PaceQueue,
    /// Changes of all lanes that are recorded as begun and wait for leave.
    pub(super) n_begun: Arc<AtomicUsize>,
    pub(super) n_lanes: AtomicUsize,
    /// First come, first served.
    head_of_queue: tokio::sync::Mutex<()>,
    pub(super) changed: Notify,
}

impl SharedRate {
    pub(crate) fn new(per_second: Option<f64>, burst: u32) -> Self {
        let pace = per_second.map(|rate| (rate, PaceGrid::new(rate, burst)));
        Self {
            burst,
            pace: Mutex::new(pace),
            next: PaceQueue::new(per_second),
            n_begun: Arc::default(),
            n_lanes: AtomicUsize::new(0),
            head_of_queue: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Sets the rate from now on.
    pub(crate) fn set(&self, per_second: Option<f64>) {
        *self.pace() = per_second.map(|rate| (rate, PaceGrid::spent(rate, self.burst, Instant::now())));
        self.next.fit(per_second);
        self.changed.notify_waiters();
    }

    /// Tells whether changes would wait for it if each lane had begun so many.
    pub(super) fn is_slow(&self, n_intents: usize) -> bool {
        n_next(self.per_second()) < n_intents.saturating_mul(self.n_lanes.load(Ordering::Relaxed))
    }

    /// Returns when the next request may leave; `None` if there is no rate.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pace().as_ref().map(|(_, pace)| pace.due())
    }

    pub(crate) fn per_second(&self) -> Option<f64> {
        self.pace().as_ref().map(|(rate, _)| *rate)
    }

    pub(super) async fn leave(&self) {
        let asked = Instant::now();
        let _head = self.head_of_queue.lock().await;
        loop {
            let changed = self.changed.notified();
            let taken = self.pace().as_ref().map_or(Ok(()), |(_, pace)| pace.take(asked, Instant::now()));
            let Err(at) = taken else { break };
            tokio::select! {
                () = sleep_until(at) => (),
                () = changed => (),
            }
        }
    }

    fn pace(&self) -> MutexGuard<'_, Option<(f64, PaceGrid)>> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
