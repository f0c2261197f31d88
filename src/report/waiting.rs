//! Things that a run waits for, by its summary.

use std::time::Duration;

use super::summary::{LaneOf, Summary};
use crate::ledger::waiting::{WaitsFor, waits_for};
use crate::wording::amounts::duration;

impl Summary {
    /// Returns everything that the run waits for, as of the summary; empty for a run that has ended. A launch that was cut off still
    /// counts: [`Holder`](super::holder::Holder) tells it from one that goes on.
    #[must_use]
    pub fn waits_for(&self) -> Vec<WaitsFor> {
        if self.running.is_none() {
            return Vec::new();
        }
        waits_for(&self.steering.paused, self.steering.waits.as_ref(), throttled_for(&self.lanes))
    }

    /// Says for how long nothing may leave because the service throttles every account that goes on.
    pub(crate) fn throttled_line(&self) -> Option<String> {
        let left = u64::try_from(throttled_for(&self.lanes)?.as_millis()).ok()?;
        Some(format!("Waiting: throttled, {} left.", duration(left)))
    }
}

/// Returns the shortest rest of the waits for the quota; `None` unless every account that goes on has one.
pub(crate) fn throttled_for(lanes: &[LaneOf]) -> Option<Duration> {
    let going = lanes.iter().filter(|lane| lane.settled < lane.rows && lane.lane.stopped.is_none());
    going.map(|lane| lane.cools_for).min().filter(|left| left.as_millis() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::lane::LaneId;
    use crate::journal::read::lanes::LaneRecord;

    #[test]
    fn the_quota_is_waited_for_where_no_account_with_rows_left_may_go() {
        let lane = |n_left: u64, stopped: Option<&str>, cools_for| LaneOf {
            lane: LaneRecord {
                lane: LaneId::FIRST,
                name: String::new(),
                endpoint: String::new(),
                account: String::new(),
                throttled: 0,
                per_second: None,
                stated: false,
                stopped: stopped.map(str::to_owned),
                learned_at: None,
                cooled_until: None,
            },
            rows: 10,
            settled: 10 - n_left,
            on_target: 0,
            cools_for: Duration::from_secs(cools_for),
        };
        for (lanes, left) in [
            (vec![lane(1, None, 20), lane(1, None, 10)], Some(10)),
            (vec![lane(1, None, 20), lane(1, None, 0)], None),
            (vec![lane(1, None, 20), lane(0, None, 0), lane(1, Some("barred"), 0)], Some(20)),
            (vec![lane(0, None, 20)], None),
        ] {
            assert_eq!(throttled_for(&lanes), left.map(Duration::from_secs));
        }
    }
}
