//! Poll of commands from outside while a run goes on: those in the journal, and flag files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::driver::Driver;
use super::journal_reader::JournalReader;
use crate::control::{By, Command, GivenCommand};
use crate::journal::commands::Unreadable;
use crate::journal::{Journal, JournalError};
use crate::recorder::refusal::NotRecorded;

/// Interval between two looks. A command takes effect within half a second.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// Commands that no launch has taken yet, and those that this version does not know.
type OpenCommands = (Vec<GivenCommand>, Vec<Unreadable>);

/// Files whose existence is a command.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlagFiles {
    pub(crate) pause: Option<PathBuf>,
    pub(crate) stop: Option<PathBuf>,
}

pub(crate) struct CommandPoll {
    driver: Arc<Driver>,
    files: FlagFiles,
    /// Connection of its own, so that long reads of others keep no command waiting.
    journal: JournalReader,
    warn: Box<dyn Fn(&str) + Send + Sync>,
    paused_by_file: bool,
    stopped_by_file: bool,
    cannot_look: bool,
    /// Commands that this version does not know.
    unreadable: HashSet<i64>,
}

impl CommandPoll {
    pub(crate) fn new(
        driver: Arc<Driver>,
        files: FlagFiles,
        journal: JournalReader,
        warn: Box<dyn Fn(&str) + Send + Sync>,
    ) -> Self {
        let (paused_by_file, stopped_by_file, cannot_look) = (false, false, false);
        Self { driver, files, journal, warn, paused_by_file, stopped_by_file, cannot_look, unreadable: HashSet::new() }
    }

    /// Looks again and again until the task is aborted, or until the journal takes nothing more.
    pub(crate) async fn serve(mut self) -> Result<(), NotRecorded> {
        let mut due = interval(LOOK_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            self.look().await?;
        }
    }

    /// Looks once. A command that is given before a launch begins holds from its first request on.
    pub(crate) async fn look(&mut self) -> Result<(), NotRecorded> {
        match self.open_commands().await? {
            Ok((given, unreadable)) => {
                self.cannot_look = false;
                for GivenCommand { control, command, by } in given {
                    self.driver.command(command, by, Some(control)).await?;
                }
                for Unreadable { control, error } in unreadable {
                    if self.unreadable.insert(control) {
                        (self.warn)(&format!(
                            "this version of cutover does not know command {control} in the journal: {error}"
                        ));
                    }
                }
            }
            // The next look may succeed; flag files work meanwhile.
            Err(error) => {
                if !std::mem::replace(&mut self.cannot_look, true) {
                    (self.warn)(&format!("commands in the journal cannot be read: {error}"));
                }
            }
        }
        self.look_at_flag_files().await
    }

    /// Returns the commands that can be recorded now. Until its log is reached the run takes none, and they can be withdrawn.
    async fn open_commands(&self) -> Result<Result<OpenCommands, JournalError>, NotRecorded> {
        let open = self.journal.read(Journal::open_commands).await;
        if open.as_ref().is_ok_and(|(given, _)| given.is_empty()) {
            return Ok(open);
        }
        self.driver.can_record().await?;
        Ok(self.journal.read(Journal::open_commands).await)
    }

    async fn look_at_flag_files(&mut self) -> Result<(), NotRecorded> {
        if let Some(path) = &self.files.pause {
            let there = is_there(path);
            if there != self.paused_by_file {
                self.paused_by_file = there;
                let command = if there { Command::Pause } else { Command::Continue };
                self.driver.command(command, by_file(path), None).await?;
            }
        }
        if let Some(path) = self.files.stop.as_ref().filter(|path| !self.stopped_by_file && is_there(path)) {
            self.stopped_by_file = true;
            self.driver.command(Command::Drain, by_file(path), None).await?;
        }
        Ok(())
    }
}

/// A file that cannot be looked at is taken for one that is not there: the run was started with it.
fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap_or(false)
}

/// Giver of a command by a flag file. The owner of the file is not looked up: its existence is the command.
fn by_file(path: &Path) -> By {
    By { user: None, who: Box::default(), ..By::me(&format!("the file {}", path.display()), None) }
}
