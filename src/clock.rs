//! Time of day as a run sees it: the machine's, or a simulated one for rehearsals.

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, sleep};

/// Interval at which a wait looks at the clock again: clocks are set, and machines sleep.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Returns the time since the machine was started, in which the time that it slept counts: what was promised to others passes meanwhile.
pub(crate) fn since_boot() -> Duration {
    clock_gettime(ClockId::Boottime).try_into().expect("the time since the start is positive")
}

/// Sleeps up to this time since the machine was started.
pub(crate) async fn sleep_until_since_boot(until: Duration) {
    loop {
        let left = until.saturating_sub(since_boot());
        if left.is_zero() {
            return;
        }
        sleep(left.min(LOOK_EVERY)).await;
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    OfMachine,
    /// Simulated clock that began at an instant and follows Tokio's paused clock, which skips idle time.
    Rehearsed {
        from: Timestamp,
        began: Instant,
    },
}

impl Clock {
    pub(crate) fn now(self) -> Timestamp {
        match self {
            Clock::OfMachine => Timestamp::now(),
            Clock::Rehearsed { from, began } => from + began.elapsed(),
        }
    }

    pub(crate) async fn sleep_until(self, at: Timestamp) {
        loop {
            let Ok(left) = Duration::try_from(at.duration_since(self.now())) else { return };
            if left.is_zero() {
                return;
            }
            match self {
                Clock::OfMachine => sleep(left.min(LOOK_EVERY)).await,
                Clock::Rehearsed { .. } => sleep(left).await,
            }
        }
    }
}
