//! Restoring a log: what a journal has and the log of its run lacks is written to it again, if nothing in it is another than in the
//! journal.
//!
//! Whoever restores is a writer like any other: it commits behind what it read, and is refused where another one was faster. Each commit
//! is a beginning of what is written, so that one that is cut off is finished by the same again.

use std::collections::BTreeMap;

use async_nats::jetstream;
use tokio::runtime::Handle;

use super::log::StreamLog;
use super::message::{LARGEST, WriterId};
use super::replay::ComparedLog;
use super::stream::{Names, NoStream, set_up};
use crate::event::lane::LaneId;
use crate::journal::chain::genesis;
use crate::journal::stamped::{LaneHead, Stamped};
use crate::journal::stored::StoredEvent;
use crate::journal::{Journal, JournalError, RunKey};
use crate::log::appending::NotAppended;
use crate::log::seam::{Log as _, commit_patiently};

/// Bytes of an event besides its text, at most.
const BESIDES: usize = 128;

/// Reason for which a log was not restored.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotRestored {
    #[error(transparent)]
    NoStream(#[from] NoStream),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Log of a run that is written to again, and the journal that has all of it.
pub(super) struct Restoring<'j> {
    pub(super) runtime: &'j Handle,
    pub(super) jetstream: &'j jetstream::Context,
    pub(super) names: Names,
    pub(super) n_replicas: usize,
    pub(super) journal: &'j Journal,
    pub(super) run: RunKey,
}

impl Restoring<'_> {
    /// Writes what the log lacks, event by event in the order of their times. A stream that is gone is made anew, with the run as it was
    /// made.
    pub(super) fn write(self, run_id: &str, compared: &ComparedLog) -> Result<(), NotRestored> {
        let Self { runtime, jetstream, names, n_replicas, journal, run } = self;
        let stream = runtime.block_on(set_up(jetstream, &names, n_replicas))?;
        let writer = WriterId::of_launch(journal.run(run)?.launches);
        let place = &compared.place;
        let (last, succession) = (place.last, place.succession());
        let mut log = StreamLog::behind(last, succession, writer, runtime.clone(), jetstream.clone(), stream, names);
        log.make(&journal.copy_of_run(run)?)?;
        let heads =
            compared.lacking.keys().map(|lane| (*lane, place.head(*lane).unwrap_or((0, genesis(run_id, *lane)))));
        let mut again = Again { log, heads: heads.collect(), batch: Stamped::default(), bytes: 0 };
        let behind: BTreeMap<LaneId, u64> = again.heads.iter().map(|(lane, (seq, _))| (*lane, *seq)).collect();
        journal.for_each_event_behind(run, &behind, |event| again.put(&event))?;
        Ok(again.commit()?)
    }
}

/// Events that are about to be written again, a bounded number at once.
struct Again {
    log: StreamLog,
    heads: BTreeMap<LaneId, LaneHead>,
    batch: Stamped,
    bytes: usize,
}

impl Again {
    fn put(&mut self, event: &StoredEvent<'_>) -> Result<(), JournalError> {
        let head = self.heads.get_mut(&event.lane).expect("events of these lanes alone are asked for");
        self.batch.put_verbatim(event, head).map_err(|why| JournalError::Damaged(why.to_string()))?;
        self.bytes += event.detail.len() + BESIDES;
        if self.bytes >= LARGEST { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), JournalError> {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        commit_patiently(&mut self.log, &batch).map_err(|why| NotAppended::from(why).into())
    }
}
