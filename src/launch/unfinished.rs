//! Unfinished runs of a plan, one of which a launch may take up instead of making another.

use super::planned::PlanToLaunch;
use crate::audit::beforehand::{self, CheckFor};
use crate::console::Console;
use crate::journal::new_run::NewLane;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::verb::error::CommandError;
use crate::wording::amounts::count;
use crate::wording::plain::plain;

/// Choice by the user for unfinished runs of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfinished {
    TakenUp,
    /// With `--new`.
    LeftAsItIs,
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
        unfinished: Unfinished,
    ) -> Result<Self, CommandError> {
        beforehand::runs(journal)?;
        let digest = plan.checked.digest.to_string();
        match unfinished {
            Unfinished::LeftAsItIs => return Ok(Self::default()),
            Unfinished::TakenUp => (),
        }
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
    console.say(&format!(
        "taking up run {} where it stands: {} settled, {} left (--new starts afresh)",
        run.id,
        count(u64::from(run.n_rows).saturating_sub(n_left), "row"),
        n_left
    ));
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
