//! Parts of a launch while it goes on: gates, lanes, recorder, observers, and the tasks beside them.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::accounts::account::Account;
use super::faults::Faults;
use super::inputs::Launch;
use super::reaching;
use super::saving::Losing;
use super::signals::{self, LastWords, Signals};
use super::venue::{Venue, WorkersOfAccount};
use crate::clock::{Clock, since_boot};
use crate::engine::driver::Driver;
use crate::engine::journal_reader::JournalReader;
use crate::engine::lane::first_answers::{FirstAnswers, Replay};
use crate::engine::lane::{Lane, LaneParts, RunParts};
use crate::engine::look_request::LookRequest;
use crate::engine::reader;
use crate::engine::stop::Stop;
use crate::event::lane::LaneId;
use crate::gate::{Gate, Learned, Past, Remembered, SharedRate};
use crate::journal::read::sums::Tally;
use crate::journal::{Journal, JournalError};
use crate::ledger::standing::Standing;
use crate::model::state::SeenState;
use crate::model::{Row, RowId};
use crate::observe::events::{EventLines, Undelivered};
use crate::observe::progress::{Counter, RunProgress};
use crate::recorder::kept::Kept;
use crate::recorder::observer::Observer;
use crate::recorder::{self, Recorder, Writing};
use crate::remote::http::Http;
use crate::remote::there::There;
use crate::remote::way::Way;
use crate::report::next::NextCommands;
use crate::report::next::given::GivenByHand;
use crate::sandbox::estate::Seeded;
use crate::sandbox::scenario::Scenario;
use crate::sandbox::{self, Sandbox, estate};
use crate::settings::Settings;
use crate::steering::SteeringState;
use crate::steering::settings::{StartLimit, SteeringSettings};
use crate::transport::Transport;
use crate::values::zone::Zone;
use crate::verb::error::CommandError;
use crate::wording::amounts;

pub(super) type Lanes = [Arc<Lane<Way>>];

/// A row to be opened again, with its lane and its standing before that.
pub(super) type Reopened = (LaneId, RowId, Standing);

/// Parts of a launch while it goes on.
pub(super) struct Assembly {
    pub(super) work: Work,
    pub(super) faults: Faults,
    pub(super) background: Background,
}

/// Parts by which rows are carried. They are given up before the end is recorded, so that the recorder's connection is the last one
/// to the journal.
pub(super) struct Work {
    /// Flags that this launch was given by hand.
    pub(super) given: GivenByHand,
    pub(super) reopened: Vec<Reopened>,
    pub(super) lanes: Vec<Arc<Lane<Way>>>,
    pub(super) of_run: RunParts,
    /// Journal, as commands to the run are read from it.
    pub(super) commands: JournalReader,
    pub(super) progress: Arc<RunProgress>,
}

/// Threads, tasks and servers that run beside the work.
pub(super) struct Background {
    pub(super) writing: Writing,
    sandboxes: Vec<Sandbox>,
    /// True once the end is decided: a signal then changes nothing of it.
    ended: Arc<AtomicBool>,
    /// Tasks that read for the lanes.
    reading: JoinSet<()>,
    /// Task that looks each second where the journal is.
    looking: JoinSet<()>,
}

impl Background {
    /// Ends the tasks, and lets no signal change the end any more. Returns what is needed until the end is recorded.
    pub(super) fn end_tasks(self) -> (Writing, Vec<Sandbox>) {
        let Self { writing, sandboxes, ended, reading, looking } = self;
        ended.store(true, Ordering::Relaxed);
        drop((reading, looking));
        (writing, sandboxes)
    }
}

