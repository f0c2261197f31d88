//! Driver of steering: feeds it the happenings of a run, and carries its orders out.
//!
//! Decisions are made in [`crate::steering`]. Here are the clock, the journal, the stop and the limits of lanes. Lanes ask
//! here before a change leaves and report its result; the driver knows of each only its limits.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use super::journal_reader::JournalReader;
use super::lane::limits::LaneLimits;
use super::stop::Stop;
use crate::clock::{Clock, since_boot};
use crate::control::{By, Command};
use crate::diagnostics;
use crate::event::lane::LaneId;
use crate::event::run::{DrainReason, RunEvent};
use crate::event::verdict::Ground;
use crate::exit::Exit;
use crate::gate::SharedRate;
use crate::hooks::{HookFacts, HookResult, Hooks};
use crate::journal::{Journal, JournalError};
use crate::judge::Reason;
use crate::ledger::standing::{Phase, Standing};
use crate::model::SourceId;
use crate::recorder::Recorder;
use crate::recorder::refusal::NotRecorded;
use crate::steering::SteeringState;
use crate::steering::admission::MOST_NAMED;
use crate::steering::counts::{TryResult, Turn};
use crate::steering::hooks::HookRun;
use crate::steering::input::{AtRest, Input, Rates, StageCounts, StageInput, WaitEnd};
use crate::steering::lanes::LaneTerms;
use crate::steering::order::{Limit, Order, StageOrder, WantedCounts};
use crate::waves::Stage;
use crate::waves::forecast::Measured;
use crate::waves::hooks::HookCall;
use crate::wording::amounts::count;

pub(crate) struct Driver {
    pub(crate) clock: Clock,
    journal: JournalReader,
    recorder: Recorder,
    stop: Stop,
    shared_rate: Option<Arc<SharedRate>>,
    hooks: Hooks,
    lanes: Mutex<Vec<LaneLimits>>,
    paused: watch::Sender<bool>,
    /// Permits for the rows of a canary that may be on their way at once.
    cautious: Mutex<Option<Arc<Semaphore>>>,
    /// Notified when a condition of a wait has changed.
    woken: Notify,
    state: Mutex<SteeringState>,
}

/// Answer of steering to a row whose change is about to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Clearance {
    /// Leaves now.
    Granted,
    /// Leaves with a permit ([`Driver::cautiously`]), as one of the few rows of a canary that may be on their way at once.
    OneOfFew,
    /// Waits, because changes are paused.
    Paused,
    /// Stays unsent for good, for this reason. A skip counts before all else: it settles the row even while the run drains.
    Skipped(Reason),
    /// Stays for a later launch: its lane starts nothing new.
    Draining,
}

impl Clearance {
    /// Tells that nothing holds the row back.
    pub(crate) fn lets_go(&self) -> bool {
        match self {
            Clearance::Granted | Clearance::OneOfFew => true,
            Clearance::Paused | Clearance::Skipped(_) | Clearance::Draining => false,
        }
    }
}

/// Answer to a stage that is to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    Granted,
    /// The run stops here.
    Denied,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DriverError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Closed(#[from] NotRecorded),
}

impl Driver {
    pub(crate) fn new(
        clock: Clock,
        state: SteeringState,
        journal: JournalReader,
        recorder: Recorder,
        stop: Stop,
        shared_rate: Option<Arc<SharedRate>>,
        hooks: Hooks,
    ) -> Self {
        let (paused, _) = watch::channel(state.is_paused());
        Self {
            clock,
            journal,
            recorder,
            stop,
            shared_rate,
            hooks,
            lanes: Mutex::default(),
            paused,
            cautious: Mutex::default(),
            woken: Notify::new(),
            state: Mutex::new(state),
        }
    }

    /// Adds a lane: orders that set limits reach it from here on.
    pub(crate) fn enrol(&self, terms: LaneTerms, limits: LaneLimits) {
        self.state().enrol(terms);
        self.lanes().push(limits);
    }

    /// Answers a row that is about to leave a lane.
    pub(crate) fn clearance(&self, lane: &Stop, source: &SourceId, standing: &Standing) -> Clearance {
        if let Some(reason) = self.skipped(source, standing) {
            Clearance::Skipped(reason)
        } else if lane.is_draining() || self.recorder.has_lost_run() {
            Clearance::Draining
        } else if *self.paused.borrow() {
            Clearance::Paused
        } else if self.cautious_permits().is_some() {
            Clearance::OneOfFew
        } else {
            Clearance::Granted
        }
    }

