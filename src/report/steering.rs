//! Steering of a run as reports show it: who pauses it, and what it waits for.

use serde::Serialize;

use super::next::NextCommands;
use crate::control::{CONTROL, Paused, Taken, Waits};
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::ledger::steered::{RanHook, Steered};
use crate::values::zone::Zone;
use crate::waves::Stage;
use crate::wording::amounts::{count, is_or_are};
use crate::wording::plain::plain;
use crate::wording::times::time_in;

/// Commands that steered a run, and what it waits for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SteeringOf {
    pub paused: Vec<Paused>,
    pub waits: Option<Waits>,
    pub stage: Option<Stage>,
    pub forecast: Option<String>,
    pub history: Vec<Taken>,
    /// Hooks that have run, of all launches.
    pub hooks: Vec<RanHook>,
    /// Rows that somebody skipped and whose turn has not come.
    #[serde(skip)]
    pub(crate) skipped: u64,
}

impl SteeringOf {
    pub(super) fn from_journal(journal: &Journal, run: &RunRecord) -> Result<Self, JournalError> {
        let Steered { paused, waits, stage, forecast, history, hooks, skipped, launch: _, cleared: _, released: _ } =
            journal.steered(run.key)?;
        let skipped = journal.n_unsettled_of(run.key, skipped.keys())?;
        Ok(Self { paused, waits, stage, forecast, history, hooks, skipped })
    }

    /// Says who pauses the run and, if it goes on, what it waits for: one line each, with times in this time zone or in UTC.
    #[must_use]
    pub fn lines(&self, commands: &NextCommands, goes_on: bool, zone: Option<&Zone>) -> Vec<String> {
        let paused = self.paused.iter().map(|Paused { by, since }| {
            let since = time_in(zone, *since);
            if by.via == CONTROL {
                format!("Paused since {since} by {by}; `{}` releases it.", commands.control(&["continue"]))
            } else {
                format!("Paused since {since} by {by}; removing the file releases it.")
            }
        });
        let waits = self.waits.iter().filter(|_| goes_on).map(|waits| {
            let text = commands.waiting(waits.cause, &waits.stage, waits.until, zone);
            format!("Waiting {text}, since {}.", time_in(zone, waits.since))
        });
        // A plan without waves has a single stage, which needs no line.
        let says_something = |stage: &&Stage| goes_on && (stage.wave.is_some() || self.forecast.is_some());
        let stage = self.stage.iter().filter(says_something).map(|stage| {
            let forecast = self.forecast.as_ref().map_or(String::new(), |forecast| format!(": {forecast}"));
            format!("Carrying {stage}{forecast}.")
        });
        let skipped = (self.skipped > 0).then(|| {
            let (rows, is) = (count(self.skipped, "row"), is_or_are(self.skipped));
            format!("{rows} {is} skipped, and settled as blocked in turn.")
        });
        paused.chain(waits).chain(stage).chain(skipped).map(|line| plain(&line)).collect()
    }
}
