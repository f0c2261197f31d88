//! What looks mean for a row that was sent: permission to send it again, or its verdict.
//!
//! A look that fails settles nothing. One that shows a row where nobody expected it may be a read that is behind, or one of a
//! service that has lost the row for a moment: it is a verdict only if a later look agrees.

use std::ops::ControlFlow::{Break, Continue};
use std::time::Duration;

use tokio::time::Instant;

use super::{Call, Ending, Step};
use crate::engine::sight::{How, Sight};
use crate::event::row::RowEvent;
use crate::event::{Ground, Verdict};
use crate::judge::{self, Effect, Reason};
use crate::model::{Fields, SeenState};
use crate::recorder::JournalClosed;
use crate::remote::Remote;

/// Two looks that agree on something strange left at least this far apart, or a second where the window ends before.
const AGREED: Duration = Duration::from_secs(5);
const AGREED_AT_THE_END: Duration = Duration::from_secs(1);
/// Looks in doubt that have not agreed for this long are left to a later launch.
const AGREES_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks at first; each later one waits twice as long.
const PAUSE: Duration = Duration::from_millis(250);

/// What looks that follow each other agree on.
#[derive(Debug, Default)]
pub(super) struct Testimony(Option<(Effect, Instant)>);

impl Testimony {
    /// For how long looks up to this one have agreed with it; nothing for the first of them.
    pub(super) fn agreed_for(&mut self, effect: &Effect, left_at: Instant) -> Duration {
        match &self.0 {
            Some((shown, since)) if shown == effect => left_at.saturating_duration_since(*since),
            Some(_) | None => {
                self.0 = Some((effect.clone(), left_at));
                Duration::ZERO
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// When a look would have agreed for long enough.
    fn complete_at(&self) -> Option<Instant> {
        self.0.as_ref().map(|(_, since)| *since + AGREED)
    }
}

impl<R: Remote> Call<'_, R> {
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

    /// Accepted: look until the target is seen, or the window is over.
    pub(super) async fn verify(&mut self) -> Result<Ending, JournalClosed> {
        let (verdict, seen, reason) = if self.lane.settings.verify {
            match self.proof().await {
                Some(proof) => proof,
                None => return Ok(Ending::Later),
            }
        } else {
            (Verdict::Unverified, None, Some(Reason::not_verified()))
        };
        Box::pin(self.settle(verdict, seen, reason)).await
    }

    /// What looks show of an accepted change. None: everything is let go.
    ///
    /// What is strange at the end of the window, and was not before, has one more look. If that one does not agree either,
    /// all that is known is that the target is not there.
    async fn proof(&mut self) -> Option<(Verdict, Option<SeenState>, Option<Reason>)> {
        let window_ends = self.answered_at + self.lane.settings.verify_timeout;
        let mut pause = PAUSE;
        let mut how = How { patient: true, ..How::from(self.answered_at) };
        let mut failed_after_window = false;
        let mut testimony = Testimony::default();
        let mut asked_again = false;
        loop {
            match self.lane.sight(&self.row, self.row.wants.fields(), how).await? {
                Sight::Failed { cause } => {
                    // It has been tried with patience already, so one more failure after the window is the end.
                    if failed_after_window {
                        self.unseen = true;
                        let none = Reason::on(Ground::Unseen, format!("no look succeeded: {cause}"));
                        return Some((Verdict::Unverified, None, Some(none)));
                    }
                    failed_after_window = Instant::now() >= window_ends;
                }
                Sight::Seen { seen, left_at } => {
                    let over = left_at >= window_ends;
                    let effect = self.effect_of(seen.as_ref());
                    let agreed = match &effect {
                        Effect::Overtaken { .. } => testimony.agreed_for(&effect, left_at),
                        Effect::OnTarget | Effect::NotYet { .. } | Effect::Unprovable { .. } => {
                            testimony = Testimony::default();
                            Duration::ZERO
                        }
                    };
                    match effect {
                        Effect::OnTarget => return Some((Verdict::Applied, seen, None)),
                        Effect::Overtaken { reason } if agreed >= AGREED || (over && agreed >= AGREED_AT_THE_END) => {
                            return Some((Verdict::Overtaken, seen, Some(reason.into())));
                        }
                        Effect::Overtaken { reason } if over && asked_again => {
                            let reason = format!("{reason}, as one look shows and no other");
                            return Some((Verdict::NoEffect, seen, Some(reason.into())));
                        }
                        Effect::NotYet { reason } if over => {
                            return Some((Verdict::NoEffect, seen, Some(reason.into())));
                        }
                        Effect::Unprovable { reason, .. } if over => {
                            let reason = Reason::on(Ground::NeverShown, reason);
                            return Some((Verdict::Unverified, seen, Some(reason)));
                        }
                        Effect::Overtaken { .. } => asked_again = over,
                        Effect::NotYet { .. } | Effect::Unprovable { .. } => (),
                    }
                }
            }
            let now = Instant::now();
            how = How::from(if asked_again {
                now + AGREED_AT_THE_END
            } else if now < window_ends {
                let strange = testimony.complete_at().unwrap_or(window_ends).max(now);
                (now + pause).min(window_ends).min(strange)
            } else {
                now + pause
            });
            pause *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn looks_agree_from_the_first_one_that_shows_the_same() {
        let moved = |to: &str| Effect::Overtaken { reason: to.to_owned() };
        let mut testimony = Testimony::default();
        let began = Instant::now();
        let mut after =
            |seconds, effect: &Effect| testimony.agreed_for(effect, began + Duration::from_secs(seconds)).as_secs();
        assert_eq!(after(0, &moved("a")), 0);
        assert_eq!(after(2, &moved("a")), 2);
        assert_eq!(after(3, &moved("b")), 0);
        assert_eq!(after(4, &moved("a")), 0);
        assert_eq!(after(9, &moved("a")), 5);
    }
}