impl Assembly {
    /// Puts the parts together, in this order: everything that the journal is asked for is read before the recorder has it, whatever
    /// is told of past launches is told before the first request, and signals are watched once there is something to stop.
    pub(super) async fn build(
        launch: &Launch,
        journal: Journal,
        signals: Option<Signals>,
    ) -> Result<Self, CommandError> {
        let (run, path) = (&launch.run, journal.path().to_owned());
        let steering_settings = launch.steering_settings()?;
        let given = launch.tell_given(&journal, &steering_settings.window)?;
        let commands = NextCommands::new(run, &path, GivenByHand::new());
        let reopened = journal.rows_to_reopen(run.key, &launch.request.reopen)?;
        let steered = journal.steered(run.key)?;
        if let Some(paused) = steered.paused.first() {
            let releases = commands.control(&["continue"]);
            launch.console.warn(&format!("paused by {}; `{releases}` releases it", paused.by));
        }
        let (mut ways, mut sandboxes) = (Vec::new(), Vec::new());
        let shared_rate = launch.shared_rate();
        let gates = launch.gates(&journal, shared_rate.as_ref())?;
        let first_answers = launch.first_answers(&journal)?;
        for (account, gate) in launch.accounts.iter().zip(gates) {
            let (way, sandbox) = launch.way(&journal, account).await?;
            ways.push((way, gate));
            sandboxes.extend(sandbox);
        }
        let progress = launch.progress(&journal, &commands, &steering_settings.window.zone)?;
        let mut observers: Vec<Box<dyn Observer>> =
            vec![Box::new(launch.counter(&journal, &progress)?), Box::new(launch.sent.clone())];
        if let Some(observer) = launch.notice_observer(&journal, &steered.paused) {
            observers.push(Box::new(observer));
        }
        let undelivered = Undelivered::default();
        if launch.request.events {
            observers.push(Box::new(EventLines::new(&run.id, Arc::clone(&undelivered))));
        }
        let stop = Stop::default();
        let losing = Losing::default();
        let watch = losing.watch(&journal, run.key, &stop, &launch.sent, (launch.kept(&path), launch.console))?;
        let log = launch.logs.of_run(&run.id)?;
        if let Some(away) = log.away() {
            reaching::watch(
                away,
                stop.clone(),
                (launch.console, steering_settings.window.zone.clone()),
                run.id.clone(),
            );
        }
        let (recorder, writing) =
            recorder::start(log, journal, run.key, launch.begun.clone(), observers, launch.clock, watch)
                .map_err(CommandError::Start)?;
        let journal = JournalReader::new(Journal::open_to_read(&path)?, run.key);
        let commands_to_run = JournalReader::new(Journal::open_to_read(&path)?, run.key);
        let hooks = launch.running_hooks(&path);
        let steering_settings = SteeringSettings { hooks: hooks.set(), ..steering_settings };
        let steering = SteeringState::new(steering_settings, launch.paper.terms.clone(), steered);
        let driver =
            Driver::new(launch.clock, steering, journal.clone(), recorder.clone(), stop.clone(), shared_rate, hooks);
        let n_lanes = launch.accounts.len();
        let of_run =
            RunParts { driver: Arc::new(driver), journal, recorder: recorder.clone(), stop: stop.clone(), n_lanes };
        let (lanes, reading) = launch.lanes(ways, first_answers, &of_run);
        let ended = Arc::default();
        let status = match launch.clock {
            Clock::OfMachine => Some(commands.status()),
            Clock::Rehearsed { .. } => None,
        };
        let last_words = LastWords { console: launch.console, status };
        let signals = signals.map_or_else(Signals::listen, Ok).map_err(CommandError::Start)?;
        signals::watch(signals, stop, recorder.clone(), Arc::clone(&ended), launch.notices.clone(), last_words);
        let looking = launch.look_where_it_is(&recorder);
        Ok(Self {
            work: Work { given, reopened, lanes, of_run, commands: commands_to_run, progress },
            faults: Faults { path, losing, undelivered },
            background: Background { writing, sandboxes, ended, reading, looking },
        })
    }
}

impl Launch {
    /// List of what is sent, kept apart from the journal; empty for a launch that sends nothing.
    fn kept(&self, journal: &Path) -> Kept {
        if self.request.consent.may_send() { Kept::beside(journal) } else { Kept::nothing() }
    }

    /// Makes a lane for each account, and starts its reader.
    fn lanes(
        &self,
        ways: Vec<(Way, Gate)>,
        first_answers: Vec<FirstAnswers>,
        of_run: &RunParts,
    ) -> (Vec<Arc<Lane<Way>>>, JoinSet<()>) {
        let mut lanes = Vec::new();
        let mut reading = JoinSet::new();
        for (((account, (remote, gate)), first_answers), id) in
            self.accounts.iter().zip(ways).zip(first_answers).zip((1..).map(LaneId))
        {
            let (name, settings) = (account.name.clone(), &account.settings);
            let parts = LaneParts {
                id,
                name,
                settings: settings.lane.clone(),
                base_rate: settings.gate.per_second,
                remote,
                gate,
                first_answers,
            };
            let (lane, requests) = Lane::new(parts, of_run);
            let lane = Arc::new(lane);
            lanes.push(Arc::clone(&lane));
            reading.spawn(attend(lane, requests));
        }
        (lanes, reading)
    }

