//! Admission of a stage: the soak of the stages before it, approvals, and the window. After each wait the next condition is
//! checked anew.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::input::{AtRest, WaitEnd};
use super::order::{Order, StageOrder, drain};
use super::settings::{StartLimit, SteeringSettings};
use crate::control::{Wait, waits_for};
use crate::event::run::{DrainReason, RunEvent};
use crate::journal::read::steering::{LeftOf, RowsLeft};
use crate::ledger::steered::Steered;
use crate::waves::window::Opening;
use crate::waves::{Part, Stage, Terms, WaveTerms};
use crate::wording::plain::plain;

/// Rows of a stage that are named where it halts; the others are counted.
pub(crate) const MOST_NAMED: u32 = 5;

/// Stage that has not begun yet, and how far it has come.
#[derive(Debug)]
pub(crate) struct Admission {
    stage: Stage,
    at_rest: AtRest,
    next: Next,
    /// Wait that was ordered and is not over.
    waits: Option<Awaited>,
}

/// Condition that is checked next.
#[derive(Debug)]
enum Next {
    Soak,
    /// Releases that are still needed; `None` until they are determined.
    Releases(Option<VecDeque<Stage>>),
    Window,
}

#[derive(Debug)]
enum Awaited {
    /// A time of day, whatever it was ordered for.
    Time(Timestamp),
    Release {
        release: Stage,
        until: Option<Timestamp>,
    },
}

/// Progress of an admission once its orders are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Waits,
    /// The stage may begin.
    Open,
    /// The stage does not begin, and the run stops.
    Denied,
}

/// Facts by which a stage is admitted.
pub(crate) struct AdmissionBasis<'a> {
    pub(crate) terms: &'a Terms,
    pub(crate) settings: &'a SteeringSettings,
    pub(crate) steered: &'a Steered,
    /// Time in which the launch has to begin, as long as it has not.
    pub(crate) start: Option<StartLimit>,
}

impl Admission {
    pub(crate) fn new(stage: Stage, at_rest: AtRest) -> Self {
        Self { stage, at_rest, next: Next::Soak, waits: None }
    }

    pub(crate) fn stage(&self) -> &Stage {
        &self.stage
    }

    pub(crate) fn into_stage(self) -> Stage {
        self.stage
    }

    /// Checks the conditions in turn, up to the first one that has to be waited for.
    pub(crate) fn advance(&mut self, basis: &AdmissionBasis, now: Timestamp) -> (Vec<StageOrder>, Progress) {
        let mut orders = Vec::new();
        loop {
            match &mut self.next {
                Next::Soak => {
                    self.next = Next::Releases(None);
                    let until = basis.soaks_until(&self.stage, &self.at_rest);
                    if let Some(until) = until.filter(|until| *until > now) {
                        let (waits, progress) = self.wait_until(basis, Wait::Soak, until);
                        orders.extend(waits);
                        return (orders, progress);
                    }
                }
                Next::Releases(needed) => {
                    let needed = needed.get_or_insert_with(|| basis.releases_needed(&self.stage, &self.at_rest).into());
                    let Some(release) = needed.pop_front() else {
                        self.next = Next::Window;
                        continue;
                    };
                    let until = basis.settings.approval_timeout.and_then(|timeout| now.checked_add(timeout).ok());
                    orders.push(begin_wait(Wait::Approval, &release, until));
                    if !basis.is_released(&release) {
                        orders.push(StageOrder::Wait { until });
                        self.waits = Some(Awaited::Release { release, until });
                        return (orders, Progress::Waits);
                    }
                    // Released while the one before it was waited for.
                    orders.push(Order::Record(RunEvent::WaitEnded).into());
                }
                Next::Window => match basis.settings.window.at(now) {
                    Opening::Open { .. } => return (orders, Progress::Open),
                    Opening::Over { since } => {
                        let why = format!("the time for changes ended at {}", basis.settings.window.local(since));
                        orders.extend(drain(DrainReason::Window, why));
                        return (orders, Progress::Denied);
                    }
                    Opening::Opens { at } => {
                        let (waits, progress) = self.wait_until(basis, Wait::Window, at);
                        orders.extend(waits);
                        return (orders, progress);
                    }
                },
            }
        }
    }

