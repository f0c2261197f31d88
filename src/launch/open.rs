//! A launch that holds its locks and credentials, and a run in an open journal: it is ready to begin.

use std::collections::HashMap;
use std::path::PathBuf;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::accounts::account::Account;
use super::accounts::credentials::fetch_credentials;
use super::accounts::locks::{led_accounts, lock_all};
use super::closing::close_cut_off;
use super::holding::as_begun;
use super::inputs::Launch;
use super::locked::{LockWaits, Met};
use super::making::{make_run, new_run_id};
use super::planned::PlanToLaunch;
use super::ready::{Prepared, Ready};
use super::run_key::{self, RunOfKey};
use super::run_lock::lock_of_run;
use super::signals::Signals;
use super::summing_up::Carried;
use super::taking_up::RunToTakeUp;
use super::unfinished::{RunsOfPlan, Unfinished, tell_of_others, tell_taken_up};
use crate::audit::beforehand::{self, CheckFor};
use crate::clock::Clock;
use crate::console::{self, Console};
use crate::event::Event;
use crate::event::run::LanePlace;
use crate::exit::Exit;
use crate::files;
use crate::journal::new_run::{NewLane, NewlyMade};
use crate::journal::read::runs::RunRecord;
use crate::journal::tombstone::Tombstone;
use crate::journal::{Journal, JournalError, RunKey};
use crate::lock::Lock;
use crate::log::alone::Alone;
use crate::log::logs::Logs;
use crate::log::server::{Before, Lead, LedRun, NotLed, NotRead};
use crate::model::SourceId;
use crate::model::state::SeenState;
use crate::report::next::given::GivenByHand;
use crate::verb::context::Context;
use crate::verb::engine::logs_of_run;
use crate::verb::error::CommandError;
use crate::verb::results::nothing_done;
use crate::verb::runtime::runtime;
use crate::wording::plain::plain;

/// Result of opening a launch in the user's journal.
pub(crate) enum Opened {
    ToLaunch(Box<OpenLaunch>),
    /// The run of its key has ended: nothing is launched, and its summary is told.
    HasEnded(Box<EndedRun>),
    /// The run of its key has ended so and was taken out of the journal, in which its tombstone is.
    WasPruned(Box<ArchivedRun>),
    /// Another launch holds a lock, and this one was told to do nothing then. In words.
    Skipped(Console, String),
}

impl Opened {
    /// Launches what is to be launched, to its end.
    pub(crate) fn launch(self) -> Result<Exit, CommandError> {
        match self {
            Opened::ToLaunch(open) => open.launch(),
            Opened::HasEnded(ended) => ended.sum_up(),
            Opened::WasPruned(pruned) => pruned.sum_up(),
            Opened::Skipped(console, text) => nothing_done(console, &text),
        }
    }
}

/// A launch of a run in the user's journal. Holds the locks of the run and of its accounts.
pub(crate) struct OpenLaunch {
    launch: Launch,
    journal: Journal,
    runtime: Runtime,
    locks: RunLocks,
    lead: Box<dyn Lead>,
    /// Signals, if they are listened to already.
    signals: Option<Signals>,
}

/// A run of a key that has ended so and is in an archive, and what becomes of the report of the launch that came after that. In words.
pub(crate) struct ArchivedRun {
    console: Console,
    tombstone: Box<Tombstone>,
    exit: Exit,
    no_report: String,
}

impl ArchivedRun {
    fn sum_up(self) -> Result<Exit, CommandError> {
        let Self { console, tombstone, exit, no_report } = self;
        if exit == Exit::Done {
            return nothing_done(console, &format!("{}; nothing is sent{no_report}", JournalError::Pruned(tombstone)));
        }
        Err(CommandError::EndedAndPruned { exit, tombstone, no_report })
    }
}

/// A run of a key that has ended, and the launch that came after that.
pub(crate) struct EndedRun {
    launch: Launch,
    carried: Carried,
}

impl EndedRun {
    fn sum_up(self) -> Result<Exit, CommandError> {
        let Self { launch, carried } = self;
        launch.sum_up_again(carried)
    }
}

