//! Report and summary of a launch that has ended, from its journal alone, as `status` has it.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::ending::exit_event;
use super::inputs::Launch;
use super::run_lock::lock_of_run;
use crate::console::Console;
use crate::event::run::RunEvent;
use crate::exit::Exit;
use crate::journal::{Journal, JournalError, LogError};
use crate::log::appending::append_of_run;
use crate::log::server::NotRead;
use crate::report::summary::{self, Summary};
use crate::verb::context::zone_of;
use crate::verb::error::{CommandError, Unreported, causes};
use crate::verb::results::{print, print_json, write_report};
use crate::wording::plain;

/// Time in which the servers of a log have to take the end of a launch once more: choosing a leader takes them up to eleven seconds.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);

/// End of a launch, and the journal that has it.
pub(super) struct Carried {
    pub(super) exit: Exit,
    pub(super) reason: Option<String>,
    pub(super) journal: PathBuf,
}

impl Launch {
    /// Writes the report, prints the summary, and returns the exit. A result that cannot be written makes the exit worse, in the journal
    /// as well.
    pub(super) fn sum_up(&self, carried: Carried) -> Result<Exit, CommandError> {
        let reported = self.report_or_say_how_it_ended(&carried);
        if let Err(error) = &reported {
            self.undelivered(&carried, error)?;
        }
        let summary = self.summary(&carried)?;
        self.console.note(&summary.in_one_line());
        let printed = self.print(&summary);
        if let Err(error) = &printed {
            self.undelivered(&carried, error)?;
            if reported.is_ok() {
                // Written again, because the report has the exit, too.
                self.report(&carried)?;
            }
        }
        reported.and(printed)?;
        let Carried { exit, reason, .. } = carried;
        self.complain(exit, reason, &summary);
        Ok(exit)
    }

    /// Does the same for a run that had ended before this launch. A report of this launch settles a result that an earlier one could
    /// not deliver; nothing else is recorded of the run any more.
    pub(super) fn sum_up_again(&self, carried: Carried) -> Result<Exit, CommandError> {
        self.report_or_say_how_it_ended(&carried)?;
        let carried = self.settled(carried)?;
        let summary = self.summary(&carried)?;
        self.print(&summary)?;
        let Carried { exit, reason, .. } = carried;
        if exit.is_finished() {
            self.complain(exit, reason, &summary);
        } else {
            let reason = reason.unwrap_or_else(|| summary.in_one_line());
            let hint = format!("`{}` settles it", summary.commands.reconcile());
            self.console.fail(&format!("of an earlier launch: {reason}"), &[], Some(&hint));
        }
        Ok(exit)
    }

    /// Does the same for a run that a launch on another machine has ended, and records nothing.
    #[cfg(feature = "cluster")]
    pub(super) fn sum_up_of_another(&self, carried: Carried) -> Result<Exit, CommandError> {
        self.report_or_say_how_it_ended(&carried)?;
        let summary = self.summary(&carried)?;
        self.print(&summary)?;
        let Carried { exit, reason, .. } = carried;
        self.complain(exit, reason, &summary);
        Ok(exit)
    }

    /// Records again what the run had come to, if this launch has written a report and an earlier one could not deliver a result.
    fn settled(&self, carried: Carried) -> Result<Carried, CommandError> {
        if self.request.report.is_none() {
            return Ok(carried);
        }
        let mut journal = Journal::open(&carried.journal)?;
        // Another process has just taken the run, and ends it.
        let Ok(_lock) = lock_of_run(&journal, &self.run) else { return Ok(carried) };
        let Some((exit, reason)) = journal.end_before_undelivered(self.run.key)? else { return Ok(carried) };
        let ended = exit_event(exit, reason.clone(), None, Instant::now());
        if !self.is_recorded(&mut journal, ended)? {
            return Ok(carried);
        }
        let settled = Carried { exit, reason, ..carried };
        // Written again, because the report has the exit, too.
        if let Err(error) = self.report(&settled) {
            self.undelivered(&settled, &error)?;
            return Err(error);
        }
        Ok(settled)
    }

