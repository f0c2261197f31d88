//! What a row's events add up to. This fold is the definition; the journal's table `row` is its cache.
//!
//! The fold also refuses impossible histories: an end without a start, anything after a verdict except a
//! re-opening, and above all a row in doubt that is sent again without a look.

use jiff::Timestamp;

pub mod steered;

use crate::event::{EventKind, Outcome, Verdict};
use crate::model::{RowId, SeenState};

/// Where a row is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub phase: Phase,
    /// Attempts recorded as begun, which is also the number of the last one.
    pub started: u32,
    /// Changes sent, throttled ones left out.
    pub attempts: u32,
    pub throttled: u32,
    /// An answer was lost since the row was opened: look before sending again.
    pub doubted: bool,
    /// A look came after the last attempt.
    pub looked: bool,
    /// What a look showed before the change was sent: the state that a roll-back would go to.
    pub before: Option<SeenState>,
    /// What a look showed afterwards.
    pub after: Option<SeenState>,
    /// Where a read that was made for others showed it last, if we did not put it there.
    pub moved: Option<SeenState>,
    pub http_status: Option<u16>,
    pub error_code: Option<String>,
    pub error_msg: Option<String>,
    pub request_id: Option<String>,
    pub first_sent_at: Option<Timestamp>,
    pub last_sent_at: Option<Timestamp>,
    pub settled_at: Option<Timestamp>,
    /// Why it is settled as it is, or why it was left.
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Untried,
    /// An attempt is recorded as begun and has no end: on the wire now, or cut off with its launch.
    Open,
    /// Sent, answer unknown.
    InDoubt,
    /// Answered with success, not yet proven.
    Accepted,
    /// May be sent (again).
    Due,
    Settled(Verdict),
}

impl Phase {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::Untried => "untried",
            Phase::Open => "open",
            Phase::InDoubt => "in_doubt",
            Phase::Accepted => "accepted",
            Phase::Due => "due",
            Phase::Settled(_) => "settled",
        }
    }

    /// The word of reports: a verdict, `pending` or `in_doubt`.
    #[must_use]
    pub fn public_name(self) -> &'static str {
        match self {
            Phase::Untried | Phase::Due => "pending",
            Phase::Open | Phase::InDoubt | Phase::Accepted => "in_doubt",
            Phase::Settled(verdict) => verdict.name(),
        }
    }

    #[must_use]
    pub fn is_in_doubt(self) -> bool {
        match self {
            Phase::Open | Phase::InDoubt | Phase::Accepted => true,
            Phase::Untried | Phase::Due | Phase::Settled(_) => false,
        }
    }
}

/// A history that cannot have happened: the journal is not used until someone looks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row}: {event} cannot follow `{phase}`")]
pub struct IllegalStep {
    pub row: RowId,
    pub phase: &'static str,
    pub event: &'static str,
}

impl Standing {
    /// Adds one event. Events that name no row change no standing.
    pub fn add(&mut self, kind: &EventKind, at: Timestamp) -> Result<(), IllegalStep> {
        match kind {
            EventKind::RowSeen { row, seen } => self.seen(*row, seen.as_ref()),
            EventKind::AttemptStarted { row, attempt, .. } => self.attempt_started(*row, *attempt, at),
            EventKind::AttemptEnded { row, attempt, outcome, request_id, took_ms } => {
                self.attempt_ended(*row, *attempt, outcome)?;
                self.keep_answer(outcome, request_id.as_deref(), at, *took_ms);
                Ok(())
            }
            EventKind::RowSettled { row, verdict, seen, reason } => {
                self.settled(*row, *verdict, seen.as_ref())?;
                self.settled_at = Some(at);
                self.reason.clone_from(reason);
                Ok(())
            }
            EventKind::RowLeft { row, cause } => match self.phase {
                Phase::Untried | Phase::InDoubt | Phase::Accepted | Phase::Due => {
                    self.reason = Some(cause.clone());
                    Ok(())
                }
                Phase::Open | Phase::Settled(_) => Err(self.illegal(*row, "a row left for later")),
            },
            EventKind::RowReopened { row, .. } => self.reopened(*row),
            EventKind::RowMoved { seen, .. } => {
                self.moved = Some(seen.clone());
                Ok(())
            }
            EventKind::RunStarted { .. }
            | EventKind::LaunchBegan { .. }
            | EventKind::DrainBegan { .. }
            | EventKind::StageBegan { .. }
            | EventKind::StageEnded { .. }
            | EventKind::WaitBegan { .. }
            | EventKind::WaitEnded
            | EventKind::Controlled { .. }
            | EventKind::LaunchEnded { .. }
            | EventKind::QuotaLearned { .. }
            | EventKind::ReadThrottled { .. }
            | EventKind::LaneStopped { .. } => Ok(()),
        }
    }

