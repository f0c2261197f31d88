//! Rows that the preflight of this launch saw: all but those that it noted as missed.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::model::RowId;

#[derive(Default)]
pub(crate) struct Preflighted(Mutex<Looks>);

#[derive(Default)]
struct Looks {
    /// Instant before which no row was seen; `None` until preflight begins to look.
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

    /// Earliest instant at which the row was seen; `None` if it was not.
    pub(crate) fn saw_at(&self, row: RowId) -> Option<Instant> {
        let looks = self.looks();
        looks.began_at.filter(|_| !looks.missed.contains(&row))
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
