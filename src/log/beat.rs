//! The beat of a run: whoever leads it tells each second that it is there. A beat is not stored, and proves nothing: whether a launch may
//! go on is decided by the log alone. It tells others how long to wait.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lock::{self, Owner};

/// Time without a beat after which whoever leads a run is taken for gone.
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone listens to nobody"))]
pub(crate) const GONE_AFTER: Duration = Duration::from_secs(7);

/// Launch that leads a run, as it tells others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beat {
    pub(crate) launch: u32,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) version: String,
    pub(crate) since: Timestamp,
    /// Time of day by the clock of its machine.
    pub(crate) at: Timestamp,
    pub(crate) writer: String,
}

impl Beat {
    /// Makes the beat of a launch in this process.
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone tells nobody"))]
    pub(crate) fn of_launch(launch: u32, writer: String) -> Self {
        let now = Timestamp::now();
        let (host, version) = (lock::host(), env!("CARGO_PKG_VERSION").to_owned());
        Self { launch, host, pid: std::process::id(), version, since: now, at: now, writer }
    }

    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone listens to nobody"))]
    pub(crate) fn owner(&self) -> Owner {
        Owner { pid: self.pid, host: self.host.clone(), since: self.since, journal: None }
    }
}
