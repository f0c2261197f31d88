//! What a batch of events stands on.

use std::collections::BTreeMap;

use super::stamped::LaneHead;
use crate::event::lane::LaneId;
use crate::ledger::standing::Standing;
use crate::model::RowId;

/// Values that the events of a batch are held against: the heads of their lanes and the standings of their rows. Standings are boxed, for they
/// are large and are moved often.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) heads: BTreeMap<LaneId, LaneHead>,
    pub(crate) standings: BTreeMap<RowId, Box<Standing>>,
}
