//! Check of the file: its schema, its indexes and its end.

use super::finding::{Finding, Findings};
use crate::journal::{Journal, JournalError};

/// Compares the schema, object by object, with what its version creates.
pub(super) fn check_objects(journal: &Journal) -> Result<Findings, JournalError> {
    let mut findings = Findings::default();
    for difference in journal.foreign_objects()? {
        findings.add(Finding::of_object(difference));
    }
    Ok(findings)
}

/// Finds faults of the file that reading its tables does not reveal: entries that an index misses, and bytes behind its end.
pub(super) fn wrong_with_file(journal: &Journal) -> Result<Vec<Finding>, JournalError> {
    let mut findings = Vec::new();
    for checked in [journal.check_indexes(), journal.check_end()] {
        match checked {
            Ok(()) => (),
            Err(JournalError::Damaged(error)) => findings.push(Finding::Damaged { error }),
            Err(error) => return Err(error),
        }
    }
    Ok(findings)
}
