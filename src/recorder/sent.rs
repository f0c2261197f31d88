//! Count of the changes that a launch has sent, as far as it knows.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::observer::Observer;
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::outcome::Outcome;
use crate::event::row::RowEvent;
use crate::model::SourceId;

/// Shared by the observer that counts and whoever asks. Attempts whose end is not known count: they may have left.
#[derive(Clone, Default)]
pub(crate) struct Sent(Arc<AtomicU64>);

impl Sent {
    pub(crate) fn n(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Observer for Sent {
    fn on_event(&mut self, event: &Event, _: Option<&SourceId>) -> io::Result<()> {
        if let EventKind::Row(_, RowEvent::AttemptStarted { .. }) = event.kind {
            self.0.fetch_add(1, Ordering::Relaxed);
        } else if let EventKind::Row(_, RowEvent::AttemptEnded { outcome: Outcome::Unsent { .. }, .. }) = event.kind {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
