//! Checks of a journal before anybody goes on with a run of it: what a launch will rely on has to be what the run began with and
//! where its events left it. No request leaves before.

use std::panic;
use std::thread;

use super::file::check_objects;
use super::finding::Findings;
use super::plan::{check_layout, check_plan};
use super::result::{Altered, AuditError};
use super::run::verify;
use super::{lanes, spelling, succession, verdicts};
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};

/// Most events and rows of a run that is checked completely, which takes a quarter of a second.
const SMALL: u64 = 200_000;

/// Purpose of a check, which decides how much of a run is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckFor {
    /// A launch: everything that it relies on.
    Launch,
    /// A command to a launch: everything but the rows, which only the launch uses.
    Command,
}

/// Checks that every run is as it began: its record, its endpoints and accounts, and its place among the others.
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

/// Checks a run that this program ends itself because nothing is left to do, completely whatever its size: the end is recorded
/// from what its rows say.
pub(crate) fn run_to_close(journal: &Journal, run: &RunRecord) -> Result<(), AuditError> {
    journal.check_asked_indexes(run.key)?;
    verify(journal, run).map(drop)
}

/// Checks a run that somebody is about to go on with. A small one is checked completely. A large one would take many seconds:
/// only its own events, the ends of its chains, its plan, its layout and its verdicts are checked. Other stored values of a row
/// are compared with its events when the launch takes up the row, and the rest is left to `audit verify`. The indexes by which
/// rows are looked up are checked whatever its size.
pub(crate) fn run(journal: &Journal, run: &RunRecord, of: CheckFor) -> Result<(), AuditError> {
    journal.check_asked_indexes(run.key)?;
    let n_events: u64 = journal.heads(run.key)?.iter().map(|(_, seq, _)| seq).sum();
    if n_events.saturating_add(run.n_rows.into()) <= SMALL {
        return verify(journal, run).map(drop);
    }
    large_run(journal, run, of)
}

/// Checks runs that are about to be passed over because their rows and records say that they are finished, or older than the run
/// that is meant. They are checked like a run that a launch goes on with.
pub(crate) fn passed_over<'a>(
    journal: &Journal,
    runs: impl IntoIterator<Item = &'a RunRecord>,
) -> Result<(), AuditError> {
    runs.into_iter().try_for_each(|passed| run(journal, passed, CheckFor::Launch))
}

pub(super) fn large_run(journal: &Journal, run: &RunRecord, of: CheckFor) -> Result<(), AuditError> {
    let beside = [journal.again(), journal.again()];
    journal.at_one_instant(|| {
        let run = journal.run(run.key)?;
        let mut findings = check_objects(journal)?;
        let layout = lanes::check_ends(journal, &run, &mut findings)?;
        match of {
            CheckFor::Launch => {
                findings.append(check_rows(journal, beside, &run, layout)?);
                spelling::check(journal, &run, &mut findings)?;
            }
            CheckFor::Command => (),
        }
        none_of(journal, &run, findings)
    })
}

/// Checks verdicts, plan and layout in parallel: each reads every row. Plan and layout never change, so that other connections
/// may read them at another instant.
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
