//! The verbs that only read the journal, also while a run writes to it.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use super::context::{Context, zone_of};
use super::error::{CommandError, bad_destination, output_failed, stdout_failed};
use super::meant::{self, Otherwise};
use crate::console::{self, Console};
use crate::exit::Exit;
use crate::files::beside::{check_destination, check_is_not_the_plan, leads_to_a_terminal, write_beside};
use crate::formats::Format;
use crate::journal::Journal;
use crate::journal::read::RunRecord;
use crate::report::error::ReportError;
use crate::report::explain::Explained;
use crate::report::holder::Holder;
use crate::report::runs::Runs;
use crate::report::status;
use crate::report::summary::{self, Summary};
use crate::rollback::IfStopped;
use crate::values::zone::Zone;
use crate::wording::printout::Printout;
use crate::wording::sieve::{Form, Sieve};

/// Nothing is told of it where no times are told to people.
fn zone_for(context: &Context, run: Option<&RunRecord>) -> Zone {
    let console = Console { quiet: context.console.quiet || context.console.json, ..context.console };
    zone_of(console, &context.settings, run)
}

const WATCH_EVERY: Duration = Duration::from_secs(1);

pub(super) fn journal(context: &Context) -> Result<Journal, CommandError> {
    let journal = Journal::open_to_read(&context.settings.journal)?;
    warn_of_a_copy(context, &journal)?;
    Ok(journal)
}

/// A launch has a lock beside its journal, which a killed one leaves there. Where the journal knows of a launch that has not
/// ended, and there is neither a lock nor a log, only the file was copied while it went on.
pub(super) fn warn_of_a_copy(context: &Context, journal: &Journal) -> Result<(), CommandError> {
    let given = &context.settings.journal;
    let paths = [given.canonicalize().unwrap_or_else(|_| given.clone()), given.clone()];
    let has_lock = |run: &RunRecord| paths.iter().any(|path| crate::lock::of_run(path, &run.id).exists());
    let running = journal.runs()?.into_iter().find(|run| run.running && !has_lock(run));
    if let Some(run) = running.filter(|_| journal.is_without_log().unwrap_or(false)) {
        let path = given.display();
        context.console.warn(&format!(
            "`{path}` is a copy that was made while run {} went on: if only this file was copied, and not the log beside it \
             (`-wal`), what was recorded last is missing; a whole copy: sqlite3 JOURNAL \".backup COPY\"",
            run.id
        ));
    }
    Ok(())
}

pub(super) fn status(
    context: &Context,
    run: Option<&str>,
    watch: bool,
    if_stopped: bool,
) -> Result<Exit, CommandError> {
    let journal = journal(context)?;
    let run = meant::run(context, &journal, run, Otherwise::LaunchedLast)?;
    let (key, zone) = (run.key, zone_for(context, Some(&run)));
    loop {
        let record = journal.run(key)?;
        let mut summary = Summary::of(&journal, &record, journal.path())?;
        if if_stopped {
            summary.if_stopped = Some(journal.at_one_instant(|| IfStopped::of(&journal, &record))?);
        }
        let holder = Holder::of(&context.settings.journal, &record);
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
    let runs = Runs::of(&journal(context)?)?;
    let zone = zone_for(context, None);
    if context.console.json {
        print_json(|out| runs.write_json(out))?;
    } else {
        print(|out| Ok(runs.write_text(&zone, out)?))?;
    }
    Ok(Exit::Done)
}

pub(super) fn explain(context: &Context, run: Option<&str>, id: &str) -> Result<Exit, CommandError> {
    let journal = journal(context)?;
    let run = meant::run(context, &journal, run, Otherwise::LaunchedLast)?;
    let explained = journal.at_one_instant(|| {
        let (row, standing) = meant::row(context, &journal, &run, id)?;
        Ok::<_, CommandError>(Explained::of(&journal, &run, row, standing)?)
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
    let journal = journal(context)?;
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

/// Writes a report to a file, whole or not at all.
pub(super) fn write_report(
    journal: &Journal,
    run: &RunRecord,
    format: Format,
    path: &Path,
) -> Result<(), CommandError> {
    let write = |out: &mut dyn io::Write| crate::report::write(format, journal, run, out);
    write_fit(path, journal.path(), format.form(), write).map_err(|error| match error {
        ReportError::Journal(error) => error.into(),
        ReportError::Write(error) => output_failed(path)(error),
    })
}

/// Writes a result to a file as it is, whole or not at all, and to a terminal as it is fit for one, by whichever name that goes:
/// it takes nothing as it is.
pub(super) fn write_fit<E: From<io::Error>>(
    path: &Path,
    like: &Path,
    form: Form,
    write: impl FnOnce(&mut dyn io::Write) -> Result<(), E>,
) -> Result<(), E> {
    let form = if leads_to_a_terminal(path) { form.on_a_terminal() } else { Form::Raw };
    write_beside(path, like, |out| {
        let mut out = Sieve::new(form, out);
        write(&mut out)?;
        Ok(out.flush()?)
    })
}

/// A result for people to standard output.
pub(super) fn print(write: impl FnOnce(&mut Printout<'_>) -> Result<(), ReportError>) -> Result<(), CommandError> {
    console::print(write).map_err(not_printed)
}

pub(super) fn print_json(
    write: impl FnOnce(&mut dyn io::Write) -> Result<(), ReportError>,
) -> Result<(), CommandError> {
    print_document(Form::Json, write)
}

pub(super) fn print_document(
    form: Form,
    write: impl FnOnce(&mut dyn io::Write) -> Result<(), ReportError>,
) -> Result<(), CommandError> {
    console::document(form, write).map_err(not_printed)
}

fn not_printed(error: ReportError) -> CommandError {
    match error {
        ReportError::Journal(error) => error.into(),
        ReportError::Write(error) => stdout_failed(error),
    }
}
