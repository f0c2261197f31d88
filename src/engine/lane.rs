//! One account at one endpoint: what its calls share, and how it stops.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::{Instant, sleep};

use super::book::Book;
use super::helm::Helm;
use super::onlookers::Onlookers;
use super::sight::Ask;
use super::stop::Stop;
use crate::credentials::error::CredentialsError;
use crate::credentials::identity::{Generation, Renewal};
use crate::event::lane::LaneEvent;
use crate::event::{DrainReason, EventKind, LaneId, LaneStop, Outcome};
use crate::gate::line::Line;
use crate::gate::{AtHand, Gate, Learned};
use crate::model::dialect::Dialect;
use crate::model::{Fields, RowId, SeenState, SourceId};
use crate::recorder::{JournalClosed, Recorder};
use crate::remote::{self, Connection, Listed, Page, Remote, Shown, codes};
use crate::retry::Patience;
use crate::waves::forecast::Measured;

pub(crate) mod first_answers;
mod streak;

use first_answers::FirstAnswers;
use streak::Streak;

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

/// What all lanes of a run share.
pub(crate) struct OfRun {
    pub(crate) helm: Arc<Helm>,
    pub(crate) book: Book,
    pub(crate) recorder: Recorder,
    pub(crate) stop: Stop,
    pub(crate) n_lanes: usize,
}

/// Pages that are asked for at once in all lanes, and in one. Each may be a mebibyte.
const PAGES_IN_ALL: usize = 256;
const PAGES_IN_LANE: usize = 64;

/// Reason for which a row is looked at again that was looked at already: reads that were made for others show it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Another state than what was seen of it.
    Moved,
    /// Two states on two pages, so that nothing is known.
    Contradicted,
    /// The target, of a row in doubt.
    OnTarget,
}

impl News {
    pub(crate) fn cause(self) -> &'static str {
        match self {
            News::Moved => "somebody else moved it before it was sent",
            News::OnTarget => "it was seen on target before it was sent",
            News::Contradicted => "the service showed it in two states at once before it was sent",
        }
    }
}

pub(crate) struct Lane<R> {
    pub(crate) id: LaneId,
    /// What rows call it.
    pub(crate) name: String,
    pub(crate) settings: LaneSettings,
    /// The pace that the settings allow, where no stage and nobody says otherwise.
    pub(crate) base_rate: Option<f64>,
    pub(crate) helm: Arc<Helm>,
    pub(crate) book: Book,
    pub(crate) remote: R,
    pub(crate) gate: Gate,
    pub(crate) recorder: Recorder,
    pub(crate) stop: Stop,
    /// To the lane's one reader.
    pub(crate) asks: mpsc::UnboundedSender<Ask>,
    /// Fresh rows queue here; a row that was just looked at, to be sent again, goes past them.
    pub(crate) line: Line,
    /// Rows without a verdict that do not stand there yet; until they are counted, no end of them.
    pub(crate) n_to_come: AtomicU64,
    pub(crate) under_way: UnderWay,
    pub(crate) list: Mutex<List>,
    /// Rows that must be looked at directly before they are sent go through here between their look and their request: no
    /// more at once than leave in the time for which the look is good.
    pub(crate) direct: Line,
    pub(crate) onlookers: Onlookers,
    /// The lane's share of the pages that are asked for at once.
    pages: Semaphore,
    /// When the preflight of this launch began to look; rows it saw were seen at or after this instant.
    pub(crate) preflight_at: Mutex<Option<Instant>>,
    /// Rows that the preflight of this launch could not look at, whatever earlier launches saw of them.
    missed: Mutex<HashSet<RowId>>,
    pub(crate) first_answers: tokio::sync::Mutex<FirstAnswers>,
    /// Rows that were seen elsewhere than where they were planned from, by a read that was made for others.
    moved: Mutex<HashMap<RowId, News>>,
    /// Rows that were tried and are settled.
    pub(crate) n_tried: AtomicU64,
    /// Answers in a row that were not the service's own: to changes, and of reads by id.
    strange_changes: Mutex<Streak>,
    strange_reads: Mutex<Streak>,
    /// Reads are not answered by the service either.
    reads_shut: AtomicBool,
    stopped: Mutex<Option<(LaneStop, String)>>,
    /// Requests came back with an answer of any kind.
    answered: AtomicBool,
    /// Requests came back without one.
    unanswered: AtomicBool,
}

