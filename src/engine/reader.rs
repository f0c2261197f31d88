//! The lane's one reader: gathers the rows that wait for a look, reads them by pages or by id, whichever costs fewer
//! calls, and answers each.
//!
//! Who waits until when is in [`waiting`]; that pages do not contradict each other is seen to in [`said`].

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep_until};

use super::foreign;
use super::lane::Lane;
use super::lane::news::News;
use super::reading::{ReadFailed, Sighted};
use super::sight::{Ask, How, Sight};
use crate::event::Outcome;
use crate::model::{Fields, Row, SourceId};
use crate::recorder::JournalClosed;
use crate::remote::service::{Page, Remote};

mod said;
mod waiting;

use said::Said;
use waiting::{Around, Waiting, Way, way};

const SWEEPS_AT_ONCE: usize = 4;

impl<R: Remote> Lane<R> {
    /// Asks the reader for one look. None: everything is let go.
    pub(crate) async fn sight(&self, row: &Row, needs: Fields, how: How) -> Option<Sight> {
        let (answer, sight) = oneshot::channel();
        let How { not_before, patient, for_others } = how;
        let (page, source) = (self.list().page_of(row.id), row.source_id.clone());
        let asked_at = Instant::now();
        let ask = Ask { row: row.id, source, needs, page, not_before, patient, for_others, asked_at, answer };
        self.asks.send(ask).ok()?;
        self.stop.unless_aborting(sight).await?.ok()
    }
}

/// Serves asks until every asker is gone.
pub(crate) async fn serve<R: Remote>(lane: Arc<Lane<R>>, mut asks: mpsc::UnboundedReceiver<Ask>) {
    let mut waiting = Waiting::default();
    let mut sweeps = JoinSet::new();
    loop {
        // Those that are about to ask come first, and are gathered with the others.
        yield_now().await;
        while let Ok(ask) = asks.try_recv() {
            waiting.push(ask);
        }
        let (now, around) = (Instant::now(), Around::of(&lane));
        let due = waiting.next_sweep(&around, now);
        if due.is_some_and(|at| at <= now) && sweeps.len() < SWEEPS_AT_ONCE {
            let batch = waiting.take(&around, now);
            sweeps.spawn(sweep(Arc::clone(&lane), batch));
            continue;
        }
        tokio::select! {
            ask = asks.recv() => match ask {
                Some(ask) => waiting.push(ask),
                None => break,
            },
            () = lane.under_way.changed.notified() => (),
            Some(_) = sweeps.join_next() => (),
            () = async { sleep_until(due.unwrap_or(now)).await }, if due.is_some_and(|at| at > now) => (),
        }
    }
    while sweeps.join_next().await.is_some() {}
}

async fn sweep<R: Remote>(lane: Arc<Lane<R>>, batch: Vec<Ask>) {
    let left = match way(&batch, Around::of(&lane).whole) {
        Way::ById => batch,
        Way::Pages => by_pages(&lane, batch).await,
    };
    by_id(lane, left).await;
}

/// Answers what pages show; what they do not show is handed back, because absence from pages proves nothing.
async fn by_pages<R: Remote>(lane: &Arc<Lane<R>>, batch: Vec<Ask>) -> Vec<Ask> {
    let hints: BTreeSet<u32> = batch.iter().filter_map(|ask| ask.page).collect();
    let mut unhinted = batch.iter().any(|ask| ask.page.is_none());
    let mut asks: HashMap<SourceId, Ask> = HashMap::with_capacity(batch.len());
    let doubles: Vec<Ask> = batch.into_iter().filter_map(|ask| asks.insert(ask.source.clone(), ask)).collect();
    let mut read = BTreeSet::new();
    let mut next: Vec<u32> = if unhinted && hints.is_empty() { vec![0] } else { hints.into_iter().collect() };
    let (mut said, mut hollow) = (Said::default(), Vec::new());
    while !next.is_empty() && !asks.is_empty() {
        read.extend(next.iter().copied());
        if !read_pages(lane, &next, &mut said, &mut asks, &mut hollow).await {
            break;
        }
        // Rows that are not where they were: the rest of the list, if that is cheaper than one by one.
        let whole = lane.list().n_pages().unwrap_or(0);
        next = (0..whole).filter(|page| !read.contains(page)).collect();
        if !unhinted && next.len() >= asks.len() {
            break;
        }
        unhinted = false;
    }
    asks.into_values().chain(doubles).chain(hollow).collect()
}

