//! Lock of a run, which its launch holds to the end.

use crate::journal::Journal;
use crate::journal::read::runs::RunRecord;
use crate::lock::{self, Lock, LockError};

/// Takes the lock of a run in this journal.
pub(super) fn lock_of_run(journal: &Journal, run: &RunRecord) -> Result<Lock, LockError> {
    let path = journal.path();
    Lock::take(&lock::of_run(path, &run.id), journal.mode(), &format!("run {}", run.id), path)
}
