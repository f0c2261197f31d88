//! The verbs that talk to the service: `plan`, `run`, `resume`, `retry`, `reconcile`.
//!
//! Here a launch is prepared: the plan read, locks taken, the run found or made. What happens then is in [`carry`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tokio::runtime::Runtime;

use crate::audit::beforehand::{self, Of};
use crate::clock::Clock;
use crate::event::{Event, LanePlace, Verdict};
use crate::exit::Exit;
use crate::files::beside::{check_destination, check_is_not_the_plan};
use crate::formats::Format;
use crate::journal::new_run::{NewLane, NewRun, NewlyMade};
use crate::journal::read::reopening::Reopen;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError, RunKey};
use crate::ledger::Phase;
use crate::ledger::cause::Only;
use crate::lock::{self, Lock};
use crate::plan::checked::Checked;
use crate::plan::paper::Paper;
use crate::plan::reading::Planned;
use crate::plan::sealed::{Counted, Seal};
use crate::plan::source::Source;
use crate::recorder::sent::Sent;
use crate::report::next::{self, Given, NextCommands};
use crate::settings::flags::{LaunchArgs, PlanArgs, SelectionArgs, ShowArgs};
use crate::settings::keys::KEYS;
use crate::settings::resolve::{Loosened, Origin};
use crate::settings::{Settings, Steering};
use crate::verb::context::{Context, checked, reading_of};
use crate::verb::error::{CommandError, bad_destination};
use crate::verb::journal::warn_of_a_copy;
use crate::verb::meant::{self, Otherwise};
use crate::waves::{Part, Terms};
use crate::wording::amounts::count;
use crate::wording::plain::plain;
use crate::wording::shell::shell_path;
use crate::{console, files};

pub(crate) mod accounts;
pub(crate) mod carry;
pub(crate) mod closing;
mod difference;
pub(crate) mod rehearsing;
pub(crate) mod sealing;
mod signals;
pub(crate) mod venue;

use accounts::{Account, Unsaid, runtime};
use carry::{Carried, Carry, Consent};
use closing::close_cut_off;
use sealing::SealTo;

/// What may be told apart about how a launch was asked for.
struct Launch {
    verb: &'static str,
    /// By hand and for itself, besides settings. What is released is in the journal, and how it is shown is up to whoever
    /// looks on.
    given: Given,
    consent: Consent,
    reopen: Reopen,
    /// What somebody skipped, and is to be sent after all.
    unskips: Unskips,
    events: bool,
    progress: bool,
    report: Option<(Format, PathBuf)>,
    /// Waves that are released before they ask, and what of each if it is said.
    releases: Vec<(String, Option<Part>)>,
    /// What the plan says besides its rows; with a seal, the states have to be those that it saw.
    paper: Paper,
}

/// Of what somebody skipped, what a launch sends all the same.
enum Unskips {
    These(BTreeSet<String>),
    All,
}

impl Default for Unskips {
    fn default() -> Self {
        Unskips::These(BTreeSet::new())
    }
}

impl Unskips {
    fn means(&self, source_id: &str) -> bool {
        match self {
            Unskips::These(these) => these.contains(source_id),
            Unskips::All => true,
        }
    }
}