/// What is known of the account's list of sources. Pages end at an offset, so this is bounded.
#[derive(Default)]
pub(crate) struct List {
    pub(crate) total: Option<u64>,
    /// The first page that was empty, whatever the service counts.
    pub(crate) ends: Option<u32>,
    /// Why the list cannot be read, where sources are shown one by one.
    pub(crate) unreadable: Option<String>,
    page_of: HashMap<RowId, u16>,
}

impl List {
    pub(crate) fn page_of(&self, row: RowId) -> Option<u32> {
        self.page_of.get(&row).map(|page| u32::from(*page))
    }

    pub(crate) fn found(&mut self, row: RowId, page: u32) {
        if let Ok(page) = u16::try_from(page) {
            self.page_of.insert(row, page);
        }
    }

    /// How many pages show the whole list, as far as pages go.
    pub(crate) fn n_pages(&self) -> Option<u32> {
        let reachable = self.total?.min(u64::from(remote::LAST_OFFSET) + 1);
        let counted = u32::try_from(reachable.div_ceil(u64::from(remote::PAGE))).expect("offsets are small");
        Some(counted.min(self.ends.unwrap_or(u32::MAX)).max(1))
    }
}

/// Changes between wanting a slot and having their answer on disk. While there are none, looks may go at once.
pub(crate) struct UnderWay {
    state: Mutex<Changes>,
    pub(crate) changed: Notify,
}

struct Changes {
    n: usize,
    /// Since when there are none, while there are none.
    since: Instant,
    /// For how long there were any, up to then.
    busy: Duration,
    began_at: Instant,
}

pub(crate) struct UnderWayGuard<'a>(&'a UnderWay);

impl UnderWay {
    fn new() -> Self {
        let now = Instant::now();
        let none = Changes { n: 0, since: now, busy: Duration::ZERO, began_at: now };
        Self { state: Mutex::new(none), changed: Notify::new() }
    }

    pub(crate) fn begin(&self) -> UnderWayGuard<'_> {
        let mut changes = self.changes();
        if changes.n == 0 {
            changes.began_at = Instant::now();
        }
        changes.n += 1;
        UnderWayGuard(self)
    }

    /// None while a change is under way.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let changes = self.changes();
        (changes.n == 0).then_some(changes.since)
    }

    /// For how long changes were under way so far.
    fn busy(&self) -> Duration {
        let changes = self.changes();
        if changes.n == 0 { changes.busy } else { changes.busy + changes.began_at.elapsed() }
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWayGuard<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut changes = self.0.changes();
        changes.since = now;
        changes.n -= 1;
        if changes.n == 0 {
            let busy = now - changes.began_at;
            changes.busy += busy;
            drop(changes);
            self.0.changed.notify_one();
        }
    }
}

/// How far a lane has come: what it has shown between two of these is what a forecast goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    n_tried: u64,
    n_left: u64,
    offered: f64,
    busy: Duration,
    at: Instant,
}

