//! Check of the number of entries that a statement wrote.

use crate::journal::error::JournalError;

/// Fails unless a statement wrote as many entries as meant: one that succeeds may have changed nothing all the same.
pub(in crate::journal) fn must_be(n_meant: usize, n_written: usize, what: &str) -> Result<(), JournalError> {
    if n_written == n_meant {
        return Ok(());
    }
    Err(JournalError::Damaged(format!("{what}: {n_meant} had to be written, and {n_written} were")))
}
