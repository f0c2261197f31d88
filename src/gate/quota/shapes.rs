//! Simulated services with quotas of all kinds, on a simulated clock: how near the pace comes to what each of them accepts.

use std::collections::VecDeque;

use super::*;

fn settings(top: f64) -> GateSettings {
    GateSettings { per_second: Some(top), burst: 1, concurrency: 8, max_throttle: Duration::from_mins(10) }
}

fn per_second(quota: &Quota) -> f64 {
    quota.per_second().unwrap()
}

fn fresh(top: f64) -> (Quota, Instant) {
    let now = Instant::now();
    (Quota::new(&settings(top), None, now), now)
}

/// Kind of a service that refuses.
#[derive(Clone)]
enum Shape {
    /// Accepts so many calls in any span of this length.
    Window { calls: usize, span: Duration, taken: VecDeque<Instant> },
    /// Accepts so many calls a second, and saves up unused ones up to `burst`.
    Bucket { per_second: f64, burst: f64, tokens: f64, filled_at: Option<Instant> },
    /// Refuses this share of all, at any pace.
    Sporadic { share: f64, seed: u64 },
    /// Refuses everything between these seconds.
    Outage { from: f64, to: f64 },
}

struct Service {
    shape: Shape,
    stated: Option<StatedQuota>,
    retry_after: Option<Duration>,
    /// Time for which, now and then, nothing comes through, and then everything at once.
    stall: Duration,
    began: Instant,
}

const STALL_EVERY_S: f64 = 15.0;

/// Result of sending for a while.
#[derive(Debug, Default)]
struct Drive {
    n_taken: u32,
    n_refused: u32,
    refused_at: Vec<f64>,
    learned: Vec<Learned>,
}

fn window(calls: usize, span_s: u64) -> Shape {
    Shape::Window { calls, span: Duration::from_secs(span_s), taken: VecDeque::new() }
}

fn bucket(per_second: f64, burst: f64) -> Shape {
    Shape::Bucket { per_second, burst, tokens: burst, filled_at: None }
}

impl Shape {
    fn takes(&mut self, at: Instant, since: f64) -> bool {
        match self {
            Shape::Window { calls, span, taken } => {
                while taken.front().is_some_and(|first| at - *first >= *span) {
                    taken.pop_front();
                }
                let takes = taken.len() < *calls;
                if takes {
                    taken.push_back(at);
                }
                takes
            }
            Shape::Bucket { per_second, burst, tokens, filled_at } => {
                let passed = (at - *filled_at.get_or_insert(at)).as_secs_f64();
                *filled_at = Some(at);
                *tokens = (*tokens + passed * *per_second).min(*burst);
                let takes = *tokens >= 1.0;
                *tokens -= f64::from(u8::from(takes));
                takes
            }
            Shape::Sporadic { share, seed } => {
                // source: Sebastiano Vigna, splitmix64
                *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut mixed = *seed;
                mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                #[expect(clippy::cast_precision_loss, reason = "a die")]
                let roll = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
                roll >= *share
            }
            Shape::Outage { from, to } => !(*from..*to).contains(&since),
        }
    }
}

impl Service {
    fn new(shape: Shape) -> Self {
        Self { shape, stated: None, retry_after: None, stall: Duration::ZERO, began: Instant::now() }
    }

    fn stating(calls: u32, shape: Shape) -> Self {
        Self { stated: Some(StatedQuota { calls, period_ms: 1000 }), ..Self::new(shape) }
    }

    /// Makes one request at that instant; returns when the next one may leave.
    fn asked(&mut self, quota: &mut Quota, at: Instant, drive: &mut Drive) -> Instant {
        let next = at + Duration::from_secs_f64(1.0 / (per_second(quota) * 0.995));
        let since = (at - self.began).as_secs_f64();
        let late = self.stall.saturating_sub(Duration::from_secs_f64(since % STALL_EVERY_S));
        if self.shape.takes(at + late, since) {
            drive.n_taken += 1;
            drive.learned.extend(quota.accepted(at, at));
            return next;
        }
        drive.n_refused += 1;
        drive.refused_at.push(since);
        let (wait, learned) = quota.throttled(at, at, self.retry_after, self.stated);
        drive.learned.extend(learned);
        next.max(at + wait)
    }

