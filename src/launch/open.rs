//! A launch that holds its locks, has its credentials, and has a run in an open journal: nothing stands between it and its work.

use std::collections::HashMap;
use std::path::PathBuf;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::accounts::account::Account;
use super::accounts::credentials::fetch_credentials;
use super::accounts::locks::lock_all;
use super::closing::close_cut_off;
use super::holding::as_begun;
use super::inputs::Launch;
use super::making::make_run;
use super::planned::PlanToLaunch;
use super::ready::{Prepared, Ready};
use super::summing_up::Carried;
use super::taking_up::RunToTakeUp;
use super::unfinished::{RunsOfPlan, Unfinished, tell_taken_up};
use crate::clock::Clock;
use crate::event::Event;
use crate::event::run::LanePlace;
use crate::exit::Exit;
use crate::files;
use crate::journal::new_run::{NewLane, NewlyMade};
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError, RunKey};
use crate::lock::{self, Lock};
use crate::model::SourceId;
use crate::model::state::SeenState;
use crate::report::next::given::GivenByHand;
use crate::verb::error::CommandError;
use crate::verb::runtime::runtime;

/// A launch of a run in the journal that is meant, whose accounts and whose run nobody else has.
pub(crate) struct Open {
    launch: Launch,
    journal: Journal,
    runtime: Runtime,
    /// The run's lock, and those of its accounts.
    locks: (Lock, Vec<Lock>),
}

impl Ready<&PlanToLaunch<'_>> {
    /// Locks the accounts, is let in, and finds the run that is taken up or makes one.
    ///
    /// A journal that is there is looked at before anybody hears of us: what is wrong with it is no reason to ask for credentials.
    /// One that is not there is made after we were let in, so that a refusal leaves no file behind.
    pub(crate) fn open(self, unfinished: Unfinished) -> Result<Open, CommandError> {
        let (plan, mut prepared) = self.split();
        let locks = lock_all(&prepared.context, &prepared.accounts)?;
        let lanes: Vec<NewLane> = prepared.accounts.iter().map(Account::lane).collect();
        let look = || {
            let journal = Journal::open(&prepared.context.settings.journal)?;
            let runs = RunsOfPlan::find(&journal, plan, &lanes, unfinished)?;
            Ok::<_, CommandError>((journal, runs))
        };
        let looked_at = prepared.context.settings.journal.exists().then(look).transpose()?;
        let runtime = runtime()?;
        fetch_credentials(&runtime, &prepared.accounts)?;
        let (mut journal, runs) = looked_at.map_or_else(look, Ok)?;
        close_cut_off(&prepared.context, &mut journal)?;
        if let Some(run) = runs.to_take_up {
            tell_taken_up(prepared.context.console, &journal, &run)?;
            prepared.context = as_begun(plan.outside, &run, &plan.checked.terms)?;
            return Open::hold(prepared, journal, (run.key, None), runtime, locks);
        }
        runs.tell_of_those_left(prepared.context.console);
        let NewlyMade { run, begun } =
            make_run(&mut journal, plan, &prepared.context.settings, &prepared.accounts, &prepared.request.given)?;
        Open::hold(prepared, journal, (run, Some(begun)), runtime, locks)
    }

    /// Is let in, and makes a run in a journal that is thrown away.
    pub(crate) fn open_apart(self) -> Result<OpenApart, CommandError> {
        let (plan, prepared) = self.split();
        let runtime = runtime()?;
        fetch_credentials(&runtime, &prepared.accounts)?;
        OpenApart::make(plan, prepared, runtime)
    }

    /// The same on a clock that skips idle time, of which nothing is told but its window. The sandbox lets in whoever started it.
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
        launch.console.quiet = true;
        launch.live = live;
        Ok(open)
    }
}

impl Ready<RunToTakeUp> {
    /// Locks the accounts and is let in. The journal is open, and the run was found in it.
    pub(crate) fn open(self) -> Result<Open, CommandError> {
        let (RunToTakeUp { journal, run }, prepared) = self.split();
        let locks = lock_all(&prepared.context, &prepared.accounts)?;
        let runtime = runtime()?;
        fetch_credentials(&runtime, &prepared.accounts)?;
        Open::hold(prepared, journal, (run.key, None), runtime, locks)
    }
}

impl Open {
    fn hold(
        prepared: Prepared,
        mut journal: Journal,
        (key, begun): (RunKey, Option<Event>),
        runtime: Runtime,
        of_accounts: Vec<Lock>,
    ) -> Result<Self, CommandError> {
        let path = &prepared.context.settings.journal;
        let id = journal.run(key)?.id;
        let of_run = Lock::take(&lock::of_run(path, &id), journal.mode(), &format!("run {id}"), path)?;
        // Read once it is ours: nobody else writes to it from here on.
        let run = journal.run(key)?;
        if begun.is_none() {
            journal.mind_rows();
        }
        journal.forget_stale_commands(key)?;
        Ok(Self { launch: Launch::new(prepared, run, begun), journal, runtime, locks: (of_run, of_accounts) })
    }

    #[cfg(test)]
    pub(super) fn run(&self) -> &RunRecord {
        &self.launch.run
    }

    /// Looks, tells, asks, carries, and sums up. The locks are held until the end was told.
    pub(crate) fn launch(self) -> Result<Exit, CommandError> {
        let Self { launch, journal, runtime, locks } = self;
        let ended = launch.carried_out(runtime, journal).and_then(|carried| launch.tell(carried));
        drop(locks);
        ended.map_err(|error| launch.failed(error))
    }
}

/// A launch of a run in a journal that is thrown away: nobody else knows of either, so that nothing is locked.
pub(crate) struct OpenApart {
    launch: Launch,
    journal: Journal,
    runtime: Runtime,
    folder: TempDir,
}

impl OpenApart {
    fn make(plan: &PlanToLaunch<'_>, prepared: Prepared, runtime: Runtime) -> Result<Self, CommandError> {
        let folder = files::folder::private_folder().map_err(CommandError::Start)?;
        let mut journal = Journal::open(&folder.path().join(format!("{}.db", prepared.request.verb)))?;
        let NewlyMade { run, begun } =
            make_run(&mut journal, plan, &prepared.context.settings, &prepared.accounts, &GivenByHand::new())?;
        let run = journal.run(run)?;
        Ok(Self { launch: Launch::new(prepared, run, Some(begun)), journal, runtime, folder })
    }

    pub(crate) fn launch(self) -> Result<LaunchedApart, CommandError> {
        let Self { launch, journal, runtime, folder } = self;
        let carried = launch.carried_out(runtime, journal)?;
        let places = launch.accounts.iter().map(Account::place).collect();
        let Launch { run, settings, .. } = launch;
        let Carried { exit, reason, journal } = carried;
        Ok(LaunchedApart { exit, reason, run, places, scenario: settings.scenario, journal, _folder: folder })
    }
}

/// A launch that has ended, with its journal, which goes with this.
pub(crate) struct LaunchedApart {
    pub(crate) exit: Exit,
    pub(crate) reason: Option<String>,
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
