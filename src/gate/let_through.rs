//! Count of requests that were let through recently.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Requests that were let through recently, by the time at which they left.
#[derive(Default)]
pub(super) struct LetThrough {
    /// Counts from the oldest to the newest, in steps of [`LetThrough::STEP`]; empty steps are left out.
    steps: VecDeque<(Instant, u32)>,
}

impl LetThrough {
    const STEP: Duration = Duration::from_millis(10);
    const KEPT: Duration = Duration::from_secs(2);

    pub(super) fn count(&mut self, left_at: Instant) {
        while self.steps.front().is_some_and(|(at, _)| left_at.saturating_duration_since(*at) > Self::KEPT) {
            self.steps.pop_front();
        }
        match self.steps.back_mut() {
            // Answers come in about the order in which the requests left.
            Some((at, n)) if left_at.saturating_duration_since(*at) < Self::STEP => *n += 1,
            Some(_) | None => self.steps.push_back((left_at, 1)),
        }
    }

    pub(super) fn in_the_second_before(&self, instant: Instant) -> f64 {
        let of_late = self
            .steps
            .iter()
            .filter(|(at, _)| *at <= instant && instant.saturating_duration_since(*at) < Duration::from_secs(1));
        of_late.map(|(_, n)| f64::from(*n)).sum()
    }
}