    /// Sends at the quota's own pace for so many seconds.
    fn driven(&mut self, quota: &mut Quota, clock: &mut Instant, seconds: f64) -> Drive {
        let end = *clock + Duration::from_secs_f64(seconds);
        let mut drive = Drive::default();
        while *clock < end {
            *clock = self.asked(quota, *clock, &mut drive);
        }
        drive
    }

    /// Sends until so many were accepted; returns the seconds that it took.
    fn carries(&mut self, quota: &mut Quota, n: u32) -> (f64, Drive) {
        let (mut clock, mut drive) = (self.began, Drive::default());
        while drive.n_taken < n {
            quota.expect(u64::from(n - drive.n_taken));
            clock = self.asked(quota, clock, &mut drive);
        }
        ((clock - self.began).as_secs_f64(), drive)
    }
}

/// Returns the time of so many calls relative to the time at exactly the allowed pace, and the share that was refused.
fn over(mut service: Service, top: f64, allowed: f64, seconds: f64) -> (f64, f64, Drive) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousand calls")]
    let n = (allowed * seconds) as u32;
    let (mut quota, began) = fresh(top);
    service.began = began;
    let (took, drive) = service.carries(&mut quota, n);
    let refused = f64::from(drive.n_refused) / f64::from(drive.n_refused + drive.n_taken);
    (took * allowed / f64::from(n), refused, drive)
}

#[test]
fn a_quota_is_used_and_kept_to_whether_it_is_stated_or_not() {
    for calls in [5, 10, 50, 500] {
        for times in [1.1, 2.0, 10.0] {
            let per_second = f64::from(calls);
            let shape = || window(usize::try_from(calls).unwrap(), 1);
            let (stated, refused, _) = over(Service::stating(calls, shape()), times * per_second, per_second, 60.0);
            assert!(stated <= 1.05 && refused < 0.01, "{stated}, {refused}: {calls} a second of {times} times, stated");
            let (unstated, refused, _) = over(Service::new(shape()), times * per_second, per_second, 60.0);
            assert!(unstated <= 1.15 && refused < 0.04, "{unstated}, {refused}: {calls} a second of {times} times");
        }
    }
}

#[test]
fn requests_that_were_held_up_on_their_way_are_no_reason_to_wait_for_long() {
    for calls in [5, 10, 50, 500] {
        let mut service = Service::stating(calls, window(usize::try_from(calls).unwrap(), 1));
        service.stall = Duration::from_millis(50);
        let (over, refused, _) = over(service, f64::from(2 * calls), f64::from(calls), 60.0);
        assert!(over <= 1.05 && refused < 0.02, "{over}, {refused}: {calls} a second");
    }
}

#[test]
fn a_bucket_is_used_however_much_it_had_saved() {
    for (per_second, burst, top) in [(20.0, 5.0, 40.0), (20.0, 5.0, 200.0), (20.0, 40.0, 40.0), (5.0, 2.0, 10.0)] {
        let (over, refused, _) = over(Service::new(bucket(per_second, burst)), top, per_second, 75.0);
        assert!(over <= 1.15 && refused < 0.06, "{over}, {refused}: {per_second} a second, {burst} saved, of {top}");
    }
}

#[test]
fn chance_is_no_quota() {
    for share in [0.005, 0.02] {
        for (top, at_most) in [(10.0, 1.25), (50.0, 1.25), (100.0, 1.25), (500.0, 1.3)] {
            let took = |seed| over(Service::new(Shape::Sporadic { share, seed }), top, top, 60.0).0;
            let took: Vec<f64> = (0..40).map(took).collect();
            let (mean, worst) = (took.iter().sum::<f64>() / 40.0, took.iter().copied().fold(0.0, f64::max));
            assert!(mean <= 1.15 && worst <= at_most, "{mean}, {worst}: {share} of {top} a second");
        }
    }
}

