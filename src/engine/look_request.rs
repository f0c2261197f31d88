//! Requests of rows to be looked at, and the answers of the lane's one reader.

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::model::state::{Fields, SeenState};
use crate::model::{RowId, SourceId};

/// Request to look at a row by a read that leaves at `not_before` or later.
pub(crate) struct LookRequest {
    pub(crate) row: RowId,
    pub(crate) source: SourceId,
    /// Fields that the look must show; without one of them it is a failed look.
    pub(crate) needs: Fields,
    /// Page of the list on which the row was last seen. `None` if it was seen on no page yet.
    pub(crate) page: Option<u32>,
    pub(crate) not_before: Instant,
    pub(crate) urgency: Urgency,
    pub(crate) requested_at: Instant,
    pub(crate) answer: oneshot::Sender<LookAnswer>,
}

/// Urgency of a look, once it may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// At once.
    Prompt,
    /// At once, and by its page where that costs the same: others of that page are about to be looked at, too.
    PromptWithItsPage,
    /// Later, together with others, when one read shows many of them.
    Patient,
}

/// Answer to a request to look.
#[derive(Debug)]
pub(crate) enum LookAnswer {
    /// State of the row, by a read that left at `left_at`; `None` if the service, asked by id, does not know the source.
    Seen { seen: Option<SeenState>, left_at: Instant },
    /// No read succeeded, and nothing was learned.
    Failed { cause: String },
}
