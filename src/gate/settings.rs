//! Settings of a gate.

use std::time::Duration;

/// Limits of a gate, from the settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct GateSettings {
    /// Requests per second, reads included; `None` for no limit.
    pub(crate) per_second: Option<f64>,
    pub(crate) burst: u32,
    pub(crate) concurrency: u32,
    /// A lane throttled for this long without one accepted call stops.
    pub(crate) max_throttle: Duration,
}
