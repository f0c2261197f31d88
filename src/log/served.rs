//! Runs as the servers of their logs have them.

use jiff::Timestamp;

use crate::exit::Exit;
use crate::journal::run_copy::CopyRecord;

/// Run on the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServedRun {
    pub(crate) id: String,
    pub(crate) made: ServedAs,
    pub(crate) end: ServedEnd,
    /// Launch that was heard to lead it.
    pub(crate) led_by: Option<Leader>,
}

/// Form in which the servers have a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServedAs {
    Made {
        plan: String,
        rows: u32,
        at: Timestamp,
    },
    /// Run that is being made, or whose making was cut off.
    Unmade,
    /// The reason for which this program cannot read it.
    Unreadable(String),
}

/// End of a run's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServedEnd {
    /// No launch has begun.
    NotBegun,
    UnderWay,
    /// The last launch ended in order.
    Ended(Exit),
}

/// Launch that leads a run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Leader {
    pub(crate) launch: u32,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) version: String,
}

impl ServedAs {
    pub(crate) fn made(record: &CopyRecord) -> Self {
        let made = record.made();
        let at = Timestamp::from_millisecond(made.created_at).unwrap_or_default();
        ServedAs::Made { plan: made.plan_path.clone(), rows: made.n_rows, at }
    }
}
