//! A lane and its parts, what it records, and how it stops.
//!
//! Ground of the files that say what its calls do with the parts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc};

use super::first_answers::FirstAnswers;
use super::limits::LaneLimits;
use super::list::{List, share_of_pages};
use super::maker::RecordedMaker;
use super::news::NewsOfRows;
use super::preflighted::Preflighted;
use super::reachability::Reachability;
use super::stopped::Stopped;
use super::streak::Streak;
use super::to_do::ToDo;
use super::under_way::UnderWay;
use crate::diagnostics;
use crate::engine::driver::Driver;
use crate::engine::journal_reader::JournalReader;
use crate::engine::look_request::LookRequest;
use crate::engine::onlookers::Onlookers;
use crate::engine::stop::Stop;
use crate::event::kind::EventKind;
use crate::event::lane::{LaneEvent, LaneId, LaneStop};
use crate::event::run::DrainReason;
use crate::gate::{Gate, Snapshot};
use crate::model::SourceId;
use crate::model::dialect::Dialect;
use crate::model::state::{PairCompletion, TargetState};
use crate::recorder::Recorder;
use crate::recorder::refusal::NotRecorded;
use crate::remote::service::{Remote, Reply};
use crate::retry::Patience;
use crate::steering::lanes::LaneTerms;
use crate::transport::client::Connection;

/// Settings of a lane.
#[derive(Clone, Debug)]
pub(crate) struct LaneSettings {
    pub(crate) concurrency: u32,
    /// Limits that a stage of the plan may not pass, where anybody but the plan set them.
    pub(crate) rate_cap: Option<f64>,
    pub(crate) concurrency_cap: Option<u32>,
    pub(crate) patience: Patience,
    pub(crate) preflight: bool,
    pub(crate) complete_pair: bool,
    pub(crate) dialect: Dialect,
    pub(crate) verify: bool,
    pub(crate) verify_timeout: Duration,
}

impl LaneSettings {
    /// Completion of targets before they are sent: without preflight there is no look to complete them from.
    pub(crate) fn completion(&self) -> PairCompletion {
        if self.preflight && self.complete_pair { PairCompletion::FromLook } else { PairCompletion::Off }
    }

    /// Limits of the lane, as far as steering sets others.
    fn terms(&self, id: LaneId, base_rate: Option<f64>) -> LaneTerms {
        let Self { concurrency, rate_cap, concurrency_cap, .. } = *self;
        LaneTerms { id, base_rate, concurrency, rate_cap, concurrency_cap }
    }
}

/// Parts that all lanes of a run share.
pub(crate) struct RunParts {
    pub(crate) driver: Arc<Driver>,
    pub(crate) journal: JournalReader,
    pub(crate) recorder: Recorder,
    pub(crate) stop: Stop,
    pub(crate) n_lanes: usize,
}

/// Parts that make a lane, besides those that all lanes share.
pub(crate) struct LaneParts<R> {
    pub(crate) id: LaneId,
    pub(crate) name: String,
    pub(crate) settings: LaneSettings,
    /// Requests per second that hold where no stage and nobody says otherwise; `None` for no limit.
    pub(crate) base_rate: Option<f64>,
    pub(crate) remote: R,
    pub(crate) gate: Gate,
    /// Answers of earlier launches.
    pub(crate) first_answers: FirstAnswers,
}

/// One account at one endpoint. Each part keeps its own invariant; methods that take several of them are in the files beside
/// this one.
pub(crate) struct Lane<R> {
    pub(crate) id: LaneId,
    /// Name of the account, as rows of the plan say it.
    pub(crate) name: String,
    pub(crate) settings: LaneSettings,
    pub(super) driver: Arc<Driver>,
    pub(super) journal: JournalReader,
    pub(super) remote: R,
    pub(super) gate: Arc<Gate>,
    pub(super) limits: LaneLimits,
    pub(super) recorder: Recorder,
    pub(super) stop: Stop,
    /// Inbox of the lane's one reader.
    pub(super) look_requests: mpsc::UnboundedSender<LookRequest>,
    pub(super) to_do: ToDo,
    pub(super) under_way: UnderWay,
    pub(super) list: Mutex<List>,
    /// The lane's share of the pages that are asked for at once.
    pub(super) pages: Semaphore,
    pub(super) onlookers: Onlookers,
    pub(super) news: NewsOfRows,
    pub(super) preflighted: Preflighted,
    pub(super) first_answers: tokio::sync::Mutex<FirstAnswers>,
    /// Answers to changes, and of reads by id, as far as they are not the service's own.
    pub(super) strange_changes: Streak,
    pub(super) strange_reads: Streak,
    pub(super) reachability: Reachability,
    pub(super) stopped: Stopped,
    pub(super) made_by: RecordedMaker,
}

