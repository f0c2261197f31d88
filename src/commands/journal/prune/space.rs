//! Giving back of the space that the runs took which have left.

use std::path::Path;

use serde::Serialize;

use crate::journal::{Journal, JournalError};
use crate::verb::meant::goes_on;

/// Result of giving space back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct SpaceGiven {
    /// Size of the journal's file now.
    pub(super) bytes: u64,
    /// Part of it that holds nothing, and is used again by later runs.
    pub(super) free_bytes: u64,
    #[serde(skip)]
    pub(super) hindrance: Option<Hindrance>,
}

/// Reason for which space was not given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hindrance {
    /// The journal has to be written anew as a whole, once, which no launch would wait for.
    LaunchGoesOn,
    /// No room was left to write it anew, or another process wrote to it meanwhile.
    NoRoom,
    /// Other processes read in it.
    Readers,
}

/// Gives free pages back. The first time, the whole journal is written anew for that, unless a launch goes on: from then on it is done
/// in steps, beside whatever goes on.
pub(super) fn give_back(journal: &mut Journal, path: &Path) -> Result<SpaceGiven, JournalError> {
    let mut hindrance = None;
    if journal.file_size()?.free > 0 && !journal.gives_back_in_steps()? {
        hindrance = if journal.runs()?.iter().any(|run| goes_on(path, run)) {
            Some(Hindrance::LaunchGoesOn)
        } else {
            match journal.pack() {
                Ok(()) => None,
                // Nothing is lost, and nothing is in the way of later runs.
                Err(
                    JournalError::Held | JournalError::Full(_) | JournalError::FailingDisk(_) | JournalError::Sqlite(_),
                ) => Some(Hindrance::NoRoom),
                Err(error) => return Err(error),
            }
        };
    }
    if hindrance.is_none() {
        while journal.give_some_back()? {}
    }
    if !journal.write_back_and_cut()? {
        hindrance = hindrance.or(Some(Hindrance::Readers));
    }
    let size = journal.file_size()?;
    Ok(SpaceGiven { bytes: size.bytes, free_bytes: size.free, hindrance })
}
