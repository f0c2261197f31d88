//! Requests that wait for leave, as they are counted.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::pacing::RequestKind;
use super::state::Gate;

/// One request, for as long as it waits for leave.
pub(super) struct WaitingRequest<'a> {
    gate: &'a Gate,
    kind: RequestKind,
}

impl<'a> WaitingRequest<'a> {
    /// Begins to wait. A time in which nobody asked the lane for anything (paused, or waiting for its stage) does not count as
    /// throttled.
    pub(super) fn new(gate: &'a Gate, kind: RequestKind) -> Self {
        if gate.is_at_rest() {
            gate.pacing().rested(Instant::now());
            gate.throttled.notify_one();
        }
        gate.n_waiting.fetch_add(1, Ordering::Relaxed);
        if kind == RequestKind::Read {
            gate.n_reads_waiting.fetch_add(1, Ordering::Relaxed);
        }
        Self { gate, kind }
    }
}

impl Drop for WaitingRequest<'_> {
    fn drop(&mut self) {
        self.gate.n_waiting.fetch_sub(1, Ordering::Relaxed);
        if self.kind == RequestKind::Read {
            self.gate.n_reads_waiting.fetch_sub(1, Ordering::Relaxed);
        }
        self.gate.pacing().asked(Instant::now());
    }
}
