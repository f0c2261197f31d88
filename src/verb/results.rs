//! Results of verbs: on standard output, or in a file, whole or not at all.

use std::io::{self, Write as _};
use std::path::Path;

use super::error::{CommandError, output_failed, stdout_failed};
use crate::console::{self, Console};
use crate::exit::Exit;
use crate::files::beside::{leads_to_a_terminal, write_beside};
use crate::files::folder::folder_of;
use crate::formats::Format;
use crate::journal::Journal;
use crate::journal::read::runs::RunRecord;
use crate::report::error::ReportError;
use crate::report::failure::Failure;
use crate::wording::printout::Printout;
use crate::wording::sieve::{Form, Sieve};

/// Writes a report to a file, whole or not at all.
pub(crate) fn write_report(
    journal: &Journal,
    run: &RunRecord,
    format: Format,
    path: &Path,
) -> Result<(), CommandError> {
    let write = |out: &mut dyn io::Write| crate::report::write_in(format, journal, run, folder_of(path), out);
    write_fit(path, journal.path(), format.form(), write).map_err(|error| match error {
        ReportError::Journal(error) => error.into(),
        ReportError::Write(error) => output_failed(path)(error),
    })
}

/// Writes a result to a file unchanged, whole or not at all. If the path leads to a terminal, control characters are spelled out.
pub(crate) fn write_fit<E: From<io::Error>>(
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

/// Tells on one line that a verb ends well without having done anything; with `--json` the line is the document, too.
pub(crate) fn nothing_done(console: Console, text: &str) -> Result<Exit, CommandError> {
    console.say(text);
    if console.json {
        let failure = Failure::new(Exit::Done, text, None);
        console::document(Form::Json, |out| failure.write_json(out)).map_err(stdout_failed)?;
    }
    Ok(Exit::Done)
}

/// Prints a result for people to standard output.
pub(crate) fn print(write: impl FnOnce(&mut Printout<'_>) -> Result<(), ReportError>) -> Result<(), CommandError> {
    console::print(write).map_err(not_printed)
}

pub(crate) fn print_json(
    write: impl FnOnce(&mut dyn io::Write) -> Result<(), ReportError>,
) -> Result<(), CommandError> {
    print_document(Form::Json, write)
}

pub(crate) fn print_document(
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
