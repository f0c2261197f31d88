//! What steers a run while it goes on: when a stage may begin, when all of it pauses, when it is enough.
//!
//! Calls ask here before they send and tell here how they came out. `stages` is what a stage waits for before it begins,
//! `outlook` how long it would take, `commands` what comes from other terminals (by way of `lookout`). Whatever is
//! decided is an event of the run's own lane, and what the events add up to ([`Steered`]) is what the next launch begins
//! with.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use super::stop::Stop;
use crate::clock::Clock;
use crate::control;
use crate::event::run::RunEvent;
use crate::event::{DrainReason, Ground, LaneId};
use crate::gate::RateOfAll;
use crate::journal::JournalError;
use crate::judge::Reason;
use crate::ledger::steered::Steered;
use crate::ledger::{Phase, Standing};
use crate::model::SourceId;
use crate::recorder::{JournalClosed, Recorder};
use crate::waves::forecast::Measured;
use crate::waves::halt::HaltRules;
use crate::waves::window::Window;
use crate::waves::{Stage, StageTerms, Terms};

mod commands;
pub(crate) mod counts;
pub(crate) mod lookout;
mod outlook;
mod stages;

use counts::{Came, Count, Turn};

/// How a run is steered, from the settings.
#[derive(Clone, Debug)]
pub(crate) struct HelmSettings {
    pub(crate) halt: HaltRules,
    pub(crate) window: Window,
    /// The time that a roll-back would take is kept free at the end of the window.
    pub(crate) reserve_rollback: bool,
    /// A stage begins although it would not end in time.
    pub(crate) ignore_forecast: bool,
    /// Nobody has released a stage for this long: stop.
    pub(crate) approval_timeout: Option<Duration>,
    pub(crate) pause_file: Option<PathBuf>,
    pub(crate) stop_file: Option<PathBuf>,
    /// What holds where no stage says otherwise.
    pub(crate) concurrency: u32,
    pub(crate) verify_timeout: Duration,
}

pub(crate) struct Helm {
    pub(crate) clock: Clock,
    settings: HelmSettings,
    terms: Terms,
    recorder: Recorder,
    stop: Stop,
    of_all: Option<Arc<RateOfAll>>,
    paused: watch::Sender<bool>,
    /// Something that a wait depends on has changed.
    changed: Notify,
    state: Mutex<State>,
}

struct State {
    steered: Steered,
    of_run: Count,
    of_stage: Count,
    rules: HaltRules,
    stage: Option<Stage>,
    /// Halted already: the first reason is the one that is told.
    halted: bool,
    measured: HashMap<LaneId, Measured>,
    /// Rows that this run has moved, where time is kept to move them back.
    changed: HashMap<LaneId, u64>,
    /// No more rows of a canary than its rules put up with are on their way at once.
    cautious: Option<Arc<Semaphore>>,
    /// What was given for this launch by hand, and wins over what stages say.
    rate: Option<Pace>,
    concurrency: Option<u32>,
}

/// Requests per second that somebody set; none: no limit of ours.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pace(Option<f64>);

/// Whether a stage goes ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    Granted,
    /// The run stops here.
    Denied,
}

