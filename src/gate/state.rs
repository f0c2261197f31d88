//! One lane's gate: its slots, its pace, its queue, and the limits that are set for them.
//!
//! Ground of the files in which requests wait.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::pace_queue::{AT_HAND, PaceQueue, n_next};
use super::pacing::Pacing;
use super::quota::Remembered;
use super::settings::GateSettings;
use super::shared_rate::SharedRate;
use super::slots::{Slot, Slots};

/// Lessons of earlier launches about the same account, in whichever run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Past {
    pub(crate) quota: Option<Remembered>,
    /// Remaining part of the time for which they were told to wait.
    pub(crate) cools_for: Duration,
}

pub(crate) struct Gate {
    pub(super) slots: Arc<Slots>,
    /// Queue of the requests that do not leave soon.
    pub(super) next: PaceQueue,
    /// First come, first served; its holder waits for the cool-down and the pace.
    pub(super) head_of_queue: tokio::sync::Mutex<()>,
    pub(super) n_waiting: AtomicUsize,
    pub(super) n_reads_waiting: AtomicUsize,
    pacing: Mutex<Pacing>,
    /// Wakes sleepers when the pace or the cool-down changed.
    pub(super) changed: Notify,
    /// Wakes [`Gate::throttled_for_too_long`]: the lane became throttled, or is asked again after a rest.
    pub(super) throttled: Notify,
    /// Rate limit of all accounts together, if one is set.
    pub(super) shared: Option<Arc<SharedRate>>,
    pub(super) on_the_wire: Arc<AtomicUsize>,
    /// Changes that are recorded as begun and wait for leave.
    pub(super) n_begun: Arc<AtomicUsize>,
    /// Requests that have left so far.
    pub(super) n_left: AtomicU64,
}

/// Paces for which a begun change would have to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlowPaces {
    pub(super) own: bool,
    pub(super) shared: bool,
}

impl Gate {
    pub(crate) fn new(settings: &GateSettings, past: Past, shared: Option<Arc<SharedRate>>) -> Self {
        if let Some(shared) = &shared {
            shared.n_lanes.fetch_add(1, Ordering::Relaxed);
        }
        let pacing = Pacing::new(settings, past.quota, past.cools_for, Instant::now());
        Self {
            slots: Slots::new(settings.concurrency),
            next: PaceQueue::new(pacing.per_second()),
            head_of_queue: tokio::sync::Mutex::new(()),
            n_waiting: AtomicUsize::new(0),
            n_reads_waiting: AtomicUsize::new(0),
            pacing: Mutex::new(pacing),
            changed: Notify::new(),
            throttled: Notify::new(),
            shared,
            on_the_wire: Arc::default(),
            n_begun: Arc::default(),
            n_left: AtomicU64::new(0),
        }
    }

    /// Returns how many changes may be recorded as begun: those under way, and those that leave before long. A commit to a disk
    /// takes some milliseconds, and without the latter nothing would be under way meanwhile.
    pub(crate) fn n_intents(&self) -> usize {
        self.slots.now() + self.pacing().largest_burst()
    }

    pub(crate) async fn slot(&self) -> Slot {
        self.slots.take().await
    }

    /// Takes a slot for a read, which gets the next one that is given back: in a throttled lane, changes hold slots while they
    /// wait, and others wait for slots behind them.
    pub(crate) async fn slot_for_read(&self) -> Slot {
        self.slots.take_first().await
    }

    /// Sets the number of requests that may be under way at once. If there are more, they are awaited.
    pub(crate) fn set_concurrency(&self, concurrency: u32) {
        self.slots.resize(concurrency);
    }

    /// Returns the number of requests that may be under way at once, as it is set now.
    pub(crate) fn concurrency(&self) -> u32 {
        self.slots.wanted()
    }

    /// Sets the `--rate` from now on.
    pub(crate) fn set_rate(&self, per_second: Option<f64>) {
        let mut pacing = self.pacing();
        pacing.set_rate(per_second, Instant::now());
        self.next.fit(pacing.per_second());
        drop(pacing);
        self.changed.notify_waiters();
    }

    /// Sets the number of requests that are still to be made.
    pub(crate) fn expect(&self, n_left: u64) {
        self.pacing().expect(n_left);
    }

    /// Returns the slower of the lane's pace and that of all lanes.
    pub(crate) fn slowest(&self) -> Option<f64> {
        let own = self.pacing().per_second();
        let shared = self.shared.as_ref().and_then(|shared| shared.per_second());
        own.into_iter().chain(shared).reduce(f64::min)
    }

    pub(super) fn slow_paces(&self) -> SlowPaces {
        let now = self.slots.now();
        let (n_intents, per_second) = {
            let pacing = self.pacing();
            (now + pacing.largest_burst(), pacing.per_second())
        };
        let shared = self.shared.as_ref().is_some_and(|shared| shared.is_slow(n_intents));
        SlowPaces { own: n_next(per_second) < n_intents, shared }
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.n_waiting.load(Ordering::Relaxed) == 0 && self.on_the_wire.load(Ordering::Relaxed) == 0
    }

    pub(super) fn not_before(&self) -> Instant {
        self.pacing().not_before()
    }

    /// Returns when the next request can leave as far as its own lane is concerned.
    pub(super) fn own_leaves_at(&self) -> Instant {
        self.pacing().leaves_at()
    }

    /// Returns when the next request can leave, as far as is known.
    pub(super) fn leaves_at(&self) -> Instant {
        let own = self.own_leaves_at();
        self.shared.as_ref().and_then(|shared| shared.due()).map_or(own, |due| due.max(own))
    }

    /// Waits until `holds` is true of an instant and the present one. Both are read again when the pace or the cool-down
    /// changes, and [`AT_HAND`] before the instant.
    pub(super) async fn until(&self, at: impl Fn(&Self) -> Instant, holds: impl Fn(Instant, Instant) -> bool) {
        loop {
            // Subscribes before anything is read, so that no later change is missed.
            let changed = self.changed.notified();
            let changed_for_all = self.shared.as_ref().map(|shared| shared.changed.notified());
            let (at, now) = (at(self), Instant::now());
            if holds(at, now) {
                return;
            }
            let again_at = at.checked_sub(AT_HAND).filter(|at| *at > now);
            tokio::select! {
                () = async { sleep_until(again_at.unwrap_or(now)).await }, if again_at.is_some() => (),
                () = changed => (),
                () = or_never(changed_for_all) => (),
            }
        }
    }

    pub(super) fn pacing(&self) -> MutexGuard<'_, Pacing> {
        self.pacing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn or_never(work: Option<impl Future<Output = ()>>) {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}