impl Launch {
    fn of(verb: &'static str, args: &LaunchArgs) -> Result<Self, CommandError> {
        // Named one by one, so that nothing of it can be forgotten.
        let LaunchArgs { yes, allow_irreversible, approve, report, show: ShowArgs { events, no_progress } } = args;
        let on = |is_given: &bool| is_given.then(|| "on".to_owned());
        let given = [
            (next::YES, on(yes)),
            (next::IRREVERSIBLE, on(allow_irreversible)),
            (next::REPORT, report.as_deref().map(|path| path.display().to_string())),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let consent = Consent::Asked { yes: *yes, irreversible: *allow_irreversible };
        let report = report.as_deref().map(report_at).transpose()?;
        Ok(Self {
            verb,
            given,
            consent,
            reopen: Reopen::Nothing,
            unskips: Unskips::default(),
            events: *events,
            progress: !no_progress,
            report,
            releases: approve.iter().map(|wave| (wave.clone(), None)).collect(),
            paper: Paper::default(),
        })
    }

    /// Its report does not go where the plan stands.
    fn spares(&self, plan: &Path) -> Result<(), CommandError> {
        match &self.report {
            Some((_, path)) => check_is_not_the_plan(path, plan).map_err(bad_destination(path)),
            None => Ok(()),
        }
    }

    /// One that sends nothing.
    fn that_looks(verb: &'static str, consent: Consent, events: bool, progress: bool) -> Self {
        Self {
            verb,
            given: Given::new(),
            consent,
            reopen: Reopen::Nothing,
            unskips: Unskips::default(),
            events,
            progress,
            report: None,
            releases: Vec::new(),
            paper: Paper::default(),
        }
    }

    /// As the plan has it, or the run that was begun from it.
    fn under(mut self, paper: Paper) -> Result<Self, CommandError> {
        let is_unknown = |(wave, _): &&(String, _)| paper.terms.wave(Some(wave)).is_none();
        if let Some((unknown, _)) = self.releases.iter().find(is_unknown) {
            let known = paper.terms.waves.iter().map(|wave| wave.name.clone()).collect();
            return Err(CommandError::UnknownWave { name: unknown.clone(), known });
        }
        self.paper = paper;
        Ok(self)
    }
}

/// Tells what flags loosen, and what of the plan does not hold: who reads along should know.
fn tell_what_holds(context: &Context, terms: &Terms) {
    let (settings, console) = (&context.settings, context.console);
    for Loosened { key, flag, held, origin } in &settings.loosened {
        let flag_name = key.replace('_', "-");
        console.warn(&format!("`--{flag_name} {flag}` loosens `{key}` for this launch: it is {held} {origin}"));
    }
    for (key, planned) in &terms.policy {
        let is_told = settings.loosened.iter().any(|loosened| loosened.key == key);
        if let Some((text, origin)) = settings.instead_of(key, planned).filter(|_| !is_told) {
            console.warn(&format!("the plan's `{key}` {planned} does not hold for this launch: it is {text} {origin}"));
        }
    }
}

/// What a run keeps of its plan besides the rows.
pub(crate) fn paper_of(run: &RunRecord) -> Result<Paper, CommandError> {
    let paper = Paper::of_settings(&run.settings);
    paper.map_err(|error| JournalError::Damaged(format!("the settings of run {}: {error}", run.id)).into())
}

/// Whether as many people agreed as the plan wants, and those whose word counts here.
fn must_be_approved(context: &Context, paper: &Paper, plan: &Path) -> Result<(), CommandError> {
    let required = paper.terms.require_approvals;
    let approvers = sealing::approvers(context)?;
    let now = Timestamp::now();
    let counted = paper.seal.as_ref().map(|seal| seal.counted(required, approvers.as_ref(), now)).unwrap_or_default();
    if u32::try_from(counted.n).is_ok_and(|given| given < required) {
        let (plan, is_sealed) = (plan.display().to_string(), paper.seal.is_some());
        let Counted { n: given, passed_over } = counted;
        let is_signed = approvers.is_some();
        return Err(CommandError::NotApproved { plan, given, required, is_sealed, is_signed, passed_over });
    }
    Ok(())
}

/// A sealed plan is for the accounts at which the states were seen, and for nobody who does not look.
fn must_be_as_sealed(context: &Context, seal: &Seal, accounts: &[Account]) -> Result<(), CommandError> {
    sealing::must_look(context)?;
    let here: Vec<LanePlace> = accounts.iter().map(Account::place).collect();
    let is_same = |place: &&LanePlace| here.contains(place);
    match seal.lanes.iter().find(|place| !is_same(place)) {
        None if seal.lanes.len() == here.len() => Ok(()),
        sealed => {
            let place = |place: &LanePlace| format!("`{}` at {}", place.account, place.endpoint);
            let sealed = sealed.map_or_else(|| "fewer accounts".to_owned(), place);
            let here = here.iter().map(place).collect::<Vec<_>>().join(", ");
            Err(CommandError::SealedElsewhere { sealed, here })
        }
    }
}

/// The context under what a plan says, or a run that was begun from one.
pub(crate) fn under(
    context: &Context,
    values: impl IntoIterator<Item = (String, String)>,
    origin: &Origin,
) -> Result<Context, CommandError> {
    let layers = context.layers.under(values, origin);
    let settings = Settings::read(&layers, context.settings.profile.as_deref())?;
    Ok(Context { settings, layers, ..context.clone() })
}

/// Tried before the work, so that a night does not end without its report.
fn report_at(path: &Path) -> Result<(Format, PathBuf), CommandError> {
    let extension = path.extension().and_then(std::ffi::OsStr::to_str).unwrap_or("");
    let format = Format::of_extension(extension).ok_or_else(|| CommandError::ReportFormat(path.to_owned()))?;
    check_destination(path).map_err(bad_destination(path))?;
    Ok((format, path.to_owned()))
}

pub(crate) fn run(context: &Context, args: &PlanArgs, launch: &LaunchArgs, new: bool) -> Result<Exit, CommandError> {
    let launch = Launch::of("run", launch)?;
    launch.spares(&args.plan)?;
    let source = Source::open(&args.plan)?;
    let checked = checked(context, &source, args)?;
    let outside = context;
    let context = &under(outside, checked.terms.policy.clone(), &Origin::Plan(source.name().to_owned()))?;
    tell_what_holds(context, &checked.terms);
    let paper = Paper::of_plan(&checked);
    must_be_approved(context, &paper, &args.plan)?;
    let accounts = accounts::of_plan(context, &checked)?;
    if let Some(seal) = &paper.seal {
        must_be_as_sealed(context, seal, &accounts)?;
    }
    let sealing = paper.seal.as_ref().map(|seal| seal.digest.clone());
    let launch = launch.under(paper)?;
    Journal::check_place(&context.settings.journal)?;
    warn_of_an_open_folder(context);
    must_be_able_to_ask(&launch, args.plan == Path::new("-"))?;
    let _locks = accounts::lock_all(context, &accounts)?;
    let lanes: Vec<NewLane> = accounts.iter().map(Account::lane).collect();
    let unfinished = |journal: &Journal| {
        beforehand::runs(journal)?;
        let found = if new { Vec::new() } else { journal.unfinished(&checked.digest.to_string(), &lanes)? };
        let (mut recorded, mut unrecorded) = (Vec::new(), Vec::new());
        for run in found {
            if journal.is_unrecorded(run.key)? { unrecorded.push(run) } else { recorded.push(run) }
        }
        // Another sealing saw other states, and others agreed to it.
        let (same, other): (Vec<_>, Vec<_>) = recorded.into_iter().partition(|run| run.sealing() == sealing.as_deref());
        if !new {
            let of_plan = journal.of_plan(&checked.digest.to_string(), &lanes)?;
            beforehand::passed_over(journal, passed_over(&of_plan, same.first()))?;
        }
        if let Some(run) = same.first() {
            beforehand::run(journal, run, Of::Launch)?;
        }
        Ok::<_, CommandError>((same, other, unrecorded))
    };
    // A journal that is there is looked at before anybody hears of us, and one that is not is made when we were let in.
    let opened = context.settings.journal.exists().then(|| {
        let journal = Journal::open(&context.settings.journal)?;
        let found = unfinished(&journal)?;
        Ok::<_, CommandError>((journal, found))
    });
    let opened = opened.transpose()?;
    let runtime = runtime()?;
    accounts::let_in(&runtime, &accounts)?;
    let (mut journal, (same, other, unrecorded)) = if let Some(opened) = opened {
        opened
    } else {
        let journal = Journal::open(&context.settings.journal)?;
        let found = unfinished(&journal)?;
        (journal, found)
    };
    close_cut_off(context, &mut journal)?;
    if let Some(run) = same.into_iter().next() {
        let n_left = journal.count_unsettled(run.key)?;
        context.console.say(&format!(
            "taking up run {} where it stands: {} settled, {} left (--new starts afresh)",
            run.id,
            count(u64::from(run.n_rows).saturating_sub(n_left), "row"),
            n_left
        ));
        let context = &under(outside, kept(&run, &checked.terms), &Origin::Begun(format!("run {}", run.id)))?;
        return launch_run(context, journal, (run.key, None), accounts, runtime, &launch);
    }
    if let Some(run) = other.first() {
        context
            .console
            .say(&format!("run {} of this plan is unfinished and was sealed otherwise: left as it is", run.id));
    }
    if let Some(run) = unrecorded.first() {
        context.console.say(&format!(
            "nothing is recorded of run {} of this plan, not even that it began: left as it is",
            plain(&run.id)
        ));
    }
    let NewlyMade { run, begun } =
        make_run(&mut journal, &source, args, &checked, &lanes, &context.settings, &launch.given)?;
    launch_run(context, journal, (run, Some(begun)), accounts, runtime, &launch)
}

/// Of the runs of a plan, the newest first, those that are passed over for the one that is taken up; where none is, the latest says
/// that nothing is left to take up.
fn passed_over<'a>(of_plan: &'a [RunRecord], taken_up: Option<&RunRecord>) -> &'a [RunRecord] {
    let n = match taken_up {
        Some(taken_up) => of_plan.iter().take_while(|run| run.key.number() > taken_up.key.number()).count(),
        None => of_plan.len().min(1),
    };
    &of_plan[..n]
}

