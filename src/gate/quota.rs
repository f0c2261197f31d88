//! What a lane believes the service takes: set by 429s, raised again by success.
//!
//! Nobody publishes the quota. A 429 with a figure sets the limit to it. One without halves the pace, and tells besides how
//! much the service took in the second before: success climbs back to just below that within a second. From time to time
//! a little more is tried than is believed, and as long as that is taken, more and more.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::GateSettings;
use crate::event::StatedQuota;

/// A stated figure is counted by the service's clock and windows, not ours.
const ROOM_BELOW_FIGURE: f64 = 0.995;
/// What was counted is counted by our clock, from when requests left.
const ROOM_BELOW_COUNT: f64 = 0.98;
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The quota's period where no text names one: figures are given per second or per minute.
/// source: devg-apisign/api-sign-errorcode.html (APIGW.0308).
const UNSTATED_PERIOD: Duration = Duration::from_mins(1);
/// More is tried than is believed after this long at most, so that a quota which doubles is found within half a minute.
const PROBE_EVERY: Duration = Duration::from_secs(28);
/// The same where no figure is stated: what is believed then is less sure, and more is tried sooner.
const PROBE_COUNT_EVERY: Duration = Duration::from_secs(24);
/// What we kept to was refused all the same. Others may have used the quota for a moment only.
const PROBE_AFTER_SURPRISE: Duration = Duration::from_secs(5);
const PROBE_FACTOR: f64 = 1.25;
/// What a probe that goes well is raised by, again and again.
const RAISE_FACTOR: f64 = 1.5;
/// A window of a second that was nearly full shows within this long that the pace is too much for it.
const RAISE_STEP: Duration = Duration::from_millis(500);
const CLIMB_FACTOR: f64 = 1.42;
const CLIMB_STEP: Duration = Duration::from_millis(250);
/// A probe costs about a second, so it is not worth while where all that is left takes no longer than this.
const PAYS_FROM: Duration = Duration::from_secs(10);
const FEW: f64 = 2.0;
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
    course: Course,
    /// A request that left before this was on its way when the last lesson was learned, and teaches nothing new.
    learned_at: Instant,
    raised_at: Instant,
    /// Lessons in a row without an accepted request.
    strikes: u32,
    throttled_since: Option<Instant>,
    max_throttle: Duration,
    taken: Taken,
    /// So many requests are left.
    n_left: u64,
}

/// What the belief stands on.
#[derive(Clone, Copy)]
enum Basis {
    /// Nothing was refused yet.
    Settings,
    /// The service's text names the figure.
    Stated { figure: f64, period: Duration },
    /// So much was taken in the second before one was refused.
    Counted { per_second: f64 },
}

/// How the pace changes while requests are accepted.
#[derive(Clone, Copy, PartialEq)]
enum Course {
    /// Up to what is believed.
    Climbs,
    /// At what is believed, until more is tried.
    Holds { probe_after: Duration },
    /// Beyond it.
    Probes,
}

impl Basis {
    fn believed(self) -> Option<f64> {
        match self {
            Basis::Settings => None,
            Basis::Stated { figure, .. } => Some(figure * ROOM_BELOW_FIGURE),
            Basis::Counted { per_second } => Some(per_second * ROOM_BELOW_COUNT),
        }
    }

    fn probe_after(self) -> Duration {
        match self {
            Basis::Settings | Basis::Counted { .. } => PROBE_COUNT_EVERY,
            // At most once a period.
            Basis::Stated { period, .. } => PROBE_EVERY.max(period),
        }
    }
}

impl Quota {
    pub(super) fn new(settings: &GateSettings, learned: Option<Learned>, now: Instant) -> Self {
        let top = settings.per_second;
        let basis = match learned {
            Some(Learned { per_second, stated: true }) => {
                Basis::Stated { figure: per_second, period: Duration::from_secs(1) }
            }
            Some(Learned { per_second, stated: false }) => Basis::Counted { per_second },
            None => Basis::Settings,
        };
        let mut quota = Self {
            top,
            burst: settings.burst,
            now: top,
            basis,
            course: Course::Holds { probe_after: basis.probe_after() },
            learned_at: now,
            raised_at: now,
            strikes: 0,
            throttled_since: None,
            max_throttle: settings.max_throttle,
            taken: Taken::default(),
            n_left: u64::MAX,
        };
        if let Some(believed) = basis.believed() {
            quota.go_at(believed);
        }
        quota
    }