impl<R: Remote> Lane<R> {
    pub(crate) fn new(parts: LaneParts<R>, of_run: &RunParts) -> (Self, mpsc::UnboundedReceiver<LookRequest>) {
        let LaneParts { id, name, settings, base_rate, remote, gate, first_answers } = parts;
        let (look_requests, inbox) = mpsc::unbounded_channel();
        let gate = Arc::new(gate);
        let limits = LaneLimits::new(id, Arc::clone(&gate));
        of_run.driver.enrol(settings.terms(id, base_rate), limits.clone());
        let lane = Self {
            id,
            name,
            settings,
            driver: Arc::clone(&of_run.driver),
            journal: of_run.journal.clone(),
            remote,
            gate,
            limits,
            recorder: of_run.recorder.clone(),
            stop: of_run.stop.of_lane(),
            look_requests,
            to_do: ToDo::default(),
            under_way: UnderWay::new(),
            list: Mutex::default(),
            pages: Semaphore::new(share_of_pages(of_run.n_lanes)),
            onlookers: Onlookers::default(),
            news: NewsOfRows::default(),
            preflighted: Preflighted::default(),
            first_answers: tokio::sync::Mutex::new(first_answers),
            strange_changes: Streak::default(),
            strange_reads: Streak::default(),
            reachability: Reachability::default(),
            stopped: Stopped::default(),
            made_by: RecordedMaker::default(),
        };
        (lane, inbox)
    }

    /// Tells whether somebody makes the requests just now, see [`Remote::is_attended`].
    pub(crate) fn is_attended(&self) -> bool {
        self.remote.is_attended()
    }

    /// Makes the request for a change that has its pass.
    pub(crate) fn put(
        &self,
        source: &SourceId,
        sends: &TargetState,
        connection: Connection,
    ) -> impl Future<Output = Reply> {
        self.remote.put(source, sends, connection)
    }
}

impl<R> Lane<R> {
    pub(crate) async fn record(&self, kinds: Vec<EventKind>, source: Option<&SourceId>) -> Result<(), NotRecorded> {
        let recorded = self.recorder.record(self.id, kinds, source).await;
        match recorded {
            Ok(()) => (),
            Err(NotRecorded::ToAll) => self.stop.drain(DrainReason::JournalClosed),
            Err(NotRecorded::ToLane) => {
                self.stopped.refuse(&self.stop);
                self.driver.lane_stopped(self.id);
            }
        }
        recorded
    }

    /// Stops the lane: it sends nothing more in this launch. The first cause is the one that is told.
    pub(crate) async fn halt(&self, cause: LaneStop, message: String) -> Result<(), NotRecorded> {
        match self.stop_for(cause, message) {
            Some(stopped) => self.record(vec![stopped], None).await,
            None => Ok(()),
        }
    }

    /// Stops the lane at once, and returns the event to record; `None` if it has stopped already.
    pub(crate) fn stop_for(&self, cause: LaneStop, message: String) -> Option<EventKind> {
        if !self.stopped.stop(&self.stop, cause, &message) {
            return None;
        }
        self.driver.lane_stopped(self.id);
        diagnostics::decided(|| format!("account `{}` sends nothing more: {message}", self.name));
        Some(LaneEvent::Stopped { cause, message }.into())
    }

    /// Cause and message of the lane's stop, if it has stopped.
    pub(crate) fn stopped(&self) -> Option<(LaneStop, String)> {
        self.stopped.first()
    }

    /// Tells that the lane has neither stopped nor been refused by the journal: it may still send.
    pub(crate) fn goes_on(&self) -> bool {
        self.stopped().is_none() && !self.is_refused()
    }

    /// Reason for which the lane sends nothing more in this launch; `None` while it goes on.
    pub(crate) fn left_out(&self) -> Option<String> {
        let refused = || self.is_refused().then(|| NotRecorded::ToLane.to_string());
        self.stopped().map(|(_, why)| why).or_else(refused)
    }

    /// Tells that the journal refused an event of this lane.
    pub(crate) fn is_refused(&self) -> bool {
        self.stopped.is_refused()
    }

    /// Tells that nothing of this lane gets through to the service.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.stopped().is_some_and(|(cause, _)| cause == LaneStop::NotTheService)
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Gauges of its gate.
    pub(crate) fn gauges(&self) -> Snapshot {
        self.gate.snapshot()
    }

    /// Time of day, the machine's or a rehearsal's.
    pub(crate) fn now(&self) -> Timestamp {
        self.driver.clock.now()
    }

    /// Tells that requests were made, and not one had an answer; `None` if none was made that ended.
    pub(crate) fn is_out_of_reach(&self) -> Option<bool> {
        self.reachability.is_out()
    }

    /// Drains the whole run.
    pub(crate) fn drain_run(&self, reason: DrainReason) {
        self.stop.drain(reason);
    }

    /// Tells that the whole run drains for this reason, among others perhaps.
    pub(crate) fn drains_for(&self, reason: DrainReason) -> bool {
        self.stop.has_reason(reason)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.stop.is_draining()
    }

    /// Does the work; `None` as soon as nothing new may be started.
    pub(crate) fn unless_draining<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        self.stop.unless_draining(work)
    }

    /// Does the work; `None` as soon as nothing waits for leave any more.
    pub(crate) fn unless_shut<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        self.stop.unless_shut(work)
    }

    /// Does the work; `None` as soon as requests on the wire are let go.
    pub(crate) fn unless_aborting<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        self.stop.unless_aborting(work)
    }

    /// Waits until the lane drains, and lets go of what it still waits for when that takes too long. A cool-down that outlasts
    /// the time that is left, with nothing on the wire, is not waited for.
    pub(crate) async fn let_go_in_time(&self) {
        let is_in_vain = |left| {
            let now = self.gate.snapshot();
            now.on_the_wire == 0 && now.cooling.is_some_and(|cooling| cooling > left)
        };
        self.stop.clone().let_go_in_time(self.settings.verify_timeout, is_in_vain).await;
    }
}
