//! State of one row's call: what is known of the row, what it waits with, and how its events are recorded.
//!
//! Ground of the other files: these add the steps.

use tokio::sync::OwnedSemaphorePermit;

use super::known::{KnownRow, LookNeeded};
use crate::diagnostics;
use crate::engine::driver::Clearance;
use crate::engine::lane::Lane;
use crate::engine::lane::clearance::Hindered;
use crate::engine::lane::news::News;
use crate::engine::onlookers::Onlooker;
use crate::event::kind::EventKind;
use crate::event::outcome::Outcome;
use crate::event::row::RowEvent;
use crate::event::verdict::{Ground, Verdict};
use crate::gate::queue::QueuePosition;
use crate::judge::effect::on_target;
use crate::judge::{self, Reason};
use crate::ledger::standing::{Phase, Standing};
use crate::model::Row;
use crate::model::state::SeenState;
use crate::recorder::refusal::NotRecorded;
use crate::remote::service::Remote;
use crate::retry;
use crate::steering::counts::{TryResult, Turn};
use crate::transport::client::Connection;

/// Purpose of a launch, as its calls see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LaunchPurpose {
    Carry,
    /// Settles what is in doubt by reading; sends no change.
    Reconcile,
}

/// One row in one launch, from where it stands to a verdict.
pub(crate) struct Call<'a, R> {
    pub(super) lane: &'a Lane<R>,
    pub(super) row: Row,
    pub(super) purpose: LaunchPurpose,
    pub(super) known: KnownRow,
    pub(super) queued: Queued,
    pub(super) tries: Tries,
    /// The service's refusal of a row that an earlier attempt may have moved: its verdict, if a look shows it as before.
    pub(super) refused: Option<String>,
    /// Its turn among the rows that are tried, while it is not settled.
    turn: Option<Turn>,
}

/// Places that a row keeps while it waits for its turn, over attempts that were not sent.
pub(super) struct Queued {
    /// Held until the row has had its first answer, so that not the whole plan is open at once.
    pub(super) admission: Option<OwnedSemaphorePermit>,
    /// Position among those that wait for a slot.
    pub(super) position: Option<QueuePosition>,
    /// Told what others see of it, where what is sent depends on that.
    pub(super) onlooker: Option<Onlooker>,
    /// The row waited for too long after the look that it shared with others; it gets one of its own.
    pub(super) was_held_back: bool,
}

impl Queued {
    /// Gives up what was held for the request that was just answered.
    pub(super) fn leave(&mut self) {
        (self.position, self.onlooker, self.was_held_back) = (None, None, false);
    }
}

/// Requests that were sent for a row by this launch.
pub(super) struct Tries {
    /// Attempts that count against its patience.
    pub(super) counted: u32,
    /// Connection for the row's next request: a new one after a request that got no answer, because others that were kept
    /// with it may be dying, too.
    pub(super) connection: Connection,
    /// The last answer refused our credentials, and others were got.
    pub(super) renewed: bool,
}

impl Tries {
    /// Notes an answer.
    pub(super) fn note(&mut self, outcome: &Outcome) {
        self.connection = Connection::after(outcome);
        self.renewed = false;
        if retry::counts(outcome) {
            self.counted += 1;
        }
    }

    /// Notes an answer that refused our credentials, for which others were got: the same request is made once more, at no cost
    /// to the row.
    pub(super) fn note_renewed(&mut self, outcome: &Outcome) {
        self.connection = Connection::after(outcome);
        self.renewed = true;
    }
}

impl<R> Drop for Call<'_, R> {
    fn drop(&mut self) {
        if let Some(turn) = self.turn {
            self.lane.leave_row(turn);
        }
    }
}

/// Result of one step: the call goes on with it, or returns early.
pub(super) type Step<T> = Result<T, Early>;

/// Reason for which a step gave nothing.
#[derive(Debug)]
pub(super) enum Early {
    /// The call is over: its row is settled, or left for a later launch.
    End,
    /// The call begins again from where its row stands now.
    Restart,
    /// The journal takes no more events.
    Closed(NotRecorded),
}

impl From<NotRecorded> for Early {
    fn from(closed: NotRecorded) -> Self {
        Self::Closed(closed)
    }
}

impl From<Hindered> for Early {
    fn from(hindered: Hindered) -> Self {
        match hindered {
            Hindered::Stopped => Self::End,
            Hindered::Paused => Self::Restart,
        }
    }
}

impl<'a, R: Remote> Call<'a, R> {
    pub(crate) fn new(
        lane: &'a Lane<R>,
        row: Row,
        standing: Standing,
        purpose: LaunchPurpose,
        admission: Option<OwnedSemaphorePermit>,
        position: Option<QueuePosition>,
    ) -> Self {
        let preflight_saw_at = lane.seen_by_preflight_at(row.id);
        Self {
            lane,
            known: KnownRow::from_earlier(&row, standing, &lane.settings, preflight_saw_at),
            row,
            purpose,
            queued: Queued { admission, position, onlooker: None, was_held_back: false },
            tries: Tries { counted: 0, connection: Connection::Any, renewed: false },
            refused: None,
            turn: None,
        }
    }

