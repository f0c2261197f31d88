//! Look before touching: credentials proven by one read, what is there, what would be sent, what we refuse to send.
//!
//! Looking is recorded as it happens ([`look`]); what it means is a function of the journal's rows and is told
//! ([`difference`]) before anything is decided, and recorded ([`settle`]) once the operator has said yes.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::engine::book::Book;
use crate::engine::lane::{Lane, LaneSettings};
use crate::engine::reading::ReadFailed;
use crate::event::row::RowEvent;
use crate::event::rules::Rules;
use crate::event::{EventKind, LaneId, LaneStop, Outcome, Verdict};
use crate::journal::JournalError;
use crate::journal::read::Which;
use crate::judge::{self, Effect, Fate, Reason};
use crate::ledger::{Phase, Standing};
use crate::model::dialect::Objection;
use crate::model::words::{self, Pairing};
use crate::model::{Fields, Row, RowId, SeenState, SourceId, TargetState};
use crate::recorder::JournalClosed;
use crate::remote::{Connection, Remote};
use crate::waves::Part;

mod shown;

use shown::{OnPage, Shown};

/// Rows that are looked at by id, or settled, at a time.
const PORTION: u32 = 256;
/// So that one page's way to the service does not hold up the next; the gate keeps the pace.
const PAGES_AT_ONCE: usize = 8;
/// Rows that are asked for by id to learn whether that works at all.
const PROBES: usize = 3;

