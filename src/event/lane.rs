//! Events of an account at an endpoint that are about none of its rows.

use serde::{Deserialize, Serialize};

use super::LaneStop;

/// Fact about a lane as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneEvent {
    /// The service told or showed how much it takes; the next run begins there.
    QuotaLearned {
        per_second: f64,
        /// The figure stood in the service's text, and was not guessed.
        stated: bool,
    },
    /// A read met the quota. (A change that does ends as [`Outcome::Throttled`](super::Outcome::Throttled).)
    ReadThrottled {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// Nothing more is sent in this lane by this launch.
    #[serde(rename = "lane_stopped")]
    Stopped { cause: LaneStop, message: String },
}

impl LaneEvent {
    /// Words of the stored forms.
    pub const NAMES: [&str; 3] = ["quota_learned", "read_throttled", "lane_stopped"];
}
