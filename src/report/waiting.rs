//! Things that a run waits for, by its summary.

use jiff::Timestamp;

use super::summary::{LaneOf, Summary};
use crate::ledger::waiting::{WaitsFor, waits_for};
use crate::wording::amounts::duration;

impl Summary {
    /// Returns everything that the run waits for at this time; empty for a run that has ended. A launch that was cut off still
    /// counts: [`Holder`](super::holder::Holder) tells it from one that goes on.
    #[must_use]
    pub fn waits_for(&self, now: Timestamp) -> Vec<WaitsFor> {
        if self.running.is_none() {
            return Vec::new();
        }
        waits_for(&self.steering.paused, self.steering.waits.as_ref(), quota_until(&self.lanes), now)
    }

    /// Says for how long nothing may leave because the service throttles every account that goes on.
    pub(crate) fn throttled_line(&self, now: Timestamp) -> Option<String> {
        let left = quota_until(&self.lanes)?.duration_since(now).as_millis();
        let left = u64::try_from(left).ok().filter(|left| *left > 0)?;
        Some(format!("Waiting: throttled, {} left.", duration(left)))
    }
}

/// Returns the first end of the waits for the quota; `None` unless every account that goes on has one.
pub(crate) fn quota_until(lanes: &[LaneOf]) -> Option<Timestamp> {
    let going = lanes.iter().filter(|lane| lane.settled < lane.rows && lane.lane.stopped.is_none());
    let ends: Option<Vec<Timestamp>> = going.map(|lane| lane.lane.cooled_until).collect();
    ends?.into_iter().min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::lane::LaneId;
    use crate::journal::read::lanes::LaneRecord;

    #[test]
    fn the_quota_is_waited_for_where_no_account_with_rows_left_may_go() {
        let at = |second| Timestamp::from_second(second).ok();
        let lane = |n_left: u64, stopped: Option<&str>, cooled_until| LaneOf {
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
                cooled_until,
            },
            rows: 10,
            settled: 10 - n_left,
            on_target: 0,
        };
        for (lanes, until) in [
            (vec![lane(1, None, at(20)), lane(1, None, at(10))], at(10)),
            (vec![lane(1, None, at(20)), lane(1, None, None)], None),
            (vec![lane(1, None, at(20)), lane(0, None, None), lane(1, Some("barred"), None)], at(20)),
            (vec![lane(0, None, at(20))], None),
        ] {
            assert_eq!(quota_until(&lanes), until);
        }
    }
}