    pub(super) fn per_second(&self) -> Option<f64> {
        self.now
    }

    /// Another `--rate`: what was learned of the service stands.
    pub(super) fn set_top(&mut self, top: Option<f64>) {
        self.top = top;
        let known = match self.basis {
            Basis::Settings => None,
            Basis::Stated { .. } => self.basis.believed(),
            Basis::Counted { .. } => self.now,
        };
        match known {
            Some(known) => self.go_at(known),
            None => self.now = top,
        }
    }

    /// What the service takes on average, as far as it told or showed; none: it was never too much for it.
    pub(super) fn believed(&self) -> Option<f64> {
        self.basis.believed()
    }

    pub(super) fn burst(&self) -> u32 {
        self.burst
    }

    fn go_at(&mut self, per_second: f64) {
        self.now = Some(self.top.map_or(per_second, |top| per_second.min(top)).max(SLOWEST));
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
            None => self.learn_by_counting(left_at),
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
        let known = matches!(self.basis, Basis::Stated { figure: known, .. } if (known - figure).abs() < f64::EPSILON);
        self.basis = Basis::Stated { figure, period: stated.period() };
        let believed = figure * ROOM_BELOW_FIGURE;
        // Refused although we kept to the figure: requests bunched on their way, or others share it.
        let kept_to_it = known && self.course != Course::Probes;
        let kept = self.now.filter(|now| kept_to_it && *now <= figure);
        self.go_at(kept.map_or(believed, |kept| kept * if kept < believed { 0.9 } else { 0.975 }));
        self.course = Course::Holds { probe_after: self.basis.probe_after() };
        (!known).then_some(Learned { per_second: figure, stated: true })
    }

    fn learn_by_counting(&mut self, left_at: Instant) -> Option<Learned> {
        let known = match self.basis {
            Basis::Counted { per_second } => Some(per_second),
            Basis::Settings | Basis::Stated { .. } => None,
        };
        let kept_to = known.filter(|_| self.course != Course::Probes);
        let count = self.taken.in_the_second_before(left_at);
        let per_second = match (kept_to, self.now) {
            (Some(kept), _) => kept / 2.0,
            // So few in a second tell nothing.
            (None, Some(limit)) if count < FEW => limit / 2.0,
            (None, _) => count,
        };
        let per_second = per_second.max(SLOWEST);
        self.basis = Basis::Counted { per_second };
        if kept_to.is_some() {
            // It was taken before and is not now, perhaps for a moment only.
            self.go_at(per_second * ROOM_BELOW_COUNT);
            self.course = Course::Holds { probe_after: PROBE_AFTER_SURPRISE };
        } else {
            self.go_at(per_second / 2.0);
            self.course = Course::Climbs;
        }
        let is_news = known.is_none_or(|known| (per_second - known).abs() > known / 20.0);
        is_news.then_some(Learned { per_second, stated: false })
    }

    /// So many requests are left. Until this is said, there is no end of them.
    pub(super) fn expect(&mut self, n_left: u64) {
        self.n_left = n_left;
    }

