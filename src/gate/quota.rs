//! Estimate of the rate that the service accepts in a lane: lowered by 429s, raised again by success.
//!
//! The quota is published nowhere. A 429 with a figure sets the limit to it. One without may be chance, an outage or a quota,
//! and [`Suspicion`] tells chance from the others. The requests let through in the second before are what the service accepts,
//! and success climbs from half of that back to just below it within a second. What was learned is tested again, soon if it was
//! learned from little, and from time to time in any case: a little more than the believed rate is tried, and more and more as
//! long as that is accepted. Refusals with nothing accepted between them are one lesson, however many they are.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::let_through::LetThrough;
use super::settings::GateSettings;
use super::suspicion::{Alarm, Suspicion};
use crate::event::outcome::StatedQuota;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod shapes;

/// Factor below a stated figure, since it is counted by the service's clock and windows, not ours.
const ROOM_BELOW_FIGURE: f64 = 0.995;
/// Factor below a count, since it is by our clock, from when requests left.
const ROOM_BELOW_COUNT: f64 = 0.98;
/// Part of a stated figure below which a refusal is not due to the quota.
const NEAR_FIGURE: f64 = 0.9;
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// Wait while others are let through, or after more than the believed rate was tried: the believed rate is accepted again at
/// once.
const WAIT_AMONG_OTHERS: Duration = Duration::from_millis(250);
/// Wait after the kept pace was refused: by then a window of a second has passed.
const WAIT_AFTER_SURPRISE: Duration = Duration::from_secs(1);
/// Period of the quota where no text names one: figures are given per second or per minute.
/// source: devg-apisign/api-sign-errorcode.html (APIGW.0308).
const UNSTATED_PERIOD: Duration = Duration::from_mins(1);
/// Time after which more than the believed rate is tried at the latest: a quota that doubles is found within half a minute.
const PROBE_EVERY: Duration = Duration::from_secs(28);
/// Time until a probe where no figure is stated: the belief is less certain then, and is tested sooner.
const PROBE_COUNT_EVERY: Duration = Duration::from_secs(24);
/// Time until a probe after a lesson from less than a second, from an outage, or from another run: one window in which the rate
/// was kept to.
const PROBE_SOON: Duration = Duration::from_secs(1);
/// Time until a probe after the kept pace was refused: others may have used the quota for a moment only.
const PROBE_AFTER_SURPRISE: Duration = Duration::from_secs(10);
const PROBE_FACTOR: f64 = 1.25;
/// Factor by which a probe that goes well is raised, again and again.
const RAISE_FACTOR: f64 = 1.5;
/// Time for which a raised rate is kept: a window of a second that was nearly full shows within it that the rate is too high.
const RAISE_STEP: Duration = Duration::from_millis(500);
const CLIMB_FACTOR: f64 = 1.42;
const CLIMB_STEP: Duration = Duration::from_millis(250);
/// Remaining time from which on a probe is worth while: it costs about a second.
const PAYS_FROM: Duration = Duration::from_secs(10);
const FEW: f64 = 2.0;
/// Window within which, and number of requests below which, a first refusal by itself shows that the pace is too fast.
const WINDOW: Duration = Duration::from_secs(1);
const MANY: f64 = 100.0;
/// Part of a second's requests below which a count does not measure what a second takes.
const TOO_SHORT: f64 = 1.0 / 8.0;
/// Time of refusals from which on it is not a window of a second: an outage, or a quota for longer.
const SPELL: Duration = Duration::from_secs(5);
/// Distance beyond which two spells have nothing to do with each other.
const SPELLS_WITHIN: Duration = Duration::from_mins(10);
/// Slowest pace: one request a minute.
const SLOWEST: f64 = 1.0 / 60.0;
/// Rate from which on no pace is needed.
const FASTEST: f64 = 100_000.0;
/// Life of a lesson that another run learned without a figure.
const REMEMBERED: Duration = Duration::from_hours(24);

