//! Proof that a journal was not altered: the chains, their heads, the sums in table `row`, the plan, and the chain of runs.
//!
//! A fault that the journal itself reveals is named by run, lane and first bad sequence number, or by row. A file that was
//! rewritten from end to end is only revealed by an anchor that was kept elsewhere, or by a signature. Memory does not grow with
//! a run.

use crate::journal::chain::Anchor;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};

pub(crate) mod beforehand;
pub mod bundle;
#[cfg(test)]
mod copies;
mod file;
pub mod finding;
mod lanes;
pub mod people;
mod plan;
pub mod result;
pub mod run;
pub mod signature;
mod spelling;
mod succession;
mod sums;
#[cfg(test)]
mod tests;
pub mod told;
mod verdicts;

use file::{check_objects, wrong_with_file};
use finding::{Finding, Findings};
use result::{Altered, Audit, CheckedRun, PrunedRun};
use run::{check, check_at_its_place};

/// Checks one run and the file, and returns the same type as for all runs.
pub fn verify_one(journal: &Journal, run: &RunRecord) -> Result<Audit, JournalError> {
    let mut audit = Audit::of_one(journal, or_damaged(check(journal, run), run)?)?;
    audit.findings.extend(wrong_with_file(journal)?);
    Ok(audit)
}

/// Checks every run as [`run::verify`] does, and the journal as a whole.
pub fn verify_all(journal: &Journal) -> Result<Audit, JournalError> {
    let mut beside = journal.again().ok();
    journal.at_one_instant(|| {
        let mut findings = check_objects(journal)?.kept;
        let mut places = succession::check(journal)?;
        findings.append(&mut places.of_journal);
        findings.extend(wrong_with_file(journal)?);
        let mut runs = Vec::new();
        for run in journal.runs()?.into_iter().rev() {
            let place = places.of_run(run.key);
            runs.push(or_damaged(
                check_at_its_place(journal, beside.as_mut(), &run, (Findings::default(), place)),
                &run,
            )?);
        }
        let mut pruned: Vec<PrunedRun> = journal.tombstones()?.into_iter().map(PrunedRun::new).collect();
        pruned.sort_by_key(|pruned| pruned.tombstone.run.number);
        if runs.is_empty() && pruned.is_empty() && findings.is_empty() {
            return Err(JournalError::NoRuns);
        }
        Ok(Audit { journal: journal.identity()?, runs, pruned, findings })
    })
}

/// Turns content that cannot be read into one more fault of its run, so that the other runs are still checked.
fn or_damaged(checked: Result<CheckedRun, JournalError>, run: &RunRecord) -> Result<CheckedRun, JournalError> {
    match checked {
        Err(error) if error.is_about_content() => Ok(Err(Altered {
            run: run.id.clone(),
            n_events: 0,
            n_rows: 0,
            anchor: Anchor::new(&run.id, []),
            findings: vec![Finding::Damaged { error: error.to_string() }],
            n_findings: 1,
        })),
        checked => checked,
    }
}
