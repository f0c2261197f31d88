//! The verbs that talk to the service: `plan`, `run`, `resume`, `retry`, `reconcile`.
//!
//! Here a launch is prepared: the plan read, locks taken, the run found or made. What happens then is in [`carry`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{CommandError, Context, bad_destination, checked, reading_of};
use crate::console;
use crate::credentials::{self, Credentials};
use crate::event::Verdict;
use crate::exit::Exit;
use crate::journal::read::RunRecord;
use crate::journal::{Journal, NewRun, RunKey, chain};
use crate::lock::{self, Lock, LockError};
use crate::plan::Checked;
use crate::plan::source::Source;
use crate::remote::endpoint::Endpoint;
use crate::report::Format;
use crate::report::beside::check_destination;
use crate::sandbox::scenario::Scenario;
use crate::settings::flags::{LaunchArgs, PlanArgs, ShowArgs};
use crate::settings::{Destination, Settings, file};

mod carry;
mod signals;

use carry::{Carry, Consent};

const DEFAULT_ACCOUNT: &str = "default";

/// What may be told apart about how a launch was asked for.
struct Launch<'a> {
    verb: &'static str,
    consent: Consent,
    reopen: &'a [Verdict],
    /// They were named, and not left to us.
    reopen_by_name: bool,
    events: bool,
    progress: bool,
    report: Option<(Format, PathBuf)>,
}

impl Launch<'_> {
    fn of(verb: &'static str, args: &LaunchArgs) -> Result<Self, CommandError> {
        let consent = Consent::Asked { yes: args.yes, irreversible: args.allow_irreversible };
        let report = args.report.as_deref().map(report_at).transpose()?;
        Ok(Self {
            verb,
            consent,
            reopen: &[],
            reopen_by_name: false,
            events: args.show.events,
            progress: !args.show.no_progress,
            report,
        })
    }
}

/// Tried before the work, so that a night does not end without its report.
fn report_at(path: &Path) -> Result<(Format, PathBuf), CommandError> {
    let extension = path.extension().and_then(std::ffi::OsStr::to_str).unwrap_or("");
    let format = Format::named(extension).ok_or_else(|| CommandError::ReportFormat(path.to_owned()))?;
    check_destination(path).map_err(bad_destination(path))?;
    Ok((format, path.to_owned()))
}

pub(super) fn run(context: &Context, args: &PlanArgs, launch: &LaunchArgs, new: bool) -> Result<Exit, CommandError> {
    must_be_able_to_ask(launch, args.plan == Path::new("-"))?;
    let mut launch = Launch::of("run", launch)?;
    let source = Source::open(&args.plan)?;
    let checked = checked(context, &source, args)?;
    let settings = context.settings.clone();
    let account = account_of(&settings, &checked)?;
    let service = Service::of(&settings)?;
    let _account = lock_account(context, &service.destination, &account)?;
    let mut journal = open_journal(&settings.journal)?;
    let (digest, endpoint) = (checked.digest.to_string(), service.destination.to_string());
    let unfinished = if new { None } else { journal.unfinished(&digest, &endpoint, &account)? };
    let key = match unfinished {
        Some(run) => {
            let tally = journal.tally(run.key)?;
            context.console.say(&format!(
                "taking up run {} where it stands: {} rows settled, {} left (--new starts afresh)",
                run.id,
                tally.settled(),
                tally.unsettled()
            ));
            launch.verb = "resume";
            run.key
        }
        None => make_run(&mut journal, &source, args, &checked, &service.destination, &account, &settings)?,
    };
    launch_run(context, &settings, journal, key, service, &launch)
}

pub(super) fn resume(context: &Context, run: Option<&str>, args: &LaunchArgs) -> Result<Exit, CommandError> {
    must_be_able_to_ask(args, false)?;
    take_up(context, run, &Launch::of("resume", args)?)
}

pub(super) fn retry(
    context: &Context,
    run: Option<&str>,
    only: &[Verdict],
    args: &LaunchArgs,
) -> Result<Exit, CommandError> {
    must_be_able_to_ask(args, false)?;
    let all = [Verdict::Unverified, Verdict::NoEffect, Verdict::Refused, Verdict::Failed, Verdict::Blocked];
    let reopen = if only.is_empty() { &all[..] } else { only };
    take_up(context, run, &Launch { reopen, reopen_by_name: !only.is_empty(), ..Launch::of("retry", args)? })
}

