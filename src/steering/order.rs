//! Orders of steering, as data.

use jiff::Timestamp;

use crate::event::run::RunEvent;
use crate::event::{DrainReason, LaneId};
use crate::waves::Stage;

/// Something for the driver to do. Orders are carried out in turn: those behind a record only once it is committed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Order {
    /// Journal this in the run's own lane, and tell steering once it is committed.
    Record(RunEvent),
    /// Set a limit of what is sent.
    Limit(Limit),
    /// Start nothing new in the whole run.
    Drain { reason: DrainReason, why: String },
    /// Also let go of what is on the wire.
    Abort,
    /// Wait until then, until somebody is woken, or until the run drains, and tell steering which of these it was.
    Wait { until: Option<Timestamp> },
    /// End the wait that is on, or else the next one.
    Wake,
    /// Read what the journal holds of a stage, and tell steering.
    Count(Wanted),
    /// Ask again at this time whether the stage may go on.
    LookAgain { at: Timestamp },
    /// Begin no stage any more.
    StopHere,
}

/// Limit of what is sent, which holds at once and until it is set anew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    /// No changes until they are allowed again.
    HoldChanges,
    AllowChanges,
    /// Requests per second of a lane; `None` for no limit of ours.
    Rate {
        lane: LaneId,
        per_second: Option<f64>,
    },
    /// Requests of a lane under way at once.
    Concurrency {
        lane: LaneId,
        n: u32,
    },
    /// Requests per second of all lanes together; `None` for no limit of ours.
    SharedRate(Option<f64>),
    /// Rows that may be on their way at once in all lanes together; `None` for no such limit.
    Caution(Option<usize>),
}

/// Counts that a stage needs before it begins, besides its rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) stage: Stage,
    /// Rows that this run has moved.
    pub(crate) changed: bool,
    /// Results of rows that earlier launches tried.
    pub(crate) tried_in_stage: bool,
    pub(crate) tried_in_run: bool,
}

/// Orders that stop the run, and say why in the journal.
pub(crate) fn drain(reason: DrainReason, why: String) -> Vec<Order> {
    let began = RunEvent::DrainBegan { reason, why: Some(why.clone()) };
    vec![Order::Drain { reason, why }, Order::Record(began)]
}
