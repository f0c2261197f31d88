//! Settings of a gate.

use std::time::Duration;

/// Speed, as the settings have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct GateSettings {
    /// Requests per second, reads included; none: as fast as it goes.
    pub(crate) per_second: Option<f64>,
    pub(crate) burst: u32,
    pub(crate) concurrency: u32,
    /// A lane throttled for this long without one accepted call stops.
    pub(crate) max_throttle: Duration,
}
