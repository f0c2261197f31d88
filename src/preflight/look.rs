//! Looking at every row without a verdict: by pages of the list or by id, whichever costs fewer calls.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::error::{Extent, PreflightError, denied, failed_alone, stopped};
use super::prospect::overtaken_by;
use super::shown::{OnPage, ShownRows};
use super::unsettled::{page_of_rows, unsettled_stages};
use crate::diagnostics;
use crate::engine::journal_reader::JournalReader;
use crate::engine::lane::Lane;
use crate::engine::lane::reading::ReadFailed;
use crate::event::kind::EventKind;
use crate::event::outcome::Outcome;
use crate::event::row::RowEvent;
use crate::judge;
use crate::ledger::standing::{Phase, Standing};
use crate::model::state::{Fields, SeenState};
use crate::model::{Row, SourceId};
use crate::recorder::refusal::{NotRecorded, unless_to_lane};
use crate::remote::service::Remote;
use crate::transport::client::Connection;
use crate::wording::amounts::count;

/// Pages of a list that are requested, or recorded, at the same time: one need not wait for the way of another to the service or
/// to the disk. The gate still limits the pace.
const PAGES_AT_ONCE: usize = 8;
/// Rows that are requested by id to find out whether reads by id work.
const PROBES: usize = 3;

/// Looks at the rows of all lanes concurrently. A lane that cannot look is stopped while the others go on; if no lane can look,
/// the most severe of their errors is returned.
pub(crate) async fn look<R: Remote>(lanes: &[Arc<Lane<R>>], journal: &JournalReader) -> Result<(), PreflightError> {
    let mut looks = JoinSet::new();
    for lane in lanes {
        let (lane, journal) = (Arc::clone(lane), journal.clone());
        looks.spawn(async move { (look_in(&lane, &journal).await, lane) });
    }
    let (mut any_looked, mut worst) = (false, None);
    while let Some(looked) = looks.join_next().await {
        let (looked, lane) = unless_panicked(looked);
        let Err(error) = looked else {
            any_looked = true;
            continue;
        };
        match error.ends() {
            Extent::Run => return Err(error),
            Extent::Lane(cause, why) if lanes.len() > 1 => unless_to_lane(lane.halt(cause, why).await)?,
            Extent::Lane(..) | Extent::RefusedLane => (),
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

/// Looks at every row without a verdict, by pages or by id, whichever costs fewer calls. Rows in doubt are left to
/// the look that is made directly before they are sent again.
async fn look_in<R: Remote>(lane: &Arc<Lane<R>>, journal: &JournalReader) -> Result<(), PreflightError> {
    lane.begin_preflight();
    match lane.unless_draining(look_at_all(lane, journal)).await {
        Some(looked) => looked,
        None => Err(stopped(lane)),
    }
}

async fn look_at_all<R: Remote>(lane: &Arc<Lane<R>>, journal: &JournalReader) -> Result<(), PreflightError> {
    let id = lane.id;
    let n_rows = journal.read(move |journal, run| journal.count_unsettled_in(run, id)).await?;
    let mut shown = ShownRows::new(n_rows);
    let mut any_shown = false;
    if n_rows > 1 {
        let rows = || count(n_rows, "row");
        diagnostics::decided(|| format!("account `{}`: {} by pages of the list first", lane.name, rows()));
        match look_at_pages(lane, journal, &mut shown).await? {
            Pages::Readable if shown.is_all() => return Ok(()),
            // A list that shows none of the rows does not prove that they can be read.
            Pages::Readable => any_shown = shown.is_any(),
            Pages::Unreadable(outcome) => {
                if !shows_by_id(lane, journal).await? {
                    return Err(denied(lane, ReadFailed::Outcome(outcome)));
                }
                any_shown = true;
                lane.list().give_up(outcome.to_string());
            }
        }
    }
    diagnostics::decided(|| format!("account `{}`: what no page shows for certain is looked at by id", lane.name));
    look_by_id(lane, journal, &shown, any_shown).await
}

/// Result of reading the list of sources as far as it shows rows of this run.
enum Pages {
    Readable,
    /// Forbidden or broken, which says nothing about reads by id. Pages that were read before still count.
    Unreadable(Outcome),
}

async fn look_at_pages<R: Remote>(
    lane: &Arc<Lane<R>>,
    journal: &JournalReader,
    shown: &mut ShownRows,
) -> Result<Pages, PreflightError> {
    // The first page proves the credentials and gives the number of pages.
    match look_at_page(lane, journal, 0).await? {
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
            let (lane, journal) = (Arc::clone(lane), journal.clone());
            looks.spawn(async move { look_at_page(&lane, &journal, page).await });
        }
        let Some(looked) = looks.join_next().await else { break Pages::Readable };
        match unless_panicked(looked)? {
            Ok(page) => {
                // Pages are recorded concurrently as well, up to a limit.
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
    // Rows that count as shown have to be recorded, even if a page failed.
    while let Some(recorded) = records.join_next().await {
        unless_panicked(recorded)?;
    }
    Ok(read)
}

fn unless_panicked<T>(joined: Result<T, tokio::task::JoinError>) -> T {
    joined.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

async fn record<R: Remote>(lane: &Lane<R>, kinds: Vec<EventKind>) -> Result<(), NotRecorded> {
    if kinds.is_empty() { Ok(()) } else { lane.record(kinds, None).await }
}

/// Reads one page. Returns this run's rows on it, or the outcome of a failure that concerns only the list.
async fn look_at_page<R: Remote>(
    lane: &Lane<R>,
    journal: &JournalReader,
    n_page: u32,
) -> Result<Result<Vec<OnPage>, Outcome>, PreflightError> {
    let page = match lane.page(n_page).await {
        Ok(sighted) => sighted.value,
        // Without a connection, reads by id would fail as well.
        Err(failed @ ReadFailed::Outcome(Outcome::Unsent { .. })) => return Err(denied(lane, failed)),
        Err(failed) => return failed_alone(lane, failed).map(Err),
    };
    let id = lane.id;
    let found = journal.read(move |journal, run| {
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
        // A row whose entry lacks a needed field is requested by id later.
    }
    Ok(Ok(on_page))
}

/// Tells whether sources can be read by id while the list cannot be read. Tries at most [`PROBES`] rows, so that little is lost
/// where nothing works; a probe that is throttled is repeated.
async fn shows_by_id<R: Remote>(lane: &Arc<Lane<R>>, journal: &JournalReader) -> Result<bool, PreflightError> {
    let Some(stage) = unsettled_stages(journal, lane.id).await?.first().copied() else { return Ok(false) };
    for (row, _) in page_of_rows(journal, lane.id, stage, None).await?.into_iter().take(PROBES) {
        match probe(lane, &row).await {
            Ok(()) => return Ok(true),
            Err(failed) => _ = failed_alone(lane, failed)?,
        }
    }
    Ok(false)
}

/// Looks at one row by id. Repeats the request only while it is throttled.
async fn probe<R: Remote>(lane: &Lane<R>, row: &Row) -> Result<(), ReadFailed> {
    loop {
        let mut at_hand = lane.unless_shut(lane.gate().at_hand(None)).await.ok_or(ReadFailed::LetGo)?;
        match lane.show_at_hand(&mut at_hand, &row.source_id, needs(lane, row), Connection::Any).await {
            // The gate waits as long as the answer asks for; a quota that never admits a request stops the lane.
            Err(ReadFailed::Outcome(Outcome::Throttled { .. })) if lane.stopped().is_none() => (),
            shown => return shown.map(|_| ()),
        }
    }
}

/// Looks by id at the rows that the pages did not show, since absence from pages proves nothing.
async fn look_by_id<R: Remote>(
    lane: &Arc<Lane<R>>,
    journal: &JournalReader,
    of_pages: &ShownRows,
    mut any_shown: bool,
) -> Result<(), PreflightError> {
    for stage in unsettled_stages(journal, lane.id).await? {
        let mut after = None;
        loop {
            let rows = page_of_rows(journal, lane.id, stage, after).await?;
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
                        lane.miss_in_preflight(row.id);
                        let cause = format!("the look failed: {outcome}");
                        kinds.push(RowEvent::Left { cause }.about(row.id));
                        first_failed.get_or_insert(outcome);
                    }
                }
            }
            // If no read has succeeded so far, the cause is not the rows.
            if let Some(outcome) = first_failed.filter(|_| !any_shown) {
                return Err(denied(lane, ReadFailed::Outcome(outcome)));
            }
            kinds.sort_by_key(EventKind::row);
            record(lane, kinds).await?;
        }
    }
    Ok(())
}

fn needs<R: Remote>(lane: &Lane<R>, row: &Row) -> Fields {
    judge::needed_to_send(row, lane.settings.completion())
}

/// Makes the event of a look that succeeded. A state that is neither the target nor the one that an earlier launch saw was caused
/// by somebody else (`Moved`), and does not count as the state before the run.
fn looked(row: &Row, standing: &Standing, seen: Option<SeenState>) -> EventKind {
    match seen {
        Some(seen) if overtaken_by(row, standing, &seen).is_some() => RowEvent::Moved { seen }.about(row.id),
        seen => RowEvent::Seen { seen }.about(row.id),
    }
}

/// Tells whether preflight looks at a row. One that may have been sent is looked at directly before it is sent again.
fn is_for_preflight(phase: Phase, doubted: bool) -> bool {
    !doubted && !phase.is_in_doubt()
}
