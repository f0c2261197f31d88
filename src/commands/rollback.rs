//! `rollback` writes the plan that takes a run back.

use std::io;
use std::path::Path;

use crate::audit::beforehand::{self, CheckFor};
use crate::exit::Exit;
use crate::files::beside::check_destination;
use crate::journal::Journal;
use crate::report::document::document;
use crate::report::error::ReportError;
use crate::report::holder::Holder;
use crate::report::next::NextCommands;
use crate::rollback::{Rollback, WriteError};
use crate::verb::context::Context;
use crate::verb::error::{CommandError, bad_destination, output_failed};
use crate::verb::meant::{self, Otherwise};
use crate::verb::results::{print_document, print_json, write_fit};
use crate::wording::plain::{plain, shown};
use crate::wording::sieve::Form;

pub(super) fn rollback(
    context: &Context,
    run: Option<&str>,
    output: Option<&Path>,
    force: bool,
) -> Result<Exit, CommandError> {
    if let Some(path) = output {
        if !force && path.exists() {
            return Err(CommandError::Exists(path.to_owned()));
        }
        check_destination(path).map_err(bad_destination(path))?;
    }
    let journal = Journal::open_to_read(&context.settings.journal)?;
    beforehand::runs(&journal)?;
    let run = meant::run_to_change(context, &journal, run, Otherwise::LaunchedLast)?;
    // Checked as for a launch, because the plan is written to be run.
    beforehand::run(&journal, &run, CheckFor::Launch)?;
    if run.running && Holder::look_up(&context.settings.journal, &run) == Holder::Alive {
        context.console.warn(&format!("run {} goes on: what it changes from here on is not in this plan", run.id));
    }
    journal.at_one_instant(|| {
        let back = Rollback::from_journal(&journal, &run)?;
        let told = back.told();
        back.reasons().iter().for_each(|line| context.console.say(&plain(line)));
        if back.rows == 0 {
            context.console.say(&format!("{told}; no plan is written"));
        } else if let Some(path) = output {
            let like = &context.settings.journal;
            let write = |out: &mut dyn io::Write| back.write_plan(&journal, &run, out);
            write_fit(path, like, Form::Table, write).map_err(write_failed(path))?;
            let commands = NextCommands::from_journal(&journal, &run, &context.settings.journal)?;
            let (check, run) = (commands.check(path), commands.run(path));
            let path = shown(path);
            context.console.say(&format!("{told}; the way back is in {path}"));
            context.console.say(&format!("next: {check}; {run}"));
        } else if !context.console.json {
            context.console.say(&told);
            print_document(Form::Table, |out| {
                back.write_plan(&journal, &run, out).map_err(|error| match error {
                    WriteError::Journal(error) => ReportError::Journal(error),
                    WriteError::Write(error) => ReportError::Write(error),
                })
            })?;
        }
        if context.console.json {
            print_json(|out| document(&back, out))?;
        }
        Ok(Exit::Done)
    })
}

fn write_failed(path: &Path) -> impl FnOnce(WriteError) -> CommandError {
    let path = path.to_owned();
    move |error| match error {
        WriteError::Journal(error) => error.into(),
        WriteError::Write(error) => output_failed(&path)(error),
    }
}
