//! Failures on this machine, independent of the rows: a journal that is lost, and events that could not be written out.

use std::path::{Path, PathBuf};

use super::saving::{Losing, Lost};
use crate::observe::events::Undelivered;
use crate::verb::error::CommandError;

/// What may fail beside the rows, and the journal's place before and after that.
pub(super) struct Faults {
    /// Path of the journal as the launch began.
    pub(super) path: PathBuf,
    pub(super) losing: Losing,
    pub(super) undelivered: Undelivered,
}

/// A failure that has come to light. Two are the same if they are told in the same words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    JournalLost { n_sent: u64, is_list_cut_short: bool },
    EventsUndelivered,
}

impl Faults {
    /// Returns the failures that have come to light by now.
    pub(super) fn known(&self, n_sent: u64) -> Vec<Fault> {
        let journal =
            self.losing.lost().map(|lost| Fault::JournalLost { n_sent, is_list_cut_short: lost.is_list_cut_short() });
        let events = self.undelivered.get().map(|_| Fault::EventsUndelivered);
        journal.into_iter().chain(events).collect()
    }

    /// Returns failures as people read them, one text each.
    pub(super) fn told(&self, faults: &[Fault]) -> Vec<String> {
        faults.iter().filter_map(|fault| self.told_of(*fault)).collect()
    }

    fn told_of(&self, fault: Fault) -> Option<String> {
        match fault {
            Fault::JournalLost { n_sent, .. } => Some(self.losing.lost()?.told(n_sent)),
            Fault::EventsUndelivered => Some(format!("the events could not be written: {}", self.undelivered.get()?)),
        }
    }

    /// Returns the journal's path from here on: that of the saved one, if the first is lost.
    pub(super) fn journal(&self) -> &Path {
        self.losing.saved().unwrap_or(&self.path)
    }

    /// Returns the path of the journal that has the whole launch; an error if it is lost and no whole one is saved.
    pub(super) fn whole_journal(&self, n_sent: u64) -> Result<PathBuf, CommandError> {
        match self.losing.lost() {
            Some(lost @ Lost { saved: None, .. }) => Err(lost.error(n_sent)),
            Some(Lost { saved: Some(saved), .. }) => Ok(saved.clone()),
            None => Ok(self.path.clone()),
        }
    }
}