#[test]
fn chance_is_none_either_when_a_figure_is_told_that_is_far_away() {
    for top in [10.0, 50.0, 100.0] {
        let service = Service {
            stated: Some(StatedQuota { calls: 1000, period_ms: 1000 }),
            ..Service::new(Shape::Sporadic { share: 0.02, seed: 7 })
        };
        let (over, ..) = over(service, top, top, 60.0);
        assert!(over <= 1.25, "{over} of {top} a second");
    }
}

#[test]
fn an_outage_is_no_quota_and_leaves_nothing_behind() {
    for (from, to) in [(0.0, 15.0), (0.05, 15.0), (0.7, 15.0), (5.0, 20.0), (5.0, 8.0)] {
        for (retry_after, late) in [(Some(1), 1.5), (None, 17.5)] {
            let (mut quota, began) = fresh(10.0);
            let mut service = Service::new(Shape::Outage { from, to });
            service.retry_after = retry_after.map(Duration::from_secs);
            service.began = began;
            let mut clock = began;
            let mut drive = service.driven(&mut quota, &mut clock, to + 40.0);
            assert!(per_second(&quota) > 9.9, "{} after {from} to {to}, {retry_after:?}", per_second(&quota));
            assert_eq!(drive.learned, [], "{from} to {to}, {retry_after:?}");
            let missing = (to + 40.0 - (to - from)) * 10.0 - f64::from(drive.n_taken);
            assert!(missing / 10.0 <= late + 3.0, "{missing} after {from} to {to}, {retry_after:?}");
            drive.refused_at.clear();
        }
    }
}

#[test]
fn a_figure_survives_an_outage() {
    let (mut quota, mut clock) = fresh(50.0);
    let mut service = Service::stating(50, Shape::Outage { from: 5.0, to: 20.0 });
    service.retry_after = Some(Duration::from_secs(1));
    service.began = clock;
    service.driven(&mut quota, &mut clock, 21.0);
    assert!(per_second(&quota) > 45.0, "{}", per_second(&quota));
}

/// Counts refusals from one and a half seconds after the change on: before that, the change has to be noticed.
#[test]
fn a_halved_quota_is_followed_within_two_seconds_and_a_doubled_one_within_half_a_minute() {
    for stated in [true, false] {
        let (mut quota, mut clock) = fresh(400.0);
        let of = |calls: u32| {
            if stated {
                Service::stating(calls, window(calls as usize, 1))
            } else {
                Service::new(window(calls as usize, 1))
            }
        };
        of(50).driven(&mut quota, &mut clock, 20.0);
        let mut halved = of(25);
        halved.began = clock;
        let at_first = halved.driven(&mut quota, &mut clock, 3.5);
        let after: Vec<f64> = at_first.refused_at.iter().copied().filter(|at| *at > 1.5).collect();
        assert!(after.len() <= 5, "{after:?}, stated: {stated}");
        let then = halved.driven(&mut quota, &mut clock, 20.0);
        assert!(f64::from(then.n_refused) < 0.03 * f64::from(then.n_taken), "{then:?}");
        assert!(per_second(&quota) > 24.0 && per_second(&quota) < 26.0, "{}", per_second(&quota));
        of(50).driven(&mut quota, &mut clock, 30.0);
        assert!(per_second(&quota) > 45.0 && per_second(&quota) < 51.0, "{}, {stated}", per_second(&quota));
    }
}

#[test]
fn a_quota_for_longer_than_a_second_that_nobody_names_is_come_down_to_and_not_despaired_of() {
    for (calls, span) in [(60, 60), (50, 10), (300, 60)] {
        let (mut quota, mut clock) = fresh(10.0);
        let mut service = Service::new(window(calls, span));
        service.began = clock;
        service.driven(&mut quota, &mut clock, 600.0);
        let late = service.driven(&mut quota, &mut clock, 1200.0);
        #[expect(clippy::cast_precision_loss, reason = "some hundred")]
        let share = f64::from(late.n_taken) / (1200.0 * calls as f64 / span as f64);
        assert!(share > 0.75, "{share} of {calls} in {span} s: {late:?}");
    }
}

