//! What comes from outside while a run goes on: commands in the journal, and flag files.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::Helm;
use crate::control::{By, Command};
use crate::engine::book::Book;
use crate::engine::lane::Lane;
use crate::journal::Journal;
use crate::journal::commands::Unreadable;
use crate::recorder::JournalClosed;
use crate::whoami::Who;

/// A command takes effect within half a second.
const LOOK_EVERY: Duration = Duration::from_millis(150);

pub(crate) struct Lookout<R> {
    helm: Arc<Helm>,
    lanes: Vec<Arc<Lane<R>>>,
    /// A reading of its own: what others read at length does not keep a command waiting.
    book: Book,
    warn: Box<dyn Fn(&str) + Send + Sync>,
    paused_by_file: bool,
    stopped_by_file: bool,
    cannot_look: bool,
    /// Commands that this version does not know.
    unreadable: HashSet<i64>,
}

impl<R: crate::remote::service::Remote> Lookout<R> {
    pub(crate) fn new(
        helm: Arc<Helm>,
        lanes: Vec<Arc<Lane<R>>>,
        book: Book,
        warn: Box<dyn Fn(&str) + Send + Sync>,
    ) -> Self {
        let (paused_by_file, stopped_by_file, cannot_look) = (false, false, false);
        Self { helm, lanes, book, warn, paused_by_file, stopped_by_file, cannot_look, unreadable: HashSet::new() }
    }

    /// Serves until it is aborted, or until the journal takes nothing more.
    pub(crate) async fn serve(mut self) -> Result<(), JournalClosed> {
        let mut due = interval(LOOK_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            self.look().await?;
        }
    }

    /// One look. What stands there already before a launch begins holds from its first request on.
    pub(crate) async fn look(&mut self) -> Result<(), JournalClosed> {
        match self.book.read(Journal::open_commands).await {
            Ok((given, unreadable)) => {
                self.cannot_look = false;
                for given in given {
                    self.helm.take(given, &self.lanes).await?;
                }
                for Unreadable { control, error } in unreadable {
                    if self.unreadable.insert(control) {
                        (self.warn)(&format!(
                            "this version of cutover does not know command {control} in the journal: {error}"
                        ));
                    }
                }
            }
            // The next look may succeed; flag files go on to work.
            Err(error) => {
                if !std::mem::replace(&mut self.cannot_look, true) {
                    (self.warn)(&format!("commands in the journal cannot be read: {error}"));
                }
            }
        }
        self.look_at_flag_files().await
    }

    async fn look_at_flag_files(&mut self) -> Result<(), JournalClosed> {
        let settings = &self.helm.settings;
        if let Some(path) = &settings.pause_file {
            let there = is_there(path);
            if there != self.paused_by_file {
                self.paused_by_file = there;
                let command = if there { Command::Pause } else { Command::Continue };
                self.helm.steer(command, by_file(path), None, &self.lanes).await?;
            }
        }
        if let Some(path) = settings.stop_file.as_ref().filter(|path| !self.stopped_by_file && is_there(path)) {
            self.stopped_by_file = true;
            self.helm.steer(Command::Drain, by_file(path), None, &self.lanes).await?;
        }
        Ok(())
    }
}

/// A file that cannot be looked at is taken for one that is not there: the run was started with it.
fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap_or(false)
}

/// Who made the file is not asked: its being there is the command.
fn by_file(path: &Path) -> By {
    By { user: None, who: Who::default(), ..By::me(&format!("the file {}", path.display()), None) }
}
