//! Events of a lane (an account at an endpoint) that are not about one of its rows.

use serde::{Deserialize, Serialize};

use super::LaneStop;

/// Fact about a lane as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneEvent {
    /// The service stated, or its answers showed, the rate that it accepts; the next run begins with it.
    QuotaLearned {
        per_second: f64,
        /// True if the figure stood in the service's text; false if it was inferred.
        stated: bool,
    },
    /// A read was throttled. (A throttled change ends as [`Outcome::Throttled`](super::Outcome::Throttled).)
    ReadThrottled {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// The lane stopped: this launch sends nothing more in it.
    #[serde(rename = "lane_stopped")]
    Stopped { cause: LaneStop, message: String },
}

impl LaneEvent {
    /// Names of the stored forms.
    pub const NAMES: [&str; 3] = ["quota_learned", "read_throttled", "lane_stopped"];
}
