//! Everything that can keep a verb from its work: what is wrong, how the program ends for it, and what to do next.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use super::approval::ApprovalError;
use super::here::Here;
use crate::audit::bundle::{BadBundle, BundleForm};
use crate::audit::{Altered, AuditError};
use crate::credentials::error::CredentialsError;
use crate::event::Outcome;
use crate::exit::Exit;
use crate::inventory::InventoryError;
use crate::journal::JournalError;
use crate::journal::altered::{Additions, SchemaAltered};
use crate::journal::one_name::Misplaced;
use crate::lock::{LockError, Owner};
use crate::plan::error::{PlanError, ReadError};
use crate::report::next::journal_flag;
use crate::serve::WeakToken;
use crate::settings::error::SettingsError;
use crate::ssh::signature::SignatureError;
use crate::transport::TransportError;
use crate::wording::amounts::bounded;
use crate::wording::amounts::count;
use crate::wording::plain::plain;
use crate::wording::shell::{shell_path, shell_word};

/// Everything that can keep a verb from doing its work.
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
    Lock(#[from] LockError),
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
    /// The same where nothing is replaced, whatever anybody says.
    #[error("`{}` is there already", .0.display())]
    Taken(PathBuf),
    #[error("`{plan}` needs {} and has {given}{}; nothing was sent", count((*required).into(), "approval"), of_those(passed_over))]
    NotApproved {
        plan: String,
        given: usize,
        required: u32,
        is_sealed: bool,
        /// Only signatures count.
        is_signed: bool,
        /// Names that do not count, and why.
        passed_over: Vec<(String, String)>,
    },
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
    /// A verb that shows what it would do, and could not see it.
    #[error("{reason}")]
    Stopped { exit: Exit, reason: String },
    #[error(transparent)]
    AfterChanges(#[from] AfterChanges),
    /// Told in one line, with what was sent.
    #[error("{0}")]
    JournalGone(String),
    /// The same, where somebody wrote into it.
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
    #[error("could not write {what}")]
    Output {
        what: String,
        #[source]
        source: io::Error,
    },
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

impl CommandError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            CommandError::Plan(PlanError::Edited { .. })
            | CommandError::Bundle { .. }
            | CommandError::NeverBegun { .. }
            | CommandError::JournalAltered(_)
            | CommandError::NotAsItWas { .. } => Exit::Integrity,
            CommandError::NotLooked { exit, .. } | CommandError::Stopped { exit, .. } => *exit,
            CommandError::Approval(error) => error.exit(),
            CommandError::AfterChanges(late) => late.error.exit().after_a_change(),
            CommandError::Settings(_)
            | CommandError::Plan(_)
            | CommandError::PlanChanged(_)
            | CommandError::OneAccountForSeveral { .. }
            | CommandError::SameAccount { .. }
            | CommandError::NoEndpoint { .. }
            | CommandError::OtherEndpoint { .. }
            | CommandError::SaidByJournalAlone { .. }
            | CommandError::NoTerminal
            | CommandError::Scenario(_)
            | CommandError::BadSource { .. }
            | CommandError::Exists(_)
            | CommandError::Taken(_)
            | CommandError::NotSealed(_)
            | CommandError::ShortAnchor(_)
            | CommandError::NoName
            | CommandError::SealedUnseen
            | CommandError::DashIsNoFile
            | CommandError::Command(_)
            | CommandError::NotRunning { .. }
            | CommandError::TooLate { .. }
            | CommandError::NotSkipped { .. }
            | CommandError::SeveralRuns { .. }
            | CommandError::AmbiguousRow { .. }
            | CommandError::NoSuchRow { .. }
            | CommandError::UnknownWave { .. }
            | CommandError::ReportFormat(_)
            | CommandError::Listen { .. }
            | CommandError::OpenToAll(_)
            | CommandError::WeakToken(_)
            | CommandError::NotForTerminals(_)
            | CommandError::Input { .. }
            | CommandError::Key { .. }
            | CommandError::LaterBundle { .. }
            | CommandError::Transport(TransportError::CaBundle { .. } | TransportError::Proxy(_))
            | CommandError::Destination { .. } => Exit::Usage,
            CommandError::Journal(error) => exit_of_journal(error),
            CommandError::Credentials(error) | CommandError::Inventory(InventoryError::Credentials(error)) => {
                exit_of_credentials(error)
            }
            CommandError::NoCredentials { .. } | CommandError::Inventory(InventoryError::Denied(_)) => {
                Exit::Credentials
            }
            CommandError::Inventory(InventoryError::Unreachable(Outcome::Throttled { .. })) => Exit::Halted,
            CommandError::Inventory(InventoryError::Unreachable(_) | InventoryError::Contradicted(_)) => {
                Exit::Unreachable
            }
            CommandError::NoSuchSource(_) => Exit::NotOnTarget,
            CommandError::NotTaken(_) | CommandError::Lock(LockError::Held { .. }) => Exit::Locked,
            CommandError::NotApproved { .. }
            | CommandError::SealedElsewhere { .. }
            | CommandError::SealerApproves { .. }
            | CommandError::NotAgreed
            | CommandError::Lock(LockError::Unworkable(_) | LockError::NotOurs { .. }) => Exit::Refused,
            CommandError::Lock(LockError::Io { .. })
            | CommandError::Transport(TransportError::Setup(_))
            | CommandError::Output { .. }
            | CommandError::Start(_)
            | CommandError::JournalGone(_)
            | CommandError::Panicked
            | CommandError::Bug(_) => Exit::Internal,
        }
    }

    /// Advice, with the variable that says what cannot be used: nobody sees that where they type.
    pub(crate) fn hint(&self, here: &Here) -> Option<String> {
        let Some(variable) = self.variable(here) else { return self.next(here) };
        Some(match self.next(here) {
            Some(next) => format!("{next}; this one is named by {variable}"),
            None => format!("it is named by {variable}: set that to another one, or `unset {variable}`"),
        })
    }

    /// The variable of the environment that names what this is about.
    fn variable<'h>(&self, here: &'h Here) -> Option<&'h str> {
        if let CommandError::Journal(error) = self {
            return here.variable("journal").filter(|_| error.is_about_its_place());
        }
        if let CommandError::Scenario(_) = self {
            return here.variable("scenario");
        }
        if let CommandError::Settings(SettingsError::UnknownProfile { name, .. }) = self {
            return here.variable_that_names(OsStr::new(name));
        }
        let (CommandError::Settings(SettingsError::Unreadable { path, .. })
        | CommandError::Input { path, .. }
        | CommandError::Approval(ApprovalError::Approvers { path, .. })
        | CommandError::Transport(TransportError::CaBundle { path, .. })) = self
        else {
            return None;
        };
        here.variable_that_names(path.as_os_str())
    }

    /// The command or the edit that comes next.
    fn next(&self, here: &Here) -> Option<String> {
        let hint = match self {
            CommandError::Plan(error) => hint_of_plan(error),
            CommandError::NotApproved { plan, is_sealed: true, is_signed, .. } => {
                return Some(format!("`{}`", here.approves(&shell_path(Path::new(plan)), *is_signed)));
            }
            CommandError::Approval(error) => error.hint(),
            CommandError::NotApproved { plan, is_sealed: false, is_signed, .. } => {
                let (seal, approve) = (here.seals(Path::new(plan)), here.approves("FILE", *is_signed));
                return Some(format!("seal it first: `{seal}`, then `{approve}`"));
            }
            CommandError::NotSealed(_) => "`cutover plan PLAN -o FILE` seals one",
            CommandError::SealerApproves { .. } => "somebody else has to",
            CommandError::Command(_) => return Some(hint_of_control(here)),
            CommandError::NotRunning { run, resume } => return Some(hint_of_rest(run, resume, here)),
            CommandError::TooLate { run, .. } | CommandError::NotTaken(run) => return Some(hint_of_status(run, here)),
            CommandError::NotSkipped { id, run, .. } => return Some(hint_of_skip(id, run, here)),
            CommandError::SeveralRuns { .. } => "name the one that is meant",
            CommandError::AmbiguousRow { .. } => "type more of its id",
            CommandError::NoSuchRow { run, .. } => {
                return Some(format!(
                    "`{}` lists the rows",
                    here.reads(&format!("report {} --format csv", shell_word(run)))
                ));
            }
            CommandError::NoName => "`--as \"First Last\"`",
            CommandError::SealedUnseen => "leave `preflight` on",
            CommandError::SealedElsewhere { .. } => {
                "seal it there: `cutover plan PLAN -o FILE` with that endpoint and profile"
            }
            CommandError::DashIsNoFile => "name a file",
            CommandError::UnknownWave { known, .. } if known.is_empty() => {
                "only a plan file in TOML has waves to release"
            }
            CommandError::UnknownWave { known, .. } => return Some(format!("there are: {}", known.join(", "))),
            CommandError::PlanChanged(_) => "run the same command again",
            CommandError::OneAccountForSeveral { .. } => "leave it out; a profile may say `account`",
            CommandError::SameAccount { .. } => "name one of them in both; two would not know of each other's quota",
            CommandError::Settings(error) => return error.hint(),
            CommandError::Transport(TransportError::Proxy(_)) => {
                "`unset` it to go without a proxy; NO_PROXY names hosts that need none"
            }
            CommandError::NoEndpoint { target: Some(_) } => "its profile may say `endpoint` or `region`",
            CommandError::NoEndpoint { target: None } => {
                "`--endpoint https://sms.REGION.myhuaweicloud.com`, or `--endpoint sandbox` to try it with no account"
            }
            CommandError::OtherEndpoint { flag, .. } => return Some(format!("leave `--{flag}` out")),
            CommandError::NotAsItWas { run, .. } => return Some(hint_of_altered(run, here)),
            CommandError::NoCredentials { target: Some(_), .. } => {
                "its profile may say token_env, access_key_env and secret_key_env, credential_command, …"
            }
            CommandError::NoCredentials { target: None, endpoint } => {
                let (or_try, doctor) = here.tries_elsewhere(endpoint);
                return Some(format!(
                    "set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, or an IAM token in CUTOVER_AUTH_TOKEN{or_try}; `{doctor}` \
                     says where it looks"
                ));
            }
            CommandError::SaidByJournalAlone { flags, .. } => return Some(hint_of_way(flags.as_deref())),
            CommandError::NoTerminal => "`--yes` if the plan was looked at before (`cutover plan PLAN`)",
            CommandError::ShortAnchor(_) => "give all of it, as the run printed it",
            CommandError::Journal(error) => {
                return hint_of_journal(error, here);
            }
            CommandError::Lock(error) => return hint_of_lock(error, here),
            CommandError::NeverBegun { instead, .. } => return Some(format!("begin anew: `{instead}`")),
            CommandError::Exists(_) => "name another, or replace it with --force",
            CommandError::Taken(_) => "name another",
            CommandError::NoSuchSource(_) => {
                return Some(format!("`{}` shows them; another account may have it", here.asks("sources list")));
            }
            CommandError::NotLooked { .. } | CommandError::Inventory(_) => {
                return Some(format!("`{}` looks at endpoint, clock and credentials", here.asks("doctor")));
            }
            CommandError::Destination { .. } => "name a file in a folder that is there and can be written to",
            CommandError::Key { path, problem } => return Some(hint_of_key(path, problem)),
            CommandError::LaterBundle { .. } => "verify it with the newer cutover",
            CommandError::Bundle { .. } => "keep it as it is, and ask for another copy",
            CommandError::Listen { .. } => "`--listen ADDRESS:PORT` with another port; port 0 takes any that is free",
            CommandError::OpenToAll(_) | CommandError::WeakToken(_) => {
                "set CUTOVER_SERVE_TOKEN, or name a file with `--token-file`: `openssl rand -hex 24` makes a good one"
            }
            CommandError::ReportFormat(_) => "end it with .csv, .html, .json, .md, .xlsx, or .xml for JUnit",
            CommandError::NotForTerminals(name) => return Some(format!("write it to a file: `-o report.{name}`")),
            CommandError::Panicked => "this is a bug; the same command again takes the run up, looking first",
            CommandError::AfterChanges(late) => return hint_after_changes(late, here),
            CommandError::Bug(_) => "keep the journal: what was sent is in it, and the next launch looks first",
            CommandError::JournalGone(_) | CommandError::JournalAltered(_) => {
                "a new run of the plan in another journal (`--journal PATH`) looks at each server before it sends"
            }
            CommandError::Stopped { .. }
            | CommandError::NotAgreed
            | CommandError::Credentials(_)
            | CommandError::BadSource { .. }
            | CommandError::Scenario(_)
            | CommandError::Input { .. }
            | CommandError::Transport(TransportError::Setup(_) | TransportError::CaBundle { .. })
            | CommandError::Output { .. }
            | CommandError::Start(_) => return None,
        };
        Some(hint.to_owned())
    }
}