impl Mark {
    pub(crate) fn since(&self, before: &Self) -> Measured {
        let seconds = self.busy.saturating_sub(before.busy).as_secs_f64();
        let whole = (self.at - before.at).as_secs_f64();
        // The pace was offered all the time, and used while there was something to send.
        let pace = if whole > 0.0 { (self.offered - before.offered) / whole } else { 0.0 };
        let (rows, requests) = (self.n_tried - before.n_tried, self.n_left - before.n_left);
        Measured { rows, requests, seconds, allowed: pace * seconds }
    }
}

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadFailed {
    #[error("{0}")]
    Outcome(Outcome),
    #[error("let go")]
    LetGo,
    #[error(transparent)]
    Journal(#[from] JournalClosed),
}

/// A read that gave something, and when it left.
pub(crate) struct Sighted<T> {
    pub(crate) value: T,
    pub(crate) left_at: Instant,
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
    ) -> (Self, mpsc::UnboundedReceiver<Ask>) {
        let (asks, inbox) = mpsc::unbounded_channel();
        let lane = Self {
            id,
            name,
            line: Line::new(gate.n_intents()),
            direct: Line::new(n_direct(&gate)),
            onlookers: Onlookers::default(),
            n_to_come: AtomicU64::new(u64::MAX),
            settings,
            base_rate,
            helm: Arc::clone(&of_run.helm),
            book: of_run.book.clone(),
            remote,
            gate,
            recorder: of_run.recorder.clone(),
            stop: of_run.stop.of_lane(),
            asks,
            under_way: UnderWay::new(),
            list: Mutex::default(),
            pages: Semaphore::new(share_of_pages(of_run.n_lanes)),
            preflight_at: Mutex::default(),
            missed: Mutex::default(),
            first_answers: tokio::sync::Mutex::default(),
            moved: Mutex::default(),
            n_tried: AtomicU64::new(0),
            strange_changes: Mutex::default(),
            strange_reads: Mutex::default(),
            reads_shut: AtomicBool::new(false),
            stopped: Mutex::default(),
            answered: AtomicBool::new(false),
            unanswered: AtomicBool::new(false),
        };
        (lane, inbox)
    }

    pub(crate) fn mark(&self) -> Mark {
        let snapshot = self.gate.snapshot();
        Mark {
            n_tried: self.n_tried.load(Ordering::Relaxed),
            n_left: snapshot.n_left,
            offered: snapshot.offered,
            busy: self.under_way.busy(),
            at: Instant::now(),
        }
    }

    /// Another pace, from now on; what was learned of the service's quota stands.
    pub(crate) fn set_rate(&self, per_second: Option<f64>) {
        self.gate.set_rate(per_second);
    }

    /// Another number of requests under way at once, from now on.
    pub(crate) fn set_concurrency(&self, concurrency: u32) {
        self.gate.set_concurrency(concurrency);
        self.resize_lines();
    }

    fn resize_lines(&self) {
        self.line.resize(self.gate.n_intents());
        self.direct.resize(n_direct(&self.gate));
    }

    pub(crate) fn missed(&self) -> MutexGuard<'_, HashSet<RowId>> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the preflight of this launch saw the row, at the earliest. None: it did not.
    pub(crate) fn seen_by_preflight_at(&self, row: RowId) -> Option<Instant> {
        self.preflight_at().filter(|_| !self.missed().contains(&row))
    }

    /// Tells that no change may be sent just now.
    pub(crate) fn is_hindered(&self) -> bool {
        self.stop.is_draining() || self.helm.is_paused()
    }

    pub(crate) fn moved(&self) -> MutexGuard<'_, HashMap<RowId, News>> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn record(&self, kinds: Vec<EventKind>, source: Option<&SourceId>) -> Result<(), JournalClosed> {
        let recorded = self.recorder.record(self.id, kinds, source).await;
        if recorded.is_err() {
            self.stop.drain(DrainReason::JournalClosed);
        }
        recorded
    }

    pub(crate) fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn preflight_at(&self) -> Option<Instant> {
        *self.preflight_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stopped(&self) -> Option<(LaneStop, String)> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether requests were made, and not one had an answer. None: none was made that ended.
    pub(crate) fn is_out_of_reach(&self) -> Option<bool> {
        match (self.answered.load(Ordering::Relaxed), self.unanswered.load(Ordering::Relaxed)) {
            (false, false) => None,
            (answered, _) => Some(!answered),
        }
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
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        if stopped.is_some() {
            return None;
        }
        *stopped = Some((cause, message.clone()));
        if lets_look(cause) {
            self.stop.drain_lane();
        } else {
            self.stop.shut_lane();
        }
        Some(LaneEvent::Stopped { cause, message }.into())
    }

    /// Whether the service lets nobody of this lane read either.
    fn is_shut(&self) -> bool {
        self.stopped().is_some_and(|(cause, _)| match cause {
            LaneStop::Forbidden => false,
            LaneStop::NotTheService => self.reads_shut.load(Ordering::Relaxed),
            LaneStop::Unauthenticated
            | LaneStop::NoCredentials
            | LaneStop::Barred
            | LaneStop::Unreachable
            | LaneStop::Throttled => true,
        })
    }

    /// Stops the lane when one kind of answer to changes, none of them the service's own, comes again and again. Reads may
    /// get through all the same, so that little is left in doubt.
    pub(crate) async fn note_answer(&self, outcome: &Outcome) -> Result<(), JournalClosed> {
        let enough = streak(&self.strange_changes).count(outcome);
        match enough {
            Some(kind) => self.halt(LaneStop::NotTheService, streak::reason("changes", kind, outcome)).await,
            None => Ok(()),
        }
    }

    /// The same for reads by id that ended so: what asks for more of them would only wait.
    async fn note_read(&self, outcome: &Outcome) -> Result<(), JournalClosed> {
        let enough = streak(&self.strange_reads).count(outcome);
        match enough {
            Some(kind) => {
                self.reads_shut.store(true, Ordering::Relaxed);
                self.stop.shut_lane();
                self.halt(LaneStop::NotTheService, streak::reason("reads", kind, outcome)).await
            }
            None => Ok(()),
        }
    }

    /// Whether nothing of this lane gets through to the service.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.stopped().is_some_and(|(cause, _)| cause == LaneStop::NotTheService)
    }

    /// Stops the lane once it was throttled for as long as the settings allow.
    pub(crate) async fn stop_when_throttled(&self) {
        let waited = self.gate.throttled_for_too_long().await;
        let message = format!("throttled for {} s without one accepted request", waited.as_secs());
        // Who records next hears that the journal is closed.
        _ = self.halt(LaneStop::Throttled, message).await;
    }

    /// Waits until there is something to dress requests with. False: there is nothing, and the lane has stopped.
    pub(crate) async fn credentialed(&self) -> Result<bool, JournalClosed> {
        let mut tries = 0;
        loop {
            let error = match self.remote.ready().await {
                Ok(()) => return Ok(true),
                Err(error) => error,
            };
            tries += 1;
            let CredentialsError::Unreachable { .. } = error else {
                self.halt(LaneStop::Unauthenticated, error.to_string()).await?;
                return Ok(false);
            };
            if tries >= self.settings.patience.attempts {
                self.halt(LaneStop::NoCredentials, error.to_string()).await?;
                return Ok(false);
            }
            let wait = self.settings.patience.wait(tries, rand::random());
            if self.stop.unless_draining(sleep(wait)).await.is_none() {
                return Ok(false);
            }
        }
    }

    /// What an answer means for everybody in the lane: its pace, and whether it goes on at all. Credentials that were
    /// refused are renewed once; while the lane has not stopped after a refusal, the request may be made again.
    pub(crate) async fn heed(
        &self,
        outcome: &Outcome,
        left_at: Instant,
        worn: Generation,
    ) -> Result<(), JournalClosed> {
        match outcome {
            Outcome::Unsent { .. } | Outcome::Disclaimed { .. } | Outcome::Lost { status: None, .. } => {
                &self.unanswered
            }
            Outcome::Accepted { .. }
            | Outcome::Rejected { .. }
            | Outcome::Unauthenticated { .. }
            | Outcome::Barred { .. }
            | Outcome::Throttled { .. }
            | Outcome::Lost { status: Some(_), .. } => &self.answered,
        }
        .store(true, Ordering::Relaxed);
        let in_line = u64::try_from(self.line.len()).expect("a few hundred");
        self.gate.expect(self.n_to_come.load(Ordering::Relaxed).saturating_add(in_line));
        if let Some(learned) = self.gate.heed(outcome, left_at).or_else(|| self.slow_down(outcome, left_at)) {
            let kind = LaneEvent::QuotaLearned { per_second: learned.per_second, stated: learned.stated }.into();
            self.record(vec![kind], None).await?;
        }
        self.resize_lines();
        match outcome {
            Outcome::Unauthenticated { .. } | Outcome::Lost { status: Some(401), .. } if self.stopped().is_some() => {
                Ok(())
            }
            Outcome::Unauthenticated { .. } | Outcome::Lost { status: Some(401), .. } => {
                match self.stop.unless_aborting(self.remote.renew(worn)).await {
                    Some(Renewal::Renewed) | None => Ok(()),
                    Some(Renewal::Refused(None)) => self.halt(LaneStop::Unauthenticated, outcome.to_string()).await,
                    Some(Renewal::Refused(Some(why))) => {
                        self.halt(LaneStop::Unauthenticated, format!("{outcome}; {why}")).await
                    }
                }
            }
            Outcome::Barred { .. } => self.halt(LaneStop::Barred, outcome.to_string()).await,
            Outcome::Throttled { .. } => {
                // The reader waits for changes that may not come to anything now.
                self.under_way.changed.notify_one();
                Ok(())
            }
            Outcome::Accepted { .. }
            | Outcome::Rejected { .. }
            | Outcome::Unsent { .. }
            | Outcome::Disclaimed { .. }
            | Outcome::Lost { .. } => Ok(()),
        }
    }

    /// The pace for all goes down also where an answer speaks of the quota with a status that leaves its own row in doubt.
    fn slow_down(&self, outcome: &Outcome, left_at: Instant) -> Option<Learned> {
        self.gate.heed(&codes::throttled_in_doubt(outcome)?, left_at)
    }

    /// One source by its id, through the gate, with patience. None: the service does not know it.
    pub(crate) async fn show(
        &self,
        source: &SourceId,
        needs: Fields,
    ) -> Result<Sighted<Option<SeenState>>, ReadFailed> {
        let read = self.read(|connection| self.remote.show(source, connection), |of| shown(of, needs)).await;
        match &read {
            Ok(_) => self.note_read(&Outcome::Accepted { status: 200 }).await?,
            Err(ReadFailed::Outcome(outcome)) => self.note_read(outcome).await?,
            Err(ReadFailed::LetGo | ReadFailed::Journal(_)) => (),
        }
        read
    }

    /// One source by its id, once, in the place of a change whose turn is at hand.
    pub(crate) async fn show_at_hand(
        &self,
        at_hand: &mut AtHand,
        source: &SourceId,
        needs: Fields,
        connection: Connection,
    ) -> Result<Sighted<Option<SeenState>>, ReadFailed> {
        let pass = self.stop.unless_draining(self.gate.pass_for_look(at_hand)).await.ok_or(ReadFailed::LetGo)?;
        let left_at = pass.left_at;
        let read = self.stop.unless_aborting(self.remote.show(source, connection)).await.ok_or(ReadFailed::LetGo)?;
        match self.told(shown(read.value, needs), left_at, read.request_id, read.worn).await? {
            Ok(value) => {
                pass.back_to(at_hand);
                Ok(Sighted { value, left_at })
            }
            Err(outcome) => Err(ReadFailed::Outcome(outcome)),
        }
    }

    /// One page of the account's sources, through the gate, with patience.
    pub(crate) async fn page(&self, page: u32) -> Result<Sighted<Page>, ReadFailed> {
        let turn = self.stop.unless_shut(self.pages.acquire()).await.ok_or(ReadFailed::LetGo)?;
        let _turn = turn.expect("the semaphore is never closed");
        let offset = (page * remote::PAGE).min(remote::LAST_OFFSET);
        let send = |connection| self.remote.page(offset, connection);
        let listed = self.read(send, |listed| match listed {
            Listed::Page(page) => Ok(page),
            Listed::Failed(outcome) => Err(outcome),
        });
        let sighted = listed.await?;
        let mut list = self.list();
        list.total = Some(sighted.value.count);
        if sighted.value.n_entries == 0 {
            list.ends = Some(list.ends.unwrap_or(page).min(page));
        } else if list.ends.is_some_and(|ends| ends <= page) {
            list.ends = None;
        }
        drop(list);
        Ok(sighted)
    }

    /// A read is repeated like a change is; it has nothing to look at first.
    async fn read<V, T, F>(
        &self,
        send: impl Fn(Connection) -> F + Send + Sync,
        value: impl Fn(V) -> Result<T, Outcome> + Send + Sync,
    ) -> Result<Sighted<T>, ReadFailed>
    where
        F: Future<Output = remote::Read<V>> + Send,
    {
        let mut counted = 0;
        let mut renewed = false;
        let mut connection = Connection::Any;
        loop {
            let slot = self.stop.unless_shut(self.gate.slot_for_read()).await.ok_or(ReadFailed::LetGo)?;
            let credentialed = self.stop.unless_aborting(self.credentialed()).await.ok_or(ReadFailed::LetGo)?;
            if !credentialed? {
                return Err(ReadFailed::LetGo);
            }
            let pass = self.stop.unless_shut(self.gate.pass_for_read(slot)).await;
            // The lane may have stopped while this waited.
            let pass = pass.filter(|_| !self.is_shut()).ok_or(ReadFailed::LetGo)?;
            let left_at = pass.left_at;
            let read = self.stop.unless_aborting(send(connection)).await.ok_or(ReadFailed::LetGo)?;
            let value = value(read.value);
            if let Err(outcome) = &value {
                self.stop_if_refused_again(outcome, renewed).await?;
            }
            let told = self.told(value, left_at, read.request_id, read.worn).await?;
            drop(pass);
            let outcome = match told {
                Ok(value) => return Ok(Sighted { value, left_at }),
                Err(outcome) => outcome,
            };
            connection = Connection::after(&outcome);
            renewed = self.goes_on_renewed(&outcome);
            if renewed {
                continue;
            }
            if crate::retry::counts(&outcome) {
                counted += 1;
            }
            match self.settings.patience.after(counted, &outcome, rand::random()) {
                std::ops::ControlFlow::Break(_) => return Err(ReadFailed::Outcome(outcome)),
                std::ops::ControlFlow::Continue(wait) => {
                    self.stop.unless_shut(sleep(wait)).await.ok_or(ReadFailed::LetGo)?;
                }
            }
        }
    }

    /// Who was refused in renewed credentials too stops the lane, whatever others were told. Asked before the lane
    /// heeds an outcome, so that nothing is renewed for it again.
    pub(crate) async fn stop_if_refused_again(&self, outcome: &Outcome, renewed: bool) -> Result<(), JournalClosed> {
        if renewed && outcome.refuses_us() {
            self.halt(LaneStop::Unauthenticated, format!("{outcome}; with new credentials too")).await?;
        }
        Ok(())
    }

    /// Whether a request that was refused may be made again in other credentials, once the lane has heeded that.
    pub(crate) fn goes_on_renewed(&self, outcome: &Outcome) -> bool {
        outcome.refuses_us() && self.stopped().is_none()
    }

    /// What a read means for everybody in the lane, before it means anything to who asked.
    async fn told<T>(
        &self,
        read: Result<T, Outcome>,
        left_at: Instant,
        request_id: Option<String>,
        worn: Generation,
    ) -> Result<Result<T, Outcome>, JournalClosed> {
        match &read {
            Ok(_) => self.heed(&Outcome::Accepted { status: 200 }, left_at, worn).await?,
            Err(outcome) => {
                if let Outcome::Throttled { retry_after_ms, .. } = outcome {
                    let retry_after_ms = *retry_after_ms;
                    self.record(vec![LaneEvent::ReadThrottled { request_id, retry_after_ms }.into()], None).await?;
                }
                self.heed(outcome, left_at, worn).await?;
            }
        }
        Ok(read)
    }
}

