//! The lane's one reader: gathers the rows that wait for a look, reads them by pages or by id, whichever costs fewer
//! calls, and answers each.
//!
//! Two kinds of asks come here. A prompt one is due at its own time. A patient one (the first look after a change)
//! waits until changes have stopped coming or enough rows wait with it, so that one page proves many of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::foreign;
use super::lane::{Lane, List, ReadFailed};
use super::sight::{Ask, Sight};
use crate::event::Outcome;
use crate::model::{RowId, SourceId};
use crate::remote::Remote;

/// This many rows make a sweep worth while.
const ENOUGH: usize = 200;
/// Looks of one sweep cost at most this share of the changes they prove, where waiting longer can make it so.
const WORTH: usize = 20;
/// Where changes come so fast that it takes no longer than this, pages are read when they are mostly what was changed.
const SOON: Duration = Duration::from_secs(1);
const WORTH_SOON: usize = 150;
/// Changes have stopped coming: no new one was begun for this long.
const QUIET: Duration = Duration::from_millis(25);
/// Rows that ask at the same time share a sweep.
const GATHER: Duration = Duration::from_millis(15);
const SWEEPS_AT_ONCE: usize = 4;

impl<R: Remote> Lane<R> {
    /// Asks the reader for one look. None: everything is let go.
    pub(crate) async fn sight(
        &self,
        row: RowId,
        source: &SourceId,
        not_before: Instant,
        patient: bool,
    ) -> Option<Sight> {
        let (answer, sight) = oneshot::channel();
        let ask = Ask { row, source: source.clone(), not_before, patient, asked_at: Instant::now(), answer };
        self.asks.send(ask).ok()?;
        self.stop.unless_aborting(sight).await?.ok()
    }
}

/// Serves asks until every asker is gone.
pub(crate) async fn serve<R: Remote>(lane: Arc<Lane<R>>, mut asks: mpsc::UnboundedReceiver<Ask>) {
    let mut waiting = Waiting::default();
    let mut sweeps = JoinSet::new();
    loop {
        while let Ok(ask) = asks.try_recv() {
            waiting.push(ask, &lane.list());
        }
        let now = Instant::now();
        let due = waiting.next_sweep(&lane, now);
        if due.is_some_and(|at| at <= now) && sweeps.len() < SWEEPS_AT_ONCE {
            let batch = waiting.take_batch(&lane, now);
            sweeps.spawn(sweep(Arc::clone(&lane), batch));
            continue;
        }
        tokio::select! {
            ask = asks.recv() => match ask {
                Some(ask) => waiting.push(ask, &lane.list()),
                None => break,
            },
            () = lane.under_way.changed.notified() => (),
            Some(_) = sweeps.join_next() => (),
            () = async { sleep_until(due.unwrap_or(now)).await }, if due.is_some_and(|at| at > now) => (),
        }
    }
    while sweeps.join_next().await.is_some() {}
}

impl Ask {
    fn due_at(&self) -> Instant {
        self.not_before.max(self.asked_at + GATHER)
    }
}

/// The asks that wait for a sweep, each kind in the order in which they came. What a sweep would cost is asked at each of
/// them, so it is not counted anew.
#[derive(Default)]
struct Waiting {
    prompt: Vec<Ask>,
    patient: Vec<Ask>,
    hints: Hints,
}

/// The pages on which rows were last seen; none: somewhere.
type Hints = BTreeSet<Option<u32>>;

impl Waiting {
    fn push(&mut self, ask: Ask, list: &List) {
        self.hints.insert(list.page_of(ask.row));
        let kind = if ask.patient { &mut self.patient } else { &mut self.prompt };
        kind.push(ask);
    }

    fn len(&self) -> usize {
        self.prompt.len() + self.patient.len()
    }

    /// When the next sweep is due, as far as is known now.
    fn next_sweep<R: Remote>(&self, lane: &Lane<R>, now: Instant) -> Option<Instant> {
        let prompt = self.prompt.iter().map(Ask::due_at).min();
        [prompt, self.next_patient(lane, now)].into_iter().flatten().min()
    }

    fn next_patient<R: Remote>(&self, lane: &Lane<R>, now: Instant) -> Option<Instant> {
        let oldest = self.patient.first()?.asked_at;
        if let Some(since) = lane.under_way.idle_since() {
            return Some(since + QUIET);
        }
        let waited_enough = oldest + lane.settings.verify_timeout;
        let sought = self.patient.len() >= ENOUGH || waited_enough <= now;
        if sought {
            let calls = Cost::of(self.len(), &self.hints, &lane.list()).calls;
            if calls * WORTH_SOON <= self.len() {
                return Some(now);
            }
            if calls * WORTH <= self.len() {
                return Some((oldest + SOON).max(now));
            }
        }
        // Asked again when one more comes, or when it has waited for the whole window.
        Some(waited_enough).filter(|at| *at > now)
    }

