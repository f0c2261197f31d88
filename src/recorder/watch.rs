//! The watch over a journal's files, and the destinations of records once a journal is gone.

use std::path::PathBuf;

use super::kept::Kept;
use super::sent::Sent;
use crate::journal::Journal;
use crate::journal::place::{Gone, How, JournalFiles};

/// Size of the journal's log above which it is asked why the log was not begun anew.
pub(crate) const LOG_IS_LARGE: u64 = 16 << 20;

/// Watch over the files of the journal while a launch writes to it.
pub(crate) struct Watch {
    pub(crate) place: JournalFiles,
    /// Called once, before the callers of the last batch are answered: nothing more may be sent. Returns the destination of what was
    /// recorded and of what follows.
    pub(crate) gone: WhenGone,
    /// Reads all of a journal that somebody else may have written to. An error says what is wrong with it.
    pub(crate) check: Check,
    /// Compares the run with what it began with and with its events, as a launch does before it goes on with it.
    pub(crate) compare: Compare,
    /// List of what was sent, apart from the journal, and its length.
    pub(crate) kept: Kept,
    pub(crate) sent: Sent,
    /// Called once if the log cannot be begun anew, with its size and its known readers.
    pub(crate) held: WhenHeld,
}

pub(crate) type WhenHeld = Box<dyn Fn(u64, &[String]) + Send>;

pub(crate) type WhenGone = Box<dyn Fn(&Journal, &JournalFiles, &Gone) -> Rescue + Send>;

pub(crate) type Compare = Box<dyn Fn(&Journal) -> Result<(), How> + Send>;

pub(crate) type Check = Box<dyn Fn(&Journal) -> Result<(), String> + Send>;

/// Destination of the records of a journal that is gone.
pub(crate) enum Rescue {
    /// The open file takes them to the end, and is copied then.
    AtTheEnd(PathBuf),
    /// They go on in a whole copy of it.
    In(Box<Journal>),
    /// The open file takes nothing more; what was sent is kept apart.
    Apart,
    /// No place takes them.
    Nowhere,
}