pub(crate) fn exit_of_journal(error: &JournalError) -> Exit {
    match error {
        JournalError::Absent(_)
        | JournalError::Unreadable { .. }
        | JournalError::Folder(_)
        | JournalError::NoFolder(_)
        | JournalError::Misplaced(_)
        | JournalError::Older { .. }
        | JournalError::Newer { .. }
        | JournalError::NoRuns
        | JournalError::UnknownRun(_)
        | JournalError::AmbiguousRun { .. } => Exit::Usage,
        JournalError::NotAJournal
        | JournalError::Damaged(_)
        | JournalError::Added(_)
        | JournalError::Schema(_)
        | JournalError::Excerpt
        | JournalError::NotAsTold { .. }
        | JournalError::Beside { .. }
        | JournalError::NotOurs
        | JournalError::Illegal(_) => Exit::Integrity,
        JournalError::Abandoned
        | JournalError::Unopenable { .. }
        | JournalError::Copy { .. }
        | JournalError::Migration(_)
        | JournalError::Full(_)
        | JournalError::Sqlite(_) => Exit::Internal,
    }
}

/// Tells how many were sent, and what is known of them in the journal, before what the error itself has to say.
fn hint_after_changes(late: &AfterChanges, here: &Here) -> Option<String> {
    let AfterChanges { n_sent, error } = late;
    let hint = error.hint(here);
    if matches!(**error, CommandError::JournalGone(_) | CommandError::JournalAltered(_)) {
        // It says so itself.
        return hint;
    }
    let is_damaged = matches!(&**error, CommandError::Journal(error) if error.is_about_content());
    let has_each = if is_damaged { "" } else { ", and the journal has each" };
    // Of what was about to leave as the journal failed, nobody could write down that it did not.
    let at_most = if matches!(**error, CommandError::Journal(_)) { "at most " } else { "" };
    let sent = format!("{at_most}{} left before that{has_each}", count(*n_sent, "change"));
    Some(hint.map_or(sent.clone(), |hint| format!("{sent}; {hint}")))
}

