//! Quota of a gateway: a sliding window that refuses a request beyond the limit within any period.

use std::collections::VecDeque;
use std::time::Duration;

pub(super) struct SlidingWindow {
    limit: usize,
    period_us: u64,
    /// Arrival times of the requests admitted in the last period; refused ones do not count.
    admitted_us: VecDeque<u64>,
}

impl SlidingWindow {
    pub(super) fn new(limit: usize, period: Duration) -> Self {
        let period_us = u64::try_from(period.as_micros()).expect("a period is a second or a minute");
        Self { limit, period_us, admitted_us: VecDeque::with_capacity(limit) }
    }

    /// Admits one request, or returns the microseconds after which the next would be admitted.
    pub(super) fn admit(&mut self, now_us: u64) -> Result<(), u64> {
        while self.admitted_us.front().is_some_and(|at| at + self.period_us <= now_us) {
            self.admitted_us.pop_front();
        }
        if self.admitted_us.len() < self.limit {
            self.admitted_us.push_back(now_us);
            return Ok(());
        }
        Err(self.admitted_us.front().map_or(0, |at| at + self.period_us - now_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_has_more_than_the_limit_and_refused_ones_count_not() {
        let mut window = SlidingWindow::new(3, Duration::from_secs(1));
        let admitted: Vec<u64> = (0..40).map(|i| i * 100_000).filter(|at| window.admit(*at).is_ok()).collect();
        assert_eq!(admitted[..6], [0, 100_000, 200_000, 1_000_000, 1_100_000, 1_200_000]);
        for three in admitted.windows(4) {
            assert!(three[3] - three[0] >= 1_000_000, "{three:?}");
        }
    }

    #[test]
    fn a_refusal_says_how_long_to_wait() {
        let mut window = SlidingWindow::new(1, Duration::from_mins(1));
        assert_eq!(window.admit(5), Ok(()));
        assert_eq!(window.admit(10_000_005), Err(50_000_000));
        assert_eq!(window.admit(60_000_005), Ok(()));
    }
}
