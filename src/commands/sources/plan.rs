//! `sources plan`: a plan with a row for each source that a filter takes.

use std::path::Path;

use super::visit::{filter, visit};
use crate::console;
use crate::exit::Exit;
use crate::files::beside::{Readers, check_destination, write_for};
use crate::inventory::Inventory;
use crate::report::csv::defused;
use crate::settings::flags::arguments::FilterArgs;
use crate::verb::context::Context;
use crate::verb::error::{CommandError, bad_destination, output_failed, stdout_failed};
use crate::wording::amounts::count;
use crate::wording::plain::shown;
use crate::wording::shell::shell_path;
use crate::wording::sieve::Form;

/// A plan to be made: the target of every row, and its destination.
pub(super) struct NewPlan<'a> {
    pub(super) state: Option<&'a str>,
    pub(super) cycle: Option<&'a str>,
    pub(super) output: Option<&'a Path>,
    pub(super) force: bool,
}

pub(super) fn plan(context: &Context, args: &FilterArgs, new: &NewPlan<'_>) -> Result<Exit, CommandError> {
    if let Some(path) = new.output {
        if path.exists() && !new.force {
            return Err(CommandError::Exists(path.to_owned()));
        }
        check_destination(path).map_err(bad_destination(path))?;
    }
    visit(context, async |inventory| {
        let (text, n_rows) = csv_plan(inventory, args, new).await?;
        match new.output {
            Some(path) => write_for(path, Readers::usual(), |out| out.write_all(&text)).map_err(output_failed(path))?,
            None => console::document(Form::Table, |out| out.write_all(&text)).map_err(stdout_failed)?,
        }
        let rows = count(n_rows, "row");
        match new.output {
            Some(path) => {
                let (place, plan) = (shown(path), shell_path(path));
                let compares = context.here.asks(&format!("plan {plan}"));
                context
                    .console
                    .say(&format!("{rows} in {place}; `cutover check {plan}` reads it, `{compares}` compares it"));
            }
            None => context.console.say(&rows),
        }
        Ok(Exit::Done)
    })
}

/// Writes a row for each source: its target, and its present state as the expected one.
async fn csv_plan(inventory: &Inventory, args: &FilterArgs, new: &NewPlan<'_>) -> Result<(Vec<u8>, u64), CommandError> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let header = ["source_id", "copystate", "migrationcycle", "expect_copystate", "expect_migrationcycle", "name"];
    let failed = |error: csv::Error| stdout_failed(error.into());
    csv.write_record(header).map_err(failed)?;
    let mut n_rows = 0;
    inventory
        .each(&filter(args), |source| {
            n_rows += 1;
            let state = source.state.unwrap_or_default();
            let cycle = source.migration_cycle.unwrap_or_default();
            let name = source.name.unwrap_or_default();
            let (to_state, to_cycle) = (new.state.unwrap_or_default(), new.cycle.unwrap_or_default());
            csv.write_record([&source.id, to_state, to_cycle, &state, &cycle, &defused(&name)]).map_err(failed)
        })
        .await?;
    let text = csv.into_inner().map_err(|error| stdout_failed(error.into_error()))?;
    Ok((text, n_rows))
}
