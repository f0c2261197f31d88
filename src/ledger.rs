//! Sum of a row's events. This fold is the definition; the journal's table `row` is a cache of it.
//!
//! The fold also refuses impossible histories: an end without a start, anything after a verdict except a
//! reopening, and above all a row in doubt that is sent again without a look.

use jiff::Timestamp;

pub mod cause;
pub mod steered;
mod unlike;

use crate::event::row::RowEvent;
use crate::event::rules::Rules;
use crate::event::{Ground, Outcome, Verdict};
use crate::model::{RowId, SeenState};

/// Current state of a row, as its events add up to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub rules: Rules,
    pub phase: Phase,
    /// Attempts recorded as begun; also the number of the last one.
    pub started: u32,
    /// Attempts that were sent, without throttled ones.
    pub attempts: u32,
    pub throttled: u32,
    /// An answer was lost since the row was opened: a look must come before the next send.
    pub doubted: bool,
    /// A look came since the row was opened, and after the last attempt that may have changed anything: the row may be sent from
    /// what it showed. An attempt that was never sent does not clear it, except in doubt, where a look permits one attempt only.
    pub looked: bool,
    /// State that the last look before our first send showed, for good: a rollback goes back to it.
    pub before: Option<SeenState>,
    /// State that the last look after our first send showed.
    pub after: Option<SeenState>,
    /// State in which a later read showed the row although we did not put it there: somebody else moved it, or it moved on.
    /// `None` again after the next look at the row.
    pub moved: Option<SeenState>,
    /// The row was sent, and then a look showed that the service does not know its source.
    pub unknown: bool,
    pub last_word: LastWord,
    pub http_status: Option<u16>,
    pub error_code: Option<String>,
    pub error_msg: Option<String>,
    pub request_id: Option<String>,
    pub first_sent_at: Option<Timestamp>,
    pub last_sent_at: Option<Timestamp>,
    pub settled_at: Option<Timestamp>,
    /// Reason of the verdict, or for which the row was left.
    pub reason: Option<String>,
    /// Fact behind the verdict, where there is one.
    pub ground: Option<Ground>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Untried,
    /// An attempt has begun and has no recorded end: on the wire now, or cut off with its launch.
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

    /// Word in reports: a verdict, `pending` or `in_doubt`.
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

/// Last answer to a change of the row that came from the service itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastWord {
    /// No word: nothing was sent, or the last answer does not come from the service or is not about the row.
    #[default]
    Unsaid,
    Yes,
    No,
}

