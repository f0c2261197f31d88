//! Proof of an accepted change: looks until the target is seen, or the window for that is over.

use std::time::Duration;

use tokio::time::Instant;

use super::agreement::{AGREED, AGREED_AT_THE_END, Agreement, FIRST_PAUSE};
use super::state::{Call, Early, Step};
use crate::engine::look_request::{LookAnswer, Urgency};
use crate::event::verdict::{Ground, Verdict};
use crate::judge::Reason;
use crate::judge::effect::Effect;
use crate::model::state::SeenState;
use crate::remote::service::Remote;

/// Verdict that looks at an accepted change come to, with the state that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Conclusion {
    verdict: Verdict,
    seen: Option<SeenState>,
    reason: Option<Reason>,
}

/// Window in which an accepted change has to show, and the looks in it so far.
///
/// Something strange at the end of the window on which looks have agreed for less than [`AGREED_AT_THE_END`] has one more look.
/// If that one does not agree either, all that is known is that the target is not there.
struct VerificationWindow {
    ends: Instant,
    agreement: Agreement,
    /// A look has failed after the end.
    failed_after: bool,
    /// The last look was strange and left after the end: one more has to agree.
    asks_again: bool,
    pause: Duration,
}

impl VerificationWindow {
    fn ending_at(ends: Instant) -> Self {
        Self { ends, agreement: Agreement::default(), failed_after: false, asks_again: false, pause: FIRST_PAUSE }
    }

    /// Adds a look that failed. The reader has tried it with patience already, so a second failure after the end is the last.
    fn add_failed(&mut self, cause: &str, now: Instant) -> Option<Conclusion> {
        if self.failed_after {
            let reason = Reason::on(Ground::Unseen, format!("no look succeeded: {cause}"));
            return Some(Conclusion { verdict: Verdict::Unverified, seen: None, reason: Some(reason) });
        }
        self.failed_after = now >= self.ends;
        None
    }

    /// Adds a look that left at `left_at`, and concludes from it if it can.
    fn add(&mut self, effect: Effect, seen: Option<SeenState>, left_at: Instant) -> Option<Conclusion> {
        let is_over = left_at >= self.ends;
        let agreed = match &effect {
            Effect::Overtaken { .. } => self.agreement.agreed_for(&effect, left_at),
            Effect::OnTarget | Effect::NotYet { .. } | Effect::Unprovable { .. } => {
                self.agreement = Agreement::default();
                Duration::ZERO
            }
        };
        let (verdict, reason) = match effect {
            Effect::OnTarget => (Verdict::Applied, None),
            Effect::Overtaken { reason } if agreed >= AGREED || (is_over && agreed >= AGREED_AT_THE_END) => {
                (Verdict::Overtaken, Some(reason.into()))
            }
            Effect::Overtaken { reason } if is_over && self.asks_again => {
                (Verdict::NoEffect, Some(format!("{reason}, as one look shows and no other").into()))
            }
            Effect::NotYet { reason } if is_over => (Verdict::NoEffect, Some(reason.into())),
            Effect::Unprovable { reason, .. } if is_over => {
                (Verdict::Unverified, Some(Reason::on(Ground::NeverShown, reason)))
            }
            Effect::Overtaken { .. } => {
                self.asks_again = is_over;
                return None;
            }
            Effect::NotYet { .. } | Effect::Unprovable { .. } => return None,
        };
        Some(Conclusion { verdict, seen, reason })
    }

    /// Instant before which the next look does not leave. Each pause is twice as long as the one before.
    fn next_look_at(&mut self, now: Instant) -> Instant {
        let next = if self.asks_again {
            now + AGREED_AT_THE_END
        } else if now < self.ends {
            let agreed_at = self.agreement.complete_at().unwrap_or(self.ends).max(now);
            (now + self.pause).min(self.ends).min(agreed_at)
        } else {
            now + self.pause
        };
        self.pause *= 2;
        next
    }
}