    /// What the last look showed that the row was judged by.
    #[must_use]
    pub fn last_seen(&self) -> Option<&SeenState> {
        self.after.as_ref().or(self.before.as_ref())
    }

    /// From the first change to the verdict; nothing where either is missing, or where the clock was set back.
    #[must_use]
    pub fn took_ms(&self) -> u64 {
        match (self.first_sent_at, self.settled_at) {
            (Some(from), Some(to)) => u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or(0),
            (None, _) | (_, None) => 0,
        }
    }

    fn seen(&mut self, row: RowId, seen: Option<&SeenState>) -> Result<(), IllegalStep> {
        match self.phase {
            Phase::Untried | Phase::Due => {
                // Once something was sent, what a roll-back would go to is no longer rewritten.
                match (self.doubted, self.attempts) {
                    (true, _) => (),
                    (false, 0) => self.before = seen.cloned(),
                    // It was refused and opened again: what is changed now is changed from here.
                    (false, _) if self.before.is_none() => self.before = seen.cloned(),
                    (false, _) => self.after = seen.cloned(),
                }
            }
            // It did not settle the row, so it is as it was: the change may be sent again.
            Phase::InDoubt => self.phase = Phase::Due,
            Phase::Accepted => self.after = seen.cloned(),
            Phase::Open | Phase::Settled(_) => return Err(self.illegal(row, "a look")),
        }
        self.looked = true;
        Ok(())
    }

