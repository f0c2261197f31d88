//! What each statement that writes has to have done.

use crate::journal::error::JournalError;

/// What was written is there: a statement that succeeds may have changed nothing all the same.
pub(in crate::journal) fn must_be(n_meant: usize, n_written: usize, what: &str) -> Result<(), JournalError> {
    if n_written == n_meant {
        return Ok(());
    }
    Err(JournalError::Damaged(format!("{what}: {n_meant} had to be written, and {n_written} were")))
}
