//! `runs` lists the runs of a journal.

use jiff::Timestamp;

use crate::exit::Exit;
use crate::journal::read::runs::RunFilter;
use crate::report::runs::RunList;
use crate::settings::error::SettingsError;
use crate::settings::flags::arguments::RunsArgs;
use crate::values::since::Since;
use crate::verb::context::{Context, zone_for};
use crate::verb::error::CommandError;
use crate::verb::journal;
use crate::verb::results::{print, print_json};
use crate::wording::amounts::count;

#[cfg(feature = "cluster")]
mod served;

pub(super) fn runs(context: &Context, args: &RunsArgs) -> Result<Exit, CommandError> {
    #[cfg(feature = "cluster")]
    if context.layers.is_by_flag(crate::settings::key::ENGINE) {
        return served::list(context);
    }
    let RunsArgs { since, unfinished, failed, limit } = *args;
    let since = since.map(|since| begins_at(context, since)).transpose()?;
    let journal = journal::to_read(context)?;
    let runs = RunList::new(&journal, RunFilter { since, unfinished, failed, limit })?;
    if context.console.json {
        print_json(|out| runs.write_json(out))?;
        return Ok(Exit::Done);
    }
    let (zone, mut n_runs) = (zone_for(context, None), 0);
    print(|out| runs.write_text(&zone, out).map(|written| n_runs = written))?;
    let n_pruned = journal.n_tombstones()?;
    if n_runs == 0 {
        let is_chosen = since.is_some() || unfinished || failed;
        let none = match n_pruned {
            _ if is_chosen => "no run in the journal is like that",
            0 => "the journal holds no run yet",
            _ => "the journal holds no run any more",
        };
        context.console.say(none);
    }
    if n_pruned > 0 {
        let (runs, verify) = (count(n_pruned, "run"), context.here.reads("audit verify"));
        let were = if n_pruned == 1 { "was" } else { "were" };
        context.console.say(&format!("{runs} {were} taken out of the journal: `{verify}` names their archives"));
    }
    Ok(Exit::Done)
}

/// Returns the instant that is meant, and says which it is and in which zone it was read. Hours are never read in a zone that was
/// not found.
fn begins_at(context: &Context, since: Since) -> Result<Timestamp, CommandError> {
    let zone = if since.needs_zone() {
        context.settings.steering.zone_of_clocks().map_err(SettingsError::ZoneOfTime)?
    } else {
        zone_for(context, None)
    };
    let at = since.instant(Timestamp::now(), &zone.rules);
    context.console.say(&format!("runs since {} ({zone})", zone.shows(at)));
    Ok(at)
}
