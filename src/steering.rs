//! Steering of a run while it goes on: when a stage may begin, when changes pause, how fast they go, and when it is enough.
//!
//! [`SteeringState::decide`] is a function of the state and of what happened. It gives orders and carries none of them out: no
//! journal, no clock, no lane. Times come in with what happened, and counts of the journal when [`StageOrder::Count`] asks for
//! them; [`SteeringState::decide_stage`] is the same for the steps of a stage. `engine::driver` feeds both and carries the
//! orders out.
//!
//! [`admission`] has the waits of a stage before it begins, [`hooks`] the commands that are asked then, [`estimate`] its duration,
//! [`halt`] the failures that are enough,
//! [`commands`] the commands of operators, [`lanes`] the limits of each lane. Each decision is an event of the run's own lane,
//! and the next launch begins with the sum of these ([`Steered`]).

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::control::{self, By, Command, Wait};
use crate::event::lane::LaneId;
use crate::event::run::{DrainReason, RunEvent};
use crate::ledger::steered::Steered;
use crate::waves::forecast::{Fit, Measured, spoken};
use crate::waves::halt::HaltRules;
use crate::waves::hooks::{HookCall, HookEnd};
use crate::waves::window::Opening;
use crate::waves::{Stage, Terms};

pub(crate) mod admission;
pub(crate) mod commands;
pub(crate) mod counts;
pub(crate) mod estimate;
pub(crate) mod halt;
pub(crate) mod hooks;
pub(crate) mod input;
pub(crate) mod lanes;
pub(crate) mod order;
pub(crate) mod settings;

use admission::{Admission, AdmissionBasis, Progress};
use commands::{ByHand, RateByHand};
use counts::{TryResult, Turn};
use estimate::Estimator;
use halt::Halt;
use hooks::{HookRun, LaunchHooks};
use input::{Input, Rates, StageCounts, StageInput};
use lanes::{LaneState, LaneStates, LaneTerms};
use order::{Limit, Order, StageOrder, WantedCounts, drain};
use settings::SteeringSettings;

/// Interval at which the time that a roll-back would take is estimated anew while a stage goes on.
const ESTIMATE_EVERY: Duration = Duration::from_secs(5);
/// Shortest time between two looks at the window, so that an estimate that does not change is not made over and over.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(100);

pub(crate) struct SteeringState {
    settings: SteeringSettings,
    terms: Terms,
    steered: Steered,
    lanes: LaneStates,
    by_hand: ByHand,
    halt: Halt,
    /// Stage that has not begun yet.
    admission: Option<Admission>,
    hooks: LaunchHooks,
    /// Stage whose hooks are asked.
    beginning: Option<StageBeginning>,
    /// Hook that runs now.
    running: Option<HookCall>,
    /// True once a stage has begun in this launch.
    has_begun: bool,
    /// End of the window at its last check within this stage.
    closes: Option<Timestamp>,
}

/// Stage that begins once its hooks have let it.
struct StageBeginning {
    stage: Stage,
    counted: StageCounts,
    forecast: Option<String>,
    /// Hooks that are still to be asked.
    hooks: VecDeque<HookCall>,
}

impl SteeringState {
    /// Makes the state in which a launch begins; `steered` is the sum of the events of earlier launches.
    pub(crate) fn new(settings: SteeringSettings, terms: Terms, steered: Steered) -> Self {
        Self {
            halt: Halt::new(settings.halt.clone()),
            hooks: LaunchHooks::new(settings.hooks.clone()),
            beginning: None,
            running: None,
            settings,
            terms,
            steered,
            lanes: LaneStates::default(),
            by_hand: ByHand::default(),
            admission: None,
            has_begun: false,
            closes: None,
        }
    }

    /// Adds a lane that obeys orders from here on.
    pub(crate) fn enrol(&mut self, lane: LaneTerms) {
        self.lanes.enrol(lane);
    }

