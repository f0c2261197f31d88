//! The seam: what a log has to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::journal::stamped::Stamped;

/// A log of one run, with one writer.
///
/// The log begins when the run has been made: the rows and the event with which the run begins are not committed to it, since there is
/// no log before there is a run. A log that outlives the machine takes them when it is begun.
pub(crate) trait Log: Send {
    /// Commits a batch of stamped events of one or several lanes. Must ensure that
    ///
    /// - all of the batch is committed, or nothing of it;
    /// - it follows what was committed before, lane by lane: where another writer has committed since, the batch is refused, and so is
    ///   each later one of this writer;
    /// - it is kept to the letter, in its order, and whoever reads the log from its beginning finds it;
    /// - it is as durable as the journal is after its own commit, at the latest when that commit returns.
    ///
    /// The journal's transaction is open meanwhile, and is committed only if this returns `Ok`: after an error or a crash the
    /// journal is a prefix of the log. A batch that is [`Committed::Apart`] is not brought again, even if the journal could not take it.
    fn commit(&mut self, batch: &Stamped) -> Result<Committed, Replaced>;

    /// Returns the leave for changes of this writer. It must have been withdrawn when a refused commit returns.
    fn hold(&self) -> Hold;
}

/// Durability of a batch that a log has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    /// In the log, whatever becomes of the journal's transaction.
    #[cfg_attr(not(test), expect(dead_code, reason = "the journal is the only log that is built in"))]
    Apart,
    /// With the journal's transaction.
    WithJournal,
}

/// Leave for changes to go out, shared by log, writer and those who send. It costs one load, so that it can be asked as the last thing
/// before a change leaves: one whose intent was committed may wait for its pace while another writer takes the run over. What remains
/// between the question and the wire is the time to sign the request and to connect.
#[derive(Clone, Default)]
pub(crate) struct Hold {
    is_withdrawn: Arc<AtomicBool>,
}

impl Hold {
    /// Tells that nobody else can have taken the run over, and that the writer goes on.
    pub(crate) fn is_held(&self) -> bool {
        !self.is_withdrawn.load(Ordering::Acquire)
    }

    /// Withdraws the leave for good.
    pub(crate) fn withdraw(&self) {
        self.is_withdrawn.store(true, Ordering::Release);
    }
}

/// Another writer has committed to the log since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replaced;
