//! State of one row's call: what is known of the row, what it holds, and how that is recorded.
//!
//! Ground of the other files: these add the steps.

use std::ops::ControlFlow::{Break, Continue};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::engine::lane::Lane;
use crate::engine::lane::news::News;
use crate::engine::onlookers::Onlooker;
use crate::event::row::RowEvent;
use crate::event::{EventKind, Outcome, Verdict};
use crate::gate::line::Place;
use crate::judge::{self, Reason};
use crate::ledger::{Phase, Standing};
use crate::model::{Row, SeenState};
use crate::recorder::JournalClosed;
use crate::remote::service::Remote;
use crate::steering::counts::{TryResult, Turn};
use crate::transport::Connection;

/// What a look showed is good for an intent for this long.
pub(super) const FRESH: Duration = Duration::from_mins(1);
/// An intent may wait for its leave for this long beyond that: the pace lets one after the other go.
pub(super) const IN_TURN: Duration = Duration::from_secs(5);
/// The look that permits a re-send, or that decides what is sent, is made directly before it.
pub(super) const DIRECTLY: Duration = Duration::from_secs(5);
/// A slow server may still be at it.
pub(super) const SETTLES_WITHIN: Duration = Duration::from_secs(1);

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Settled(Verdict),
    /// Left for a later launch.
    Later,
}

#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub(crate) struct Call<'a, R> {
    pub(crate) lane: &'a Lane<R>,
    pub(crate) row: Row,
    /// Folded along with what is recorded: what the journal says, or is about to.
    pub(crate) standing: Standing,
    /// Whether changes may be sent; `reconcile` only looks.
    pub(crate) sends: bool,
    /// Held until the row has had its first answer, so that not the whole plan is open at once.
    pub(crate) fresh: Option<OwnedSemaphorePermit>,
    /// Where it stands among those that wait for a slot.
    pub(crate) place: Option<Place>,
    /// Told what others see of it, where what is sent depends on that.
    pub(super) onlooker: Option<Onlooker>,
    pub(super) counted: u32,
    /// It waited for too long after the look that it shared with others, and has one of its own.
    pub(super) held_back: bool,
    /// The service refused it although an earlier attempt may have moved it: its verdict, if a look shows it as before.
    pub(super) refused: Option<String>,
    /// What the row's next request goes over: a new one after a request that got no answer, because others that were kept
    /// with it may be dying, too.
    pub(super) connection: Connection,
    /// The last answer refused our credentials, and others were got.
    pub(super) renewed: bool,
    /// What the last look of this launch showed, and when it left.
    pub(super) seen: Option<SeenState>,
    pub(super) looked_at: Option<Instant>,
    /// When the last request left for the row, as far as it matters still, and when it was answered.
    pub(super) sent_at: Option<Instant>,
    pub(super) answered_at: Instant,
    /// No look succeeded.
    pub(super) unseen: bool,
    /// Its turn among the rows that are tried, while it is not settled.
    pub(super) turn: Option<Turn>,
}

impl<R> Drop for Call<'_, R> {
    fn drop(&mut self) {
        if let Some(turn) = self.turn {
            self.lane.helm.leave(turn);
        }
    }
}

/// Goes on, or ends here.
pub(super) type Step<T> = Result<std::ops::ControlFlow<Ending, T>, JournalClosed>;

impl<'a, R: Remote> Call<'a, R> {
    pub(crate) fn new(lane: &'a Lane<R>, row: Row, standing: Standing, sends: bool) -> Self {
        // Preflight leaves rows in doubt to the look that is made directly before they are sent, and what it could not
        // look at to the row's own look.
        let seen_by_preflight = standing.looked && !standing.doubted && !standing.phase.is_in_doubt();
        let looked_at = if seen_by_preflight { lane.seen_by_preflight_at(row.id) } else { None };
        let seen = standing.last_seen().cloned();
        let answered_at = Instant::now();
        let sent_at = sent_by_an_earlier_launch(&standing);
        Self {
            lane,
            row,
            standing,
            sends,
            fresh: None,
            place: None,
            onlooker: None,
            counted: 0,
            held_back: false,
            refused: None,
            connection: Connection::Any,
            renewed: false,
            seen,
            looked_at,
            sent_at,
            answered_at,
            unseen: false,
            turn: None,
        }
    }

    /// A read that was made for others may have shown it elsewhere: what was seen of it before is no longer so.
    pub(super) fn forget_if_moved(&mut self) -> Option<News> {
        let news = if self.is_looked_at() { self.lane.news.take(self.row.id) } else { None };
        let news = news.or_else(|| self.has_arrived().then_some(News::OnTarget));
        if news.is_some() {
            self.looked_at = None;
        }
        news
    }

    /// Tells that a row in doubt is where it should be by a page that was asked for after its own look.
    pub(super) fn has_arrived(&self) -> bool {
        let onlooker = self.onlooker.as_ref().filter(|_| self.standing.doubted);
        onlooker.and_then(Onlooker::latest).is_some_and(|glimpse| {
            self.looked_at.is_some_and(|at| at < glimpse.left_at) && judge::on_target(&self.row.wants, &glimpse.seen)
        })
    }

    /// Whether what is known of the row is fresh enough for an intent.
    pub(super) fn needs_no_look(&self) -> bool {
        if self.standing.doubted {
            self.standing.looked && self.seen_within(DIRECTLY)
        } else if self.depends() {
            self.seen_within(self.directly_within())
        } else {
            !self.is_judged() || self.seen_within(FRESH)
        }
    }

