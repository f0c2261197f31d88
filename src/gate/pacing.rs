//! Times at which requests of a lane may leave, from its cool-down, its pace, and the lessons of answers about the latter.
//!
//! Decisions are made from what is known at an instant that the caller names; nothing waits here.

use std::time::Duration;

use tokio::time::Instant;

use super::bursts::Bursts;
use super::pace::PaceGrid;
use super::quota::{Learned, Quota, Remembered};
use super::settings::GateSettings;
use crate::event::outcome::Outcome;

/// Kind of a request: a throttled lane lets reads go before changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    Change,
    Read,
}

/// Decision about the request at the head of the queue, once the cool-down is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precedence {
    /// Leaves now; its token is taken.
    Goes,
    /// The lane is throttled, and a read waits: it goes first.
    ReadsFirst,
}

/// Lessons of an answer that a later launch has to know, to be journaled.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Lessons {
    /// Rate that the service accepts.
    pub(crate) learned: Option<Learned>,
    /// Time for which nothing leaves although the answer did not ask for a wait.
    pub(crate) own_wait: Option<Duration>,
}

/// Changes that an answer made for the requests that wait.
pub(super) struct Heeded {
    pub(super) lessons: Lessons,
    /// The pace or the cool-down changed: those who sleep until an earlier instant have to look again.
    pub(super) times_changed: bool,
    /// The lane was not throttled before this answer.
    pub(super) throttled_now: bool,
}

pub(super) struct Pacing {
    quota: Quota,
    pace: Option<PaceGrid>,
    last_left: Instant,
    /// Instant before which nothing leaves; it only ever moves later.
    not_before: Instant,
    /// Instant up to which somebody waited for leave or for an answer; meaningless while somebody does.
    asked_until: Instant,
    /// Requests that could have left up to `offered_until` at the paces that were set; time without a pace adds none.
    offered: f64,
    offered_until: Instant,
    bursts: Bursts,
}

impl Pacing {
    /// Begins with what earlier launches learned, and with the rest of the time for which they were told to wait.
    pub(super) fn new(
        settings: &GateSettings,
        remembered: Option<Remembered>,
        cools_for: Duration,
        now: Instant,
    ) -> Self {
        let mut quota = Quota::new(settings, remembered, now);
        if !cools_for.is_zero() {
            quota.begin_throttled(now);
        }
        Self {
            pace: quota.per_second().map(|rate| PaceGrid::new(rate, settings.burst)),
            quota,
            last_left: now,
            not_before: now + cools_for,
            asked_until: now,
            offered: 0.0,
            offered_until: now,
            bursts: Bursts::new(now),
        }
    }

    /// Rate in requests per second; `None` for no limit.
    pub(super) fn per_second(&self) -> Option<f64> {
        self.quota.per_second()
    }

    /// Rate that the service accepts, as far as it stated or showed it.
    pub(super) fn believed(&self) -> Option<f64> {
        self.quota.believed()
    }

    pub(super) fn not_before(&self) -> Instant {
        self.not_before
    }

    /// Instant at which the next request can leave.
    pub(super) fn leaves_at(&self) -> Instant {
        self.pace.as_ref().map_or(self.not_before, |pace| self.not_before.max(pace.due()))
    }

    /// Size of the largest recent burst beyond its first request.
    pub(super) fn largest_burst(&self) -> usize {
        self.bursts.largest()
    }

