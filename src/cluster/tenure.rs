//! Rules by which a writer to a log that others can take over holds its run.
//!
//! No change leaves unless a publish that was sent within the last second was acknowledged ([`HOLD`]). Whoever takes the run over
//! commits first, behind which no publish of the writer before it is taken: from there on that one makes no new intent, and one that it
//! made before leaves within a bound, which the new one waits for ([`GRACE`]). No two clocks are compared, only their rates over seconds.

use std::time::Duration;

use crate::log::seam::Hold;

#[cfg(test)]
mod properties;

/// Time from the sending of a publish that was acknowledged, for which the run is held. From the sending and not from the answer: whoever
/// takes the run over may commit as soon as the publish was stored.
pub(super) const HOLD: Duration = Duration::from_secs(1);
/// Time within which a change that was let go is on its way to the service, or is never sent: that of a connection.
pub(super) const LEAVES_WITHIN: Duration = Duration::from_secs(2);
/// Time from the acknowledgement of a successor's first commit to its first change. A change of the launch before it passes its hold
/// within [`HOLD`] of a publish that was stored before that commit. It may then be handed to a worker, which takes it within a second and
/// is told to go within another one, and leaves within [`LEAVES_WITHIN`]. One second more is for clocks of different rates.
pub(super) const GRACE: Duration = Duration::from_secs(6);
const HANDED_OVER: Duration = Duration::from_secs(2);
const _: () = assert!(GRACE.as_secs() > HOLD.as_secs() + HANDED_OVER.as_secs() + LEAVES_WITHIN.as_secs());

/// End of the launch before this writer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Succession {
    /// Ended in order, or there was none: nothing of it can still be about to leave.
    InOrder,
    /// Cut off, or going on elsewhere.
    CutOff,
}

/// Hold of a writer, as its commits extend it.
pub(super) struct Tenure {
    hold: Hold,
    awaits_fence: bool,
}

impl Tenure {
    pub(super) fn new(succession: Succession) -> Self {
        match succession {
            Succession::InOrder => Self { hold: Hold::lapsed(), awaits_fence: false },
            Succession::CutOff => Self { hold: Hold::not_begun(), awaits_fence: true },
        }
    }

    pub(super) fn hold(&self) -> Hold {
        self.hold.clone()
    }

    /// Notes that a commit is known by now to be in the log. The first one is the fence.
    pub(super) fn committed(&mut self, now: Duration) {
        if std::mem::take(&mut self.awaits_fence) {
            self.hold.begin_at(now + GRACE);
        }
    }
}

/// Notes the acknowledgement of a publish that was sent at this time.
pub(super) fn acknowledged(hold: &Hold, sent: Duration) {
    hold.extend(sent + HOLD);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_of_a_launch_that_was_cut_off_holds_the_run_six_seconds_behind_its_fence() {
        let held = |succession| {
            let mut tenure = Tenure::new(succession);
            let at = Duration::from_secs;
            acknowledged(&tenure.hold(), at(100));
            tenure.committed(at(101));
            // Renewed all the time.
            (100..110)
                .filter(|second| {
                    acknowledged(&tenure.hold(), at(*second));
                    tenure.committed(at(*second));
                    tenure.hold().is_held_at(|| at(*second))
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(held(Succession::InOrder), (100..110).collect::<Vec<_>>());
        assert_eq!(held(Succession::CutOff), (107..110).collect::<Vec<_>>());
    }
}