    /// Orders that follow from a happening, to be carried out in turn.
    pub(crate) fn decide(&mut self, input: Input) -> Vec<Order> {
        match input {
            Input::Commanded { command, by, control } => self.commanded(command, by, control),
            Input::Committed { at, event } => self.committed(at, &event),
            Input::RowEnded { turn, result } => {
                self.halt.end(turn, Some(&result));
                drain_if(self.halt.trips())
            }
            Input::NotBegun => match self.settings.start {
                Some(limit) => drain(DrainReason::NotBegun, limit.missed(self.waits().as_deref())),
                None => Vec::new(),
            },
        }
    }

    /// Takes note of the time of day at which something is decided, to which the clock may have been set, and of the time since the
    /// machine was started.
    pub(crate) fn clock_shows(&mut self, now: Timestamp, since_boot: Duration) {
        self.settings.start = self.settings.start.map(|start| start.at(now, since_boot));
    }

    /// Orders that follow from a step of a stage, to be carried out in turn.
    pub(crate) fn decide_stage(&mut self, input: StageInput) -> Vec<StageOrder> {
        match input {
            StageInput::Due { stage, at_rest, now } => {
                self.admission = Some(Admission::new(stage, at_rest));
                self.admit(now, |admission, basis| admission.advance(basis, now))
            }
            StageInput::WaitOver { end, now } => self.admit(now, |admission, basis| admission.waited(basis, end, now)),
            StageInput::Counted { counted, rates, now } => self.begin_or_drain(counted, &rates, now),
            StageInput::HookEnded { ran, now } => self.hook_ended(&ran, now),
            StageInput::HookLeft => {
                (self.running, self.beginning) = (None, None);
                vec![StageOrder::StopHere]
            }
            StageInput::GoesOn { rates, now } => self.keep_to_the_window(&rates, now),
            StageInput::Over { stage, n_left, n_left_in_wave } => self.end_stage(stage, n_left, n_left_in_wave),
            StageInput::NextDue { behind, left, is_draining } => admission::next(&behind, &left, is_draining),
        }
    }

    /// Counts a row as tried, once the service has taken it or it has come out.
    pub(crate) fn begin_row(&mut self) -> Turn {
        self.halt.begin()
    }

    /// Leaves the row of a turn to a later launch.
    pub(crate) fn leave_row(&mut self, turn: Turn) {
        self.halt.end(turn, None);
    }

    /// Takes rows out of the count that were refused alike and are opened again: it was not about them.
    pub(crate) fn forget_rows(&mut self, result: &TryResult, n_rows: u64) {
        self.halt.forget(result, n_rows);
    }

    /// Counts one more row of a lane that this run has moved.
    pub(crate) fn moved_row(&mut self, lane: LaneId) {
        self.lanes.moved_row(lane);
    }

    /// Leaves a lane that stopped out of the estimates from here on.
    pub(crate) fn lane_stopped(&mut self, lane: LaneId) {
        self.lanes.stopped(lane);
    }

    /// Adds the measurements of a stage in a lane, for the estimates of later stages.
    pub(crate) fn measured(&mut self, lane: LaneId, measured: &Measured) {
        self.lanes.measured(lane, measured);
    }

    /// Tells that stages depend on when others came to rest.
    pub(crate) fn has_waves(&self) -> bool {
        !self.terms.waves.is_empty()
    }

    pub(crate) fn is_paused(&self) -> bool {
        !self.steered.paused.is_empty()
    }

    /// Operator who skipped a source, if one did.
    pub(crate) fn skipped_by(&self, source: &str) -> Option<&By> {
        self.steered.skipped.get(source)
    }

    /// Sources that somebody skipped.
    pub(crate) fn skipped(&self) -> impl Iterator<Item = &String> {
        self.steered.skipped.keys()
    }

