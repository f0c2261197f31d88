//! Records beside a journal that is lost.

use std::collections::HashMap;

use super::batch::Batch;
use super::kept::Kept;
use super::observer::Observer as _;
use super::sent::Sent;
use crate::event::lane::LaneId;
use crate::journal::JournalError;

/// Destination of what is still heard of earlier requests once the journal takes nothing. Nothing new is sent any more.
pub(super) struct Apart {
    kept: Kept,
    sent: Sent,
    /// Number of the last event of each lane, counted from here.
    seqs: HashMap<LaneId, u64>,
}

impl Apart {
    pub(super) fn new(kept: Kept, sent: Sent) -> Self {
        Self { kept, sent, seqs: HashMap::new() }
    }

    /// Writes the batch to the list of what was sent. Fails if that cannot be written either.
    pub(super) fn take(&mut self, batch: &mut Batch) -> Result<(), JournalError> {
        for (event, source) in batch.with_sources() {
            let seq = self.seqs.entry(event.lane).or_default();
            *seq += 1;
            event.seq = *seq;
            let written = self.kept.on_event(event, source).and_then(|()| self.sent.on_event(event, source));
            written.map_err(|_| JournalError::NotOurs)?;
        }
        Ok(())
    }
}