/// Lesson worth remembering for the next run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Learned {
    pub(crate) per_second: f64,
    pub(crate) stated: bool,
}

/// Lesson of an earlier run, and its age.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Remembered {
    pub(crate) learned: Learned,
    pub(crate) age: Duration,
}

pub(super) struct Quota {
    /// `--rate`; `None` for no limit of ours.
    top: Option<f64>,
    burst: u32,
    now: Option<f64>,
    basis: Basis,
    course: Course,
    /// A request that left before this was on its way when the last lesson was learned, and teaches nothing new.
    learned_at: Instant,
    raised_at: Instant,
    /// Instant at which requests could leave again after the last lesson.
    resumed_at: Instant,
    n_lessons: u32,
    suspicion: Suspicion,
    /// Refusals that counted since the last accepted request, and those of them that were followed by a full wait.
    strikes: u32,
    n_waits: u32,
    throttled_since: Option<Instant>,
    max_throttle: Duration,
    taken: LetThrough,
    spell: Spell,
    /// The belief was measured, and one wait was enough after that: it is told once it was kept to.
    is_measured: bool,
    /// Lesson that the next run knows by now.
    told: Option<Learned>,
    /// Requests still to be made; `u64::MAX` until that is known.
    n_left: u64,
}

/// Basis of the belief.
#[derive(Clone, Copy)]
enum Basis {
    /// No request was refused yet.
    Settings,
    /// The service's text names the figure.
    Stated { figure: f64, period: Duration, is_firm: bool },
    /// Requests per second were counted until one was refused.
    Counted { per_second: f64, period: Duration, probe_after: Duration },
}

/// Course of the pace while requests are accepted.
#[derive(Clone, Copy, PartialEq)]
enum Course {
    /// Rises to the believed rate.
    Climbs,
    /// Stays at the believed rate until a probe is due.
    Holds { probe_after: Duration },
    /// Goes beyond the believed rate.
    Probes,
}

/// Time in which requests are let through, after a long time in which none were.
struct Spell {
    began_at: Instant,
    n_taken: u32,
    /// True where it began with the end of another spell.
    is_second: bool,
}

impl Spell {
    fn first(now: Instant) -> Self {
        Self { began_at: now, n_taken: 0, is_second: false }
    }

    fn behind_another(now: Instant) -> Self {
        Self { is_second: true, ..Self::first(now) }
    }
}

impl Basis {
    fn counted(per_second: f64, probe_after: Duration) -> Self {
        Basis::Counted { per_second: per_second.max(SLOWEST), period: WINDOW, probe_after }
    }

    fn believed(self) -> Option<f64> {
        match self {
            Basis::Settings => None,
            Basis::Stated { figure, .. } => Some(figure * ROOM_BELOW_FIGURE),
            Basis::Counted { per_second, .. } => Some(per_second * ROOM_BELOW_COUNT),
        }
    }

    fn probe_after(self) -> Duration {
        match self {
            // A probe comes at most once a period.
            Basis::Stated { period, is_firm: true, .. } => PROBE_EVERY.max(period),
            Basis::Stated { period, is_firm: false, .. } => PROBE_SOON.max(period),
            Basis::Counted { probe_after, .. } => probe_after,
            Basis::Settings => PROBE_COUNT_EVERY,
        }
    }

    /// Time for which a pace has to be kept to until it would show that it is too fast.
    fn raise_step(self) -> Duration {
        match self {
            Basis::Settings | Basis::Stated { .. } => RAISE_STEP,
            Basis::Counted { period, .. } => RAISE_STEP.max(period / 2),
        }
    }
}

impl Remembered {
    /// Returns what it is worth by now. A figure stands in the service's own text, and becomes doubtful after a day; a rate
    /// found by trying is found again in seconds, and is forgotten after a day.
    fn basis(self) -> Basis {
        let Learned { per_second, stated } = self.learned;
        let is_firm = self.age < REMEMBERED;
        match (stated, is_firm) {
            (true, is_firm) => Basis::Stated { figure: per_second, period: WINDOW, is_firm },
            (false, true) => Basis::counted(per_second, PROBE_SOON),
            (false, false) => Basis::Settings,
        }
    }
}