impl LastWord {
    /// Returns the word that an outcome is; `None` if the change was not processed, so that an earlier word still holds.
    fn from_outcome(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Accepted { .. } => Some(LastWord::Yes),
            Outcome::Rejected { .. } => Some(LastWord::No),
            Outcome::Unauthenticated { .. }
            | Outcome::Barred { .. }
            | Outcome::Disclaimed { .. }
            | Outcome::Lost { .. } => Some(LastWord::Unsaid),
            Outcome::Throttled { .. } | Outcome::Unsent { .. } => None,
        }
    }

    #[must_use]
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            LastWord::Unsaid => None,
            LastWord::Yes => Some("yes"),
            LastWord::No => Some("no"),
        }
    }

    #[must_use]
    pub(crate) fn named(name: Option<&str>) -> Option<Self> {
        match name {
            None => Some(LastWord::Unsaid),
            Some("yes") => Some(LastWord::Yes),
            Some("no") => Some(LastWord::No),
            Some(_) => None,
        }
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

/// History that cannot have happened: the journal is not used until someone has examined it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row}: {event} cannot follow `{phase}`")]
pub struct IllegalStep {
    pub row: RowId,
    pub phase: &'static str,
    pub event: &'static str,
}

impl Standing {
    /// Standing of a row without events.
    #[must_use]
    pub fn untouched(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Adds one event of the row.
    pub fn add(&mut self, row: RowId, event: &RowEvent, at: Timestamp) -> Result<(), IllegalStep> {
        match event {
            RowEvent::Seen { seen } => self.seen(row, seen.as_ref()),
            RowEvent::AttemptStarted { attempt, sends: _ } => self.attempt_started(row, *attempt, at),
            RowEvent::AttemptEnded { attempt, outcome, request_id, took_ms } => {
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

    /// State that the last look showed, of those by which the row was judged.
    #[must_use]
    pub fn last_seen(&self) -> Option<&SeenState> {
        if self.unknown {
            return None;
        }
        self.after.as_ref().or(self.before.as_ref())
    }

    /// Tells whether the row is on target, as the column of that name has it.
    #[must_use]
    pub fn is_on_target(&self) -> bool {
        match self.phase {
            Phase::Settled(verdict) => verdict.is_on_target(self.ground),
            Phase::Untried | Phase::Open | Phase::InDoubt | Phase::Accepted | Phase::Due => false,
        }
    }

    /// Milliseconds from the first change to the verdict; 0 where either is missing, or where the clock was set back.
    #[must_use]
    pub fn took_ms(&self) -> u64 {
        match (self.first_sent_at, self.settled_at) {
            (Some(from), Some(to)) => u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or(0),
            (None, _) | (_, None) => 0,
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

    /// Tells whether a request for the row left, as far as is known. A 429 claims that the request was not processed, but that is
    /// only the peer's word: what is seen afterwards may be its effect.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        self.attempts > 0 || (self.rules >= Rules::Third && self.throttled > 0)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::row::RowEvent;
    use crate::model::TargetState;
    use crate::model::words::Word;

    const ROW: RowId = RowId(7);

    fn seen(copystate: &str) -> RowEvent {
        RowEvent::Seen { seen: Some(state(copystate)) }
    }
    fn state(copystate: &str) -> SeenState {
        SeenState { copystate: Some(Word::new(copystate)), migrationcycle: None }
    }
    fn start(attempt: u32) -> RowEvent {
        RowEvent::AttemptStarted { attempt, sends: TargetState::default() }
    }
    fn end(attempt: u32, outcome: Outcome) -> RowEvent {
        RowEvent::AttemptEnded { attempt, outcome, request_id: None, took_ms: 0 }
    }
    fn lost() -> Outcome {
        Outcome::Lost { status: None, code: None, cause: "reset".into() }
    }
    fn throttled() -> Outcome {
        Outcome::Throttled { status: None, retry_after_ms: None, quota: None, message: String::new() }
    }
    fn settle(verdict: Verdict) -> RowEvent {
        RowEvent::Settled { verdict, seen: Some(state("finished")), reason: None, ground: None }
    }
    fn reopen() -> RowEvent {
        RowEvent::Reopened { cause: "asked for".into() }
    }

    fn fold(history: &[RowEvent]) -> Result<Standing, IllegalStep> {
        let mut standing = Standing::default();
        for (i, kind) in history.iter().enumerate() {
            standing.add(ROW, kind, Timestamp::from_millisecond(i64::try_from(i).unwrap()).unwrap())?;
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

    fn unsent() -> Outcome {
        Outcome::Unsent { cause: "paused".into() }
    }
    fn refused() -> Outcome {
        Outcome::Rejected { status: 409, code: None, message: String::new() }
    }

    #[test]
    fn an_intent_that_was_never_sent_leaves_the_look_before_it_as_it_was() {
        for outcome in [unsent(), throttled()] {
            let standing = fold(&[seen("syncing"), start(1), end(1, outcome)]).unwrap();
            assert!(standing.looked);
            assert_eq!((standing.before, standing.first_sent_at), (Some(state("syncing")), None));
        }
        // Preflight was off, and nobody has looked yet.
        assert!(!fold(&[start(1), end(1, unsent())]).unwrap().looked);
        // An attempt cut off with its launch counts as sent.
        let cut_off = fold(&[seen("syncing"), start(1), end(1, lost())]).unwrap();
        assert_eq!((cut_off.looked, cut_off.phase), (false, Phase::InDoubt));
    }

    #[test]
    fn a_refusal_after_a_doubt_leaves_the_doubt() {
        let history = [seen("syncing"), start(1), end(1, lost()), seen("syncing"), start(2), end(2, refused())];
        assert_eq!(fold(&history).unwrap().phase, Phase::InDoubt);
        assert_eq!(fold(&[seen("syncing"), start(1), end(1, refused())]).unwrap().phase, Phase::Due);
    }

    #[test]
    fn what_was_before_the_first_send_stays_over_refusals_and_retries() {
        let refused = [seen("syncing"), start(1), end(1, refused()), settle(Verdict::Refused), reopen()];
        let again = |more: &[RowEvent]| fold(&[&refused[..], more].concat()).unwrap();
        assert_eq!(again(&[seen("cloning")]).before, Some(state("syncing")));
        assert_eq!(again(&[seen("cloning")]).last_seen(), Some(&state("cloning")));
        assert_eq!(again(&[seen("cloning"), start(2), end(2, lost())]).before, Some(state("syncing")));
        // Nothing was seen before the first send, so no later look becomes `before`.
        let blind = [start(1), end(1, Outcome::Accepted { status: 200 }), settle(Verdict::NoEffect), reopen()];
        assert_eq!(fold(&[&blind[..], &[seen("cloning")]].concat()).unwrap().before, None);
        // Never sent: the look after the reopening is what was before.
        let blocked = fold(&[seen("stopped"), settle(Verdict::Blocked), reopen(), seen("cloning")]).unwrap();
        assert_eq!(blocked.before, Some(state("cloning")));
    }

    #[test]
    fn a_source_that_is_unknown_when_its_row_is_opened_again_is_not_where_it_was_before() {
        let unknown = RowEvent::Seen { seen: None };
        let mut history =
            vec![seen("syncing"), start(1), end(1, refused()), settle(Verdict::Refused), reopen(), unknown];
        let standing = fold(&history).unwrap();
        assert_eq!((standing.last_seen(), standing.looked), (None, true));
        assert_eq!(standing.before, Some(state("syncing")));
        history.push(seen("cloning"));
        assert_eq!(fold(&history).unwrap().last_seen(), Some(&state("cloning")));
    }

    #[test]
    fn that_a_source_was_unknown_is_forgotten_once_its_row_is_opened_again() {
        let unknown = RowEvent::Seen { seen: None };
        let accepted = end(1, Outcome::Accepted { status: 200 });
        let history = [seen("syncing"), start(1), accepted, unknown, settle(Verdict::Overtaken), reopen()];
        assert!(fold(&history[..4]).unwrap().unknown);
        assert_eq!(fold(&history).unwrap().last_seen(), Some(&state("syncing")));
    }

    #[test]
    fn the_last_word_is_the_services_own() {
        let after = |outcomes: &[Outcome]| {
            let mut history = Vec::new();
            for (n, outcome) in (1..).zip(outcomes) {
                history.extend([seen("syncing"), start(n), end(n, outcome.clone())]);
            }
            fold(&history).unwrap().last_word
        };
        let answered = |status| Outcome::Lost { status: Some(status), code: None, cause: "a page".into() };
        assert_eq!(after(&[]), LastWord::Unsaid);
        assert_eq!(after(&[refused()]), LastWord::No);
        assert_eq!(after(&[Outcome::Accepted { status: 200 }]), LastWord::Yes);
        // Whatever stands in between answers with any status, and a code that passes may come with 400.
        for status in [200, 302, 400, 403, 404, 418, 444, 460, 495] {
            assert_eq!(after(&[answered(status)]), LastWord::Unsaid, "{status}");
            assert_eq!(after(&[refused(), answered(status)]), LastWord::Unsaid, "{status}");
        }
        let unauthenticated = Outcome::Unauthenticated { status: 401, code: None, message: String::new() };
        assert_eq!(after(&[refused(), unauthenticated]), LastWord::Unsaid);
        for outcome in [throttled(), unsent()] {
            assert_eq!(after(&[refused(), outcome.clone()]), LastWord::No);
            assert_eq!(after(&[outcome]), LastWord::Unsaid);
        }
    }

    #[test]
    fn what_others_did_to_a_row_that_was_never_sent_is_not_what_was_before() {
        let standing = fold(&[seen("syncing"), settle(Verdict::Overtaken)]).unwrap();
        assert_eq!((standing.before, standing.after), (Some(state("syncing")), Some(state("finished"))));
    }

    #[test]
    fn a_run_of_an_earlier_version_adds_up_as_it_did() {
        let first = |history: &[RowEvent]| {
            let mut standing = Standing { rules: Rules::First, ..Standing::default() };
            for kind in history {
                standing.add(ROW, kind, Timestamp::UNIX_EPOCH).unwrap();
            }
            standing
        };
        assert!(!first(&[seen("syncing"), start(1), end(1, unsent())]).looked);
        let doubted = [seen("syncing"), start(1), end(1, lost()), seen("syncing"), start(2), end(2, refused())];
        assert_eq!(first(&doubted).phase, Phase::Due);
        let again = [start(1), end(1, refused()), settle(Verdict::Refused), reopen(), seen("cloning")];
        assert_eq!(first(&again).before, Some(state("cloning")));
        assert_eq!(first(&[seen("syncing"), settle(Verdict::Overtaken)]).before, Some(state("finished")));
    }

    #[test]
    fn what_is_seen_after_a_change_was_told_to_wait_is_what_was_before_by_earlier_rules_alone() {
        let history = [seen("syncing"), start(1), end(1, throttled()), seen("cloning"), settle(Verdict::Applied)];
        let blind = [start(1), end(1, throttled()), settle(Verdict::Applied)];
        let again = [&history[..], &[reopen()]].concat();
        let shows = |rules, history: &[RowEvent]| {
            let mut standing = Standing::untouched(rules);
            for kind in history {
                standing.add(ROW, kind, Timestamp::UNIX_EPOCH).unwrap();
            }
            standing.before
        };
        assert_eq!(shows(Rules::Third, &history), Some(state("syncing")));
        assert_eq!(shows(Rules::Third, &again), Some(state("syncing")));
        assert_eq!(shows(Rules::Third, &blind), None);
        assert_eq!(shows(Rules::Second, &history), Some(state("cloning")));
        assert_eq!(shows(Rules::Second, &again), None);
        assert_eq!(shows(Rules::Second, &blind), Some(state("finished")));
        // A request that never left does not count by any rules.
        let unsent = [seen("syncing"), start(1), end(1, unsent()), seen("cloning")];
        assert_eq!(shows(Rules::Third, &unsent), Some(state("cloning")));
    }

    /// Checks invariants after each step of random histories that the fold accepts.
    #[test]
    fn whatever_happens_to_a_row_what_was_before_stays_and_a_doubt_is_looked_at() {
        use rand::{RngExt as _, SeedableRng as _};
        for seed in 0..2_000 {
            let mut dice = rand::rngs::StdRng::seed_from_u64(seed);
            let mut standing = Standing::default();
            let mut last_look = None;
            // What was seen last when the first request left, throttled ones included; and whether an answer was lost since the
            // last look.
            let (mut before_first_send, mut unlooked_doubt) = (None, false);
            for step in 0..60 {
                let at = Timestamp::from_second(step).unwrap();
                let shown = ["syncing", "cloning", "error"][dice.random_range(0..3)];
                let attempt = standing.started + u32::from(standing.phase != Phase::Open);
                let kind = match dice.random_range(0..11) {
                    0 => seen(shown),
                    1..4 => start(attempt),
                    4 => end(attempt, unsent()),
                    5 => end(attempt, throttled()),
                    6 => end(attempt, lost()),
                    7 => end(attempt, refused()),
                    8 => end(attempt, Outcome::Accepted { status: 200 }),
                    9 => RowEvent::Settled {
                        verdict: Verdict::ALL[dice.random_range(0..8)],
                        seen: None,
                        reason: None,
                        ground: None,
                    },
                    _ => reopen(),
                };
                if standing.attempts == 0 && matches!(kind, RowEvent::Settled { verdict: Verdict::Unverified, .. }) {
                    // `unverified` needs a change that was accepted.
                    continue;
                }
                let was = standing.clone();
                let mut next = standing.clone();
                if next.add(ROW, &kind, at).is_err() {
                    continue;
                }
                standing = next;
                match &kind {
                    RowEvent::Seen { seen, .. } => {
                        last_look.clone_from(seen);
                        unlooked_doubt = false;
                    }
                    RowEvent::AttemptStarted { .. } => {
                        assert!(!unlooked_doubt, "{seed}: sent unseen");
                    }
                    RowEvent::AttemptEnded { outcome: Outcome::Unsent { .. } | Outcome::Throttled { .. }, .. } => {
                        assert_eq!(standing.before, was.before, "{seed}");
                        assert!(was.attempts > 1 || standing.first_sent_at.is_none(), "{seed}");
                        unlooked_doubt = was.doubted;
                        if standing.was_sent() {
                            before_first_send.get_or_insert_with(|| last_look.clone());
                        }
                    }
                    RowEvent::AttemptEnded { outcome, .. } => {
                        before_first_send.get_or_insert_with(|| last_look.clone());
                        unlooked_doubt =
                            matches!(outcome, Outcome::Disclaimed { .. } | Outcome::Lost { .. }) || was.doubted;
                    }
                    RowEvent::Reopened { .. } if !standing.was_sent() => last_look = None,
                    RowEvent::Reopened { .. } => unlooked_doubt = standing.phase == Phase::InDoubt,
                    _ => (),
                }
                if let Some(before) = &before_first_send {
                    assert_eq!(&standing.before, before, "{seed}: {kind:?}");
                }
            }
        }
    }
}

#[cfg(test)]
mod properties {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::model::TargetState;

    const ROW: RowId = RowId(7);

    fn outcome() -> impl Strategy<Value = Outcome> {
        let (code, message) = (None, String::new());
        prop_oneof![
            Just(Outcome::Accepted { status: 200 }),
            Just(Outcome::Rejected { status: 400, code, message: message.clone() }),
            Just(Outcome::Throttled { status: None, retry_after_ms: None, quota: None, message }),
            Just(Outcome::Unsent { cause: String::new() }),
            Just(Outcome::Lost { status: None, code: None, cause: String::new() }),
        ]
    }

    fn event() -> impl Strategy<Value = RowEvent> {
        let verdict = prop::sample::select(Verdict::ALL.to_vec());
        prop_oneof![
            3 => Just(RowEvent::Seen { seen: Some(SeenState::default()) }),
            3 => (1..4_u32).prop_map(|attempt| RowEvent::AttemptStarted { attempt, sends: TargetState::default() }),
            3 => (1..4_u32, outcome()).prop_map(|(attempt, outcome)| {
                RowEvent::AttemptEnded { attempt, outcome, request_id: None, took_ms: 0 }
            }),
            1 => verdict.prop_map(|verdict| RowEvent::Settled { verdict, seen: None, reason: None, ground: None }),
            1 => Just(RowEvent::Reopened { cause: String::new() }),
            1 => Just(RowEvent::Left { cause: String::new() }),
            1 => Just(RowEvent::Moved { seen: SeenState::default() }),
        ]
    }

    fn rules() -> impl Strategy<Value = Rules> {
        prop::sample::select(vec![Rules::First, Rules::Second, Rules::Third])
    }

    /// Events of a random sequence that the fold accepts, and their sum.
    fn folded(rules: Rules, events: Vec<RowEvent>) -> (Vec<RowEvent>, Standing) {
        let mut standing = Standing::untouched(rules);
        let mut legal = Vec::new();
        for event in events {
            let before = standing.clone();
            match standing.add(ROW, &event, Timestamp::UNIX_EPOCH) {
                Ok(()) => legal.push(event),
                Err(_) => assert_eq!(standing, before, "a refused {event:?} changed the sum"),
            }
        }
        (legal, standing)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        #[test]
        fn no_legal_history_sends_a_row_in_doubt_that_nobody_looked_at(rules in rules(), events in vec(event(), 0..60)) {
            let (legal, _) = folded(rules, events);
            let (mut is_open, mut must_look, mut n_started, mut settled) = (false, false, 0, None);
            for event in legal {
                match event {
                    RowEvent::AttemptStarted { attempt, .. } => {
                        prop_assert!(!is_open && !must_look && settled.is_none());
                        prop_assert_eq!(attempt, n_started + 1);
                        (is_open, n_started) = (true, attempt);
                    }
                    RowEvent::AttemptEnded { attempt, outcome, .. } => {
                        prop_assert!(is_open && attempt == n_started);
                        is_open = false;
                        must_look |= matches!(outcome, Outcome::Lost { .. });
                    }
                    RowEvent::Seen { .. } => {
                        prop_assert!(!is_open && settled.is_none());
                        must_look = false;
                    }
                    RowEvent::Settled { verdict, .. } => {
                        prop_assert!(!is_open && settled.is_none());
                        settled = Some(verdict);
                    }
                    RowEvent::Reopened { .. } => {
                        prop_assert!(settled.is_some());
                        must_look = settled.take() == Some(Verdict::Unverified);
                    }
                    RowEvent::Left { .. } => prop_assert!(!is_open && settled.is_none()),
                    RowEvent::Moved { .. } => (),
                }
            }
        }

        #[test]
        fn a_legal_history_that_is_replayed_from_anywhere_adds_up_to_the_same(
            rules in rules(), events in vec(event(), 0..60), cut in any::<prop::sample::Index>(),
        ) {
            let (legal, sum) = folded(rules, events);
            let (before, after) = legal.split_at(cut.index(legal.len() + 1));
            let (kept, mut resumed) = folded(rules, before.to_vec());
            prop_assert_eq!(kept, before);
            for event in after {
                prop_assert_eq!(resumed.add(ROW, event, Timestamp::UNIX_EPOCH), Ok(()));
            }
            prop_assert_eq!(resumed, sum);
        }

        #[test]
        fn every_attempt_is_counted_once(rules in rules(), events in vec(event(), 0..60)) {
            let (legal, sum) = folded(rules, events);
            let is_unsent = |event: &&RowEvent| {
                matches!(event, RowEvent::AttemptEnded { outcome: Outcome::Unsent { .. }, .. })
            };
            let n_unsent = u32::try_from(legal.iter().filter(is_unsent).count()).unwrap();
            prop_assert_eq!(sum.attempts + sum.throttled + n_unsent, sum.started);
        }
    }
}