#[derive(Debug, thiserror::Error)]
pub(crate) enum PreflightError {
    #[error("the service does not let us in: {0}; nothing was sent by this launch")]
    Credentials(String),
    #[error("the service could not be reached: {0}; nothing was sent by this launch")]
    Unreachable(String),
    #[error("the service takes no requests now: {0}; nothing was sent by this launch")]
    Throttled(String),
    #[error("the target of `{source_id}` cannot be said: {objection}; nothing was sent by this launch")]
    Unsayable { source_id: SourceId, objection: Objection },
    #[error("stopped while looking at the live states; nothing was sent by this launch")]
    Stopped,
    #[error(transparent)]
    Closed(#[from] JournalClosed),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Looks at the rows of all lanes, side by side. A lane that cannot look is stopped and leaves the others going, unless
/// none of them can: then the worst of what stopped them is the error.
pub(crate) async fn look<R: Remote>(lanes: &[Arc<Lane<R>>], book: &Book) -> Result<(), PreflightError> {
    let mut looks = JoinSet::new();
    for lane in lanes {
        let (lane, book) = (Arc::clone(lane), book.clone());
        looks.spawn(async move { (look_in(&lane, &book).await, lane) });
    }
    let (mut any_looked, mut worst) = (false, None);
    while let Some(looked) = looks.join_next().await {
        let (looked, lane) = unless_panicked(looked);
        let Err(error) = looked else {
            any_looked = true;
            continue;
        };
        let Some((cause, why)) = error.stops_a_lane() else { return Err(error) };
        if lanes.len() > 1 {
            lane.halt(cause, why).await?;
        }
        if worst.as_ref().is_none_or(|worst: &PreflightError| worst.rank() < error.rank()) {
            worst = Some(error);
        }
    }
    match worst {
        Some(error) if !any_looked => Err(error),
        Some(_) | None => Ok(()),
    }
}

impl PreflightError {
    /// None: it is about the whole run.
    fn stops_a_lane(&self) -> Option<(LaneStop, String)> {
        match self {
            PreflightError::Credentials(why) => Some((LaneStop::Unauthenticated, why.clone())),
            PreflightError::Unreachable(why) => Some((LaneStop::Unreachable, why.clone())),
            PreflightError::Throttled(why) => Some((LaneStop::Throttled, why.clone())),
            PreflightError::Unsayable { .. }
            | PreflightError::Stopped
            | PreflightError::Closed(_)
            | PreflightError::Journal(_) => None,
        }
    }

    /// The worst wins, as among exit codes.
    fn rank(&self) -> u8 {
        match self {
            PreflightError::Unreachable(_) => 0,
            PreflightError::Throttled(_) => 1,
            PreflightError::Credentials(_) => 2,
            PreflightError::Unsayable { .. }
            | PreflightError::Stopped
            | PreflightError::Closed(_)
            | PreflightError::Journal(_) => 3,
        }
    }
}

/// Looks at every row without a verdict, by pages or by id, whichever costs fewer calls. Rows in doubt are left to
/// the look that is made directly before they are sent again.
async fn look_in<R: Remote>(lane: &Arc<Lane<R>>, book: &Book) -> Result<(), PreflightError> {
    lane.preflighted.begin(Instant::now());
    match lane.stop.unless_draining(look_at_all(lane, book)).await {
        Some(looked) => looked,
        None => Err(stopped(lane)),
    }
}

async fn look_at_all<R: Remote>(lane: &Arc<Lane<R>>, book: &Book) -> Result<(), PreflightError> {
    let id = lane.id;
    let n_rows = book.read(move |journal, run| journal.count_unsettled_in(run, id)).await?;
    let mut shown = Shown::nothing_of(n_rows);
    let mut any_shown = false;
    if n_rows > 1 {
        match look_at_pages(lane, book, &mut shown).await? {
            Pages::Readable if shown.is_all() => return Ok(()),
            // Of a list that shows none of the rows nobody knows whether they can be seen at all.
            Pages::Readable => any_shown = shown.is_any(),
            Pages::Unreadable(outcome) => {
                if !shows_by_id(lane, book).await? {
                    return Err(denied(lane, ReadFailed::Outcome(outcome)));
                }
                any_shown = true;
                lane.list().give_up(outcome.to_string());
            }
        }
    }
    look_by_id(lane, book, &shown, any_shown).await
}

/// The list, read as far as it shows rows of this run.
enum Pages {
    Readable,
    /// They are forbidden, or broken, which says nothing of reads by id. What came before counts all the same.
    Unreadable(Outcome),
}

async fn look_at_pages<R: Remote>(
    lane: &Arc<Lane<R>>,
    book: &Book,
    shown: &mut Shown,
) -> Result<Pages, PreflightError> {
    // The first page proves the credentials and tells how many there are.
    match look_at_page(lane, book, 0).await? {
        Ok(page) => record(lane, shown.add(page)).await?,
        Err(outcome) => return Ok(Pages::Unreadable(outcome)),
    }
    let n_pages = lane.list().n_pages().unwrap_or(1);
    let mut pages = if u64::from(n_pages - 1) < shown.n_left() { 1..n_pages } else { 0..0 };
    let (mut looks, mut records) = (JoinSet::new(), JoinSet::new());
    let read = loop {
        while shown.n_left() > 0
            && looks.len() < PAGES_AT_ONCE
            && let Some(page) = pages.next()
            && !lane.list().ends_before(page)
        {
            let (lane, book) = (Arc::clone(lane), book.clone());
            looks.spawn(async move { look_at_page(&lane, &book, page).await });
        }
        let Some(looked) = looks.join_next().await else { break Pages::Readable };
        match unless_panicked(looked)? {
            Ok(page) => {
                // One page's way to the disk does not hold up the next either.
                if records.len() == PAGES_AT_ONCE
                    && let Some(recorded) = records.join_next().await
                {
                    unless_panicked(recorded)?;
                }
                let (lane, kinds) = (Arc::clone(lane), shown.add(page));
                records.spawn(async move { record(&lane, kinds).await });
            }
            Err(outcome) => break Pages::Unreadable(outcome),
        }
    };
    // What counts as shown is recorded, whatever became of the others.
    while let Some(recorded) = records.join_next().await {
        unless_panicked(recorded)?;
    }
    Ok(read)
}

fn unless_panicked<T>(joined: Result<T, tokio::task::JoinError>) -> T {
    joined.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

async fn record<R: Remote>(lane: &Lane<R>, kinds: Vec<EventKind>) -> Result<(), JournalClosed> {
    if kinds.is_empty() { Ok(()) } else { lane.record(kinds, None).await }
}

/// Reads one page, and says what it shows of this run's rows; or how it failed.
async fn look_at_page<R: Remote>(
    lane: &Lane<R>,
    book: &Book,
    n_page: u32,
) -> Result<Result<Vec<OnPage>, Outcome>, PreflightError> {
    let page = match lane.page(n_page).await {
        Ok(sighted) => sighted.value,
        // Where there is no connection, there is none for reads by id.
        Err(failed @ ReadFailed::Outcome(Outcome::Unsent { .. })) => return Err(denied(lane, failed)),
        Err(failed) => return failed_alone(lane, failed).map(Err),
    };
    let id = lane.id;
    let found = book.read(move |journal, run| {
        let rows = journal.unsettled_among(run, id, page.servers.iter().map(|(id, _)| id.as_str()))?;
        let contradicted = journal.unsettled_among(run, id, page.contradicted.iter().map(SourceId::as_str))?;
        Ok((rows.into_iter().zip(page.servers), contradicted))
    });
    let (rows, contradicted) = found.await?;
    let mut on_page = Vec::new();
    for (row, standing) in contradicted.into_iter().flatten() {
        on_page.push(OnPage { row: row.id, state: None, standing, kind: None });
    }
    for (unsettled, (_, seen)) in rows {
        let Some((row, standing)) = unsettled else { continue };
        lane.list().found(row.id, n_page);
        if !is_for_preflight(standing.phase, standing.doubted) {
            on_page.push(OnPage { row: row.id, state: Some(seen), standing, kind: None });
        } else if seen.lacks(needs(lane, &row)).is_none() {
            let kind = Some(looked(&row, &standing, Some(seen.clone())));
            on_page.push(OnPage { row: row.id, state: Some(seen), standing, kind });
        }
        // What does not show what it must is asked for by id.
    }
    Ok(Ok(on_page))
}

/// Whether sources are shown one by one where the list cannot be read: asked of a few rows, and of each until it has an
/// answer that the quota did not give, so that little is lost where nothing works.
async fn shows_by_id<R: Remote>(lane: &Arc<Lane<R>>, book: &Book) -> Result<bool, PreflightError> {
    let Some(stage) = unsettled_stages(book, lane.id).await?.first().copied() else { return Ok(false) };
    for (row, _) in page_of_rows(book, lane.id, stage, None).await?.into_iter().take(PROBES) {
        match probe(lane, &row).await {
            Ok(()) => return Ok(true),
            Err(failed) => _ = failed_alone(lane, failed)?,
        }
    }
    Ok(false)
}

/// One look by id, with no more patience than the quota asks for.
async fn probe<R: Remote>(lane: &Lane<R>, row: &Row) -> Result<(), ReadFailed> {
    loop {
        let mut at_hand = lane.stop.unless_shut(lane.gate.at_hand(None)).await.ok_or(ReadFailed::LetGo)?;
        match lane.show_at_hand(&mut at_hand, &row.source_id, needs(lane, row), Connection::Any).await {
            // The gate waits as long as it was told to; a quota that never lets us in stops the lane.
            Err(ReadFailed::Outcome(Outcome::Throttled { .. })) if lane.stopped().is_none() => (),
            shown => return shown.map(|_| ()),
        }
    }
}

/// Absence from pages proves nothing: what they did not show is asked for by id.
async fn look_by_id<R: Remote>(
    lane: &Arc<Lane<R>>,
    book: &Book,
    of_pages: &Shown,
    mut any_shown: bool,
) -> Result<(), PreflightError> {
    for stage in unsettled_stages(book, lane.id).await? {
        let mut after = None;
        loop {
            let rows = page_of_rows(book, lane.id, stage, after).await?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.id);
            let mut reads = JoinSet::new();
            for (row, standing) in rows {
                if of_pages.has(row.id) || !is_for_preflight(standing.phase, standing.doubted) {
                    continue;
                }
                let lane = Arc::clone(lane);
                reads.spawn(async move {
                    let shown = lane.show(&row.source_id, needs(&lane, &row)).await;
                    (row, standing, shown)
                });
            }
            let mut kinds = Vec::with_capacity(reads.len());
            let mut first_failed = None;
            while let Some(read) = reads.join_next().await {
                let (row, standing, shown) = unless_panicked(read);
                match shown {
                    Ok(sighted) => {
                        any_shown = true;
                        let before = of_pages.before(row.id).cloned().unwrap_or(standing);
                        kinds.push(looked(&row, &before, sighted.value));
                    }
                    Err(failed) => {
                        let outcome = failed_alone(lane, failed)?;
                        lane.preflighted.miss(row.id);
                        let cause = format!("the look failed: {outcome}");
                        kinds.push(RowEvent::Left { cause }.about(row.id));
                        first_failed.get_or_insert(outcome);
                    }
                }
            }
            // Where nothing can be seen at all, it is not about the rows.
            if let Some(outcome) = first_failed.filter(|_| !any_shown) {
                return Err(denied(lane, ReadFailed::Outcome(outcome)));
            }
            kinds.sort_by_key(EventKind::row);
            record(lane, kinds).await?;
        }
    }
    Ok(())
}

/// A failed look that may be about its row, or about the list, alone. A row is looked at again before it is sent.
fn failed_alone<R: Remote>(lane: &Lane<R>, failed: ReadFailed) -> Result<Outcome, PreflightError> {
    match failed {
        ReadFailed::Outcome(
            outcome @ (Outcome::Rejected { .. }
            | Outcome::Disclaimed { .. }
            | Outcome::Lost { .. }
            | Outcome::Unsent { .. }),
        ) if !outcome.refuses_us() => Ok(outcome),
        failed @ (ReadFailed::Outcome(_) | ReadFailed::Journal(_) | ReadFailed::LetGo) => Err(denied(lane, failed)),
    }
}

async fn unsettled_stages(book: &Book, lane: LaneId) -> Result<Vec<(u32, Part)>, JournalError> {
    book.read(move |journal, run| journal.unsettled_stages_in(run, lane)).await
}

async fn page_of_rows(
    book: &Book,
    lane: LaneId,
    (wave_no, part): (u32, Part),
    after: Option<RowId>,
) -> Result<Vec<(Row, Standing)>, JournalError> {
    book.read(move |journal, run| journal.page(run, Which::Unsettled { lane, wave_no, part }, after, PORTION)).await
}

fn needs<R: Remote>(lane: &Lane<R>, row: &Row) -> Fields {
    judge::needed_to_send(row, lane.settings.preflight && lane.settings.complete_pair)
}

/// What a look showed of a row. Where an earlier launch saw it elsewhere, and neither that nor the target is what is there
/// now, somebody else moved it: that is not what was before.
fn looked(row: &Row, standing: &Standing, seen: Option<SeenState>) -> EventKind {
    match seen {
        Some(seen) if overtaken_by(row, standing, &seen).is_some() => RowEvent::Moved { seen }.about(row.id),
        seen => RowEvent::Seen { seen }.about(row.id),
    }
}

/// Why a row is not ours to send any more that an earlier look of this run saw elsewhere.
fn overtaken_by(row: &Row, standing: &Standing, seen: &SeenState) -> Option<String> {
    if !standing.looked || standing.doubted || standing.rules == Rules::First {
        return None;
    }
    match judge::effect(&row.wants, Some(standing.last_seen()?), Some(seen)) {
        Effect::Overtaken { reason } => Some(format!("{reason}; somebody moved it before it was sent")),
        Effect::OnTarget | Effect::NotYet { .. } | Effect::Unprovable { .. } => None,
    }
}

/// A row that may have been sent is not judged from afar.
fn is_for_preflight(phase: Phase, doubted: bool) -> bool {
    !doubted && !phase.is_in_doubt()
}

fn denied<R>(lane: &Lane<R>, failed: ReadFailed) -> PreflightError
where
    R: Remote,
{
    match failed {
        ReadFailed::Journal(closed) => closed.into(),
        ReadFailed::LetGo => stopped(lane),
        ReadFailed::Outcome(outcome) => match outcome {
            Outcome::Unauthenticated { .. }
            | Outcome::Barred { .. }
            | Outcome::Rejected { status: 403, .. }
            | Outcome::Lost { status: Some(401), .. } => PreflightError::Credentials(outcome.to_string()),
            Outcome::Throttled { .. } => PreflightError::Throttled(outcome.to_string()),
            // That nothing was sent is said behind it.
            Outcome::Unsent { cause } => PreflightError::Unreachable(cause),
            Outcome::Accepted { .. } | Outcome::Rejected { .. } | Outcome::Disclaimed { .. } | Outcome::Lost { .. } => {
                PreflightError::Unreachable(outcome.to_string())
            }
        },
    }
}

fn stopped<R: Remote>(lane: &Lane<R>) -> PreflightError {
    match lane.stopped() {
        Some((LaneStop::Unauthenticated | LaneStop::Barred | LaneStop::Forbidden, message)) => {
            PreflightError::Credentials(message)
        }
        Some((LaneStop::NoCredentials | LaneStop::Unreachable | LaneStop::NotTheService, message)) => {
            PreflightError::Unreachable(message)
        }
        Some((LaneStop::Throttled, message)) => PreflightError::Throttled(message),
        None => PreflightError::Stopped,
    }
}

/// What would become of a row, as it is told before anything is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prospect {
    Already,
    /// Not sent, and what it is called then.
    Blocked {
        verdict: Verdict,
        reason: Reason,
    },
    Change {
        sends: TargetState,
        pairing: Pairing,
    },
    /// Sent before, answer unknown or not proven, or its look failed: looked at first.
    LookFirst,
    /// Preflight is off: sent as it stands.
    Unseen {
        sends: TargetState,
    },
    /// Its account has stopped, and the others go on.
    LeftOut {
        reason: String,
    },
}

impl Prospect {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Prospect::Already => "already",
            Prospect::Blocked { .. } => "blocked",
            Prospect::Change { .. } => "change",
            Prospect::LookFirst => "look_first",
            Prospect::Unseen { .. } => "unseen",
            Prospect::LeftOut { .. } => "left_out",
        }
    }
}

