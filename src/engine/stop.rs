//! How a run is asked to end: drain (start nothing new) and abort (let go of what is on the wire).

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::future::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::event::DrainReason;

/// Cheap to clone; every clone is the same stop.
#[derive(Clone)]
pub(crate) struct Stop {
    /// The whole run's.
    run: CancellationToken,
    /// This lane's; cancelled with the run's.
    drain: CancellationToken,
    abort: CancellationToken,
    reasons: Arc<Mutex<Vec<Why>>>,
}

/// A reason, and what there is to say of it.
type Why = (DrainReason, Option<String>);

impl Default for Stop {
    fn default() -> Self {
        let run = CancellationToken::new();
        Self { drain: run.child_token(), run, abort: CancellationToken::new(), reasons: Arc::default() }
    }
}

impl Stop {
    /// The stop of one lane: it ends with the run, and may end before it.
    pub(crate) fn of_lane(&self) -> Self {
        Self { drain: self.run.child_token(), ..self.clone() }
    }

    /// The whole run starts nothing new from here on. Every reason is kept: the worst of them is how the launch ends.
    pub(crate) fn drain(&self, reason: DrainReason) {
        self.drain_because(reason, None);
    }

    /// The same, with what to say of it.
    pub(crate) fn drain_because(&self, reason: DrainReason, why: Option<String>) {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).push((reason, why));
        self.run.cancel();
    }

    /// This lane alone starts nothing new.
    pub(crate) fn drain_lane(&self) {
        self.drain.cancel();
    }

    /// The whole run also lets go of requests on the wire: their rows stay in doubt.
    pub(crate) fn abort(&self) {
        self.run.cancel();
        self.abort.cancel();
    }

    pub(crate) fn has_reason(&self, reason: DrainReason) -> bool {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|(known, _)| *known == reason)
    }

    /// The first reason, of those that somebody chose, for which the run was told to stop, and what there is to say of it.
    pub(crate) fn chosen(&self) -> Option<Why> {
        let reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let chosen = |reason: DrainReason| match reason {
            DrainReason::Halted | DrainReason::Window | DrainReason::Unapproved | DrainReason::Operator => true,
            DrainReason::Interrupted
            | DrainReason::Terminated
            | DrainReason::HungUp
            | DrainReason::JournalClosed
            | DrainReason::JournalGone
            | DrainReason::Panicked => false,
        };
        reasons.iter().find(|(reason, _)| chosen(*reason)).cloned()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// What the work gives, or none as soon as nothing new may be started.
    ///
    /// No `async fn`, in which the work would lie twice: as what was given, and as what is awaited.
    pub(crate) fn unless_draining<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        work.with_cancellation_token(&self.drain)
    }

    /// What the work gives, or none as soon as everything is let go.
    pub(crate) fn unless_aborting<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        work.with_cancellation_token(&self.abort)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_stops_alone_and_the_run_stops_all() {
        let run = Stop::default();
        let (one, other) = (run.of_lane(), run.of_lane());
        one.drain_lane();
        assert!(one.is_draining() && !other.is_draining() && !run.is_draining());
        other.drain(DrainReason::JournalClosed);
        assert!(other.is_draining() && run.is_draining() && one.has_reason(DrainReason::JournalClosed));
    }
}
