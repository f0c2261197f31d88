//! One account at one endpoint: what its calls share, and how it stops.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::book::Book;
use super::driver::Driver;
use super::look_request::LookRequest;
use super::onlookers::Onlookers;
use super::stop::Stop;
use crate::event::lane::LaneEvent;
use crate::event::{DrainReason, EventKind, LaneId, LaneStop};
use crate::gate::Gate;
use crate::gate::queue::Queue;
use crate::model::dialect::Dialect;
use crate::model::{PairCompletion, RowId, SourceId};
use crate::recorder::{JournalClosed, Recorder};
use crate::remote::service::Remote;
use crate::retry::Patience;
use crate::steering::lanes::LaneTerms;

pub(crate) mod first_answers;
pub(crate) mod limits;
pub(crate) mod list;
pub(crate) mod mark;
pub(crate) mod news;
pub(crate) mod preflighted;
pub(crate) mod reach;
pub(crate) mod stopped;
pub(crate) mod streak;
pub(crate) mod to_do;
pub(crate) mod under_way;

use first_answers::FirstAnswers;
use limits::Limits;
use list::{List, share_of_pages};
use mark::Mark;
use news::NewsOfRows;
use preflighted::Preflighted;
use reach::Reach;
use stopped::Stopped;
use streak::Streak;
use to_do::ToDo;
use under_way::UnderWay;

/// How a lane goes about it, from the settings.
#[derive(Clone, Debug)]
pub(crate) struct LaneSettings {
    pub(crate) concurrency: u32,
    /// What a stage of the plan may not pass, where anybody but the plan set it.
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

/// What all lanes of a run share.
pub(crate) struct OfRun {
    pub(crate) driver: Arc<Driver>,
    pub(crate) book: Book,
    pub(crate) recorder: Recorder,
    pub(crate) stop: Stop,
    pub(crate) n_lanes: usize,
}

/// Parts that the calls of one account share. Each keeps its own invariant; what takes several of them is a method here, or in
/// a file that stands on this one: credentials in `authentication`, answers in `answers`, reads in `reading`.
pub(crate) struct Lane<R> {
    pub(crate) id: LaneId,
    /// What rows call it.
    pub(crate) name: String,
    pub(crate) settings: LaneSettings,
    pub(crate) driver: Arc<Driver>,
    pub(crate) book: Book,
    pub(crate) remote: R,
    pub(crate) gate: Arc<Gate>,
    pub(super) limits: Limits,
    recorder: Recorder,
    pub(crate) stop: Stop,
    /// Inbox of the lane's one reader.
    pub(super) look_requests: mpsc::UnboundedSender<LookRequest>,
    /// Fresh rows queue here; a row that was just looked at, to be sent again, goes past them.
    pub(crate) line: Arc<Queue>,
    /// Rows that must be looked at directly before they are sent go through here between their look and their request: no
    /// more at once than leave in the time for which the look is good.
    pub(crate) direct: Arc<Queue>,
    pub(crate) to_do: ToDo,
    pub(crate) under_way: UnderWay,
    list: Mutex<List>,
    /// The lane's share of the pages that are asked for at once.
    pub(super) pages: Semaphore,
    pub(crate) onlookers: Onlookers,
    pub(crate) news: NewsOfRows,
    pub(crate) preflighted: Preflighted,
    pub(crate) first_answers: tokio::sync::Mutex<FirstAnswers>,
    /// Answers to changes, and of reads by id, as far as they are not the service's own.
    pub(super) strange_changes: Streak,
    pub(super) strange_reads: Streak,
    pub(super) reach: Reach,
    stopped: Stopped,
}

impl<R: Remote> Lane<R> {
    pub(crate) fn new(
        id: LaneId,
        name: String,
        settings: LaneSettings,
        base_rate: Option<f64>,
        remote: R,
        gate: Gate,
        of_run: &OfRun,
    ) -> (Self, mpsc::UnboundedReceiver<LookRequest>) {
        let (look_requests, inbox) = mpsc::unbounded_channel();
        let gate = Arc::new(gate);
        let limits = Limits::new(id, Arc::clone(&gate));
        of_run.driver.enrol(settings.terms(id, base_rate), limits.clone());
        let lane = Self {
            id,
            name,
            line: limits.line(),
            direct: limits.direct(),
            limits,
            onlookers: Onlookers::default(),
            settings,
            driver: Arc::clone(&of_run.driver),
            book: of_run.book.clone(),
            remote,
            gate,
            recorder: of_run.recorder.clone(),
            stop: of_run.stop.of_lane(),
            look_requests,
            to_do: ToDo::default(),
            under_way: UnderWay::new(),
            list: Mutex::default(),
            pages: Semaphore::new(share_of_pages(of_run.n_lanes)),
            news: NewsOfRows::default(),
            preflighted: Preflighted::default(),
            first_answers: tokio::sync::Mutex::default(),
            strange_changes: Streak::default(),
            strange_reads: Streak::default(),
            reach: Reach::default(),
            stopped: Stopped::default(),
        };
        (lane, inbox)
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark::new(self.to_do.n_tried(), &self.gate.snapshot(), self.under_way.busy(), Instant::now())
    }

