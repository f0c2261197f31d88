//! What a lane believes the service takes: set by 429s, raised again by success.
//!
//! Nobody publishes the quota. A 429 with a figure sets the limit to it; above a stated figure we probe, at most once
//! a period and ever more rarely while that fails. One without a figure halves the pace, which then climbs back as CUBIC
//! does (RFC 9438): quickly at first, slowly near where it was refused, and quickly again once that is passed.

use std::time::Duration;

use tokio::time::Instant;

use super::GateSettings;
use crate::event::StatedQuota;

/// A stated figure is counted by the service's clock and windows, not ours.
const ROOM_BELOW_FIGURE: f64 = 0.98;
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The quota's period where no text names one: figures are given per second or per minute.
/// source: devg-apisign/api-sign-errorcode.html (APIGW.0308).
const UNSTATED_PERIOD: Duration = Duration::from_mins(1);
const FIRST_PROBE: Duration = Duration::from_secs(10);
const RAREST_PROBE: Duration = Duration::from_mins(10);
const PROBE_FACTOR: f64 = 1.25;
/// How long a halved pace takes to climb back to where it was refused.
const CLIMB: Duration = Duration::from_secs(10);
const CLIMB_STEP: Duration = Duration::from_millis(250);
/// The pace never falls below one request a minute.
const SLOWEST: f64 = 1.0 / 60.0;

/// A lesson worth remembering for the next run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Learned {
    pub(crate) per_second: f64,
    pub(crate) stated: bool,
}

pub(super) struct Quota {
    /// `--rate`; none: no limit of ours.
    top: Option<f64>,
    burst: u32,
    now: Option<f64>,
    basis: Basis,
    /// A request that left before this was on its way when the last lesson was learned, and teaches nothing new.
    learned_at: Instant,
    raised_at: Instant,
    /// Lessons in a row without an accepted request.
    strikes: u32,
    throttled_since: Option<Instant>,
    max_throttle: Duration,
    sent: Sent,
}

enum Basis {
    /// Nothing was refused yet.
    Settings,
    Stated {
        figure: f64,
        period: Duration,
        probe_after: Duration,
    },
    /// Refused at this pace, without a figure.
    Guessed {
        refused_at: f64,
    },
}

impl Quota {
    pub(super) fn new(settings: &GateSettings, learned: Option<Learned>, now: Instant) -> Self {
        let top = settings.per_second;
        let below_top = |rate: f64| top.map_or(rate, |top| rate.min(top)).max(SLOWEST);
        let (limit, basis) = match learned {
            Some(Learned { per_second, stated: true }) => (
                Some(below_top(per_second * ROOM_BELOW_FIGURE)),
                Basis::Stated { figure: per_second, period: Duration::from_secs(1), probe_after: FIRST_PROBE },
            ),
            Some(Learned { per_second, stated: false }) => {
                (Some(below_top(per_second)), Basis::Guessed { refused_at: per_second * 2.0 })
            }
            None => (top, Basis::Settings),
        };
        Self {
            top,
            burst: settings.burst,
            now: limit,
            basis,
            learned_at: now,
            raised_at: now,
            strikes: 0,
            throttled_since: None,
            max_throttle: settings.max_throttle,
            sent: Sent::default(),
        }
    }

    pub(super) fn per_second(&self) -> Option<f64> {
        self.now
    }

    /// Another `--rate`: what was learned of the service stands.
    pub(super) fn set_top(&mut self, top: Option<f64>) {
        self.top = top;
        let known = match self.basis {
            Basis::Settings => None,
            Basis::Stated { figure, .. } => Some(figure * ROOM_BELOW_FIGURE),
            Basis::Guessed { .. } => self.now,
        };
        self.now = match (known, top) {
            (Some(believed), Some(top)) => Some(believed.min(top).max(SLOWEST)),
            (one, None) | (None, one) => one,
        };
    }

    /// What the service takes on average, as far as it told or showed; none: it was never too much for it.
    pub(super) fn believed(&self) -> Option<f64> {
        match self.basis {
            Basis::Settings => None,
            Basis::Stated { figure, .. } => Some(figure * ROOM_BELOW_FIGURE),
            // Halved, and climbing back to it for most of the time.
            Basis::Guessed { refused_at } => Some(refused_at * 0.75),
        }
    }