    /// Reason why the whole run waits.
    pub(crate) fn waits(&self) -> Option<String> {
        if let Some(paused) = self.steered.paused.first() {
            return Some(format!("paused by {}", paused.by));
        }
        if let Some(call) = &self.running {
            return Some(format!("waiting for {call}"));
        }
        let waits = self.steered.waits.as_ref()?;
        let zone = Some(&self.settings.window.zone);
        Some(format!("waiting {}", control::waits_for(waits.cause, &waits.stage, waits.until, zone)))
    }

    /// Does the same for those who watch, who may be at a terminal by day: a window may be hours away.
    pub(crate) fn waits_and_way_on(&self) -> Option<String> {
        let waits = self.waits()?;
        let is_of_window = self.steered.waits.as_ref().is_some_and(|waits| waits.cause == Wait::Window);
        let alone = self.steered.paused.is_empty() && self.running.is_none();
        Some(if is_of_window && alone { format!("{waits} (Ctrl-C ends it; --window off lifts it)") } else { waits })
    }

    /// Journals a command. A pause or a skip takes effect before that, so that less is sent meanwhile and not more.
    fn commanded(&mut self, command: Command, by: By, control: Option<i64>) -> Vec<Order> {
        let command = commands::completed(command, &self.steered, &self.terms);
        let mut orders = Vec::new();
        if command == Command::Pause {
            orders.push(Order::Limit(Limit::HoldChanges));
        }
        if let Command::Skip { source_id } = &command {
            self.steered.skipped.insert(source_id.clone(), by.clone());
        }
        orders.push(Order::Record(RunEvent::Controlled { command, by, control }));
        orders
    }

    /// Adds an event to the sum of the run's steering, and lets a command take effect.
    fn committed(&mut self, at: Timestamp, event: &RunEvent) -> Vec<Order> {
        self.steered.add(at, event);
        match event {
            RunEvent::Controlled { command, by, control: _ } => self.in_effect(command, by),
            // A pause of the launch before it may hold no longer.
            RunEvent::LaunchBegan { .. } => vec![self.pause_or_go_on()],
            RunEvent::Started { .. }
            | RunEvent::DrainBegan { .. }
            | RunEvent::StageBegan { .. }
            | RunEvent::StageEnded { .. }
            | RunEvent::WaitBegan { .. }
            | RunEvent::WaitEnded
            | RunEvent::HookRan { .. }
            | RunEvent::LaunchEnded { .. } => Vec::new(),
        }
    }

    fn in_effect(&mut self, command: &Command, by: &By) -> Vec<Order> {
        match command {
            Command::Pause | Command::Continue => vec![self.pause_or_go_on()],
            Command::Rate { per_second } => {
                self.by_hand.rate = Some(RateByHand(*per_second));
                let set = |lane: &LaneState| Limit::Rate { lane: lane.terms.id, per_second: *per_second };
                self.lanes.all().map(set).chain([Limit::SharedRate(*per_second)]).map(Order::Limit).collect()
            }
            Command::Concurrency { n } => {
                self.by_hand.concurrency = Some(*n);
                let set = |lane: &LaneState| Order::Limit(Limit::Concurrency { lane: lane.terms.id, n: *n });
                self.lanes.all().map(set).collect()
            }
            Command::Skip { .. } | Command::Unskip { .. } => Vec::new(),
            Command::Release { .. } => vec![Order::Wake],
            Command::Drain => drain(DrainReason::Operator, format!("drained by {by}")),
            Command::Abort => {
                let mut orders = drain(DrainReason::Operator, format!("aborted by {by}"));
                orders.push(Order::Abort);
                orders
            }
        }
    }

    fn pause_or_go_on(&self) -> Order {
        Order::Limit(if self.is_paused() { Limit::HoldChanges } else { Limit::AllowChanges })
    }

    fn estimator<'a>(&'a self, rates: &'a Rates) -> Estimator<'a> {
        let Self { settings, terms, lanes, by_hand, .. } = self;
        Estimator { settings, terms, lanes, by_hand, rates }
    }

