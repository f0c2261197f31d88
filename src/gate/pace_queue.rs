//! Queue before a pace: no more requests are at hand than leave within a short time, whatever waits behind them.

use std::time::Duration;

use tokio::time::Instant;

use super::queue::{Queue, QueuePosition};

/// Time within which a request at hand leaves: long enough to get an intent to a disk before its token is due.
pub(super) const AT_HAND: Duration = Duration::from_millis(500);
/// Delay beyond which a begun change goes back to where it waited: the lane was told to wait, or to go slower.
pub(super) const PUT_OFF: Duration = Duration::from_secs(2);

pub(super) struct PaceQueue(Queue);

impl PaceQueue {
    pub(super) fn new(per_second: Option<f64>) -> Self {
        Self(Queue::new(n_next(per_second)))
    }

    pub(super) fn fit(&self, per_second: Option<f64>) {
        self.0.resize(n_next(per_second));
    }

    /// Waits for a position among those that leave next.
    pub(super) async fn position(&self) -> QueuePosition {
        let mut position = self.0.join();
        position.come_first().await;
        position
    }

    /// Tells whether more requests have a position than leave next, because the pace has slowed down.
    pub(super) fn is_too_many(&self) -> bool {
        self.0.is_too_wide()
    }
}

/// Number of requests that leave within [`AT_HAND`] at a rate, at least one.
pub(super) fn n_next(per_second: Option<f64>) -> usize {
    n_within(AT_HAND, per_second)
}

/// Number of begun changes that are not put off at a rate, at least one.
pub(super) fn n_kept(per_second: Option<f64>) -> usize {
    n_within(PUT_OFF, per_second)
}

/// Tells whether a request that leaves then is at hand.
pub(super) fn is_soon(at: Instant, now: Instant) -> bool {
    at <= now + AT_HAND
}

fn n_within(time: Duration, per_second: Option<f64>) -> usize {
    const MOST: f64 = 4096.0;
    let within = per_second.map_or(MOST, |rate| rate * time.as_secs_f64());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a few thousand")]
    let n_within = within.clamp(0.0, MOST) as usize + 1;
    n_within
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_at_hand_than_leaves_soon() {
        let rates = [Some(1.0 / 60.0), Some(1.0), Some(3.0), Some(10.0), Some(500.0), None];
        assert_eq!(rates.map(n_next), [1, 1, 2, 6, 251, 4097]);
    }
}
