//! Pace as a grid of instants: a timer that fires late is made up for by at most one interval.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

/// Factor that leaves room for jitter: a promise about "any second" is kept at the server, where requests arrive a few milliseconds
/// apart from how they left.
const ROOM_FOR_JITTER: f64 = 0.995;

/// Clock for `governor` that we set: to Tokio's time (so that tests pace a thousand requests in a moment), or back to when a late
/// request was due.
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

pub(super) struct PaceGrid {
    started: Instant,
    interval: Duration,
    clock: DueClock,
    burst: u32,
    /// Instant at which all taken tokens are paid for, in nanoseconds since `started`; the limiter does not reveal its own.
    paid_at: AtomicU64,
    limiter: RateLimiter<NotKeyed, InMemoryState, DueClock, NoOpMiddleware<Duration>>,
}

impl PaceGrid {
    /// Makes a pace whose first `burst` requests may go at once.
    pub(super) fn new(per_second: f64, burst: u32) -> Self {
        let interval = Duration::from_secs_f64(1.0 / (per_second * ROOM_FOR_JITTER)).max(Duration::from_nanos(1));
        let cells = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(interval).expect("an interval is never zero").allow_burst(cells);
        let clock = DueClock::default();
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        let paid_at = AtomicU64::new(nanos(interval));
        Self { started: Instant::now(), interval, clock, burst: cells.get(), paid_at, limiter }
    }

    /// Makes a pace that replaces another: the next request goes one interval after the last one that went.
    pub(super) fn spent(per_second: f64, burst: u32, last: Instant) -> Self {
        let pace = Self { started: last, ..Self::new(per_second, burst) };
        while pace.take_as_of(last).is_ok() {}
        pace
    }

    /// Returns when the next token is there.
    pub(super) fn due(&self) -> Instant {
        let paid_at = Duration::from_nanos(self.paid_at.load(Ordering::Relaxed));
        self.started + paid_at.saturating_sub(self.interval.saturating_mul(self.burst))
    }

    /// Takes one token for a request that has waited since `asked`, or returns when to ask again.
    pub(super) fn take(&self, asked: Instant, now: Instant) -> Result<(), Instant> {
        let earliest = now.checked_sub(self.interval).unwrap_or(self.started);
        match self.take_as_of(asked.max(earliest).min(now)) {
            Err(due) if due <= now => self.take_as_of(due),
            taken => taken,
        }
    }

    fn take_as_of(&self, due: Instant) -> Result<(), Instant> {
        let due = due.saturating_duration_since(self.started);
        self.clock.nanos.store(nanos(due), Ordering::Relaxed);
        self.limiter.check().map_err(|not_yet| self.started + due + not_yet.wait_time_from(due))?;
        let paid_at = self.paid_at.load(Ordering::Relaxed).max(nanos(due));
        self.paid_at.store(paid_at.saturating_add(nanos(self.interval)), Ordering::Relaxed);
        Ok(())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_is_there_when_it_is_said_to_be() {
        for burst in [1, 3] {
            let pace = PaceGrid::new(10.0, burst);
            let mut takes = 0;
            while takes < 20 {
                let (now, due) = (Instant::now(), pace.due());
                match pace.take(now, now) {
                    Ok(()) => {
                        assert!(due <= now, "{burst} {takes}");
                        takes += 1;
                    }
                    Err(at) => {
                        assert!(due > now && at.max(due) - at.min(due) < Duration::from_micros(1), "{burst} {takes}");
                        tokio::time::advance(at - now).await;
                    }
                }
            }
        }
    }
}
