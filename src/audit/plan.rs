//! Check of the rows against the plan that the run was made from, and of their places in it.

use super::finding::{Finding, Findings};
use crate::digest::Digester;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::plan::paper::Paper;

/// Checks that the rows are those that the run was made from.
pub(super) fn check_plan(journal: &Journal, run: &RunRecord, findings: &mut Findings) -> Result<u64, JournalError> {
    let mut digester = Digester::new();
    let mut n_rows = 0;
    journal.for_each_planned_row(run.key, |row| {
        n_rows += 1;
        digester.row(row);
    })?;
    if n_rows != u64::from(run.n_rows) {
        findings.add(Finding::RowsMissing { expected: run.n_rows.into(), found: n_rows });
    }
    // Terms that cannot be read mean an altered run: the digest differs then.
    let Paper { terms, seal } = Paper::of_settings(&run.settings).unwrap_or_default();
    digester.terms(&terms);
    let found = digester.finish().to_string();
    if found != run.plan_digest {
        findings.add(Finding::DigestDiffers { expected: run.plan_digest.clone(), found });
    }
    if let Some(problem) = seal.and_then(|seal| seal.problem(&run.plan_digest)) {
        findings.add(Finding::SealDiffers { problem });
    }
    Ok(n_rows)
}

/// Compares the places of rows in plan, lanes and waves with those that the run began with. Earlier versions did not record them.
pub(super) fn check_layout(
    journal: &Journal,
    run: &RunRecord,
    expected: Option<String>,
    findings: &mut Findings,
) -> Result<(), JournalError> {
    let Some(expected) = expected else { return Ok(()) };
    let found = journal.layout(run.key)?;
    if found != expected {
        findings.add(Finding::LayoutDiffers { expected, found });
    }
    Ok(())
}
