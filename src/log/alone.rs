//! The log of a machine that is alone: the journal itself. A batch becomes durable with the journal's own transaction: there is no
//! second commit and no second sync.

use std::time::Duration;

use jiff::Timestamp;

use super::appending::{append, append_taken, events_of};
use super::beat::Beat;
use super::making::make_run;
use super::seam::{Committed, Hold, Log, NotCommitted};
use super::served::ServedRun;
use super::server::{Lead, LedRun, Listening, LogServer, NotLed, NotRead};
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::lane::LaneId;
use crate::journal::new_run::{NewRun, NewlyMade, RowSink};
use crate::journal::run_copy::RunCopy;
use crate::journal::stamped::Stamped;
use crate::journal::stored::StoredEvent;
use crate::journal::{Journal, JournalError, RunKey};

/// The journal as its own log.
pub(crate) struct Alone;

impl Log for Alone {
    /// Does nothing: the rows are in the journal.
    fn make(&mut self, _: &RunCopy<'_>) -> Result<(), JournalError> {
        Ok(())
    }

    /// Does nothing: the commit of the journal's transaction follows, and that refuses a lane's head which another connection has moved.
    fn commit(&mut self, _: &Stamped) -> Result<Committed, NotCommitted> {
        Ok(Committed::WithJournal)
    }

    /// Returns a leave that the log never withdraws: nobody else carries the run as long as this process has its lock.
    fn hold(&self) -> Hold {
        Hold::without_end()
    }
}

impl LogServer for Alone {
    fn reach(&self) -> Result<(), NotRead> {
        Ok(())
    }

    fn open(&self, _: &str) -> Result<Box<dyn Log>, NotRead> {
        Ok(Box::new(Alone))
    }

    /// Does nothing: what others wrote is in the journal.
    fn catch_up(&self, _: &mut Journal, _: RunKey, _: &str) -> Result<(), NotRead> {
        Ok(())
    }

    /// Finds the run: the journal has all there are.
    fn bring(&self, journal: &mut Journal, named: &str) -> Result<RunKey, NotRead> {
        Ok(journal.find_run(named)?.key)
    }

    fn find(&self, named: &str) -> Result<String, NotRead> {
        Ok(named.to_owned())
    }

    /// Finds none: the journal alone has them.
    fn runs(&self, _: Option<&str>) -> Result<Vec<ServedRun>, NotRead> {
        Ok(Vec::new())
    }

    /// Does nothing: a run stays in its journal.
    fn forget(&self, _: &str, _: Option<&str>) -> Result<(), NotRead> {
        Ok(())
    }

    fn leaves_within(&self) -> Option<Duration> {
        None
    }

    /// Does nothing: locks on files keep the others of this machine out.
    fn lead(&self, _: &LedRun<'_>) -> Result<Box<dyn Lead>, NotLed> {
        Ok(Box::new(Alone))
    }

    fn listen(&self, _: &str) -> Result<Box<dyn Listening>, NotRead> {
        Ok(Box::new(Alone))
    }
}

impl Lead for Alone {
    /// Does nothing: nobody listens.
    fn beat(&mut self) -> Result<(), NotLed> {
        Ok(())
    }
}

impl Listening for Alone {
    /// Hears nobody.
    fn beat_within(&mut self, _: Duration) -> Option<Beat> {
        None
    }
}

/// Appends to runs that have no other log: tests and benchmarks make histories so.
impl Journal {
    /// Appends events to their lanes, durable when this returns. A history that cannot have happened is refused
    /// whole, and nothing is written.
    pub fn append(
        &mut self,
        run: RunKey,
        kinds: impl IntoIterator<Item = (LaneId, EventKind)>,
    ) -> Result<Vec<Event>, JournalError> {
        self.append_at(run, kinds.into_iter().map(|(lane, kind)| (lane, None, kind)))
    }

    /// Makes a run, fills it with rows and records its first event, all or nothing.
    pub fn create_run<E: From<JournalError>>(
        &mut self,
        new: &NewRun<'_>,
        fill: impl FnOnce(&mut RowSink<'_>) -> Result<(), E>,
    ) -> Result<NewlyMade, E> {
        make_run(self, &mut Alone, new, fill)
    }

    /// Appends events that have times of their own, as [`Journal::append`] does; an event without one gets the time of the append.
    pub fn append_at(
        &mut self,
        run: RunKey,
        kinds: impl IntoIterator<Item = (LaneId, Option<Timestamp>, EventKind)>,
    ) -> Result<Vec<Event>, JournalError> {
        let mut events: Vec<Event> =
            kinds.into_iter().map(|(lane, at, kind)| Event::unnumbered(lane, at, kind)).collect();
        append(self.begin_append(run)?, &mut Alone, &mut events)?;
        Ok(events)
    }

    /// Appends events that were stamped elsewhere: their texts are taken to the letter, and their hashes computed again. They have to
    /// follow the last ones of their lanes. Refused whole, as [`Journal::append`] does.
    pub fn append_stamped(&mut self, run: RunKey, stored: &[StoredEvent<'_>]) -> Result<Vec<Event>, JournalError> {
        let events = events_of(stored)?;
        append_taken(self.begin_append(run)?, &events, stored)?;
        Ok(events)
    }
}
