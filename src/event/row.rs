//! Events of a row; [`crate::ledger`] adds them up.

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use super::verdict::{Ground, Verdict};
use crate::model::state::{SeenState, TargetState};

/// Fact about a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowEvent {
    /// A look that did not settle the row. `None`: the service does not know the id.
    #[serde(rename = "row_seen")]
    Seen { seen: Option<SeenState> },
    /// A read made for other rows shows the row where we did not put it: somebody else moved it, or it moved on.
    #[serde(rename = "row_moved")]
    Moved { seen: SeenState },
    /// Intent to send, committed before a byte leaves.
    AttemptStarted { attempt: u32, sends: TargetState },
    AttemptEnded {
        attempt: u32,
        outcome: Outcome,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        took_ms: u64,
        /// Worker on another machine that made the request; `None` for one that left from here, or never left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        via: Option<String>,
    },
    #[serde(rename = "row_settled")]
    Settled {
        verdict: Verdict,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<SeenState>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ground: Option<Ground>,
    },
    /// The row was left without a verdict by this launch; a later one goes on.
    #[serde(rename = "row_left")]
    Left { cause: String },
    /// The operator asked for the row again, or its verdict turned out to be about us and not about the row.
    #[serde(rename = "row_reopened")]
    Reopened { cause: String },
}

impl RowEvent {
    /// Names of the stored forms.
    pub const NAMES: [&str; 7] =
        ["row_seen", "row_moved", "attempt_started", "attempt_ended", "row_settled", "row_left", "row_reopened"];
}
