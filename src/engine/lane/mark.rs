//! Totals of a lane at an instant: the difference between two of them is a measurement of the time in between.

use std::time::Duration;

use tokio::time::Instant;

use crate::gate::Snapshot;
use crate::waves::forecast::Measured;

/// Totals of a lane up to an instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    n_tried: u64,
    n_left: u64,
    offered: f64,
    busy: Duration,
    at: Instant,
}

impl Mark {
    pub(crate) fn new(n_tried: u64, gate: &Snapshot, busy: Duration, at: Instant) -> Self {
        Self { n_tried, n_left: gate.n_left, offered: gate.offered, busy, at }
    }

    /// Measurements between an earlier mark and this one, which a forecast goes by.
    pub(crate) fn since(&self, before: &Self) -> Measured {
        let seconds = self.busy.saturating_sub(before.busy).as_secs_f64();
        let whole = (self.at - before.at).as_secs_f64();
        // The pace was offered all the time, and used while there was something to send.
        let pace = if whole > 0.0 { (self.offered - before.offered) / whole } else { 0.0 };
        let (rows, requests) = (self.n_tried - before.n_tried, self.n_left - before.n_left);
        Measured { rows, requests, seconds, allowed: pace * seconds }
    }
}