    fn progress(
        &self,
        journal: &Journal,
        commands: &NextCommands,
        zone: &Zone,
    ) -> Result<Arc<RunProgress>, CommandError> {
        let n_rows = u64::from(self.run.n_rows);
        let tally = if self.run.launches == 0 { Tally::default() } else { journal.tally(self.run.key)? };
        let settled = (tally.settled(), tally.settled() - tally.on_target());
        let names = self.accounts.iter().map(|account| account.name.clone()).collect();
        Ok(RunProgress::new(
            n_rows,
            settled,
            names,
            commands.clone(),
            zone.clone(),
            self.console,
            self.request.progress,
        ))
    }

    fn counter(&self, journal: &Journal, progress: &Arc<RunProgress>) -> Result<Counter, CommandError> {
        let unsent = if self.run.launches == 0 { HashSet::new() } else { journal.begun_and_unsent(self.run.key)? };
        Ok(Counter::new(Arc::clone(progress), unsent))
    }

    /// Checks each second that the journal is still at its path: while nothing is recorded, nothing else would notice.
    fn look_where_it_is(&self, recorder: &Recorder) -> JoinSet<()> {
        let mut looking = JoinSet::new();
        // On a rehearsal's clock a timer each second would keep the clock from skipping idle time.
        if let Clock::OfMachine = self.clock {
            let recorder = recorder.clone();
            looking.spawn(async move {
                let mut due = interval(Duration::from_secs(1));
                due.set_missed_tick_behavior(MissedTickBehavior::Skip);
                loop {
                    due.tick().await;
                    if !recorder.look().await {
                        return;
                    }
                }
            });
        }
        looking
    }

    /// Makes a gate for each account; a rate that was given for the whole launch limits them together.
    fn gates(&self, journal: &Journal, shared_rate: Option<&Arc<SharedRate>>) -> Result<Vec<Gate>, CommandError> {
        let gate = |account: &Account| {
            let past = self.past(journal, account)?;
            self.tell_past(account, &past);
            Ok(Gate::new(&account.settings.gate, past, shared_rate.cloned()))
        };
        self.accounts.iter().map(gate).collect()
    }

    /// First answers of each account, replayed from earlier launches; empty if those had none.
    fn first_answers(&self, journal: &Journal) -> Result<Vec<FirstAnswers>, CommandError> {
        let of_lane = |id| {
            let mut replay = Replay::default();
            journal.for_each_answer(self.run.key, id, |event| replay.add(event))?;
            Ok(replay.answers)
        };
        (1..).map(LaneId).zip(&self.accounts).map(|(id, _)| of_lane(id)).collect()
    }

    /// Quota and cool-down that earlier launches left for an account, of whichever run.
    fn past(&self, journal: &Journal, account: &Account) -> Result<Past, JournalError> {
        let (lane, now) = (account.lane(), self.clock.now());
        let quota = journal.learned_quota(&lane.endpoint, &lane.account)?.map(|quota| Remembered {
            learned: Learned { per_second: quota.per_second, stated: quota.stated },
            // If the clock was set back in between, the quota counts as new.
            age: Duration::try_from(now.duration_since(quota.at)).unwrap_or_default(),
        });
        let cools_for = journal.cools_for(&lane.endpoint, &lane.account, now)?;
        Ok(Past { quota, cools_for })
    }

    fn tell_past(&self, account: &Account, past: &Past) {
        let of = if self.accounts.len() > 1 { format!(" of account `{}`", account.name) } else { String::new() };
        let rate = account.settings.gate.per_second;
        if let Some(quota) = past.quota.filter(|quota| rate.is_none_or(|rate| quota.learned.per_second < rate)) {
            self.console.say(&format!("quota{of} {quota}"));
        }
        if !past.cools_for.is_zero() {
            let left = amounts::duration(u64::try_from(past.cools_for.as_millis()).unwrap_or(u64::MAX));
            let who =
                if self.accounts.len() > 1 { format!("account `{}` waits", account.name) } else { "waiting".into() };
            self.console.say(&format!("{who}: throttled, {left} left from an earlier launch"));
        }
    }

    fn shared_rate(&self) -> Option<Arc<SharedRate>> {
        let one = || Arc::new(SharedRate::new(self.settings.rate_of_all, self.settings.gate.burst));
        (self.accounts.len() > 1).then(one)
    }

