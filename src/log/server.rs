//! The server of logs, which a process asks for all that several machines have to agree about: the log of each run, what others wrote
//! to it, and who leads the run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::beat::Beat;
use super::seam::Log;
use super::served::ServedRun;
use crate::control::{By, Command};
use crate::event::lane::LaneId;
use crate::hands::{AtWork, Hands, ServedTarget, Serving};
use crate::journal::read::runs::RunRecord;
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

    /// Writes to the log of a run again what the journal has and the log lacks, if nothing in it is another than in the journal, nobody
    /// leads the run, and that is agreed to.
    fn restore(
        &self,
        _journal: &Journal,
        _run: RunKey,
        run_id: &str,
        _agrees: &mut dyn FnMut(&Lacked) -> bool,
    ) -> Result<Restored, NotLed> {
        Err(NotRead::JournalAlone(run_id.to_owned()).into())
    }

    /// Copies a run, which is found by its id, its key or the beginning of its id, into a journal that has it not; catches it up in one that has it.
    fn bring(&self, journal: &mut Journal, named: &str) -> Result<RunKey, NotRead>;

    /// Finds a run by its id, its key, or the beginning of its id.
    fn find(&self, named: &str) -> Result<String, NotRead>;

    /// Looks at all runs, in the order of their ids, or at the one of this id.
    fn runs(&self, id: Option<&str>) -> Result<Vec<ServedRun>, NotRead>;

    /// Returns the id of the run that has a key on the servers, made or about to be.
    fn run_of_key(&self, _run_key: &str) -> Result<Option<String>, NotRead> {
        Ok(None)
    }

    /// Removes a run with all of its log, and frees its key.
    fn forget(&self, id: &str, run_key: Option<&str>) -> Result<(), NotRead>;

    /// Tells whether a launch that leads the run is heard.
    fn leads(&self, _run_id: &str) -> Result<bool, NotRead> {
        Ok(false)
    }

    /// Leaves a command for the next launch of a run, wherever that is.
    fn leave(&self, run_id: &str, _command: &Command, _by: &By) -> Result<(), NotRead> {
        Err(NotRead::NoRun(run_id.to_owned()))
    }

    /// Asks the launch that leads a run to take a command, and waits for that at most so long.
    fn ask(&self, run_id: &str, _command: &Command, _by: &By, _within: Duration) -> Result<ControlAnswer, NotRead> {
        Err(NotRead::NoRun(run_id.to_owned()))
    }

    /// Gives to the launch of a run, by its journal, what is asked of it elsewhere, until the returned value is dropped. What was asked
    /// before is given when this returns.
    fn attend(&self, _journal: &Path, _run: RunKey, _run_id: &str) -> Result<Box<dyn Send>, NotRead> {
        Ok(Box::new(()))
    }

    /// Time within which a change that asked for the hold is on its way or is never sent: whoever takes the run over waits for longer.
    /// `None` where nobody can.
    fn leaves_within(&self) -> Option<Duration>;

    /// Takes the lead of a run: nobody else leads it, as far as can be heard, and no other run has one of its accounts or its key. It is
    /// decided by the first commit of the launch, which is refused where another one was faster. The run may not be made yet.
    fn lead(&self, led: &LedRun<'_>) -> Result<Box<dyn Lead>, NotLed>;

    /// Returns the workers that are heard by these servers; `None` where there can be none.
    fn hands(&self) -> Result<Option<Arc<dyn Hands>>, NotRead> {
        Ok(None)
    }

    /// Begins to serve targets for launches elsewhere; `None` where nobody can ask.
    fn serve(&self, _: Vec<ServedTarget>, _: Arc<dyn Serving>) -> Result<Option<Box<dyn AtWork>>, NotRead> {
        Ok(None)
    }

    /// Begins to listen for whoever leads a run.
    fn listen(&self, run_id: &str) -> Result<Box<dyn Listening>, NotRead>;
}

/// Anything that a journal has and the log of its run lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "the journal is the log of a machine that is alone"))]
pub(crate) enum Lacked {
    /// All events are there, and the run as it was made is not, or not all of it.
    Making,
    Events {
        n_events: u64,
        /// First of the lanes that lack any, and the last event of it that the log has; 0 for none.
        lane: LaneId,
        behind: u64,
        n_lanes: usize,
    },
}

/// End of restoring a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "the journal is the log of a machine that is alone"))]
pub(crate) enum Restored {
    /// The log has all that the journal has.
    NothingLacked,
    NotAgreed,
    Written,
}

/// Answer of the launch that leads a run to a command from another machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "nobody asks a machine that is alone"))]
pub(crate) enum ControlAnswer {
    Taken,
    /// Not taken in time, and withdrawn.
    NotTaken,
    /// The launch ended before it took the command.
    Ended,
}

/// Lead of a run. Once it is dropped, nothing is told any more, and accounts are given back unless the launch began and did not end.
pub(crate) trait Lead: Send {
    /// Tells all others each second, from here on, that the run is led. For a launch whose first commit is in the log: an error if another
    /// run has taken an account meanwhile, so that this launch must not send anything.
    fn beat(&mut self) -> Result<(), NotLed>;
}

/// Ear for the beats of a run.
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone listens to nobody"))]
pub(crate) trait Listening: Send {
    /// Returns the next beat, if there is one in that time.
    fn beat_within(&mut self, time: Duration) -> Option<Beat>;
}

