//! Contract between a run and everyone who watches it: events, as plain data.
//!
//! Every kind is a fact: it changes what a later launch would do, and so it is journaled. The stored form (`stored`) is public
//! and snapshot-tested: a variant may gain fields with defaults, and its stored name stays.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::lane::LaneEvent;
use self::row::RowEvent;
use self::run::RunEvent;
use crate::model::RowId;

pub mod lane;
pub mod row;
pub mod rules;
pub mod run;
pub(crate) mod stored;

/// Event as it stands in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub lane: LaneId,
    /// Number within its lane, counted from 1.
    pub seq: u64,
    /// Time for people to read; the order comes from `seq`.
    pub at: jiff::Timestamp,
    pub kind: EventKind,
}

impl Event {
    /// Makes an event that has no number in its lane yet; without a time it happens now.
    pub(crate) fn unnumbered(lane: LaneId, at: Option<jiff::Timestamp>, kind: EventKind) -> Self {
        let at_ms = at.unwrap_or_else(jiff::Timestamp::now).as_millisecond();
        let at = jiff::Timestamp::from_millisecond(at_ms).expect("a time is valid in milliseconds");
        Self { lane, seq: 0, at, kind }
    }
}

/// Number of a lane: one account at one endpoint. Lane 0 carries the run's own events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LaneId(pub u32);

impl LaneId {
    pub const RUN: LaneId = LaneId(0);
    /// Lane that every run has.
    pub const FIRST: LaneId = LaneId(1);
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Subject of an event, and what happened to it.
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    Row(RowId, RowEvent),
    Lane(LaneEvent),
    Run(RunEvent),
}

impl EventKind {
    #[must_use]
    pub fn row(&self) -> Option<RowId> {
        match self {
            EventKind::Row(row, _) => Some(*row),
            EventKind::Lane(_) | EventKind::Run(_) => None,
        }
    }

    /// Wait that the service asked the lane for, in milliseconds.
    #[must_use]
    pub fn asked_wait_ms(&self) -> Option<u64> {
        match self {
            EventKind::Row(_, RowEvent::AttemptEnded { outcome: Outcome::Throttled { retry_after_ms, .. }, .. })
            | EventKind::Lane(LaneEvent::ReadThrottled { retry_after_ms, .. }) => *retry_after_ms,
            EventKind::Row(..) | EventKind::Lane(_) | EventKind::Run(_) => None,
        }
    }
}

impl From<LaneEvent> for EventKind {
    fn from(event: LaneEvent) -> Self {
        EventKind::Lane(event)
    }
}

impl From<RunEvent> for EventKind {
    fn from(event: RunEvent) -> Self {
        EventKind::Run(event)
    }
}

/// Account and endpoint of a lane, as the run began with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanePlace {
    /// Name by which rows refer to it.
    pub name: String,
    pub endpoint: String,
    pub account: String,
}

/// Runs that a journal held when another began in it: from the newest back to the newest one that names predecessors itself,
/// which stands for all before it. See [`crate::journal::Journal::predecessors`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predecessors {
    /// Id of the journal.
    pub journal: String,
    /// Number of the journal's runs that were made by versions that recorded no predecessors.
    pub earlier: u64,
    /// Newest first; empty for the first run of a journal.
    pub runs: Vec<Predecessor>,
}

/// Run with the last event of each of its lanes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predecessor {
    pub run: String,
    /// Number of the last event of each lane, with its hash in hexadecimal digits.
    pub heads: Vec<(LaneId, u64, String)>,
}

/// Ending of an attempt: every way a request can end has a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Outcome {
    /// Answered with success, which is not yet proof of an effect.
    Accepted { status: u16 },
    /// Refused by the service for good: about this row.
    Rejected {
        status: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        message: String,
    },
    /// Refused because of our credentials, which are wrong or have expired: about us, not about the row.
    Unauthenticated {
        status: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        message: String,
    },
    /// Refused because of the account or the place we call from: no other request of this lane will fare better.
    Barred {
        status: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        message: String,
    },
    /// Refused over the quota, before it was processed: safe to send again.
    Throttled {
        /// `None` for 429. The gateway's code means the same with other statuses.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
        /// Figure and period, where the text names them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quota: Option<StatedQuota>,
        message: String,
    },
    /// Never reached the server: safe to send again.
    Unsent { cause: String },
    /// Sent completely, and the peer claims that nobody processed it. We cannot know that, so the change may have been made
    /// all the same.
    Disclaimed { cause: String },
    /// May have reached the server: timeout, reset, 5xx, an answer that cannot be read, abort.
    Lost {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        cause: String,
    },
}

