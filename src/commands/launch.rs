//! The verbs that talk to the service: `plan`, `run`, `resume`, `retry`, `reconcile`.
//!
//! Here a launch is prepared: the plan read, locks taken, the run found or made. What happens then is in [`carry`].

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tokio::runtime::Runtime;

use super::accounts::{self, Account, runtime};
use super::{CommandError, Context, bad_destination, checked, reading_of};
use crate::console;
use crate::event::Verdict;
use crate::exit::Exit;
use crate::journal::read::RunRecord;
use crate::journal::{Journal, NewLane, NewRun, RunKey};
use crate::lock::{self, Lock};
use crate::plan::Checked;
use crate::plan::source::Source;
use crate::report::Format;
use crate::report::beside::check_destination;
use crate::settings::Settings;
use crate::settings::flags::{LaunchArgs, PlanArgs, ShowArgs};

mod carry;
mod signals;

use carry::{Carry, Consent};

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
    let accounts = accounts::of_plan(context, &checked)?;
    let _locks = accounts::lock_all(context, &accounts)?;
    let runtime = runtime()?;
    accounts::let_in(&runtime, &accounts)?;
    let mut journal = open_journal(&context.settings.journal)?;
    let lanes: Vec<NewLane> = accounts.iter().map(Account::lane).collect();
    let unfinished = if new { None } else { journal.unfinished(&checked.digest.to_string(), &lanes)? };
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
        None => make_run(&mut journal, &source, args, &checked, &lanes, &context.settings)?,
    };
    launch_run(context, journal, key, accounts, runtime, &launch)
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
    let lanes = journal.lanes(record.key)?;
    // Rows that name no target go on in the profile that they were begun in.
    let begun_in = record.settings.get("profile").and_then(serde_json::Value::as_str);
    let again = match begun_in.filter(|_| context.settings.profile.is_none()) {
        Some(profile) => &Context { settings: Settings::read(&context.layers, Some(profile))?, ..context.clone() },
        None => context,
    };
    let accounts = accounts::of_run(again, &record, &lanes)?;
    let _locks = accounts::lock_all(again, &accounts)?;
    let runtime = runtime()?;
    accounts::let_in(&runtime, &accounts)?;
    launch_run(again, journal, record.key, accounts, runtime, launch)
}

/// The same as `run` up to the question, over a journal that is thrown away.
pub(super) fn plan(context: &Context, args: &PlanArgs) -> Result<Exit, CommandError> {
    let source = Source::open(&args.plan)?;
    let checked = checked(context, &source, args)?;
    let accounts = accounts::of_plan(context, &checked)?;
    let runtime = runtime()?;
    accounts::let_in(&runtime, &accounts)?;
    let lanes: Vec<NewLane> = accounts.iter().map(Account::lane).collect();
    let folder = tempfile::tempdir().map_err(CommandError::Start)?;
    let mut journal = Journal::open(&folder.path().join("plan.db"))?;
    let key = make_run(&mut journal, &source, args, &checked, &lanes, &context.settings)?;
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
    carry_of(context, &run, accounts, &launch).out(runtime, journal)
}

fn launch_run(
    context: &Context,
    journal: Journal,
    key: RunKey,
    accounts: Vec<Account>,
    runtime: Runtime,
    launch: &Launch<'_>,
) -> Result<Exit, CommandError> {
    let id = journal.run(key)?.id;
    let lock = Lock::take(&lock::of_run(&context.settings.journal, &id), &format!("run {id}"))?;
    // Read once it is ours: nobody else writes to it from here on.
    let run = journal.run(key)?;
    let carry = carry_of(context, &run, accounts, launch);
    let exit = carry.out(runtime, journal)?;
    carry.sum_up(&context.settings.journal)?;
    drop(lock);
    Ok(exit)
}

fn carry_of<'a>(context: &'a Context, run: &'a RunRecord, accounts: Vec<Account>, launch: &'a Launch<'a>) -> Carry<'a> {
    Carry {
        console: context.console,
        settings: &context.settings,
        run,
        accounts,
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
    lanes: &[NewLane],
    settings: &Settings,
) -> Result<RunKey, CommandError> {
    let new = NewRun {
        id: &new_run_id(),
        plan_path: source.name(),
        plan_digest: &checked.digest.to_string(),
        n_rows: checked.n_rows,
        lanes,
        settings: &serde_json::to_value(&settings.texts).expect("texts are JSON"),
    };
    journal.create_run(&new, |sink| {
        let again =
            crate::plan::read(source, &reading_of(settings, args), |row| sink.row(&row).map_err(CommandError::from))?;
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