/// Run to be led, with all that nobody else may have meanwhile.
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone asks nobody"))]
pub(crate) struct LedRun<'r> {
    pub(crate) id: &'r str,
    /// Number of the launch that is to lead it.
    pub(crate) launch: u32,
    pub(crate) accounts: &'r [LedAccount],
    /// Key by which a timetable names the run.
    pub(crate) run_key: Option<&'r str>,
    pub(crate) before: Before,
    /// Time of the last event of the run.
    pub(crate) last_event: Option<Timestamp>,
}

/// Account of a run, to be used by no other run.
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone asks nobody"))]
pub(crate) struct LedAccount {
    /// Digest of endpoint and account, the same on all hosts.
    pub(crate) key: String,
    pub(crate) name: String,
}

/// Launch before the one that is to lead a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// No launch, or one that ended in order.
    Ended,
    /// Launch that did not end, and may go on elsewhere.
    NotEnded,
    /// Launch that did not end, and was not heard any more.
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone listens to nobody"))]
    Unheard,
}

impl Before {
    pub(crate) fn of_run(run: &RunRecord) -> Self {
        if run.running { Before::NotEnded } else { Before::Ended }
    }
}

/// Reason for which the log of a run was not read. A text of what is wrong with it names lane and message.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(not(any(test, feature = "cluster")), expect(dead_code, reason = "the journal is read by itself"))]
pub(crate) enum NotRead {
    #[error("the log of run {} is not what it was: {why}; nothing was sent", plain(run))]
    Untrue { run: String, why: String },
    /// The log lost something that the journal may have.
    #[error("the log of run {} is not what it was: {why}; nothing was sent", plain(run))]
    Lost { run: String, why: String },
    /// Nothing can be written behind what is left of the log.
    #[error("the log of run {} cannot be gone on with: {why}; nothing was sent", plain(run))]
    Unfit { run: String, why: String },
    #[error("run {} has no log besides its journal: there is nothing to restore", plain(.0))]
    JournalAlone(String),
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
    /// Bucket of the claims that may lose what is in it.
    #[error("the bucket `cutover` on the servers of the log is not set as it has to be: {0}; nothing was sent")]
    UnfitBucket(String),
    #[error("run {} was not made to the end: the servers of the log have not all of its rows, and nothing was sent for it", plain(.0))]
    Unmade(String),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Reason for which a run is not led by this process.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(not(any(test, feature = "cluster")), expect(dead_code, reason = "a machine that is alone leads its runs"))]
pub(crate) enum NotLed {
    #[error("{}; nothing was sent", led_by(run, by.as_deref()))]
    Led { run: String, by: Option<Box<Owner>> },
    #[error("{}; nothing was sent", taken_by(account, run, by))]
    AccountTaken { account: String, run: String, by: Box<Owner> },
    #[error("{}; nothing was sent", left_by(account, run, by))]
    AccountLeft { account: String, run: String, by: Box<Owner> },
    #[error("something that this cutover cannot read is recorded for `{}`; nothing was sent", plain(.0))]
    ClaimUnread(String),
    #[error(
        "the run key `{}` is that of run {} on the servers of the log; nothing was sent",
        plain(run_key),
        plain(run)
    )]
    KeyTaken { run_key: String, run: String },
    #[error("the clock of this machine has {here:.0}, and {} {there:.0}; nothing was sent", plain(clock))]
    OtherClock { clock: String, there: Timestamp, here: Timestamp },
    #[error(transparent)]
    Log(#[from] NotRead),
}

fn led_by(run: &str, by: Option<&Owner>) -> String {
    let by = by.map_or_else(|| "it does not say who it is".to_owned(), ToString::to_string);
    format!("another launch leads run {}: {by}", plain(run))
}

fn taken_by(account: &str, run: &str, by: &Owner) -> String {
    format!("the account `{}` is that of run {}, which goes on elsewhere ({by})", plain(account), plain(run))
}

fn left_by(account: &str, run: &str, by: &Owner) -> String {
    format!(
        "the account `{}` is that of run {}, which has not ended, and of whose launch nothing is heard ({by})",
        plain(account),
        plain(run)
    )
}

/// Somebody on another machine who keeps a launch from its run. In words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeldElsewhere {
    /// Launch that is heard.
    ByLaunch(String),
    /// Run that nobody is heard to go on with: until somebody does, it keeps what it has.
    ByRun(String),
}

impl NotLed {
    /// Tells who keeps the launch from its run, if that can pass by itself.
    pub(crate) fn held_elsewhere(&self) -> Option<HeldElsewhere> {
        match self {
            NotLed::Led { run, by } => Some(HeldElsewhere::ByLaunch(led_by(run, by.as_deref()))),
            NotLed::AccountTaken { account, run, by } => Some(HeldElsewhere::ByLaunch(taken_by(account, run, by))),
            NotLed::AccountLeft { account, run, by } => Some(HeldElsewhere::ByRun(left_by(account, run, by))),
            NotLed::ClaimUnread(_) | NotLed::KeyTaken { .. } | NotLed::OtherClock { .. } | NotLed::Log(_) => None,
        }
    }
}

/// Largest difference between two clocks with which a launch takes a run over: what it recorded would have times that mean nothing.
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone has one clock"))]
pub(crate) const APART: Duration = Duration::from_secs(30);