    /// Waits until changes may be sent.
    pub(crate) async fn unpaused(&self) {
        // The sender lives as long as this does.
        _ = self.paused.subscribe().wait_for(|paused| !paused).await;
    }

    /// Does the work; `None` as soon as changes may not be sent.
    pub(crate) async fn unless_paused<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut pausing = self.paused.subscribe();
        tokio::select! {
            biased;
            _ = pausing.wait_for(|paused| *paused) => None,
            done = work => Some(done),
        }
    }

    /// Reason for not sending the row, if somebody gave one in time: a row that was sent is never skipped.
    fn skipped(&self, source: &SourceId, standing: &Standing) -> Option<Reason> {
        let n_held_back = u32::from(standing.phase == Phase::Open);
        if standing.attempts > n_held_back {
            return None;
        }
        let state = self.state();
        let by = state.skipped_by(source.as_str())?;
        Some(Reason::on(Ground::Skipped, format!("skipped by {by}")))
    }

    /// Sources that somebody skipped.
    pub(crate) fn all_skipped(&self) -> Vec<String> {
        self.state().skipped().cloned().collect()
    }

    /// Reason why the whole run waits, for those who watch.
    pub(crate) fn waits(&self) -> Option<String> {
        self.state().waits_and_way_on()
    }

    /// Leave for one more row of a canary to be on its way; held until its answer is known.
    pub(crate) async fn cautiously(&self) -> Option<OwnedSemaphorePermit> {
        let cautious = self.cautious_permits().clone()?;
        Some(cautious.acquire_owned().await.expect("the semaphore is never closed"))
    }

    /// Counts a row as tried.
    pub(crate) fn begin(&self) -> Turn {
        self.state().begin_row()
    }

    /// Counts the result of a turn. Enough failures stop the run.
    pub(crate) async fn end(&self, turn: Turn, result: TryResult) -> Result<(), NotRecorded> {
        let orders = self.state().decide(Input::RowEnded { turn, result });
        if orders.is_empty() { Ok(()) } else { Box::pin(self.carry_out(orders)).await }
    }

    /// Leaves the row of a turn to a later launch.
    pub(crate) fn leave(&self, turn: Turn) {
        self.state().leave_row(turn);
    }

    /// Takes rows out of the count that were refused alike and are opened again.
    pub(crate) fn forget(&self, result: &TryResult, n_rows: u64) {
        self.state().forget_rows(result, n_rows);
    }

    /// Counts one more row of an account that this run has moved.
    pub(crate) fn moved_one(&self, lane: LaneId) {
        self.state().moved_row(lane);
    }

    pub(crate) fn lane_stopped(&self, lane: LaneId) {
        self.state().lane_stopped(lane);
    }

    /// Adds the measurements of a stage in an account, for the estimates of later stages.
    pub(crate) fn learn(&self, lane: LaneId, measured: &Measured) {
        self.state().measured(lane, measured);
    }

    /// Begins a launch. Pauses of the launch before it hold on only if an operator gave them.
    pub(crate) async fn begin_launch(&self, began: RunEvent) -> Result<(), NotRecorded> {
        self.carry_out(vec![Order::Record(began)]).await
    }

    /// Waits until the log of the run has answered, so that what is decided now is recorded at once.
    pub(crate) async fn can_record(&self) -> Result<(), NotRecorded> {
        self.recorder.hold_run().await
    }

    /// Lets a command take effect and journals it. `control` is its number in the journal, if it came through that.
    pub(crate) async fn command(&self, command: Command, by: By, control: Option<i64>) -> Result<(), NotRecorded> {
        let orders = self.state().decide(Input::Commanded { command, by, control });
        self.carry_out(orders).await
    }

    /// Stops the run, because it could not begin in time.
    pub(crate) async fn give_up(&self) -> Result<(), NotRecorded> {
        let orders = self.state().decide(Input::NotBegun);
        self.carry_out(orders).await
    }

    /// Waits until a stage may begin, and begins it.
    pub(crate) async fn begin_stage(&self, stage: &Stage) -> Result<Leave, DriverError> {
        let has_waves = self.state().has_waves();
        let at_rest = if has_waves { self.journal.read(Journal::stages_at_rest).await? } else { AtRest::new() };
        self.feed(StageInput::Due { stage: stage.clone(), at_rest, now: self.clock.now() }).await
    }

    /// Does the work of a stage. Where the window closes meanwhile the run stops, and the work is awaited.
    pub(crate) async fn within_the_window<T>(&self, work: impl Future<Output = T>) -> Result<T, DriverError> {
        let mut work = std::pin::pin!(work);
        let watching = self.feed(StageInput::GoesOn { rates: self.rates(), now: self.clock.now() });
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            watched = watching => { watched?; }
        }
        Ok(work.await)
    }

    /// Closes a stage in which no more is done.
    pub(crate) async fn end_stage(&self, stage: &Stage, n_left: u64, n_left_in_wave: u64) -> Result<(), DriverError> {
        self.feed(StageInput::Over { stage: stage.clone(), n_left, n_left_in_wave }).await.map(drop)
    }

    /// Runs the hooks that are due at the end of the launch, and records them.
    pub(crate) async fn end_launch(&self, exit: Exit, reason: Option<&str>) -> Result<(), NotRecorded> {
        let calls = self.state().hooks_after_run();
        let mut recorded = Ok(());
        for call in calls {
            let exit = Some((exit, reason.map(str::to_owned)));
            // A journal that cannot be read is no reason to leave undone whatever the hook undoes.
            let tally = self.journal.read(Journal::tally).await.ok();
            let ran = self.run_hook(call, HookFacts { tally, exit }).await;
            // Each undoes something: one that cannot be recorded does not keep the next from it.
            recorded = recorded.and(self.carry_out(vec![Order::Record(ran.event())]).await);
        }
        recorded
    }

    /// Asks for another stage behind this one.
    pub(crate) async fn may_follow(&self, stage: &Stage) -> Result<Leave, DriverError> {
        let of = (stage.wave_no, stage.part);
        let left = self.journal.read(move |journal, run| journal.left_in_stage(run, of, MOST_NAMED)).await?;
        let is_draining = self.stop.is_draining();
        self.feed(StageInput::NextDue { behind: stage.clone(), left, is_draining }).await
    }

    /// Carries out the orders that follow from a step of a stage in turn, each followed by those that come of it.
    async fn feed(&self, input: StageInput) -> Result<Leave, DriverError> {
        let mut orders = VecDeque::from(self.decide_stage(input));
        while let Some(order) = orders.pop_front() {
            let came = match order {
                StageOrder::Do(order) => {
                    self.carry_out(vec![order]).await?;
                    continue;
                }
                StageOrder::Wait { until } => self.wait(until).await,
                StageOrder::Count(wanted) => self.count(wanted).await?,
                StageOrder::LookAgain { at } => {
                    self.clock.sleep_until(at).await;
                    StageInput::GoesOn { rates: self.rates(), now: self.clock.now() }
                }
                StageOrder::RunHook(call) if call.hook.may_veto() && self.stop.is_draining() => StageInput::HookLeft,
                StageOrder::RunHook(call) => {
                    let tally = Some(self.journal.read(Journal::tally).await?);
                    let ran = self.run_hook(call, HookFacts { tally, exit: None }).await;
                    StageInput::HookEnded { ran, now: self.clock.now() }
                }
                StageOrder::StopHere => return Ok(Leave::Denied),
            };
            let follow = self.decide_stage(came);
            follow.into_iter().rev().for_each(|order| orders.push_front(order));
        }
        Ok(Leave::Granted)
    }

    /// Carries out orders in turn, each followed by those that come of it.
    async fn carry_out(&self, orders: Vec<Order>) -> Result<(), NotRecorded> {
        let mut orders = VecDeque::from(orders);
        while let Some(order) = orders.pop_front() {
            match order {
                Order::Record(event) => {
                    let committed = self.record(event).await?;
                    let follow = self.state().decide(committed);
                    follow.into_iter().rev().for_each(|order| orders.push_front(order));
                }
                Order::Limit(limit) => self.limit(limit),
                Order::Drain { reason, why } => self.stop.drain_because(reason, Some(why)),
                Order::Abort => self.stop.abort(),
                // Kept for the next wait, if none is on: it is not missed between a decision and its wait.
                Order::Wake => self.woken.notify_one(),
            }
        }
        Ok(())
    }

    fn limit(&self, limit: Limit) {
        match limit {
            Limit::HoldChanges => {
                if !self.paused.send_replace(true) {
                    diagnostics::decided(|| "no change leaves until the run goes on".to_owned());
                }
            }
            Limit::AllowChanges => {
                if self.paused.send_replace(false) {
                    diagnostics::decided(|| "changes may leave again".to_owned());
                }
            }
            Limit::Rate { lane, per_second } => {
                diagnostics::decided(|| format!("{} from here on{}", at_most(per_second), self.in_account(lane)));
                self.for_lane(lane, |limits| limits.set_rate(per_second));
            }
            Limit::Concurrency { lane, n } => {
                let at_once = || format!("at most {} under way at once", count(n.into(), "request"));
                diagnostics::decided(|| format!("{} from here on{}", at_once(), self.in_account(lane)));
                self.for_lane(lane, |limits| limits.set_concurrency(n));
            }
            Limit::SharedRate(per_second) => {
                if let Some(shared) = &self.shared_rate {
                    diagnostics::decided(|| format!("{} from here on in all accounts", at_most(per_second)));
                    shared.set(per_second);
                }
            }
            Limit::Caution(most) => {
                if let Some(most) = most {
                    let rows = || count(most as u64, "row");
                    diagnostics::decided(|| format!("at most {} of the canary on their way at once", rows()));
                }
                let permits = most.map(|most| Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS))));
                *self.cautious_permits() = permits;
            }
        }
    }

    /// Words for one of several accounts.
    fn in_account(&self, lane: LaneId) -> String {
        if self.lanes().len() > 1 { format!(" in account {}", lane.0) } else { String::new() }
    }

    fn for_lane(&self, lane: LaneId, set: impl FnOnce(&LaneLimits)) {
        if let Some(limits) = self.lanes().iter().find(|limits| limits.lane() == lane) {
            set(limits);
        }
    }

    async fn record(&self, event: RunEvent) -> Result<Input, NotRecorded> {
        let at = self.clock.now();
        if let Err(closed) = self.recorder.record_of_run(vec![event.clone()]).await {
            self.stop.drain(DrainReason::JournalClosed);
            return Err(closed);
        }
        Ok(Input::Committed { at, event })
    }

    /// Runs a hook. One that may veto is of no use once the run drains; another runs unless somebody asks for the end anew.
    async fn run_hook(&self, call: HookCall, facts: HookFacts) -> HookRun {
        let asked_anew = self.stop.asked_anew();
        let stopped = async { if call.hook.may_veto() { self.stop.draining().await } else { asked_anew.await } };
        let HookResult { end, output, is_cut, elapsed } = self.hooks.run(&call, &facts, stopped).await;
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        HookRun { call, end, output, is_cut, elapsed_ms }
    }

    async fn wait(&self, until: Option<Timestamp>) -> StageInput {
        let time_comes = async {
            match until {
                Some(until) => self.clock.sleep_until(until).await,
                None => pending().await,
            }
        };
        let waiting = async {
            tokio::select! {
                () = time_comes => WaitEnd::TimeCame,
                () = self.woken.notified() => WaitEnd::Woken,
            }
        };
        let end = self.stop.unless_draining(waiting).await.unwrap_or(WaitEnd::Draining);
        StageInput::WaitOver { end, now: self.clock.now() }
    }

    async fn count(&self, wanted: WantedCounts) -> Result<StageInput, JournalError> {
        let read = move |journal: &Journal, run| {
            let WantedCounts { stage: Stage { wave_no, part, .. }, changed, tried_in_stage, tried_in_run } = wanted;
            let tried = |is_wanted, stage| if is_wanted { journal.tried(run, stage) } else { Ok(Vec::new()) };
            Ok(StageCounts {
                unsettled: journal.unsettled_in_wave(run, wave_no)?,
                changed: if changed { Some(journal.changed_by_lane(run)?) } else { None },
                tried_in_stage: tried(tried_in_stage, Some((wave_no, part)))?,
                tried_in_run: tried(tried_in_run, None)?,
            })
        };
        let counted = self.journal.read(read).await?;
        Ok(StageInput::Counted { counted, rates: self.rates(), now: self.clock.now() })
    }

    fn decide_stage(&self, input: StageInput) -> Vec<StageOrder> {
        let mut state = self.state();
        state.clock_shows(self.clock.now(), since_boot());
        state.decide_stage(input)
    }

    fn rates(&self) -> Rates {
        let believed = self.lanes().iter().filter_map(|limits| Some((limits.lane(), limits.believed()?))).collect();
        Rates { believed, shared: self.shared_rate.as_ref().and_then(|shared| shared.per_second()) }
    }

    fn state(&self) -> MutexGuard<'_, SteeringState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lanes(&self) -> MutexGuard<'_, Vec<LaneLimits>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cautious_permits(&self) -> MutexGuard<'_, Option<Arc<Semaphore>>> {
        self.cautious.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn at_most(per_second: Option<f64>) -> String {
    per_second.map_or_else(|| "no limit of the pace".to_owned(), |rate| format!("at most {rate} requests per second"))
}
