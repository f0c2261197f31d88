//! Holders of runs that have not ended.

use std::path::Path;

use crate::journal::read::RunRecord;
use crate::lock;

/// Whether the launch that the journal calls running holds its lock: the journal cannot know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Alive,
    Gone,
    /// It began on another host, or the lock cannot be asked.
    Unknown,
}

impl Holder {
    #[must_use]
    pub fn of(journal: &Path, run: &RunRecord) -> Self {
        match lock::is_held(&lock::of_run(journal, &run.id)) {
            Some(true) => Holder::Alive,
            // Locks of another host need not be seen here.
            Some(false) if run.host.as_deref() == Some(lock::host().as_str()) => Holder::Gone,
            Some(false) | None => Holder::Unknown,
        }
    }
}
