//! The seam behind which events are committed: a log takes a batch before the journal does, so that the journal never holds what the
//! log does not.
//!
//! With one machine the log is the journal itself (`alone`). A log that several machines share implements the same trait, passes the
//! same `suite`, and leaves everything else as it is: the journal stays the projection that is read.

use crate::event::Event;
use crate::journal::JournalError;
use crate::journal::append::Append;
use crate::journal::stamped::Stamped;

pub(crate) mod alone;
#[cfg(test)]
mod memory;
pub(crate) mod stamp;
#[cfg(test)]
pub(crate) mod suite;

use stamp::{Illegal, stamp};

/// A log of one run, with one writer.
pub(crate) trait Log: Send {
    /// Commits a batch of stamped events of one or several lanes. Must ensure that
    ///
    /// - all of the batch is committed, or nothing of it;
    /// - it follows what was committed before, lane by lane: where another writer has committed since, the batch is refused, and so is
    ///   each later one of this writer;
    /// - it is kept to the letter, in its order, and whoever reads the log from its beginning finds it;
    /// - it is as durable as the journal is after its own commit, at the latest when that commit returns.
    ///
    /// It is called within the journal's transaction, which is committed only if this returns `Ok`: after an error or a crash the
    /// journal is a prefix of the log.
    fn commit(&mut self, batch: &Stamped) -> Result<(), Replaced>;

    /// Tells that a change may still leave: nobody else can have taken the run over. Must never say so after a commit was refused.
    /// Meant to be asked as the last thing before a change leaves, because one that was committed may wait for its pace while another
    /// writer takes over.
    #[cfg_attr(not(test), expect(dead_code, reason = "the run's lock says the same as long as no log is shared"))]
    fn hold(&self) -> bool;
}

/// Another writer has committed to the log since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replaced;

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
