//! What passes between a row that wants to be seen and the lane's one reader.

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::model::{RowId, SeenState, SourceId};

/// A row that wants to be seen, by a request that leaves at `not_before` or later.
pub(crate) struct Ask {
    pub(crate) row: RowId,
    pub(crate) source: SourceId,
    /// The page of the list on which it was last seen; none: somewhere.
    pub(crate) page: Option<u32>,
    pub(crate) not_before: Instant,
    /// It may be seen at once, and waits until that costs little.
    pub(crate) patient: bool,
    pub(crate) asked_at: Instant,
    pub(crate) answer: oneshot::Sender<Sight>,
}

/// What came of an ask.
#[derive(Debug)]
pub(crate) enum Sight {
    /// None: asked for by id, and the service does not know it.
    Seen { seen: Option<SeenState>, left_at: Instant },
    /// Nothing was learned.
    Failed { cause: String },
    /// The service will not show this source, for good.
    Refused { cause: String },
}
