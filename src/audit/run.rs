//! Check of one run: everything that the journal itself can prove of it.

use std::panic;
use std::thread;

use super::file::check_objects;
use super::finding::Findings;
use super::people::People;
use super::plan::{check_layout, check_plan};
use super::result::{Altered, AuditError, CheckedRun, ProvenBy, Verified};
use super::sums::{self, Portions};
use super::{lanes, spelling, succession};
use crate::event::lane::LaneId;
use crate::journal::chain::{Anchor, Hash};
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};

/// Checks everything that the journal itself can prove of a run, and fails where it was altered.
pub fn verify(journal: &Journal, run: &RunRecord) -> Result<Verified, AuditError> {
    check(journal, run)?.map_err(AuditError::Altered)
}

/// Checks a run in one consistent read.
pub(super) fn check(journal: &Journal, run: &RunRecord) -> Result<CheckedRun, JournalError> {
    // Opened before the read begins, so that little can be written before the second connection begins its own.
    let mut beside = journal.again().ok();
    journal.at_one_instant(|| {
        let objects = check_objects(journal)?;
        let place = succession::check(journal)?.of_run(run.key);
        check_at_its_place(journal, beside.as_mut(), &journal.run(run.key)?, (objects, place))
    })
}

/// Checks a run whose objects and place were checked before. Chains go lane by lane and sums row by row, each through the whole
/// journal: in parallel, on a connection each. The thread that has finished the chains helps with the sums, which take longer.
pub(super) fn check_at_its_place(
    journal: &Journal,
    beside: Option<&mut Journal>,
    run: &RunRecord,
    (objects, place): (Findings, succession::PlaceOfRun),
) -> Result<CheckedRun, JournalError> {
    let heads = journal.heads(run.key)?;
    let portions = Portions::new(journal, run)?;
    let mut findings = objects;
    let RunCounts { findings: of_run, n_events, n_rows } = thread::scope(|scope| {
        let (heads, portions) = (&heads, &portions);
        let sums = beside.map(|beside| scope.spawn(move || sums_beside(beside, run, heads, portions)));
        checked(journal, run, || {
            let mut found = sums::check(journal, run, portions)?;
            if let Some(sums) = sums {
                found.extend(sums.join().unwrap_or_else(|panic| panic::resume_unwind(panic))?);
            }
            found.sort_by_key(|(portion, _)| *portion);
            let mut findings = Findings::default();
            for (_, of_portion) in found {
                findings.append(of_portion);
            }
            Ok(findings)
        })
    })?;
    findings.append(of_run);
    for finding in place.findings {
        findings.add(finding);
    }
    let anchor = Anchor::new(&run.id, heads);
    let Findings { kept, n_found } = findings;
    if kept.is_empty() {
        let (proven_by, after, people) = (ProvenBy::Itself, place.after, People::from_journal(journal, run)?);
        let run = run.id.clone();
        return Ok(Ok(Verified {
            run,
            n_events,
            n_rows,
            anchor,
            proven_by,
            signed_by: None,
            bundle: None,
            after,
            people,
        }));
    }
    let run = run.id.clone();
    Ok(Err(Altered { run, n_events, n_rows, anchor, findings: kept, n_findings: n_found }))
}

struct RunCounts {
    findings: Findings,
    n_events: u64,
    n_rows: u64,
}

fn checked(
    journal: &Journal,
    run: &RunRecord,
    sums: impl FnOnce() -> Result<Findings, JournalError>,
) -> Result<RunCounts, JournalError> {
    let mut findings = Findings::default();
    let (n_events, layout) = lanes::check(journal, run, &mut findings)?;
    let mut of_plan = Findings::default();
    let n_rows = check_plan(journal, run, &mut of_plan).and_then(|n_rows| {
        check_layout(journal, run, layout, &mut of_plan)?;
        spelling::check(journal, run, &mut of_plan)?;
        Ok(n_rows)
    });
    // Faults of rows come before faults of the plan.
    findings.append(sums()?);
    findings.append(of_plan);
    Ok(RunCounts { findings, n_events, n_rows: n_rows? })
}

/// Checks the sums on a second connection. Returns nothing if that reads another instant, which its heads show.
pub(super) fn sums_beside(
    beside: &Journal,
    run: &RunRecord,
    heads: &[(LaneId, u64, Hash)],
    portions: &Portions,
) -> Result<Vec<(u32, Findings)>, JournalError> {
    beside.at_one_instant(|| {
        if beside.heads(run.key).is_ok_and(|found| found == heads) {
            return sums::check(beside, run, portions);
        }
        Ok(Vec::new())
    })
}
