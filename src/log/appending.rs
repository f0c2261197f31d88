//! An append, step by step: stamp, commit, project.

use super::seam::{Committed, Log, NotCommitted};
use super::stamp::{Illegal, stamp};
use crate::event::Event;
use crate::event::lane::LaneId;
use crate::event::run::RunEvent;
use crate::journal::append::Append;
use crate::journal::{Journal, JournalError, LogError, RunKey};

/// Reason for which a batch is not in the journal.
#[derive(Debug)]
pub(crate) enum NotAppended {
    /// An event of it cannot follow those before it. The others may be appended without it.
    Illegal(Illegal),
    /// Another writer has committed to the log since.
    Replaced,
    /// The log failed, and takes nothing more.
    Log(LogError),
    /// The journal failed, and the log has nothing of the batch.
    Journal(JournalError),
    /// The journal failed, and the log has the batch.
    NotProjected(JournalError),
}

impl From<NotCommitted> for NotAppended {
    fn from(why: NotCommitted) -> Self {
        match why {
            NotCommitted::Replaced => NotAppended::Replaced,
            NotCommitted::Failed(error) => NotAppended::Log(error),
        }
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
            NotAppended::Replaced => JournalError::Replaced,
            NotAppended::Log(error) => JournalError::Log(error),
            NotAppended::Journal(error) | NotAppended::NotProjected(error) => error,
        }
    }
}

/// Appends events, whole or not at all: stamps them, commits them to the log, and projects them to the journal. They are durable when
/// this returns, and have their numbers.
pub(crate) fn append(mut to: Append<'_>, log: &mut dyn Log, events: &mut [Event]) -> Result<(), NotAppended> {
    to.load(events)?;
    let stamped = stamp(&mut to.known, events).map_err(NotAppended::Illegal)?;
    let committed = log.commit(&stamped)?;
    to.project(&stamped, events).and_then(|()| to.finish()).map_err(|error| match committed {
        Committed::Apart => NotAppended::NotProjected(error),
        Committed::WithJournal => NotAppended::Journal(error),
    })
}

/// Appends one event of the run itself, which no launch carries meanwhile, as [`append`] does.
pub(crate) fn append_of_run(
    journal: &mut Journal,
    log: &mut dyn Log,
    run: RunKey,
    event: RunEvent,
) -> Result<Event, JournalError> {
    let mut events = [Event::unnumbered(LaneId::RUN, None, event.into())];
    append(journal.begin_append(run)?, log, &mut events)?;
    let [event] = events;
    Ok(event)
}
