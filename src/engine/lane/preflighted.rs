//! Rows that the preflight of this launch saw, by those that it did not.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::model::RowId;

#[derive(Default)]
pub(crate) struct Preflighted(Mutex<Looks>);

#[derive(Default)]
struct Looks {
    /// Rows that were seen were seen at or after this instant. None: no preflight has begun to look.
    began_at: Option<Instant>,
    /// Rows that could not be looked at, whatever earlier launches saw of them.
    missed: HashSet<RowId>,
}

impl Preflighted {
    pub(crate) fn begin(&self, now: Instant) {
        self.looks().began_at = Some(now);
    }

    pub(crate) fn miss(&self, row: RowId) {
        self.looks().missed.insert(row);
    }

    pub(crate) fn has_missed(&self, row: RowId) -> bool {
        self.looks().missed.contains(&row)
    }

    /// Earliest instant at which the row was seen. None: it was not.
    pub(crate) fn saw_at(&self, row: RowId) -> Option<Instant> {
        let looks = self.looks();
        looks.began_at.filter(|_| !looks.missed.contains(&row))
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
