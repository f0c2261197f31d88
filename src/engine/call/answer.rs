//! Answer to an attempt: what is recorded along with it, and how its row goes on.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::state::{Call, Early, Step};
use crate::credentials::identity::Generation;
use crate::engine::lane::first_answers::FirstVerdict;
use crate::event::kind::EventKind;
use crate::event::lane::LaneStop;
use crate::event::outcome::Outcome;
use crate::event::row::RowEvent;
use crate::event::rules::Rules;
use crate::event::verdict::Verdict;
use crate::gate::Pass;
use crate::judge::{self, Reason};
use crate::ledger::standing::Phase;
use crate::model::RowId;
use crate::recorder::refusal::NotRecorded;
use crate::remote::service::Remote;
use crate::retry::Enough;
use crate::wording::amounts::count;

/// Request that has left, with its answer or the way in which none came.
pub(super) struct AnsweredRequest {
    pub(super) outcome: Outcome,
    pub(super) request_id: Option<String>,
    /// Credentials that the request wore.
    pub(super) generation: Generation,
    /// Worker that made it; `None` for one that left from here.
    pub(super) via: Option<String>,
    pub(super) left_at: Instant,
    pub(super) took: Duration,
}

/// State of the lane after it has heeded an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaneAfter {
    /// Going on with other credentials than those that the answer refused.
    Renewed,
    /// Stopped because what answers is not the service: no look gets through either.
    CutOff,
    /// Going on as before, or stopped for another reason.
    Otherwise,
}

/// Way on for a row whose attempt was answered.
#[derive(Clone, Copy, Debug, PartialEq)]
enum WayOn {
    /// By its phase: it is proven, looked at or sent again.
    ByPhase,
    /// By its phase after a pause; left if the lane stops meanwhile.
    After(Duration),
    /// A last look settles it: no attempts are left.
    Conclude,
    /// Left for a later launch with the answer as the cause, because the lane stopped.
    LaneStopped,
    /// Left for a later launch; what may have been done is still looked at, so that little is left in doubt.
    Leave,
}

impl WayOn {
    fn new(patience: ControlFlow<Enough, Duration>, phase: Phase, lane: LaneAfter) -> Self {
        match (patience, lane) {
            // Its lane stopped with the record of its answer.
            (Break(Enough::Accepted | Enough::Refused), _) if phase == Phase::Due => Self::Leave,
            (Break(Enough::Accepted | Enough::Refused), _) | (Break(Enough::NotTheRow), LaneAfter::Renewed) => {
                Self::ByPhase
            }
            (Break(Enough::NotTheRow), LaneAfter::CutOff | LaneAfter::Otherwise) => Self::LaneStopped,
            (Break(Enough::OutOfAttempts), LaneAfter::CutOff) => Self::Leave,
            (Break(Enough::OutOfAttempts), LaneAfter::Renewed | LaneAfter::Otherwise) => Self::Conclude,
            (Continue(pause), _) => Self::After(pause),
        }
    }
}

impl WayOn {
    /// Returns what follows for a row in this phase, in words.
    fn told(self, phase: Phase) -> String {
        match self {
            WayOn::ByPhase => match phase {
                Phase::Accepted => "its effect is looked for".to_owned(),
                Phase::Open | Phase::InDoubt => "it is looked at before anything else".to_owned(),
                Phase::Untried | Phase::Due => "it is sent again".to_owned(),
                Phase::Settled(verdict) => format!("that settles it as {verdict}"),
            },
            WayOn::After(pause) if phase.is_in_doubt() => {
                format!("it waits {} ms, and is looked at before it is sent again", pause.as_millis())
            }
            WayOn::After(pause) => format!("it waits {} ms, and is sent again", pause.as_millis()),
            WayOn::Conclude => "its attempts are used up, and a last look decides".to_owned(),
            WayOn::LaneStopped | WayOn::Leave => "its account stops, and it is left for a later launch".to_owned(),
        }
    }
}