    /// Has the row told what pages show of it that are read for others.
    pub(super) fn watch_pages(&mut self) {
        self.queued.onlooker.get_or_insert_with(|| self.lane.watch_pages(&self.row.source_id));
    }

    /// Takes news of the row that reads for others brought: what was seen of it before no longer holds.
    pub(super) fn take_news(&mut self) -> Option<News> {
        let is_looked_at = self.known.needs() != LookNeeded::No;
        let news = if is_looked_at { self.lane.take_news(self.row.id) } else { None };
        let news = news.or_else(|| self.has_arrived().then_some(News::OnTarget));
        if news.is_some() {
            self.known.forget_look();
        }
        news
    }

    /// Tells that a row in doubt is where it should be by a page that was asked for after its own look.
    fn has_arrived(&self) -> bool {
        let onlooker = self.queued.onlooker.as_ref().filter(|_| self.known.needs() == LookNeeded::InDoubt);
        onlooker.and_then(Onlooker::latest).is_some_and(|glimpse| {
            self.known.was_seen_before(glimpse.left_at) && on_target(&self.row.wants, &glimpse.seen)
        })
    }

    /// Tells if the row's change may leave now.
    pub(super) fn clearance(&self) -> Clearance {
        self.lane.clearance(&self.row.source_id, &self.known.standing)
    }

    /// Waits while changes are paused. A row that somebody skipped is settled instead.
    pub(super) async fn cleared(&mut self) -> Step<()> {
        match self.clearance() {
            Clearance::Granted | Clearance::OneOfFew => Ok(()),
            Clearance::Paused => {
                self.decided(|| "waits: changes are paused".to_owned());
                self.lane.unpaused().await.ok_or(Early::End)
            }
            Clearance::Skipped(reason) => Err(self.settle_skipped(reason).await),
            Clearance::Draining => Err(Early::End),
        }
    }

    pub(super) fn is_skipped(&self) -> bool {
        matches!(self.clearance(), Clearance::Skipped(_))
    }

    /// Settles the row if somebody skipped it.
    pub(super) async fn settle_if_skipped(&mut self) -> Step<()> {
        match self.clearance() {
            Clearance::Skipped(reason) => Err(self.settle_skipped(reason).await),
            Clearance::Granted | Clearance::OneOfFew | Clearance::Paused | Clearance::Draining => Ok(()),
        }
    }

    async fn settle_skipped(&mut self, reason: Reason) -> Early {
        let verdict = judge::unsent_verdict(&self.known.standing);
        Box::pin(self.settle(verdict, self.known.seen.clone(), Some(reason))).await
    }

    /// Tells a decision about the row.
    pub(super) fn decided(&self, text: impl FnOnce() -> String) {
        diagnostics::decided_of(self.row.source_id.as_str(), text);
    }

    /// Records the row's verdict, with which the call ends.
    pub(super) async fn settle(&mut self, verdict: Verdict, seen: Option<SeenState>, reason: Option<Reason>) -> Early {
        self.decided(|| match &reason {
            Some(Reason { text, .. }) => format!("is settled as {verdict}: {text}"),
            None => format!("is settled as {verdict}"),
        });
        self.record_last(judge::settled(self.row.id, verdict, seen, reason)).await
    }

    /// Leaves the row for a later launch, and records the cause.
    pub(super) async fn leave(&mut self, cause: String) -> Early {
        self.decided(|| format!("is left for a later launch: {cause}"));
        self.record_last(RowEvent::Left { cause }.about(self.row.id)).await
    }

    async fn record_last(&mut self, kind: EventKind) -> Early {
        match self.record(vec![kind]).await {
            Ok(()) => Early::End,
            Err(closed) => closed.into(),
        }
    }

    /// Records events of the row, and of others that follow from them.
    pub(super) async fn record(&mut self, kinds: Vec<EventKind>) -> Result<(), NotRecorded> {
        for kind in &kinds {
            if let EventKind::Row(row, event) = kind
                && *row == self.row.id
            {
                // The journal takes or refuses the same step; where it refuses, the row goes no further.
                _ = self.known.standing.add(*row, event, jiff::Timestamp::now());
            }
        }
        self.lane.record(kinds, Some(&self.row.source_id)).await?;
        match self.purpose {
            LaunchPurpose::Carry => self.count().await,
            LaunchPurpose::Reconcile => Ok(()),
        }
    }

    /// Tells the halt rules of a row that the service has taken, and again when it is settled.
    async fn count(&mut self) -> Result<(), NotRecorded> {
        let (lane, standing) = (self.lane, &self.known.standing);
        match standing.phase {
            Phase::Accepted => _ = self.turn.get_or_insert_with(|| lane.begin_row()),
            Phase::Settled(verdict) => {
                if verdict == Verdict::Applied {
                    lane.moved_row();
                }
                if let Some(result) =
                    TryResult::from_verdict(standing, verdict, standing.ground == Some(Ground::Unseen))
                {
                    lane.end_row(self.turn.take(), result).await?;
                }
            }
            Phase::Untried | Phase::Open | Phase::InDoubt | Phase::Due => (),
        }
        Ok(())
    }
}
