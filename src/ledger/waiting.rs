//! Things that a run waits for, and which of them end only when a person acts.

use std::time::Duration;

use crate::control::{CONTROL, Paused, Wait, Waits};

/// Thing that a run waits for while a launch of it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitsFor {
    /// Release of a wave, or of the rest after its canary.
    Approval,
    /// End of the soak time after a stage.
    Soak,
    /// Opening of the window.
    Window,
    /// End of a pause that an operator asked for.
    Pause,
    /// Removal of the file that pauses the run.
    PauseFile,
    /// End of the wait after the service throttled, in every account that has rows left.
    Quota,
}

impl WaitsFor {
    pub const ALL: [Self; 6] = [Self::Approval, Self::Soak, Self::Window, Self::Pause, Self::PauseFile, Self::Quota];

    /// Name in metrics and documents, which never changes its meaning.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Soak => "soak",
            Self::Window => "window",
            Self::Pause => "pause",
            Self::PauseFile => "pause_file",
            Self::Quota => "quota",
        }
    }

    /// Tells whether it ends only when a person acts; the others end with time.
    #[must_use]
    pub fn needs_a_person(self) -> bool {
        match self {
            Self::Approval | Self::Pause | Self::PauseFile => true,
            Self::Soak | Self::Window | Self::Quota => false,
        }
    }
}

/// Returns everything that a run waits for, each once and in the order of [`WaitsFor::ALL`]. `throttled_for` is the shortest rest
/// of the waits for the quota, if every account that has rows left has one. Of a run whose launch was cut off it
/// returns what that launch waited for.
#[must_use]
pub fn waits_for(paused: &[Paused], waits: Option<&Waits>, throttled_for: Option<Duration>) -> Vec<WaitsFor> {
    let for_stage = waits.map(|waits| match waits.cause {
        Wait::Approval => WaitsFor::Approval,
        Wait::Soak => WaitsFor::Soak,
        Wait::Window => WaitsFor::Window,
    });
    let by_operators =
        paused.iter().map(|paused| if paused.by.via == CONTROL { WaitsFor::Pause } else { WaitsFor::PauseFile });
    let for_quota = throttled_for.map(|_| WaitsFor::Quota);
    let mut all: Vec<WaitsFor> = for_stage.into_iter().chain(by_operators).chain(for_quota).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::control::By;
    use crate::waves::{Part, Stage};

    fn paused(via: &str) -> Paused {
        Paused { by: By { via: via.to_owned(), ..By::default() }, since: Timestamp::UNIX_EPOCH }
    }

    fn waits(cause: Wait) -> Waits {
        let stage = Stage { wave_no: 1, wave: Some("one".to_owned()), part: Part::Rest };
        Waits { cause, stage, since: Timestamp::UNIX_EPOCH, until: None }
    }

    #[test]
    fn a_run_waits_for_all_that_holds_it_and_each_is_told_once() {
        let by_all = [paused("/flag"), paused(CONTROL), paused("/other")];
        for (paused, cause, throttled_for, expected) in [
            (&[][..], None, None, &[][..]),
            (&[], Some(Wait::Approval), None, &[WaitsFor::Approval]),
            (&[], Some(Wait::Soak), None, &[WaitsFor::Soak]),
            (&[], Some(Wait::Window), Some(Duration::from_secs(1)), &[WaitsFor::Window, WaitsFor::Quota]),
            (&by_all, Some(Wait::Window), None, &[WaitsFor::Window, WaitsFor::Pause, WaitsFor::PauseFile]),
        ] {
            assert_eq!(waits_for(paused, cause.map(waits).as_ref(), throttled_for), expected);
        }
    }

    #[test]
    fn all_are_listed_in_their_order_and_named_apart() {
        let names = WaitsFor::ALL.map(WaitsFor::name);
        assert_eq!(names, ["approval", "soak", "window", "pause", "pause_file", "quota"]);
        assert!(WaitsFor::ALL.is_sorted());
        let for_people = WaitsFor::ALL.into_iter().filter(|waits_for| waits_for.needs_a_person());
        assert_eq!(for_people.map(WaitsFor::name).collect::<Vec<_>>(), ["approval", "pause", "pause_file"]);
    }
}
