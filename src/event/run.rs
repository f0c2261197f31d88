//! Events of the run's own lane: its launches, what it carries next, what it waits for and who steers it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rules::Rules;
use super::{DrainReason, LanePlace, Predecessors, Refusal};
use crate::control::{By, Command, Wait};
use crate::exit::Exit;
use crate::waves::Stage;
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
        /// What the launch that made it was given by hand: all that is known of it if that was cut off before it began.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        given: BTreeMap<String, String>,
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
}

impl RunEvent {
    /// Words of the stored forms.
    pub const NAMES: [&str; 9] = [
        "run_started",
        "launch_began",
        "drain_began",
        "stage_began",
        "stage_ended",
        "wait_began",
        "wait_ended",
        "controlled",
        "launch_ended",
    ];
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_none_ms(ms: &u64) -> bool {
    *ms == 0
}