pub(crate) fn resume(context: &Context, run: Option<&str>, args: &LaunchArgs) -> Result<Exit, CommandError> {
    take_up(context, run, Otherwise::Unfinished, Launch::of("resume", args)?, |_, _, _| Ok(()))
}

pub(crate) fn retry(
    context: &Context,
    run: Option<&str>,
    selection: &SelectionArgs,
    args: &LaunchArgs,
) -> Result<Exit, CommandError> {
    let launch = Launch::of("retry", args)?;
    take_up(context, run, Otherwise::LaunchedLast, launch, |journal, run, launch| {
        (launch.reopen, launch.unskips) = reopened_by(context, journal, run, selection)?;
        Ok(())
    })
}

/// What is opened again, and what of it was skipped: nothing that is not named.
fn reopened_by(
    context: &Context,
    journal: &Journal,
    run: &RunRecord,
    SelectionArgs { only, row }: &SelectionArgs,
) -> Result<(Reopen, Unskips), CommandError> {
    if !row.is_empty() {
        let (mut rows, mut sources) = (BTreeSet::new(), BTreeSet::new());
        for text in row {
            let (row, standing) = meant::row(context, journal, run, text)?;
            if let Phase::Settled(verdict @ (Verdict::Applied | Verdict::Already)) = standing.phase {
                let id = plain(row.source_id.as_str());
                context.console.say(&format!("`{id}` is on target already ({verdict}), and stays as it is"));
            }
            rows.insert(row.id);
            sources.insert(row.source_id.to_string());
        }
        return Ok((Reopen::Rows(rows), Unskips::These(sources)));
    }
    if only.is_empty() {
        return Ok((Reopen::OffTarget, Unskips::default()));
    }
    let unskips = if only.iter().any(Only::names_skipped) { Unskips::All } else { Unskips::default() };
    Ok((Reopen::Only(only.clone()), unskips))
}

