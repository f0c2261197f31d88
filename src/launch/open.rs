//! A launch that holds its locks and credentials, and a run in an open journal: it is ready to begin.

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
use crate::console;
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

/// A launch of a run in the user's journal. Holds the locks of the run and of its accounts.
pub(crate) struct Open {
    launch: Launch,
    journal: Journal,
    runtime: Runtime,
    /// Lock of the run, and those of its accounts.
    locks: (Lock, Vec<Lock>),
}

impl Ready<&PlanToLaunch<'_>> {
    /// Locks the accounts, fetches credentials, and takes up an unfinished run of the plan or makes one.
    ///
    /// An existing journal is checked before credentials are fetched, so that a bad one causes no request. A missing one is made
    /// after that, so that refused credentials leave no file behind.
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
        console::speak_of_run(&id);
        let of_run = Lock::take(&lock::of_run(path, &id), journal.mode(), &format!("run {id}"), path)?;
        // Read under the lock: no other process writes to the run from here on.
        let run = journal.run(key)?;
        prepared.request.metrics.of_run(path, &run);
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

    /// Begins, looks, tells, asks, carries, ends, and sums up. Holds the locks until the summary is printed.
    pub(crate) fn launch(self) -> Result<Exit, CommandError> {
        let Self { launch, journal, runtime, locks } = self;
        let ended = launch.carry_out(runtime, journal).and_then(|carried| {
            launch.notices.journal_is_at(&carried.journal);
            launch.sum_up(carried)
        });
        drop(locks);
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
    fn make(plan: &PlanToLaunch<'_>, prepared: Prepared, runtime: Runtime) -> Result<Self, CommandError> {
        let folder = files::temporary::private_folder().map_err(CommandError::Start)?;
        let mut journal = Journal::open(&folder.path().join(format!("{}.db", prepared.request.verb)))?;
        let NewlyMade { run, begun } =
            make_run(&mut journal, plan, &prepared.context.settings, &prepared.accounts, &GivenByHand::new())?;
        let run = journal.run(run)?;
        Ok(Self { launch: Launch::new(prepared, run, Some(begun)), journal, runtime, folder })
    }

    /// Begins, looks, and does what the request allows; sums nothing up.
    pub(crate) fn launch(self) -> Result<LaunchedApart, CommandError> {
        let Self { launch, journal, runtime, folder } = self;
        let carried = launch.carry_out(runtime, journal)?;
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