pub(super) fn reconcile(context: &Context, run: Option<&str>, show: &ShowArgs) -> Result<Exit, CommandError> {
    let launch = Launch {
        verb: "reconcile",
        consent: Consent::NothingIsSent,
        reopen: &[],
        reopen_by_name: false,
        events: show.events,
        progress: !show.no_progress,
        report: None,
    };
    take_up(context, run, &launch)
}

/// Goes on with a run that the journal holds, where and as it was begun.
fn take_up(context: &Context, run: Option<&str>, launch: &Launch<'_>) -> Result<Exit, CommandError> {
    if !context.settings.journal.exists() {
        return Err(crate::journal::JournalError::Absent(context.settings.journal.clone()).into());
    }
    let journal = open_journal(&context.settings.journal)?;
    let record = journal.find_run(run)?;
    let settings = settings_of_run(&context.settings, &record)?;
    let service = Service::of(&settings)?;
    let _account = lock_account(context, &service.destination, &record.account)?;
    launch_run(context, &settings, journal, record.key, service, launch)
}

/// A run is gone on with at the endpoint where it was begun; in the sandbox also in the night that it was begun in.
fn settings_of_run(settings: &Settings, run: &RunRecord) -> Result<Settings, CommandError> {
    let mut settings = settings.clone();
    let begun = if run.endpoint == "sandbox" {
        Some(Destination::Sandbox)
    } else {
        run.endpoint.parse().ok().map(Destination::Service)
    };
    if settings.destination_by_flag && settings.destination != begun {
        let named = settings.destination.as_ref().map(ToString::to_string).unwrap_or_default();
        return Err(CommandError::OtherEndpoint { begun: run.endpoint.clone(), named });
    }
    settings.destination = begun;
    if let Some(scenario) = run.settings.get("scenario").and_then(serde_json::Value::as_str) {
        scenario.clone_into(&mut settings.scenario);
    }
    if let Some(seed) = run.settings.get("seed").and_then(serde_json::Value::as_str) {
        settings.seed = seed.parse().unwrap_or(settings.seed);
    }
    Ok(settings)
}

/// The same as `run` up to the question, over a journal that is thrown away.
pub(super) fn plan(context: &Context, args: &PlanArgs) -> Result<Exit, CommandError> {
    let source = Source::open(&args.plan)?;
    let checked = checked(context, &source, args)?;
    let settings = context.settings.clone();
    let account = account_of(&settings, &checked)?;
    let service = Service::of(&settings)?;
    let folder = tempfile::tempdir().map_err(CommandError::Start)?;
    let mut journal = Journal::open(&folder.path().join("plan.db"))?;
    let key = make_run(&mut journal, &source, args, &checked, &service.destination, &account, &settings)?;
    let run = journal.run(key)?;
    let launch = Launch {
        verb: "plan",
        consent: Consent::OnlyShown,
        reopen: &[],
        reopen_by_name: false,
        events: false,
        progress: false,
        report: None,
    };
    let carry = carry_of(context, &settings, &run, service, &launch);
    carry.out(journal)
}

fn launch_run(
    context: &Context,
    settings: &Settings,
    journal: Journal,
    key: RunKey,
    service: Service,
    launch: &Launch<'_>,
) -> Result<Exit, CommandError> {
    let id = journal.run(key)?.id;
    let lock = Lock::take(&lock::of_run(&settings.journal, &id), &format!("run {id}"))?;
    // Read once it is ours: nobody else writes to it from here on.
    let run = journal.run(key)?;
    let carry = carry_of(context, settings, &run, service, launch);
    let exit = carry.out(journal)?;
    carry.sum_up(&settings.journal)?;
    drop(lock);
    Ok(exit)
}

fn carry_of<'a>(
    context: &'a Context,
    settings: &'a Settings,
    run: &'a RunRecord,
    service: Service,
    launch: &'a Launch<'a>,
) -> Carry<'a> {
    Carry {
        console: context.console,
        settings,
        run,
        service,
        verb: launch.verb,
        consent: launch.consent,
        reopen: launch.reopen,
        reopen_by_name: launch.reopen_by_name,
        events: launch.events,
        progress: launch.progress,
        report: launch.report.as_ref(),
    }
}

fn must_be_able_to_ask(launch: &LaunchArgs, plan_is_stdin: bool) -> Result<(), CommandError> {
    if launch.yes || (console::can_ask() && !plan_is_stdin) { Ok(()) } else { Err(CommandError::NoTerminal) }
}