impl Helm {
    pub(crate) fn new(
        clock: Clock,
        settings: HelmSettings,
        terms: Terms,
        steered: Steered,
        recorder: Recorder,
        stop: Stop,
        of_all: Option<Arc<RateOfAll>>,
    ) -> Self {
        let (paused, _) = watch::channel(!steered.paused.is_empty());
        let state = State {
            steered,
            of_run: Count::default(),
            of_stage: Count::default(),
            rules: HaltRules::default(),
            stage: None,
            halted: false,
            measured: HashMap::new(),
            changed: HashMap::new(),
            cautious: None,
            rate: None,
            concurrency: None,
        };
        Self {
            clock,
            settings,
            terms,
            recorder,
            stop,
            of_all,
            paused,
            changed: Notify::new(),
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Ends as soon as changes may be sent.
    pub(crate) async fn unpaused(&self) {
        // The sender lives as long as this does.
        _ = self.paused.subscribe().wait_for(|paused| !paused).await;
    }

    /// What the work gives, or none as soon as changes may not be sent.
    pub(crate) async fn unless_paused<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut pausing = self.paused.subscribe();
        tokio::select! {
            biased;
            _ = pausing.wait_for(|paused| *paused) => None,
            done = work => Some(done),
        }
    }

    /// Reason for not sending the row, if somebody gave one in time: a row that was sent is never skipped.
    pub(crate) fn skipped(&self, source: &SourceId, standing: &Standing) -> Option<Reason> {
        let n_held_back = u32::from(standing.phase == Phase::Open);
        if standing.attempts > n_held_back {
            return None;
        }
        let state = self.state();
        let by = state.steered.skipped.get(source.as_str())?;
        Some(Reason::on(Ground::Skipped, format!("skipped by {by}")))
    }

    /// The sources that somebody skipped.
    pub(crate) fn all_skipped(&self) -> Vec<String> {
        self.state().steered.skipped.keys().cloned().collect()
    }

    /// Tells that rows of a canary go one by one.
    pub(crate) fn is_cautious(&self) -> bool {
        self.state().cautious.is_some()
    }

    /// Leave for one more row of a canary to be on its way; held until its answer is known.
    pub(crate) async fn cautiously(&self) -> Option<OwnedSemaphorePermit> {
        let cautious = self.state().cautious.clone()?;
        Some(cautious.acquire_owned().await.expect("the semaphore is never closed"))
    }

    /// A row is tried, and its turn among them is told.
    pub(crate) fn begin(&self) -> Turn {
        let mut state = self.state();
        _ = state.of_stage.begin();
        state.of_run.begin()
    }

    /// How the row of a turn came out. Enough failures stop the run.
    pub(crate) async fn end(&self, turn: Turn, came: &Came) -> Result<(), JournalClosed> {
        let why = {
            let mut state = self.state();
            state.of_run.end(turn, Some(came));
            state.of_stage.end(turn, Some(came));
            self.trips(&mut state, false)
        };
        match why {
            Some(why) => self.drain(DrainReason::Halted, why).await,
            None => Ok(()),
        }
    }

    /// Rows that were refused alike are opened again: the lane stops, and it was not about them.
    pub(crate) fn forget(&self, came: &Came, n_rows: u64) {
        let mut state = self.state();
        state.of_run.forget(came, n_rows);
        state.of_stage.forget(came, n_rows);
    }

    /// This run has moved one more row of an account.
    pub(crate) fn moved_one(&self, lane: LaneId) {
        *self.state().changed.entry(lane).or_default() += 1;
    }

    /// The row of a turn is left for a later launch.
    pub(crate) fn leave(&self, turn: Turn) {
        let mut state = self.state();
        state.of_run.end(turn, None);
        state.of_stage.end(turn, None);
    }

    /// The first reason to halt, once.
    fn trips(&self, state: &mut State, at_the_end: bool) -> Option<String> {
        if state.halted {
            return None;
        }
        let State { of_run, of_stage, rules, .. } = state;
        let for_the_run = &self.settings.halt;
        // The end of a stage is sample enough for its own rules; for those of the run only if nothing in it went well.
        let all_failed = at_the_end && of_stage.all_failed();
        let tripped = of_stage.trips(rules, at_the_end);
        let tripped = tripped.or_else(|| of_stage.trips(for_the_run, true).filter(|_| all_failed));
        let why = match tripped.zip(state.stage.as_ref()) {
            Some((why, tripped_in)) => format!("{tripped_in}: {why}"),
            None => format!("the run: {}", of_run.trips(for_the_run, false)?),
        };
        state.halted = true;
        Some(why)
    }

    /// Nothing new is started from here on, and the journal says why.
    async fn drain(&self, reason: DrainReason, why: String) -> Result<(), JournalClosed> {
        self.stop.drain_because(reason, Some(why.clone()));
        self.record(vec![RunEvent::DrainBegan { reason, why: Some(why) }]).await
    }

    async fn record(&self, events: Vec<RunEvent>) -> Result<(), JournalClosed> {
        let now = self.clock.now();
        if let Err(closed) = self.recorder.record_of_run(events.clone()).await {
            self.stop.drain(DrainReason::JournalClosed);
            return Err(closed);
        }
        let mut state = self.state();
        for event in &events {
            state.steered.add(now, event);
        }
        Ok(())
    }

    /// A launch begins. What held in the one before it, and was said by nobody, holds no longer.
    pub(crate) async fn begin_launch(&self, began: RunEvent) -> Result<(), JournalClosed> {
        self.record(vec![began]).await?;
        self.publish_pause();
        Ok(())
    }

    fn publish_pause(&self) {
        let paused = !self.state().steered.paused.is_empty();
        self.paused.send_replace(paused);
    }

    /// What the whole run waits for, for those who watch.
    pub(crate) fn waits(&self) -> Option<String> {
        let state = self.state();
        if let Some(paused) = state.steered.paused.first() {
            return Some(format!("paused by {}", paused.by));
        }
        let waits = state.steered.waits.as_ref()?;
        Some(format!(
            "waiting {}",
            control::waits_for(waits.cause, &waits.stage, waits.until, Some(&self.settings.window.zone))
        ))
    }

    /// What holds for a stage, from the plan.
    fn terms_of(&self, stage: &Stage) -> Option<&StageTerms> {
        self.terms.wave(stage.wave.as_deref())?.stage(stage.part)
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum HelmError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Closed(#[from] JournalClosed),
}
