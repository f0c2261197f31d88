//! `report` writes the report of a run, in one of several formats.

use std::path::Path;

use crate::console;
use crate::exit::Exit;
use crate::files::beside::{check_destination, check_is_not_the_plan, leads_to_a_terminal};
use crate::formats::Format;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, bad_destination};
use crate::verb::journal;
use crate::verb::meant::{self, Otherwise};
use crate::verb::results::{print_document, write_report};

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
