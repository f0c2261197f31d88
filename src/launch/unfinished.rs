//! Unfinished runs of a plan, one of which a launch may take up instead of making another.

use super::planned::PlanToLaunch;
use super::run_key::RunOfKey;
use crate::audit::beforehand::{self, CheckFor};
use crate::console::Console;
use crate::journal::new_run::NewLane;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError, RunKey};
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::wording::amounts::count;
use crate::wording::plain::plain;

/// Choice by the user for unfinished runs of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfinished {
    TakenUp,
    /// With `--new`.
    LeftAsItIs,
    /// Only the run with this key is taken up.
    OfKey(String),
}

impl Unfinished {
    /// Key of the run.
    pub(super) fn run_key(&self) -> Option<&str> {
        match self {
            Unfinished::OfKey(run_key) => Some(run_key),
            Unfinished::TakenUp | Unfinished::LeftAsItIs => None,
        }
    }
}

/// Unfinished runs of a plan, the latest of each kind.
#[derive(Default)]
pub(super) struct RunsOfPlan {
    pub(super) to_take_up: Option<RunRecord>,
    /// Run of another sealing of the plan, with other states and approvals.
    sealed_otherwise: Option<RunRecord>,
    /// Run without events: nothing proves that its rows are those of the plan.
    unrecorded: Option<RunRecord>,
}

impl RunsOfPlan {
    /// Finds them. Everything that the choice depends on is compared with its events; an edit is an error.
    pub(super) fn find(
        journal: &Journal,
        plan: &PlanToLaunch<'_>,
        lanes: &[NewLane],
        unfinished: &Unfinished,
    ) -> Result<Self, CommandError> {
        beforehand::runs(journal)?;
        match unfinished {
            Unfinished::LeftAsItIs => Ok(Self::default()),
            Unfinished::OfKey(run_key) => Self::of_key(journal, plan, lanes, run_key),
            Unfinished::TakenUp => Self::of_plan(journal, plan, lanes),
        }
    }

    fn of_key(
        journal: &Journal,
        plan: &PlanToLaunch<'_>,
        lanes: &[NewLane],
        run_key: &str,
    ) -> Result<Self, CommandError> {
        let run = match RunOfKey::find(journal, run_key, &plan.checked, lanes)? {
            RunOfKey::GoesOn(run) | RunOfKey::HasEnded(run, _) => run,
            RunOfKey::Free | RunOfKey::WasPruned(..) => return Ok(Self::default()),
        };
        beforehand::run(journal, &run, CheckFor::Launch)?;
        Ok(Self { to_take_up: Some(run), ..Self::default() })
    }

    fn of_plan(journal: &Journal, plan: &PlanToLaunch<'_>, lanes: &[NewLane]) -> Result<Self, CommandError> {
        let digest = plan.checked.digest.to_string();
        let sealing = plan.checked.seal.as_ref().map(|seal| seal.digest.as_str());
        let mut found = Self::default();
        for run in journal.unfinished(&digest, lanes)? {
            let kind = if journal.is_unrecorded(run.key)? {
                &mut found.unrecorded
            } else if run.sealing() == sealing {
                &mut found.to_take_up
            } else {
                &mut found.sealed_otherwise
            };
            kind.get_or_insert(run);
        }
        let of_plan = journal.of_plan(&digest, lanes)?;
        beforehand::passed_over(journal, passed_over(&of_plan, found.to_take_up.as_ref()))?;
        if let Some(run) = &found.to_take_up {
            beforehand::run(journal, run, CheckFor::Launch)?;
        }
        Ok(found)
    }

    pub(super) fn tell_of_those_left(&self, console: Console) {
        if let Some(run) = &self.sealed_otherwise {
            console.say(&format!("run {} of this plan is unfinished and was sealed otherwise: left as it is", run.id));
        }
        if let Some(run) = &self.unrecorded {
            console.say(&format!(
                "nothing is recorded of run {} of this plan, not even that it began: left as it is",
                plain(&run.id)
            ));
        }
    }
}

pub(super) fn tell_taken_up(console: Console, journal: &Journal, run: &RunRecord) -> Result<(), JournalError> {
    let n_left = journal.count_unsettled(run.key)?;
    let (run_key, afresh) = match &run.run_key {
        Some(run_key) => (format!(" (key `{}`)", plain(run_key)), ""),
        None => (String::new(), " (--new starts afresh)"),
    };
    console.say(&format!(
        "taking up run {}{run_key} where it stands: {} settled, {} left{afresh}",
        run.id,
        count(u64::from(run.n_rows).saturating_sub(n_left), "row"),
        n_left
    ));
    Ok(())
}

/// Tells of other runs of the same accounts that have rows left, such as that of the night before: on one line, whatever their number.
pub(super) fn tell_of_others(
    context: &Context,
    journal: &Journal,
    lanes: &[NewLane],
    run: RunKey,
) -> Result<(), JournalError> {
    let others = journal.others_unfinished(lanes, run)?;
    let shows = context.here.reads("runs --unfinished");
    match &others[..] {
        [] => (),
        [one] => context.console.say(&format!("run {one} of the same target is unfinished: `{shows}` shows it")),
        [newest, ..] => context.console.say(&format!(
            "{} of the same target are unfinished, of which {newest} is the newest: `{shows}` shows them",
            count(others.len() as u64, "other run")
        )),
    }
    Ok(())
}

/// Runs of a plan, newest first, on which the choice depends: those newer than the one that is taken up, or the latest if none is.
fn passed_over<'a>(of_plan: &'a [RunRecord], taken_up: Option<&RunRecord>) -> &'a [RunRecord] {
    let n = match taken_up {
        Some(taken_up) => of_plan.iter().take_while(|run| run.key.number() > taken_up.key.number()).count(),
        None => of_plan.len().min(1),
    };
    &of_plan[..n]
}
