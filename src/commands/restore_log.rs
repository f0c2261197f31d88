//! `resume --restore-log` writes to the log of a run again what it lacks, and then goes on with the run.

use std::io::{self, BufRead as _};

use crate::console;
use crate::exit::Exit;
use crate::journal::Journal;
use crate::journal::read::runs::RunRecord;
use crate::launch::exporting::with_metrics;
use crate::launch::ready::Ready;
use crate::launch::request::LaunchRequest;
use crate::launch::taking_up::RunToTakeUp;
use crate::log::logs::Logs;
use crate::log::server::{Lacked, Restored};
use crate::settings::flags::arguments::LaunchArgs;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::meant::Otherwise;
use crate::wording::amounts::count;
use crate::wording::plain::plain;

pub(super) fn restore_log(context: &Context, run: Option<&str>, args: &LaunchArgs) -> Result<Exit, CommandError> {
    with_metrics(context, None, |metrics| {
        let request = LaunchRequest::to_send("resume", args)?.exported(metrics);
        let found = RunToTakeUp::find_first(context, run, Otherwise::Unfinished, |logs, journal, run| {
            restore(context, args, logs, journal, run)
        })?;
        Ready::to_go_on(context, found, request)?.open()?.launch()
    })
}

fn restore(
    context: &Context,
    args: &LaunchArgs,
    logs: &Logs,
    journal: &Journal,
    run: &RunRecord,
) -> Result<(), CommandError> {
    let id = plain(&run.id);
    if !args.yes && !console::can_ask() {
        return Err(CommandError::NoTerminal);
    }
    let mut agrees = |lacked: &Lacked| {
        let what = told(&id, lacked);
        if args.yes {
            context.console.say(&what);
            return true;
        }
        context.console.ask(&format!("{what}. Go on? [y/N]"));
        let mut answer = String::new();
        // An answer that cannot be read is a no.
        _ = io::stdin().lock().read_line(&mut answer);
        console::is_yes(&answer)
    };
    match logs.restore(journal, run.key, &run.id, &mut agrees)? {
        Restored::Written => context.console.say(&format!("the log of run {id} has all again that the journal has")),
        Restored::NothingLacked => {
            context
                .console
                .say(&format!("the log of run {id} lacks nothing that the journal has: nothing is restored"));
        }
        Restored::NotAgreed => return Err(CommandError::NotAgreed),
    }
    Ok(())
}

fn told(id: &str, lacked: &Lacked) -> String {
    let (n_events, lane, behind, n_lanes) = match lacked {
        Lacked::Making => {
            return format!(
                "the rows of run {id} as they were made, of which its log lacks a part, are written to it again; nobody else is to go on with \
                 the run meanwhile"
            );
        }
        Lacked::Events { n_events, lane, behind, n_lanes } => (n_events, lane, behind, n_lanes),
    };
    let written = if *n_events == 1 { "is" } else { "are" };
    let others = match n_lanes - 1 {
        0 => String::new(),
        n => format!(", and of {}", count(n as u64, "other lane")),
    };
    format!(
        "{} of run {id} {written} written to its log again, behind event {behind} of lane {lane}{others}; nobody else is to go on with \
         the run meanwhile",
        count(*n_events, "event")
    )
}
