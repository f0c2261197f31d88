//! The lane's one reader: gathers the rows that wait for a look, reads them by pages or by id, whichever costs fewer
//! calls, and answers each.
//!
//! Who waits until when is in [`waiting`]; that pages do not contradict each other is seen to in [`said`].

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep_until};

use super::foreign;
use super::lane::Lane;
use super::lane::news::News;
use super::lane::reading::{ReadFailed, Sighted};
use super::look_request::{LookAnswer, LookRequest};
use crate::event::outcome::Outcome;
use crate::model::SourceId;
use crate::recorder::NotRecorded;
use crate::remote::service::{Page, Remote};

mod said;
mod waiting;

use said::Said;
use waiting::{Around, Waiting, Way, way};

const SWEEPS_AT_ONCE: usize = 4;

/// Answers requests to look until nobody is left who could make one.
pub(crate) async fn serve<R: Remote>(lane: Arc<Lane<R>>, mut requests: mpsc::UnboundedReceiver<LookRequest>) {
    let mut waiting = Waiting::default();
    let mut sweeps = JoinSet::new();
    loop {
        // Those that are about to request come first, and are gathered with the others.
        yield_now().await;
        while let Ok(request) = requests.try_recv() {
            waiting.push(request);
        }
        let (now, around) = (Instant::now(), Around::from_lane(&lane));
        let due = waiting.next_sweep(&around, now);
        if due.is_some_and(|at| at <= now) && sweeps.len() < SWEEPS_AT_ONCE {
            let batch = waiting.take(&around, now);
            sweeps.spawn(sweep(Arc::clone(&lane), batch));
            continue;
        }
        tokio::select! {
            request = requests.recv() => match request {
                Some(request) => waiting.push(request),
                None => break,
            },
            () = lane.changes_ended() => (),
            Some(_) = sweeps.join_next() => (),
            () = async { sleep_until(due.unwrap_or(now)).await }, if due.is_some_and(|at| at > now) => (),
        }
    }
    while sweeps.join_next().await.is_some() {}
}

async fn sweep<R: Remote>(lane: Arc<Lane<R>>, batch: Vec<LookRequest>) {
    let left = match way(&batch, Around::from_lane(&lane).whole) {
        Way::ById => batch,
        Way::Pages => by_pages(&lane, batch).await,
    };
    by_id(lane, left).await;
}

/// Answers what pages show; what they do not show is handed back, because absence from pages proves nothing.
async fn by_pages<R: Remote>(lane: &Arc<Lane<R>>, batch: Vec<LookRequest>) -> Vec<LookRequest> {
    let hints: BTreeSet<u32> = batch.iter().filter_map(|request| request.page).collect();
    let mut unhinted = batch.iter().any(|request| request.page.is_none());
    let mut requests: HashMap<SourceId, LookRequest> = HashMap::with_capacity(batch.len());
    let doubles: Vec<LookRequest> =
        batch.into_iter().filter_map(|request| requests.insert(request.source.clone(), request)).collect();
    let mut read = BTreeSet::new();
    let mut next: Vec<u32> = if unhinted && hints.is_empty() { vec![0] } else { hints.into_iter().collect() };
    let (mut said, mut hollow) = (Said::default(), Vec::new());
    while !next.is_empty() && !requests.is_empty() {
        read.extend(next.iter().copied());
        if !read_pages(lane, &next, &mut said, &mut requests, &mut hollow).await {
            break;
        }
        // Rows that are not where they were: the rest of the list, if that is cheaper than one by one.
        let whole = lane.list().n_pages().unwrap_or(0);
        next = (0..whole).filter(|page| !read.contains(page)).collect();
        if !unhinted && next.len() >= requests.len() {
            break;
        }
        unhinted = false;
    }
    requests.into_values().chain(doubles).chain(hollow).collect()
}

/// False: pages cannot be had, so request for each by its id (which says why it fails, if it does). Rows that a page shows
/// without what their looks need are `hollow`.
async fn read_pages<R: Remote>(
    lane: &Arc<Lane<R>>,
    pages: &[u32],
    said: &mut Said,
    requests: &mut HashMap<SourceId, LookRequest>,
    hollow: &mut Vec<LookRequest>,
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
                if answer_from(lane, page, sighted, said, requests, hollow).await.is_err() {
                    requests.clear();
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
                requests.clear();
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
    requests: &mut HashMap<SourceId, LookRequest>,
    hollow: &mut Vec<LookRequest>,
) -> Result<(), NotRecorded> {
    let (servers, contradicted) = said.sift(value);
    // Who was answered by the first of two doubles is looked at by its id before it is sent.
    let answered = contradicted.iter().filter_map(|id| said.answered(id));
    lane.add_news(answered.map(|row| (row, News::Contradicted)));
    lane.untell_onlookers(&contradicted);
    foreign::hold_back(lane, contradicted).await;
    lane.tell_onlookers(&servers, left_at);
    let mut others = Vec::new();
    for (id, seen) in servers {
        match requests.remove(&id) {
            Some(request) => {
                if request.page != Some(page) {
                    lane.list().found(request.row, page);
                }
                if seen.lacks(request.needs).is_some() {
                    hollow.push(request);
                    continue;
                }
                said.answer(&request.source, request.row);
                _ = request.answer.send(LookAnswer::Seen { seen: Some(seen), left_at });
            }
            None => others.push((id, seen)),
        }
    }
    foreign::notice(lane, others, left_at).await
}

async fn by_id<R: Remote>(lane: Arc<Lane<R>>, requests: Vec<LookRequest>) {
    let mut reads = JoinSet::new();
    for request in requests {
        let lane = Arc::clone(&lane);
        reads.spawn(async move {
            let answer = match lane.show(&request.source, request.needs).await {
                Ok(sighted) => LookAnswer::Seen { seen: sighted.value, left_at: sighted.left_at },
                Err(ReadFailed::Outcome(outcome)) => LookAnswer::Failed { cause: outcome.to_string() },
                // Dropping an request tells its row that nothing will be learned by this launch.
                Err(ReadFailed::LetGo | ReadFailed::Journal(_)) => return,
            };
            _ = request.answer.send(answer);
        });
    }
    while reads.join_next().await.is_some() {}
}