/// Lock of a run, and those of its accounts.
type RunLocks = (Lock, Vec<Lock>);

/// Locks and lead of a run that this process is to launch.
struct RunHold {
    locks: RunLocks,
    lead: Box<dyn Lead>,
}

/// A run that this process holds, in an open journal.
struct HeldRun {
    journal: Journal,
    run: RunKey,
    /// First event of the run, if this launch made it.
    begun: Option<Event>,
    locks: RunLocks,
    lead: Box<dyn Lead>,
}

/// Result of looking for the run of a launch.
enum Found {
    /// To be launched, with the settings of the run if it was begun before.
    Run(Box<HeldRun>, Option<Box<Context>>),
    /// The run of the key has ended with this.
    HasEnded(Box<RunRecord>, Exit),
    /// The run of the key has ended with this, and is in an archive.
    WasPruned(Box<Tombstone>, Exit),
    /// Another launch with the same key was faster: it is worth another look.
    Again,
}

impl Ready<&PlanToLaunch<'_>> {
    /// Locks the accounts, fetches credentials, and takes up an unfinished run of the plan or makes one. With a key whose run has ended
    /// none of that is needed.
    ///
    /// An existing journal is checked before credentials are fetched, so that a bad one causes no request. A missing one is made
    /// after that, so that refused credentials leave no file behind.
    pub(crate) fn open(self, unfinished: &Unfinished) -> Result<Opened, CommandError> {
        let (plan, mut prepared) = self.split();
        let console = prepared.context.console;
        let runtime = runtime()?;
        let mut waits = LockWaits::new(&prepared.context.settings, &prepared.request);
        loop {
            let error = match found(plan, &prepared, unfinished, &runtime) {
                Ok(Found::Run(held, begun_with)) => {
                    if let Some(begun_with) = begun_with {
                        prepared.context = *begun_with;
                    }
                    return OpenLaunch::new(prepared, *held, runtime, waits).map(Box::new).map(Opened::ToLaunch);
                }
                Ok(Found::HasEnded(run, exit)) => return Ok(has_ended(prepared, *run, exit)),
                Ok(Found::WasPruned(tombstone, exit)) => {
                    prepared.request.metrics.of_pruned_run(&tombstone);
                    prepared.context.notices.tell_nobody();
                    let no_report = prepared.request.no_report();
                    return Ok(Opened::WasPruned(Box::new(ArchivedRun { console, tombstone, exit, no_report })));
                }
                Ok(Found::Again)
                | Err(
                    CommandError::Journal(JournalError::KeyTaken { .. })
                    | CommandError::NotLed(NotLed::KeyTaken { .. }),
                ) => continue,
                Err(error) => error,
            };
            match waits.meet(&runtime, console, error)? {
                Met::Free => (),
                Met::Skipped(text) => return Ok(skipped(&prepared, text)),
            }
        }
    }

    /// Fetches credentials, and makes a run in a journal that is thrown away.
    pub(crate) fn open_apart(self) -> Result<OpenApart, CommandError> {
        let (plan, prepared) = self.split();
        let runtime = runtime()?;
        fetch_credentials(&runtime, &prepared.accounts)?;
        OpenApart::make(plan, prepared, runtime)
    }

    /// Makes a run in a journal that is thrown away, on a clock that skips idle time. Tells its window and nothing else. The sandbox
    /// needs no credentials.
    pub(crate) fn open_rehearsal(self, live: Option<HashMap<SourceId, SeenState>>) -> Result<OpenApart, CommandError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .map_err(CommandError::Start)?;
        let (plan, prepared) = self.split();
        let mut open = OpenApart::make(plan, prepared, runtime)?;
        let OpenApart { launch, runtime, .. } = &mut open;
        let in_runtime = runtime.enter();
        launch.clock = Clock::Rehearsed { from: Timestamp::now(), began: Instant::now() };
        drop(in_runtime);
        let window = launch.settings.steering.window(Timestamp::now())?;
        window.told(Timestamp::now()).iter().for_each(|line| launch.console.say(line));
        launch.console = launch.console.silenced();
        launch.live = live;
        Ok(open)
    }
}

