//! The seam behind which events are committed: a log takes a batch before the journal does, so that the journal never holds what the
//! log does not.
//!
//! With one machine the log is the journal itself (`alone`). A log that several machines share implements the same trait, passes the
//! same `suite`, and leaves everything else as it is: the journal stays the projection that is read.

pub(crate) mod alone;
pub(crate) mod appending;
#[cfg_attr(not(any(test, feature = "cluster")), expect(dead_code, reason = "the journal is never away"))]
pub(crate) mod away;
pub(crate) mod beat;
#[cfg(feature = "cluster")]
pub(crate) mod head_watch;
pub(crate) mod logs;
pub(crate) mod making;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod seam;
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "the journal is the only server that is built in"))]
pub(crate) mod served;
pub(crate) mod server;
pub(crate) mod stamp;
#[cfg(test)]
pub(crate) mod suite;
