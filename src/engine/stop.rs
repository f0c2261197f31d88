//! How a run is asked to end: drain (start nothing new) and abort (let go of what is on the wire).

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::event::DrainReason;

/// Cheap to clone; every clone is the same stop.
#[derive(Clone, Default)]
pub(crate) struct Stop {
    drain: CancellationToken,
    abort: CancellationToken,
    reason: Arc<Mutex<Option<DrainReason>>>,
}

impl Stop {
    /// Starts nothing new from here on. The first reason is the one that is told.
    pub(crate) fn drain(&self, reason: DrainReason) {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.drain.cancel();
    }

    /// Also lets go of requests on the wire: their rows stay in doubt.
    pub(crate) fn abort(&self) {
        self.drain.cancel();
        self.abort.cancel();
    }

    pub(crate) fn reason(&self) -> Option<DrainReason> {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the work gives, or none as soon as nothing new may be started.
    pub(crate) async fn unless_draining<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.drain.run_until_cancelled(work).await
    }

    /// What the work gives, or none as soon as everything is let go.
    pub(crate) async fn unless_aborting<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.abort.run_until_cancelled(work).await
    }
}
