//! Changes under way in a lane: start of the time in which there are none, and sum of the times in which there were any.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Count of changes that wait for a slot, are on the wire, or have an answer that is not on disk yet. While there are none,
/// looks may go at once.
pub(crate) struct UnderWay {
    state: Mutex<Changes>,
    /// Notified when the last of them ends, and when the lane is throttled, so that none of them may be accepted just now.
    changed: Notify,
}

struct Changes {
    n: usize,
    /// Start of the current idle period; meaningless while `n > 0`.
    since: Instant,
    /// Time in which there were any, up to then.
    busy: Duration,
    /// Start of the current busy period; meaningless while `n == 0`.
    began_at: Instant,
}

/// One change that is under way until this is dropped.
pub(crate) struct UnderWayGuard<'a>(&'a UnderWay);

impl UnderWay {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let none = Changes { n: 0, since: now, busy: Duration::ZERO, began_at: now };
        Self { state: Mutex::new(none), changed: Notify::new() }
    }

    pub(crate) fn begin(&self) -> UnderWayGuard<'_> {
        let mut changes = self.changes();
        if changes.n == 0 {
            changes.began_at = Instant::now();
        }
        changes.n += 1;
        UnderWayGuard(self)
    }

    /// Start of the current idle period; `None` while a change is under way.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let changes = self.changes();
        (changes.n == 0).then_some(changes.since)
    }

    /// Time in which changes were under way so far.
    pub(crate) fn busy(&self) -> Duration {
        let changes = self.changes();
        if changes.n == 0 { changes.busy } else { changes.busy + changes.began_at.elapsed() }
    }

    /// Waits until the last of them ends, or [`Self::wake`] is called.
    pub(crate) async fn ended(&self) {
        self.changed.notified().await;
    }

    /// Ends the wait for their end, because the lane is throttled and none of them may be accepted just now.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWayGuard<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut changes = self.0.changes();
        changes.since = now;
        changes.n -= 1;
        if changes.n == 0 {
            let busy = now - changes.began_at;
            changes.busy += busy;
            drop(changes);
            self.0.changed.notify_one();
        }
    }
}
