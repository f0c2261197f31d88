//! Looks before a row is sent, and their meaning: what is sent, permission to send it again, or its verdict.
//!
//! A look that fails settles nothing. One that shows a row where nobody expected it may be a read that is behind, or one of a
//! service that has lost the row for a moment: it is a verdict only if a later look agrees.

use std::ops::ControlFlow::{Break, Continue};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::agreement::{AGREED, AGREED_AT_THE_END, PAUSE, Testimony};
use super::state::{Call, Ending, FRESH, Step};
use crate::engine::sight::{How, Sight};
use crate::event::row::RowEvent;
use crate::event::{Ground, Verdict};
use crate::gate::line::Place;
use crate::judge::{self, Effect, Fate, Reason};
use crate::ledger::Standing;
use crate::model::{Fields, SeenState, TargetState};
use crate::remote::service::Remote;

/// A row that is looked at for longer than this lets those behind it go first.
const LOOKS_WITHIN: Duration = Duration::from_secs(2);
/// Looks in doubt that have not agreed for this long are left to a later launch.
const AGREES_WITHIN: Duration = Duration::from_secs(30);

impl<R: Remote> Call<'_, R> {
    /// What to send, if what is known of the row already says so.
    pub(super) fn ready_at_once(&mut self) -> Option<TargetState> {
        self.forget_if_moved();
        let is_known = !self.standing.doubted && (!self.is_judged() || self.seen_within(FRESH));
        is_known.then(|| self.sends_from(self.seen.as_ref()))
    }

    /// What to send, once it is known from a fresh enough look that it should be sent.
    pub(super) async fn ready(&mut self) -> Step<TargetState> {
        if self.standing.doubted {
            // A look that is too old by the time that the row has its slot is made again there.
            if (!self.standing.looked || self.looked_at.is_none())
                && let Break(ending) = Box::pin(self.look_in_doubt()).await?
            {
                return Ok(Break(ending));
            }
            return self.judge(self.seen.clone()).await;
        }
        let stop = self.lane.stop.clone();
        let place = self.place.take();
        let (looked, place) = stop
            .unless_draining(Box::pin(keeping(place, self.look(How::from(Instant::now()), self.needs()))))
            .await
            .unzip();
        self.place = place.flatten();
        match looked {
            Some(looked) => match looked? {
                Continue(seen) => self.judge(seen).await,
                Break(ending) => Ok(Break(ending)),
            },
            None => Ok(Break(Ending::Later)),
        }
    }

    /// Weighs a look that was made with the slot in hand. None: it takes more than one look to say.
    pub(super) async fn weigh(&mut self, seen: Option<SeenState>) -> Step<Option<TargetState>> {
        if self.standing.doubted {
            let effect = self.effect_of(seen.as_ref());
            if matches!(effect, Effect::Overtaken { .. }) {
                self.looked_at = None;
                return Ok(Continue(None));
            }
            if let Break(ending) = self.weigh_doubt(effect, seen.clone()).await? {
                return Ok(Break(ending));
            }
        }
        Ok(match self.judge(seen).await? {
            Continue(sends) => Continue(Some(sends)),
            Break(ending) => Break(ending),
        })
    }

    /// Judges the row anew from what was just seen. The half that is filled in is what is there now, too.
    pub(super) async fn judge(&mut self, seen: Option<SeenState>) -> Step<TargetState> {
        if !self.is_judged() {
            return Ok(Continue(self.row.wants.clone()));
        }
        match judge::judge(&self.row, seen.as_ref(), self.completes(), self.lane.settings.dialect) {
            Fate::Change { sends, .. } => {
                if let Some(reason) = self.moved_meanwhile(seen.as_ref()) {
                    return self.settle(Verdict::Overtaken, seen, Some(reason.into())).await.map(Break);
                }
                let Standing { doubted, looked, moved, .. } = &self.standing;
                let is_news = !looked || moved.is_some() || seen.as_ref() != self.standing.last_seen();
                if !doubted && is_news {
                    self.record(vec![RowEvent::Seen { seen }.about(self.row.id)]).await?;
                }
                Ok(Continue(sends))
            }
            Fate::Already => {
                let verdict = judge::on_target_verdict(&self.standing);
                self.settle(verdict, seen, None).await.map(Break)
            }
            Fate::Blocked { reason } => {
                self.settle(judge::unsent_verdict(&self.standing), seen, Some(reason)).await.map(Break)
            }
        }
    }

    /// Whether somebody else moved the row after it was looked at, told about, and agreed to.
    fn moved_meanwhile(&self, seen: Option<&SeenState>) -> Option<String> {
        let was = self.standing.last_seen().filter(|_| self.lane.settings.preflight && self.standing.looked);
        match judge::effect(&self.row.wants, Some(was?), seen) {
            Effect::Overtaken { reason } => Some(format!("{reason}; somebody moved it before it was sent")),
            Effect::OnTarget | Effect::NotYet { .. } | Effect::Unprovable { .. } => None,
        }
    }

    fn sends_from(&self, seen: Option<&SeenState>) -> TargetState {
        match seen {
            Some(seen) if self.completes() => self.row.wants.completed_from(seen),
            Some(_) | None => self.row.wants.clone(),
        }
    }

    /// One look by the lane's reader.
    pub(super) async fn look(&mut self, how: How, needs: Fields) -> Step<Option<SeenState>> {
        let sight = self.lane.sight(&self.row, needs, how).await;
        self.take_sight(sight).await
    }

    pub(super) async fn take_sight(&mut self, sight: Option<Sight>) -> Step<Option<SeenState>> {
        match sight {
            Some(Sight::Seen { seen, left_at }) => {
                self.looked_at = Some(left_at);
                self.seen.clone_from(&seen);
                Ok(Continue(seen))
            }
            Some(Sight::Failed { cause }) => self.leave(format!("the look failed: {cause}")).await.map(Break),
            None => Ok(Break(Ending::Later)),
        }
    }

    /// What a look must show that decides about sending; who only looks asks for the target alone.
    pub(super) fn needs(&self) -> Fields {
        if self.sends { judge::needed_to_send(&self.row, self.completes()) } else { self.row.wants.fields() }
    }

    /// Sent, answer unknown: nobody sends again before looking.
    pub(super) async fn look_in_doubt(&mut self) -> Step<()> {
        // Pages tell of it while its own look is on its way to the disk.
        self.onlooker.get_or_insert_with(|| self.lane.onlookers.join(&self.row.source_id));
        let mut not_before = self.settled_by();
        let mut testimony = Testimony::default();
        let mut pause = PAUSE;
        let mut was_elsewhere = false;
        let gives_up_at = Instant::now() + AGREES_WITHIN;
        loop {
            let seen = match self.look(How::from(not_before), self.needs()).await? {
                Continue(seen) => seen,
                Break(ending) => return Ok(Break(ending)),
            };
            let left_at = self.looked_at.unwrap_or(not_before);
            let effect = self.effect_of(seen.as_ref());
            let enough = match &effect {
                Effect::OnTarget => Duration::ZERO,
                Effect::NotYet { .. } | Effect::Unprovable { .. } if testimony.is_empty() => Duration::ZERO,
                Effect::NotYet { .. } | Effect::Unprovable { .. } => AGREED_AT_THE_END,
                Effect::Overtaken { .. } => AGREED.min(self.lane.settings.verify_timeout).max(AGREED_AT_THE_END),
            };
            was_elsewhere |= seen.is_some() && matches!(effect, Effect::Overtaken { .. });
            if enough.is_zero() || testimony.agreed_for(&effect, left_at) >= enough {
                return match &effect {
                    // Somebody may have moved it there and back: it is not ours to send just now.
                    Effect::NotYet { .. } | Effect::Unprovable { .. } if was_elsewhere => {
                        self.leave("looks show it elsewhere, and then as before again".to_owned()).await.map(Break)
                    }
                    Effect::OnTarget | Effect::NotYet { .. } | Effect::Overtaken { .. } | Effect::Unprovable { .. } => {
                        self.weigh_doubt(effect, seen).await
                    }
                };
            }
            let now = Instant::now();
            if now >= gives_up_at {
                return self.leave("what looks show of it changes all the time".to_owned()).await.map(Break);
            }
            not_before = now + pause;
            pause = (pause * 2).min(AGREED_AT_THE_END);
        }
    }

    pub(super) fn effect_of(&self, seen: Option<&SeenState>) -> Effect {
        judge::effect(&self.row.wants, self.standing.last_seen(), seen)
    }

    /// Settles the row from a look, or records that it is as before and may be sent again.
    pub(super) async fn weigh_doubt(&mut self, effect: Effect, seen: Option<SeenState>) -> Step<()> {
        match effect {
            Effect::OnTarget => {
                let verdict = judge::on_target_verdict(&self.standing);
                self.settle(verdict, seen, None).await.map(Break)
            }
            Effect::Overtaken { reason } => self.settle(Verdict::Overtaken, seen, Some(reason.into())).await.map(Break),
            Effect::Unprovable { reason, as_before: false } => {
                self.settle(Verdict::Unverified, seen, Some(Reason::on(Ground::NeverShown, reason))).await.map(Break)
            }
            Effect::NotYet { .. } | Effect::Unprovable { as_before: true, .. } => {
                if let Some(refused) = self.refused.take() {
                    return self.settle(Verdict::Refused, seen, Some(refused.into())).await.map(Break);
                }
                self.record(vec![RowEvent::Seen { seen }.about(self.row.id)]).await?;
                Ok(Continue(()))
            }
        }
    }
}

/// Does the work and keeps the place in line, unless the work takes so long that others should go first.
async fn keeping<T>(place: Option<Place>, work: impl Future<Output = T>) -> (T, Option<Place>) {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = timeout(LOOKS_WITHIN, work.as_mut()).await {
        return (done, place);
    }
    drop(place);
    (work.await, None)
}
