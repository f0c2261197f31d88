//! Happenings by which steering decides.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::counts::{TryResult, Turn};
use super::hooks::HookRun;
use crate::control::{By, Command};
use crate::event::lane::LaneId;
use crate::event::run::RunEvent;
use crate::journal::read::steering::{LeftOf, Tried};
use crate::waves::{Part, Stage};

/// Time at which the last tried row of each stage was settled; stages without a tried row are left out.
pub(crate) type AtRest = BTreeMap<(u32, Part), Timestamp>;

/// Happening at any time of a run.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// Command of an operator; `control` is its number in the journal, if it came through that.
    Commanded { command: Command, by: By, control: Option<i64> },
    /// The journal holds an event of the run's own lane that was recorded at `at`.
    Committed { at: Timestamp, event: RunEvent },
    /// A row that was tried is settled.
    RowEnded { turn: Turn, result: TryResult },
    /// No change was sent in the time that the launch had to begin.
    NotBegun,
}

/// Step of a stage, from its turn to its end.
#[derive(Clone, Debug)]
pub(crate) enum StageInput {
    /// The stages before this one have no open rows.
    Due { stage: Stage, at_rest: AtRest, now: Timestamp },
    /// A wait that was ordered is over.
    WaitOver { end: WaitEnd, now: Timestamp },
    /// Answer to [`super::order::StageOrder::Count`].
    Counted { counted: StageCounts, rates: Rates, now: Timestamp },
    /// A stage goes on: asked at its beginning, and whenever that was ordered.
    GoesOn { rates: Rates, now: Timestamp },
    /// A hook that was ordered has ended.
    HookEnded { ran: HookRun, now: Timestamp },
    /// A hook that was ordered was not run, because the run drains.
    HookLeft,
    /// A stage is over, of which so many rows are unsettled, and so many of its whole wave.
    Over { stage: Stage, n_left: u64, n_left_in_wave: u64 },
    /// Another stage is to follow this one, of which rows are left.
    NextDue { behind: Stage, left: LeftOf, is_draining: bool },
}

/// Reason why a wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitEnd {
    TimeCame,
    /// A condition of a wait has changed.
    Woken,
    Draining,
}

/// Counts of the journal that a stage needs before it begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct StageCounts {
    /// Unsettled rows of its wave.
    pub(crate) unsettled: Vec<(LaneId, Part, u64)>,
    /// Rows that this run has moved, if they were asked for.
    pub(crate) changed: Option<Vec<(LaneId, u64)>>,
    /// Results of rows that earlier launches tried; empty if they were not asked for.
    pub(crate) tried_in_stage: Vec<Tried>,
    pub(crate) tried_in_run: Vec<Tried>,
}

impl StageCounts {
    /// Unsettled rows of a part of the wave.
    pub(crate) fn rows_of(&self, part: Part) -> u64 {
        self.unsettled.iter().filter(|(_, of, _)| *of == part).map(|(_, _, n)| n).sum()
    }

    /// Unsettled rows of the wave in one lane.
    pub(crate) fn unsettled_in(&self, lane: LaneId) -> u64 {
        self.unsettled.iter().filter(|(id, _, _)| *id == lane).map(|(_, _, n)| n).sum()
    }

    /// Unsettled rows of a part of the wave in one lane.
    pub(crate) fn rows_in(&self, lane: LaneId, part: Part) -> u64 {
        self.unsettled.iter().filter(|(id, of, _)| *id == lane && *of == part).map(|(_, _, n)| n).sum()
    }
}

/// Rates at an instant, in requests per second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates {
    /// Quota of each lane, where the service stated or showed it.
    pub(crate) believed: HashMap<LaneId, f64>,
    /// Limit that all lanes share, if there is one.
    pub(crate) shared: Option<f64>,
}