    fn attempt_started(&mut self, row: RowId, attempt: u32, at: Timestamp) -> Result<(), IllegalStep> {
        let unseen = self.doubted && !self.looked;
        match self.phase {
            Phase::Untried | Phase::Due if !unseen && attempt == self.started + 1 => {
                self.phase = Phase::Open;
                self.started = attempt;
                self.attempts += 1;
                self.looked = false;
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
            Outcome::Accepted { .. } => Phase::Accepted,
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
            Outcome::Lost { .. } => {
                self.doubted = true;
                Phase::InDoubt
            }
        };
        Ok(())
    }

    fn keep_answer(&mut self, outcome: &Outcome, request_id: Option<&str>, at: Timestamp, took_ms: u64) {
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
        // The intent may have waited for leave to go; the answer knows when the request left.
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
                    if self.attempts == 0 {
                        self.before = Some(seen.clone());
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
        // What was accepted and never proven may yet turn out to be done.
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
        if verdict == Verdict::Refused && !self.doubted {
            self.before = None;
        }
        self.looked = false;
        self.after = None;
        self.settled_at = None;
        self.reason = None;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TargetState;
    use crate::model::words::Word;

    const ROW: RowId = RowId(7);

    fn seen(copystate: &str) -> EventKind {
        EventKind::RowSeen { row: ROW, seen: Some(state(copystate)) }
    }
    fn state(copystate: &str) -> SeenState {
        SeenState { copystate: Some(Word::new(copystate)), migrationcycle: None }
    }
    fn start(attempt: u32) -> EventKind {
        EventKind::AttemptStarted { row: ROW, attempt, sends: TargetState::default() }
    }
    fn end(attempt: u32, outcome: Outcome) -> EventKind {
        EventKind::AttemptEnded { row: ROW, attempt, outcome, request_id: None, took_ms: 0 }
    }
    fn lost() -> Outcome {
        Outcome::Lost { status: None, code: None, cause: "reset".into() }
    }
    fn throttled() -> Outcome {
        Outcome::Throttled { retry_after_ms: None, quota: None, message: String::new() }
    }
    fn settle(verdict: Verdict) -> EventKind {
        EventKind::RowSettled { row: ROW, verdict, seen: Some(state("finished")), reason: None }
    }
    fn reopen() -> EventKind {
        EventKind::RowReopened { row: ROW, cause: "asked for".into() }
    }

    fn fold(history: &[EventKind]) -> Result<Standing, IllegalStep> {
        let mut standing = Standing::default();
        for (i, kind) in history.iter().enumerate() {
            standing.add(kind, Timestamp::from_millisecond(i64::try_from(i).unwrap()).unwrap())?;
        }
        Ok(standing)
    }

    #[test]
    fn the_way_of_a_healthy_row() {
        let standing =
            fold(&[seen("syncing"), start(1), end(1, Outcome::Accepted { status: 200 }), settle(Verdict::Applied)])
                .unwrap();
        assert_eq!(standing.phase, Phase::Settled(Verdict::Applied));
        assert_eq!((standing.attempts, standing.before), (1, Some(state("syncing"))));
        assert_eq!(standing.after, Some(state("finished")));
    }

    #[test]
    fn a_row_in_doubt_is_not_sent_again_without_a_look() {
        let unseen = [seen("syncing"), start(1), end(1, lost()), start(2)];
        assert_eq!(fold(&unseen).unwrap_err().phase, "in_doubt");
        assert!(fold(&[seen("syncing"), start(1), end(1, lost()), seen("syncing"), start(2)]).is_ok());
    }

    #[test]
    fn a_look_permits_one_attempt_even_across_a_throttled_one() {
        let history = [start(1), end(1, lost()), seen("syncing"), start(2), end(2, throttled()), start(3)];
        assert_eq!(fold(&history).unwrap_err().phase, "due, in doubt and not looked at");
    }

    #[test]
    fn throttled_and_unsent_attempts_are_not_counted_as_sent() {
        let history = [start(1), end(1, throttled()), start(2), end(2, Outcome::Unsent { cause: "refused".into() })];
        let standing = fold(&history).unwrap();
        assert_eq!((standing.started, standing.attempts, standing.throttled), (2, 0, 1));
        assert_eq!(standing.first_sent_at, None);
    }

    #[test]
    fn nothing_follows_a_verdict_but_a_reopening() {
        let settled = settle(Verdict::Refused);
        for next in [seen("syncing"), start(1), settle(Verdict::Failed)] {
            assert!(fold(&[settled.clone(), next]).is_err());
        }
        assert_eq!(fold(&[settled, reopen()]).unwrap().phase, Phase::Due);
        assert!(fold(&[reopen()]).is_err());
    }

    #[test]
    fn an_unverified_row_is_in_doubt_when_it_is_opened_again() {
        let history = [start(1), end(1, Outcome::Accepted { status: 200 }), settle(Verdict::Unverified), reopen()];
        assert_eq!(fold(&history).unwrap().phase, Phase::InDoubt);
        let mut sent = history.to_vec();
        sent.push(start(2));
        assert!(fold(&sent).is_err());
    }

    #[test]
    fn an_end_needs_its_own_start() {
        assert!(fold(&[end(1, lost())]).is_err());
        assert!(fold(&[start(1), end(2, lost())]).is_err());
        assert!(fold(&[start(2)]).is_err());
    }

    #[test]
    fn a_look_before_a_retry_does_not_rewrite_what_was_before_the_first_change() {
        let mut history =
            vec![seen("syncing"), start(1), end(1, Outcome::Accepted { status: 200 }), settle(Verdict::NoEffect)];
        history.extend([reopen(), seen("cloning")]);
        let standing = fold(&history).unwrap();
        assert_eq!(standing.before, Some(state("syncing")));
        assert_eq!(standing.last_seen(), Some(&state("cloning")));
    }

    #[test]
    fn a_look_in_doubt_does_not_rewrite_what_was_before() {
        let standing = fold(&[seen("syncing"), start(1), end(1, lost()), seen("cloning")]).unwrap();
        assert_eq!(standing.before, Some(state("syncing")));
    }
}