    fn pays_to_probe(&self, limit: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "it only has to be about right")]
        let n_left = self.n_left as f64;
        n_left >= limit * PAYS_FROM.as_secs_f64()
    }

    /// One that left at that instant was not refused for the quota's sake, whatever else was said to it.
    pub(super) fn let_through(&mut self, left_at: Instant) {
        self.taken.count(left_at);
    }

    /// One that left at that instant was accepted.
    pub(super) fn accepted(&mut self, now: Instant, left_at: Instant) {
        self.strikes = 0;
        self.throttled_since = None;
        self.let_through(left_at);
        let (Some(limit), Some(believed)) = (self.now, self.basis.believed()) else { return };
        let since_raised = now.saturating_duration_since(self.raised_at);
        let is_at_the_top = self.top.is_some_and(|top| limit >= top);
        let raised = match self.course {
            _ if is_at_the_top => return,
            Course::Climbs if since_raised < CLIMB_STEP => return,
            Course::Climbs if limit >= believed => {
                self.course = Course::Holds { probe_after: self.basis.probe_after() };
                return;
            }
            Course::Climbs => (limit * CLIMB_FACTOR).min(believed),
            Course::Holds { probe_after } if since_raised < probe_after => return,
            Course::Holds { .. } if limit < believed => believed,
            Course::Holds { .. } if !self.pays_to_probe(limit) => return,
            Course::Holds { .. } => {
                self.course = Course::Probes;
                limit * PROBE_FACTOR
            }
            Course::Probes if since_raised < RAISE_STEP => return,
            Course::Probes => limit * RAISE_FACTOR,
        };
        self.go_at(raised);
        self.raised_at = now;
    }

    pub(super) fn throttled_too_long(&self, now: Instant) -> Option<Duration> {
        let since = now.saturating_duration_since(self.throttled_since?);
        (since >= self.max_throttle).then_some(since)
    }
}

/// How many requests were let through of late, by when they left.
#[derive(Default)]
struct Taken {
    /// From the oldest to the youngest, in steps of [`Taken::STEP`] that had any.
    steps: VecDeque<(Instant, u32)>,
}

impl Taken {
    const STEP: Duration = Duration::from_millis(10);
    const KEPT: Duration = Duration::from_secs(2);

    fn count(&mut self, left_at: Instant) {
        while self.steps.front().is_some_and(|(at, _)| left_at.saturating_duration_since(*at) > Self::KEPT) {
            self.steps.pop_front();
        }
        match self.steps.back_mut() {
            // Answers come in about the order in which the requests left.
            Some((at, n)) if left_at.saturating_duration_since(*at) < Self::STEP => *n += 1,
            Some(_) | None => self.steps.push_back((left_at, 1)),
        }
    }

