//! The pace as a grid: a timer that fires late is made up by at most one interval.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

/// A promise about "any second" is kept at the server, where requests arrive a few milliseconds apart from how they
/// left; half a per cent of the pace is the room for that.
const ROOM_FOR_JITTER: f64 = 0.995;

/// Governor on a clock that we set: Tokio's (so that tests pace a thousand requests in a moment), put back to when a
/// request was due if it is late.
#[derive(Clone, Default)]
struct DueClock {
    nanos: Arc<AtomicU64>,
}

impl Clock for DueClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }
}

pub(super) struct Pace {
    started: Instant,
    interval: Duration,
    clock: DueClock,
    limiter: RateLimiter<NotKeyed, InMemoryState, DueClock, NoOpMiddleware<Duration>>,
}

impl Pace {
    /// The first `burst` requests may go at once.
    pub(super) fn new(per_second: f64, burst: u32) -> Self {
        let interval = Duration::from_secs_f64(1.0 / (per_second * ROOM_FOR_JITTER)).max(Duration::from_nanos(1));
        let cells = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(interval).expect("an interval is never zero").allow_burst(cells);
        let clock = DueClock::default();
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        Self { started: Instant::now(), interval, clock, limiter }
    }

    /// For a pace that replaces another: the next request goes one interval after the last one that went.
    pub(super) fn spent(per_second: f64, burst: u32, last: Instant) -> Self {
        let pace = Self { started: last, ..Self::new(per_second, burst) };
        while pace.limiter.check().is_ok() {}
        pace
    }

    /// Takes one token for a request that has waited since `asked`, or says when to ask again.
    pub(super) fn take(&self, asked: Instant, now: Instant) -> Result<(), Instant> {
        let earliest = now.checked_sub(self.interval).unwrap_or(self.started);
        match self.take_as_of(asked.max(earliest).min(now)) {
            Err(due) if due <= now => self.take_as_of(due),
            taken => taken,
        }
    }

    fn take_as_of(&self, due: Instant) -> Result<(), Instant> {
        let due = due.saturating_duration_since(self.started);
        self.clock.nanos.store(u64::try_from(due.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.limiter.check().map_err(|not_yet| self.started + due + not_yet.wait_time_from(due))
    }
}