    /// Time in which this launch has to begin, if it is to send anything.
    pub(super) fn start_limit(&self) -> Option<StartLimit> {
        let within = self.settings.start_within.filter(|_| self.takes_commands() && self.request.consent.may_send())?;
        Some(StartLimit::since(self.request.asked_at, within, self.clock.now(), since_boot()))
    }

    fn steering_settings(&self) -> Result<SteeringSettings, CommandError> {
        let steering = &self.settings.steering;
        Ok(SteeringSettings {
            halt: steering.halt.clone(),
            window: steering.window(self.clock.now()).map_err(CommandError::Settings)?,
            reserve_rollback: steering.reserve_rollback,
            ignore_forecast: steering.ignore_forecast,
            approval_timeout: steering.approval_timeout,
            concurrency: self.settings.gate.concurrency,
            verify_timeout: self.settings.lane.verify_timeout,
            hooks: Vec::new(),
            start: self.start_limit(),
        })
    }

    /// Way of an account's requests.
    async fn way(&self, journal: &Journal, account: &Account) -> Result<(Way, Option<Sandbox>), CommandError> {
        let (transport, sandbox) = match &account.venue {
            Venue::Workers(WorkersOfAccount { hands, key }) => {
                let hand = hands.hand(account.profile(), &account.place_of_service(), key.clone());
                let Settings { transport, gate, .. } = &account.settings;
                let there = There::new(hand, account.profile(), transport.timeout, gate.max_throttle);
                return Ok((Way::There(Box::new(there)), None));
            }
            Venue::Service(transport) => (transport.clone(), None),
            Venue::Sandbox(scenario) => self.inside(journal, account, scenario).await?,
        };
        let credentials = account.credentials.clone().expect("whoever asks from here has credentials");
        Ok((Way::Here(Http::new(transport, credentials)), sandbox))
    }

    /// Starts a sandbox in this process, seeded with the account's own rows.
    async fn inside(
        &self,
        journal: &Journal,
        account: &Account,
        scenario: &Scenario,
    ) -> Result<(Transport, Option<Sandbox>), CommandError> {
        let (mut estate, mut known) = (Vec::new(), HashSet::new());
        journal.for_each_row(self.run.key, |row, standing| {
            if account.takes(&row) {
                let left = estate::left_at(&row, &standing);
                known.extend(left.is_some().then(|| row.source_id.to_string()));
                estate.extend(self.seeded(&row, left));
            }
            Ok::<_, JournalError>(())
        })?;
        let mut scenario = scenario.clone();
        scenario.goes_on(|id| known.contains(id));
        let config = sandbox::Config {
            estate,
            scenario,
            seed: account.settings.seed,
            port: 0,
            token: None,
            keys: None,
            project: None,
        };
        if let Clock::Rehearsed { .. } = self.clock {
            let endpoint = "http://127.0.0.1:1".parse().expect("a loopback address is an endpoint");
            let inside = Arc::new(sandbox::direct(config));
            return Ok((Transport::inside(endpoint, &account.settings.transport, inside), None));
        }
        let sandbox = sandbox::start(config).await.map_err(CommandError::Start)?;
        let endpoint = sandbox.url().parse().expect("a loopback address is an endpoint");
        Ok((Transport::new(endpoint, &account.settings.transport)?, Some(sandbox)))
    }

    /// State in which the sandbox begins with a row's server: as an earlier launch left it, because the sandbox of that launch is gone;
    /// else as it was seen live; else as the plan expects it. `None` for a server that the live service does not know.
    fn seeded(&self, row: &Row, left: Option<SeenState>) -> Option<Seeded> {
        if let Some(state) = left {
            return Some(Seeded { state, ..estate::seed_row(row) });
        }
        let Some(seen) = &self.live else { return Some(estate::seed_row(row)) };
        let state = seen.get(&row.source_id)?.clone();
        Some(Seeded { state, ..estate::seed_row(row) })
    }
}

/// Serves a lane's requests to look. Stops the lane if it is throttled for too long, and lets go of its waits if its end takes too long.
async fn attend(lane: Arc<Lane<Way>>, requests: mpsc::UnboundedReceiver<LookRequest>) {
    tokio::join!(reader::serve(Arc::clone(&lane), requests), lane.stop_when_throttled(), lane.let_go_in_time());
}