/// Advice against going on with an earlier copy, by which what was sent since would look as if it had been there before.
const LOOKS_ANEW: &str =
    "`cutover plan PLAN` looks at what is there now, and `cutover run PLAN --new --journal NEW` goes on from that";

fn hint_of_way(flags: Option<&str>) -> String {
    match flags {
        Some(flags) => format!("if it is meant to, the same command with `{}`", flags.trim_start()),
        None => {
            "if it is meant to, let the profile of each account say `endpoint` and `account` (`cutover init` shows how)"
                .to_owned()
        }
    }
}

fn hint_of_altered(run: &str, here: &Here) -> String {
    let verify = here.reads(&format!("audit verify {}", shell_word(run)));
    format!(
        "`{verify}` lists what was found; keep the file as it is, compare it with an earlier copy, and go on with neither: \
         {LOOKS_ANEW}"
    )
}

fn hint_of_control(here: &Here) -> String {
    format!("`cutover control --help` lists the commands; `{}` shows the run", here.reads("status"))
}

fn hint_of_skip(id: &str, run: &str, here: &Here) -> String {
    let run = shell_word(run);
    let story = here.reads(&format!("explain {} --run {run}", shell_word(id)));
    let drain = here.reads(&format!("control {run} drain"));
    format!("`{story}` tells its story; `{drain}` stops the run")
}