    /// Goes on after a wait, or waits again if its condition does not hold yet.
    pub(crate) fn waited(
        &mut self,
        basis: &AdmissionBasis,
        end: WaitEnd,
        now: Timestamp,
    ) -> (Vec<StageOrder>, Progress) {
        let ended = vec![Order::Record(RunEvent::WaitEnded).into()];
        if end == WaitEnd::Draining {
            return (ended, Progress::Denied);
        }
        match &self.waits {
            Some(Awaited::Release { release, .. }) if basis.is_released(release) => (),
            Some(Awaited::Release { release, .. }) if end == WaitEnd::TimeCame => {
                let why = drain(DrainReason::Unapproved, unreleased(release));
                return (ended.into_iter().chain(why).collect(), Progress::Denied);
            }
            Some(Awaited::Release { until, .. }) => return (vec![StageOrder::Wait { until: *until }], Progress::Waits),
            Some(Awaited::Time(until)) if end == WaitEnd::Woken => {
                return (vec![StageOrder::Wait { until: Some(*until) }], Progress::Waits);
            }
            Some(Awaited::Time(_)) | None => (),
        }
        self.waits = None;
        let (orders, progress) = self.advance(basis, now);
        (ended.into_iter().chain(orders).collect(), progress)
    }

    /// Waits for a time of day, unless the launch has to begin before that.
    fn wait_until(&mut self, basis: &AdmissionBasis, cause: Wait, until: Timestamp) -> (Vec<StageOrder>, Progress) {
        if let Some(start) = basis.start.filter(|start| until > start.by) {
            let zone = Some(&basis.settings.window.zone);
            let waits = format!("it would wait {}", waits_for(cause, &self.stage, Some(until), zone));
            return (drain(DrainReason::NotBegun, start.missed(Some(&waits))), Progress::Denied);
        }
        self.waits = Some(Awaited::Time(until));
        let orders = vec![begin_wait(cause, &self.stage, Some(until)), StageOrder::Wait { until: Some(until) }];
        (orders, Progress::Waits)
    }
}

fn begin_wait(cause: Wait, stage: &Stage, until: Option<Timestamp>) -> StageOrder {
    Order::Record(RunEvent::WaitBegan { cause, stage: stage.clone(), until }).into()
}

fn unreleased(release: &Stage) -> String {
    let wave = release.wave.as_deref().unwrap_or_default();
    match release.part {
        Part::Canary => format!("nobody released wave `{wave}` in time"),
        Part::Rest => format!("nobody released what is behind the canary of wave `{wave}` in time"),
    }
}