impl Outcome {
    /// Ending of a request that we abandoned while it was on the wire.
    #[must_use]
    pub fn aborted() -> Self {
        Outcome::Lost { status: None, code: None, cause: "let go before the answer came".to_owned() }
    }

    /// Word in the stored form.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Rejected { .. } => "rejected",
            Outcome::Unauthenticated { .. } => "unauthenticated",
            Outcome::Barred { .. } => "barred",
            Outcome::Throttled { .. } => "throttled",
            Outcome::Unsent { .. } => "unsent",
            Outcome::Disclaimed { .. } => "disclaimed",
            Outcome::Lost { .. } => "lost",
        }
    }

    /// Tells whether our credentials were not accepted. A 401 that does not carry the service's own code leaves the row in doubt,
    /// and counts too: the key is locked after a few such answers.
    #[must_use]
    pub fn refuses_us(&self) -> bool {
        match self {
            Outcome::Unauthenticated { .. } | Outcome::Lost { status: Some(401), .. } => true,
            Outcome::Accepted { .. }
            | Outcome::Rejected { .. }
            | Outcome::Barred { .. }
            | Outcome::Throttled { .. }
            | Outcome::Unsent { .. }
            | Outcome::Disclaimed { .. }
            | Outcome::Lost { .. } => false,
        }
    }

    /// HTTP status, where there was an answer with one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Outcome::Accepted { status }
            | Outcome::Rejected { status, .. }
            | Outcome::Unauthenticated { status, .. }
            | Outcome::Barred { status, .. } => Some(*status),
            Outcome::Throttled { status, .. } => Some(status.unwrap_or(429)),
            Outcome::Unsent { .. } | Outcome::Disclaimed { .. } => None,
            Outcome::Lost { status, .. } => *status,
        }
    }

    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Outcome::Rejected { code, .. }
            | Outcome::Unauthenticated { code, .. }
            | Outcome::Barred { code, .. }
            | Outcome::Lost { code, .. } => code.as_deref(),
            Outcome::Accepted { .. }
            | Outcome::Throttled { .. }
            | Outcome::Unsent { .. }
            | Outcome::Disclaimed { .. } => None,
        }
    }

    /// Message of the answer or cause of the failure; `None` for success.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Outcome::Accepted { .. } => None,
            Outcome::Rejected { message, .. }
            | Outcome::Unauthenticated { message, .. }
            | Outcome::Barred { message, .. }
            | Outcome::Throttled { message, .. } => Some(message),
            Outcome::Unsent { cause } | Outcome::Disclaimed { cause } | Outcome::Lost { cause, .. } => Some(cause),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Rejected { .. } => "rejected",
            Outcome::Unauthenticated { .. } => "not authenticated",
            Outcome::Barred { .. } => "barred",
            Outcome::Throttled { .. } => "throttled",
            Outcome::Unsent { .. } => "not sent",
            Outcome::Disclaimed { .. } => "disclaimed",
            Outcome::Lost { status: Some(300..500), code: None, .. } => "no answer of the service",
            Outcome::Lost { .. } => "answer lost",
        };
        f.write_str(name)?;
        if let Some(status) = self.status() {
            write!(f, " ({status}")?;
            if let Some(code) = self.code() {
                write!(f, " {code}")?;
            }
            f.write_str(")")?;
        }
        match self.message() {
            Some(message) if !message.is_empty() => write!(f, ": {message}"),
            Some(_) | None => Ok(()),
        }
    }
}

/// Figure stated in the text of a 429, such as `limit:60,time:1 minute`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatedQuota {
    pub calls: u32,
    pub period_ms: u64,
}

impl StatedQuota {
    #[must_use]
    pub fn per_second(self) -> f64 {
        f64::from(self.calls) / self.period().as_secs_f64()
    }

    #[must_use]
    pub fn period(self) -> Duration {
        Duration::from_millis(self.period_ms)
    }
}

/// Final word on a settled row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Applied,
    Already,
    Unverified,
    NoEffect,
    Overtaken,
    Refused,
    Failed,
    Blocked,
}

impl Verdict {
    pub const ALL: [Verdict; 8] = [
        Verdict::Applied,
        Verdict::Already,
        Verdict::Unverified,
        Verdict::NoEffect,
        Verdict::Overtaken,
        Verdict::Refused,
        Verdict::Failed,
        Verdict::Blocked,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Applied => "applied",
            Verdict::Already => "already",
            Verdict::Unverified => "unverified",
            Verdict::NoEffect => "no_effect",
            Verdict::Overtaken => "overtaken",
            Verdict::Refused => "refused",
            Verdict::Failed => "failed",
            Verdict::Blocked => "blocked",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }

    /// Tells whether the target was seen. (With verification switched off, see [`Verdict::is_on_target`].)
    #[must_use]
    pub fn on_target(self) -> bool {
        match self {
            Verdict::Applied | Verdict::Already => true,
            Verdict::Unverified
            | Verdict::NoEffect
            | Verdict::Overtaken
            | Verdict::Refused
            | Verdict::Failed
            | Verdict::Blocked => false,
        }
    }

    /// Tells whether the row counts as on target: the target was seen, or nobody wanted it verified.
    #[must_use]
    pub fn is_on_target(self, ground: Option<Ground>) -> bool {
        self.on_target() || (self == Verdict::Unverified && ground == Some(Ground::NotVerified))
    }

    /// Meaning in one line, for people who meet the word for the first time.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Verdict::Applied => "sent, and the target seen afterwards",
            Verdict::Already => "on target before anything was sent; nothing was sent",
            Verdict::Unverified => "accepted, but never proven by a read",
            Verdict::NoEffect => "accepted, and the target is not there at the end of the verification window",
            Verdict::Overtaken => "somebody else moved it; hands off",
            Verdict::Refused => "the service said no for good",
            Verdict::Failed => "attempts used up, and a last look shows it not on target",
            Verdict::Blocked => "not sent: held back by preflight, or skipped by somebody",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Fact behind a verdict, where the verdict alone does not decide what to do about the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    /// The service knows no such source.
    UnknownSource,
    /// The source is not in the state that the plan expects.
    NotAsExpected,
    /// The source is in a state in which the service ignores updates.
    IgnoresUpdates,
    /// The chosen edition of the API has no words for what would have to be sent.
    Unsayable,
    /// An operator decided that it is not sent.
    Skipped,
    /// Accepted while verification was switched off: counts as on target, although nobody has seen it there.
    NotVerified,
    /// Accepted, but no look at it succeeded.
    Unseen,
    /// Accepted, but reads never show the target word.
    NeverShown,
}

impl Ground {
    pub const ALL: [Ground; 8] = [
        Ground::UnknownSource,
        Ground::NotAsExpected,
        Ground::IgnoresUpdates,
        Ground::Unsayable,
        Ground::Skipped,
        Ground::NotVerified,
        Ground::Unseen,
        Ground::NeverShown,
    ];

    /// Word in the stored form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Ground::UnknownSource => "unknown_source",
            Ground::NotAsExpected => "not_as_expected",
            Ground::IgnoresUpdates => "ignores_updates",
            Ground::Unsayable => "unsayable",
            Ground::Skipped => "skipped",
            Ground::NotVerified => "not_verified",
            Ground::Unseen => "unseen",
            Ground::NeverShown => "never_shown",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ground| ground.name() == name)
    }
}

/// Reason for which a run starts nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainReason {
    Interrupted,
    Terminated,
    /// The terminal went away, or somebody sent the same signal.
    HungUp,
    /// The journal cannot be written, and nothing is sent that cannot be recorded.
    JournalClosed,
    /// The journal is no longer at its path, and nothing is sent whose record nobody would find.
    JournalGone,
    Panicked,
    /// More rows failed than the halt rules of the plan allow.
    Halted,
    /// A stage ended with rows in doubt or pending, and no stage after it begins.
    StageLeft,
    /// The window closed, or does not open again.
    Window,
    /// A stage would not end in the time that is left.
    TooLong,
    /// A stage was not released in time.
    Unapproved,
    /// An operator asked for it, with the verb or a flag file.
    Operator,
}

/// Reason for which a launch ended before its first change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Refusal {
    /// Rows would have been sent to states from which there is no way back, without permission for that.
    Irreversible,
    /// More rows would have been changed than were allowed.
    TooMany { changes: u64 },
    /// The servers are no longer where the sealed plan saw them.
    Drift,
    /// An operator was asked to confirm, and declined.
    NotAgreed,
}

/// Reason for which a lane stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneStop {
    /// The service does not accept our credentials.
    Unauthenticated,
    /// The source of our credentials could not be reached.
    NoCredentials,
    /// The account, the project or the place we call from is barred.
    Barred,
    /// The first answered changes of the lane all got 403 with one code.
    Forbidden,
    /// The endpoint could not be reached when the launch began.
    Unreachable,
    /// Throttled for longer than `--max-throttle` without one accepted call.
    Throttled,
    /// Several answers in a row came from something between us and the service.
    NotTheService,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stated_quota_is_a_rate() {
        let quota = StatedQuota { calls: 60, period_ms: 60_000 };
        assert!((quota.per_second() - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn verdicts_are_found_by_the_names_they_print() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::named(verdict.name()), Some(verdict));
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.name());
        }
        for ground in Ground::ALL {
            assert_eq!(Ground::named(ground.name()), Some(ground));
            assert_eq!(serde_json::to_value(ground).unwrap(), ground.name());
        }
    }
}