/// Event that is recorded along with an answer because it follows at once: the verdict of a refused row, or of an accepted one
/// while verification is off. A 403 settles nothing where the first answers of the lane show that it is about us.
fn consequence(row: RowId, outcome: &Outcome, first: FirstVerdict, verify: Verification) -> Option<EventKind> {
    match outcome {
        Outcome::Rejected { status: 403, .. } if first == FirstVerdict::AboutUs => {
            Some(RowEvent::Left { cause: format!("the lane stopped: {outcome}") }.about(row))
        }
        Outcome::Rejected { .. } => Some(judge::settled(row, Verdict::Refused, None, Some(outcome.to_string().into()))),
        Outcome::Accepted { .. } => match verify {
            Verification::On => None,
            Verification::Off => Some(judge::settled(row, Verdict::Unverified, None, Some(Reason::not_verified()))),
        },
        Outcome::Unauthenticated { .. }
        | Outcome::Barred { .. }
        | Outcome::Throttled { .. }
        | Outcome::Unsent { .. }
        | Outcome::Disclaimed { .. }
        | Outcome::Lost { .. } => None,
    }
}

/// Setting by which accepted changes are proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verification {
    On,
    Off,
}

impl<R: Remote> Call<'_, R> {
    /// Applies an answer to the lane and to the row, and records it. The pass goes back after the lane has heeded the answer, which
    /// may stop the run before another request takes the slot.
    pub(super) async fn hear(
        &mut self,
        attempt: u32,
        answered: AnsweredRequest,
        pass: Pass,
    ) -> Result<Outcome, NotRecorded> {
        let lane = self.lane;
        let AnsweredRequest { outcome, request_id, generation, via, left_at, took } = answered;
        self.known.note_request(left_at);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let ended =
            RowEvent::AttemptEnded { attempt, outcome: outcome.clone(), request_id, took_ms, via }.about(self.row.id);
        if self.tries.renewed {
            lane.stop_if_refused_again(&outcome).await?;
        }
        let is_refusal = matches!(outcome, Outcome::Rejected { .. });
        if is_refusal {
            self.record_with_consequence(ended.clone(), &outcome).await?;
        }
        lane.heed(&outcome, left_at, generation, None).await?;
        lane.note_answer(&outcome).await?;
        self.queued.leave();
        if lane.goes_on_renewed(&outcome) {
            self.tries.note_renewed(&outcome);
        } else {
            self.tries.note(&outcome);
        }
        drop(pass);
        if matches!(outcome, Outcome::Accepted { .. }) {
            self.record_with_consequence(ended, &outcome).await?;
        } else if !is_refusal {
            self.record(vec![ended]).await?;
        }
        self.queued.admission = None;
        Ok(outcome)
    }

    /// Records an answered change together with what follows from it at once. The lane's first answers decide whether a 403 is
    /// about the row at all.
    async fn record_with_consequence(&mut self, ended: EventKind, outcome: &Outcome) -> Result<(), NotRecorded> {
        let lane = self.lane;
        let is_refusal = matches!(outcome, Outcome::Rejected { .. });
        let standing = &self.known.standing;
        if is_refusal && standing.doubted && standing.rules >= Rules::Second {
            // Perhaps because an earlier attempt has moved it: only a look can tell, and what was refused says nothing
            // about us or about the others.
            self.refused = Some(outcome.to_string());
            return self.record(vec![ended]).await;
        }
        let mut first = lane.first_answers().await;
        let reopened = first.count(outcome);
        let verdict = first.verdict;
        if is_refusal {
            first.refuse(self.row.id);
        }
        // While it is open, answers are recorded in the order in which they are counted.
        let first = (verdict != FirstVerdict::AboutRows).then_some(first);
        let verify = if lane.settings.verify { Verification::On } else { Verification::Off };
        let mut kinds = vec![ended];
        kinds.extend(consequence(self.row.id, outcome, verdict, verify));
        if let Some(rows) = reopened {
            lane.forget_refused(outcome, rows.len());
            let cause = format!("the first answers of the lane were all the same: {outcome}");
            kinds.extend(rows.into_iter().map(|row| RowEvent::Reopened { cause: cause.clone() }.about(row)));
            kinds.extend(lane.stop_for(LaneStop::Forbidden, cause));
        }
        self.record(kinds).await?;
        drop(first);
        Ok(())
    }

    /// Goes on after an attempt whose answer is recorded.
    pub(super) async fn go_on(&mut self, outcome: Outcome) -> Step<()> {
        let lane = self.lane;
        let after = if self.tries.renewed {
            LaneAfter::Renewed
        } else if lane.is_cut_off() {
            LaneAfter::CutOff
        } else {
            LaneAfter::Otherwise
        };
        let patience = lane.settings.patience.after(self.tries.counted, &outcome, rand::random());
        let way_on = WayOn::new(patience, self.known.standing.phase, after);
        self.decided(|| format!("{outcome}: {}", way_on.told(self.known.standing.phase)));
        match way_on {
            WayOn::ByPhase => Ok(()),
            WayOn::After(pause) => match lane.unless_draining(sleep(pause)).await {
                Some(()) => Ok(()),
                None => self.leave_without_doubt().await,
            },
            WayOn::Conclude => Box::pin(self.conclude_failure(&outcome)).await,
            WayOn::LaneStopped => Err(self.leave(format!("the lane stopped: {outcome}")).await),
            WayOn::Leave => self.leave_without_doubt().await,
        }
    }

    /// Leaves a row for a later launch, after a look if it is in doubt.
    async fn leave_without_doubt(&mut self) -> Step<()> {
        if self.known.standing.phase == Phase::InDoubt {
            Box::pin(self.look_in_doubt()).await?;
        }
        Err(Early::End)
    }

    /// Settles a row whose attempts are used up: a last look says if it was done all the same.
    async fn conclude_failure(&mut self, outcome: &Outcome) -> Step<()> {
        self.look_in_doubt().await?;
        let reason = format!("{} used up; the last: {outcome}", count(self.tries.counted.into(), "attempt"));
        Err(self.settle(Verdict::Failed, self.known.seen.clone(), Some(reason.into())).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_goes_on_by_its_answer_its_phase_and_its_lane() {
        let pause = Duration::from_secs(4);
        let refused = Phase::Settled(Verdict::Refused);
        let table = [
            (Break(Enough::Accepted), Phase::Accepted, LaneAfter::Otherwise, WayOn::ByPhase),
            (Break(Enough::Refused), refused, LaneAfter::Otherwise, WayOn::ByPhase),
            // In doubt already: its look comes next.
            (Break(Enough::Refused), Phase::InDoubt, LaneAfter::Otherwise, WayOn::ByPhase),
            // The lane's first answers were about us.
            (Break(Enough::Refused), Phase::Due, LaneAfter::Otherwise, WayOn::Leave),
            (Break(Enough::NotTheRow), Phase::Due, LaneAfter::Renewed, WayOn::ByPhase),
            (Break(Enough::NotTheRow), Phase::Due, LaneAfter::Otherwise, WayOn::LaneStopped),
            (Break(Enough::NotTheRow), Phase::Due, LaneAfter::CutOff, WayOn::LaneStopped),
            (Break(Enough::OutOfAttempts), Phase::InDoubt, LaneAfter::Otherwise, WayOn::Conclude),
            // No look gets through either.
            (Break(Enough::OutOfAttempts), Phase::InDoubt, LaneAfter::CutOff, WayOn::Leave),
            (Continue(pause), Phase::InDoubt, LaneAfter::Otherwise, WayOn::After(pause)),
            (Continue(pause), Phase::Due, LaneAfter::CutOff, WayOn::After(pause)),
        ];
        for (patience, phase, lane, expected) in table {
            assert_eq!(WayOn::new(patience, phase, lane), expected, "{patience:?} {phase:?} {lane:?}");
        }
    }

    #[test]
    fn an_answer_that_says_it_all_settles_its_row_at_once() {
        let rejected = |status| Outcome::Rejected { status, code: None, message: String::new() };
        let accepted = Outcome::Accepted { status: 200 };
        let follows = |outcome: &Outcome, first, verify| consequence(RowId(7), outcome, first, verify);
        let settled = |kind: Option<EventKind>| match kind {
            Some(EventKind::Row(RowId(7), RowEvent::Settled { verdict, .. })) => Some(verdict),
            _ => None,
        };
        let about_us = follows(&rejected(403), FirstVerdict::AboutUs, Verification::On);
        assert!(matches!(about_us, Some(EventKind::Row(_, RowEvent::Left { .. }))), "it is not about the row");
        for (outcome, first) in [
            (rejected(403), FirstVerdict::Open),
            (rejected(403), FirstVerdict::AboutRows),
            (rejected(400), FirstVerdict::AboutUs),
        ] {
            assert_eq!(settled(follows(&outcome, first, Verification::On)), Some(Verdict::Refused), "{outcome}");
        }
        assert_eq!(follows(&accepted, FirstVerdict::AboutRows, Verification::On), None, "it is proven first");
        let unproven = follows(&accepted, FirstVerdict::AboutRows, Verification::Off);
        assert_eq!(settled(unproven), Some(Verdict::Unverified));
        let lost = Outcome::aborted();
        assert_eq!(follows(&lost, FirstVerdict::AboutUs, Verification::Off), None);
    }
}
