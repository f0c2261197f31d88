//! Record of who makes the requests of a lane.

use std::sync::{Mutex, PoisonError};

use crate::event::lane::LaneEvent;
use crate::remote::service::MadeBy;

/// Maker of the lane's requests as it was recorded last: this process, as long as nothing was.
pub(super) struct RecordedMaker(Mutex<MadeBy>);

impl Default for RecordedMaker {
    fn default() -> Self {
        Self(Mutex::new(MadeBy::Here))
    }
}

impl RecordedMaker {
    /// Notes who makes the requests now. Returns what is to be recorded of it, if that is new.
    pub(super) fn note(&self, made_by: MadeBy) -> Option<LaneEvent> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == made_by {
            return None;
        }
        last.clone_from(&made_by);
        match made_by {
            MadeBy::Here => None,
            MadeBy::Worker(via) => Some(LaneEvent::Served { via }),
        }
    }
}