    /// Lets the stage that has not begun go one step further; once nothing is in its way, its rows are counted.
    fn admit(
        &mut self,
        now: Timestamp,
        step: impl FnOnce(&mut Admission, &AdmissionBasis) -> (Vec<StageOrder>, Progress),
    ) -> Vec<StageOrder> {
        let Self { settings, terms, steered, halt, has_begun, .. } = self;
        let start = settings.start.filter(|_| !*has_begun);
        let Some(admission) = &mut self.admission else { return Vec::new() };
        let (mut orders, progress) = step(admission, &AdmissionBasis { terms, settings, steered, start });
        match progress {
            Progress::Waits => (),
            Progress::Open => {
                let stage = admission.stage().clone();
                orders.push(StageOrder::Count(WantedCounts {
                    changed: settings.reserve_rollback && closes_at(settings, now).is_some(),
                    tried_in_stage: halt.counts_in_stage(&stage_rules(terms, &stage)),
                    tried_in_run: halt.counts_earlier_launches(),
                    stage,
                }));
            }
            Progress::Denied => {
                self.admission = None;
                orders.push(StageOrder::StopHere);
            }
        }
        orders
    }

    /// Lets the stage that was counted begin, unless there is no time for it. Its hooks are asked first.
    fn begin_or_drain(&mut self, counted: StageCounts, rates: &Rates, now: Timestamp) -> Vec<StageOrder> {
        let Some(admission) = self.admission.take() else { return Vec::new() };
        let stage = admission.into_stage();
        if let Some(changed) = &counted.changed {
            self.lanes.set_moved(changed);
        }
        let estimator = self.estimator(rates);
        let estimate = match closes_at(&self.settings, now) {
            Some(until) => Some(estimator.with_end(&stage, &counted, until, now)),
            None => estimator.without_end(&stage, &counted).map(|text| (Fit::Fits, text)),
        };
        if let Some((Fit::DoesNotFit, text)) = &estimate
            && !self.settings.ignore_forecast
        {
            let mut orders = drain(DrainReason::TooLong, format!("{stage} does not begin: {text}"));
            orders.push(StageOrder::StopHere);
            return orders;
        }
        let forecast = estimate.map(|(_, text)| text);
        let hooks = self.hooks.before(&stage, &self.steered);
        let beginning = StageBeginning { stage, counted, forecast, hooks };
        if beginning.hooks.is_empty() { self.begin_stage(beginning) } else { self.ask_hooks(beginning, now) }
    }

    /// Asks the next hook before a stage; once all have let it, it begins, unless the window has closed meanwhile.
    fn ask_hooks(&mut self, mut beginning: StageBeginning, now: Timestamp) -> Vec<StageOrder> {
        if let Some(call) = beginning.hooks.pop_front() {
            self.beginning = Some(beginning);
            return self.run_hook(call);
        }
        match self.settings.window.at(now) {
            Opening::Open { .. } => self.begin_stage(beginning),
            Opening::Opens { .. } | Opening::Over { .. } => {
                let why = format!("the window closed while a hook ran; {} does not begin", beginning.stage);
                drain(DrainReason::Window, why).into_iter().chain([StageOrder::StopHere]).collect()
            }
        }
    }

    fn run_hook(&mut self, call: HookCall) -> Vec<StageOrder> {
        self.running = Some(call.clone());
        vec![StageOrder::RunHook(call)]
    }

    /// Records the end of a hook. A stage that waits for it goes one step further, or is vetoed.
    fn hook_ended(&mut self, ran: &HookRun, now: Timestamp) -> Vec<StageOrder> {
        self.running = None;
        self.hooks.begin();
        let mut orders = vec![Order::Record(ran.event()).into()];
        if let Some(beginning) = self.beginning.take_if(|_| ran.call.hook.may_veto()) {
            orders.extend(match &ran.end {
                end if end.is_success() => self.ask_hooks(beginning, now),
                // The run drains already.
                HookEnd::Stopped => vec![StageOrder::StopHere],
                HookEnd::Exit { .. }
                | HookEnd::Signal { .. }
                | HookEnd::TimedOut { .. }
                | HookEnd::NotStarted { .. } => {
                    let veto = drain(DrainReason::Vetoed, ran.told());
                    veto.into_iter().chain([StageOrder::StopHere]).collect()
                }
            });
        }
        orders
    }

