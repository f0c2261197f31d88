//! Events of a lane (an account at an endpoint) that are not about one of its rows.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

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
    /// A read was throttled. (A throttled change ends as [`Outcome::Throttled`](super::outcome::Outcome::Throttled).)
    ReadThrottled {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// Nothing leaves for a time that no answer asked for. (One that does is in the answer, as `retry_after_ms`.)
    CoolDownBegan { wait_ms: u64, cause: CoolDownCause },
    /// The lane stopped: this launch sends nothing more in it.
    #[serde(rename = "lane_stopped")]
    Stopped { cause: LaneStop, message: String },
    /// From here on this worker on another machine makes the requests of the lane; `None`: no worker that serves it is heard, and it waits.
    #[serde(rename = "lane_served")]
    Served {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        via: Option<String>,
    },
}

impl LaneEvent {
    /// Begin of a wait, which is rounded up to milliseconds.
    pub(crate) fn cool_down(wait: Duration, cause: CoolDownCause) -> Self {
        let wait_ms = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        LaneEvent::CoolDownBegan { wait_ms, cause }
    }

    /// Names of the stored forms.
    pub const NAMES: [&str; 5] = ["quota_learned", "read_throttled", "cool_down_began", "lane_stopped", "lane_served"];
}

/// Reason for a wait that no answer asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoolDownCause {
    /// The service throttled the lane, and did not say for how long to wait.
    Throttled,
    /// Another run at the same account was told to wait, and that is not over.
    OtherRun,
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
