//! Fold of a row's events into its standing; impossible histories are refused.

use jiff::Timestamp;

use super::cause;
use super::standing::{LastWord, Phase, Standing};
use crate::event::outcome::Outcome;
use crate::event::row::RowEvent;
use crate::event::rules::Rules;
use crate::event::verdict::Verdict;
use crate::model::RowId;
use crate::model::state::SeenState;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

/// History that cannot have happened: the journal is not used until someone has examined it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row}: {event} cannot follow `{phase}`")]
pub struct IllegalStep {
    pub row: RowId,
    pub phase: &'static str,
    pub event: &'static str,
}

impl Standing {
    /// Adds one event of the row.
    pub fn add(&mut self, row: RowId, event: &RowEvent, at: Timestamp) -> Result<(), IllegalStep> {
        match event {
            RowEvent::Seen { seen } => self.seen(row, seen.as_ref()),
            RowEvent::AttemptStarted { attempt, sends: _ } => self.attempt_started(row, *attempt, at),
            RowEvent::AttemptEnded { attempt, outcome, request_id, took_ms, via: _ } => {
                self.attempt_ended(row, *attempt, outcome)?;
                self.keep_answer(outcome, request_id.as_deref(), at, *took_ms);
                Ok(())
            }
            RowEvent::Settled { verdict, seen, reason, ground } => {
                self.settled(row, *verdict, seen.as_ref())?;
                self.settled_at = Some(at);
                self.reason.clone_from(reason);
                self.ground = cause::ground_of(self.rules, *verdict, *ground, reason.as_deref());
                Ok(())
            }
            RowEvent::Left { cause } => match self.phase {
                Phase::Untried | Phase::InDoubt | Phase::Accepted | Phase::Due => {
                    self.reason = Some(cause.clone());
                    Ok(())
                }
                Phase::Open | Phase::Settled(_) => Err(self.illegal(row, "a row left for later")),
            },
            RowEvent::Reopened { cause: _ } => self.reopened(row),
            RowEvent::Moved { seen } => {
                self.moved = Some(seen.clone());
                Ok(())
            }
        }
    }

    fn seen(&mut self, row: RowId, seen: Option<&SeenState>) -> Result<(), IllegalStep> {
        match self.phase {
            // A row in doubt is judged by what was seen before the doubt.
            Phase::Untried | Phase::Due if self.doubted => (),
            Phase::Untried | Phase::Due if self.is_unsent() => {
                self.before = match self.rules {
                    Rules::First => seen.cloned(),
                    Rules::Second | Rules::Third => seen.map(|seen| seen.clone().or(self.before.take())),
                };
            }
            Phase::Untried | Phase::Due | Phase::Accepted => {
                self.unknown = seen.is_none();
                self.after = seen.cloned();
            }
            // A look that did not settle the row shows it as before: the change may be sent again.
            Phase::InDoubt => self.phase = Phase::Due,
            Phase::Open | Phase::Settled(_) => return Err(self.illegal(row, "a look")),
        }
        if self.rules >= Rules::Second {
            self.moved = None;
        }
        self.looked = true;
        Ok(())
    }

    /// Tells whether what is seen now is the state before our first send.
    fn is_unsent(&self) -> bool {
        // By the first rules, a row that was refused and reopened is changed from its state at that time.
        !self.was_sent() || (self.rules == Rules::First && self.before.is_none())
    }

    fn attempt_started(&mut self, row: RowId, attempt: u32, at: Timestamp) -> Result<(), IllegalStep> {
        let unseen = self.doubted && !self.looked;
        match self.phase {
            Phase::Untried | Phase::Due if !unseen && attempt == self.started + 1 => {
                self.phase = Phase::Open;
                self.started = attempt;
                self.attempts += 1;
                if self.doubted || self.rules == Rules::First {
                    self.looked = false;
                }
                self.first_sent_at.get_or_insert(at);
                self.last_sent_at = Some(at);
                self.reason = None;
                Ok(())
            }
            Phase::Untried | Phase::Due | Phase::Open | Phase::InDoubt | Phase::Accepted | Phase::Settled(_) => {
                Err(self.illegal(row, "an attempt"))
            }
        }
    }

    fn attempt_ended(&mut self, row: RowId, attempt: u32, outcome: &Outcome) -> Result<(), IllegalStep> {
        if self.phase != Phase::Open || attempt != self.started {
            return Err(self.illegal(row, "the end of an attempt"));
        }
        self.phase = match outcome {
            Outcome::Accepted { .. } => {
                self.looked = false;
                Phase::Accepted
            }
            // An earlier attempt may have moved the row, and the refusal may be due to that.
            Outcome::Rejected { .. } if self.doubted && self.rules >= Rules::Second => Phase::InDoubt,
            Outcome::Rejected { .. } | Outcome::Unauthenticated { .. } | Outcome::Barred { .. } => Phase::Due,
            Outcome::Throttled { .. } => {
                self.attempts -= 1;
                self.throttled += 1;
                Phase::Due
            }
            Outcome::Unsent { .. } => {
                self.attempts -= 1;
                Phase::Due
            }
            Outcome::Disclaimed { .. } | Outcome::Lost { .. } => {
                self.looked = false;
                self.doubted = true;
                Phase::InDoubt
            }
        };
        Ok(())
    }

