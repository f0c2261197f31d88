//! `rehearse`: the real engine with the real plan against the sandbox, on a clock that jumps over what nobody does
//! anything in. Requests go to a sandbox inside the process, over no wire: nothing of it can reach a service.

use std::collections::HashMap;

use jiff::Timestamp;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::accounts::{self, Account, runtime};
use super::carry::{Carried, Carry, Consent};
use super::{Given, Launch, carry_of, make_run, must_be_approved, under};
use crate::clock::Clock;
use crate::exit::Exit;
use crate::journal::new_run::{NewLane, NewlyMade};
use crate::journal::{Journal, JournalError};
use crate::model::{SeenState, SourceId};
use crate::plan::checked::Checked;
use crate::plan::paper::Paper;
use crate::plan::source::Source;
use crate::rehearsal::{Rehearsal, Rehearsed};
use crate::report::document::document;
use crate::settings::Settings;
use crate::settings::flags::PlanArgs;
use crate::settings::resolve::Origin;
use crate::verb::context::{Context, checked};
use crate::verb::error::{CommandError, whole_text};
use crate::verb::results::{print, print_json};
use crate::waves::{Part, WaveTerms};

pub(crate) fn rehearse(context: &Context, args: &PlanArgs, from_live: bool) -> Result<Exit, CommandError> {
    let source = Source::open(&args.plan)?;
    let checked = checked(context, &source, args)?;
    let context = &under(context, checked.terms.policy.clone(), &Origin::Plan(source.name().to_owned()))?;
    let live = if from_live { Some(look(context, &source, args, &checked)?) } else { None };

    // Every account is the sandbox from here on, whatever settings and profiles say.
    let layers = context.layers.with_flag("endpoint", "sandbox");
    let settings = Settings::read(&layers, context.settings.profile.as_deref())?;
    let inside = &Context { settings, layers, ..context.clone() };
    let accounts = accounts::of_plan(inside, &checked)?;
    let folder = crate::files::private_folder().map_err(CommandError::Start)?;
    let path = folder.path().join("rehearsal.db");
    let mut journal = Journal::open(&path)?;
    let lanes: Vec<NewLane> = accounts.iter().map(Account::lane).collect();
    let NewlyMade { run, begun } =
        make_run(&mut journal, &source, args, &checked, &lanes, &inside.settings, &Given::new())?;
    let run = journal.run(run)?;

    let consent = Consent::Asked { yes: true, irreversible: true };
    let terms = &checked.terms;
    let mut launch = Launch::that_looks("rehearse", consent, false, false).under(Paper::of_plan(&checked))?;
    if live.is_none() {
        // Drift is the live states' matter.
        launch.paper.seal = None;
    }
    // Nobody is there to release anything, so it is as if somebody did at once.
    let both = |wave: &WaveTerms| [Part::Canary, Part::Rest].map(|part| (wave.name.clone(), Some(part)));
    launch.releases = terms.waves.iter().filter(|wave| wave.needs_approval()).flat_map(both).collect();
    let runtime = virtual_time()?;
    let clock = {
        let _in_runtime = runtime.enter();
        Clock::Rehearsed { from: Timestamp::now(), began: Instant::now() }
    };
    let window = inside.settings.steering.window(Timestamp::now())?;
    window.told(Timestamp::now()).iter().for_each(|line| inside.console.say(line));
    let quiet = &Context { console: crate::console::Console { quiet: true, ..inside.console }, ..inside.clone() };
    let carry = Carry { clock, live: live.as_ref(), ..carry_of(quiet, &run, Some(begun), accounts, &launch) };
    let exit = carry.out(runtime, journal)?.exit;

    let journal = Journal::open_to_read(&path)?;
    let run = journal.run(run.key)?;
    let refused = refusals(context, &checked, args);
    let rehearsed = Rehearsed { scenario: &inside.settings.scenario, from_live, exit, refused };
    let rehearsal = Rehearsal::from_journal(&journal, &run, terms, rehearsed)?;
    if context.console.json {
        print_json(|out| document(&rehearsal, out))?;
    } else {
        print(|out| Ok(rehearsal.write_text(out)?))?;
    }
    Ok(exit)
}

/// What `run` would refuse before anything, unless it is told otherwise.
fn refusals(context: &Context, checked: &Checked, args: &PlanArgs) -> Vec<String> {
    let paper = Paper::of_plan(checked);
    let error = must_be_approved(context, &paper, &args.plan).err();
    error.map(|error| whole_text(&error).replace("; nothing was sent", "")).into_iter().collect()
}

/// A runtime whose clock jumps to the next thing that anybody waits for.
fn virtual_time() -> Result<Runtime, CommandError> {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().map_err(CommandError::Start)
}

/// Where the plan's servers are now; only reads are sent.
fn look(
    context: &Context,
    source: &Source,
    args: &PlanArgs,
    checked: &Checked,
) -> Result<HashMap<SourceId, SeenState>, CommandError> {
    let accounts = accounts::of_plan(context, checked)?;
    let runtime = runtime()?;
    accounts::let_in(&runtime, &accounts)?;
    let folder = crate::files::private_folder().map_err(CommandError::Start)?;
    let path = folder.path().join("live.db");
    let mut journal = Journal::open(&path)?;
    let lanes: Vec<NewLane> = accounts.iter().map(Account::lane).collect();
    let NewlyMade { run, begun } =
        make_run(&mut journal, source, args, checked, &lanes, &context.settings, &Given::new())?;
    let run = journal.run(run)?;
    let launch = Launch::that_looks("rehearse", Consent::OnlyLooked, false, false);
    let Carried { exit, reason, .. } = carry_of(context, &run, Some(begun), accounts, &launch).out(runtime, journal)?;
    if exit != Exit::Done {
        return Err(CommandError::NotLooked { exit, reason: reason.unwrap_or_default() });
    }
    let journal = Journal::open_to_read(&path)?;
    let mut seen = HashMap::new();
    journal.for_each_row(run.key, |row, standing| {
        if let Some(state) = standing.before {
            seen.insert(row.source_id, state);
        }
        Ok::<(), JournalError>(())
    })?;
    Ok(seen)
}
