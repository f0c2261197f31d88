//! `explain` tells the story of a row.

use crate::exit::Exit;
use crate::report::explain::Explained;
use crate::verb::context::{Context, zone_for};
use crate::verb::error::CommandError;
use crate::verb::journal;
use crate::verb::meant::{self, Otherwise};
use crate::verb::results::{print, print_json};

pub(super) fn explain(context: &Context, run: Option<&str>, id: &str) -> Result<Exit, CommandError> {
    let journal = journal::to_read(context)?;
    let first = meant::run(context, &journal, run, Otherwise::LaunchedLast)?;
    let (run, explained) = journal.at_one_instant(|| {
        let (run, row, standing) = if run.is_some() {
            let (row, standing) = meant::row(context, &journal, &first, id)?;
            (first, row, standing)
        } else {
            meant::row_of_any(context, &journal, first, id)?
        };
        let explained = Explained::from_journal(&journal, &run, row, standing)?;
        Ok::<_, CommandError>((run, explained))
    })?;
    let zone = zone_for(context, Some(&run));
    if context.console.json {
        print_json(|out| explained.write_json(out))?;
    } else {
        print(|out| Ok(explained.write_text(&zone, out)?))?;
    }
    Ok(Exit::Done)
}