    pub(super) fn burst(&self) -> u32 {
        self.burst
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.sent.count(now);
    }

    /// How long the lane waits, and what was learned if this tells anything new.
    pub(super) fn throttled(
        &mut self,
        now: Instant,
        left_at: Instant,
        retry_after: Option<Duration>,
        stated: Option<StatedQuota>,
    ) -> (Duration, Option<Learned>) {
        self.throttled_since.get_or_insert(now);
        if left_at < self.learned_at {
            return (retry_after.unwrap_or(Duration::ZERO), None);
        }
        let learned = match stated {
            Some(stated) => self.learn_figure(stated),
            None => Some(self.learn_by_halving()),
        };
        self.learned_at = now;
        self.raised_at = now;
        let period = stated.map_or(UNSTATED_PERIOD, StatedQuota::period);
        let wait = retry_after.unwrap_or_else(|| (FIRST_WAIT * 2_u32.pow(self.strikes.min(10))).min(period));
        self.strikes += 1;
        (wait, learned)
    }

    fn learn_figure(&mut self, stated: StatedQuota) -> Option<Learned> {
        let figure = stated.per_second();
        let (known, probe_after) = match self.basis {
            Basis::Stated { figure: known, probe_after, .. } if (known - figure).abs() < f64::EPSILON => {
                (true, (probe_after * 2).min(RAREST_PROBE))
            }
            Basis::Stated { .. } | Basis::Settings | Basis::Guessed { .. } => (false, FIRST_PROBE),
        };
        self.basis = Basis::Stated { figure, period: stated.period(), probe_after };
        // Refused although we kept to the figure: others share it.
        let floor = if known && self.now.is_some_and(|now| now <= figure) { 0.9 } else { 1.0 };
        let limit =
            self.now.map_or(figure, |now| figure.min(now * floor)) * if floor < 1.0 { 1.0 } else { ROOM_BELOW_FIGURE };
        self.now = Some(limit.max(SLOWEST));
        (!known).then_some(Learned { per_second: figure, stated: true })
    }

    fn learn_by_halving(&mut self) -> Learned {
        // The limit may be far above what was really sent.
        let sent = self.sent.per_second();
        let refused_at = self.now.map_or(sent, |limit| limit.min(sent));
        self.basis = Basis::Guessed { refused_at };
        let per_second = (refused_at / 2.0).max(SLOWEST);
        self.now = Some(per_second);
        Learned { per_second, stated: false }
    }

    pub(super) fn accepted(&mut self, now: Instant) {
        self.strikes = 0;
        self.throttled_since = None;
        let Some(limit) = self.now else { return };
        if self.top.is_some_and(|top| limit >= top) {
            return;
        }
        let since_raised = now.saturating_duration_since(self.raised_at);
        let raised = match self.basis {
            Basis::Settings => return,
            Basis::Stated { figure, period, probe_after } => {
                if since_raised < probe_after.max(period) {
                    return;
                }
                if limit < figure * ROOM_BELOW_FIGURE { figure * ROOM_BELOW_FIGURE } else { limit * PROBE_FACTOR }
            }
            Basis::Guessed { refused_at } => {
                if since_raised < CLIMB_STEP {
                    return;
                }
                let since = now.saturating_duration_since(self.learned_at).as_secs_f64();
                let off = since / CLIMB.as_secs_f64() - 1.0;
                (refused_at * (1.0 + 0.5 * off.powi(3))).max(limit)
            }
        };
        self.now = Some(self.top.map_or(raised, |top| raised.min(top)));
        self.raised_at = now;
    }

    pub(super) fn throttled_too_long(&self, now: Instant) -> Option<Duration> {
        let since = now.saturating_duration_since(self.throttled_since?);
        (since >= self.max_throttle).then_some(since)
    }
}

/// How much was really sent of late.
#[derive(Default)]
struct Sent {
    second: Option<Instant>,
    n_this: u32,
    n_last: u32,
}

impl Sent {
    fn count(&mut self, now: Instant) {
        let second = *self.second.get_or_insert(now);
        let passed = now.saturating_duration_since(second);
        if passed >= Duration::from_secs(1) {
            self.n_last = if passed < Duration::from_secs(2) { self.n_this } else { 0 };
            self.n_this = 0;
            self.second = Some(now);
        }
        self.n_this += 1;
    }

