//! Events of the run's own lane: its launches, the stages that it carries, its waits, and the commands of operators.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lane::LaneId;
use super::rules::Rules;
use crate::control::{By, Command, Wait};
use crate::exit::Exit;
use crate::waves::Stage;
use crate::waves::hooks::{Hook, HookEnd, HookOrigin};
use crate::whoami::Who;

/// Fact about a run as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEvent {
    #[serde(rename = "run_started")]
    Started {
        plan: String,
        rows: u32,
        settings: serde_json::Value,
        /// Accounts in the order of lanes; their names are the targets of rows.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lanes: Vec<LanePlace>,
        /// Digest over what table `row` holds of each row besides the plan's digest and the sum of its events: see
        /// [`crate::journal::Journal::layout`]. `None` in journals of earlier versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        layout: Option<String>,
        /// Rules by which the events of its rows are added up; absent in journals of earlier versions.
        #[serde(default = "Rules::unnamed", skip_serializing_if = "Rules::is_first")]
        rules: Rules,
        /// Runs that the journal held before this one, so that none can vanish. `None` in journals of earlier versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Box<Predecessors>>,
        /// Settings given by hand to the launch that made the run: the only record of them if that launch was cut off before it
        /// began.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        given: BTreeMap<String, String>,
        /// Key by which a schedule names the run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_key: Option<String>,
    },
    LaunchBegan {
        launch: u32,
        verb: String,
        pid: u32,
        host: String,
        /// Name of the user that the process belongs to.
        user: Option<String>,
        /// Empty in journals of earlier versions, whose `user` is the value of `$USER`.
        #[serde(default, skip_serializing_if = "Who::is_empty")]
        who: Who,
        version: String,
        /// Settings given by hand, by name and in the form of flags; they hold for this launch.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        given: BTreeMap<String, String>,
        /// Duration of the previous launch up to its last record, if it was cut off and so recorded none; otherwise 0.
        #[serde(default, skip_serializing_if = "is_none_ms")]
        cut_off_ms: u64,
    },
    DrainBegan {
        reason: DrainReason,
        /// Explanation, where the reason alone is not enough.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// Rows of the stage (a wave, its canary or the rest of it) may be sent from here on.
    StageBegan {
        stage: Stage,
        rows: u64,
        /// Estimate of its duration, and whether that fits the time that is left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forecast: Option<String>,
    },
    /// Every row of the stage is settled.
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
    /// An operator steered the run.
    Controlled {
        command: Command,
        by: By,
        /// Key of the command in the journal's table `control`, from which it was taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        control: Option<i64>,
    },
    /// A hook has ended, or could not be started.
    HookRan {
        hook: Hook,
        from: HookOrigin,
        /// Number of its wave; `None` for a hook of the run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wave_no: Option<u32>,
        /// Name of its wave, if that has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wave: Option<String>,
        end: HookEnd,
        /// Beginning of its output, at most 4 KiB, without characters that control a terminal and without known secrets.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        output: String,
        /// True if it wrote more than that.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cut: bool,
        elapsed_ms: u64,
    },
    LaunchEnded {
        exit: Exit,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        elapsed_ms: u64,
        /// Reason, where the launch ended before its first change.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refusal: Option<Refusal>,
    },
}

impl RunEvent {
    /// Names of the stored forms.
    pub const NAMES: [&str; 10] = [
        "run_started",
        "launch_began",
        "drain_began",
        "stage_began",
        "stage_ended",
        "wait_began",
        "wait_ended",
        "controlled",
        "hook_ran",
        "launch_ended",
    ];
}

/// Tells by the settings of a run that its log lies on servers: other machines than that on which it was made may lead it and copy it.
#[must_use]
pub fn is_shared(settings: &serde_json::Value) -> bool {
    settings.get("engine").is_some()
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
    /// Last tombstone by then; absent if no run had been taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<PrunedBefore>,
}

/// Tombstones that a journal held when a run began in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrunedBefore {
    pub n: u64,
    /// Hash of the last of them, in hexadecimal digits.
    pub head: String,
}

/// Run with the last event of each of its lanes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predecessor {
    pub run: String,
    /// Number of the last event of each lane, with its hash in hexadecimal digits.
    pub heads: Vec<(LaneId, u64, String)>,
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
    /// A hook said no, or failed.
    Vetoed,
    /// No change was sent in the time that the launch had to begin.
    NotBegun,
    /// An operator asked for it, with the verb or a flag file.
    Operator,
}

impl DrainReason {
    /// Tells whether a fault of the machine stopped the launch, and neither a person nor the plan.
    pub(crate) fn is_of_its_machine(self) -> bool {
        match self {
            DrainReason::JournalClosed | DrainReason::JournalGone | DrainReason::Panicked => true,
            DrainReason::Interrupted
            | DrainReason::Terminated
            | DrainReason::HungUp
            | DrainReason::Halted
            | DrainReason::StageLeft
            | DrainReason::Window
            | DrainReason::TooLong
            | DrainReason::Unapproved
            | DrainReason::Vetoed
            | DrainReason::NotBegun
            | DrainReason::Operator => false,
        }
    }
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_none_ms(ms: &u64) -> bool {
    *ms == 0
}