    /// Earliest instant at which the preflight of this launch saw the row. None: it did not.
    pub(crate) fn seen_by_preflight_at(&self, row: RowId) -> Option<Instant> {
        self.preflighted.saw_at(row)
    }

    /// Tells that no change may be sent just now.
    pub(crate) fn is_hindered(&self) -> bool {
        self.stop.is_draining() || self.driver.is_paused()
    }

    pub(crate) async fn record(&self, kinds: Vec<EventKind>, source: Option<&SourceId>) -> Result<(), JournalClosed> {
        let recorded = self.recorder.record(self.id, kinds, source).await;
        match recorded {
            Ok(()) => (),
            Err(JournalClosed::ToAll) => self.stop.drain(DrainReason::JournalClosed),
            Err(JournalClosed::ToLane) => self.stopped.refuse(&self.stop),
        }
        recorded
    }

    pub(crate) fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stopped(&self) -> Option<(LaneStop, String)> {
        self.stopped.first()
    }

    /// Tells that the journal refused an event of this lane.
    pub(crate) fn is_refused(&self) -> bool {
        self.stopped.is_refused()
    }

    /// Tells that requests were made, and not one had an answer. None: none was made that ended.
    pub(crate) fn is_out_of_reach(&self) -> Option<bool> {
        self.reach.is_out()
    }

    /// Nothing more is sent in this lane by this launch. The first cause is the one that is told.
    pub(crate) async fn halt(&self, cause: LaneStop, message: String) -> Result<(), JournalClosed> {
        match self.stop_for(cause, message) {
            Some(stopped) => self.record(vec![stopped], None).await,
            None => Ok(()),
        }
    }

    /// Stops the lane at once, and gives the event to record. None: it has stopped already.
    pub(crate) fn stop_for(&self, cause: LaneStop, message: String) -> Option<EventKind> {
        if !self.stopped.stop(&self.stop, cause, &message) {
            return None;
        }
        self.driver.lane_stopped(self.id);
        Some(LaneEvent::Stopped { cause, message }.into())
    }

    /// Stops the lane for reads, too: the service answers none of them.
    pub(super) async fn shut_reads(&self, message: String) -> Result<(), JournalClosed> {
        self.stopped.shut_reads();
        self.stop.shut_lane();
        self.halt(LaneStop::NotTheService, message).await
    }

    /// Tells that the service lets nobody of this lane read either.
    pub(super) fn is_shut(&self) -> bool {
        self.stopped.is_shut()
    }

    /// Tells that nothing of this lane gets through to the service.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.stopped().is_some_and(|(cause, _)| cause == LaneStop::NotTheService)
    }
}
