//! Run in a journal that a launch goes on with.

use super::closing::close_cut_off;
#[cfg(feature = "cluster")]
use super::run_lock::lock_of_run;
use crate::audit::beforehand::{self, CheckFor};
use crate::files;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::lock;
use crate::log::logs::Logs;
use crate::log::server::Before;
use crate::report::next::NextCommands;
use crate::verb::context::Context;
use crate::verb::engine::logs_of_run;
use crate::verb::error::CommandError;
use crate::verb::journal::warn_of_a_copy;
use crate::verb::meant::{self, Otherwise};
use crate::wording::plain::plain;
use crate::wording::shell::shell_path;

/// A run and its open journal, both compared with their events.
pub(crate) struct RunToTakeUp {
    pub(crate) journal: Journal,
    pub(crate) run: RunRecord,
    /// Logs among which that of the run is.
    pub(crate) logs: Logs,
    /// Launch before the one that takes it up.
    pub(super) before: Before,
}

impl RunToTakeUp {
    /// Finds the run that is named, or that is meant without a name. What the journal stores of its runs is compared with their events
    /// before the choice, and the chosen run again after it. Runs that were cut off with nothing left to do are closed.
    pub(crate) fn find(context: &Context, named: Option<&str>, otherwise: Otherwise) -> Result<Self, CommandError> {
        Self::find_first(context, named, otherwise, |_, _, _| Ok(()))
    }

    /// Finds it for a standby, which has a journal of its own: whoever leads the run writes to that part of another one alone.
    #[cfg(feature = "cluster")]
    pub(crate) fn find_to_follow(context: &Context, named: Option<&str>) -> Result<Self, CommandError> {
        Self::find_first(context, named, Otherwise::Unfinished, |_, journal, run| {
            lock_of_run(journal, run).map(drop).map_err(|held| CommandError::FollowsItself(Box::new(held)))
        })
    }

    /// Finds it as [`RunToTakeUp::find`] does, and does something before its log is read.
    pub(crate) fn find_first(
        context: &Context,
        named: Option<&str>,
        otherwise: Otherwise,
        first: impl FnOnce(&Logs, &Journal, &RunRecord) -> Result<(), CommandError>,
    ) -> Result<Self, CommandError> {
        let path = &context.settings.journal;
        let is_new = !path.exists();
        // Only where others have runs as well is one looked for that the journal does not have.
        let elsewhere = named.filter(|_| context.logs.leaves_within().is_some());
        if is_new {
            if elsewhere.is_none() {
                return Err(JournalError::Absent(path.clone()).into());
            }
            // Without the run, no file is left behind.
            Journal::check_place(path)?;
            context.logs.find(named.unwrap_or_default())?;
        }
        warn_of_an_open_folder(context);
        let mut journal = Journal::open(path)?;
        warn_of_a_copy(context, &journal)?;
        beforehand::runs(&journal)?;
        close_cut_off(context, &mut journal)?;
        let run = match (meant::run_to_change(context, &journal, named, otherwise), elsewhere) {
            (Err(CommandError::Journal(JournalError::UnknownRun(_) | JournalError::NoRuns)), Some(named)) => {
                match context.logs.bring(&mut journal, named) {
                    Ok(brought) => journal.run(brought)?,
                    Err(error) => {
                        if is_new {
                            journal.remove_if_empty()?;
                        }
                        return Err(error.into());
                    }
                }
            }
            (found, _) => found?,
        };
        if journal.is_unrecorded(run.key)? {
            let instead = NextCommands::from_journal(&journal, &run, path)?.run_again();
            return Err(CommandError::NeverBegun { run: plain(&run.id), instead });
        }
        let logs = logs_of_run(context, &run)?;
        first(&logs, &journal, &run)?;
        // A launch that holds the run in this journal writes to it, and this one is refused when it asks for the lock.
        if lock::is_held(&lock::of_run(path, &run.id)) != Some(true) {
            logs.catch_up(&mut journal, run.key, &run.id)?;
        }
        let run = journal.run(run.key)?;
        beforehand::run(&journal, &run, CheckFor::Launch)?;
        let before = Before::of_run(&run);
        Ok(Self { journal, run, logs, before })
    }
}

/// Warns of a journal in a folder that other users can write to: they could replace it, or plant a log beside it.
pub(super) fn warn_of_an_open_folder(context: &Context) {
    if let Some(folder) = files::folder::open_to_others(&context.settings.journal) {
        // A common folder such as `/tmp`, or one of another user, is not ours to close.
        let close = if files::folder::is_ours_to_close(&folder) {
            format!("`chmod o-w {}`, or ", shell_path(&folder))
        } else {
            String::new()
        };
        context.console.warn(&format!(
            "everybody on this machine can put files in `{}`, and so replace the journal or what lies beside it; {close}keep it \
             elsewhere (`--journal PATH`)",
            folder.display()
        ));
    }
}
