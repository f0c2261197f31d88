//! News of rows that wait: reads that were made for other rows showed them in another state than the one that was seen of them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::RowId;

/// Reason to look again at a row that was looked at already, from reads that were made for other rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Another state than the one that was seen of it.
    Moved,
    /// Two states on two pages, so that nothing is known.
    Contradicted,
    /// The target, of a row in doubt.
    OnTarget,
}

impl News {
    pub(crate) fn cause(self) -> &'static str {
        match self {
            News::Moved => "somebody else moved it before it was sent",
            News::OnTarget => "it was seen on target before it was sent",
            News::Contradicted => "the service showed it in two states at once before it was sent",
        }
    }
}

/// News that no call has taken yet. Bounded by the rows of the plan that somebody else moves.
#[derive(Default)]
pub(crate) struct NewsOfRows(Mutex<HashMap<RowId, News>>);

impl NewsOfRows {
    /// Takes the news of a row, so that it is looked at again once.
    pub(crate) fn take(&self, row: RowId) -> Option<News> {
        self.news().remove(&row)
    }

    /// Adds the youngest news of rows in the place of what was there.
    pub(crate) fn add(&self, all: impl IntoIterator<Item = (RowId, News)>) {
        self.news().extend(all);
    }

    fn news(&self) -> MutexGuard<'_, HashMap<RowId, News>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