fn streak(streak: &Mutex<Streak>) -> MutexGuard<'_, Streak> {
    streak.lock().unwrap_or_else(PoisonError::into_inner)
}

fn share_of_pages(n_lanes: usize) -> usize {
    (PAGES_IN_ALL / n_lanes.max(1)).clamp(1, PAGES_IN_LANE)
}

/// Whether a lane that has stopped for this may still look.
fn lets_look(cause: LaneStop) -> bool {
    match cause {
        LaneStop::Forbidden | LaneStop::NotTheService => true,
        LaneStop::Unauthenticated
        | LaneStop::NoCredentials
        | LaneStop::Barred
        | LaneStop::Throttled
        | LaneStop::Unreachable => false,
    }
}

/// How many rows may be between their direct look and their request.
fn n_direct(gate: &Gate) -> usize {
    const SECONDS: f64 = 2.0;
    let most = gate.n_intents();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number, or clamped")]
    let by_pace = gate.snapshot().per_second.map_or(most, |rate| (rate * SECONDS) as usize);
    by_pace.clamp(1, most)
}

/// An answer that does not show what its look needs is as good as none.
fn shown(shown: Shown, needs: Fields) -> Result<Option<SeenState>, Outcome> {
    match shown {
        Shown::Seen(seen) => match seen.lacks(needs) {
            None => Ok(Some(seen)),
            Some(field) => {
                let cause = format!("the answer shows no `{field}`");
                Err(Outcome::Lost { status: Some(200), code: None, cause })
            }
        },
        Shown::Absent => Ok(None),
        Shown::Failed(outcome) => Err(outcome),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_lanes_ask_for_few_pages_each() {
        assert_eq!([1, 4, 8, 200, 1000].map(share_of_pages), [64, 64, 32, 1, 1]);
    }
}