    /// What went within a second before the refusal is about what the service takes in one.
    fn per_second(&self) -> f64 {
        f64::from(self.n_last.max(self.n_this).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(top: f64) -> GateSettings {
        GateSettings { per_second: Some(top), burst: 1, concurrency: 8, max_throttle: Duration::from_mins(10) }
    }

    fn per_second(quota: &Quota) -> f64 {
        quota.per_second().unwrap()
    }

    /// Sends at the quota's own pace against a service that takes `capacity`, and counts the refusals.
    fn drive(
        quota: &mut Quota,
        capacity: usize,
        stated: Option<StatedQuota>,
        from: Instant,
        seconds: u32,
    ) -> (f64, u32) {
        let (mut clock, mut sent, mut refused) = (from, 0_u32, 0_u32);
        let mut window: std::collections::VecDeque<Instant> = std::collections::VecDeque::new();
        let end = from + Duration::from_secs(seconds.into());
        while clock < end {
            quota.sent(clock);
            while window.front().is_some_and(|at| clock - *at >= Duration::from_secs(1)) {
                window.pop_front();
            }
            if window.len() < capacity {
                window.push_back(clock);
                sent += 1;
                quota.accepted(clock);
            } else {
                refused += 1;
                clock += quota.throttled(clock, clock, None, stated).0;
            }
            clock += Duration::from_secs_f64(1.0 / per_second(quota));
        }
        (f64::from(sent) / f64::from(seconds), refused)
    }

    #[test]
    fn an_unstated_quota_is_approached_from_below_and_mostly_used() {
        let now = Instant::now();
        let mut quota = Quota::new(&settings(200.0), None, now);
        let (rate, refused) = drive(&mut quota, 50, None, now, 120);
        assert!(rate > 35.0, "{rate}");
        assert!(refused < 60, "{refused}");
    }

    #[test]
    fn a_stated_quota_is_kept_and_probed_ever_more_rarely() {
        let now = Instant::now();
        let mut quota = Quota::new(&settings(200.0), None, now);
        let stated = StatedQuota { calls: 50, period_ms: 1000 };
        let (rate, refused) = drive(&mut quota, 50, Some(stated), now, 300);
        assert!(rate > 47.0, "{rate}");
        assert!(refused <= 8, "{refused}");
    }

    #[test]
    fn a_doubled_quota_is_found() {
        let now = Instant::now();
        let mut quota = Quota::new(&settings(200.0), None, now);
        drive(&mut quota, 50, None, now, 20);
        let (_, _) = drive(&mut quota, 100, None, now + Duration::from_secs(20), 60);
        assert!(per_second(&quota) > 80.0, "{}", per_second(&quota));
    }

    #[test]
    fn the_pace_never_rises_above_the_settings() {
        let now = Instant::now();
        let mut quota = Quota::new(&settings(10.0), Some(Learned { per_second: 4.0, stated: false }), now);
        assert!((per_second(&quota) - 4.0).abs() < 1e-9);
        drive(&mut quota, usize::MAX, None, now, 120);
        assert!((per_second(&quota) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn the_wait_doubles_up_to_the_period() {
        let mut now = Instant::now();
        let mut quota = Quota::new(&settings(10.0), None, now);
        let mut waits = Vec::new();
        for _ in 0..7 {
            now += Duration::from_secs(100);
            waits.push(quota.throttled(now, now, None, None).0.as_secs());
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60]);
        let stated = StatedQuota { calls: 5, period_ms: 1000 };
        assert_eq!(quota.throttled(now, now + Duration::from_secs(1), None, Some(stated)).0, Duration::from_secs(1));
    }

    #[test]
    fn throttled_for_too_long_is_noticed_and_forgiven_by_one_accepted_request() {
        let now = Instant::now();
        let later = now + Duration::from_secs(601);
        let mut quota = Quota::new(&settings(10.0), None, now);
        quota.throttled(now, now, None, None);
        assert!(quota.throttled_too_long(later).is_some());
        quota.accepted(later);
        assert!(quota.throttled_too_long(later).is_none());
    }
}
