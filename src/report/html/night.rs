//! Time axis of the charts: the time between launches is left out, and seconds are gathered into equal steps.

use jiff::Timestamp;

use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::run::RunEvent;
use crate::journal::read::activity::{Activity, Second};

/// Most steps in a chart: more cannot be told apart on a page.
const MOST_STEPS: i64 = 120;
/// Lengths that a step may have, in seconds: round units of time.
const STEPS: [i64; 16] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200];

/// Clock that counts only the time in which launches carried the run, in seconds.
pub(super) struct RunClock {
    /// First and last second of each launch, in order.
    launches: Vec<(i64, i64)>,
}

impl RunClock {
    /// Makes the clock from the events of lanes and run, in the order of time.
    pub(super) fn from_events(events: &[Event], activity: &Activity) -> Self {
        let mut launches: Vec<(i64, i64)> = Vec::new();
        for event in events {
            let second = event.at.as_second();
            if let EventKind::Run(RunEvent::LaunchBegan { .. }) = event.kind {
                // A launch that was cut off has no end of its own: it ends with its last activity.
                if let (Some((first, last)), Some(active)) = (launches.last_mut(), activity.last_before(event.at)) {
                    *last = (*last).max(active.min(second)).max(*first);
                }
                launches.push((second, second));
            } else if let Some((_, last)) = launches.last_mut() {
                *last = (*last).max(second);
            }
        }
        if let (Some((_, last)), Some((active, _))) = (launches.last_mut(), activity.seconds.last_key_value()) {
            *last = (*last).max(*active);
        }
        Self { launches }
    }

    pub(super) fn total(&self) -> i64 {
        self.launches.iter().map(|(first, last)| last - first + 1).sum::<i64>().max(1)
    }

    /// Returns the place on this clock of a second since the epoch; one between two launches is at the beginning of the later.
    pub(super) fn place(&self, second: i64) -> i64 {
        let mut place = 0;
        for (first, last) in &self.launches {
            if second < *first {
                break;
            }
            if second <= *last {
                return place + second - first;
            }
            place += last - first + 1;
        }
        place
    }

    /// Returns the time of day at a place on this clock; `None` past its end.
    pub(super) fn time_of(&self, place: i64) -> Option<Timestamp> {
        let mut left = place;
        for (first, last) in &self.launches {
            if left <= last - first {
                return Timestamp::from_second(first + left).ok();
            }
            left -= last - first + 1;
        }
        None
    }

    /// Returns the places where launches begin, except the first.
    pub(super) fn seams(&self) -> impl Iterator<Item = i64> {
        self.launches.iter().skip(1).map(|(first, _)| self.place(*first))
    }
}

/// Traffic of a run in equal steps of its clock.
pub(super) struct Timeline {
    /// Length of a step in seconds.
    pub(super) step: i64,
    pub(super) steps: Vec<Second>,
}

impl Timeline {
    pub(super) fn new(clock: &RunClock, activity: &Activity) -> Self {
        let total = clock.total();
        let step = STEPS.into_iter().find(|step| total <= step * MOST_STEPS).unwrap_or(ceiling(total, MOST_STEPS));
        let n_steps = usize::try_from(ceiling(total, step)).expect("a time is not negative");
        let mut steps = vec![Second::default(); n_steps];
        for (second, happened) in &activity.seconds {
            let place = usize::try_from(clock.place(*second) / step).expect("a place is not negative");
            steps[place.min(n_steps - 1)].add(*happened);
        }
        Self { step, steps }
    }
}

fn ceiling(n: i64, by: i64) -> i64 {
    (n + by - 1) / by
}

/// A named span from one place of the clock to another.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TimeSpan {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) label: String,
}