pub(crate) fn reconcile(context: &Context, run: Option<&str>, show: &ShowArgs) -> Result<Exit, CommandError> {
    let launch = Launch::that_looks("reconcile", Consent::NothingIsSent, show.events, !show.no_progress);
    take_up(context, run, Otherwise::Unfinished, launch, |_, _, _| Ok(()))
}

/// Goes on with a run that the journal holds, where and as it was begun.
fn take_up(
    context: &Context,
    run: Option<&str>,
    otherwise: Otherwise,
    mut launch: Launch,
    choose: impl FnOnce(&Journal, &RunRecord, &mut Launch) -> Result<(), CommandError>,
) -> Result<Exit, CommandError> {
    if !context.settings.journal.exists() {
        return Err(crate::journal::JournalError::Absent(context.settings.journal.clone()).into());
    }
    warn_of_an_open_folder(context);
    let mut journal = Journal::open(&context.settings.journal)?;
    warn_of_a_copy(context, &journal)?;
    beforehand::runs(&journal)?;
    close_cut_off(context, &mut journal)?;
    let record = meant::run_to_change(context, &journal, run, otherwise)?;
    if journal.is_unrecorded(record.key)? {
        let instead = NextCommands::of(&journal, &record, &context.settings.journal)?.run_again();
        return Err(CommandError::NeverBegun { run: plain(&record.id), instead });
    }
    beforehand::run(&journal, &record, Of::Launch)?;
    choose(&journal, &record, &mut launch)?;
    launch.spares(Path::new(&record.plan_path))?;
    let lanes = journal.lanes(record.key)?;
    // Rows that name no target go on in the profile that they were begun in.
    let begun_in = record.settings.get("profile").and_then(serde_json::Value::as_str);
    let begun_in = begun_in.filter(|_| context.settings.profile.is_none());
    let again = match begun_in {
        Some(profile) => &Context { settings: Settings::read(&context.layers, Some(profile))?, ..context.clone() },
        None => context,
    };
    let paper = paper_of(&record)?;
    let again = &under(again, kept(&record, &paper.terms), &Origin::Begun(format!("run {}", record.id)))?;
    tell_what_holds(again, &paper.terms);
    let accounts = accounts::of_run(again, &record, &lanes, &paper.terms)?;
    match launch.consent {
        Consent::Asked { .. } => {
            must_be_approved(again, &paper, Path::new(&record.plan_path))?;
            if let Some(seal) = &paper.seal {
                must_be_as_sealed(again, seal, &accounts)?;
            }
        }
        Consent::OnlyShown | Consent::OnlyLooked | Consent::NothingIsSent => (),
    }
    let unsaid = accounts::unsaid(again, &lanes, &paper.terms, begun_in)?;
    let launch = &launch.under(paper)?;
    must_be_able_to_ask(launch, false)?;
    if let Some(unsaid) = unsaid {
        must_be_meant(&record, unsaid)?;
    }
    let _locks = accounts::lock_all(again, &accounts)?;
    let runtime = runtime()?;
    accounts::let_in(&runtime, &accounts)?;
    launch_run(again, journal, (record.key, None), accounts, runtime, launch)
}

