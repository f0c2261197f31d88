//! Looks at a row before it is sent, and the decision to send it that rests on them.
//!
//! A look that fails settles nothing.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::known::{LookNeeded, directly_within};
use super::state::{Call, Early, LaunchPurpose, Step};
use super::turn::InTurn;
use crate::engine::lane::reading::ReadFailed;
use crate::engine::look_request::{LookAnswer, Urgency};
use crate::engine::onlookers::Onlooker;
use crate::event::row::RowEvent;
use crate::event::verdict::Verdict;
use crate::gate::AtHand;
use crate::gate::queue::QueuePosition;
use crate::judge::effect::Effect;
use crate::judge::{self, Decision};
use crate::model::state::{Fields, SeenState, TargetState};
use crate::remote::service::Remote;

/// Time for which a row keeps its position while it is looked at; after that, those behind it go first.
const LOOKS_WITHIN: Duration = Duration::from_secs(2);

impl<R: Remote> Call<'_, R> {
    /// Target to send, if what is known of the row already says that it may queue for its turn.
    pub(super) fn sends_at_once(&mut self) -> Option<TargetState> {
        self.take_news();
        let completion = self.lane.settings.completion();
        self.known.may_queue().then(|| completion.complete(&self.row.wants, self.known.seen.as_ref()))
    }

    /// Looks at the row until it is known from a fresh look that it should be sent, and gives the target to send.
    pub(super) async fn look_before_queueing(&mut self) -> Step<TargetState> {
        if self.known.needs() == LookNeeded::InDoubt {
            if self.known.lacks_permission() {
                Box::pin(self.look_in_doubt()).await?;
            }
            return self.decide(self.known.seen.clone()).await;
        }
        let lane = self.lane;
        self.decided(|| "waits for a look: what was seen of it is too old, or nothing was".to_owned());
        let position = self.queued.position.take();
        let look = Box::pin(keeping(position, self.look(Instant::now())));
        let (seen, position) = lane.unless_draining(look).await.ok_or(Early::End)?;
        self.queued.position = position;
        self.decide(seen?).await
    }

    /// Looks directly before the row comes to hand, and gives the target to send. A page that was just read for another row of
    /// it will do.
    pub(super) async fn look_directly(&mut self) -> Step<TargetState> {
        let lane = self.lane;
        let limit = directly_within(lane.gate().slowest());
        let needs = self.needed_fields();
        let glimpse = self.queued.onlooker.as_ref().and_then(Onlooker::latest);
        let glimpse = glimpse.filter(|of| of.left_at.elapsed() < limit && of.seen.lacks(needs).is_none());
        let seen = if let Some(glimpse) = glimpse {
            self.known.note_look(Some(glimpse.seen.clone()), glimpse.left_at);
            Some(glimpse.seen)
        } else {
            let answer = {
                let look = pin!(lane.look(&self.row, needs, Instant::now(), Urgency::PromptWithItsPage));
                lane.while_cleared(look).await?
            };
            self.take_look(answer).await?
        };
        self.decide(seen).await
    }

    /// Looks at a row that is at hand, as often as what it waits for makes the last look too old, and gives the target to send.
    /// Queueing again for each look would never end where the service is slow.
    pub(super) async fn look_at_hand(
        &mut self,
        at_hand: &mut AtHand,
        turn: &mut InTurn<'_>,
        mut sends: TargetState,
    ) -> Step<TargetState> {
        let lane = self.lane;
        loop {
            self.settle_if_skipped().await?;
            if self.take_news().is_some() {
                turn.looked_at_hand = None;
            }
            if self.known.permits_intent(|| lane.gate().slowest()) || self.was_looked_at_hand(turn) {
                return Ok(sends);
            }
            let fields = self.needed_fields();
            let show = lane.show_at_hand(at_hand, &self.row.source_id, fields, self.tries.connection);
            let sighted = match Box::pin(show).await {
                Ok(sighted) => sighted,
                Err(ReadFailed::Journal(closed)) => return Err(closed.into()),
                Err(ReadFailed::LetGo) => return Err(Early::End),
                // Nothing is known of it any more; the reader looks with more patience.
                Err(ReadFailed::Outcome(_)) => {
                    self.known.forget_look();
                    return Err(Early::Restart);
                }
            };
            turn.looked_at_hand = Some(Instant::now());
            self.known.note_look(sighted.value.clone(), sighted.left_at);
            sends = self.weigh_at_hand(sighted.value).await?;
            lane.while_cleared(pin!(lane.gate().soon(at_hand))).await?;
        }
    }

    /// Tells that the look that was made at hand was answered just now. How long the answer took does not count: where the
    /// service is slow, no other would come sooner.
    pub(super) fn was_looked_at_hand(&self, turn: &InTurn<'_>) -> bool {
        turn.looked_at_hand.is_some_and(|at| at.elapsed() < directly_within(self.lane.gate().slowest()))
    }

    /// Decides from a look that was made with the slot in hand. More than one look would take too long there.
    async fn weigh_at_hand(&mut self, seen: Option<SeenState>) -> Step<TargetState> {
        if self.known.needs() == LookNeeded::InDoubt {
            let effect = self.effect_of(seen.as_ref());
            if matches!(effect, Effect::Overtaken { .. }) {
                self.known.forget_look();
                return Err(Early::Restart);
            }
            self.weigh_doubt(effect, seen.clone()).await?;
        }
        self.decide(seen).await
    }

    /// Decides anew, from what was just seen, if the row is sent. The half that is filled in is what is there now, too.
    async fn decide(&mut self, seen: Option<SeenState>) -> Step<TargetState> {
        if !self.known.is_judged() {
            return Ok(self.row.wants.clone());
        }
        let settings = &self.lane.settings;
        match Decision::from_look(&self.row, seen.as_ref(), settings.completion(), settings.dialect) {
            Decision::Change { sends, .. } => {
                if let Some(reason) = self.moved_meanwhile(seen.as_ref()) {
                    return Err(self.settle(Verdict::Overtaken, seen, Some(reason.into())).await);
                }
                let standing = &self.known.standing;
                let is_news = !standing.looked || standing.moved.is_some() || seen.as_ref() != standing.last_seen();
                if !standing.doubted && is_news {
                    self.record(vec![RowEvent::Seen { seen }.about(self.row.id)]).await?;
                }
                Ok(sends)
            }
            Decision::Already => {
                let verdict = judge::on_target_verdict(&self.known.standing);
                Err(self.settle(verdict, seen, None).await)
            }
            Decision::Blocked { reason } => {
                let verdict = judge::unsent_verdict(&self.known.standing);
                Err(self.settle(verdict, seen, Some(reason)).await)
            }
        }
    }

    /// Reason for not sending a row that somebody else moved after it was looked at, told about, and agreed to.
    fn moved_meanwhile(&self, seen: Option<&SeenState>) -> Option<String> {
        let standing = &self.known.standing;
        let was = standing.last_seen().filter(|_| self.lane.settings.preflight && standing.looked);
        match Effect::from_look(&self.row.wants, Some(was?), seen) {
            Effect::Overtaken { reason } => Some(format!("{reason}; somebody moved it before it was sent")),
            Effect::OnTarget | Effect::NotYet { .. } | Effect::Unprovable { .. } => None,
        }
    }

    /// Fields that a look must show that decides about sending; a launch that only looks needs those of the target alone.
    fn needed_fields(&self) -> Fields {
        match self.purpose {
            LaunchPurpose::Carry => judge::needed_to_send(&self.row, self.lane.settings.completion()),
            LaunchPurpose::Reconcile => self.row.wants.fields(),
        }
    }

    /// Makes one look by the lane's reader, no sooner than `not_before`.
    pub(super) async fn look(&mut self, not_before: Instant) -> Step<Option<SeenState>> {
        let answer = self.lane.look(&self.row, self.needed_fields(), not_before, Urgency::Prompt).await;
        self.take_look(answer).await
    }

    async fn take_look(&mut self, answer: Option<LookAnswer>) -> Step<Option<SeenState>> {
        match answer {
            Some(LookAnswer::Seen { seen, left_at }) => {
                self.known.note_look(seen.clone(), left_at);
                self.decided(|| match &seen {
                    Some(seen) => format!("was looked at: it is {seen}"),
                    None => "was looked at: the service knows no such source".to_owned(),
                });
                Ok(seen)
            }
            Some(LookAnswer::Failed { cause }) => Err(self.leave(format!("the look failed: {cause}")).await),
            None => Err(Early::End),
        }
    }
}

/// Does the work and keeps the position in the queue, unless the work takes so long that others should go first.
async fn keeping<T>(position: Option<QueuePosition>, work: impl Future<Output = T>) -> (T, Option<QueuePosition>) {
    let mut work = pin!(work);
    if let Ok(done) = timeout(LOOKS_WITHIN, work.as_mut()).await {
        return (done, position);
    }
    drop(position);
    (work.await, None)
}
