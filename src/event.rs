//! The contract between a run and everyone watching: what happened, as plain data.
//!
//! Every kind is a fact: it changes what a later launch would do, and so it is journaled. The stored form is
//! public and snapshot-tested; a variant may gain fields with defaults and is never renamed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::{By, Command, Wait};
use crate::exit::Exit;
use crate::model::{RowId, SeenState, TargetState};
use crate::waves::Stage;
use crate::whoami::Who;

pub mod rules;

use rules::Rules;

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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    RunStarted {
        plan: String,
        rows: u32,
        settings: serde_json::Value,
        /// The accounts, in the order of lanes: where the rows of each target go.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lanes: Vec<LanePlace>,
        /// Over what table `row` holds of each row besides the plan's digest and the sum of its events: see
        /// [`crate::journal::Journal::layout`]. None in journals of earlier versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        layout: Option<String>,
        /// How the events of its rows are added up; none is how earlier versions did.
        #[serde(default = "Rules::unnamed", skip_serializing_if = "Rules::is_first")]
        rules: Rules,
        /// What the journal held before it, so that no run can vanish. None in journals of earlier versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Predecessors>,
    },
    LaunchBegan {
        launch: u32,
        verb: String,
        pid: u32,
        host: String,
        /// The name that belongs to the user of the process.
        user: Option<String>,
        /// None in journals of earlier versions, whose `user` is what `$USER` said.
        #[serde(default, skip_serializing_if = "Who::is_empty")]
        who: Who,
        version: String,
        /// What it was given by hand, by the names of settings and as flags have it: it holds for this launch.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        given: BTreeMap<String, String>,
        /// How long the launch before it took, up to what is recorded of it, if that was cut off and so never said.
        #[serde(default, skip_serializing_if = "is_none_ms")]
        cut_off_ms: u64,
    },
    DrainBegan {
        reason: DrainReason,
        /// Where the reason alone does not say it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// A wave, its canary or the rest of it may be sent from here on.
    StageBegan {
        stage: Stage,
        rows: u64,
        /// How long it would take, and whether there is time for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forecast: Option<String>,
    },
    /// Every row of it is settled.
    StageEnded {
        stage: Stage,
    },
    /// The stage does not begin yet.
    WaitBegan {
        cause: Wait,
        stage: Stage,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<jiff::Timestamp>,
    },
    WaitEnded,
    /// Somebody steered the run.
    Controlled {
        command: Command,
        by: By,
        /// Where it stood in the journal before it was taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        control: Option<i64>,
    },
    LaunchEnded {
        exit: Exit,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        elapsed_ms: u64,
        /// What it would not do, where it ended before its first change for that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refusal: Option<Refusal>,
    },
    /// The service told or showed how much it takes; the next run begins there.
    QuotaLearned {
        per_second: f64,
        /// The figure stood in the service's text, and was not guessed.
        stated: bool,
    },
    /// A read met the quota. (A change that does ends as [`Outcome::Throttled`].)
    ReadThrottled {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// Nothing more is sent in this lane by this launch.
    LaneStopped {
        cause: LaneStop,
        message: String,
    },
    /// What a look found, when it did not settle the row. None: the service does not know the id.
    RowSeen {
        row: RowId,
        seen: Option<SeenState>,
    },
    /// A read that was made for others shows the row where we did not put it: somebody else moved it, or it moved on.
    RowMoved {
        row: RowId,
        seen: SeenState,
    },
    /// Committed before a byte leaves.
    AttemptStarted {
        row: RowId,
        attempt: u32,
        sends: TargetState,
    },
    AttemptEnded {
        row: RowId,
        attempt: u32,
        outcome: Outcome,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        took_ms: u64,
    },
    RowSettled {
        row: RowId,
        verdict: Verdict,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<SeenState>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ground: Option<Ground>,
    },
    /// This launch gave up on the row without a verdict; a later one goes on.
    RowLeft {
        row: RowId,
        cause: String,
    },
    /// The operator asked for it again, or the lane found that the verdict was about us and not about the row.
    RowReopened {
        row: RowId,
        cause: String,
    },
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

impl EventKind {
    /// The words of the stored forms.
    pub const NAMES: [&str; 19] = [
        "run_started",
        "launch_began",
        "drain_began",
        "stage_began",
        "stage_ended",
        "wait_began",
        "wait_ended",
        "controlled",
        "launch_ended",
        "quota_learned",
        "read_throttled",
        "lane_stopped",
        "row_seen",
        "row_moved",
        "attempt_started",
        "attempt_ended",
        "row_settled",
        "row_left",
        "row_reopened",
    ];

    #[must_use]
    pub fn row(&self) -> Option<RowId> {
        match self {
            EventKind::RowSeen { row, .. }
            | EventKind::RowMoved { row, .. }
            | EventKind::AttemptStarted { row, .. }
            | EventKind::AttemptEnded { row, .. }
            | EventKind::RowSettled { row, .. }
            | EventKind::RowLeft { row, .. }
            | EventKind::RowReopened { row, .. } => Some(*row),
            EventKind::RunStarted { .. }
            | EventKind::LaunchBegan { .. }
            | EventKind::DrainBegan { .. }
            | EventKind::LaunchEnded { .. }
            | EventKind::StageBegan { .. }
            | EventKind::StageEnded { .. }
            | EventKind::WaitBegan { .. }
            | EventKind::WaitEnded
            | EventKind::Controlled { .. }
            | EventKind::QuotaLearned { .. }
            | EventKind::ReadThrottled { .. }
            | EventKind::LaneStopped { .. } => None,
        }
    }
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_none_ms(ms: &u64) -> bool {
    *ms == 0
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
    fn each_kind_of_event_is_among_the_names() {
        let unknown = serde_json::from_value::<EventKind>(serde_json::json!({"kind": "?"})).unwrap_err().to_string();
        let known: Vec<&str> = unknown.split('`').skip(3).step_by(2).collect();
        assert_eq!(known.len(), EventKind::NAMES.len(), "{unknown}");
        assert!(EventKind::NAMES.iter().all(|name| known.contains(name)), "{unknown}");
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
