//! Settings of the transport, and the timeouts that follow from them.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of the transport.
#[derive(Clone, Debug)]
pub(crate) struct TransportSettings {
    /// Time from the first byte of a request to the last one of its answer.
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    /// Time for the next bytes of an answer; `None` where only `timeout` counts.
    pub(crate) read_timeout: Option<Duration>,
    /// Certificates that are trusted beside the system's own.
    pub(crate) ca_bundle: Option<PathBuf>,
    /// Time within which a request is on its way or is never sent; `None` where only the others count.
    pub(crate) leaves_within: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) connect: Duration,
    pub(super) read: Option<Duration>,
    pub(super) whole: Duration,
    pub(super) leaves_within: Option<Duration>,
}

impl Timeouts {
    /// Derives the timeouts from the settings. The connect timeout ends before the whole one, so that a connection that never came
    /// about is told apart from an answer that never came.
    pub(super) fn from_settings(settings: &TransportSettings) -> Self {
        let TransportSettings { timeout: whole, connect_timeout, read_timeout, ca_bundle: _, leaves_within } =
            *settings;
        let connect = leaves_within.into_iter().fold(connect_timeout.min(whole * 9 / 10), Duration::min);
        Self { connect, read: read_timeout.filter(|read| *read < whole), whole, leaves_within }
    }
}
