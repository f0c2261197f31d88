//! Reach of a launch: whether anything of it leaves this process.

use crate::journal::read::lanes::LaneRecord;
use crate::settings::Settings;
use crate::settings::parse::Destination;

/// Reach of a launch's requests. One rule follows from it: of a trial nobody outside hears. It tells no receiver of notices, moves no
/// dead-man's switch, and leaves a metrics file as it is, unless a flag names the file for this launch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    /// A service, which may be a sandbox that is served.
    #[default]
    Outside,
    /// The sandbox inside this process alone: a trial.
    ThisProcess,
}

impl Reach {
    /// Reach by the settings, as long as no account is known.
    pub(crate) fn of_settings(settings: &Settings) -> Self {
        if settings.destination == Some(Destination::Sandbox) { Reach::ThisProcess } else { Reach::Outside }
    }

    /// Reach of a run in these accounts of its journal.
    pub(crate) fn of_lanes(lanes: &[LaneRecord]) -> Self {
        let inside = Destination::Sandbox.to_string();
        if lanes.iter().all(|lane| lane.endpoint == inside) { Reach::ThisProcess } else { Reach::Outside }
    }
}
