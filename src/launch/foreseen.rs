//! Run that a launch would make or go on with, told before there is one. Nothing is locked, and nothing is written.

use super::accounts::account::Account;
use super::planned::PlanToLaunch;
use super::ready::Ready;
use super::run_key::RunOfKey;
use super::unfinished::{RunsOfPlan, Unfinished};
use crate::audit::beforehand::{self, CheckFor};
use crate::exit::Exit;
use crate::journal::new_run::NewLane;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::verb::error::CommandError;
use crate::verb::meant;
use crate::wording::amounts::count;
use crate::wording::plain::plain;

/// Effect that a launch would have. In words.
pub(crate) enum Foreseen {
    /// Send what is to be changed.
    Sends(String),
    /// Send nothing, because the run of its key has ended.
    SendsNothing(String),
}

impl PlanToLaunch<'_> {
    /// Refuses a plan without rows under the key of a run: no run is made of such a plan, so that the key is one of another.
    pub(crate) fn must_fit_key(&self, unfinished: &Unfinished) -> Result<(), CommandError> {
        if let (Some(run_key), Some(journal)) = (unfinished.run_key(), journal_of(self)?) {
            RunOfKey::find(&journal, run_key, &self.checked, &[])?;
        }
        Ok(())
    }
}

impl Ready<&PlanToLaunch<'_>> {
    /// Foresees a launch of this plan, with the journal checked as that would check it.
    pub(crate) fn foresee(&self, unfinished: &Unfinished) -> Result<Foreseen, CommandError> {
        let (plan, accounts) = self.parts();
        let lanes: Vec<NewLane> = accounts.iter().map(Account::lane).collect();
        let Some(journal) = journal_of(plan)? else { return Ok(Foreseen::Sends(makes_one(unfinished))) };
        let Some(run_key) = unfinished.run_key() else {
            let run = RunsOfPlan::find(&journal, plan, &lanes, unfinished)?.to_take_up;
            let told = run.map(|run| Ok(format!("a launch goes on with {}", told(&journal, &run)?)));
            return Ok(Foreseen::Sends(told.unwrap_or_else(|| Ok::<_, JournalError>(makes_one(unfinished)))?));
        };
        beforehand::runs(&journal)?;
        let key = plain(run_key);
        let ends = |exit: Exit| {
            format!("a launch with the key `{key}` sends nothing and ends with {} ({})", exit.code(), exit.name())
        };
        match RunOfKey::find(&journal, run_key, &plan.checked, &lanes)? {
            RunOfKey::Free => Ok(Foreseen::Sends(makes_one(unfinished))),
            RunOfKey::GoesOn(run) => {
                beforehand::run(&journal, &run, CheckFor::Launch)?;
                Ok(Foreseen::Sends(format!("a launch with the key `{key}` goes on with {}", told(&journal, &run)?)))
            }
            RunOfKey::HasEnded(run, exit) => {
                beforehand::run(&journal, &run, CheckFor::Launch)?;
                Ok(Foreseen::SendsNothing(format!("run {} of this key has ended: {}", plain(&run.id), ends(exit))))
            }
            RunOfKey::WasPruned(tombstone, exit) => {
                Ok(Foreseen::SendsNothing(format!("{}: {}", JournalError::Pruned(tombstone), ends(exit))))
            }
        }
    }
}

/// Opens the journal of a launch to read; `None` if there is none yet.
fn journal_of(plan: &PlanToLaunch<'_>) -> Result<Option<Journal>, JournalError> {
    match Journal::open_to_read(&plan.context.settings.journal) {
        Ok(journal) => Ok(Some(journal)),
        Err(JournalError::Absent(_) | JournalError::NoRuns) => Ok(None),
        Err(error) => Err(error),
    }
}

fn makes_one(unfinished: &Unfinished) -> String {
    let key =
        unfinished.run_key().map_or_else(String::new, |key| format!(" with the key `{}`, which is free,", plain(key)));
    format!("a launch{key} makes a new run")
}

/// Names a run with its rows, and says that another launch holds it.
fn told(journal: &Journal, run: &RunRecord) -> Result<String, JournalError> {
    let n_left = journal.count_unsettled(run.key)?;
    let settled = count(u64::from(run.n_rows).saturating_sub(n_left), "row");
    let held = if meant::goes_on(journal.path(), run) { "; another launch holds it now" } else { "" };
    Ok(format!("run {}: {settled} settled, which stay as they are, {n_left} left{held}", plain(&run.id)))
}
