//! One launch of a run: look, tell the difference, ask, send, prove, sum up.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::accounts::Account;
use super::venue::Venue;
use super::{Launch, given_by_hand, signals};
use crate::clock::Clock;
use crate::console::Console;
use crate::control::{By, Command};
use crate::engine::book::Book;
use crate::engine::helm::lookout::Lookout;
use crate::engine::helm::{Helm, HelmSettings};
use crate::engine::lane::first_answers::{FirstAnswers, Replay};
use crate::engine::lane::{Lane, OfRun};
use crate::engine::sight::Ask;
use crate::engine::stop::Stop;
use crate::engine::{self, EngineError, Purpose, reader};
use crate::event::row::RowEvent;
use crate::event::run::RunEvent;
use crate::event::{DrainReason, Event, EventKind, LaneId, LaneStop, Refusal};
use crate::exit::Exit;
use crate::gate::{Gate, Learned, Past, RateOfAll, Remembered};
use crate::journal::read::runs::RunRecord;
use crate::journal::read::steering::Due;
use crate::journal::read::sums::Tally;
use crate::journal::{Journal, JournalError};
use crate::ledger::{Phase, Standing};
use crate::model::{Row, RowId, SeenState, SourceId};
use crate::observe::events::{EventLines, Undelivered};
use crate::observe::progress::{Counter, Gauges, Progress};
use crate::preflight::error::PreflightError;
use crate::recorder::kept::Kept;
use crate::recorder::observer::Observer;
use crate::recorder::sent::Sent;
use crate::recorder::{self, JournalClosed, Recorder, Writing};
use crate::remote::http::Http;
use crate::report::cut_off;
use crate::report::next::{self, Given, NextCommands};
use crate::report::summary::{self, Summary};
use crate::sandbox::estate::Seeded;
use crate::sandbox::scenario::Scenario;
use crate::sandbox::{self, Sandbox, estate};
use crate::settings::Settings;
use crate::transport::Transport;
use crate::values::zone::Zone;
use crate::verb::context::zone_of;
use crate::verb::error::{AfterChanges, CommandError, causes};
use crate::verb::results::{print, print_json, write_report};
use crate::waves::window::Window;
use crate::wording::{amounts, plain};

/// Who says yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consent {
    Asked {
        yes: bool,
        irreversible: bool,
    },
    /// `plan`: the difference is the result.
    OnlyShown,
    /// The states are looked at, and nobody is shown anything.
    OnlyLooked,
    /// `reconcile`: there is nothing to consent to.
    NothingIsSent,
}

mod consider;
mod ending;
pub(crate) mod saving;

use ending::{Facts, GoOn};
use saving::{Losing, Lost};

type Lanes = [Arc<Lane<Http>>];

pub(super) struct Carry<'a> {
    pub(super) console: Console,
    pub(super) settings: &'a Settings,
    pub(super) run: &'a RunRecord,
    /// The event with which the run began, if this process made it.
    pub(super) begun: Option<Event>,
    pub(super) accounts: Vec<Account>,
    pub(super) launch: &'a Launch,
    pub(super) clock: Clock,
    /// Where servers were seen, for a rehearsal that begins there.
    pub(super) live: Option<&'a HashMap<SourceId, SeenState>>,
    pub(super) sent: Sent,
}

/// How it ended, and the journal that has it.
pub(super) struct Carried {
    pub(super) exit: Exit,
    pub(super) reason: Option<String>,
    journal: PathBuf,
}

/// A row that was opened again, and how it stood.
type Reopened = (LaneId, RowId, Standing);

/// Ends a launch early, with what to say.
enum Halted {
    With(Exit, String),
    /// Before the first change.
    Refused(Refusal, String),
    Error(CommandError),
}

impl Halted {
    fn refusal(&self) -> Option<Refusal> {
        match self {
            Halted::Refused(what, _) => Some(*what),
            Halted::With(..) | Halted::Error(_) => None,
        }
    }
}

impl From<JournalError> for Halted {
    fn from(error: JournalError) -> Self {
        Halted::Error(error.into())
    }
}

impl From<JournalClosed> for Halted {
    /// The recorder knows why, and is asked at the end.
    fn from(_: JournalClosed) -> Self {
        Halted::With(Exit::Internal, "the journal takes nothing more".to_owned())
    }
}

