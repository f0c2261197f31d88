//! Failures on this machine, independent of the rows: a journal that is lost, and events that could not be written out.

use std::path::{Path, PathBuf};

use super::saving::{Losing, Lost};
use crate::observe::events::Undelivered;
use crate::verb::error::CommandError;

/// State of journal and event output, and the journal's path before and after a loss.
pub(super) struct Faults {
    /// Path of the journal as the launch began.
    pub(super) path: PathBuf,
    pub(super) losing: Losing,
    pub(super) undelivered: Undelivered,
}

/// A failure that is known. Two are equal if their texts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MachineFault {
    JournalLost { n_sent: u64, is_list_cut_short: bool },
    EventsUndelivered,
}

impl Faults {
    /// Returns the failures that are known by now.
    pub(super) fn known(&self, n_sent: u64) -> Vec<MachineFault> {
        let journal = self
            .losing
            .lost()
            .map(|lost| MachineFault::JournalLost { n_sent, is_list_cut_short: lost.is_list_cut_short() });
        let events = self.undelivered.get().map(|_| MachineFault::EventsUndelivered);
        journal.into_iter().chain(events).collect()
    }

    /// Returns failures as people read them, one text each.
    pub(super) fn told(&self, faults: &[MachineFault]) -> Vec<String> {
        faults.iter().filter_map(|fault| self.told_of(*fault)).collect()
    }

    fn told_of(&self, fault: MachineFault) -> Option<String> {
        match fault {
            MachineFault::JournalLost { n_sent, .. } => Some(self.losing.lost()?.told(n_sent)),
            MachineFault::EventsUndelivered => {
                Some(format!("the events could not be written: {}", self.undelivered.get()?))
            }
        }
    }

    /// Returns the path of the journal to go on with: the saved one, if the first is lost.
    pub(super) fn journal(&self) -> &Path {
        self.losing.saved().unwrap_or(&self.path)
    }

    /// Returns the path of the journal with the whole launch; an error if it is lost and no whole copy is saved.
    pub(super) fn whole_journal(&self, n_sent: u64) -> Result<PathBuf, CommandError> {
        match self.losing.lost() {
            Some(lost @ Lost { saved: None, .. }) => Err(lost.error(n_sent)),
            Some(Lost { saved: Some(saved), .. }) => Ok(saved.clone()),
            None => Ok(self.path.clone()),
        }
    }
}