/// What a run keeps to that was begun with it, and what its plan says.
fn kept(run: &RunRecord, terms: &Terms) -> BTreeMap<String, String> {
    let begun = KEYS.iter().filter(|key| key.kept).filter_map(|key| {
        let text = run.settings.get(key.name)?.as_str()?;
        Some((key.name.to_owned(), text.to_owned()))
    });
    let mut kept: BTreeMap<String, String> = begun.collect();
    for (key, text) in &terms.policy {
        kept.entry(key.clone()).or_insert_with(|| text.clone());
    }
    kept
}

/// The same as `run` up to the question, over a journal that is thrown away.
pub(crate) fn plan(context: &Context, args: &PlanArgs, seal: Option<&SealTo<'_>>) -> Result<Exit, CommandError> {
    if let Some(seal) = seal {
        sealing::must_be_free(seal)?;
        sealing::must_look(context)?;
    }
    let source = Source::open(&args.plan)?;
    let checked = checked(context, &source, args)?;
    let context = &under(context, checked.terms.policy.clone(), &Origin::Plan(source.name().to_owned()))?;
    tell_what_holds(context, &checked.terms);
    let accounts = accounts::of_plan(context, &checked)?;
    let runtime = runtime()?;
    accounts::let_in(&runtime, &accounts)?;
    let lanes: Vec<NewLane> = accounts.iter().map(Account::lane).collect();
    let folder = files::private_folder().map_err(CommandError::Start)?;
    let mut journal = Journal::open(&folder.path().join("plan.db"))?;
    let NewlyMade { run, begun } =
        make_run(&mut journal, &source, args, &checked, &lanes, &context.settings, &Given::new())?;
    let run = journal.run(run)?;
    let launch = Launch::that_looks("plan", Consent::OnlyShown, false, false).under(Paper::of_plan(&checked))?;
    let path = journal.path().to_owned();
    let places = accounts.iter().map(Account::place).collect();
    let Carried { exit, reason, .. } = carry_of(context, &run, Some(begun), accounts, &launch).out(runtime, journal)?;
    if exit != Exit::Done {
        return Err(CommandError::Stopped { exit, reason: reason.unwrap_or_default() });
    }
    if let Some(seal) = seal {
        sealing::seal(context, &Journal::open_to_read(&path)?, &run, checked.terms, places, seal)?;
    }
    Ok(exit)
}