impl From<EngineError> for Halted {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Journal(error) => error.into(),
            EngineError::Closed(closed) => closed.into(),
            EngineError::Panicked => Halted::Error(CommandError::Panicked),
        }
    }
}

impl From<PreflightError> for Halted {
    fn from(error: PreflightError) -> Self {
        let text = error.to_string();
        match error {
            PreflightError::Credentials(_) => Halted::With(Exit::Credentials, text),
            PreflightError::Unreachable(_) => Halted::With(Exit::Unreachable, text),
            PreflightError::Unsayable { .. } => Halted::With(Exit::Refused, text),
            PreflightError::Throttled(_) => Halted::With(Exit::Halted, text),
            PreflightError::Stopped => Halted::With(Exit::Interrupted, text),
            PreflightError::Closed(closed) => closed.into(),
            PreflightError::Journal(error) => error.into(),
        }
    }
}

impl Carry<'_> {
    pub(super) fn out(&self, runtime: Runtime, journal: Journal) -> Result<Carried, CommandError> {
        let ended = runtime.block_on(async { self.launch(journal, Instant::now()).await });
        // A question that nobody answered still sits on standard input.
        runtime.shutdown_background();
        ended
    }

    /// Tells how it ended: from the journal alone, as `status` would tell it.
    pub(super) fn tell(&self, carried: Carried) -> Result<Exit, CommandError> {
        let reported = self.report(&carried);
        if let Err(error) = &reported {
            self.undelivered(&carried, error)?;
        }
        let summary = self.summary(&carried)?;
        let printed = self.print(&summary);
        if let Err(error) = &printed {
            self.undelivered(&carried, error)?;
            if reported.is_ok() {
                // It says how the launch ended, too.
                self.report(&carried)?;
            }
        }
        reported.and(printed)?;
        let Carried { exit, reason, .. } = carried;
        let sentence = || summary.sentence();
        if !exit.is_finished() {
            self.console.error(&reason.unwrap_or_else(sentence));
        } else if exit != Exit::Done && self.console.quiet {
            // The summary would have said it.
            self.console.error(&sentence());
        }
        Ok(exit)
    }

    fn print(&self, summary: &Summary) -> Result<(), CommandError> {
        let Console { json, quiet, .. } = self.console;
        let zone = || zone_of(self.console, self.settings, Some(self.run));
        match (self.launch.events, json) {
            (true, true) => print_json(|out| Ok(summary::write_json_line(summary, out)?)),
            (false, true) => print_json(|out| summary::write_json(summary, out)),
            (_, false) if quiet => Ok(()),
            (true, false) => {
                // Standard output is for programs then.
                let zone = zone();
                self.console.tell(|out| summary.write_text(&zone, out));
                Ok(())
            }
            (false, false) => {
                let zone = zone();
                print(|out| Ok(summary.write_text(&zone, out)?))
            }
        }
    }

    fn summary(&self, carried: &Carried) -> Result<Summary, CommandError> {
        let journal = Journal::open_to_read(&carried.journal)?;
        let run = journal.run(self.run.key)?;
        Ok(Summary::of(&journal, &run, journal.path())?)
    }

    /// Records that what the launch came to could not be given to whoever waits for it: its end is then what this process ends
    /// with.
    fn undelivered(&self, carried: &Carried, error: &CommandError) -> Result<(), CommandError> {
        let exit = carried.exit.worst(error.exit().after_a_change());
        let said = causes(error).fold(error.to_string(), |said, cause| format!("{said}: {cause}"));
        let reason = carried.reason.iter().fold(said, |said, reason| format!("{said}; {reason}"));
        let ended = exit_event(exit, Some(reason), None, Instant::now());
        Journal::open(&carried.journal)?.append(self.run.key, [(LaneId::RUN, ended.into())])?;
        Ok(())
    }

    fn report(&self, carried: &Carried) -> Result<(), CommandError> {
        let Some((format, path)) = &self.launch.report else { return Ok(()) };
        let journal = Journal::open_to_read(&carried.journal)?;
        write_report(&journal, &journal.run(self.run.key)?, *format, path)?;
        self.console.say(&format!("report: {}", plain::shown(path)));
        Ok(())
    }

    /// What kept it from its end. After a change has left, nothing says that none was sent.
    pub(super) fn failed(&self, error: CommandError) -> CommandError {
        match self.sent.n() {
            0 => error,
            n_sent => AfterChanges { n_sent, error: Box::new(error) }.into(),
        }
    }

    async fn launch(&self, journal: Journal, started: Instant) -> Result<Carried, CommandError> {
        let path = journal.path().to_owned();
        let run = self.run;
        let helm_settings = self.helm_settings()?;
        let given = self.begin(&journal, &helm_settings.window)?;
        let commands = NextCommands::new(run, &path, Given::new());
        let reopened = journal.rows_to_reopen(run.key, &self.launch.reopen)?;
        let steered = journal.steered(run.key)?;
        if let Some(paused) = steered.paused.first() {
            let releases = commands.control(&["continue"]);
            self.console.warn(&format!("paused by {}; `{releases}` releases it", paused.by));
        }
        let (mut ways, mut sandboxes) = (Vec::new(), Vec::new());
        let of_all = self.rate_of_all();
        let gates = self.gates(&journal, of_all.as_ref())?;
        let first_answers = self.first_answers(&journal)?;
        for (account, gate) in self.accounts.iter().zip(gates) {
            let (transport, sandbox) = self.transport(&journal, account).await?;
            ways.push((Http::new(transport, Arc::clone(&account.credentials)), gate));
            sandboxes.extend(sandbox);
        }
        let progress = self.progress(&journal, &commands, &helm_settings.window.zone)?;
        let mut observers: Vec<Box<dyn Observer>> =
            vec![Box::new(self.counter(&journal, &progress)?), Box::new(self.sent.clone())];
        let undelivered = Undelivered::default();
        if self.launch.events {
            observers.push(Box::new(EventLines::new(&run.id, Arc::clone(&undelivered))));
        }
        let stop = Stop::default();
        let losing = Losing::default();
        let watch = losing.watch(&journal, run.key, &stop, &self.sent, (self.kept(&path), self.console))?;
        let (recorder, writing) = recorder::start(journal, run.key, self.begun.clone(), observers, self.clock, watch)
            .map_err(CommandError::Start)?;
        let book = Book::new(Journal::open_to_read(&path)?, run.key);
        let ear = Book::new(Journal::open_to_read(&path)?, run.key);
        let helm = Helm::new(
            self.clock,
            helm_settings,
            self.launch.paper.terms.clone(),
            steered,
            recorder.clone(),
            stop.clone(),
            of_all,
        );
        let helm = Arc::new(helm);
        let n_lanes = self.accounts.len();
        let of_run = OfRun { helm, book: book.clone(), recorder: recorder.clone(), stop: stop.clone(), n_lanes };
        let (lanes, mut reading) = self.lanes(ways, first_answers, &of_run);
        let ended = Arc::default();
        signals::watch(stop.clone(), recorder.clone(), Arc::clone(&ended)).map_err(CommandError::Start)?;

        let looking = self.look_where_it_is(&recorder);
        let carried = self.carry(&lanes, &of_run, ear, &progress, (&reopened, given)).await;
        let broken = || {
            let undelivered = undelivered.get().map(|why| format!("the events could not be written: {why}"));
            losing.lost().map(|lost| lost.told(self.sent.n())).into_iter().chain(undelivered).collect::<Vec<_>>()
        };
        let known = broken();
        let journal_after = losing.saved().unwrap_or(&path).to_owned();
        let refusal = carried.as_ref().err().and_then(Halted::refusal);
        // One that cannot be opened is told by what became of the file.
        let copied = losing.copied().and_then(|path| Journal::open_to_read(path).ok());
        let copied = copied.map(|journal| Book::new(journal, run.key));
        let concluded = match (carried, copied) {
            (Ok(()), None) => self.conclude(&lanes, &stop, &book, known.clone(), journal_after).await,
            // What failed after that failed in what is left of the file.
            (Ok(()) | Err(Halted::Error(_)), Some(copy)) => {
                self.conclude(&lanes, &stop, &copy, known.clone(), journal_after).await
            }
            (Err(Halted::With(exit, reason)), _) => Ok(halted(&stop, exit, reason, &known)),
            (Err(Halted::Refused(_, reason)), _) => Ok(halted(&stop, Exit::Refused, reason, &known)),
            (Err(Halted::Error(error)), None) => Err(error),
        };
        let (exit, reason) = match concluded {
            Ok((exit, reason)) => (self.as_sent(exit), reason),
            Err(error) => {
                let exit = if known.is_empty() { self.as_sent(error.exit()) } else { Exit::Internal };
                let finished = finish(&recorder, writing, exit_event(exit, None, None, started)).await;
                return self.failed_in(losing.lost(), finished.err().unwrap_or(error));
            }
        };
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        progress.finish();
        reading.abort_all();
        drop(looking);
        drop((book, of_run, lanes));
        let finished = finish(&recorder, writing, exit_event(exit, reason.clone(), refusal, started)).await;
        for sandbox in sandboxes {
            sandbox.stop().await;
        }
        let journal = match losing.lost() {
            Some(lost @ Lost { saved: None, .. }) => return Err(lost.error(self.sent.n())),
            Some(Lost { saved: Some(saved), .. }) => saved.clone(),
            None => path,
        };
        finished?;
        // Its own end may have been what could not be told, or found the journal gone.
        let late = broken().into_iter().filter(|what| !known.contains(what)).collect();
        let (exit, reason) = and_late(exit, reason, late);
        Ok(Carried { exit, reason, journal })
    }

    /// An error of a launch: what could not be read or written is told by what became of the file.
    fn failed_in(&self, lost: Option<&Lost>, error: CommandError) -> Result<Carried, CommandError> {
        let Some(lost) = lost else { return Err(error) };
        match &lost.saved {
            Some(saved) => {
                // Where even that cannot be read, what became of the file is what there is to tell.
                let left = self.left_in(saved).unwrap_or_default();
                let reason = [lost.told(self.sent.n())].into_iter().chain(left).collect::<Vec<_>>().join("; ");
                Ok(Carried { exit: Exit::Internal, reason: Some(reason), journal: saved.clone() })
            }
            None => Err(lost.error(self.sent.n())),
        }
    }

    /// Everything that is left by what was saved, with the commands that go on with it.
    fn left_in(&self, saved: &Path) -> Result<Vec<String>, JournalError> {
        let journal = Journal::open_to_read(saved)?;
        let commands = NextCommands::of(&journal, &journal.run(self.run.key)?, saved)?.after(self.clock.now());
        Ok(ending::left(&journal.tally(self.run.key)?, &go_on(&commands)).collect())
    }

    /// List apart from the journal, where anything is sent.
    fn kept(&self, journal: &Path) -> Kept {
        match self.launch.consent {
            Consent::Asked { .. } => Kept::beside(journal),
            Consent::OnlyShown | Consent::OnlyLooked | Consent::NothingIsSent => Kept::nothing(),
        }
    }

    /// The accounts, each with what looks for it.
    fn lanes(
        &self,
        ways: Vec<(Http, Gate)>,
        first_answers: Vec<FirstAnswers>,
        of_run: &OfRun,
    ) -> (Vec<Arc<Lane<Http>>>, JoinSet<()>) {
        let mut lanes = Vec::new();
        let mut reading = JoinSet::new();
        for (((account, (remote, gate)), first), id) in
            self.accounts.iter().zip(ways).zip(first_answers).zip((1..).map(LaneId))
        {
            let (name, settings) = (account.name.clone(), &account.settings);
            let rate = settings.gate.per_second;
            let (mut lane, asks) = Lane::new(id, name, settings.lane.clone(), rate, remote, gate, of_run);
            *lane.first_answers.get_mut() = first;
            let lane = Arc::new(lane);
            lanes.push(Arc::clone(&lane));
            reading.spawn(attend(lane, asks));
        }
        (lanes, reading)
    }

    fn progress(&self, journal: &Journal, commands: &NextCommands, zone: &Zone) -> Result<Arc<Progress>, CommandError> {
        let n_rows = u64::from(self.run.n_rows);
        let tally = if self.run.launches == 0 { Tally::default() } else { journal.tally(self.run.key)? };
        let settled = (tally.settled(), tally.settled() - tally.on_target());
        let names = self.accounts.iter().map(|account| account.name.clone()).collect();
        Ok(Progress::new(n_rows, settled, names, commands.clone(), zone.clone(), self.console, self.launch.progress))
    }

    fn counter(&self, journal: &Journal, progress: &Arc<Progress>) -> Result<Counter, CommandError> {
        let unsent = if self.run.launches == 0 { HashSet::new() } else { journal.begun_and_unsent(self.run.key)? };
        Ok(Counter::new(Arc::clone(progress), unsent))
    }

    /// Looks each second, for those stretches in which nothing is recorded.
    fn look_where_it_is(&self, recorder: &Recorder) -> JoinSet<()> {
        let mut looking = JoinSet::new();
        // A rehearsal's clock jumps from second to second as long as anybody waits for the next one.
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

    /// Each account has a gate of its own; one that was given for this launch stands behind all of them.
    fn gates(&self, journal: &Journal, of_all: Option<&Arc<RateOfAll>>) -> Result<Vec<Gate>, CommandError> {
        let gate = |account: &Account| {
            let past = self.past(journal, account)?;
            self.tell_past(account, &past);
            Ok(Gate::new(&account.settings.gate, past, of_all.cloned()))
        };
        self.accounts.iter().map(gate).collect()
    }

    /// What the first answers of each account were, if earlier launches had any.
    fn first_answers(&self, journal: &Journal) -> Result<Vec<FirstAnswers>, CommandError> {
        let of_lane = |id| {
            let mut replay = Replay::default();
            journal.for_each_answer(self.run.key, id, |event| replay.add(event))?;
            Ok(replay.answers)
        };
        (1..).map(LaneId).zip(&self.accounts).map(|(id, _)| of_lane(id)).collect()
    }

    /// What launches before this one were told in the name of an account.
    fn past(&self, journal: &Journal, account: &Account) -> Result<Past, JournalError> {
        let (lane, now) = (account.lane(), self.clock.now());
        let quota = journal.learned_quota(&lane.endpoint, &lane.account)?.map(|quota| Remembered {
            learned: Learned { per_second: quota.per_second, stated: quota.stated },
            // A clock that was set back in between says nothing.
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
            self.console.say(&format!("the service asked an earlier launch to wait{of}: {left} left"));
        }
    }

    fn rate_of_all(&self) -> Option<Arc<RateOfAll>> {
        let one = || Arc::new(RateOfAll::new(self.settings.rate_of_all, self.settings.gate.burst));
        (self.accounts.len() > 1).then(one)
    }

    fn helm_settings(&self) -> Result<HelmSettings, CommandError> {
        let steering = &self.settings.steering;
        Ok(HelmSettings {
            halt: steering.halt.clone(),
            window: steering.window(self.clock.now()).map_err(CommandError::Settings)?,
            reserve_rollback: steering.reserve_rollback,
            ignore_forecast: steering.ignore_forecast,
            approval_timeout: steering.approval_timeout,
            pause_file: steering.pause_file.clone(),
            stop_file: steering.stop_file.clone(),
            concurrency: self.settings.gate.concurrency,
            verify_timeout: self.settings.lane.verify_timeout,
        })
    }

    /// An in-process sandbox is seeded with the account's own rows.
    async fn transport(
        &self,
        journal: &Journal,
        account: &Account,
    ) -> Result<(Transport, Option<Sandbox>), CommandError> {
        match &account.venue {
            Venue::Service(transport) => Ok((transport.clone(), None)),
            Venue::Sandbox(scenario) => {
                let (mut estate, mut known) = (Vec::new(), HashSet::new());
                journal.for_each_row(self.run.key, |row, standing| {
                    if account.takes(&row) {
                        let left = estate::left_at(&row, &standing);
                        known.extend(left.is_some().then(|| row.source_id.to_string()));
                        estate.extend(self.seeded(&row, left));
                    }
                    Ok::<_, JournalError>(())
                })?;
                let mut scenario = Scenario::clone(scenario);
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
        }
    }

    /// A row's server as the sandbox begins with it: where an earlier launch left it, else where it was seen, or where the
    /// plan would have it. An earlier launch had a sandbox of its own, which went with it.
    fn seeded(&self, row: &Row, left: Option<SeenState>) -> Option<Seeded> {
        if let Some(state) = left {
            return Some(Seeded { state, ..estate::seed_row(row) });
        }
        let Some(seen) = self.live else { return Some(estate::seed_row(row)) };
        // What the service does not know is not there in the rehearsal either.
        let state = seen.get(&row.source_id)?.clone();
        Some(Seeded { state, ..estate::seed_row(row) })
    }

    async fn carry(
        &self,
        lanes: &Lanes,
        of_run: &OfRun,
        ear: Book,
        progress: &Arc<Progress>,
        (reopened, given): (&[Reopened], Given),
    ) -> Result<(), Halted> {
        let helm = &of_run.helm;
        helm.begin_launch(self.beginning(&of_run.book, given).await?).await?;
        for (wave, part) in &self.launch.releases {
            let release = Command::Release { wave: wave.clone(), part: *part };
            helm.steer(release, By::me("--approve", None), None, lanes).await?;
        }
        let listens = match self.clock {
            Clock::OfMachine => !matches!(self.launch.consent, Consent::OnlyShown | Consent::OnlyLooked),
            Clock::Rehearsed { .. } => false,
        };
        if !listens {
            return self.carry_all(lanes, of_run, progress, reopened).await;
        }
        let console = self.console;
        let warn = Box::new(move |text: &str| console.warn(text));
        let mut lookout = Lookout::new(Arc::clone(helm), lanes.to_vec(), ear, warn);
        lookout.look().await?;
        let looking_out = tokio::spawn(lookout.serve());
        let carried = self.carry_all(lanes, of_run, progress, reopened).await;
        looking_out.abort();
        carried
    }

    async fn carry_all(
        &self,
        lanes: &Lanes,
        of_run: &OfRun,
        progress: &Arc<Progress>,
        reopened: &[Reopened],
    ) -> Result<(), Halted> {
        let OfRun { helm, book, recorder: _, stop, n_lanes: _ } = of_run;
        let cause = format!("asked for by `{}`", self.launch.verb);
        for source_id in helm.all_skipped().into_iter().filter(|source_id| self.launch.unskips.means(source_id)) {
            helm.steer(Command::Unskip { source_id }, By::me("retry", None), None, lanes).await?;
        }
        for lane in lanes {
            let own = || reopened.iter().filter(|(id, _, _)| *id == lane.id);
            let mut first = lane.first_answers.lock().await;
            own().for_each(|(_, row, _)| first.reopened(*row));
            drop(first);
            let kinds = own().map(|(_, row, _)| RowEvent::Reopened { cause: cause.clone() }.about(*row));
            let is_off_target = |(_, _, standing): &&Reopened| !standing.is_on_target();
            progress.opened_again(own().filter(is_off_target).count() as u64);
            record_any(lane, kinds.collect()).await?;
        }
        if self.launch.consent == Consent::NothingIsSent {
            if book.read(Journal::tally).await?.in_doubt == 0 {
                self.console.say("nothing is in doubt: there is nothing to look at");
            }
            let drawing = progress.draw(gauge(lanes));
            let ran = engine::run(lanes, book, Purpose::Reconcile).await;
            drawing.abort();
            return Ok(ran?);
        }
        if !book.read(Journal::has_unsettled).await? {
            self.console.say("nothing is left to do");
            return Ok(());
        }
        match self.consider(lanes, stop, book).await {
            Ok(true) => (),
            Ok(false) => return Ok(()),
            Err(halted) => {
                put_back(lanes, reopened).await?;
                return Err(halted);
            }
        }
        let drawing = progress.draw(gauge(lanes));
        let ran = engine::run(lanes, book, Purpose::Carry).await;
        drawing.abort();
        Ok(ran?)
    }

    /// Tells what holds for this launch, and what no longer does. Returns what it is given by hand.
    fn begin(&self, journal: &Journal, window: &Window) -> Result<Given, CommandError> {
        let given = self.given(window);
        if matches!(self.launch.consent, Consent::Asked { .. }) {
            let last = NextCommands::of(journal, self.run, journal.path())?.into_given();
            self.tell_what_no_longer_holds(&last, &given);
            window.told(self.clock.now()).iter().for_each(|line| self.console.say(line));
        }
        Ok(given)
    }

    /// What this launch is given by hand.
    fn given(&self, window: &Window) -> Given {
        let is_elsewhere = self.accounts.iter().any(|account| !matches!(account.venue, Venue::Sandbox(_)));
        given_by_hand(self.settings, &self.launch.given, is_elsewhere, window.deadline)
    }

    /// A window that held for the launch before and not for this one would else be missed in the hours of business, and a rate
    /// by the service. That it was asked for is nothing to be missed.
    fn tell_what_no_longer_holds(&self, last: &Given, given: &Given) {
        let is_gone = |(key, value): &(&String, &String)| {
            let holds = given.contains_key(*key) || self.settings.texts.get(key.as_str()) == Some(*value);
            *key != next::YES && !next::is_of_way(key) && !holds
        };
        let gone = next::flags(last.iter().filter(is_gone));
        if !gone.is_empty() {
            self.console.warn(&format!("the last launch was given{gone}, which does not hold for this one"));
        }
    }

    async fn beginning(&self, book: &Book, given: Given) -> Result<RunEvent, JournalError> {
        Ok(RunEvent::LaunchBegan {
            launch: self.run.launches + 1,
            verb: self.launch.verb.to_owned(),
            pid: std::process::id(),
            host: crate::lock::host(),
            user: Some(crate::whoami::user()),
            who: crate::whoami::Who::me(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            given,
            cut_off_ms: if self.run.running { book.read(cut_off::open_ms).await? } else { 0 },
        })
    }

    /// How a launch ended that was let run to its end, drained or not.
    async fn conclude(
        &self,
        lanes: &Lanes,
        stop: &Stop,
        book: &Book,
        broken: Vec<String>,
        journal: PathBuf,
    ) -> Result<(Exit, Option<String>), CommandError> {
        if matches!(self.launch.consent, Consent::OnlyShown | Consent::OnlyLooked) {
            return Ok((Exit::Done, None));
        }
        let commands = book.read(move |own, run| NextCommands::of(own, &own.run(run)?, &journal)).await?;
        let commands = commands.after(self.clock.now());
        let facts = Facts {
            n_rows: u64::from(self.run.n_rows),
            tally: book.read(Journal::tally).await?,
            signal: by_signal(stop),
            chosen: stop.chosen().map(|(_, why)| why.unwrap_or_default()),
            stopped: stopped_lanes(lanes),
            due: self.due(lanes, book).await?,
            reached_nobody: self.sent.n() == 0 && are_out_of_reach(lanes),
            broken,
            go_on: match self.clock {
                Clock::Rehearsed { .. } => None,
                Clock::OfMachine => Some(go_on(&commands)),
            },
        };
        Ok(facts.ending())
    }

    /// What is due in the accounts that still go. Where nothing was to be sent, that is for another launch.
    async fn due(&self, lanes: &Lanes, book: &Book) -> Result<Vec<Due>, JournalError> {
        let mut due = Vec::new();
        if self.launch.consent != Consent::NothingIsSent {
            for id in lanes.iter().filter(|lane| lane.stopped().is_none()).map(|lane| lane.id) {
                due.push(book.read(move |journal, run| journal.due_in(run, id)).await?);
            }
        }
        Ok(due)
    }

    /// The one place in which a code is held against what this launch has sent.
    fn as_sent(&self, exit: Exit) -> Exit {
        if self.sent.n() > 0 { exit.after_a_change() } else { exit }
    }
}

/// Whether requests were made, in whatever account, and none had an answer.
fn are_out_of_reach(lanes: &Lanes) -> bool {
    let mut tried = lanes.iter().filter_map(|lane| lane.is_out_of_reach()).peekable();
    tried.peek().is_some() && tried.all(|is_out_of_reach| is_out_of_reach)
}

/// The worst of what stopped lanes, and which were stopped by what.
fn stopped_lanes(lanes: &Lanes) -> Option<(Exit, String)> {
    let stopped: Vec<(&str, LaneStop, String)> = lanes
        .iter()
        .filter_map(|lane| lane.stopped().map(|(cause, message)| (lane.name.as_str(), cause, message)))
        .collect();
    let exits = stopped.iter().map(|(_, cause, _)| match cause {
        LaneStop::Unauthenticated | LaneStop::NoCredentials | LaneStop::Barred | LaneStop::Forbidden => {
            Exit::Credentials
        }
        LaneStop::Throttled | LaneStop::NotTheService => Exit::Halted,
        LaneStop::Unreachable => Exit::Unreachable,
    });
    let exit = exits.reduce(Exit::worst)?;
    let named: Vec<String> = match (&stopped[..], lanes.len()) {
        ([(_, _, message)], 1) => vec![message.clone()],
        _ => stopped.iter().map(|(name, _, message)| format!("account `{name}` stopped: {message}")).collect(),
    };
    Some((exit, named.join("; ")))
}

/// A retry that does not go ahead leaves the rows with the verdicts that they had.
async fn put_back(lanes: &Lanes, reopened: &[Reopened]) -> Result<(), Halted> {
    for lane in lanes {
        let kinds = reopened.iter().filter(|(id, _, _)| *id == lane.id).filter_map(|(_, row, standing)| {
            let Phase::Settled(verdict) = standing.phase else { return None };
            let (seen, reason) = (standing.after.clone(), standing.reason.clone());
            Some(RowEvent::Settled { verdict, seen, reason, ground: standing.ground }.about(*row))
        });
        record_any(lane, kinds.collect()).await?;
    }
    Ok(())
}

async fn record_any(lane: &Lane<Http>, kinds: Vec<EventKind>) -> Result<(), JournalClosed> {
    if kinds.is_empty() { Ok(()) } else { lane.record(kinds, None).await }
}

/// Looks for a lane, and watches that it neither waits for ever to be let in nor takes for ever to end.
async fn attend(lane: Arc<Lane<Http>>, asks: mpsc::UnboundedReceiver<Ask>) {
    let same = Arc::clone(&lane);
    // Nobody has leave while it cools down, and nobody waits for an answer.
    let is_in_vain = move |left| {
        let now = same.gate.snapshot();
        now.on_the_wire == 0 && now.cooling.is_some_and(|cooling| cooling > left)
    };
    let lets_go = lane.stop.clone().let_go_in_time(lane.settings.verify_timeout, is_in_vain);
    tokio::join!(reader::serve(Arc::clone(&lane), asks), lane.stop_when_throttled(), lets_go);
}

/// The worst of the signals that came.
fn go_on(commands: &NextCommands) -> GoOn {
    GoOn { resume: commands.resume(), reconcile: commands.reconcile() }
}

fn by_signal(stop: &Stop) -> Option<Exit> {
    let signals = [
        (DrainReason::HungUp, Exit::HungUp),
        (DrainReason::Interrupted, Exit::Interrupted),
        (DrainReason::Terminated, Exit::Terminated),
    ];
    signals.into_iter().filter(|(reason, _)| stop.has_reason(*reason)).map(|(_, exit)| exit).reduce(Exit::worst)
}

/// How a launch ended that was stopped before it sent anything, or by what stands in the way of all of it.
fn halted(stop: &Stop, exit: Exit, reason: String, broken: &[String]) -> (Exit, Option<String>) {
    let (exit, reason) = match (exit, stop.chosen()) {
        (Exit::Interrupted, Some((_, why))) => (by_signal(stop).unwrap_or(Exit::Halted), why.unwrap_or(reason)),
        (Exit::Interrupted, None) => (by_signal(stop).unwrap_or(Exit::Interrupted), reason),
        (exit, _) => (by_signal(stop).map_or(exit, |signal| signal.worst(exit)), reason),
    };
    if broken.is_empty() {
        return (exit, Some(reason));
    }
    let said: Vec<&str> = broken.iter().map(String::as_str).chain([reason.as_str()]).collect();
    (exit.worst(Exit::Internal), Some(said.join("; ")))
}

/// With what went wrong after the end was written down.
fn and_late(exit: Exit, reason: Option<String>, late: Vec<String>) -> (Exit, Option<String>) {
    if late.is_empty() {
        return (exit, reason);
    }
    let said = late.into_iter().chain(reason).collect::<Vec<_>>().join("; ");
    (exit.worst(Exit::Internal), Some(said))
}

fn gauge(lanes: &Lanes) -> impl Fn() -> Gauges + Send + 'static {
    let lanes = lanes.to_vec();
    move || {
        let going = || lanes.iter().filter(|lane| lane.stopped().is_none());
        // One account that may send is enough not to wait.
        let cooling = going().map(|lane| lane.gate.snapshot().cooling.unwrap_or_default()).min();
        Gauges {
            on_the_wire: lanes.iter().map(|lane| lane.gate.snapshot().on_the_wire).sum(),
            cooling: cooling.filter(|left| !left.is_zero()),
            only_looking: lanes.iter().all(|lane| lane.under_way.idle_since().is_some()),
            waits: lanes.first().and_then(|lane| lane.helm.waits()),
        }
    }
}

fn exit_event(exit: Exit, reason: Option<String>, refusal: Option<Refusal>, started: Instant) -> RunEvent {
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    RunEvent::LaunchEnded { exit, reason, elapsed_ms, refusal }
}

/// Records the end and waits for the last commit. If the journal refused anything, this says why.
async fn finish(recorder: &Recorder, writing: Writing, end: RunEvent) -> Result<(), CommandError> {
    // If the journal takes nothing more, closing it says so.
    _ = recorder.record(LaneId::RUN, vec![end.into()], None).await;
    Ok(recorder.close(writing).await?)
}