impl Prospect {
    fn may_send(&self) -> bool {
        match self {
            Prospect::Change { .. } | Prospect::LookFirst | Prospect::Unseen { .. } => true,
            Prospect::Already | Prospect::Blocked { .. } | Prospect::LeftOut { .. } => false,
        }
    }

    /// Why a roll-back could not bring the row back once it was sent, as far as that is known before.
    fn no_way_back(&self, row: &Row, standing: &Standing) -> Option<String> {
        match self {
            Prospect::Change { sends, .. } | Prospect::Unseen { sends } => {
                judge::no_way_back(&sends.into(), standing.before.as_ref())
            }
            // A look will show where it is.
            Prospect::LookFirst => match &standing.before {
                Some(before) => judge::no_way_back(&(&row.wants).into(), Some(before)),
                None => judge::stuck_in(&(&row.wants).into()),
            },
            Prospect::Already | Prospect::Blocked { .. } | Prospect::LeftOut { .. } => None,
        }
    }
}

/// From where a row stands; `missed` where this launch could not look at it, whatever earlier ones saw.
pub(crate) fn prospect(row: &Row, standing: &Standing, missed: bool, settings: &LaneSettings) -> Prospect {
    let LaneSettings { preflight, complete_pair, dialect, .. } = *settings;
    match standing.phase {
        Phase::Open | Phase::InDoubt | Phase::Accepted => return Prospect::LookFirst,
        Phase::Settled(Verdict::Already) => return Prospect::Already,
        Phase::Settled(verdict) => {
            let text = standing.reason.clone().unwrap_or_default();
            return Prospect::Blocked { verdict, reason: Reason { text, ground: standing.ground } };
        }
        Phase::Untried | Phase::Due if standing.doubted => return Prospect::LookFirst,
        Phase::Untried | Phase::Due => (),
    }
    if !preflight {
        return Prospect::Unseen { sends: dialect.spelled(row.wants.clone()) };
    }
    // Its look failed; it has another one before it is sent.
    if !standing.looked || missed {
        return Prospect::LookFirst;
    }
    if let Some(reason) = standing.moved.as_ref().and_then(|moved| overtaken_by(row, standing, moved)) {
        return Prospect::Blocked { verdict: Verdict::Overtaken, reason: reason.into() };
    }
    match judge::judge(row, standing.last_seen(), complete_pair, dialect) {
        Fate::Already => Prospect::Already,
        Fate::Blocked { reason } => Prospect::Blocked { verdict: judge::unsent_verdict(standing), reason },
        Fate::Change { sends, pairing } => Prospect::Change { sends: dialect.spelled(sends), pairing },
    }
}