    /// Whether a look decides if the row is sent: with preflight off, only where the plan expects something.
    pub(super) fn is_judged(&self) -> bool {
        self.lane.settings.preflight || !self.row.expects.is_empty()
    }

    /// Whether the row is sent only after a look.
    pub(super) fn is_looked_at(&self) -> bool {
        self.standing.doubted || self.is_judged()
    }

    /// Whether what is sent depends on what was seen, so that the look has to be a direct one.
    pub(super) fn depends(&self) -> bool {
        judge::depends_on_look(&self.row, self.completes())
    }

    /// Whether it still has to share a direct look with others.
    pub(super) fn must_be_direct(&self) -> bool {
        self.depends() && !self.standing.doubted && !self.held_back
    }

    /// For how long a look is a direct one. Where the pace is slower than that, nothing is between it and the request.
    pub(super) fn directly_within(&self) -> Duration {
        let pace = self.lane.gate.slowest();
        let two_turns = pace.and_then(|rate| Duration::try_from_secs_f64(2.5 / rate).ok());
        DIRECTLY.max(two_turns.unwrap_or(DIRECTLY))
    }

    pub(super) fn completes(&self) -> bool {
        self.lane.settings.preflight && self.lane.settings.complete_pair
    }

    /// When the row's last request has had time to take effect.
    pub(super) fn settled_by(&self) -> Instant {
        self.sent_at.map_or(self.answered_at, |sent| sent + SETTLES_WITHIN)
    }

    pub(super) fn seen_within(&self, limit: Duration) -> bool {
        self.looked_at.is_some_and(|at| at.elapsed() < limit)
    }

    pub(super) fn skipped(&self) -> Option<Reason> {
        self.lane.helm.skipped(&self.row.source_id, &self.standing)
    }

    /// Somebody may have said that it is not to be sent.
    pub(super) async fn unless_skipped(&mut self) -> Step<()> {
        match self.skipped() {
            Some(reason) => {
                let verdict = judge::unsent_verdict(&self.standing);
                Box::pin(self.settle(verdict, self.seen.clone(), Some(reason))).await.map(Break)
            }
            None => Ok(Continue(())),
        }
    }

    pub(super) fn ended(
        &self,
        attempt: u32,
        outcome: Outcome,
        request_id: Option<String>,
        took: Duration,
    ) -> EventKind {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        RowEvent::AttemptEnded { attempt, outcome, request_id, took_ms }.about(self.row.id)
    }

    pub(super) fn verdict(&self, verdict: Verdict, seen: Option<SeenState>, reason: Option<Reason>) -> EventKind {
        judge::settled(self.row.id, verdict, seen, reason)
    }

    pub(super) async fn settle(
        &mut self,
        verdict: Verdict,
        seen: Option<SeenState>,
        reason: Option<Reason>,
    ) -> Result<Ending, JournalClosed> {
        self.record(vec![self.verdict(verdict, seen, reason)]).await?;
        Ok(Ending::Settled(verdict))
    }

    pub(super) async fn leave(&mut self, cause: String) -> Result<Ending, JournalClosed> {
        self.record(vec![RowEvent::Left { cause }.about(self.row.id)]).await?;
        Ok(Ending::Later)
    }

    pub(super) async fn record(&mut self, kinds: Vec<EventKind>) -> Result<(), JournalClosed> {
        for kind in &kinds {
            if let EventKind::Row(row, event) = kind
                && *row == self.row.id
            {
                // The journal takes or refuses the same step; where it refuses, the row goes no further.
                _ = self.standing.add(*row, event, jiff::Timestamp::now());
            }
        }
        self.lane.record(kinds, Some(&self.row.source_id)).await?;
        if self.sends { self.count().await } else { Ok(()) }
    }

    /// The halt rules hear of a row when the service has taken it, and again when it is settled.
    pub(super) async fn count(&mut self) -> Result<(), JournalClosed> {
        let helm = &self.lane.helm;
        match self.standing.phase {
            Phase::Accepted => _ = self.turn.get_or_insert_with(|| helm.begin()),
            Phase::Settled(verdict) => {
                if verdict == Verdict::Applied {
                    helm.moved_one(self.lane.id);
                }
                if let Some(result) = TryResult::from_verdict(&self.standing, verdict, self.unseen) {
                    self.lane.to_do.tried_one();
                    let turn = self.turn.take().unwrap_or_else(|| helm.begin());
                    helm.end(turn, result).await?;
                }
            }
            Phase::Untried | Phase::Open | Phase::InDoubt | Phase::Due => (),
        }
        Ok(())
    }
}

/// When an earlier launch sent the row last, no more than a second ago: a server that was slow then may still be at it.
fn sent_by_an_earlier_launch(standing: &Standing) -> Option<Instant> {
    let now = Instant::now();
    if standing.phase == Phase::Open {
        // The intent may have waited long for leave to go; all that is sure is that it was before this launch.
        return Some(now);
    }
    let ago = jiff::Timestamp::now().duration_since(standing.last_sent_at?);
    // A clock that was set back in between says nothing.
    let ago = Duration::try_from(ago).unwrap_or(Duration::ZERO);
    now.checked_sub(ago.min(SETTLES_WITHIN))
}
