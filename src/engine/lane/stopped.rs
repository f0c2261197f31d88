//! Reason for which a lane stopped, and what may still be done in it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::stop::Stop;
use crate::event::lane::LaneStop;

/// Reason and message of the first stop of a lane; later ones change nothing.
#[derive(Default)]
pub(crate) struct Stopped {
    first: Mutex<Option<(LaneStop, String)>>,
    /// Reads are not answered by the service either.
    reads_shut: AtomicBool,
    /// An event was refused by the journal, because it cannot follow those before it.
    refused: AtomicBool,
}

impl Stopped {
    pub(crate) fn first(&self) -> Option<(LaneStop, String)> {
        self.locked().clone()
    }

    /// Stops the lane at once. Returns false if it had stopped already.
    pub(crate) fn stop(&self, stop: &Stop, cause: LaneStop, message: &str) -> bool {
        let mut first = self.locked();
        if first.is_some() {
            return false;
        }
        *first = Some((cause, message.to_owned()));
        if lets_look(cause) {
            stop.drain_lane();
        } else {
            stop.shut_lane();
        }
        true
    }

    /// Drains the lane because the journal refused an event of it. The refusal cannot be recorded in the lane, and is told at
    /// the end.
    pub(crate) fn refuse(&self, stop: &Stop) {
        self.refused.store(true, Ordering::Relaxed);
        stop.drain_lane();
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn shut_reads(&self) {
        self.reads_shut.store(true, Ordering::Relaxed);
    }

    /// Tells that the service lets nobody of the lane read either.
    pub(crate) fn is_shut(&self) -> bool {
        self.locked().as_ref().is_some_and(|(cause, _)| match cause {
            LaneStop::Forbidden => false,
            LaneStop::NotTheService => self.reads_shut.load(Ordering::Relaxed),
            LaneStop::Unauthenticated
            | LaneStop::NoCredentials
            | LaneStop::Barred
            | LaneStop::Unreachable
            | LaneStop::Throttled => true,
        })
    }

    fn locked(&self) -> MutexGuard<'_, Option<(LaneStop, String)>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells that a lane which has stopped for this may still look.
fn lets_look(cause: LaneStop) -> bool {
    match cause {
        LaneStop::Forbidden | LaneStop::NotTheService => true,
        LaneStop::Unauthenticated
        | LaneStop::NoCredentials
        | LaneStop::Barred
        | LaneStop::Throttled
        | LaneStop::Unreachable => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_stands_and_says_what_may_still_be_done() {
        for (cause, is_shut) in [
            (LaneStop::Forbidden, false),
            (LaneStop::NotTheService, false),
            (LaneStop::Unauthenticated, true),
            (LaneStop::Throttled, true),
        ] {
            let (stop, stopped) = (Stop::default().of_lane(), Stopped::default());
            assert!(!stopped.is_shut());
            assert!(stopped.stop(&stop, cause, "the first"));
            assert!(!stopped.stop(&stop, LaneStop::Barred, "another"));
            assert_eq!(stopped.first(), Some((cause, "the first".to_owned())));
            assert!(stop.is_draining());
            assert_eq!(stopped.is_shut(), is_shut, "{cause:?}");
        }
    }

    #[test]
    fn a_lane_that_the_service_does_not_answer_reads_until_reads_go_unanswered_too() {
        let (stop, stopped) = (Stop::default().of_lane(), Stopped::default());
        stopped.stop(&stop, LaneStop::NotTheService, "");
        assert!(!stopped.is_shut());
        stopped.shut_reads();
        assert!(stopped.is_shut());
    }
}
