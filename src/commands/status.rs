//! `status` tells how a run stands, also while a launch writes to its journal.

use std::time::Duration;

use crate::exit::Exit;
use crate::report::holder::Holder;
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
