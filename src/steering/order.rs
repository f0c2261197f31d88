//! Orders of steering, as data.

use jiff::Timestamp;

use crate::event::lane::LaneId;
use crate::event::run::{DrainReason, RunEvent};
use crate::waves::Stage;
use crate::waves::hooks::HookCall;

/// Order that may follow from anything that happens. Orders are carried out in turn: those behind a record only once it is
/// committed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Order {
    /// Journal this in the run's own lane, and tell steering once it is committed.
    Record(RunEvent),
    /// Set a limit of changes that are sent.
    Limit(Limit),
    /// Start nothing new in the whole run.
    Drain { reason: DrainReason, why: String },
    /// Let go of requests on the wire.
    Abort,
    /// End the wait that is on, or else the next one.
    Wake,
}

/// Order that follows from a step of a stage. Its answers are steps of the same stage, and it alone may read the journal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StageOrder {
    Do(Order),
    /// Wait until this time, until the wait is ended by [`Order::Wake`], or until the run drains, and tell steering which of
    /// these it was.
    Wait {
        until: Option<Timestamp>,
    },
    /// Read from the journal what a stage needs, and tell steering.
    Count(WantedCounts),
    /// Ask again at this time if the stage may go on.
    LookAgain {
        at: Timestamp,
    },
    /// Run a hook, and tell steering how it ended.
    RunHook(HookCall),
    /// Begin no stage any more.
    StopHere,
}

impl From<Order> for StageOrder {
    fn from(order: Order) -> Self {
        Self::Do(order)
    }
}

/// Limit of changes that are sent, which holds at once and until it is set anew.
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
pub(crate) struct WantedCounts {
    pub(crate) stage: Stage,
    /// Rows that this run has moved.
    pub(crate) changed: bool,
    /// Results of rows that earlier launches tried.
    pub(crate) tried_in_stage: bool,
    pub(crate) tried_in_run: bool,
}

/// Orders that stop the run, and say why in the journal.
pub(crate) fn drain<O: From<Order>>(reason: DrainReason, why: String) -> Vec<O> {
    let began = RunEvent::DrainBegan { reason, why: Some(why.clone()) };
    vec![Order::Drain { reason, why }.into(), Order::Record(began).into()]
}
