//! `rehearse` runs the plan against the sandbox, on a clock that skips idle time. The sandbox is in this process and is called without
//! a network, so that no request can reach a service.

use std::collections::HashMap;

use crate::exit::Exit;
use crate::journal::JournalError;
use crate::launch::approvals::missing_approvals;
use crate::launch::open::LaunchedApart;
use crate::launch::planned::PlanToLaunch;
use crate::launch::ready::Ready;
use crate::launch::request::{Consent, LaunchRequest};
use crate::model::SourceId;
use crate::model::state::SeenState;
use crate::rehearsal::{Rehearsal, Rehearsed};
use crate::report::document::document;
use crate::settings::flags::arguments::PlanArgs;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, whole_text};
use crate::verb::results::{print, print_json};

pub(super) fn rehearse(context: &Context, args: &PlanArgs, from_live: bool) -> Result<Exit, CommandError> {
    let request = LaunchRequest::new("rehearse", Consent::Asked { yes: true, irreversible: true });
    let plan = PlanToLaunch::read(context, args)?;
    if plan.is_empty() {
        return plan.nothing_to_do("");
    }
    let live = from_live.then(|| live_states(&plan)).transpose()?;
    let launched = Ready::to_rehearse(&plan, request, live.as_ref())?.open_rehearsal(live)?.launch()?;
    let rehearsal = rehearsal_of(&plan, &launched, from_live)?;
    if context.console.json {
        print_json(|out| document(&rehearsal, out))?;
    } else if !context.console.quiet {
        print(|out| Ok(rehearsal.write_text(out)?))?;
    }
    if context.console.quiet && launched.exit != Exit::Done {
        let hint = format!("`{}` shows when what happens", context.here.rehearses(plan.path(), from_live));
        context.console.fail(&rehearsal.in_one_line(), &[], Some(&hint));
    }
    Ok(launched.exit)
}

fn rehearsal_of(plan: &PlanToLaunch<'_>, launched: &LaunchedApart, from_live: bool) -> Result<Rehearsal, CommandError> {
    let journal = launched.journal()?;
    let run = journal.run(launched.run.key)?;
    let (scenario, refused) = (&launched.scenario, refusals(plan));
    let rehearsed = Rehearsed { scenario, from_live, exit: launched.exit, refused };
    Ok(Rehearsal::from_journal(&journal, &run, &plan.checked.terms, rehearsed)?)
}

/// Reason for which `run` would refuse the plan for want of approvals; empty when it has those that it needs.
fn refusals(plan: &PlanToLaunch<'_>) -> Vec<String> {
    let missing = missing_approvals(&plan.context, &plan.paper(), plan.path());
    let refusal = missing.map_or_else(|error| Some(whole_text(&error)), |missing| missing.map(|it| it.to_string()));
    refusal.into_iter().collect()
}

/// States in which the plan's servers are now; only reads are sent.
fn live_states(plan: &PlanToLaunch<'_>) -> Result<HashMap<SourceId, SeenState>, CommandError> {
    let request = LaunchRequest::new("rehearse", Consent::OnlyLooked);
    let launched = Ready::to_look(plan, request)?.open_apart()?.launch()?;
    if launched.exit != Exit::Done {
        return Err(CommandError::NotLooked { exit: launched.exit, reason: launched.reason.unwrap_or_default() });
    }
    let journal = launched.journal()?;
    let mut seen = HashMap::new();
    journal.for_each_row(launched.run.key, |row, standing| {
        if let Some(state) = standing.before {
            seen.insert(row.source_id, state);
        }
        Ok::<(), JournalError>(())
    })?;
    Ok(seen)
}
