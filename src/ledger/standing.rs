//! Standing of a row: its current state, as its events add up to it.

use jiff::Timestamp;

use crate::event::outcome::Outcome;
use crate::event::rules::Rules;
use crate::event::verdict::{Ground, Verdict};
use crate::model::state::SeenState;

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

impl Standing {
    /// Standing of a row without events.
    #[must_use]
    pub fn untouched(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
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

    /// Tells whether a request for the row left, as far as is known. A 429 claims that the request was not processed, but that is
    /// only the peer's word: what is seen afterwards may be its effect.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        self.attempts > 0 || (self.rules >= Rules::Third && self.throttled > 0)
    }
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
    pub(super) fn from_outcome(outcome: &Outcome) -> Option<Self> {
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
