//! Choice of the log of each run.

use std::sync::Arc;

use super::alone::Alone;
use super::seam::Log;

/// Opener of the logs of runs. All that one process opens for a run are one writer to that run's log.
#[derive(Clone)]
pub(crate) struct Logs(Arc<Open>);

/// Function from the id of a run to its log.
type Open = dyn Fn(&str) -> Box<dyn Log> + Send + Sync;

impl Logs {
    /// The journal is the log of each of its runs.
    pub(crate) fn alone() -> Self {
        Self(Arc::new(|_| Box::new(Alone)))
    }

    #[cfg(test)]
    pub(crate) fn opened_by(open: impl Fn(&str) -> Box<dyn Log> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    /// Opens the log of the run with this id, behind all that is there.
    pub(crate) fn of_run(&self, id: &str) -> Box<dyn Log> {
        (self.0)(id)
    }
}
