//! Way by which a command reaches the launch of a run: the journal of the launch, or the servers of the run's log.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::skipping::{LOOK_EVERY, TAKEN_WITHIN};
use crate::audit::beforehand::{self, CheckFor};
use crate::control::{By, Command, GivenCommand};
use crate::files;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::launch::closing::close_cut_off;
use crate::log::logs::Logs;
use crate::log::server::ControlAnswer;
use crate::report::holder::Holder;
use crate::verb::context::Context;
use crate::verb::engine::{begun_with, is_set, logs_of_run};
use crate::verb::error::CommandError;
use crate::verb::meant::{self, Otherwise};

/// Time within which a launch has recorded any command that it has read.
const IN_HAND_FOR: Duration = Duration::from_secs(1);

/// Run that a command is for, with a journal that has it.
pub(super) struct Addressed {
    pub(super) journal: Journal,
    pub(super) run: RunRecord,
    pub(super) way: WayToLaunch,
}

pub(super) enum WayToLaunch {
    /// The journal is that of the launch.
    Here,
    /// The journal is a copy, in a folder of this process.
    There { logs: Logs, _folder: TempDir },
}

/// Finds the run that is named, or that is meant without a name: in the journal if it goes on there, or else on the servers.
pub(super) fn addressed(context: &Context, named: Option<&str>) -> Result<Addressed, CommandError> {
    let folder = files::temporary::private_folder().map_err(CommandError::Start)?;
    let copy = folder.path().join("copy.db");
    let (logs, id) = match (in_journal(context, named), named) {
        (Ok(found), _) if begun_with(&found.run).is_none() || is_held(context, &found.run) => return Ok(found),
        (Ok(found), _) => {
            // What is known of it here need not be read again.
            found.journal.copy_to(&copy)?;
            (logs_of_run(context, &found.run)?, found.run.id)
        }
        (
            Err(CommandError::Journal(JournalError::Absent(_) | JournalError::NoRuns | JournalError::UnknownRun(_))),
            Some(named),
        ) if is_set(&context.settings) => (context.logs.clone(), named.to_owned()),
        (Err(error), _) => return Err(error),
    };
    let mut journal = Journal::open(&copy)?;
    let key = logs.bring(&mut journal, &id)?;
    let run = journal.run(key)?;
    beforehand::run(&journal, &run, CheckFor::Command)?;
    Ok(Addressed { journal, run, way: WayToLaunch::There { logs, _folder: folder } })
}

fn in_journal(context: &Context, named: Option<&str>) -> Result<Addressed, CommandError> {
    if !context.settings.journal.exists() {
        return Err(JournalError::Absent(context.settings.journal.clone()).into());
    }
    let mut journal = Journal::open(&context.settings.journal)?;
    journal.wait_for_others(TAKEN_WITHIN)?;
    beforehand::runs(&journal)?;
    close_cut_off(context, &mut journal)?;
    let run = meant::run_to_change(context, &journal, named, Otherwise::LaunchedLast)?;
    beforehand::run(&journal, &run, CheckFor::Command)?;
    Ok(Addressed { journal, run, way: WayToLaunch::Here })
}

impl Addressed {
    /// Tells whether there may be a launch that would take a command.
    pub(super) fn may_go_on(&self, context: &Context) -> Result<bool, CommandError> {
        match &self.way {
            WayToLaunch::Here => Ok(may_go_on(context, &self.run)),
            WayToLaunch::There { logs, .. } => Ok(logs.leads(&self.run.id)?),
        }
    }

    /// Leaves the command for the next launch.
    pub(super) fn leave(&mut self, command: &Command, by: &By) -> Result<(), CommandError> {
        match &self.way {
            WayToLaunch::Here => self.journal.give_command(self.run.key, command, by).map(drop)?,
            WayToLaunch::There { logs, .. } => logs.leave(&self.run.id, command, by)?,
        }
        Ok(())
    }

    /// Gives the command to the launch, and waits until that has taken it.
    pub(super) fn give(&mut self, context: &Context, command: &Command, by: &By) -> Result<(), CommandError> {
        let Self { journal, run, way } = self;
        let WayToLaunch::There { logs, .. } = way else { return give(context, journal, run, command, by) };
        let answer = logs.ask(&run.id, command, by, TAKEN_WITHIN)?;
        logs.catch_up(journal, run.key, &run.id)?;
        match answer {
            ControlAnswer::Taken => Ok(()),
            ControlAnswer::NotTaken => Err(CommandError::NotTaken(run.id.clone())),
            ControlAnswer::Ended => Err(too_late(journal, run)?),
        }
    }
}

/// Tells that a launch on this machine holds the run.
fn is_held(context: &Context, run: &RunRecord) -> bool {
    Holder::look_up(&context.settings.journal, run) == Holder::Alive
}

/// Tells whether there may be a launch that would take a command.
fn may_go_on(context: &Context, run: &RunRecord) -> bool {
    match Holder::look_up(&context.settings.journal, run) {
        Holder::Alive => true,
        Holder::Gone => false,
        Holder::Unknown => run.running,
    }
}

/// Stores the command, and waits until the launch has taken it.
fn give(
    context: &Context,
    journal: &mut Journal,
    run: &RunRecord,
    command: &Command,
    by: &By,
) -> Result<(), CommandError> {
    let given = Instant::now();
    let mut control = journal.give_command(run.key, command, by)?;
    loop {
        // Asked first, so that a command that a launch took before it ended counts as taken.
        let goes_on = may_go_on(context, &journal.run(run.key)?);
        match journal.is_taken(control)? {
            Some(true) => return Ok(()),
            // A launch that begins drops commands meant for the one before, and this one may have been given just then.
            None if goes_on && given.elapsed() <= TAKEN_WITHIN => {
                control = journal.give_command(run.key, command, by)?;
            }
            None => return Err(too_late(journal, run)?),
            // Withdrawn, so that it does not take effect when nobody expects it any more.
            Some(false) if !goes_on || given.elapsed() > TAKEN_WITHIN => {
                let is_withdrawn = journal.withdraw_command(control).map_err(|error| match error {
                    error if error.is_busy() => CommandError::NotWithdrawn(run.id.clone()),
                    error => error.into(),
                })?;
                if is_withdrawn {
                    let given = GivenCommand { control, command: command.clone(), by: by.clone() };
                    return withdrawn(context, journal, run, &given);
                }
            }
            Some(false) => (),
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Waits in case a withdrawn command takes effect nevertheless, because a launch has read it before. A launch that has ended did not.
fn withdrawn(context: &Context, journal: &Journal, run: &RunRecord, given: &GivenCommand) -> Result<(), CommandError> {
    let since = Instant::now();
    loop {
        let goes_on = may_go_on(context, &journal.run(run.key)?);
        if journal.took_effect(run.key, given)? {
            return Ok(());
        }
        if !goes_on {
            return Err(too_late(journal, run)?);
        }
        if since.elapsed() > IN_HAND_FOR {
            return Err(CommandError::NotTaken(run.id.clone()));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn too_late(journal: &Journal, run: &RunRecord) -> Result<CommandError, CommandError> {
    let RunRecord { id, exit_code, exit_name, .. } = journal.run(run.key)?;
    let ended = exit_code.zip(exit_name).map(|(code, name)| format!(" with {code} ({name})"));
    Ok(CommandError::TooLate { run: id, ended: ended.unwrap_or_default() })
}
