//! Looks at a row that was sent and whose answer is unknown: permission to send it again, or its verdict.
//!
//! A look that shows a row where nobody expected it may be a read that is behind, or one of a service that has lost the row for
//! a moment: it is a verdict only if a later look agrees.

use std::time::Duration;

use tokio::time::Instant;

use super::agreement::{AGREED, AGREED_AT_THE_END, Agreement, FIRST_PAUSE};
use super::state::{Call, Step};
use crate::event::row::RowEvent;
use crate::event::verdict::{Ground, Verdict};
use crate::judge::effect::Effect;
use crate::judge::{self, Reason};
use crate::model::state::SeenState;
use crate::remote::service::Remote;

/// Time after which a row whose looks still do not agree is left to a later launch.
const AGREES_WITHIN: Duration = Duration::from_secs(30);

/// Looks at one row in doubt, up to the one that is believed.
struct LooksInDoubt {
    gives_up_at: Instant,
    agreement: Agreement,
    /// A look showed the row neither where it was nor on target.
    was_elsewhere: bool,
    pause: Duration,
}

/// Meaning of one more look at a row in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belief {
    /// Effect that is taken for true.
    Holds,
    /// The row was elsewhere and is as before again: somebody may have moved it there and back, so it is not sent by this launch.
    MovedAndBack,
    /// Another look has to agree, and leaves no sooner than `next`.
    Unsure { next: Instant },
    /// Looks have contradicted each other for [`AGREES_WITHIN`].
    Changes,
}

impl LooksInDoubt {
    fn new(now: Instant) -> Self {
        let (agreement, gives_up_at) = (Agreement::default(), now + AGREES_WITHIN);
        Self { gives_up_at, agreement, was_elsewhere: false, pause: FIRST_PAUSE }
    }

    /// Adds a look that left at `left_at`. Looks that show the row elsewhere have to agree for the verification `window`, but no
    /// less than [`AGREED_AT_THE_END`] and no longer than [`AGREED`].
    fn add(
        &mut self,
        effect: &Effect,
        seen: Option<&SeenState>,
        left_at: Instant,
        window: Duration,
        now: Instant,
    ) -> Belief {
        let enough = match effect {
            Effect::OnTarget => Duration::ZERO,
            Effect::NotYet { .. } | Effect::Unprovable { .. } if self.agreement.is_empty() => Duration::ZERO,
            Effect::NotYet { .. } | Effect::Unprovable { .. } => AGREED_AT_THE_END,
            Effect::Overtaken { .. } => AGREED.min(window).max(AGREED_AT_THE_END),
        };
        self.was_elsewhere |= seen.is_some() && matches!(effect, Effect::Overtaken { .. });
        if enough.is_zero() || self.agreement.agreed_for(effect, left_at) >= enough {
            return match effect {
                Effect::NotYet { .. } | Effect::Unprovable { .. } if self.was_elsewhere => Belief::MovedAndBack,
                Effect::OnTarget | Effect::NotYet { .. } | Effect::Overtaken { .. } | Effect::Unprovable { .. } => {
                    Belief::Holds
                }
            };
        }
        if now >= self.gives_up_at {
            return Belief::Changes;
        }
        let next = now + self.pause;
        self.pause = (self.pause * 2).min(AGREED_AT_THE_END);
        Belief::Unsure { next }
    }
}