fn hint_of_status(run: &str, here: &Here) -> String {
    format!("`{}` shows where it stands", here.reads(&format!("status {}", shell_word(run))))
}

fn hint_of_rest(run: &str, resume: &str, here: &Here) -> String {
    let status = here.reads(&format!("status {}", shell_word(run)));
    format!("`{status}` shows where it stands; `{resume}` goes on with it, if anything is left")
}

/// The first of the approvals that do not count.
fn of_those(passed_over: &[(String, String)]) -> String {
    let told: Vec<String> =
        passed_over.iter().map(|(name, why)| format!("that of {name} does not count: {why}")).collect();
    if told.is_empty() { String::new() } else { format!(" ({})", bounded(&told)) }
}

fn hint_of_key(path: &Path, problem: &SignatureError) -> String {
    if let SignatureError::NoProgram = problem {
        return "install OpenSSH's client (8.1 or later), which brings it; or do this where it is".to_owned();
    }
    let key = shell_path(path);
    format!("`ssh-add {key}` lets the agent have a key with a passphrase; `ssh-keygen -t ed25519 -f KEY` makes another")
}

fn hint_of_plan(error: &PlanError) -> &'static str {
    match error {
        PlanError::Problems { .. } => "correct the plan and run the same command again; nothing was sent",
        PlanError::Unreadable { .. } => "`cutover init` writes an example plan",
        PlanError::Unsupported { .. } => "plans are read as CSV, TSV, JSON Lines and TOML; nothing was sent",
        PlanError::Edited { .. } => {
            "seal it again with `cutover plan PLAN -o FILE`, and have it approved again; nothing was sent"
        }
    }
}