impl AdmissionBasis<'_> {
    /// Waves before a stage, with their numbers. Waves of a plan file are numbered in its order; all others come behind them.
    fn earlier_waves(&self, stage: &Stage) -> impl Iterator<Item = (u32, &WaveTerms)> {
        (0_u32..).zip(&self.terms.waves).take_while(|(wave_no, _)| *wave_no < stage.wave_no)
    }

    /// End of the soak of what was changed before a stage, if there is one. Stages in which nothing was changed soak for no time.
    fn soaks_until(&self, stage: &Stage, at_rest: &AtRest) -> Option<Timestamp> {
        let later = |at: Timestamp, soak_s: Option<u64>| {
            let soak = SignedDuration::from_secs(soak_s.and_then(|soak| i64::try_from(soak).ok()).unwrap_or(0));
            at.checked_add(soak).unwrap_or(Timestamp::MAX)
        };
        let canary_soaked = |wave_no: u32, wave: &WaveTerms| {
            let at = *at_rest.get(&(wave_no, Part::Canary))?;
            Some(later(at, wave.canary.as_ref()?.stage.soak_s))
        };
        let earlier = self.earlier_waves(stage).filter_map(|(wave_no, wave)| {
            let rest = at_rest.get(&(wave_no, Part::Rest)).copied();
            let over = canary_soaked(wave_no, wave).max(rest)?;
            Some(later(over, wave.whole.soak_s))
        });
        let own_canary = self.terms.wave(stage.wave.as_deref()).filter(|_| stage.part == Part::Rest);
        earlier.chain(own_canary.and_then(|wave| canary_soaked(stage.wave_no, wave))).max()
    }

    /// Releases that are still needed before a stage begins: of its wave, of the rest after its canary, and of the rest after the
    /// canary of an earlier wave.
    fn releases_needed(&self, stage: &Stage, at_rest: &AtRest) -> Vec<Stage> {
        let behind_canary = |wave: &WaveTerms| wave.canary.as_ref().is_some_and(|canary| canary.stage.approval);
        let release = |wave_no: u32, wave: &WaveTerms, part| Stage { wave_no, wave: Some(wave.name.clone()), part };
        let earlier = self.earlier_waves(stage);
        let earlier = earlier.filter(|(no, wave)| behind_canary(wave) && at_rest.contains_key(&(*no, Part::Canary)));
        let mut needed: Vec<Stage> = earlier.map(|(wave_no, wave)| release(wave_no, wave, Part::Rest)).collect();
        if let Some(wave) = self.terms.wave(stage.wave.as_deref()) {
            if wave.whole.approval {
                needed.push(release(stage.wave_no, wave, Part::Canary));
            }
            if stage.part == Part::Rest && behind_canary(wave) {
                needed.push(release(stage.wave_no, wave, Part::Rest));
            }
        }
        needed.retain(|release| !self.is_released(release));
        needed
    }

    fn is_released(&self, release: &Stage) -> bool {
        let wave = release.wave.as_deref().unwrap_or_default();
        self.steered.is_released(wave, release.part)
    }
}

/// Orders before another stage follows: none, if it may. No stage follows while rows of the one before it are left, in whichever
/// account.
pub(crate) fn next(behind: &Stage, left: &LeftOf, is_draining: bool) -> Vec<StageOrder> {
    match halt_behind(behind, left) {
        None => Vec::new(),
        Some(_) if is_draining => vec![StageOrder::StopHere],
        Some(why) => {
            let mut orders = drain(DrainReason::StageLeft, why);
            orders.push(StageOrder::StopHere);
            orders
        }
    }
}

/// Reason for which no stage follows this one, if rows of it are left.
fn halt_behind(stage: &Stage, left: &LeftOf) -> Option<String> {
    let told = |left: &RowsLeft, how: &str| {
        let RowsLeft { n_rows, first } = left;
        let n_more = n_rows.saturating_sub(first.len() as u64);
        let more = if n_more == 0 { String::new() } else { format!(" and {n_more} more") };
        let named: Vec<String> = first.iter().map(|id| plain(id)).collect();
        (*n_rows > 0).then(|| format!("{n_rows} {how} ({}{more})", named.join(", ")))
    };
    let left: Vec<String> =
        [told(&left.in_doubt, "in doubt"), told(&left.pending, "pending")].into_iter().flatten().collect();
    let why = || format!("{stage} did not come to its end: {}; what comes behind it does not begin", left.join(", "));
    (!left.is_empty()).then(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_stage_is_named_and_past_the_first_of_it_counted() {
        let stage = Stage { wave_no: 0, wave: Some("pilot".into()), part: Part::Rest };
        let left = |n_rows: u64, name: &str| RowsLeft {
            n_rows,
            first: (1..=n_rows.min(MOST_NAMED.into())).map(|n| format!("{name}-{n}")).collect(),
        };
        assert_eq!(halt_behind(&stage, &LeftOf::default()), None);
        let both = LeftOf { in_doubt: left(1, "a"), pending: left(7, "b") };
        let expected = "wave `pilot` did not come to its end: 1 in doubt (a-1), 7 pending (b-1, b-2, b-3, b-4, b-5 and 2 \
                        more); what comes behind it does not begin";
        assert_eq!(halt_behind(&stage, &both).as_deref(), Some(expected));
    }
}
