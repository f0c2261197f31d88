//! Answers as the gate heeds them: one changes when those behind it leave, and how many go at once.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::pacing::Lessons;
use super::state::Gate;
use crate::event::outcome::Outcome;

impl Gate {
    /// Takes an outcome into account: one throttled request slows all requests, an accepted one lets the pace recover.
    pub(crate) fn heed(&self, outcome: &Outcome, left_at: Instant) -> Lessons {
        let mut pacing = self.pacing();
        let heeded = pacing.heed(outcome, left_at, Instant::now());
        self.next.fit(pacing.per_second());
        if heeded.times_changed {
            self.changed.notify_waiters();
        }
        if heeded.throttled_now {
            self.throttled.notify_one();
        }
        drop(pacing);
        if proves_who_we_are(outcome) {
            self.slots.open();
        }
        heeded.lessons
    }

    /// Start of the time in which every answer was a 429; `None` if the last one was not.
    pub(crate) fn throttled_since(&self) -> Option<Instant> {
        self.pacing().throttled_since()
    }

    /// Waits until every answer was a 429 for as long as the settings allow, and returns that time. A wait that the service asked
    /// for does not extend it: an answer after that would come too late. Time in which nobody asked for anything does not count.
    pub(crate) async fn throttled_for_too_long(&self) -> Duration {
        loop {
            let throttled = self.throttled.notified();
            let gives_up = self.pacing().gives_up_at();
            match gives_up {
                None => throttled.await,
                Some((at, _)) if at <= Instant::now() && self.is_at_rest() => throttled.await,
                Some((at, since)) if at <= Instant::now() => return since.elapsed(),
                Some((at, _)) => sleep_until(at).await,
            }
        }
    }
}

/// Tells whether an answer shows that the service accepts our credentials. A 429, a 5xx, a redirect or a gateway's refusal may come
/// from before anybody checked them.
fn proves_who_we_are(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted { .. } => true,
        Outcome::Rejected { code, .. } => code.as_ref().is_some_and(|code| code.starts_with("SMS.")),
        Outcome::Unauthenticated { .. }
        | Outcome::Barred { .. }
        | Outcome::Throttled { .. }
        | Outcome::Unsent { .. }
        | Outcome::Disclaimed { .. }
        | Outcome::Lost { .. } => false,
    }
}