    fn keep_answer(&mut self, outcome: &Outcome, request_id: Option<&str>, at: Timestamp, took_ms: u64) {
        if let Some(last_word) = LastWord::from_outcome(outcome) {
            self.last_word = last_word;
        }
        self.http_status = outcome.status();
        self.error_code = outcome.code().map(str::to_owned);
        self.error_msg = outcome.message().map(str::to_owned);
        self.request_id = request_id.map(str::to_owned);
        if matches!(outcome, Outcome::Unsent { .. } | Outcome::Throttled { .. }) {
            if self.attempts == 0 {
                self.first_sent_at = None;
                self.last_sent_at = None;
            }
            return;
        }
        // The intent may have waited at the gate: the time when the request left follows from the answer.
        let took = i64::try_from(took_ms).unwrap_or(i64::MAX);
        let sent_at = Timestamp::from_millisecond(at.as_millisecond().saturating_sub(took)).unwrap_or(at);
        self.last_sent_at = Some(sent_at);
        if self.attempts == 1 {
            self.first_sent_at = Some(sent_at);
        }
    }

    fn settled(&mut self, row: RowId, verdict: Verdict, seen: Option<&SeenState>) -> Result<(), IllegalStep> {
        match self.phase {
            Phase::Untried | Phase::InDoubt | Phase::Accepted | Phase::Due => {
                if let Some(seen) = seen {
                    match self.rules {
                        Rules::First if !self.was_sent() => self.before = Some(seen.clone()),
                        // Changes by others after the first look do not alter the state before.
                        Rules::Second | Rules::Third if !self.was_sent() => {
                            self.before.get_or_insert_with(|| seen.clone());
                        }
                        Rules::First | Rules::Second | Rules::Third => (),
                    }
                    self.after = Some(seen.clone());
                }
                self.phase = Phase::Settled(verdict);
                Ok(())
            }
            Phase::Open | Phase::Settled(_) => Err(self.illegal(row, "a verdict")),
        }
    }

    fn reopened(&mut self, row: RowId) -> Result<(), IllegalStep> {
        let Phase::Settled(verdict) = self.phase else { return Err(self.illegal(row, "a re-opening")) };
        // A change that was accepted and never proven may yet turn out to be done.
        (self.phase, self.doubted) = match verdict {
            Verdict::Unverified => (Phase::InDoubt, true),
            Verdict::Applied
            | Verdict::Already
            | Verdict::NoEffect
            | Verdict::Overtaken
            | Verdict::Refused
            | Verdict::Failed
            | Verdict::Blocked => (Phase::Due, false),
        };
        let forgets_before = match self.rules {
            Rules::First => verdict == Verdict::Refused,
            Rules::Second | Rules::Third => !self.was_sent(),
        };
        if forgets_before {
            self.before = None;
        }
        if self.rules >= Rules::Second {
            self.moved = None;
        }
        self.unknown = false;
        // A reopened row that was sent is still judged by what was seen before it was: if it is neither there nor on target,
        // somebody else moved it. Only reopening overtaken rows by that name takes them from where they are now.
        self.looked = match verdict {
            Verdict::NoEffect | Verdict::Refused | Verdict::Failed => self.rules >= Rules::Second && self.was_sent(),
            Verdict::Unverified | Verdict::Applied | Verdict::Already | Verdict::Overtaken | Verdict::Blocked => false,
        };
        self.after = None;
        self.settled_at = None;
        self.reason = None;
        self.ground = None;
        Ok(())
    }

    fn illegal(&self, row: RowId, event: &'static str) -> IllegalStep {
        let phase = match self.phase {
            Phase::Due if self.doubted && !self.looked => "due, in doubt and not looked at",
            Phase::Untried | Phase::Open | Phase::InDoubt | Phase::Accepted | Phase::Due | Phase::Settled(_) => {
                self.phase.name()
            }
        };
        IllegalStep { row, phase, event }
    }
}

/// Tells whether a row must stand as its events tell before this event is added: its consequence cannot be undone (a send), or
/// is believed (a verdict).
pub(crate) fn takes_in_hand(event: &RowEvent) -> bool {
    match event {
        RowEvent::AttemptStarted { .. } | RowEvent::Settled { .. } => true,
        RowEvent::Seen { .. }
        | RowEvent::Moved { .. }
        | RowEvent::AttemptEnded { .. }
        | RowEvent::Left { .. }
        | RowEvent::Reopened { .. } => false,
    }
}