impl<R: Remote> Call<'_, R> {
    /// Settles an accepted change: by looks, or as unverified where verification is off.
    pub(super) async fn verify(&mut self) -> Step<()> {
        let Conclusion { verdict, seen, reason } = if self.lane.settings.verify {
            self.concluded().await?
        } else {
            Conclusion { verdict: Verdict::Unverified, seen: None, reason: Some(Reason::not_verified()) }
        };
        Err(Box::pin(self.settle(verdict, seen, reason)).await)
    }

    /// Looks until an accepted change is proven or its window is over. The first look is the cheapest, because most changes
    /// show by then.
    async fn concluded(&mut self) -> Step<Conclusion> {
        let mut window = VerificationWindow::ending_at(self.known.answered_at + self.lane.settings.verify_timeout);
        let (mut not_before, mut urgency) = (self.known.answered_at, Urgency::Patient);
        loop {
            let look = self.lane.look(&self.row, self.row.wants.fields(), not_before, urgency);
            let conclusion = match look.await.ok_or(Early::End)? {
                LookAnswer::Failed { cause } => window.add_failed(&cause, Instant::now()),
                LookAnswer::Seen { seen, left_at } => window.add(self.effect_of(seen.as_ref()), seen, left_at),
            };
            if let Some(conclusion) = conclusion {
                return Ok(conclusion);
            }
            (not_before, urgency) = (window.next_look_at(Instant::now()), Urgency::Prompt);
            self.decided(|| {
                let wait = not_before.saturating_duration_since(Instant::now());
                format!("does not show its target yet: looked at again in {} ms", wait.as_millis())
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: u64 = 60;

    /// Verdict after looks that left at these seconds of a window, and the second before which another one does not leave.
    fn looks(shown: &[(u64, Effect)]) -> (Option<Verdict>, u64) {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut window = VerificationWindow::ending_at(at(SECONDS));
        let mut next = began;
        for (seconds, effect) in shown {
            if let Some(conclusion) = window.add(effect.clone(), None, at(*seconds)) {
                return (Some(conclusion.verdict), *seconds);
            }
            next = window.next_look_at(at(*seconds));
        }
        (None, (next - began).as_secs())
    }

    fn moved() -> Effect {
        Effect::Overtaken { reason: "moved".to_owned() }
    }

    fn not_yet() -> Effect {
        Effect::NotYet { reason: "still there".to_owned() }
    }

    fn unprovable() -> Effect {
        Effect::Unprovable { reason: "never shown".to_owned(), as_before: false }
    }

    #[test]
    fn the_target_proves_a_change_whenever_it_is_seen() {
        assert_eq!(looks(&[(1, not_yet()), (2, Effect::OnTarget)]).0, Some(Verdict::Applied));
        assert_eq!(looks(&[(1, moved()), (SECONDS + 1, Effect::OnTarget)]).0, Some(Verdict::Applied));
    }

    #[test]
    fn what_is_not_there_at_the_end_of_the_window_had_no_effect() {
        assert_eq!(looks(&[(1, not_yet()), (SECONDS - 1, not_yet())]), (None, SECONDS - 1));
        assert_eq!(looks(&[(SECONDS, not_yet())]).0, Some(Verdict::NoEffect));
        assert_eq!(looks(&[(SECONDS - 1, unprovable())]).0, None);
        assert_eq!(looks(&[(SECONDS, unprovable())]).0, Some(Verdict::Unverified));
    }

    #[test]
    fn something_strange_is_believed_when_looks_agree_on_it() {
        assert_eq!(looks(&[(1, moved()), (5, moved())]).0, None);
        // However long the pauses have become, the next look leaves when it may agree.
        let late = [(0, not_yet()), (0, not_yet()), (0, not_yet()), (0, not_yet()), (0, not_yet()), (1, moved())];
        assert_eq!(looks(&late), (None, 6));
        assert_eq!(looks(&[(1, moved()), (6, moved())]).0, Some(Verdict::Overtaken));
        assert_eq!(looks(&[(1, moved()), (3, not_yet()), (6, moved())]).0, None);
        // A second is enough where the window ends.
        assert_eq!(looks(&[(SECONDS, moved())]), (None, SECONDS + 1));
        assert_eq!(looks(&[(SECONDS, moved()), (SECONDS + 1, moved())]).0, Some(Verdict::Overtaken));
        let other = Effect::Overtaken { reason: "elsewhere".to_owned() };
        assert_eq!(looks(&[(SECONDS, moved()), (SECONDS + 1, other)]).0, Some(Verdict::NoEffect));
    }

    #[test]
    fn two_failed_looks_after_the_window_are_the_end() {
        let ends = Instant::now();
        let (before, after) = (ends.checked_sub(Duration::from_secs(1)).unwrap(), ends + Duration::from_secs(1));
        let mut window = VerificationWindow::ending_at(ends);
        assert_eq!(window.add_failed("lost", before), None);
        assert_eq!(window.add_failed("lost", after), None);
        let conclusion = window.add_failed("lost", after).unwrap();
        let reason = Reason::on(Ground::Unseen, "no look succeeded: lost");
        assert_eq!(conclusion, Conclusion { verdict: Verdict::Unverified, seen: None, reason: Some(reason) });
    }
}