/// Returns the spans in which each wave was carried out, and those in which the run waited.
pub(super) fn bands(clock: &RunClock, events: &[Event]) -> (Vec<TimeSpan>, Vec<TimeSpan>) {
    let (mut stages, mut waits) = (Vec::<TimeSpan>::new(), Vec::<TimeSpan>::new());
    let (mut in_stage, mut in_wait) = (false, false);
    let begin = |bands: &mut Vec<TimeSpan>, at: i64, label: String| bands.push(TimeSpan { from: at, to: at, label });
    for event in events {
        let place = clock.place(event.at.as_second());
        if let (true, Some(stage)) = (in_stage, stages.last_mut()) {
            stage.to = place;
        }
        if let (true, Some(wait)) = (in_wait, waits.last_mut()) {
            wait.to = place;
        }
        let EventKind::Run(what) = &event.kind else { continue };
        match what {
            RunEvent::StageBegan { stage, .. } => {
                in_stage = stage.wave.is_some();
                if in_stage {
                    begin(&mut stages, place, stage.to_string());
                }
            }
            RunEvent::StageEnded { .. } | RunEvent::LaunchEnded { .. } | RunEvent::LaunchBegan { .. } => {
                (in_stage, in_wait) = (false, false);
            }
            RunEvent::WaitBegan { .. } => {
                begin(&mut waits, place, "waits".to_owned());
                in_wait = true;
            }
            RunEvent::WaitEnded => in_wait = false,
            RunEvent::Started { .. }
            | RunEvent::DrainBegan { .. }
            | RunEvent::Controlled { .. }
            | RunEvent::HookRan { .. } => (),
        }
    }
    if let (true, Some(stage)) = (in_stage, stages.last_mut()) {
        stage.to = clock.total();
    }
    (stages, waits)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event::lane::LaneId;
    use crate::event::run::RunEvent;
    use crate::exit::Exit;

    fn at(second: i64, kind: EventKind) -> Event {
        Event { lane: LaneId::RUN, seq: 1, at: Timestamp::from_second(second).unwrap(), kind }
    }

    fn began(second: i64) -> Event {
        let verb = "run".to_owned();
        let (host, version) = (String::new(), String::new());
        at(
            second,
            RunEvent::LaunchBegan {
                launch: 1,
                verb,
                pid: 1,
                host,
                user: None,
                who: crate::whoami::Who::default(),
                version,
                given: BTreeMap::new(),
                cut_off_ms: 0,
            }
            .into(),
        )
    }

    fn ended(second: i64) -> Event {
        at(second, RunEvent::LaunchEnded { exit: Exit::Done, reason: None, elapsed_ms: 0, refusal: None }.into())
    }

    fn busy(seconds: &[i64]) -> Activity {
        let one = Second { first: 1, ..Second::default() };
        Activity { seconds: seconds.iter().map(|second| (*second, one)).collect(), ..Activity::default() }
    }

    #[test]
    fn what_lies_between_launches_does_not_count() {
        // The first launch was cut off after its last change, at 105.
        let clock = RunClock::from_events(&[began(100), began(90_000), ended(90_003)], &busy(&[101, 105, 90_002]));
        assert_eq!(clock.total(), 6 + 4);
        assert_eq!([100, 105, 500, 90_000, 90_003].map(|second| clock.place(second)), [0, 5, 6, 6, 9]);
        assert_eq!(clock.seams().collect::<Vec<_>>(), [6]);
        for place in [0, 5, 6, 9] {
            assert_eq!(clock.place(clock.time_of(place).unwrap().as_second()), place);
        }
        assert_eq!(clock.time_of(10), None);
    }

    #[test]
    fn every_change_is_in_a_step_however_long_the_run() {
        for length in [0, 1, 119, 120, 121, 86_400, 40_000_000] {
            let seconds: Vec<i64> = (0..=100).map(|i| 1_000 + length * i / 100).collect();
            let activity = busy(&seconds);
            let clock = RunClock::from_events(&[began(1_000), ended(1_000 + length)], &activity);
            let timeline = Timeline::new(&clock, &activity);
            let n_changes: u64 = timeline.steps.iter().map(|step| step.first).sum();
            assert_eq!(n_changes, u64::try_from(activity.seconds.len()).unwrap());
            assert!(timeline.steps.len() <= 120, "{length}: {}", timeline.steps.len());
        }
    }

    #[test]
    fn a_run_that_never_began_has_a_clock() {
        let clock = RunClock::from_events(&[], &Activity::default());
        assert_eq!((clock.total(), clock.place(5)), (1, 0));
        assert_eq!(Timeline::new(&clock, &Activity::default()).steps.len(), 1);
    }
}
