//! Proof of an accepted change: looks until the target is seen, or the window is over.

use tokio::time::Instant;

use super::agreement::{AGREED, AGREED_AT_THE_END, PAUSE, Testimony};
use super::state::{Call, Ending};
use crate::engine::sight::{How, Sight};
use crate::event::{Ground, Verdict};
use crate::judge::{Effect, Reason};
use crate::model::SeenState;
use crate::recorder::JournalClosed;
use crate::remote::service::Remote;

impl<R: Remote> Call<'_, R> {
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
                            std::time::Duration::ZERO
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