impl Ready<RunToTakeUp> {
    /// Locks the accounts and fetches credentials. The journal is open, and the run was found in it.
    pub(crate) fn open(self) -> Result<Opened, CommandError> {
        let (RunToTakeUp { mut journal, run, logs, before }, prepared) = self.split();
        let console = prepared.context.console;
        let runtime = runtime()?;
        let mut waits = LockWaits::new(&prepared.context.settings, &prepared.request);
        let RunHold { locks, lead } = loop {
            let error = match led(&prepared, &mut journal, &run, (&logs, before), &runtime, &waits) {
                Ok(Some(led)) => break led,
                Ok(None) => continue,
                Err(error) => error,
            };
            match waits.meet(&runtime, console, error)? {
                Met::Free => (),
                Met::Skipped(text) => return Ok(skipped(&prepared, text)),
            }
        };
        let held = HeldRun { journal, run: run.key, begun: None, locks, lead };
        OpenLaunch::new(prepared, held, runtime, waits).map(Box::new).map(Opened::ToLaunch)
    }
}

/// Locks a run and its accounts, and takes its lead. `None`: see [`lead_of`].
fn led(
    prepared: &Prepared,
    journal: &mut Journal,
    run: &RunRecord,
    (logs, before): (&Logs, Before),
    runtime: &Runtime,
    waits: &LockWaits,
) -> Result<Option<RunHold>, CommandError> {
    let locks = locked(prepared, journal, run, runtime)?;
    if waits.has_waited() {
        beforehand::run(journal, &journal.run(run.key)?, CheckFor::Launch)?;
    }
    logs.catch_up(journal, run.key, &run.id)?;
    let now = journal.run(run.key)?;
    let before = match before {
        // Of a launch that began since, nobody has listened for anything.
        Before::Unheard if now.launches == run.launches => Before::Unheard,
        Before::Unheard | Before::Ended | Before::NotEnded => Before::of_run(&now),
    };
    Ok(lead_of(prepared, logs, journal, &now, before)?.map(|lead| RunHold { locks, lead }))
}

/// Locks the accounts of a run, fetches credentials, and locks the run.
fn locked(
    prepared: &Prepared,
    journal: &Journal,
    run: &RunRecord,
    runtime: &Runtime,
) -> Result<RunLocks, CommandError> {
    let of_accounts = lock_all(&prepared.context, &prepared.accounts)?;
    fetch_credentials(runtime, &prepared.accounts)?;
    Ok((lock_of_run(journal, run)?, of_accounts))
}

/// Takes the lead of a run whose locks this process holds. `None`: another launch ended it, or began, while that one was listened for, so
/// that it is worth another look.
fn lead_of(
    prepared: &Prepared,
    logs: &Logs,
    journal: &mut Journal,
    run: &RunRecord,
    before: Before,
) -> Result<Option<Box<dyn Lead>>, CommandError> {
    let lead = logs.lead(&LedRun {
        id: &run.id,
        launch: run.launches + 1,
        accounts: &led_accounts(&prepared.accounts),
        run_key: run.run_key.as_deref(),
        before,
        last_event: journal.last_event_at(run.key)?,
    })?;
    logs.catch_up(journal, run.key, &run.id)?;
    let now = journal.run(run.key)?;
    Ok(((now.launches, now.running) == (run.launches, run.running)).then_some(lead))
}

/// Result of taking the lead of a run that is to be made.
enum NewLead {
    Taken(Box<dyn Lead>),
    /// Another machine has made the run of the key, and the journal has it now as well.
    IsThere,
}

/// Takes the lead of a run that is to be made: one that is refused leaves nothing behind.
fn lead_of_new(prepared: &Prepared, id: &str, run_key: Option<&str>) -> Result<NewLead, CommandError> {
    let logs = &prepared.context.logs;
    if let Some(run_key) = run_key
        && is_brought(prepared, run_key)?
    {
        return Ok(NewLead::IsThere);
    }
    let accounts = &led_accounts(&prepared.accounts);
    let led = LedRun { id, launch: 1, accounts, run_key, before: Before::Ended, last_event: None };
    Ok(NewLead::Taken(logs.lead(&led)?))
}