/// The counts of a difference, and the first rows of each group.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    pub(crate) n_change: u64,
    pub(crate) n_already: u64,
    pub(crate) n_blocked: u64,
    pub(crate) n_look_first: u64,
    pub(crate) n_unseen: u64,
    pub(crate) n_left_out: u64,
    pub(crate) n_outside_matrix: u64,
    /// Rows whose target needs leave, because nothing leads back from it.
    pub(crate) n_irreversible: u64,
    /// Rows that a roll-back could not bring back, those included.
    pub(crate) n_no_way_back: u64,
    pub(crate) groups: Vec<Group>,
}

/// Rows of which the same would become.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) kind: &'static str,
    pub(crate) title: String,
    pub(crate) n_rows: u64,
    pub(crate) first: Vec<(Row, Option<SeenState>)>,
}

impl Difference {
    /// Rows to which a change may be sent.
    pub(crate) fn n_changes(&self) -> u64 {
        self.n_change + self.n_look_first + self.n_unseen
    }

    pub(crate) fn add(&mut self, row: Row, standing: &Standing, prospect: &Prospect, n_shown: usize) {
        let title = match prospect {
            Prospect::Already => {
                self.n_already += 1;
                "already on target".to_owned()
            }
            Prospect::Blocked { reason, .. } => {
                self.n_blocked += 1;
                reason.text.clone()
            }
            Prospect::LeftOut { reason } => {
                self.n_left_out += 1;
                reason.clone()
            }
            Prospect::LookFirst => {
                self.n_look_first += 1;
                "sent before and not proven, or not seen yet: looked at first".to_owned()
            }
            Prospect::Unseen { sends } => {
                self.n_unseen += 1;
                format!("* -> {sends}")
            }
            Prospect::Change { sends, pairing } => {
                self.n_change += 1;
                let from = standing.last_seen().cloned().unwrap_or_default();
                let warning = match pairing {
                    Pairing::Allowed | Pairing::NoRule => "",
                    Pairing::Outside => {
                        self.n_outside_matrix += 1;
                        "  (not a documented pair: the service may refuse it)"
                    }
                };
                format!("{from} -> {sends}{warning}")
            }
        };
        if prospect.may_send() {
            self.n_irreversible += u64::from(row.wants.copystate.as_ref().is_some_and(words::irreversible));
            self.n_no_way_back += u64::from(prospect.no_way_back(&row, standing).is_some());
        }
        let kind = prospect.name();
        let known = self.groups.iter().position(|group| group.kind == kind && group.title == title);
        let at = known.unwrap_or_else(|| {
            self.groups.push(Group { kind, title, n_rows: 0, first: Vec::new() });
            self.groups.len() - 1
        });
        let group = &mut self.groups[at];
        group.n_rows += 1;
        if group.first.len() < n_shown {
            group.first.push((row, standing.before.clone()));
        }
    }
}