    /// Reports the end of a launch that did not do all it was asked to, as an error. Where no text of the summary is printed, the error
    /// also tells of rows that are not on target, and has the command to type next.
    fn complain(&self, exit: Exit, reason: Option<String>, summary: &Summary) {
        let Console { quiet, json, .. } = self.console;
        let hint = (quiet || json).then(|| summary.hint());
        if !exit.is_finished() {
            self.console.fail(&reason.unwrap_or_else(|| summary.in_one_line()), &[], hint.as_deref());
        } else if exit != Exit::Done && quiet {
            self.console.fail(&summary.in_one_line(), &[], hint.as_deref());
        }
    }

    fn print(&self, summary: &Summary) -> Result<(), CommandError> {
        let Console { json, quiet, .. } = self.console;
        let zone = || zone_of(self.console, &self.settings, Some(&self.run));
        match (self.request.events, json) {
            (true, true) => print_json(|out| Ok(summary::write_json_line(summary, out)?)),
            (false, true) => print_json(|out| summary::write_json(summary, out)),
            (_, false) if quiet => Ok(()),
            (true, false) => {
                // Standard output has the event lines.
                let zone = zone();
                self.console.tell(|out| summary.write_text(&zone, out));
                Ok(())
            }
            (false, false) => {
                let zone = zone();
                print(|out| Ok(summary.write_text(&zone, out)?))
            }
        }
    }

    fn summary(&self, carried: &Carried) -> Result<Summary, CommandError> {
        let journal = Journal::open_to_read(&carried.journal)?;
        let run = journal.run(self.run.key)?;
        Ok(Summary::from_journal(&journal, &run, journal.path())?)
    }

    /// Records another end of the launch, after a result that could not be written: the journal then has the exit of the process.
    fn undelivered(&self, carried: &Carried, error: &CommandError) -> Result<(), CommandError> {
        let exit = carried.exit.worst(error.exit().after_a_change());
        let said = causes(error).fold(error.to_string(), |said, cause| format!("{said}: {cause}"));
        let reason = carried.reason.iter().fold(said, |said, reason| format!("{said}; {reason}"));
        let ended = exit_event(exit, Some(reason), None, Instant::now());
        self.is_recorded(&mut Journal::open(&carried.journal)?, ended).map(drop)
    }

    /// Records another end of the launch, unless the servers of its log are away for long: no signal ends this wait. Says so then.
    fn is_recorded(&self, journal: &mut Journal, ended: RunEvent) -> Result<bool, CommandError> {
        let mut log = match self.logs.of_run(&self.run.id) {
            Err(NotRead::Unreachable(why)) => return Ok(self.is_left_out(&why)),
            log => log?,
        };
        match append_of_run(journal, &mut *log, self.run.key, ended, Some(ANSWERED_WITHIN)) {
            Err(JournalError::Log(why @ LogError::Away)) => Ok(self.is_left_out(&why.to_string())),
            recorded => Ok(recorded.map(|_| true)?),
        }
    }

    fn is_left_out(&self, why: &str) -> bool {
        let run = plain::plain(&self.run.id);
        self.console.warn(&format!("the end of this launch stays recorded of run {run} as it is: {why}"));
        false
    }

    /// Writes the report. An error has the end of the run, and the command that writes the report.
    fn report_or_say_how_it_ended(&self, carried: &Carried) -> Result<(), CommandError> {
        let Some((format, path)) = &self.request.report else { return Ok(()) };
        self.report(carried).map_err(|error| {
            let Ok(summary) = self.summary(carried) else { return error };
            let again = summary.commands.report_to(format.name(), path);
            CommandError::Unreported(Box::new(Unreported { error, ended: summary.sentence(), again }))
        })?;
        self.console.say(&format!("report: {}", plain::shown(path)));
        Ok(())
    }

    fn report(&self, carried: &Carried) -> Result<(), CommandError> {
        let Some((format, path)) = &self.request.report else { return Ok(()) };
        let journal = Journal::open_to_read(&carried.journal)?;
        write_report(&journal, &journal.run(self.run.key)?, *format, path)
    }
}