/// False: pages cannot be had, so ask for each by its id (which says why it fails, if it does). Rows that a page shows
/// without what their looks need are `hollow`.
async fn read_pages<R: Remote>(
    lane: &Arc<Lane<R>>,
    pages: &[u32],
    said: &mut Said,
    asks: &mut HashMap<SourceId, Ask>,
    hollow: &mut Vec<Ask>,
) -> bool {
    let mut reads = JoinSet::new();
    for page in pages.iter().copied() {
        let lane = Arc::clone(lane);
        reads.spawn(async move { (page, lane.page(page).await) });
    }
    let mut readable = true;
    while let Some(joined) = reads.join_next().await {
        match joined {
            Ok((page, Ok(sighted))) => {
                if answer_from(lane, page, sighted, said, asks, hollow).await.is_err() {
                    asks.clear();
                    readable = false;
                }
            }
            Ok((_, Err(ReadFailed::Outcome(outcome)))) => {
                readable = false;
                // For good, and not for as long as an outage lasts.
                if let Outcome::Rejected { .. } | Outcome::Lost { status: Some(300..500), .. } = outcome {
                    lane.list().give_up(outcome.to_string());
                }
            }
            Ok((_, Err(ReadFailed::LetGo | ReadFailed::Journal(_)))) | Err(_) => {
                asks.clear();
                hollow.clear();
                readable = false;
            }
        }
    }
    readable
}

/// Answers what one page shows as it comes: the next may be long in coming.
async fn answer_from<R: Remote>(
    lane: &Arc<Lane<R>>,
    page: u32,
    Sighted { value, left_at }: Sighted<Page>,
    said: &mut Said,
    asks: &mut HashMap<SourceId, Ask>,
    hollow: &mut Vec<Ask>,
) -> Result<(), JournalClosed> {
    let (servers, contradicted) = said.sift(value);
    // Who was answered by the first of two doubles is looked at by its id before it is sent.
    let answered = contradicted.iter().filter_map(|id| said.answered(id));
    lane.news.add_all(answered.map(|row| (row, News::Contradicted)));
    lane.onlookers.forget(&contradicted);
    foreign::hold_back(lane, contradicted).await;
    lane.onlookers.tell(&servers, left_at);
    let mut others = Vec::new();
    for (id, seen) in servers {
        match asks.remove(&id) {
            Some(ask) => {
                if ask.page != Some(page) {
                    lane.list().found(ask.row, page);
                }
                if seen.lacks(ask.needs).is_some() {
                    hollow.push(ask);
                    continue;
                }
                said.answer(&ask.source, ask.row);
                _ = ask.answer.send(Sight::Seen { seen: Some(seen), left_at });
            }
            None => others.push((id, seen)),
        }
    }
    foreign::notice(lane, others, left_at).await
}

async fn by_id<R: Remote>(lane: Arc<Lane<R>>, asks: Vec<Ask>) {
    let mut reads = JoinSet::new();
    for ask in asks {
        let lane = Arc::clone(&lane);
        reads.spawn(async move {
            let sight = match lane.show(&ask.source, ask.needs).await {
                Ok(sighted) => Sight::Seen { seen: sighted.value, left_at: sighted.left_at },
                Err(ReadFailed::Outcome(outcome)) => Sight::Failed { cause: outcome.to_string() },
                // Dropping an ask tells its row that nothing will be learned by this launch.
                Err(ReadFailed::LetGo | ReadFailed::Journal(_)) => return,
            };
            _ = ask.answer.send(sight);
        });
    }
    while reads.join_next().await.is_some() {}
}
