//! Rows of a lane that are still to come, and those that were tried.

use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct ToDo {
    /// Unsettled rows that are not queued yet; `u64::MAX` until they are counted.
    n_to_come: AtomicU64,
    /// Rows that were tried and are settled.
    n_tried: AtomicU64,
}

impl Default for ToDo {
    fn default() -> Self {
        Self { n_to_come: AtomicU64::new(u64::MAX), n_tried: AtomicU64::new(0) }
    }
}

impl ToDo {
    pub(crate) fn count(&self, n_rows: u64) {
        self.n_to_come.store(n_rows, Ordering::Relaxed);
    }

    /// Takes one row out of those to come. The number stays at zero where more came than were counted.
    pub(crate) fn queued_one(&self) {
        self.n_to_come.update(Ordering::Relaxed, Ordering::Relaxed, |n| n.saturating_sub(1));
    }

    pub(crate) fn n_to_come(&self) -> u64 {
        self.n_to_come.load(Ordering::Relaxed)
    }

    pub(crate) fn tried_one(&self) {
        self.n_tried.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn n_tried(&self) -> u64 {
        self.n_tried.load(Ordering::Relaxed)
    }
}