impl<R: Remote> Call<'_, R> {
    /// Looks at a row whose answer is unknown, until a look is believed: permission to send the row again, or its verdict.
    pub(super) async fn look_in_doubt(&mut self) -> Step<()> {
        // Pages tell of it while its own look is on its way to the disk.
        self.watch_pages();
        let mut not_before = self.known.settles_at();
        self.decided(|| "is in doubt: looked at before anything is sent".to_owned());
        let mut looks = LooksInDoubt::new(Instant::now());
        loop {
            let seen = self.look(not_before).await?;
            let left_at = self.known.looked_at().unwrap_or(not_before);
            let effect = self.effect_of(seen.as_ref());
            match looks.add(&effect, seen.as_ref(), left_at, self.lane.settings.verify_timeout, Instant::now()) {
                Belief::Holds => return self.weigh_doubt(effect, seen).await,
                Belief::MovedAndBack => {
                    return Err(self.leave("looks show it elsewhere, and then as before again".to_owned()).await);
                }
                Belief::Changes => {
                    return Err(self.leave("what looks show of it changes all the time".to_owned()).await);
                }
                Belief::Unsure { next } => not_before = next,
            }
        }
    }

    /// Effect of what was sent, as a look shows it.
    pub(super) fn effect_of(&self, seen: Option<&SeenState>) -> Effect {
        Effect::from_look(&self.row.wants, self.known.standing.last_seen(), seen)
    }

    /// Settles the row from a look, or records that it is as before and may be sent again.
    pub(super) async fn weigh_doubt(&mut self, effect: Effect, seen: Option<SeenState>) -> Step<()> {
        let (verdict, reason) = match effect {
            Effect::OnTarget => (judge::on_target_verdict(&self.known.standing), None),
            Effect::Overtaken { reason } => (Verdict::Overtaken, Some(reason.into())),
            Effect::Unprovable { reason, as_before: false } => {
                (Verdict::Unverified, Some(Reason::on(Ground::NeverShown, reason)))
            }
            Effect::NotYet { .. } | Effect::Unprovable { as_before: true, .. } => {
                let Some(refused) = self.refused.take() else {
                    return Ok(self.record(vec![RowEvent::Seen { seen }.about(self.row.id)]).await?);
                };
                (Verdict::Refused, Some(refused.into()))
            }
        };
        Err(self.settle(verdict, seen, reason).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Belief after looks that were made at these seconds.
    fn looks(shown: &[(u64, Effect)]) -> Belief {
        let began = Instant::now();
        let mut looks = LooksInDoubt::new(began);
        let mut believe = |(seconds, effect): &(u64, Effect)| {
            let at = began + Duration::from_secs(*seconds);
            looks.add(effect, Some(&SeenState::default()), at, Duration::from_mins(1), at)
        };
        shown.iter().map(&mut believe).last().expect("there is a look")
    }

    fn moved() -> Effect {
        Effect::Overtaken { reason: "moved".to_owned() }
    }

    fn not_yet() -> Effect {
        Effect::NotYet { reason: "still there".to_owned() }
    }

    #[test]
    fn the_first_look_is_believed_unless_it_shows_something_strange() {
        assert_eq!(looks(&[(0, Effect::OnTarget)]), Belief::Holds);
        assert_eq!(looks(&[(0, not_yet())]), Belief::Holds);
        assert!(matches!(looks(&[(0, moved())]), Belief::Unsure { .. }));
    }

    #[test]
    fn something_strange_is_believed_when_looks_agree_for_long_enough() {
        assert!(matches!(looks(&[(0, moved()), (4, moved())]), Belief::Unsure { .. }));
        assert_eq!(looks(&[(0, moved()), (4, moved()), (5, moved())]), Belief::Holds);
        assert_eq!(looks(&[(0, moved()), (1, Effect::OnTarget)]), Belief::Holds);
    }

    #[test]
    fn a_row_that_was_elsewhere_and_is_as_before_again_is_not_sent() {
        assert!(matches!(looks(&[(0, moved()), (1, not_yet())]), Belief::Unsure { .. }));
        assert_eq!(looks(&[(0, moved()), (1, not_yet()), (2, not_yet())]), Belief::MovedAndBack);
    }

    #[test]
    fn looks_that_never_agree_are_given_up_after_half_a_minute() {
        let changing =
            |until| (0..=until).map(|n| (n, if n % 2 == 0 { moved() } else { not_yet() })).collect::<Vec<_>>();
        assert!(matches!(looks(&changing(29)), Belief::Unsure { .. }));
        assert_eq!(looks(&changing(30)), Belief::Changes);
    }
}
