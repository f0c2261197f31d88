//! Agreement of looks that follow each other: one that shows something strange is believed once another does.

use std::time::Duration;

use tokio::time::Instant;

use crate::judge::effect::Effect;

/// Minimum time between two looks that agree on something strange.
pub(super) const AGREED: Duration = Duration::from_secs(5);
/// Minimum time between these two looks once the window for looks is over.
pub(super) const AGREED_AT_THE_END: Duration = Duration::from_secs(1);
/// Pause between the first two looks; each later one is twice as long.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Effect on which the last looks agree, and the departure of the first of these.
#[derive(Debug, Default)]
pub(super) struct Agreement(Option<(Effect, Instant)>);

impl Agreement {
    /// Adds a look, and gives the time for which looks up to it have agreed with it: zero for the first of them.
    pub(super) fn agreed_for(&mut self, effect: &Effect, left_at: Instant) -> Duration {
        match &self.0 {
            Some((shown, since)) if shown == effect => left_at.saturating_duration_since(*since),
            Some(_) | None => {
                self.0 = Some((effect.clone(), left_at));
                Duration::ZERO
            }
        }
    }

    /// Tells that no look was added.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Departure of a look that would agree for [`AGREED`].
    pub(super) fn complete_at(&self) -> Option<Instant> {
        self.0.as_ref().map(|(_, since)| *since + AGREED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn looks_agree_from_the_first_one_that_shows_the_same() {
        let moved = |to: &str| Effect::Overtaken { reason: to.to_owned() };
        let mut agreement = Agreement::default();
        let began = Instant::now();
        let mut after =
            |seconds, effect: &Effect| agreement.agreed_for(effect, began + Duration::from_secs(seconds)).as_secs();
        assert_eq!(after(0, &moved("a")), 0);
        assert_eq!(after(2, &moved("a")), 2);
        assert_eq!(after(3, &moved("b")), 0);
        assert_eq!(after(4, &moved("a")), 0);
        assert_eq!(after(9, &moved("a")), 5);
    }
}