/// Walks over a lane's rows without a verdict, in plan order within their waves.
async fn for_each_unsettled(
    book: &Book,
    lane: LaneId,
    mut each: impl AsyncFnMut(Vec<(Row, Standing)>) -> Result<(), PreflightError>,
) -> Result<(), PreflightError> {
    for stage in unsettled_stages(book, lane).await? {
        let mut after = None;
        loop {
            let rows = page_of_rows(book, lane, stage, after).await?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.id);
            each(rows).await?;
        }
    }
    Ok(())
}

/// What would happen, from what the journal holds now.
pub(crate) async fn difference<R: Remote>(
    lanes: &[Arc<Lane<R>>],
    book: &Book,
    n_shown: usize,
) -> Result<Difference, PreflightError> {
    let mut difference = Difference::default();
    for lane in lanes {
        let stopped = lane.stopped().map(|(_, why)| format!("account `{}` is left out: {why}", lane.name));
        for_each_unsettled(book, lane.id, async |rows| {
            for (row, standing) in rows {
                let prospect = match &stopped {
                    Some(reason) => Prospect::LeftOut { reason: reason.clone() },
                    None => prospect_unless_skipped(lane, &row, &standing),
                };
                check_it_can_be_said(&row, &lane.settings)?;
                difference.add(row, &standing, &prospect, n_shown);
            }
            Ok(())
        })
        .await?;
    }
    // What would be sent first, what would not last; within each, in plan order.
    let order = ["change", "unseen", "look_first", "already", "blocked", "left_out"];
    difference.groups.sort_by_key(|group| order.iter().position(|kind| *kind == group.kind));
    Ok(difference)
}

