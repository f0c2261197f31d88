//! The seam: what a log has to be.

use crate::journal::stamped::Stamped;

/// A log of one run, with one writer.
pub(crate) trait Log: Send {
    /// Commits a batch of stamped events of one or several lanes. Must ensure that
    ///
    /// - all of the batch is committed, or nothing of it;
    /// - it follows what was committed before, lane by lane: where another writer has committed since, the batch is refused, and so is
    ///   each later one of this writer;
    /// - it is kept to the letter, in its order, and whoever reads the log from its beginning finds it;
    /// - it is as durable as the journal is after its own commit, at the latest when that commit returns.
    ///
    /// It is called within the journal's transaction, which is committed only if this returns `Ok`: after an error or a crash the
    /// journal is a prefix of the log.
    fn commit(&mut self, batch: &Stamped) -> Result<(), Replaced>;

    /// Tells that a change may still leave: nobody else can have taken the run over. Must never say so after a commit was refused.
    /// Meant to be asked as the last thing before a change leaves, because one that was committed may wait for its pace while another
    /// writer takes over.
    #[cfg_attr(not(test), expect(dead_code, reason = "the run's lock says the same as long as no log is shared"))]
    fn hold(&self) -> bool;
}

/// Another writer has committed to the log since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replaced;
