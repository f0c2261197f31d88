//! Looks by pages of the list: one page answers all requests for rows that it shows.
//!
//! Absence from pages proves nothing, so requests that no page answers are handed back, to be read by id.

use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::swept::{Sifted, SweptSources};
use crate::engine::foreign;
use crate::engine::lane::Lane;
use crate::engine::lane::news::News;
use crate::engine::lane::reading::{ReadFailed, Sighted};
use crate::engine::look_request::{LookAnswer, LookRequest};
use crate::event::outcome::Outcome;
use crate::model::SourceId;
use crate::model::state::SeenState;
use crate::recorder::refusal::NotRecorded;
use crate::remote::service::{Page, Remote};

/// Reads the pages on which rows were last seen, and then the rest of the list where that is cheaper than reading the
/// remaining rows by id. Returns the requests that no page answered.
pub(super) async fn answer<R: Remote>(lane: &Arc<Lane<R>>, batch: Vec<LookRequest>) -> Vec<LookRequest> {
    let mut pages = first_pages(&batch);
    let mut sweep = PageSweep::new(lane, batch);
    while !pages.is_empty() && !sweep.open.is_empty() {
        if sweep.read(pages).await.is_break() {
            break;
        }
        pages = sweep.further_pages();
    }
    sweep.unanswered()
}

/// Pages on which rows were last seen; the first of the list, which tells its length, where no row was seen on any.
fn first_pages(batch: &[LookRequest]) -> BTreeSet<u32> {
    let hints: BTreeSet<u32> = batch.iter().filter_map(|request| request.page).collect();
    if hints.is_empty() { BTreeSet::from([0]) } else { hints }
}

/// Sweep of one batch by pages.
struct PageSweep<'a, R> {
    lane: &'a Arc<Lane<R>>,
    /// Requests that no page has answered yet.
    open: HashMap<SourceId, LookRequest>,
    /// Requests that no page can answer: further ones for the same source, and those whose page lacks what their look needs.
    by_id: Vec<LookRequest>,
    /// A row was seen on no page yet, so that the whole list is read once on its account.
    seeks_unlisted: bool,
    read: BTreeSet<u32>,
    swept: SweptSources,
}

impl<'a, R: Remote> PageSweep<'a, R> {
    fn new(lane: &'a Arc<Lane<R>>, batch: Vec<LookRequest>) -> Self {
        let seeks_unlisted = batch.iter().any(|request| request.page.is_none());
        let mut open = HashMap::with_capacity(batch.len());
        let by_id = batch.into_iter().filter_map(|request| open.insert(request.source.clone(), request)).collect();
        Self { lane, open, by_id, seeks_unlisted, read: BTreeSet::new(), swept: SweptSources::default() }
    }

    /// Reads pages side by side and answers from each. Breaks where pages cannot be had: reads by id say why they fail, if they do.
    async fn read(&mut self, pages: BTreeSet<u32>) -> ControlFlow<()> {
        let mut reads = JoinSet::new();
        for page in pages {
            self.read.insert(page);
            let lane = Arc::clone(self.lane);
            reads.spawn(async move { (page, lane.page(page).await) });
        }
        let mut all = Continue(());
        while let Some(joined) = reads.join_next().await {
            let one = match joined {
                Ok((page, read)) => self.take(page, read).await,
                Err(_) => self.let_go(),
            };
            if one.is_break() {
                all = Break(());
            }
        }
        all
    }

    async fn take(&mut self, page: u32, read: Result<Sighted<Page>, ReadFailed>) -> ControlFlow<()> {
        match read {
            Ok(sighted) => match self.answer_from(page, sighted).await {
                Ok(()) => Continue(()),
                Err(NotRecorded::ToAll | NotRecorded::ToLane) => {
                    self.open.clear();
                    Break(())
                }
            },
            Err(ReadFailed::Outcome(outcome)) => {
                // For good, and not for as long as an outage lasts.
                if let Outcome::Rejected { .. } | Outcome::Lost { status: Some(300..500), .. } = outcome {
                    self.lane.list().give_up(outcome.to_string());
                }
                Break(())
            }
            Err(ReadFailed::LetGo | ReadFailed::Journal(_)) => self.let_go(),
        }
    }

    /// Drops all requests, which tells their rows that nothing will be learned by this launch.
    fn let_go(&mut self) -> ControlFlow<()> {
        self.open.clear();
        self.by_id.clear();
        Break(())
    }

    /// Answers requests from one page as it comes: the next may be long in coming.
    async fn answer_from(&mut self, page: u32, Sighted { value, left_at }: Sighted<Page>) -> Result<(), NotRecorded> {
        let Sifted { consistent, contradicted } = self.swept.add(value);
        self.take_back(contradicted).await;
        self.lane.tell_onlookers(&consistent, left_at);
        let mut others = Vec::new();
        for (id, seen) in consistent {
            match self.open.remove(&id) {
                Some(request) => self.answer_one(request, page, seen, left_at),
                None => others.push((id, seen)),
            }
        }
        foreign::notice(self.lane, others, left_at).await
    }

    /// Takes back what was told of sources that pages show in different states: rows that wait to be sent are looked at again.
    async fn take_back(&mut self, contradicted: Vec<SourceId>) {
        let answered = contradicted.iter().filter_map(|id| self.swept.answered(id));
        self.lane.add_news(answered.map(|row| (row, News::Contradicted)));
        self.lane.untell_onlookers(&contradicted);
        foreign::hold_back(self.lane, contradicted).await;
    }

    fn answer_one(&mut self, request: LookRequest, page: u32, seen: SeenState, left_at: Instant) {
        if request.page != Some(page) {
            self.lane.list().found(request.row, page);
        }
        if seen.lacks(request.needs).is_some() {
            self.by_id.push(request);
            return;
        }
        self.swept.note_answered(&request.source, request.row);
        _ = request.answer.send(LookAnswer::Seen { seen: Some(seen), left_at });
    }

    /// Pages to read next: the rest of the list where a row was seen on no page yet, or where that costs fewer calls than the
    /// requests that are still open by id. None otherwise.
    fn further_pages(&mut self) -> BTreeSet<u32> {
        let n_pages = self.lane.list().n_pages().unwrap_or(0);
        let rest: BTreeSet<u32> = (0..n_pages).filter(|page| !self.read.contains(page)).collect();
        let is_worth_it = mem::take(&mut self.seeks_unlisted) || rest.len() < self.open.len();
        if is_worth_it { rest } else { BTreeSet::new() }
    }

    fn unanswered(self) -> Vec<LookRequest> {
        self.open.into_values().chain(self.by_id).collect()
    }
}
