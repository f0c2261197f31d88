//! The server of logs, which a process asks for all that several machines have to agree about: the log of each run, what others wrote
//! to it, and who leads the run.

use std::time::Duration;

use super::seam::Log;
use crate::journal::{Journal, JournalError, RunKey};
use crate::lock::Owner;
use crate::wording::plain::plain;

/// Server of the logs of runs. Connects when it is first asked for something, and answers within a bound or not at all.
pub(crate) trait LogServer: Send + Sync {
    /// Looks whether it can be asked at all, so that a launch which nothing could be logged of is refused before anything is made.
    fn reach(&self) -> Result<(), NotRead>;

    /// Opens the log of the run with this id, behind all that this process read of it or committed to it. All logs that one process
    /// opens of a run are one writer to it.
    fn open(&self, run_id: &str) -> Result<Box<dyn Log>, NotRead>;

    /// Reads into the journal what others committed to the log of a run since, and compares the rest.
    fn catch_up(&self, journal: &mut Journal, run: RunKey, run_id: &str) -> Result<(), NotRead>;

    /// Copies a run, which is found by its id or the beginning of one, into a journal that has it not; catches it up in one that has it.
    fn bring(&self, journal: &mut Journal, named: &str) -> Result<RunKey, NotRead>;

    /// Time within which a change that asked for the hold is on its way or is never sent: whoever takes the run over waits for longer.
    /// `None` where nobody can.
    fn leaves_within(&self) -> Option<Duration>;

    /// Takes the lead of a run: nobody else may lead it, nor another run with one of its accounts, until what is returned is dropped.
    fn lead(&self, led: &LedRun<'_>) -> Result<Box<dyn Lead>, NotLed>;
}

/// Lead of a run, which is given back when this is dropped.
pub(crate) trait Lead: Send {
    /// Tells all others each second, from here on, that the run is led.
    #[cfg_attr(not(test), expect(dead_code, reason = "no launch takes a lead yet"))]
    fn beat(&mut self);
}

/// Run to be led, with all that nobody else may lead meanwhile.
pub(crate) struct LedRun<'r> {
    #[expect(dead_code, reason = "no launch takes a lead yet")]
    pub(crate) id: &'r str,
    /// Endpoint and account of each lane.
    #[expect(dead_code, reason = "no launch takes a lead yet")]
    pub(crate) accounts: &'r [(String, String)],
}

/// Reason for which the log of a run was not read. A text of what is wrong with it names lane and message.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(not(any(test, feature = "cluster")), expect(dead_code, reason = "the journal is read by itself"))]
pub(crate) enum NotRead {
    #[error("the log of run {} is not what it was: {why}; nothing was sent", plain(run))]
    Untrue { run: String, why: String },
    #[error("the log of run {} was written by a newer cutover: {why}", plain(run))]
    Newer { run: String, why: String },
    /// Each server with the reason, without what is secret.
    #[error("the servers of the log cannot be used: {0}")]
    Unreachable(String),
    /// Secret for the servers that cannot be read, or is refused; the text has nothing of it.
    #[error("the servers of the log are not open to this process: {0}")]
    NotOpen(String),
    #[error("there is no run `{}` on the servers of the log", plain(.0))]
    NoRun(String),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Reason for which a run is not led by this process.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(not(test), expect(dead_code, reason = "no launch takes a lead yet"))]
pub(crate) enum NotLed {
    #[error("another launch leads run {}: {}; nothing was sent", plain(run), by.as_ref().map_or_else(
        || "it does not say who it is".to_owned(),
        ToString::to_string))]
    Led { run: String, by: Option<Box<Owner>> },
    #[error(
        "the account `{}` is that of run {}, which goes on elsewhere ({by}); nothing was sent",
        plain(account),
        plain(run)
    )]
    AccountTaken { account: String, run: String, by: Box<Owner> },
    #[error("the clocks of this machine and of {} are {} s apart; nothing was sent", plain(host), apart.as_secs())]
    OtherClock { host: String, apart: Duration },
    /// Each server with the reason, without what is secret.
    #[error("the servers of the log cannot be used: {0}; nothing was sent")]
    Unreachable(String),
}
