//! What passes between a row that wants to be seen and the lane's one reader.

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::model::{Fields, RowId, SeenState, SourceId};

/// A row that wants to be seen, by a request that leaves at `not_before` or later.
pub(crate) struct Ask {
    pub(crate) row: RowId,
    pub(crate) source: SourceId,
    /// What the look must show; without it, it is a failed one.
    pub(crate) needs: Fields,
    /// The page of the list on which it was last seen; none: somewhere.
    pub(crate) page: Option<u32>,
    pub(crate) not_before: Instant,
    /// It may be seen at once, and waits until that costs little.
    pub(crate) patient: bool,
    /// Others of its page wait to be seen soon, too: a page is worth more than this one row.
    pub(crate) for_others: bool,
    pub(crate) asked_at: Instant,
    pub(crate) answer: oneshot::Sender<Sight>,
}

/// When a look is made, and at what cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    pub(crate) not_before: Instant,
    pub(crate) patient: bool,
    pub(crate) for_others: bool,
}

impl How {
    /// As soon as it may be.
    pub(crate) fn from(not_before: Instant) -> Self {
        Self { not_before, patient: false, for_others: false }
    }
}

/// What came of an ask.
#[derive(Debug)]
pub(crate) enum Sight {
    /// None: asked for by id, and the service does not know it.
    Seen { seen: Option<SeenState>, left_at: Instant },
    /// Nothing was learned.
    Failed { cause: String },
}