    fn in_the_second_before(&self, instant: Instant) -> f64 {
        let of_late = self
            .steps
            .iter()
            .filter(|(at, _)| *at <= instant && instant.saturating_duration_since(*at) < Duration::from_secs(1));
        of_late.map(|(_, n)| f64::from(*n)).sum()
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

    #[test]
    fn nothing_is_probed_for_the_last_requests() {
        let start = Instant::now();
        let mut quota = Quota::new(&settings(100.0), Some(Learned { per_second: 5.0, stated: true }), start);
        let believed = per_second(&quota);
        let (due, later) = (start + PROBE_EVERY, start + PROBE_EVERY + Duration::from_secs(1));
        quota.expect(49);
        quota.accepted(due, due);
        assert!((per_second(&quota) - believed).abs() < f64::EPSILON);
        quota.expect(50);
        quota.accepted(later, later);
        assert!(per_second(&quota) > believed);
    }

    /// A service that takes so much in any second, which may change.
    struct Service {
        capacity: usize,
        stated: bool,
        taken: VecDeque<Instant>,
    }

    /// What came of sending for a while.
    struct Drive {
        n_taken: u32,
        n_refused: u32,
        last_refused: Option<Instant>,
    }

    impl Service {
        fn new(capacity: usize, stated: bool) -> Self {
            Self { capacity, stated, taken: VecDeque::new() }
        }

        fn takes(&mut self, at: Instant) -> bool {
            while self.taken.front().is_some_and(|taken| at - *taken >= Duration::from_secs(1)) {
                self.taken.pop_front();
            }
            let takes = self.taken.len() < self.capacity;
            if takes {
                self.taken.push_back(at);
            }
            takes
        }

        /// Sends at the quota's own pace for so many seconds.
        fn driven(&mut self, quota: &mut Quota, clock: &mut Instant, seconds: f64) -> Drive {
            let end = *clock + Duration::from_secs_f64(seconds);
            let mut drive = Drive { n_taken: 0, n_refused: 0, last_refused: None };
            while *clock < end {
                let mut next = *clock + Duration::from_secs_f64(1.0 / (per_second(quota) * 0.995));
                if self.takes(*clock) {
                    drive.n_taken += 1;
                    quota.accepted(*clock, *clock);
                } else {
                    drive.n_refused += 1;
                    drive.last_refused = Some(*clock);
                    let calls = u32::try_from(self.capacity).unwrap();
                    let stated = self.stated.then_some(StatedQuota { calls, period_ms: 1000 });
                    next = *clock + quota.throttled(*clock, *clock, None, stated).0;
                }
                *clock = next;
            }
            drive
        }
    }

    fn fresh(top: f64) -> (Quota, Instant) {
        let now = Instant::now();
        (Quota::new(&settings(top), None, now), now)
    }

    #[test]
    fn a_quota_is_used_and_kept_to_whether_it_is_stated_or_not() {
        for (stated, share) in [(true, 0.945), (false, 0.88)] {
            for capacity in [5, 10, 50, 500] {
                let of_seconds = f64::from(u32::try_from(capacity).unwrap());
                let (mut quota, mut clock) = fresh(2.0 * of_seconds);
                let drive = Service::new(capacity, stated).driven(&mut quota, &mut clock, 65.0);
                let taken = f64::from(drive.n_taken) / (65.0 * of_seconds);
                assert!(taken >= share, "{taken} of {capacity} a second, stated: {stated}");
                assert!(drive.n_refused <= 3, "{} of {capacity} a second, stated: {stated}", drive.n_refused);
            }
        }
    }

    #[test]
    fn a_halved_quota_is_followed_at_once_and_a_doubled_one_within_half_a_minute() {
        for stated in [true, false] {
            let (mut quota, mut clock) = fresh(400.0);
            let mut service = Service::new(50, stated);
            service.driven(&mut quota, &mut clock, 20.0);
            service.capacity = 25;
            let halved_at = clock;
            let drive = service.driven(&mut quota, &mut clock, 4.0);
            assert!(drive.last_refused.unwrap() - halved_at < Duration::from_secs(2), "stated: {stated}");
            service.driven(&mut quota, &mut clock, 20.0);
            service.capacity = 50;
            service.driven(&mut quota, &mut clock, 30.0);
            assert!(per_second(&quota) > 45.0 && per_second(&quota) < 51.0, "{}, {stated}", per_second(&quota));
        }
    }

    #[test]
    fn what_was_kept_to_and_is_refused_is_halved_and_comes_back_step_by_step() {
        let (mut quota, mut clock) = fresh(100.0);
        let mut service = Service::new(40, false);
        service.driven(&mut quota, &mut clock, 10.0);
        let kept = per_second(&quota);
        quota.throttled(clock, clock, None, None);
        assert!(per_second(&quota) < kept / 1.9);
        clock += Duration::from_secs(2);
        service.driven(&mut quota, &mut clock, 12.0);
        assert!(per_second(&quota) > kept * 0.9, "{} of {kept}", per_second(&quota));
    }

    #[test]
    fn a_quota_for_a_minute_that_nobody_names_is_come_down_to_and_not_despaired_of() {
        let (mut quota, mut clock) = fresh(10.0);
        let mut taken = VecDeque::new();
        let (end, mut n_late) = (clock + Duration::from_mins(30), 0);
        let late = clock + Duration::from_mins(10);
        while clock < end {
            while taken.front().is_some_and(|at| clock - *at >= Duration::from_mins(1)) {
                taken.pop_front();
            }
            if taken.len() < 60 {
                taken.push_back(clock);
                n_late += u32::from(clock >= late);
                quota.accepted(clock, clock);
                clock += Duration::from_secs_f64(1.0 / per_second(&quota));
            } else {
                clock += quota.throttled(clock, clock, None, None).0;
            }
        }
        assert!(n_late > 20 * 60 / 2, "{n_late} in twenty minutes of sixty each");
    }

    #[test]
    fn the_pace_never_rises_above_the_settings() {
        let now = Instant::now();
        let mut quota = Quota::new(&settings(10.0), Some(Learned { per_second: 4.0, stated: false }), now);
        assert!((per_second(&quota) - 4.0 * ROOM_BELOW_COUNT).abs() < 1e-9);
        Service::new(usize::MAX, false).driven(&mut quota, &mut { now }, 120.0);
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
        quota.accepted(later, later);
        assert!(quota.throttled_too_long(later).is_none());
    }
}
