//! Holders of runs that have not ended.

use std::path::Path;

use crate::journal::read::runs::RunRecord;
use crate::lock;
use crate::settings::key::ENGINE;

/// State of the lock of a launch that the journal calls running. Only the lock tells: a process that was killed leaves the
/// journal as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Alive,
    Gone,
    /// The launch began on another host, another host may have gone on with the run, or the lock cannot be tested.
    Unknown,
}

impl Holder {
    #[must_use]
    pub fn look_up(journal: &Path, run: &RunRecord) -> Self {
        match lock::is_held(&lock::of_run(journal, &run.id)) {
            Some(true) => Holder::Alive,
            // Locks of another host may be invisible here, and a run with an engine goes on wherever somebody leads it.
            Some(false) if run.host.as_deref() == Some(lock::host().as_str()) && run.settings.get(ENGINE).is_none() => {
                Holder::Gone
            }
            Some(false) | None => Holder::Unknown,
        }
    }
}
