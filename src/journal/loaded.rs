//! State that a batch of events is checked against and changes.

use std::collections::BTreeMap;

use super::stamped::LaneHead;
use crate::event::lane::LaneId;
use crate::ledger::standing::Standing;
use crate::model::RowId;

/// Heads of the lanes and standings of the rows of a batch, brought up to date event by event. Standings are boxed, because they are
/// large and are moved often.
#[derive(Default)]
pub(crate) struct Loaded {
    pub(crate) heads: BTreeMap<LaneId, LaneHead>,
    pub(crate) standings: BTreeMap<RowId, Box<Standing>>,
}
