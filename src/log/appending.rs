//! An append, step by step: stamp, commit, project.

use super::seam::{Log, Replaced};
use super::stamp::{Illegal, stamp};
use crate::event::Event;
use crate::journal::JournalError;
use crate::journal::append::Append;

/// Nothing of a batch was appended, and why.
#[derive(Debug)]
pub(crate) enum NotAppended {
    /// An event of it cannot follow those before it. The others may be appended without it.
    Illegal(Illegal),
    Replaced,
    Journal(JournalError),
}

impl From<Replaced> for NotAppended {
    fn from(Replaced: Replaced) -> Self {
        NotAppended::Replaced
    }
}

impl From<JournalError> for NotAppended {
    fn from(error: JournalError) -> Self {
        NotAppended::Journal(error)
    }
}

impl From<NotAppended> for JournalError {
    fn from(why: NotAppended) -> Self {
        match why {
            NotAppended::Illegal(Illegal { nth: _, step }) => step.into(),
            NotAppended::Replaced => JournalError::NotOurs,
            NotAppended::Journal(error) => error,
        }
    }
}

/// Appends events, whole or not at all: stamps them, commits them to the log, and projects them to the journal. They are durable when
/// this returns, and have their numbers.
pub(crate) fn append(mut to: Append<'_>, log: &mut dyn Log, events: &mut [Event]) -> Result<(), NotAppended> {
    to.load(events)?;
    let stamped = stamp(&mut to.known, events).map_err(NotAppended::Illegal)?;
    log.commit(&stamped)?;
    to.project(&stamped, events)?;
    Ok(to.finish()?)
}