/// Launches a run: one that was there, or one that this process just made, with the event with which it began.
fn launch_run(
    context: &Context,
    mut journal: Journal,
    (key, begun): (RunKey, Option<Event>),
    accounts: Vec<Account>,
    runtime: Runtime,
    launch: &Launch,
) -> Result<Exit, CommandError> {
    let id = journal.run(key)?.id;
    let path = &context.settings.journal;
    let lock = Lock::take(&lock::of_run(path, &id), journal.mode(), &format!("run {id}"), path)?;
    // Read once it is ours: nobody else writes to it from here on.
    let run = journal.run(key)?;
    if begun.is_none() {
        journal.mind_rows();
    }
    journal.forget_stale_commands(key)?;
    let carry = carry_of(context, &run, begun, accounts, launch);
    let ended = carry.out(runtime, journal).and_then(|carried| carry.tell(carried));
    drop(lock);
    ended.map_err(|error| carry.failed(error))
}

fn carry_of<'a>(
    context: &'a Context,
    run: &'a RunRecord,
    begun: Option<Event>,
    accounts: Vec<Account>,
    launch: &'a Launch,
) -> Carry<'a> {
    Carry {
        console: context.console,
        settings: &context.settings,
        run,
        begun,
        accounts,
        launch,
        clock: Clock::OfMachine,
        live: None,
        sent: Sent::default(),
    }
}

/// Whoever can put files beside a journal can put some there that are taken for its own.
fn warn_of_an_open_folder(context: &Context) {
    if let Some(folder) = files::open_to_others(&context.settings.journal) {
        // What is everybody's folder, or somebody else's, stays so.
        let close = if files::is_ours_to_close(&folder) {
            format!("`chmod o-w {}`, or ", shell_path(&folder))
        } else {
            String::new()
        };
        context.console.warn(&format!(
            "everybody on this machine can put files in `{}`, and so replace the journal or what lies beside it; {close}keep it \
             elsewhere (`--journal PATH`)",
            folder.display()
        ));
    }
}

/// Asked when nothing else stands in the way: what cannot work at all is said before what was not given.
fn must_be_able_to_ask(launch: &Launch, plan_is_stdin: bool) -> Result<(), CommandError> {
    match launch.consent {
        Consent::Asked { yes: false, .. } if plan_is_stdin || !console::can_ask() => Err(CommandError::NoTerminal),
        Consent::Asked { .. } | Consent::OnlyShown | Consent::OnlyLooked | Consent::NothingIsSent => Ok(()),
    }
}

/// Asks whether a run is to go where only its journal says. A yes that was given beforehand was given to what the person knew.
fn must_be_meant(run: &RunRecord, Unsaid { way, flags }: Unsaid) -> Result<(), CommandError> {
    let id = plain(&run.id);
    if !console::can_ask() {
        return Err(CommandError::SaidByJournalAlone { run: id, way, flags });
    }
    console::ask(&format!(
        "Only the journal says that run {id} goes {way}: credentials and changes would go there. Go on? [y/N]"
    ));
    let mut answer = String::new();
    // What cannot be read is no yes.
    _ = io::stdin().lock().read_line(&mut answer);
    if console::is_yes(&answer) { Ok(()) } else { Err(CommandError::NotAgreed) }
}

