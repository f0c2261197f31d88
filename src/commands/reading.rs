//! Verbs that only read the journal, also while a run writes to it.

use std::path::Path;
use std::time::Duration;

use crate::console::{self, Console};
use crate::exit::Exit;
use crate::files::beside::{check_destination, check_is_not_the_plan, leads_to_a_terminal};
use crate::formats::Format;
use crate::journal::read::runs::RunRecord;
use crate::report::explain::Explained;
use crate::report::holder::Holder;
use crate::report::runs::Runs;
use crate::report::status;
use crate::report::summary::{self, Summary};
use crate::rollback::IfStopped;
use crate::values::zone::Zone;
use crate::verb::context::{Context, zone_of};
use crate::verb::error::{CommandError, bad_destination};
use crate::verb::journal;
use crate::verb::meant::{self, Otherwise};
use crate::verb::results::{print, print_document, print_json, write_report};

/// Returns the time zone for output; warns about it only if times are printed for people.
fn zone_for(context: &Context, run: Option<&RunRecord>) -> Zone {
    let console = Console { quiet: context.console.quiet || context.console.json, ..context.console };
    zone_of(console, &context.settings, run)
}

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

pub(super) fn runs(context: &Context) -> Result<Exit, CommandError> {
    let runs = Runs::from_journal(&journal::to_read(context)?)?;
    let zone = zone_for(context, None);
    if context.console.json {
        print_json(|out| runs.write_json(out))?;
    } else {
        print(|out| Ok(runs.write_text(&zone, out)?))?;
    }
    Ok(Exit::Done)
}

pub(super) fn explain(context: &Context, run: Option<&str>, id: &str) -> Result<Exit, CommandError> {
    let journal = journal::to_read(context)?;
    let run = meant::run(context, &journal, run, Otherwise::LaunchedLast)?;
    let explained = journal.at_one_instant(|| {
        let (row, standing) = meant::row(context, &journal, &run, id)?;
        Ok::<_, CommandError>(Explained::from_journal(&journal, &run, row, standing)?)
    })?;
    let zone = zone_for(context, Some(&run));
    if context.console.json {
        print_json(|out| explained.write_json(out))?;
    } else {
        print(|out| Ok(explained.write_text(&zone, out)?))?;
    }
    Ok(Exit::Done)
}

pub(super) fn report(
    context: &Context,
    run: Option<&str>,
    format: Format,
    output: Option<&Path>,
) -> Result<Exit, CommandError> {
    if let Some(path) = output {
        check_destination(path).map_err(bad_destination(path))?;
    }
    if format.is_binary() && output.map_or_else(console::shows_results, leads_to_a_terminal) {
        return Err(CommandError::NotForTerminals(format.name()));
    }
    let journal = journal::to_read(context)?;
    let run = meant::run(context, &journal, run, Otherwise::LaunchedLast)?;
    match output {
        Some(path) => {
            check_is_not_the_plan(path, Path::new(&run.plan_path)).map_err(bad_destination(path))?;
            write_report(&journal, &run, format, path)?;
        }
        None => print_document(format.form(), |out| crate::report::write(format, &journal, &run, out))?,
    }
    Ok(Exit::Done)
}