/// Brings the run that has a key on the servers of the log into the journal, if there is one. Of one that is about to be made, or was
/// given up before it was, whoever claims the key is told.
fn is_brought(prepared: &Prepared, run_key: &str) -> Result<bool, CommandError> {
    let Context { logs, settings, .. } = &prepared.context;
    let Some(id) = logs.run_of_key(run_key)? else { return Ok(false) };
    // A journal is made for a run alone that is there.
    let brought = logs.find(&id).and_then(|id| logs.bring(&mut Journal::open(&settings.journal)?, &id));
    match brought {
        Ok(_) => Ok(true),
        Err(NotRead::NoRun(_) | NotRead::Unmade(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Finds the run of a plan, or makes it, and locks it. Nothing stays locked after an error.
fn found(
    plan: &PlanToLaunch<'_>,
    prepared: &Prepared,
    unfinished: &Unfinished,
    runtime: &Runtime,
) -> Result<Found, CommandError> {
    let context = &prepared.context;
    let lanes: Vec<NewLane> = prepared.accounts.iter().map(Account::lane).collect();
    if let Some(run_key) = unfinished.run_key()
        && context.settings.journal.exists()
        && let Some(found) = ended_run(context, plan, &lanes, run_key)?
    {
        return Ok(found);
    }
    locked_run(plan, prepared, unfinished, runtime)
}

/// Locks the accounts, and takes up the run of a plan or makes one. What was seen of a run before the locks were taken may not hold
/// any more: another launch may have ended it since.
fn locked_run(
    plan: &PlanToLaunch<'_>,
    prepared: &Prepared,
    unfinished: &Unfinished,
    runtime: &Runtime,
) -> Result<Found, CommandError> {
    let (context, path) = (&prepared.context, &prepared.context.settings.journal);
    let lanes: Vec<NewLane> = prepared.accounts.iter().map(Account::lane).collect();
    let of_accounts = lock_all(context, &prepared.accounts)?;
    let look = || {
        let journal = Journal::open(path)?;
        let runs = RunsOfPlan::find(&journal, plan, &lanes, unfinished)?;
        Ok::<_, CommandError>((journal, runs))
    };
    let looked_at = path.exists().then(look).transpose()?;
    fetch_credentials(runtime, &prepared.accounts)?;
    context.logs.reach()?;
    let id = new_run_id();
    // Where there is no journal yet, there is none either once the lead is refused.
    let lead_of_first = match &looked_at {
        Some(_) => None,
        None => match lead_of_new(prepared, &id, unfinished.run_key())? {
            NewLead::Taken(lead) => Some(lead),
            NewLead::IsThere => return Ok(Found::Again),
        },
    };
    let (mut journal, runs) = looked_at.map_or_else(look, Ok)?;
    close_cut_off(context, &mut journal)?;
    let (run, begun, begun_with, lead_of_new) = if let Some(run) = runs.to_take_up {
        drop(lead_of_first);
        // It may have been closed just now.
        let run = journal.run(run.key)?;
        let logs = logs_of_run(context, &run)?;
        let begun_with = Context { logs, ..as_begun(plan.outside, &run, &plan.checked.terms)? };
        (run, None, Some(begun_with), None)
    } else {
        let lead = match lead_of_first
            .map_or_else(|| lead_of_new(prepared, &id, unfinished.run_key()), |lead| Ok(NewLead::Taken(lead)))?
        {
            NewLead::Taken(lead) => lead,
            NewLead::IsThere => return Ok(Found::Again),
        };
        runs.tell_of_those_left(context.console);
        let given = &prepared.request.given;
        let NewlyMade { run, begun } = make_run(&mut journal, &id, plan, prepared, given, unfinished.run_key())?;
        (journal.run(run)?, Some(begun), None, Some(lead))
    };
    let of_run = lock_of_run(&journal, &run)?;
    if let Some(begun_with) = &begun_with {
        begun_with.logs.catch_up(&mut journal, run.key, &run.id)?;
    }
    // Read under the lock: a launch with the same key may have held the run, and ended it, in between.
    let now = journal.run(run.key)?;
    if unfinished.run_key().is_some() && (now.launches != run.launches || run_key::has_ended(&journal, &now)?) {
        return Ok(Found::Again);
    }
    let is_as_it_was = (now.launches, now.running) == (run.launches, run.running);
    if !is_as_it_was && run_key::has_ended(&journal, &now)? {
        // A launch on another machine has ended it.
        return Ok(Found::Again);
    }
    let lead = if let Some(lead) = lead_of_new {
        lead
    } else {
        let logs = begun_with.as_ref().map_or(&context.logs, |begun_with| &begun_with.logs);
        let lead = lead_of(prepared, logs, &mut journal, &now, Before::of_run(&now))?;
        let Some(lead) = lead else { return Ok(Found::Again) };
        lead
    };
    if begun.is_none() {
        tell_taken_up(context.console, &journal, &now)?;
    }
    tell_of_others(context, &journal, &lanes, run.key)?;
    let held = HeldRun { journal, run: run.key, begun, locks: (of_run, of_accounts), lead };
    Ok(Found::Run(Box::new(held), begun_with.map(Box::new)))
}

/// Finds the run of a key if it has ended, with what the journal says of it checked; `None` if there is one to launch.
fn ended_run(
    context: &Context,
    plan: &PlanToLaunch<'_>,
    lanes: &[NewLane],
    run_key: &str,
) -> Result<Option<Found>, CommandError> {
    let mut journal = Journal::open(&context.settings.journal)?;
    beforehand::runs(&journal)?;
    close_cut_off(context, &mut journal)?;
    match RunOfKey::find(&journal, run_key, &plan.checked, lanes)? {
        RunOfKey::HasEnded(run, exit) => {
            beforehand::run(&journal, &run, CheckFor::Launch)?;
            Ok(Some(Found::HasEnded(Box::new(run), exit)))
        }
        RunOfKey::WasPruned(tombstone, exit) => Ok(Some(Found::WasPruned(tombstone, exit))),
        RunOfKey::GoesOn(_) | RunOfKey::Free => Ok(None),
    }
}

fn skipped(prepared: &Prepared, text: String) -> Opened {
    prepared.request.metrics.leave_as_it_is();
    prepared.context.notices.tell_nobody();
    Opened::Skipped(prepared.context.console, text + &prepared.request.no_report())
}

fn has_ended(prepared: Prepared, run: RunRecord, exit: Exit) -> Opened {
    prepared.request.metrics.of_ended_run(&prepared.context.settings.journal, &run);
    prepared.context.notices.tell_nobody();
    let console = prepared.context.console;
    let run_key = plain(run.run_key.as_deref().unwrap_or_default());
    console.say(&format!("run {} of the key `{run_key}` has ended: nothing is sent", run.id));
    let (reason, journal) = (run.exit_reason.clone(), prepared.context.settings.journal.clone());
    let carried = Carried { exit, reason, journal };
    Opened::HasEnded(Box::new(EndedRun { launch: Launch::new(prepared, run, None), carried }))
}

impl OpenLaunch {
    fn new(prepared: Prepared, held: HeldRun, runtime: Runtime, waits: LockWaits) -> Result<Self, CommandError> {
        let HeldRun { mut journal, run, begun, locks, lead } = held;
        // Read under the lock: no other process of this machine writes to the run from here on.
        let run = journal.run(run)?;
        console::speak_of_run(&run.id);
        prepared.request.metrics.of_run(journal.path(), &run);
        if begun.is_none() {
            journal.mind_rows();
        }
        journal.forget_stale_commands(run.key)?;
        let launch = Launch::new(prepared, run, begun);
        Ok(Self { launch, journal, runtime, locks, lead, signals: waits.into_signals() })
    }

    #[cfg(test)]
    pub(super) fn run(&self) -> &RunRecord {
        &self.launch.run
    }

    /// Begins, looks, tells, asks, carries, ends, and sums up. Holds the locks until the summary is printed.
    pub(crate) fn launch(self) -> Result<Exit, CommandError> {
        let Self { launch, journal, runtime, locks, mut lead, signals } = self;
        let ended = launch.carry_out(runtime, journal, signals, &mut *lead).and_then(|carried| {
            launch.notices.journal_is_at(&carried.journal);
            launch.sum_up(carried)
        });
        drop((lead, locks));
        ended.map_err(|error| launch.failed(error))
    }
}

/// A launch of a run in a journal that is thrown away. Nothing is locked, because no other process knows of either.
pub(crate) struct OpenApart {
    launch: Launch,
    journal: Journal,
    runtime: Runtime,
    folder: TempDir,
}

impl OpenApart {
    /// Makes the run, in a private folder.
    fn make(plan: &PlanToLaunch<'_>, mut prepared: Prepared, runtime: Runtime) -> Result<Self, CommandError> {
        prepared.context.logs = Logs::alone();
        let folder = files::temporary::private_folder().map_err(CommandError::Start)?;
        let mut journal = Journal::open(&folder.path().join(format!("{}.db", prepared.request.verb)))?;
        let id = new_run_id();
        let NewlyMade { run, begun } = make_run(&mut journal, &id, plan, &prepared, &GivenByHand::new(), None)?;
        let run = journal.run(run)?;
        Ok(Self { launch: Launch::new(prepared, run, Some(begun)), journal, runtime, folder })
    }

    /// Begins, looks, and does what the request allows; sums nothing up.
    pub(crate) fn launch(self) -> Result<LaunchedApart, CommandError> {
        let Self { launch, journal, runtime, folder } = self;
        let carried = launch.carry_out(runtime, journal, None, &mut Alone)?;
        let places = launch.accounts.iter().map(Account::place).collect();
        let Launch { run, settings, n_changes, .. } = launch;
        let Carried { exit, reason, journal } = carried;
        let n_changes = n_changes.into_inner().unwrap_or(0);
        Ok(LaunchedApart {
            exit,
            reason,
            n_changes,
            run,
            places,
            scenario: settings.scenario,
            journal,
            _folder: folder,
        })
    }
}

/// A launch that has ended, with its journal, which is removed when this is dropped.
pub(crate) struct LaunchedApart {
    pub(crate) exit: Exit,
    pub(crate) reason: Option<String>,
    /// Rows to which a change would be sent.
    pub(crate) n_changes: u64,
    /// Record of the run before it was launched.
    pub(crate) run: RunRecord,
    pub(crate) places: Vec<LanePlace>,
    /// Scenario of the sandbox, if it was launched there.
    pub(crate) scenario: String,
    journal: PathBuf,
    _folder: TempDir,
}

impl LaunchedApart {
    pub(crate) fn journal(&self) -> Result<Journal, JournalError> {
        Journal::open_to_read(&self.journal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::request::LaunchRequest;
    use crate::launch::tests::{args, context};

    #[test]
    fn a_run_that_its_holder_ended_before_the_locks_were_free_is_looked_at_again_and_not_launched() {
        let folder = tempfile::tempdir().unwrap();
        let (context, plan) = context(folder.path(), "sandbox");
        let plan = PlanToLaunch::read(&context, &plan).unwrap();
        let ready = || Ready::to_send(&plan, LaunchRequest::to_send("run", &args(&[])).unwrap()).unwrap();
        let unfinished = Unfinished::OfKey("night".to_owned());
        let Opened::ToLaunch(open) = ready().open(&unfinished).unwrap() else { panic!("nothing has ended") };
        open.launch().unwrap();
        let (plan, prepared) = ready().split();
        let found = locked_run(plan, &prepared, &unfinished, &runtime().unwrap()).unwrap();
        assert!(matches!(found, Found::Again));
        assert!(matches!(ready().open(&unfinished).unwrap(), Opened::HasEnded(_)));
    }
}