    /// What is due now, and what rides along because it costs nothing more.
    fn take_batch<R: Remote>(&mut self, lane: &Lane<R>, now: Instant) -> Vec<Ask> {
        let patient_due = self.next_patient(lane, now).is_some_and(|at| at <= now);
        let Self { prompt, patient, hints: _ } = std::mem::take(self);
        let (mut batch, later): (Vec<Ask>, Vec<Ask>) = prompt
            .into_iter()
            .chain(patient)
            .partition(|ask| if ask.patient { patient_due && ask.not_before <= now } else { ask.due_at() <= now });
        let (mut riders, later): (Vec<Ask>, Vec<Ask>) = later.into_iter().partition(|ask| ask.not_before <= now);
        let list = lane.list();
        let alone = cost(&batch, &list).calls;
        let n_batch = batch.len();
        batch.append(&mut riders);
        if cost(&batch, &list).calls > alone {
            riders = batch.split_off(n_batch);
        }
        riders.into_iter().chain(later).for_each(|ask| self.push(ask, &list));
        batch
    }
}

struct Cost {
    calls: usize,
    way: Way,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    ById,
    Pages,
}

impl Cost {
    /// Pages where the rows were last seen, or the whole list where that is not known.
    fn of(by_id: usize, hints: &Hints, list: &List) -> Self {
        let hinted = (!hints.contains(&None)).then_some(hints.len());
        let whole = list.n_pages().map(|n| usize::try_from(n).expect("pages are few"));
        let pages = match (hinted, whole) {
            (Some(hinted), Some(whole)) => hinted.min(whole),
            (Some(hinted), None) => hinted,
            (None, Some(whole)) => whole,
            // Nobody has listed yet: the first page tells how many there are.
            (None, None) => 5,
        };
        if pages < by_id { Self { calls: pages, way: Way::Pages } } else { Self { calls: by_id, way: Way::ById } }
    }
}

fn cost(asks: &[Ask], list: &List) -> Cost {
    let hints = asks.iter().map(|ask| list.page_of(ask.row)).collect();
    Cost::of(asks.len(), &hints, list)
}

async fn sweep<R: Remote>(lane: Arc<Lane<R>>, batch: Vec<Ask>) {
    let way = cost(&batch, &lane.list()).way;
    let left = match way {
        Way::ById => batch,
        Way::Pages => by_pages(&lane, batch).await,
    };
    by_id(lane, left).await;
}

/// Answers what pages show; what they do not show is handed back, because absence from pages proves nothing.
async fn by_pages<R: Remote>(lane: &Arc<Lane<R>>, batch: Vec<Ask>) -> Vec<Ask> {
    let (hints, mut unhinted) = {
        let list = lane.list();
        let hints: BTreeSet<u32> = batch.iter().filter_map(|ask| list.page_of(ask.row)).collect();
        (hints, batch.iter().any(|ask| list.page_of(ask.row).is_none()))
    };
    let mut asks: HashMap<SourceId, Ask> = HashMap::with_capacity(batch.len());
    let mut doubles = Vec::new();
    for ask in batch {
        if let Some(double) = asks.insert(ask.source.clone(), ask) {
            doubles.push(double);
        }
    }
    let mut read = BTreeSet::new();
    let mut next: Vec<u32> = if unhinted && hints.is_empty() { vec![0] } else { hints.into_iter().collect() };
    while !next.is_empty() && !asks.is_empty() {
        read.extend(next.iter().copied());
        if !read_pages(lane, &next, &mut asks).await {
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
    asks.into_values().chain(doubles).collect()
}

/// False: pages cannot be had, so ask for each by its id (which says why it fails, if it does).
async fn read_pages<R: Remote>(lane: &Arc<Lane<R>>, pages: &[u32], asks: &mut HashMap<SourceId, Ask>) -> bool {
    let mut reads = JoinSet::new();
    for page in pages.iter().copied() {
        let lane = Arc::clone(lane);
        reads.spawn(async move { (page, lane.page(page).await) });
    }
    let mut readable = true;
    while let Some(joined) = reads.join_next().await {
        match joined {
            Ok((page, Ok(sighted))) => {
                let mut others = Vec::new();
                for (id, seen) in sighted.value.servers {
                    match asks.remove(id.as_str()) {
                        Some(ask) => {
                            lane.list().found(ask.row, page);
                            _ = ask.answer.send(Sight::Seen { seen: Some(seen), left_at: sighted.left_at });
                        }
                        None => others.push((id, seen)),
                    }
                }
                if foreign::notice(lane, others, sighted.left_at).await.is_err() {
                    asks.clear();
                    readable = false;
                }
            }
            Ok((_, Err(ReadFailed::Outcome(_)))) => readable = false,
            Ok((_, Err(ReadFailed::LetGo | ReadFailed::Journal(_)))) | Err(_) => {
                asks.clear();
                readable = false;
            }
        }
    }
    readable
}

async fn by_id<R: Remote>(lane: Arc<Lane<R>>, asks: Vec<Ask>) {
    let mut reads = JoinSet::new();
    for ask in asks {
        let lane = Arc::clone(&lane);
        reads.spawn(async move {
            let sight = match lane.show(&ask.source).await {
                Ok(sighted) => Sight::Seen { seen: sighted.value, left_at: sighted.left_at },
                Err(ReadFailed::Outcome(outcome @ Outcome::Rejected { .. })) => {
                    Sight::Refused { cause: outcome.to_string() }
                }
                Err(ReadFailed::Outcome(outcome)) => Sight::Failed { cause: outcome.to_string() },
                // Dropping an ask tells its row that nothing will be learned by this launch.
                Err(ReadFailed::LetGo | ReadFailed::Journal(_)) => return,
            };
            _ = ask.answer.send(sight);
        });
    }
    while reads.join_next().await.is_some() {}
}
