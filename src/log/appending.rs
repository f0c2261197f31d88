//! An append, step by step: stamp, commit, project.

use std::time::Duration;

use jiff::Timestamp;

use super::seam::{Committed, Log, NotCommitted};
use super::stamp::{Illegal, NotTaken, stamp, take};
use crate::event::Event;
use crate::event::lane::LaneId;
use crate::event::run::RunEvent;
use crate::journal::append::Append;
use crate::journal::stamped::Stamped;
use crate::journal::stored::StoredEvent;
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
    /// The log has not answered yet, and has to settle it.
    Unanswered,
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
            NotCommitted::Unanswered => NotAppended::Unanswered,
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
            NotAppended::Unanswered => JournalError::Log(LogError::Away),
            NotAppended::Journal(error) | NotAppended::NotProjected(error) => error,
        }
    }
}

/// Appends events, whole or not at all: stamps them, commits them to the log, and projects them to the journal. They are durable when
/// this returns, and have their numbers.
pub(crate) fn append(to: Append<'_>, log: &mut dyn Log, events: &mut [Event]) -> Result<(), NotAppended> {
    append_behind(to, events, |stamped| log.commit(stamped))
}

/// Does the same for events that the log has taken, and that get the same numbers as when they were committed.
pub(crate) fn append_committed(to: Append<'_>, events: &mut [Event]) -> Result<(), NotAppended> {
    append_behind(to, events, |_| Ok(Committed::WithJournal))
}

/// Appends events once they are committed in this way.
pub(super) fn append_behind(
    mut to: Append<'_>,
    events: &mut [Event],
    commit: impl FnOnce(&Stamped) -> Result<Committed, NotCommitted>,
) -> Result<(), NotAppended> {
    to.load(events)?;
    let stamped = stamp(&mut to.known, events).map_err(NotAppended::Illegal)?;
    let committed = commit(&stamped)?;
    to.project(&stamped, events).and_then(|()| to.finish()).map_err(|error| match committed {
        Committed::Apart => NotAppended::NotProjected(error),
        Committed::WithJournal => NotAppended::Journal(error),
    })
}

/// Appends events to the run of a journal that this process alone carries, and waits for the servers of the log at most so long, or as
/// long as they are away. The journal is free for others meanwhile.
pub(crate) fn append_to(
    journal: &mut Journal,
    log: &mut dyn Log,
    run: RunKey,
    events: &mut [Event],
    most: Option<Duration>,
) -> Result<(), NotAppended> {
    let appended = append(journal.begin_append(run)?, log, events);
    if !matches!(appended, Err(NotAppended::Unanswered)) {
        return appended;
    }
    log.settle(most)?;
    append_committed(journal.begin_append(run)?, events)
}

/// Appends events that were stamped elsewhere, and committed to the log: `events` are the same ones, as [`events_of`] reads them.
pub(super) fn append_taken(
    mut to: Append<'_>,
    events: &[Event],
    stored: &[StoredEvent<'_>],
) -> Result<(), JournalError> {
    to.load(events)?;
    let stamped = take(&mut to.known, events, stored).map_err(|why| match why {
        NotTaken::Illegal(step) => step.into(),
        NotTaken::Unchained(why) => JournalError::Damaged(why.to_string()),
    })?;
    to.project(&stamped, events)?;
    to.finish()
}

/// Reads events as they are stored.
pub(super) fn events_of(stored: &[StoredEvent<'_>]) -> Result<Vec<Event>, JournalError> {
    stored.iter().map(read).collect()
}

fn read(stored: &StoredEvent<'_>) -> Result<Event, JournalError> {
    let (lane, seq) = (stored.lane, stored.seq);
    let damaged = |error: &dyn std::fmt::Display| JournalError::Damaged(format!("event {seq} of lane {lane}: {error}"));
    let kind = stored.read().map_err(|error| damaged(&error))?;
    let at = Timestamp::from_millisecond(stored.at_ms).map_err(|error| damaged(&error))?;
    Ok(Event { lane, seq, at, kind })
}

/// Appends one event of the run itself, as [`append_to`] does.
pub(crate) fn append_of_run(
    journal: &mut Journal,
    log: &mut dyn Log,
    run: RunKey,
    event: RunEvent,
    most: Option<Duration>,
) -> Result<Event, JournalError> {
    let mut events = [Event::unnumbered(LaneId::RUN, None, event.into())];
    append_to(journal, log, run, &mut events, most)?;
    let [event] = events;
    Ok(event)
}
