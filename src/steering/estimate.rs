//! Estimates of the time that a stage would take and that a roll-back would, and the check that both fit the window.

use std::time::Duration;

use jiff::Timestamp;

use super::commands::ByHand;
use super::input::{Rates, StageCounts};
use super::lanes::{LaneState, LaneStates};
use super::settings::SteeringSettings;
use crate::event::lane::LaneId;
use crate::waves::forecast::{Ahead, Band, Fit, spoken};
use crate::waves::{Part, Stage, Terms};

/// Rows above which an estimate is told although nothing depends on it.
const WORTH_TELLING: u64 = 1_000;

/// Facts that estimates are made of.
pub(crate) struct Estimator<'a> {
    pub(crate) settings: &'a SteeringSettings,
    pub(crate) terms: &'a Terms,
    pub(crate) lanes: &'a LaneStates,
    pub(crate) by_hand: &'a ByHand,
    pub(crate) rates: &'a Rates,
}

impl Estimator<'_> {
    /// Time that the wave would take from a stage on; `None` if nothing depends on it and it is too short to matter.
    pub(crate) fn without_end(&self, stage: &Stage, counted: &StageCounts) -> Option<String> {
        let tells = !self.terms.waves.is_empty() || counted.rows_of(stage.part) > WORTH_TELLING;
        tells.then(|| self.wave_from(stage, counted).to_string())
    }

    /// Time that the wave would take from a stage on, held against the end of the window.
    pub(crate) fn with_end(
        &self,
        stage: &Stage,
        counted: &StageCounts,
        until: Timestamp,
        now: Timestamp,
    ) -> (Fit, String) {
        let band = self.wave_from(stage, counted);
        let (all, reserved) = if self.settings.reserve_rollback {
            let rollback = self.way_back(|lane| counted.unsettled_in(lane));
            (band.and(rollback), format!(" and {} to roll back", spoken(rollback.likely)))
        } else {
            (band, String::new())
        };
        let left = Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO);
        let fit = all.fits(left);
        let local = self.settings.window.local(until);
        (fit, format!("{band}{reserved}; {fit}: there is time until {local}, {} from now", spoken(left)))
    }

    /// Time for a roll-back of the rows that were moved, and of so many more in each lane, at the rate of the settings whatever
    /// that of the stage is.
    pub(crate) fn way_back(&self, more: impl Fn(LaneId) -> u64) -> Band {
        let ahead = |lane: &LaneState| {
            let LaneState { terms, n_moved, .. } = lane;
            self.ahead(lane, terms.base_rate, terms.concurrency, n_moved + more(terms.id))
        };
        self.band(&self.lanes.all().map(ahead).collect::<Vec<_>>())
    }

    fn wave_from(&self, stage: &Stage, counted: &StageCounts) -> Band {
        let mut band = Band::default();
        for part in [Part::Canary, Part::Rest].into_iter().filter(|part| *part >= stage.part) {
            let terms = self.terms.stage(&Stage { part, ..stage.clone() });
            let ahead = |lane: &LaneState| {
                let rate = lane.terms.rate_in(terms, self.by_hand);
                let concurrency = lane.terms.concurrency_in(terms, self.by_hand).unwrap_or(self.settings.concurrency);
                self.ahead(lane, rate, concurrency, counted.rows_in(lane.terms.id, part))
            };
            band = band.and(self.band(&self.lanes.going().map(ahead).collect::<Vec<_>>()));
            if part == Part::Canary
                && let Some(soak_s) = terms.and_then(|terms| terms.soak_s)
            {
                band = band.and(Band::exactly(Duration::from_secs(soak_s)));
            }
        }
        band
    }

    fn band(&self, ahead: &[Ahead]) -> Band {
        Band::side_by_side(ahead, self.rates.shared, self.settings.verify_timeout)
    }

    /// Work of a lane, at the lower of our limit and the rate that the service accepts.
    fn ahead(&self, lane: &LaneState, rate: Option<f64>, concurrency: u32, rows: u64) -> Ahead {
        let per_second = match (rate, self.rates.believed.get(&lane.terms.id).copied()) {
            (Some(rate), Some(believed)) => Some(rate.min(believed)),
            (one, None) | (None, one) => one,
        };
        Ahead { rows, per_second, concurrency, measured: lane.measured }
    }
}