#[test]
fn nothing_is_probed_for_the_last_requests() {
    let start = Instant::now();
    let learned = Learned { per_second: 5.0, stated: true };
    let mut quota = Quota::new(&settings(100.0), Some(Remembered { learned, age: Duration::ZERO }), start);
    let believed = per_second(&quota);
    let (due, later) = (start + PROBE_EVERY, start + PROBE_EVERY + Duration::from_secs(1));
    quota.expect(49);
    quota.accepted(due, due);
    assert!((per_second(&quota) - believed).abs() < f64::EPSILON);
    quota.expect(50);
    quota.accepted(later, later);
    assert!(per_second(&quota) > believed);
}

#[test]
fn the_pace_never_rises_above_the_settings() {
    let now = Instant::now();
    let learned = Learned { per_second: 4.0, stated: false };
    let mut quota = Quota::new(&settings(10.0), Some(Remembered { learned, age: Duration::ZERO }), now);
    assert!((per_second(&quota) - 4.0 * ROOM_BELOW_COUNT).abs() < 1e-9);
    let drive = Service::new(window(usize::MAX, 1)).driven(&mut quota, &mut { now }, 120.0);
    assert!((per_second(&quota) - 10.0).abs() < 1e-9);
    assert_eq!(drive.learned, [Learned { per_second: 10.0, stated: false }], "the next run should not believe it");
}

#[test]
fn what_another_run_learned_is_doubted_the_sooner_the_older_it_is() {
    let hours = Duration::from_hours;
    for (stated, age, after_two_seconds) in [
        (true, hours(1), 4.0 * ROOM_BELOW_FIGURE),
        (true, hours(72), 10.0),
        (false, hours(1), 10.0),
        (false, hours(72), 10.0),
    ] {
        let now = Instant::now();
        let remembered = Remembered { learned: Learned { per_second: 4.0, stated }, age };
        let mut quota = Quota::new(&settings(10.0), Some(remembered), now);
        Service::new(window(usize::MAX, 1)).driven(&mut quota, &mut { now }, 4.0);
        assert!((per_second(&quota) - after_two_seconds).abs() < 1e-9, "{stated}, {age:?}: {}", per_second(&quota));
    }
}

#[test]
fn what_is_found_by_trying_is_told_once_it_was_kept_to() {
    let (mut quota, mut clock) = fresh(40.0);
    let drive = Service::new(window(20, 1)).driven(&mut quota, &mut clock, 10.0);
    assert_eq!(drive.learned, [Learned { per_second: 20.0, stated: false }]);
}

#[test]
fn the_wait_doubles_up_to_the_period() {
    let mut now = Instant::now();
    let mut quota = Quota::new(&settings(10.0), None, now);
    let mut waits = Vec::new();
    for _ in 0..7 {
        waits.push(quota.throttled(now, now, None, None).0.as_secs());
        now += Duration::from_secs(100);
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
    assert_eq!(quota.gives_up_at(), None);
    quota.throttled(now, now, None, None);
    assert_eq!(quota.gives_up_at(), Some(now + Duration::from_mins(10)));
    // That one was on its way already when the first was refused.
    quota.accepted(later, now - Duration::from_millis(1));
    assert_eq!(quota.gives_up_at(), Some(now + Duration::from_mins(10)));
    quota.accepted(later, later);
    assert_eq!(quota.gives_up_at(), None);
}

#[test]
fn what_is_remembered_is_said_with_its_age() {
    let said = |per_second, stated, age| Remembered { learned: Learned { per_second, stated }, age }.to_string();
    let (hours, minutes) = (Duration::from_hours, Duration::from_mins);
    assert_eq!(said(0.1, true, hours(72)), "0.1/s, learned 3 days ago, stated by the service; more is tried soon");
    assert_eq!(said(20.0, true, minutes(1)), "20/s, learned 1 minute ago, stated by the service");
    assert_eq!(said(0.88, false, hours(1)), "0.88/s, learned 1 hour ago, found by trying; more is tried soon");
    assert_eq!(said(48.5, false, hours(25)), "48.5/s, learned 1 day ago, found by trying; too old to go by");
}
