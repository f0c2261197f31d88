//! A log in memory that several writers share, for tests: each of them has a handle.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::seam::{Committed, Hold, Log, NotCommitted};
use crate::clock::since_boot;
use crate::event::lane::LaneId;
use crate::journal::JournalError;
use crate::journal::chain::Hash;
use crate::journal::run_copy::RunCopy;
use crate::journal::stamped::Stamped;
use crate::journal::stored::StoredEvent;

/// Text of one event as it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    pub(crate) lane: LaneId,
    pub(crate) seq: u64,
    pub(crate) at_ms: i64,
    pub(crate) kind: String,
    pub(super) row: Option<u32>,
    pub(super) detail: String,
    pub(super) prev: Hash,
    pub(super) hash: Hash,
}

impl LogLine {
    pub(crate) fn new(event: &StoredEvent<'_>) -> Self {
        let &StoredEvent { lane, seq, at_ms, kind, row, detail, prev, hash } = event;
        Self { lane, seq, at_ms, kind: kind.to_owned(), row, detail: detail.to_owned(), prev, hash }
    }

    pub(super) fn stored(&self) -> StoredEvent<'_> {
        let LogLine { lane, seq, at_ms, ref kind, row, ref detail, prev, hash } = *self;
        StoredEvent { lane, seq, at_ms, kind, row, detail, prev, hash }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<LogOfAll>);

#[derive(Default)]
struct LogOfAll {
    lines: Mutex<Vec<LogLine>>,
    way: Mutex<WayThere>,
    changed: Condvar,
}

/// Way to the log. A commit waits while there is none.
#[derive(Default)]
struct WayThere {
    is_cut: bool,
    n_intents: usize,
    /// Number of intents behind which the way is cut.
    cut_behind: Option<usize>,
    is_missed: bool,
    /// Commits without events.
    n_empty: usize,
}

impl Shared {
    pub(crate) fn lines(&self) -> MutexGuard<'_, Vec<LogLine>> {
        self.0.lines.lock().unwrap()
    }

    pub(crate) fn n_empty(&self) -> usize {
        self.0.way.lock().unwrap().n_empty
    }

    /// Cuts the way to the log as soon as it has so many intents.
    pub(crate) fn cut_behind_intents(&self, n: usize) {
        self.0.way.lock().unwrap().cut_behind = Some(n);
    }

    /// Waits until a commit waits for the way that was cut, or for twenty seconds.
    pub(crate) fn wait_until_missed(&self) {
        let way = self.0.way.lock().unwrap();
        drop(self.0.changed.wait_timeout_while(way, Duration::from_secs(20), |way| !way.is_missed).unwrap());
    }

    pub(crate) fn mend(&self) {
        let mut way = self.0.way.lock().unwrap();
        (way.is_cut, way.cut_behind) = (false, None);
        self.0.changed.notify_all();
    }

    /// Cuts the way to the log.
    pub(crate) fn cut(&self) {
        self.0.way.lock().unwrap().is_cut = true;
    }

    /// Tells whether a batch comes to the log at once.
    fn is_open(&self) -> bool {
        let mut way = self.0.way.lock().unwrap();
        way.is_missed |= way.is_cut;
        self.0.changed.notify_all();
        !way.is_cut
    }

    /// Waits until a batch can come to the log.
    fn wait_until_open(&self) {
        let way = self.0.way.lock().unwrap();
        drop(self.0.changed.wait_while(way, |way| way.is_cut).unwrap());
    }

    fn came(&self, batch: &[LogLine]) {
        let mut way = self.0.way.lock().unwrap();
        way.n_empty += usize::from(batch.is_empty());
        way.n_intents += batch.iter().filter(|event| event.kind == "attempt_started").count();
        way.is_cut = way.cut_behind.is_some_and(|n| way.n_intents >= n);
    }
}

pub(crate) struct Memory {
    shared: Shared,
    /// Events that the log has as far as this writer knows.
    n_known: usize,
    hold: Hold,
    /// Time for which a commit extends the hold; `None` if that has no end.
    held_for: Option<Duration>,
    /// Batch that has not come to the log.
    open: Vec<LogLine>,
}

impl Memory {
    /// A writer that goes on behind all that is there.
    pub(crate) fn new(shared: &Shared) -> Self {
        let (n_known, hold) = (shared.lines().len(), Hold::without_end());
        Self { shared: shared.clone(), n_known, hold, held_for: None, open: Vec::new() }
    }

    /// A writer that holds the run for so long behind each commit.
    pub(crate) fn held_for(shared: &Shared, time: Duration) -> Self {
        Self { hold: Hold::lapsed(), held_for: Some(time), ..Self::new(shared) }
    }

    /// Has the log take the batch that is open.
    fn take(&mut self) -> Result<(), NotCommitted> {
        let batch = std::mem::take(&mut self.open);
        self.shared.came(&batch);
        let mut lines = self.shared.lines();
        if self.hold.is_withdrawn() || lines.len() != self.n_known {
            self.hold.withdraw();
            return Err(NotCommitted::Replaced);
        }
        let mut heads: BTreeMap<LaneId, Hash> = lines.iter().map(|line| (line.lane, line.hash)).collect();
        for event in &batch {
            let before = heads.insert(event.lane, event.hash);
            assert!(before.is_none_or(|before| before == event.prev), "a batch follows what was committed");
        }
        lines.extend(batch);
        self.n_known = lines.len();
        if let Some(time) = self.held_for {
            self.hold.extend(since_boot() + time);
        }
        Ok(())
    }
}

impl Log for Memory {
    /// Does nothing: whoever reads the log has the run.
    fn make(&mut self, _: &RunCopy<'_>) -> Result<(), JournalError> {
        Ok(())
    }

    fn commit(&mut self, batch: &Stamped) -> Result<Committed, NotCommitted> {
        self.open = batch.iter().map(|event| LogLine::new(&event)).collect();
        if !self.shared.is_open() {
            return Err(NotCommitted::Unanswered);
        }
        self.take().map(|()| Committed::Apart)
    }

    fn settle(&mut self, _most: Option<Duration>) -> Result<(), NotCommitted> {
        self.shared.wait_until_open();
        self.take()
    }

    fn hold(&self) -> Hold {
        self.hold.clone()
    }
}
