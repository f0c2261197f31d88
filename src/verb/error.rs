//! Errors that end a verb. Exit and hint of each are in `advice`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use super::approval::{ApprovalError, MissingApprovals};
use crate::audit::bundle::{BadBundle, BundleForm};
use crate::audit::result::{Altered, AuditError};
use crate::credentials::error::CredentialsError;
use crate::exit::Exit;
use crate::inventory::InventoryError;
use crate::journal::JournalError;
use crate::journal::tombstone::Tombstone;
use crate::lock::LockError;
use crate::log::server::{NotLed, NotRead};
use crate::plan::error::{PlanError, ReadError};
use crate::serve::WeakToken;
use crate::settings::error::SettingsError;
use crate::settings::names::RUN_KEY;
use crate::ssh::signature::SignatureError;
use crate::transport::client::TransportError;
use crate::wording::amounts::{bounded, count};
use crate::wording::plain::plain;

/// Plan with commands that nobody trusted here.
#[derive(Debug, thiserror::Error)]
#[error(
    "the plan `{}` would run commands{}: {}; nothing was run or sent",
    plan.display(),
    if *was_trusted { ", which are not those that were trusted" } else { ", and these are not trusted" },
    bounded(commands)
)]
pub(crate) struct UntrustedHooks {
    pub(crate) plan: PathBuf,
    /// Each hook with its command.
    pub(crate) commands: Vec<String>,
    /// Other ones were trusted at this place.
    pub(crate) was_trusted: bool,
}

/// Launch that somebody ended while a commit waited for the servers of its log.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} while the servers of the log of run {} could not be reached: {} open, and nothing that was recorded is lost",
    exit.signal().unwrap_or("stopped"),
    plain(run),
    if *n_open == 0 { "no change is".to_owned() } else { format!("{} may be", count(*n_open, "change")) }
)]
pub(crate) struct LogAway {
    pub(crate) exit: Exit,
    pub(crate) run: String,
    /// Changes that may have left, and whose end is not recorded.
    pub(crate) n_open: u64,
    /// Command that goes on with the run.
    pub(crate) resume: String,
}

/// Command to type for a run that has ended.
#[derive(Debug)]
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone stands by for nobody"))]
pub(crate) enum AfterEnd {
    GoesOn(String),
    Shows(String),
}