/// Nothing of ours is lost with it. What a folder holds is nobody's to remove unseen.
fn hint_of_planted(path: &Path) -> String {
    let shown = shell_path(path);
    if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        let aside = shell_word(&format!("{}.aside", path.display()));
        return format!("see who put it there (`ls -la {shown}`), and put it aside: `mv {shown} {aside}`");
    }
    format!("see who put it there (`ls -l {shown}`), and take it away: `rm {shown}`")
}

fn hint_of_lock(error: &LockError, here: &Here) -> Option<String> {
    match error {
        LockError::Held { owner, .. } => Some(hint_of_owner(owner.as_ref(), here)),
        LockError::Unworkable(_) => Some("put the journal on a local disk".to_owned()),
        LockError::NotOurs { path, .. } => Some(hint_of_planted(path)),
        LockError::Io { .. } => None,
    }
}

/// Place to look at what holds a lock: in its journal, where it names that.
fn hint_of_owner(owner: Option<&Owner>, here: &Here) -> String {
    let journal = owner.and_then(|owner| owner.journal.as_deref());
    let elsewhere = |journal| format!("cutover status{}", journal_flag(journal));
    let status = journal.map_or_else(|| here.reads("status"), elsewhere);
    format!("`{status}` shows where it stands")
}

fn hint_of_journal(error: &JournalError, here: &Here) -> Option<String> {
    let hint = match error {
        JournalError::UnknownRun(_) | JournalError::AmbiguousRun { .. } => {
            return Some(format!("`{}` shows them", here.reads("runs")));
        }
        JournalError::NoFolder(folder) => return Some(hint_of_folder(folder)),
        JournalError::Absent(_) => "name it with `--journal PATH`; `cutover run PLAN` makes one",
        JournalError::NoRuns => "`cutover run PLAN` makes one",
        JournalError::Misplaced(misplaced) => return Some(hint_of_misplaced(misplaced)),
        JournalError::NotAJournal => "name another file with `--journal PATH`",
        JournalError::Folder(_) => "name a file in it with `--journal PATH`",
        JournalError::Unreadable { .. } => "it has to be a file that you may read; `--journal PATH` names another",
        JournalError::Newer { .. } => "use the newer cutover",
        JournalError::Older { .. } => {
            "copy it, with the log (`-wal`) if one lies beside it, to a folder that can be written to, and name the copy with \
             `--journal PATH`"
        }
        JournalError::Damaged(_)
        | JournalError::NotAsTold { .. }
        | JournalError::NotOurs
        | JournalError::Illegal(_) => {
            return Some(format!(
                "keep the file as it is; an earlier copy shows what it held, and `sqlite3 COPY .recover` what can still be \
                 read; {LOOKS_ANEW}"
            ));
        }
        JournalError::Added(additions) => return Some(hint_of_additions(additions)),
        JournalError::Schema(altered) => return Some(hint_of_schema(altered, here)),
        JournalError::Excerpt => return Some(format!("go on in the journal that it was copied from; {LOOKS_ANEW}")),
        JournalError::Beside { .. } => {
            return Some(format!(
                "if no program is at work on the journal now, keep all of it as it is; an earlier copy shows what it held; \
                 {LOOKS_ANEW}"
            ));
        }
        JournalError::Full(_) => {
            "make room and run the same command again: what was sent is known, and nothing is sent twice unseen"
        }
        JournalError::Copy { .. } => "make room, or name a place on another disk",
        JournalError::Abandoned
        | JournalError::Unopenable { .. }
        | JournalError::Migration(_)
        | JournalError::Sqlite(_) => return None,
    };
    Some(hint.to_owned())
}

/// Takes out what is not ours, and nothing else: what was recorded stays, in the file and in a copy of it as it was.
fn hint_of_additions(additions: &Additions) -> String {
    let path = shell_path(&additions.path);
    format!(
        "nothing that was recorded is lost: keep a copy (`sqlite3 {path} \".backup COPY\"`), take out what was added (`sqlite3 \
         {path} {}`), and run the same command again",
        shell_word(&additions.taken_out())
    )
}