    /// Hooks that are due at the end of the launch.
    pub(crate) fn hooks_after_run(&self) -> Vec<HookCall> {
        self.hooks.after_run()
    }

    /// Begins a stage. Its own limits hold from here on, and its counts go on where earlier launches left them.
    fn begin_stage(
        &mut self,
        StageBeginning { stage, counted, forecast, hooks: _ }: StageBeginning,
    ) -> Vec<StageOrder> {
        self.hooks.begin();
        let rows = counted.rows_of(stage.part);
        let mut orders = self.lanes.limits_in_stage(self.terms.stage(&stage), &self.by_hand);
        let rules = stage_rules(&self.terms, &stage);
        orders.push(Limit::Caution(self.halt.begin_stage(&stage, rules, &counted)));
        let mut orders: Vec<StageOrder> = orders.into_iter().map(|limit| Order::Limit(limit).into()).collect();
        self.closes = None;
        self.has_begun = true;
        orders.push(Order::Record(RunEvent::StageBegan { stage, rows, forecast }).into());
        orders
    }

    /// Stops the run when the window closes within a stage, or when the time that is left is needed for a roll-back.
    fn keep_to_the_window(&mut self, rates: &Rates, now: Timestamp) -> Vec<StageOrder> {
        let window = &self.settings.window;
        let Opening::Open { until } = window.at(now) else {
            let closed = window.local(self.closes.unwrap_or(now));
            return drain(DrainReason::Window, format!("the window closed at {closed}"));
        };
        self.closes = until;
        let Some(until) = until else { return Vec::new() };
        if !self.settings.reserve_rollback {
            return vec![StageOrder::LookAgain { at: until }];
        }
        let takes = self.estimator(rates).way_back(|_| 0).likely;
        let last = until.checked_sub(takes).unwrap_or(now);
        if last <= now && !self.settings.ignore_forecast {
            let (takes, local) = (spoken(takes), self.settings.window.local(until));
            let why = format!("the {takes} that a roll-back would take are all that is left until {local}");
            return drain(DrainReason::TooLong, why);
        }
        let again = now.checked_add(ESTIMATE_EVERY).unwrap_or(until);
        let soonest = now.checked_add(LOOK_AT_MOST_EVERY).unwrap_or(now);
        vec![StageOrder::LookAgain { at: last.max(now).min(again).min(until).max(soonest) }]
    }

    /// Closes a stage in which no more is done: it is ended if no row of it is left, and its wave if none of that is.
    fn end_stage(&mut self, stage: Stage, n_left: u64, n_left_in_wave: u64) -> Vec<StageOrder> {
        let hooks = if n_left_in_wave == 0 { self.hooks.after_wave(&stage) } else { Vec::new() };
        let ended = (n_left == 0).then_some(Order::Record(RunEvent::StageEnded { stage }).into());
        let orders = ended.into_iter().chain(drain_if(self.halt.trips_at_the_end()));
        orders.chain(hooks.into_iter().map(StageOrder::RunHook)).collect()
    }
}

fn drain_if<O: From<Order>>(tripped: Option<String>) -> Vec<O> {
    tripped.map_or_else(Vec::new, |why| drain(DrainReason::Halted, why))
}

/// End of the window that is open, if it has one.
fn closes_at(settings: &SteeringSettings, now: Timestamp) -> Option<Timestamp> {
    match settings.window.at(now) {
        Opening::Open { until } => until,
        Opening::Opens { .. } | Opening::Over { .. } => None,
    }
}

fn stage_rules(terms: &Terms, stage: &Stage) -> HaltRules {
    terms.stage(stage).map(|terms| terms.halt.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
