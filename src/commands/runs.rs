//! `runs` lists the runs of a journal.

use crate::exit::Exit;
use crate::report::runs::Runs;
use crate::verb::context::{Context, zone_for};
use crate::verb::error::CommandError;
use crate::verb::journal;
use crate::verb::results::{print, print_json};

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
