//! `status` tells how a run stands, also while a launch writes to its journal.

use std::time::Duration;

use crate::exit::{Exit, PluginState};
use crate::journal::{Journal, JournalError, RunKey};
use crate::report::holder::Holder;
use crate::report::plugin::{Condition, PluginAnswer, PluginRun};
use crate::report::status;
use crate::report::summary::{self, Summary};
use crate::rollback::IfStopped;
use crate::verb::context::{Context, zone_for};
use crate::verb::error::CommandError;
use crate::verb::journal;
use crate::verb::meant::{self, Otherwise};
use crate::verb::results::{print, print_json};

const WATCH_EVERY: Duration = Duration::from_secs(1);

pub(super) fn status(
    context: &Context,
    run: Option<&str>,
    watch: bool,
    if_stopped: bool,
) -> Result<Exit, CommandError> {
    let journal = journal::to_read(context)?;
    let run = meant::run(context, &journal, run, Otherwise::LaunchedLast)?;
    let (key, zone) = (run.key, zone_for(context, Some(&run)));
    loop {
        let record = journal.run(key)?;
        let mut summary = Summary::from_journal(&journal, &record, journal.path())?;
        if if_stopped {
            summary.if_stopped = Some(journal.at_one_instant(|| IfStopped::from_journal(&journal, &record))?);
        }
        let holder = Holder::look_up(&context.settings.journal, &record);
        if context.console.json {
            print_json(|out| summary::write_json(&summary, out))?;
        } else {
            print(|out| Ok(status::write_text(&summary, holder, &zone, out)?))?;
        }
        if !watch || summary.running.is_none() || holder == Holder::Gone {
            return Ok(Exit::Done);
        }
        std::thread::sleep(WATCH_EVERY);
        if context.console.json {
            print_json(|out| Ok(writeln!(out)?))?;
        } else {
            print(|out| Ok(writeln!(out)?))?;
        }
    }
}

/// Answers a monitoring system in one line: about the run that is named, else about all that go on, else about the one launched last;
/// where those are in archives, about the last of them.
pub(super) fn check(context: &Context, run: Option<&str>) -> Result<PluginState, CommandError> {
    let journal = journal::to_read(context)?;
    let answer = match meant::runs_to_check(context, &journal, run) {
        Ok(runs) => {
            let runs = runs.iter().map(|run| condition_of(context, &journal, run.key));
            PluginAnswer::new(&runs.collect::<Result<Vec<_>, CommandError>>()?)
        }
        // Taking a run out of the journal changes nothing about how it ended.
        Err(CommandError::Journal(JournalError::Pruned(last) | JournalError::AllPruned(last))) => {
            PluginAnswer::of_pruned(&last, &zone_for(context, None))
        }
        Err(error) => return Err(error),
    };
    print(|out| Ok(writeln!(out, "{}", answer.line)?))?;
    Ok(answer.state)
}

fn condition_of(context: &Context, journal: &Journal, run: RunKey) -> Result<PluginRun, CommandError> {
    loop {
        let record = journal.run(run)?;
        let (summary, has_a_stage) = journal.at_one_instant(|| {
            let summary = Summary::from_journal(journal, &record, journal.path())?;
            Ok::<_, JournalError>((summary, journal.has_a_stage(run)?))
        })?;
        let holder = Holder::look_up(journal.path(), &record);
        // A launch that ended after the summary was read has no lock any more, and was not cut off.
        if summary.running.is_some() && holder == Holder::Gone && !journal.run(run)?.running {
            continue;
        }
        let condition = Condition::new(&summary, holder, has_a_stage);
        return Ok(PluginRun { summary, condition, zone: zone_for(context, Some(&record)) });
    }
}
