//! The contract between a run and everyone watching: what happened, as plain data.
//!
//! Every kind is a fact: it changes what a later launch would do, and so it is journaled. The stored form (`stored`) is public
//! and snapshot-tested; a variant may gain fields with defaults, and its stored name stays.

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

/// One event as it stands in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub lane: LaneId,
    /// Counts from 1 within its lane.
    pub seq: u64,
    /// For people; order comes from `seq`.
    pub at: jiff::Timestamp,
    pub kind: EventKind,
}

impl Event {
    /// One that is not in its lane yet. Without a time it happens now.
    pub(crate) fn unnumbered(lane: LaneId, at: Option<jiff::Timestamp>, kind: EventKind) -> Self {
        let at_ms = at.unwrap_or_else(jiff::Timestamp::now).as_millisecond();
        let at = jiff::Timestamp::from_millisecond(at_ms).expect("a time is valid in milliseconds");
        Self { lane, seq: 0, at, kind }
    }
}

/// One account at one endpoint. Lane 0 carries the run's own events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LaneId(pub u32);

impl LaneId {
    pub const RUN: LaneId = LaneId(0);
    /// Every run has it.
    pub const FIRST: LaneId = LaneId(1);
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an event is about, and what happened to that.
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

/// An account of a run, as it was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanePlace {
    /// What rows call it.
    pub name: String,
    pub endpoint: String,
    pub account: String,
}

/// Runs that a journal holds when another begins in it, as far as they are not named by one of them: from the one made last
/// back to the first that names its own. See [`crate::journal::Journal::predecessors`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predecessors {
    /// The journal's own id.
    pub journal: String,
    /// So many of its runs were made by versions that named none.
    pub earlier: u64,
    /// The one made last comes first. None: it is the first of its journal.
    pub runs: Vec<Predecessor>,
}

/// A run, and how far its lanes were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predecessor {
    pub run: String,
    /// Of each lane the number of its last event, and the hash of that one in hexadecimal digits.
    pub heads: Vec<(LaneId, u64, String)>,
}

/// How an attempt ended: every way a request can end has a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Outcome {
    /// Answered with success, which is not yet proof of an effect.
    Accepted { status: u16 },
    /// The service said no to this row, for good.
    Rejected {
        status: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        message: String,
    },
    /// About us, not about the row: the credentials are wrong or have expired.
    Unauthenticated {
        status: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        message: String,
    },
    /// About the account or where we call from: nothing else of this lane will fare better.
    Barred {
        status: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        message: String,
    },
    /// Over the quota: refused before it was looked at, safe to send again.
    Throttled {
        /// None: 429. The gateway's code says the same with other statuses.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
        /// The figure and its period, where the text names them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quota: Option<StatedQuota>,
        message: String,
    },
    /// Never reached the server: safe to send again.
    Unsent { cause: String },
    /// Left whole, and the peer says that nobody looked at it. That is its word and not our knowledge, so that the request may
    /// have been made all the same.
    Disclaimed { cause: String },
    /// May have reached it: timeout, reset, 5xx, an answer that cannot be read, abort.
    Lost {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        cause: String,
    },
}

impl Outcome {
    /// We let go of the request while it was on the wire.
    #[must_use]
    pub fn aborted() -> Self {
        Outcome::Lost { status: None, code: None, cause: "let go before the answer came".to_owned() }
    }

    /// The word of its stored form.
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

    /// Whether our credentials were not accepted. Who says so without a word of the service leaves the row in doubt; that
    /// the key is locked after a few such answers holds all the same.
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

    /// The status line, where there was one.
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

    /// What was said or what went wrong; none for success.
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

/// The figure of a 429's text, such as `limit:60,time:1 minute`.
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

/// A settled row's final word.
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

    /// Whether the target was seen. (An `unverified` row counts too where verification was switched off.)
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

    /// The same with the ground that it rests on: what nobody wanted proven counts.
    #[must_use]
    pub fn is_on_target(self, ground: Option<Ground>) -> bool {
        self.on_target() || (self == Verdict::Unverified && ground == Some(Ground::NotVerified))
    }

    /// One line for people who meet the word for the first time.
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

/// The fact that a verdict rests on, where more than the verdict decides what is to be done about the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    /// The service knows no such source.
    UnknownSource,
    /// The plan expects it elsewhere.
    NotAsExpected,
    /// It is in a state in which the service ignores updates.
    IgnoresUpdates,
    /// The edition of the API that is spoken has no words for what would have to be sent.
    Unsayable,
    /// Somebody said that it is not to be sent.
    Skipped,
    /// Accepted while verification was switched off: it counts as on target, and nobody has seen it there.
    NotVerified,
    /// Accepted, and no look at it succeeded.
    Unseen,
    /// Accepted, and reads never show the target word.
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

    /// The word of its stored form.
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

/// Why nothing new is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainReason {
    Interrupted,
    Terminated,
    /// The terminal went away, or somebody sent the same signal.
    HungUp,
    /// What cannot be recorded is not sent.
    JournalClosed,
    /// What is recorded where nobody will find it is not sent.
    JournalGone,
    Panicked,
    /// More failed than the plan puts up with.
    Halted,
    /// Rows of a stage are left in doubt or pending, and nothing behind it begins.
    StageLeft,
    /// The window closed, or does not open again.
    Window,
    /// A stage would not end in the time that there is.
    TooLong,
    /// Nobody released a stage in time.
    Unapproved,
    /// Somebody said so: with the verb, or with a flag file.
    Operator,
}

/// What a launch would not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Refusal {
    /// There is no way back from where it would have sent rows, and nobody gave leave for that.
    Irreversible,
    /// It would have changed more rows than somebody allowed.
    TooMany { changes: u64 },
    /// The servers are no longer where the sealed plan saw them.
    Drift,
    /// Somebody was asked, and said no.
    NotAgreed,
}

/// Why a lane stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneStop {
    /// The service does not accept who we are.
    Unauthenticated,
    /// Where our credentials come from could not be reached.
    NoCredentials,
    /// The account, the project or the place we call from is barred.
    Barred,
    /// The first answered changes of the lane all got 403 with one code.
    Forbidden,
    /// The endpoint could not be reached when the launch began.
    Unreachable,
    /// Throttled for longer than `--max-throttle` without one accepted call.
    Throttled,
    /// Answers in a row came from something between us and the service.
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
