//! Holds a journal against itself before anybody goes on with a run of it: what a launch would believe is what the run began
//! with, and where its events left it. No request leaves before.

use std::panic;
use std::thread;

use super::{
    Altered, AuditError, Findings, check_layout, check_objects, check_plan, lanes, spelling, succession, verdicts,
    verify,
};
use crate::journal::read::RunRecord;
use crate::journal::{Journal, JournalError};

/// Events and rows up to which everything is checked that can be: a quarter of a second.
const SMALL: u64 = 200_000;

/// Part of a run that is held against what it began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// All that a launch believes.
    Launch,
    /// Checks for a command to a launch: its rows are the launch's matter.
    Command,
}

/// Every run is as it began: its record, where it goes, and its place among the others.
pub(crate) fn runs(journal: &Journal) -> Result<(), AuditError> {
    journal.at_one_instant(|| {
        let mut places = succession::check(journal)?;
        if let Some(finding) = places.of_journal.first() {
            return Err(JournalError::Damaged(finding.to_string()).into());
        }
        for run in journal.runs()? {
            let mut findings = Findings::default();
            lanes::check_beginning(journal, &run, &mut findings)?;
            for finding in places.of_run(run.key).findings {
                findings.add(finding);
            }
            none_of(journal, &run, findings)?;
        }
        Ok(())
    })
}

/// A run that we end ourselves, of which nothing is left to do, whatever its size: what is told of it then is the end of it.
pub(crate) fn run_to_close(journal: &Journal, run: &RunRecord) -> Result<(), AuditError> {
    journal.check_asked_indexes(run.key)?;
    verify(journal, run).map(drop)
}

/// The run that somebody is about to go on with. A small one is verified whole. Of a large one that would take many seconds: its
/// own events, the ends of its chains, its plan, its layout and its verdicts are checked. What else is stored of a row is held
/// against its events as the launch takes the row in hand, and the rest is left to `audit verify`. What is asked of its rows by an
/// index is what there is, whatever its size.
pub(crate) fn run(journal: &Journal, run: &RunRecord, of: Of) -> Result<(), AuditError> {
    journal.check_asked_indexes(run.key)?;
    let n_events: u64 = journal.heads(run.key)?.iter().map(|(_, seq, _)| seq).sum();
    if n_events.saturating_add(run.n_rows.into()) <= SMALL {
        return verify(journal, run).map(drop);
    }
    large_run(journal, run, of)
}

/// Runs that somebody is about to pass over for what their rows and records say. That they are finished, or older than the one
/// that is meant, is held against their events as all that a launch believes.
pub(crate) fn passed_over<'a>(
    journal: &Journal,
    runs: impl IntoIterator<Item = &'a RunRecord>,
) -> Result<(), AuditError> {
    runs.into_iter().try_for_each(|passed| run(journal, passed, Of::Launch))
}

pub(super) fn large_run(journal: &Journal, run: &RunRecord, of: Of) -> Result<(), AuditError> {
    let beside = [journal.again(), journal.again()];
    journal.at_one_instant(|| {
        let run = journal.run(run.key)?;
        let mut findings = check_objects(journal)?;
        let layout = lanes::check_ends(journal, &run, &mut findings)?;
        match of {
            Of::Launch => {
                findings.append(check_rows(journal, beside, &run, layout)?);
                spelling::check(journal, &run, &mut findings)?;
            }
            Of::Command => (),
        }
        none_of(journal, &run, findings)
    })
}

/// Verdicts, plan and layout side by side: each reads every row. Plan and layout are the same at every instant.
fn check_rows(
    journal: &Journal,
    beside: [Result<Journal, JournalError>; 2],
    run: &RunRecord,
    layout: Option<String>,
) -> Result<Findings, JournalError> {
    let [of_plan, of_layout] = beside;
    let mut findings = Findings::default();
    let beside = thread::scope(|scope| {
        let plan = scope.spawn(|| {
            let mut findings = Findings::default();
            check_plan(&of_plan?, run, &mut findings).map(|_| findings)
        });
        let layout = scope.spawn(|| {
            let mut findings = Findings::default();
            check_layout(&of_layout?, run, layout, &mut findings).map(|()| findings)
        });
        verdicts::check(journal, run, &mut findings)?;
        [plan, layout]
            .into_iter()
            .map(|beside| beside.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
            .collect::<Result<Vec<_>, _>>()
    })?;
    for found in beside {
        findings.append(found);
    }
    Ok(findings)
}

fn none_of(journal: &Journal, run: &RunRecord, findings: Findings) -> Result<(), AuditError> {
    let Findings { kept, n_found } = findings;
    if kept.is_empty() {
        return Ok(());
    }
    let n_events = journal.heads(run.key)?.iter().map(|(_, seq, _)| seq).sum();
    let (anchor, run, n_rows) = (journal.anchor(run)?, run.id.clone(), run.n_rows.into());
    Err(AuditError::Altered(Altered { run, n_events, n_rows, anchor, findings: kept, n_findings: n_found }))
}
