//! A log in memory that several writers share, for tests: each of them has a handle.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::seam::{Committed, Hold, Log, NotCommitted};
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
    pub(super) at_ms: i64,
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
pub(crate) struct Shared(Arc<Mutex<Vec<LogLine>>>);

impl Shared {
    pub(crate) fn lines(&self) -> MutexGuard<'_, Vec<LogLine>> {
        self.0.lock().unwrap()
    }
}

pub(crate) struct Memory {
    shared: Shared,
    /// Events that the log has as far as this writer knows.
    n_known: usize,
    hold: Hold,
}

impl Memory {
    /// A writer that goes on behind all that is there.
    pub(crate) fn new(shared: &Shared) -> Self {
        Self { shared: shared.clone(), n_known: shared.lines().len(), hold: Hold::without_end() }
    }
}

impl Log for Memory {
    /// Does nothing: whoever reads the log has the run.
    fn make(&mut self, _: &RunCopy<'_>) -> Result<(), JournalError> {
        Ok(())
    }

    fn commit(&mut self, batch: &Stamped) -> Result<Committed, NotCommitted> {
        let mut lines = self.shared.lines();
        if !self.hold.is_held() || lines.len() != self.n_known {
            self.hold.withdraw();
            return Err(NotCommitted::Replaced);
        }
        let mut heads: BTreeMap<LaneId, Hash> = lines.iter().map(|line| (line.lane, line.hash)).collect();
        for event in batch.iter() {
            let before = heads.insert(event.lane, event.hash);
            assert!(before.is_none_or(|before| before == event.prev), "a batch follows what was committed");
        }
        lines.extend(batch.iter().map(|event| LogLine::new(&event)));
        self.n_known = lines.len();
        Ok(Committed::Apart)
    }

    fn hold(&self) -> Hold {
        self.hold.clone()
    }
}
