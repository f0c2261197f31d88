//! Settings of steering.

use std::time::Duration;

use jiff::Timestamp;

use crate::waves::halt::HaltRules;
use crate::waves::hooks::{Hook, HookOrigin};
use crate::waves::window::Window;
use crate::wording::amounts::limit;

#[derive(Clone, Debug)]
pub(crate) struct SteeringSettings {
    /// Halt rules of the whole run.
    pub(crate) halt: HaltRules,
    pub(crate) window: Window,
    /// The time that a roll-back would take is kept free at the end of the window.
    pub(crate) reserve_rollback: bool,
    /// A stage begins although it would not end in time.
    pub(crate) ignore_forecast: bool,
    /// Longest wait for somebody to release a stage.
    pub(crate) approval_timeout: Option<Duration>,
    /// Requests under way at once, where no stage says otherwise.
    pub(crate) concurrency: u32,
    pub(crate) verify_timeout: Duration,
    /// Hooks that are there, in the order in which they run before something.
    pub(crate) hooks: Vec<(Hook, HookOrigin)>,
    /// Time in which the launch has to begin; `None` for any.
    pub(crate) start: Option<StartLimit>,
}

/// Time in which a launch has to begin: to send its first change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartLimit {
    /// Duration since the launch.
    pub(crate) within: Duration,
    /// Its end as a time since the machine was started: a clock that nobody sets, and that goes on while the machine sleeps.
    pub(crate) ends: Duration,
    /// Time of day at its end, by which a wait for another time of day is judged beforehand.
    pub(crate) by: Timestamp,
}

impl StartLimit {
    /// Limit since a launch was asked for, where it is this time of day now, and this time since the machine was started.
    pub(crate) fn since(asked_at: Duration, within: Duration, now: Timestamp, since_boot: Duration) -> Self {
        Self { within, ends: asked_at + within, by: now }.at(now, since_boot)
    }

    /// Returns the same limit as of now: the clock may have been set since the limit was made, and what is left of it is neither shorter
    /// nor longer for that.
    pub(crate) fn at(self, now: Timestamp, since_boot: Duration) -> Self {
        let left = self.ends.saturating_sub(since_boot);
        Self { by: now.checked_add(left).unwrap_or(Timestamp::MAX), ..self }
    }

    /// Says that a launch did not begin in time, and what it would have waited for.
    pub(crate) fn missed(self, waits: Option<&str>) -> String {
        let waits = waits.map_or_else(String::new, |waits| format!(": {waits}"));
        format!("could not begin within {} of its launch{waits}", limit(self.within))
    }
}
