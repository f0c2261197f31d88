//! Lanes as steering knows them: the limits of each, and its measurements so far.

use std::collections::BTreeMap;

use super::commands::ByHand;
use super::order::Limit;
use crate::event::lane::LaneId;
use crate::waves::StageTerms;
use crate::waves::forecast::Measured;

/// Limits of a lane, from the settings. Rates are requests per second; `None` for no limit.
#[derive(Clone, Debug)]
pub(crate) struct LaneTerms {
    pub(crate) id: LaneId,
    /// Rate and concurrency that hold where no stage and nobody says otherwise.
    pub(crate) base_rate: Option<f64>,
    pub(crate) concurrency: u32,
    /// Limits that a stage of the plan may not pass, where anybody but the plan set them.
    pub(crate) rate_cap: Option<f64>,
    pub(crate) concurrency_cap: Option<u32>,
}

impl LaneTerms {
    /// Rate in a stage. What was set by hand wins; a stage may be slower than others allow, and not faster.
    pub(crate) fn rate_in(&self, stage: Option<&StageTerms>, by_hand: &ByHand) -> Option<f64> {
        if let Some(rate) = by_hand.rate {
            return rate.0;
        }
        let Some(rate) = stage.and_then(|stage| stage.rate.as_ref()) else { return self.base_rate };
        match (rate.per_second(), self.rate_cap) {
            (Some(rate), Some(cap)) => Some(rate.min(cap)),
            (one, None) | (None, one) => one,
        }
    }

    /// Concurrency that was set by hand or by the stage; `None` if neither sets it.
    pub(crate) fn concurrency_in(&self, stage: Option<&StageTerms>, by_hand: &ByHand) -> Option<u32> {
        by_hand.concurrency.or_else(|| {
            let concurrency = stage?.concurrency?;
            Some(self.concurrency_cap.map_or(concurrency, |cap| concurrency.min(cap)))
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct LaneState {
    pub(crate) terms: LaneTerms,
    pub(crate) is_stopped: bool,
    pub(crate) measured: Measured,
    /// Rows that this run has moved, where time is kept to move them back.
    pub(crate) n_moved: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LaneStates(BTreeMap<LaneId, LaneState>);

impl LaneStates {
    pub(crate) fn enrol(&mut self, terms: LaneTerms) {
        let lane = LaneState { is_stopped: false, measured: Measured::default(), n_moved: 0, terms };
        self.0.insert(lane.terms.id, lane);
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &LaneState> {
        self.0.values()
    }

    /// Lanes that have not stopped.
    pub(crate) fn going(&self) -> impl Iterator<Item = &LaneState> {
        self.all().filter(|lane| !lane.is_stopped)
    }

    pub(crate) fn stopped(&mut self, lane: LaneId) {
        self.change(lane, |lane| lane.is_stopped = true);
    }

    pub(crate) fn measured(&mut self, lane: LaneId, more: &Measured) {
        self.change(lane, |lane| lane.measured.add(more));
    }

    pub(crate) fn moved_row(&mut self, lane: LaneId) {
        self.change(lane, |lane| lane.n_moved += 1);
    }

    /// Replaces the numbers of rows that this run has moved; lanes that are not named have none.
    pub(crate) fn set_moved(&mut self, moved: &[(LaneId, u64)]) {
        for (id, lane) in &mut self.0 {
            lane.n_moved = moved.iter().find(|(moved_in, _)| moved_in == id).map_or(0, |(_, n_rows)| *n_rows);
        }
    }

    /// Limits of every lane in a stage.
    pub(crate) fn limits_in_stage(&self, stage: Option<&StageTerms>, by_hand: &ByHand) -> Vec<Limit> {
        let limits = |LaneState { terms, .. }: &LaneState| {
            let n = terms.concurrency_in(stage, by_hand).unwrap_or(terms.concurrency);
            [
                Limit::Rate { lane: terms.id, per_second: terms.rate_in(stage, by_hand) },
                Limit::Concurrency { lane: terms.id, n },
            ]
        };
        self.all().flat_map(limits).collect()
    }

    fn change(&mut self, lane: LaneId, change: impl FnOnce(&mut LaneState)) {
        if let Some(lane) = self.0.get_mut(&lane) {
            change(lane);
        }
    }
}