fn account_of(settings: &Settings, checked: &Checked) -> Result<String, CommandError> {
    if checked.accounts.len() > 1 {
        return Err(CommandError::SeveralAccounts(checked.accounts.clone()));
    }
    let named = settings.account.as_ref().or_else(|| checked.accounts.first());
    Ok(named.cloned().unwrap_or_else(|| DEFAULT_ACCOUNT.to_owned()))
}

/// Where requests go, and as whom. Whatever is wrong with it is found before a run is made.
struct Service {
    destination: Destination,
    venue: Venue,
    credentials: Arc<dyn Credentials>,
}

enum Venue {
    Service(Endpoint),
    /// Inside this process, with what it plays.
    Sandbox(Box<Scenario>),
}

impl Service {
    fn of(settings: &Settings) -> Result<Self, CommandError> {
        let destination = settings.destination.clone().ok_or(CommandError::NoEndpoint)?;
        let (venue, found) = match &destination {
            Destination::Service(endpoint) => {
                let found = credentials::from_environment(|name| std::env::var_os(name))?;
                (Venue::Service(endpoint.clone()), found)
            }
            Destination::Sandbox => {
                let scenario = super::serving::scenario(&settings.scenario)?;
                // It lets in whoever started it.
                let token = |name: &str| (name == "CUTOVER_AUTH_TOKEN").then(|| "in-process-sandbox".into());
                (Venue::Sandbox(Box::new(scenario)), credentials::from_environment(token)?)
            }
        };
        let credentials = found.ok_or(CommandError::NoCredentials)?;
        Ok(Self { destination, venue, credentials })
    }
}

fn open_journal(path: &Path) -> Result<Journal, CommandError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(crate::journal::JournalError::NoPlace)?;
    }
    Ok(Journal::open(path)?)
}

fn make_run(
    journal: &mut Journal,
    source: &Source,
    args: &PlanArgs,
    checked: &Checked,
    destination: &Destination,
    account: &str,
    settings: &Settings,
) -> Result<RunKey, CommandError> {
    let new = NewRun {
        id: &new_run_id(),
        plan_path: source.name(),
        plan_digest: &checked.digest.to_string(),
        n_rows: checked.n_rows,
        endpoint: &destination.to_string(),
        account,
        settings: &serde_json::to_value(&settings.texts).expect("texts are JSON"),
    };
    journal.create_run(&new, |sink| {
        let again = crate::plan::read(source, &reading_of(args), |row| sink.row(&row).map_err(CommandError::from))?;
        if again.digest == checked.digest { Ok(()) } else { Err(CommandError::PlanChanged(source.name().to_owned())) }
    })
}

/// When it was made, and four letters that tell it from others of that second: easy to type a prefix of.
fn new_run_id() -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let made = Timestamp::now().strftime("%Y%m%dt%H%M%S");
    let die: u32 = rand::random();
    let letter = |n: u32| char::from(LETTERS[usize::try_from(die >> (5 * n) & 31).expect("below 32")]);
    format!("{made}-{}{}{}{}", letter(0), letter(1), letter(2), letter(3))
}

/// One run per account and endpoint, whatever journals they use. A bare token does not say whose it is, so it is told
/// apart by the endpoint and the account's name alone.
fn lock_account(context: &Context, destination: &Destination, account: &str) -> Result<Option<Lock>, CommandError> {
    let Destination::Service(endpoint) = destination else { return Ok(None) };
    let Some(folder) = file::user_directory(&|name: &str| std::env::var_os(name), "XDG_STATE_HOME", ".local/state")
    else {
        context.console.warn("no home directory: another run of this account would not be noticed");
        return Ok(None);
    };
    let key = chain::hex(&Sha256::digest(format!("{endpoint}\n{account}"))[..16]);
    let path = folder.join("locks").join(format!("{key}.lock"));
    let what = format!("account `{account}` at {endpoint}");
    let taken = std::fs::create_dir_all(folder.join("locks"))
        .map_err(|source| LockError::Io { path: path.clone(), source })
        .and_then(|()| Lock::take(&path, &what));
    match taken {
        Ok(lock) => Ok(Some(lock)),
        Err(held @ LockError::Held { .. }) => Err(held.into()),
        Err(unusable @ (LockError::Unworkable(_) | LockError::Io { .. })) => {
            context.console.warn(&format!("{unusable}: another run of this account would not be noticed"));
            Ok(None)
        }
    }
}
