//! Agreement of looks that follow each other: one that shows something strange is believed once another does.

use std::time::Duration;

use tokio::time::Instant;

use crate::judge::Effect;

/// Two looks that agree on something strange left at least this far apart, or a second where the window ends before.
pub(super) const AGREED: Duration = Duration::from_secs(5);
pub(super) const AGREED_AT_THE_END: Duration = Duration::from_secs(1);
/// Between two looks at first; each later one waits twice as long.
pub(super) const PAUSE: Duration = Duration::from_millis(250);

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

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// When a look would have agreed for long enough.
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
