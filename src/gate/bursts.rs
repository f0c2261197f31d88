//! Size of recent bursts: answers that come together let as many requests leave together.

use std::time::Duration;

use tokio::time::Instant;

/// Time within which requests count as one burst. A commit to a disk takes no longer, as a rule.
const TOGETHER: Duration = Duration::from_millis(20);
/// Length of one of two windows, the current and the last one: a burst is remembered for 0.5 to 1 s.
const OF_LATE: Duration = Duration::from_millis(500);
const AT_MOST: usize = 512;

pub(super) struct Bursts {
    began_at: Instant,
    n: usize,
    largest: usize,
    largest_before: usize,
    counted_from: Instant,
}

impl Bursts {
    pub(super) fn new(now: Instant) -> Self {
        Self { began_at: now, n: 0, largest: 0, largest_before: 0, counted_from: now }
    }

    /// Counts a request that leaves.
    pub(super) fn count(&mut self, now: Instant) {
        if now.saturating_duration_since(self.counted_from) >= OF_LATE {
            self.largest_before = std::mem::take(&mut self.largest);
            self.counted_from = now;
        }
        if now.saturating_duration_since(self.began_at) >= TOGETHER {
            (self.began_at, self.n) = (now, 0);
        }
        self.n += 1;
        self.largest = self.largest.max(self.n);
    }

    /// Size of the largest recent burst beyond its first request, at most [`AT_MOST`].
    pub(super) fn largest(&self) -> usize {
        self.largest.max(self.largest_before).saturating_sub(1).min(AT_MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(bursts: &mut Bursts, start: Instant, left_ms: impl IntoIterator<Item = u64>) -> usize {
        left_ms.into_iter().for_each(|ms| bursts.count(start + Duration::from_millis(ms)));
        bursts.largest()
    }

    #[test]
    fn one_after_the_other_is_no_burst() {
        let start = Instant::now();
        assert_eq!(after(&mut Bursts::new(start), start, (0..2_000).step_by(100)), 0);
    }

    #[test]
    fn the_largest_of_late_counts_and_is_forgotten() {
        let (start, mut bursts) = (Instant::now(), Bursts::new(Instant::now()));
        // 64 answers come within 6 ms, every 100 ms.
        assert_eq!(after(&mut bursts, start, (0..640).map(|n| n / 64 * 100 + n % 64 / 10)), 63);
        assert_eq!(after(&mut bursts, start, (1_000..1_400).step_by(50)), 63);
        assert_eq!(after(&mut bursts, start, (1_400..2_100).step_by(50)), 0);
    }
}