/// Error that ends a verb.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("the plan `{0}` changed while it was read")]
    PlanChanged(String),
    #[error("`--account` names one account, and the plan has {n_accounts}")]
    OneAccountForSeveral { n_accounts: usize },
    #[error("the targets `{one}` and `{other}` are the same account at the same endpoint")]
    SameAccount { one: String, other: String },
    #[error("no endpoint is set{}", for_target(target.as_deref()))]
    NoEndpoint { target: Option<String> },
    #[error("the run was begun at `{begun}`, and `--{flag}` names `{named}`")]
    OtherEndpoint { begun: String, named: String, flag: &'static str },
    #[error("only the journal says that run {run} goes {way}; nothing was asked or sent")]
    SaidByJournalAlone { run: String, way: String, flags: Option<String> },
    #[error("not agreed to; nothing was asked or sent")]
    NotAgreed,
    #[error("no credentials are set{}", for_target(target.as_deref()))]
    NoCredentials { target: Option<String>, endpoint: String },
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("without a terminal nobody can be asked")]
    NoTerminal,
    #[error("the scenario {0}")]
    Scenario(String),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the journal is not what it was: {first}; nothing was sent")]
    NotAsItWas { run: String, first: String },
    #[error("{0}")]
    ShortAnchor(String),
    #[error(transparent)]
    Log(#[from] NotRead),
    #[error(transparent)]
    NotLed(#[from] NotLed),
    #[error(transparent)]
    LogAway(#[from] LogAway),
    /// Run that its log has outside of this machine.
    #[error("the log of run {} is on servers (NATS), and this cutover was built without what it takes to reach them", plain(.0))]
    #[cfg_attr(feature = "cluster", expect(dead_code, reason = "it can reach them"))]
    NeedsEngine(String),
    /// Verb that reads a run from servers, of which none are named.
    #[error("no servers are named that have the run")]
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "no verb reads a run from servers"))]
    NoServers,
    #[error("run {} stays on the servers of its log: {why}", plain(run))]
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "no verb removes a run from servers"))]
    NotForgotten { run: String, why: String },
    #[error("the account `{}` is asked by way of workers (`via`), and no servers are named by which they are reached", plain(.0))]
    WorkersWithoutServers(String),
    #[error("no profile has its credentials here: there is nothing to serve")]
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "no verb serves others"))]
    NothingToServe,
    #[error("workers have the credentials of the account `{}`, and this asks the service from here", plain(.0))]
    AtWorkers(String),
    #[error("run {} was begun without `--engine`: its journal alone has it", plain(.0))]
    BegunAlone(String),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone stands by for nobody"))]
    #[error("run {} has no log besides its journal: no other machine can lead it", plain(.0))]
    NothingToFollow(String),
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone stands by for nobody"))]
    #[error("the launch of run {} was given leave for targets without a way back, and this one is not", plain(run))]
    StandsByWithoutLeave { run: String, stand_by: String },
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone stands by for nobody"))]
    #[error("{0}; a standby has a journal of its own, on another machine")]
    FollowsItself(Box<LockError>),
    /// Run that ended before anybody stood by for it.
    #[cfg_attr(
        not(any(test, feature = "cluster")),
        expect(dead_code, reason = "a machine that is alone stands by for nobody")
    )]
    #[error(
        "run {} has ended with {} ({}){}: there is nobody to stand by for; nothing was sent",
        plain(run),
        exit.code(),
        exit.name(),
        reason.as_ref().map_or_else(String::new, |reason| format!(", {}", plain(reason)))
    )]
    EndedBefore { exit: Exit, run: String, reason: Option<String>, next: AfterEnd },
    /// A launch that stood by for another one, until a signal came.
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "a machine that is alone stands by for nobody"))]
    #[error("{why} while it stood by for run {}; nothing was sent", plain(run))]
    StoodBy { exit: Exit, why: String, run: String },
    /// A launch that waited for another one and gave up before it began.
    #[error("{why}: {held}; nothing was sent")]
    StillLocked { exit: Exit, why: String, held: String, error: Box<CommandError> },
    #[error("the run key `{}` is that of run {run}, {how}; nothing was sent", plain(run_key))]
    KeyOfAnother { run_key: String, run: String, how: String },
    /// The run of the key ended so, and is in an archive.
    #[error("{}; nothing was sent{no_report}", JournalError::Pruned(tombstone.clone()))]
    EndedAndPruned { exit: Exit, tombstone: Box<Tombstone>, no_report: String },
    #[error("`{}` {problem}", RUN_KEY)]
    BadRunKey { problem: String },
    #[error("`--new` begins a run that is no slot's, and `{}` names one", RUN_KEY)]
    NewWithKey,
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    #[error("`{id}` cannot be the id of a source: {problem}")]
    BadSource { id: String, problem: String },
    #[error("the service knows no source `{0}`")]
    NoSuchSource(String),
    #[error(
        "nothing is recorded of run {run}, not even that it began: an earlier version was cut off there, or somebody removed it, \
         so that nothing tells whether its rows are those of its plan; nothing was sent"
    )]
    NeverBegun { run: String, instead: String },
    #[error("`{}` is there already", .0.display())]
    Exists(PathBuf),
    /// A destination that exists, for a verb that never replaces one: it has no `--force`.
    #[error("`{}` is there already", .0.display())]
    Taken(PathBuf),
    #[error("{0}; nothing was sent")]
    NotApproved(MissingApprovals),
    #[error(transparent)]
    UntrustedHooks(UntrustedHooks),
    #[error("the hooks of the plan run files of its folder, and the sealed plan would stand in another")]
    SealedApart,
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    #[error("`{}` is not a sealed plan", .0.display())]
    NotSealed(PathBuf),
    #[error("{name} sealed the plan, and who seals a plan that needs several approvals gives none of them")]
    SealerApproves { name: String },
    #[error("`--as` has to name somebody")]
    NoName,
    #[error("a sealed plan is for states that were looked at, and `preflight` is off")]
    SealedUnseen,
    #[error("the plan was sealed for {sealed}, and would run for {here}; nothing was sent")]
    SealedElsewhere { sealed: String, here: String },
    #[error("a sealed plan has to be a file, and `-` is standard input")]
    DashIsNoFile,
    #[error("the live states could not be looked at: {reason}")]
    NotLooked { exit: Exit, reason: String },
    /// The end of a verb that only shows the difference, and could not read the states for it.
    #[error("{reason}")]
    Stopped { exit: Exit, reason: String },
    #[error(transparent)]
    AfterChanges(#[from] AfterChanges),
    /// The journal was lost during a launch, and no whole copy is saved. The text says what was sent.
    #[error("{0}")]
    JournalGone(String),
    /// Another process wrote to the journal during a launch. The text says what was sent.
    #[error("{0}")]
    JournalAltered(String),
    #[error("{0}")]
    Command(String),
    #[error("run {run} does not go on now: there is nothing to steer")]
    NotRunning { run: String, resume: String },
    #[error("run {run} ended{ended} before it took the command")]
    TooLate { run: String, ended: String },
    #[error("run {0} is held by a launch that does not take the command, and it was withdrawn")]
    NotTaken(String),
    #[error(
        "run {0} is held by a launch that does not take the command now, and may take it later: the journal is locked, so that it was \
         not withdrawn"
    )]
    NotWithdrawn(String),
    #[error("`{id}` {why}; only a row that was never sent can be skipped")]
    NotSkipped { run: String, id: String, why: String },
    #[error("{} are going on in this journal: {}", count(runs.len() as u64, "run"), bounded(runs))]
    SeveralRuns { runs: Vec<String> },
    #[error("`{text}` could be any of {}", bounded(candidates))]
    AmbiguousRow { text: String, candidates: Vec<String> },
    #[error("the run `{run}` has no row `{text}`{}", did_you_mean(near))]
    NoSuchRow {
        run: String,
        text: String,
        /// Ids that are in the run and look like it.
        near: Vec<String>,
    },
    #[error("the plan has no wave `{name}`")]
    UnknownWave { name: String, known: Vec<String> },
    #[error("`{}` does not say which report it is", .0.display())]
    ReportFormat(PathBuf),
    #[error("an {0} report cannot be shown on a terminal")]
    NotForTerminals(&'static str),
    #[error("could not read `{}`", path.display())]
    Input {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` cannot sign: {problem}", path.display())]
    Key { path: PathBuf, problem: SignatureError },
    #[error("the bundle `{}` is not what it was: {problem}", path.display())]
    Bundle { path: PathBuf, problem: BadBundle },
    #[error(
        "the bundle `{}` was made by a newer cutover (form {form}, this program knows {}); nothing is said of it",
        path.display(),
        BundleForm::CURRENT
    )]
    LaterBundle { path: PathBuf, form: BundleForm },
    #[error("a report cannot be written to `{}`", path.display())]
    Destination {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("metrics cannot be written to `{}`", path.display())]
    MetricsFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("archives cannot be put into `{}`", path.display())]
    Archives {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the log file `{}` cannot be opened", path.display())]
    LogFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not write {what}")]
    Output {
        what: String,
        #[source]
        source: io::Error,
    },
    /// Report of a launch, which ended apart from that.
    #[error(transparent)]
    Unreported(Box<Unreported>),
    #[error("could not listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("whoever can reach {0} could read the journal: that needs a token")]
    OpenToAll(SocketAddr),
    #[error(transparent)]
    WeakToken(#[from] WeakToken),
    #[error("could not start")]
    Start(#[source] io::Error),
    #[error("a row failed in a way it should not; it stays in doubt")]
    Panicked,
    #[error("something that should never happen did: {0}")]
    Bug(String),
}

/// Error of a report that could not be written as its launch ended.
#[derive(Debug)]
pub(crate) struct Unreported {
    pub(crate) error: CommandError,
    /// Sentence that says how the launch ended.
    pub(crate) ended: String,
    /// Command that writes the report.
    pub(crate) again: String,
}

impl fmt::Display for Unreported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Unreported {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Error that ended a launch after it had sent changes: no code and no hint of it says that nothing was sent.
#[derive(Debug)]
pub(crate) struct AfterChanges {
    pub(crate) n_sent: u64,
    pub(crate) error: Box<CommandError>,
}

impl fmt::Display for AfterChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for AfterChanges {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl From<ReadError<CommandError>> for CommandError {
    fn from(error: ReadError<CommandError>) -> Self {
        match error {
            ReadError::Plan(error) => CommandError::Plan(error),
            ReadError::Each(error) => error,
        }
    }
}

impl From<AuditError> for CommandError {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Journal(error) => error.into(),
            AuditError::Altered(Altered { run, findings, n_findings, .. }) => {
                let first = findings.first().map_or_else(String::new, ToString::to_string);
                let more = if n_findings > 1 { format!(" (and {} more)", n_findings - 1) } else { String::new() };
                CommandError::NotAsItWas { run, first: first + &more }
            }
            AuditError::ShortAnchor { .. } => CommandError::ShortAnchor(error.to_string()),
        }
    }
}

/// Suggestion of ids that are like an unknown one; empty if there are none.
fn did_you_mean(near: &[String]) -> String {
    let quoted: Vec<String> = near.iter().map(|id| format!("`{}`", plain(id))).collect();
    if quoted.is_empty() { String::new() } else { format!(" (did you mean {}?)", quoted.join(", ")) }
}

fn for_target(target: Option<&str>) -> String {
    target.map_or_else(String::new, |target| format!(" for the target `{target}`"))
}

pub(crate) fn causes(error: &CommandError) -> impl Iterator<Item = String> {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source()).map(ToString::to_string)
}

/// Text of an error for whoever was not shown the list of a plan's problems: names the plan, and has the first of them.
pub(crate) fn text_without_list(error: &CommandError) -> String {
    if let CommandError::Plan(PlanError::Problems { name, problems }) = error
        && let Some(first) = problems.shown().next()
    {
        let n_errors = problems.n_errors();
        let first = first.in_a_sentence(name);
        let begins = if n_errors == 1 { ": " } else { ", the first: " };
        return format!("the plan `{}` has {}{begins}{first}", plain(name), count(n_errors as u64, "error"));
    }
    error.to_string()
}

/// An error and its causes on one line, for whoever sees nothing else of it.
pub(crate) fn whole_text_without_list(error: &CommandError) -> String {
    std::iter::once(text_without_list(error)).chain(causes(error)).collect::<Vec<_>>().join(": ")
}

/// An error and its causes on one line.
pub(crate) fn whole_text(error: &CommandError) -> String {
    std::iter::once(error.to_string()).chain(causes(error)).collect::<Vec<_>>().join(": ")
}

pub(crate) fn output_failed(what: &Path) -> impl FnOnce(io::Error) -> CommandError {
    let what = format!("`{}`", PathBuf::from(what).display());
    move |source| CommandError::Output { what, source }
}

pub(crate) fn bad_destination(path: &Path) -> impl FnOnce(io::Error) -> CommandError {
    let path = path.to_owned();
    move |source| CommandError::Destination { path, source }
}

pub(crate) fn stdout_failed(source: io::Error) -> CommandError {
    CommandError::Output { what: "to standard output".to_owned(), source }
}

/// Checks that the file of a key exists, so that a missing one is told by its name and before the work.
pub(crate) fn key_must_exist(key: &Path) -> Result<(), CommandError> {
    std::fs::metadata(key).map(drop).map_err(unreadable(key))
}

pub(crate) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> CommandError {
    let path = path.to_owned();
    move |source| CommandError::Input { path, source }
}

pub(crate) fn bad_key(path: &Path, problem: SignatureError) -> CommandError {
    CommandError::Key { path: path.to_owned(), problem }
}