/// What somebody skipped is told as held back. It gets its verdict in its turn, until which that may be taken back.
fn prospect_unless_skipped<R: Remote>(lane: &Lane<R>, row: &Row, standing: &Standing) -> Prospect {
    let prospect = prospect(row, standing, lane.preflighted.has_missed(row.id), &lane.settings);
    match lane.helm.skipped(&row.source_id, standing).filter(|_| prospect.may_send()) {
        Some(reason) => Prospect::Blocked { verdict: judge::unsent_verdict(standing), reason },
        None => prospect,
    }
}

/// A run may be gone on with in another dialect than its plan was checked for.
fn check_it_can_be_said(row: &Row, settings: &LaneSettings) -> Result<(), PreflightError> {
    let fills_in = settings.preflight && settings.complete_pair;
    let objection = settings.dialect.objections(&row.wants, fills_in).next();
    match objection {
        Some(objection) => Err(PreflightError::Unsayable { source_id: row.source_id.clone(), objection }),
        None => Ok(()),
    }
}

/// Records the verdicts of rows that are not sent.
pub(crate) async fn settle<R: Remote>(lane: &Lane<R>, book: &Book) -> Result<(), PreflightError> {
    for_each_unsettled(book, lane.id, async |rows| {
        let kinds = rows.into_iter().filter_map(|(row, standing)| {
            let verdict = match prospect(&row, &standing, lane.preflighted.has_missed(row.id), &lane.settings) {
                Prospect::Already => (judge::on_target_verdict(&standing), None),
                Prospect::Blocked { verdict, reason } => (verdict, Some(reason)),
                Prospect::Change { .. } | Prospect::LookFirst | Prospect::Unseen { .. } | Prospect::LeftOut { .. } => {
                    return None;
                }
            };
            let (verdict, reason) = verdict;
            let seen = match verdict {
                Verdict::Overtaken => standing.moved.clone(),
                Verdict::Applied
                | Verdict::Already
                | Verdict::Unverified
                | Verdict::NoEffect
                | Verdict::Refused
                | Verdict::Failed
                | Verdict::Blocked => standing.last_seen().cloned(),
            };
            Some(judge::settled(row.id, verdict, seen, reason))
        });
        let kinds: Vec<EventKind> = kinds.collect();
        if !kinds.is_empty() {
            lane.record(kinds, None).await?;
        }
        Ok(())
    })
    .await
}