    /// Number of requests that could have left so far at the paces that were set.
    pub(super) fn offered(&mut self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.offered_until).as_secs_f64();
        self.offered += self.quota.per_second().map_or(0.0, |rate| rate * passed);
        self.offered_until = now;
        self.offered
    }

    /// Sets the `--rate` from `now` on; what was learned of the service's quota stands.
    pub(super) fn set_rate(&mut self, per_second: Option<f64>, now: Instant) {
        self.offered(now);
        self.quota.set_top(per_second);
        self.replace_pace();
    }

    /// Sets the number of requests that are still to be made.
    pub(super) fn expect(&mut self, n_left: u64) {
        self.quota.expect(n_left);
    }

    /// Notes that somebody waited up to `now` for leave or for an answer.
    pub(super) fn asked(&mut self, now: Instant) {
        self.asked_until = now;
    }

    /// Leaves the time up to `now`, in which nobody asked for anything, out of the time in which the lane is throttled.
    pub(super) fn rested(&mut self, now: Instant) {
        self.quota.rested(now.saturating_duration_since(self.asked_until));
    }

    /// Start of the time in which every answer was a 429; `None` if the last one was not.
    pub(super) fn throttled_since(&self) -> Option<Instant> {
        self.quota.throttled_since()
    }

    /// Instant at which every answer was a 429 for as long as the settings allow, and the start of that time.
    pub(super) fn gives_up_at(&self) -> Option<(Instant, Instant)> {
        self.quota.gives_up_at().zip(self.quota.throttled_since())
    }

    /// Decides about the request at the head of the queue, which waits since `asked`; or returns when to ask again.
    pub(super) fn next_leave(
        &mut self,
        request: RequestKind,
        asked: Instant,
        now: Instant,
        n_reads_waiting: usize,
    ) -> Result<Precedence, Instant> {
        // Read again after every sleep, so that a new cool-down also holds back those who already wait.
        if now < self.not_before {
            return Err(self.not_before);
        }
        if request == RequestKind::Change && self.throttled_since().is_some() && n_reads_waiting > 0 {
            return Ok(Precedence::ReadsFirst);
        }
        if let Some(pace) = &self.pace {
            pace.take(asked.max(self.not_before), now)?;
        }
        self.last_left = now;
        self.bursts.count(now);
        Ok(Precedence::Goes)
    }

    /// Takes an answer into account: one throttled request slows all requests, an accepted one lets the pace recover.
    pub(super) fn heed(&mut self, outcome: &Outcome, left_at: Instant, now: Instant) -> Heeded {
        let before = self.quota.per_second();
        self.offered(now);
        self.asked_until = now;
        let was_throttled = self.throttled_since().is_some();
        let lessons = match outcome {
            Outcome::Throttled { retry_after_ms, quota, .. } => {
                let retry_after = retry_after_ms.map(Duration::from_millis);
                let (wait, learned) = self.quota.throttled(now, left_at, retry_after, *quota);
                self.not_before = self.not_before.max(now + wait);
                let own_wait = Some(wait).filter(|wait| retry_after.is_none() && !wait.is_zero());
                Lessons { learned, own_wait }
            }
            Outcome::Accepted { .. } => Lessons { learned: self.quota.accepted(now, left_at), own_wait: None },
            Outcome::Rejected { .. } | Outcome::Unauthenticated { .. } | Outcome::Barred { .. } => {
                self.quota.let_through(left_at);
                Lessons::default()
            }
            Outcome::Unsent { .. } | Outcome::Disclaimed { .. } | Outcome::Lost { .. } => Lessons::default(),
        };
        let is_repaced = self.quota.per_second() != before;
        if is_repaced {
            self.replace_pace();
        }
        Heeded {
            lessons,
            times_changed: is_repaced || matches!(outcome, Outcome::Throttled { .. }),
            throttled_now: !was_throttled && self.throttled_since().is_some(),
        }
    }

    fn replace_pace(&mut self) {
        let spent = |rate| PaceGrid::spent(rate, self.quota.burst(), self.last_left);
        self.pace = self.quota.per_second().map(spent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pacing(per_second: f64, now: Instant) -> Pacing {
        let settings = GateSettings {
            per_second: Some(per_second),
            burst: 1,
            concurrency: 8,
            max_throttle: Duration::from_mins(10),
        };
        Pacing::new(&settings, None, Duration::ZERO, now)
    }

    fn throttled(retry_after: Duration) -> Outcome {
        let retry_after_ms = u64::try_from(retry_after.as_millis()).ok();
        Outcome::Throttled { status: None, retry_after_ms, quota: None, message: String::new() }
    }

    #[test]
    fn a_cool_down_holds_back_the_next_request_and_only_ever_moves_later() {
        let began = Instant::now();
        let mut pacing = pacing(10.0, began);
        assert!(pacing.heed(&throttled(Duration::from_secs(7)), began, began).times_changed);
        let over = began + Duration::from_secs(7);
        pacing.heed(&throttled(Duration::from_secs(1)), began, began);
        assert_eq!(pacing.next_leave(RequestKind::Change, began, began, 0), Err(over));
        assert_eq!(pacing.next_leave(RequestKind::Change, began, over, 0), Ok(Precedence::Goes));
    }

    #[test]
    fn changes_let_reads_go_first_while_the_lane_is_throttled_and_at_no_other_time() {
        let began = Instant::now();
        let mut pacing = pacing(10.0, began);
        assert_eq!(pacing.next_leave(RequestKind::Change, began, began, 1), Ok(Precedence::Goes));
        assert!(pacing.heed(&throttled(Duration::ZERO), began, began).throttled_now);
        let later = began + Duration::from_mins(1);
        assert_eq!(pacing.next_leave(RequestKind::Change, began, later, 1), Ok(Precedence::ReadsFirst));
        assert_eq!(pacing.next_leave(RequestKind::Read, began, later, 1), Ok(Precedence::Goes));
    }

    #[test]
    fn time_in_which_nobody_asked_adds_nothing_to_the_throttled_time() {
        let began = Instant::now();
        let mut pacing = pacing(10.0, began);
        pacing.heed(&throttled(Duration::ZERO), began, began);
        let (gives_up_at, since) = pacing.gives_up_at().unwrap();
        let week = Duration::from_hours(168);
        pacing.rested(began + week);
        assert_eq!(pacing.gives_up_at(), Some((gives_up_at + week, since + week)));
    }
}