impl fmt::Display for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Learned { per_second, stated } = self.learned;
        let origin = if stated { "stated by the service" } else { "found by trying" };
        // More digits would mean nothing.
        let figure = if per_second < 1.0 { format!("{per_second:.2}") } else { format!("{per_second:.1}") };
        let figure = figure.trim_end_matches('0').trim_end_matches('.');
        write!(f, "{figure}/s, learned {} ago, {origin}", span(self.age))?;
        match self.basis() {
            Basis::Settings => f.write_str("; too old to go by"),
            Basis::Stated { is_firm: true, .. } => Ok(()),
            Basis::Stated { is_firm: false, .. } | Basis::Counted { .. } => f.write_str("; more is tried soon"),
        }
    }
}

/// Formats an age in the largest unit that fits.
fn span(age: Duration) -> String {
    let seconds = age.as_secs();
    let (n, unit) = match seconds {
        ..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        86_400.. => (seconds / 86_400, "day"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

impl Quota {
    pub(super) fn new(settings: &GateSettings, remembered: Option<Remembered>, now: Instant) -> Self {
        let top = settings.per_second;
        let basis = remembered.map_or(Basis::Settings, Remembered::basis);
        let mut quota = Self {
            top,
            burst: settings.burst,
            now: top,
            basis,
            course: Course::Holds { probe_after: basis.probe_after() },
            learned_at: now,
            raised_at: now,
            resumed_at: now,
            n_lessons: 0,
            suspicion: Suspicion::default(),
            strikes: 0,
            n_waits: 0,
            throttled_since: None,
            max_throttle: settings.max_throttle,
            taken: LetThrough::default(),
            spell: Spell::first(now),
            is_measured: false,
            told: remembered.map(|remembered| remembered.learned),
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

    /// Sets another `--rate`; what was learned of the service stands.
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

    /// Rate that the service accepts on average, as far as it stated or showed it; `None` if nothing was ever too much for it.
    pub(super) fn believed(&self) -> Option<f64> {
        self.basis.believed()
    }

    pub(super) fn burst(&self) -> u32 {
        self.burst
    }

    fn go_at(&mut self, per_second: f64) {
        self.now = Some(self.top.map_or(per_second, |top| per_second.min(top)).max(SLOWEST));
    }

    /// Begins with the wait that another launch was told, and that has not passed.
    pub(super) fn begin_throttled(&mut self, now: Instant) {
        self.throttled_since = Some(now);
    }

    /// Leaves a time in which nobody asked for anything out of the throttled time.
    pub(super) fn rested(&mut self, rested: Duration) {
        self.throttled_since = self.throttled_since.map(|since| since + rested);
    }

    /// Takes a refusal into account; returns the time for which the lane waits, and the lesson if it is new.
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
        let Some(lesson) = self.lesson(left_at, stated) else {
            return (retry_after.unwrap_or(Duration::ZERO), None);
        };
        let first_wait = self.first_wait(lesson, stated);
        let is_news = stated.is_some_and(|stated| !self.knows(stated));
        let learned = match stated {
            _ if self.strikes > 0 && !is_news => None,
            Some(stated) => self.learn_figure(stated),
            None => self.learn_by_counting(left_at, lesson),
        };
        let period = stated.map_or(UNSTATED_PERIOD, StatedQuota::period);
        let wait = if let Some(wait) = first_wait.filter(|_| self.strikes == 0) {
            wait
        } else {
            self.n_waits += 1;
            (FIRST_WAIT * 2_u32.pow((self.n_waits - 1).min(10))).min(period)
        };
        let wait = retry_after.unwrap_or(wait);
        self.is_measured &= self.strikes == 0;
        self.strikes += 1;
        self.n_lessons += 1;
        self.suspicion = Suspicion::default();
        self.learned_at = now;
        self.resumed_at = now + wait;
        self.raised_at = self.resumed_at;
        (wait, learned)
    }

    /// Returns the meaning of a refusal for the pace; `None` while it may be chance.
    fn lesson(&mut self, left_at: Instant, stated: Option<StatedQuota>) -> Option<Lesson> {
        if self.strikes > 0 {
            return Some(Lesson::Again);
        }
        let limit = self.now.unwrap_or_else(|| self.taken.in_the_second_before(left_at));
        let is_at_once = match stated {
            Some(stated) => limit >= stated.per_second() * NEAR_FIGURE,
            None => {
                self.n_lessons < 2
                    && matches!(self.basis, Basis::Settings | Basis::Counted { probe_after: PROBE_SOON, .. })
                    && self.course != Course::Probes
                    && left_at.saturating_duration_since(self.resumed_at) < WINDOW
                    && self.taken.in_the_second_before(left_at) < MANY
            }
        };
        if is_at_once { Some(Lesson::AtOnce) } else { self.suspicion.refused(limit).map(Lesson::Alarm) }
    }

    /// Returns a wait that is shorter than the period; `None` for a full one.
    fn first_wait(&self, lesson: Lesson, stated: Option<StatedQuota>) -> Option<Duration> {
        // The figure was exceeded by a few requests only, and a part of the period makes room for more than those.
        if let Some(known) = stated.filter(|stated| self.knows(*stated)) {
            return Some(known.period() / 4);
        }
        if matches!(self.basis, Basis::Stated { .. }) {
            return None;
        }
        match (lesson, self.basis, self.course) {
            (Lesson::Alarm(Alarm::Some { .. }), ..)
            | (Lesson::Alarm(Alarm::All), Basis::Counted { .. }, Course::Probes) => Some(WAIT_AMONG_OTHERS),
            (Lesson::Alarm(Alarm::All), Basis::Counted { .. }, _) => Some(WAIT_AFTER_SURPRISE),
            (Lesson::Alarm(Alarm::All) | Lesson::AtOnce | Lesson::Again, ..) => None,
        }
    }

    fn knows(&self, stated: StatedQuota) -> bool {
        matches!(self.basis, Basis::Stated { figure, .. } if (figure - stated.per_second()).abs() < f64::EPSILON)
    }

    fn learn_figure(&mut self, stated: StatedQuota) -> Option<Learned> {
        let figure = stated.per_second();
        let known = self.knows(stated);
        self.basis = Basis::Stated { figure, period: stated.period(), is_firm: true };
        let believed = figure * ROOM_BELOW_FIGURE;
        // Refused although we kept to the figure: requests bunched on their way, or others share it.
        let kept_to_it = known && self.course != Course::Probes;
        let kept = self.now.filter(|now| kept_to_it && *now <= figure);
        self.go_at(kept.map_or(believed, |kept| kept * if kept < believed { 0.9 } else { 0.975 }));
        let probe_after =
            if kept.is_some() { PROBE_AFTER_SURPRISE.max(stated.period()) } else { self.basis.probe_after() };
        self.course = Course::Holds { probe_after };
        self.tell(Learned { per_second: figure, stated: true })
    }

    fn learn_by_counting(&mut self, left_at: Instant, lesson: Lesson) -> Option<Learned> {
        let known = match self.basis {
            Basis::Counted { per_second, .. } => Some(per_second),
            Basis::Settings | Basis::Stated { .. } => None,
        };
        let count = self.taken.in_the_second_before(left_at);
        let limit = self.now.unwrap_or(count);
        self.is_measured = match lesson {
            Lesson::AtOnce | Lesson::Alarm(Alarm::Some { .. }) => count >= (limit * TOO_SHORT).max(FEW),
            Lesson::Alarm(Alarm::All) | Lesson::Again => false,
        };
        let measured = match lesson {
            // The pace may have been raised within the second.
            Lesson::Alarm(Alarm::Some { share }) => count.max(limit * share),
            Lesson::AtOnce | Lesson::Again | Lesson::Alarm(Alarm::All) if count < FEW => limit / 2.0,
            Lesson::AtOnce | Lesson::Again | Lesson::Alarm(Alarm::All) => count,
        };
        match (lesson, known, self.course) {
            // The believed rate was accepted before, and nothing is now: perhaps for a moment only.
            (Lesson::Alarm(Alarm::All), Some(known), Course::Probes) => {
                self.basis = Basis::counted(known, PROBE_SOON);
                self.go_at(known / 2.0);
                self.course = Course::Climbs;
                None
            }
            (Lesson::Alarm(Alarm::All), Some(known), Course::Climbs | Course::Holds { .. }) => {
                self.basis = Basis::counted(known.min(limit) / 2.0, PROBE_SOON);
                self.go_at(known.min(limit) / 2.0 * ROOM_BELOW_COUNT);
                self.course = Course::Holds { probe_after: PROBE_SOON };
                None
            }
            // Halves the pace, and tries more as soon as that was kept to.
            (Lesson::AtOnce, None, _) if count < (limit * TOO_SHORT).max(FEW) => {
                self.basis = Basis::counted(limit / 2.0, PROBE_SOON);
                self.go_at(limit / 2.0);
                self.course = Course::Holds { probe_after: PROBE_SOON };
                None
            }
            (Lesson::Alarm(Alarm::Some { .. }), _, course) => {
                let is_whole = left_at.saturating_duration_since(self.resumed_at) >= WINDOW;
                let is_probed = course == Course::Probes;
                let probe_after = match (is_whole, is_probed) {
                    (true, true) => PROBE_COUNT_EVERY,
                    (true, false) => PROBE_AFTER_SURPRISE,
                    (false, _) => PROBE_SOON,
                };
                self.basis = Basis::counted(measured, probe_after);
                self.go_at(measured / 2.0);
                self.course = Course::Climbs;
                if is_probed { self.tell_measured() } else { None }
            }
            (Lesson::AtOnce | Lesson::Alarm(Alarm::All), _, _) => {
                self.basis = Basis::counted(measured, PROBE_SOON);
                self.go_at(measured / 2.0);
                self.course = Course::Climbs;
                None
            }
            (Lesson::Again, ..) => None,
        }
    }

    /// Returns the lesson, unless the next run knows it already.
    fn tell(&mut self, learned: Learned) -> Option<Learned> {
        let is_known = self.told.is_some_and(|told| {
            let differs = (told.per_second - learned.per_second).abs();
            told.stated == learned.stated && differs <= if learned.stated { 0.0 } else { told.per_second / 20.0 }
        });
        self.told = Some(learned);
        (!is_known).then_some(learned)
    }

    /// Sets the number of requests still to be made.
    pub(super) fn expect(&mut self, n_left: u64) {
        self.n_left = n_left;
    }

    fn pays_to_probe(&self, limit: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "it only has to be about right")]
        let n_left = self.n_left as f64;
        n_left >= limit * PAYS_FROM.as_secs_f64()
    }

    /// Counts a request that left at that instant and was not refused because of the quota, whatever else its answer was.
    pub(super) fn let_through(&mut self, left_at: Instant) {
        self.taken.count(left_at);
        self.spell.n_taken = self.spell.n_taken.saturating_add(1);
        if left_at >= self.learned_at {
            self.suspicion.let_through();
        }
    }

    /// Takes an accepted request that left at that instant into account; returns a lesson if there is a new one.
    pub(super) fn accepted(&mut self, now: Instant, left_at: Instant) -> Option<Learned> {
        // A request that left before the first refusal tells nothing about the time after it.
        let since = self.throttled_since.take_if(|since| left_at >= *since);
        let refused_for = since.map(|since| now.saturating_duration_since(since));
        if left_at >= self.learned_at {
            self.strikes = 0;
            self.n_waits = 0;
        }
        if refused_for.is_some_and(|long| long >= SPELL) {
            self.learn_by_spell(now);
        }
        self.let_through(left_at);
        let (Some(limit), Some(believed)) = (self.now, self.basis.believed()) else { return None };
        let since_raised = now.saturating_duration_since(self.raised_at);
        if self.top.is_some_and(|top| limit >= top) || limit >= FASTEST {
            return self.disprove(limit, believed, since_raised);
        }
        let raised = match self.course {
            _ if self.suspicion.is_awake() => return None,
            Course::Climbs if since_raised < CLIMB_STEP => return None,
            Course::Climbs if limit >= believed => {
                self.course = Course::Holds { probe_after: self.basis.probe_after() };
                return self.tell_measured();
            }
            Course::Climbs => (limit * CLIMB_FACTOR).min(believed),
            Course::Holds { probe_after } if since_raised < probe_after => return None,
            Course::Holds { .. } if limit < believed => believed,
            Course::Holds { .. } if !self.pays_to_probe(limit) => return None,
            Course::Holds { .. } => {
                self.course = Course::Probes;
                limit * PROBE_FACTOR
            }
            Course::Probes if since_raised < self.basis.raise_step() => return None,
            Course::Probes => limit * RAISE_FACTOR,
        };
        self.go_at(raised);
        self.raised_at = now;
        None
    }

    /// Returns the pace that was climbed back to as a lesson: the next run begins with it.
    fn tell_measured(&mut self) -> Option<Learned> {
        match self.basis {
            Basis::Counted { per_second, .. } if self.is_measured => self.tell(Learned { per_second, stated: false }),
            Basis::Settings | Basis::Stated { .. } | Basis::Counted { .. } => None,
        }
    }

    /// Drops the belief where the fastest allowed pace is not refused: the next run should not believe it either.
    fn disprove(&mut self, limit: f64, believed: f64, since_raised: Duration) -> Option<Learned> {
        let is_beyond = self.course == Course::Probes && limit > believed;
        if !is_beyond || self.suspicion.is_awake() || since_raised < WINDOW {
            return None;
        }
        self.basis = Basis::Settings;
        self.course = Course::Holds { probe_after: self.basis.probe_after() };
        self.now = self.top;
        let told = self.told.filter(|told| told.per_second < limit);
        told.and_then(|_| self.tell(Learned { per_second: limit, stated: false }))
    }

    /// Learns from the end of a long refusal. One such refusal is an outage; two are a quota for longer than a second, and the
    /// requests accepted between the two are what it lets through.
    fn learn_by_spell(&mut self, now: Instant) {
        let lasted = now.saturating_duration_since(self.spell.began_at);
        let is_second = self.spell.is_second && lasted < SPELLS_WITHIN;
        let per_second = f64::from(self.spell.n_taken) / lasted.as_secs_f64().max(1.0);
        self.spell = Spell::behind_another(now);
        let is_stated = matches!(self.basis, Basis::Stated { .. });
        if is_second && !is_stated && per_second >= SLOWEST && self.now.is_none_or(|now| per_second < now) {
            self.basis = Basis::Counted { per_second, period: lasted, probe_after: PROBE_COUNT_EVERY.max(lasted) };
            self.go_at(per_second * ROOM_BELOW_COUNT);
            self.course = Course::Holds { probe_after: self.basis.probe_after() };
            self.raised_at = now;
        }
    }

    /// Start of the time in which every answer was a 429; `None` if the last one was not.
    pub(super) fn throttled_since(&self) -> Option<Instant> {
        self.throttled_since
    }

    /// Instant from which on there were only 429s for longer than the settings allow.
    pub(super) fn gives_up_at(&self) -> Option<Instant> {
        self.throttled_since.map(|since| since + self.max_throttle)
    }
}

/// Meaning of one refusal for the pace.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lesson {
    /// First refusal of a launch, which comes as a quota's would.
    AtOnce,
    /// More refusals than chance explains.
    Alarm(Alarm),
    /// Refusal after another one, with nothing accepted in between.
    Again,
}
