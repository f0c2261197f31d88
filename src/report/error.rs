//! Reasons for which a report cannot be written.

use std::io;

use crate::journal::JournalError;

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("could not write the report")]
    Write(#[from] io::Error),
}