/// A copy without what was added shows what was recorded, as far as that is still so. Nothing that is read through anything else
/// than our tables is.
fn hint_of_schema(altered: &SchemaAltered, here: &Here) -> String {
    match altered.taken_out() {
        Some((path, drops)) => format!(
            "keep the file as it is, for whoever asks who did it; what was recorded since may be altered, too: copy it (`sqlite3 {} \
             \".backup COPY\"`), take out of the copy what was added (`sqlite3 COPY {}`), and hold that against an anchor that was \
             kept elsewhere (`cutover audit verify --anchor CODE --journal COPY`); {LOOKS_ANEW}",
            shell_path(path),
            shell_word(&drops)
        ),
        None => format!(
            "`{}` names each of them; keep the file as it is, for whoever asks who did it, and compare it with an earlier copy; \
             {LOOKS_ANEW}",
            here.reads("audit verify")
        ),
    }
}

fn hint_of_misplaced(misplaced: &Misplaced) -> String {
    match misplaced {
        Misplaced::NoFile(_) | Misplaced::LinkToNowhere(_) => "name a file with `--journal PATH`".to_owned(),
        Misplaced::Names { path, has_log, .. } => hint_of_names(&shell_path(path), *has_log),
        Misplaced::MountedAlone(_) => "mount the folder that the journal is in".to_owned(),
        Misplaced::Beside { path, .. } => hint_of_what_lies_beside(path),
    }
}

/// Removes nothing that may hold what was recorded last.
fn hint_of_what_lies_beside(path: &Path) -> String {
    let shown = shell_path(path);
    if path.symlink_metadata().is_ok_and(|found| found.is_file() && found.nlink() > 1) {
        return format!(
            "it may hold what was recorded last: remove the other name (`find \"$(stat -c %m {shown})\" -xdev -samefile \
             {shown}` finds it), and not this one"
        );
    }
    let aside = shell_word(&format!("{}.aside", path.display()));
    format!(
        "see who put it there (`ls -ld {shown}`), and put it aside: `mv {shown} {aside}`; do not delete it, for it may hold what \
         was recorded last, or lead to that"
    )
}

/// Names the way that keeps what was recorded last: a log lies beside one of the names, and no plain copy takes it along.
fn hint_of_names(path: &str, has_log: bool) -> String {
    let find = format!("`find \"$(stat -c %m {path})\" -xdev -samefile {path}`");
    if has_log {
        format!(
            "remove the other name ({find} finds it), and not this one, beside which the log lies; or copy both into one: \
             `sqlite3 {path} \".backup COPY\"`, and name the copy"
        )
    } else {
        format!(
            "{find} finds the names: keep the one beside which a log (`-wal`) lies, if there is one, and remove the others"
        )
    }
}

/// Says that the folder is not made in silence: a name that was typed may be a mistake.
fn hint_of_folder(folder: &Path) -> String {
    let text = folder.to_string_lossy();
    match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            format!(
                "write `$HOME{rest}`: only a shell knows what `~` is, and only at the beginning of a word without quotes"
            )
        }
        Some(_) | None => {
            format!("`mkdir -p {}` makes it; or name another file with `--journal PATH`", shell_path(folder))
        }
    }
}

pub(crate) fn exit_of_credentials(error: &CredentialsError) -> Exit {
    match error {
        CredentialsError::Empty { .. }
        | CredentialsError::TooLong { .. }
        | CredentialsError::NotVisible { .. }
        | CredentialsError::Malformed(_) => Exit::Usage,
        CredentialsError::Expired { .. } | CredentialsError::Denied { .. } => Exit::Credentials,
        CredentialsError::Unreachable { .. } => Exit::Unreachable,
    }
}

/// Ids that are like one that is not there.
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

/// A key that is not there is told before the work, and by its name.
pub(crate) fn must_be_there(key: &Path) -> Result<(), CommandError> {
    std::fs::metadata(key).map(drop).map_err(unreadable(key))
}

pub(crate) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> CommandError {
    let path = path.to_owned();
    move |source| CommandError::Input { path, source }
}

pub(crate) fn bad_key(path: &Path, problem: SignatureError) -> CommandError {
    CommandError::Key { path: path.to_owned(), problem }
}
