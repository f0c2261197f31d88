//! Endings of a run's changes by their names, counted on from where the last count ended.

use std::collections::BTreeMap;

use rusqlite::params;

use crate::event::lane::LaneId;
use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;

/// Number of a run's requests by outcome, up to an event of each lane. Reads are counted if they were throttled: others leave no
/// event.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutcomeCounts {
    of_changes: BTreeMap<String, u64>,
    throttled_reads: u64,
    /// Number of the last event of each lane that is counted.
    counted: BTreeMap<LaneId, u64>,
}

impl OutcomeCounts {
    /// Returns the requests that ended with the outcome of this name.
    pub(crate) fn get(&self, outcome: &str) -> u64 {
        let of_reads = if outcome == "throttled" { self.throttled_reads } else { 0 };
        self.of_changes.get(outcome).copied().unwrap_or(0) + of_reads
    }
}

impl Journal {
    /// Adds the events of a run that are not counted yet, so that each is read once.
    pub(crate) fn count_outcomes(&self, run: RunKey, counts: &mut OutcomeCounts) -> Result<(), JournalError> {
        self.at_one_instant(|| {
            let mut heads = self.conn.prepare_cached("SELECT lane, seq, throttled FROM lane WHERE run = ?1")?;
            let heads = heads.query_map([run.0], |row| Ok((LaneId(row.get(0)?), row.get(1)?, row.get(2)?)))?;
            let heads: Vec<(LaneId, u64, u64)> = heads.collect::<Result<_, _>>()?;
            let mut statement = self.conn.prepare_cached(
                "SELECT json_extract(detail, '$.outcome.is'), count(*) FROM event
                 WHERE run = ?1 AND lane = ?2 AND seq > ?3 AND seq <= ?4 AND kind = 'attempt_ended' GROUP BY 1",
            )?;
            for (lane, seq, _) in &heads {
                let counted = counts.counted.entry(*lane).or_default();
                let mut found = statement.query(params![run.0, lane.0, *counted, seq])?;
                while let Some(columns) = found.next()? {
                    let outcome = columns.get_ref(0)?.as_str_or_null().map_err(rusqlite::Error::from)?;
                    *counts.of_changes.entry(outcome.unwrap_or_default().to_owned()).or_default() +=
                        columns.get::<_, u64>(1)?;
                }
                *counted = *seq;
            }
            counts.throttled_reads = heads.iter().map(|(_, _, throttled)| throttled).sum();
            Ok(())
        })
    }
}
