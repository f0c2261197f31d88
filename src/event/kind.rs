//! Subjects of events: a row, a lane, or the run.

use super::lane::LaneEvent;
use super::outcome::Outcome;
use super::row::RowEvent;
use super::run::RunEvent;
use crate::model::RowId;

/// Subject of an event, and what happened to it.
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    Row(RowId, RowEvent),
    Lane(LaneEvent),
    Run(RunEvent),
}

impl EventKind {
    #[must_use]
    pub fn row(&self) -> Option<RowId> {
        match self {
            EventKind::Row(row, _) => Some(*row),
            EventKind::Lane(_) | EventKind::Run(_) => None,
        }
    }

    /// Time from the event on for which nothing may leave in its lane, in milliseconds.
    #[must_use]
    pub fn wait_ms(&self) -> Option<u64> {
        match self {
            EventKind::Lane(LaneEvent::CoolDownBegan { wait_ms, .. }) => Some(*wait_ms),
            EventKind::Row(_, RowEvent::AttemptEnded { outcome: Outcome::Throttled { retry_after_ms, .. }, .. })
            | EventKind::Lane(LaneEvent::ReadThrottled { retry_after_ms, .. }) => *retry_after_ms,
            EventKind::Row(..) | EventKind::Lane(_) | EventKind::Run(_) => None,
        }
    }
}

impl From<LaneEvent> for EventKind {
    fn from(event: LaneEvent) -> Self {
        EventKind::Lane(event)
    }
}

impl From<RunEvent> for EventKind {
    fn from(event: RunEvent) -> Self {
        EventKind::Run(event)
    }
}

impl RowEvent {
    #[must_use]
    pub fn about(self, row: RowId) -> EventKind {
        EventKind::Row(row, self)
    }
}