fn make_run(
    journal: &mut Journal,
    source: &Source,
    args: &PlanArgs,
    checked: &Checked,
    lanes: &[NewLane],
    settings: &Settings,
    given: &Given,
) -> Result<NewlyMade, CommandError> {
    let is_elsewhere = lanes.iter().any(|lane| lane.endpoint != "sandbox");
    let new = NewRun {
        id: &new_run_id(),
        made_at: Timestamp::now(),
        plan_path: source.name(),
        plan_digest: &checked.digest.to_string(),
        n_rows: checked.n_rows,
        lanes,
        settings: &settings_of_run(settings, &Paper::of_plan(checked))?,
        given: given_by_hand(settings, given, is_elsewhere, settings.steering.window(Timestamp::now())?.deadline),
        terms: &checked.terms,
    };
    journal.create_run(&new, |sink| {
        let again = crate::plan::read(source, &reading_of(settings, args), checked, |Planned { row, sealed }| {
            sink.row(&row, sealed.as_ref()).map_err(CommandError::from)
        })?;
        if again.digest == checked.digest { Ok(()) } else { Err(CommandError::PlanChanged(source.name().to_owned())) }
    })
}

/// Everything a launch is given by hand: settings, and flags that are none.
fn given_by_hand(settings: &Settings, of_launch: &Given, is_elsewhere: bool, deadline: Option<Timestamp>) -> Given {
    let mut given = settings.by_hand.clone();
    // The sandbox is this process, and there is no other way to it.
    if !is_elsewhere {
        given.retain(|key, _| !next::is_of_way(key));
    }
    // A time of the day is that of the night on which it was said.
    if let (Some(said), Some(deadline)) = (given.get_mut("deadline"), deadline) {
        *said = deadline.to_string();
    }
    given.extend(of_launch.clone());
    given
}

/// The texts of the settings, and what the plan says.
fn settings_of_run(settings: &Settings, paper: &Paper) -> Result<serde_json::Value, CommandError> {
    let mut all = serde_json::to_value(paper).expect("a plan's terms are JSON");
    let map = all.as_object_mut().expect("they are an object");
    // What this launch was given by hand holds for it alone, and stands in the event with which it begins.
    let is_of_launch = |name: &str| KEYS.iter().any(|key| key.name == name && key.of_launch);
    let of_run = |key: &&str| !(is_of_launch(key) && settings.by_hand.contains_key(*key));
    let texts = settings.texts.iter().filter(|(key, _)| of_run(key));
    map.extend(texts.map(|(key, text)| ((*key).to_owned(), text.as_str().into())));
    // A time of the day is that of the night on which the run begins, and not every day's.
    let now = Timestamp::now();
    // Before a run is made that could not begin for want of a clock.
    let window = settings.steering.window(now)?;
    let deadline = match settings.by_hand.get("deadline") {
        Some(_) => deadline_of_plan(settings, &paper.terms, now)?,
        None => window.deadline,
    };
    if let Some(deadline) = deadline {
        map.insert("deadline".to_owned(), deadline.to_string().into());
    }
    Ok(all)
}

/// The one that another was given for by hand: it holds again when the run is taken up.
fn deadline_of_plan(settings: &Settings, terms: &Terms, now: Timestamp) -> Result<Option<Timestamp>, CommandError> {
    let Some(deadline) = terms.policy.get("deadline").and_then(|text| text.parse().ok()) else { return Ok(None) };
    let other_deadlines = Vec::new();
    let steering = Steering { deadline: Some(deadline), other_deadlines, ..settings.steering.clone() };
    Ok(steering.window(now)?.deadline)
}

/// When it was made, and four letters that tell it from others of that second: easy to type a prefix of.
fn new_run_id() -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let made = Timestamp::now().strftime("%Y%m%dt%H%M%S");
    let die: u32 = rand::random();
    let letter = |n: u32| char::from(LETTERS[usize::try_from(die >> (5 * n) & 31).expect("below 32")]);
    format!("{made}-{}{}{}{}", letter(0), letter(1), letter(2), letter(3))
}
