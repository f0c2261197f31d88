//! Sums over the rows of a run.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rusqlite::params;
use serde::Serialize;

use crate::event::lane::LaneId;
use crate::event::verdict::{Ground, Verdict};
use crate::exit::Exit;
use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;
use crate::journal::tables::row::{ON_TARGET, ground_at};
use crate::ledger::cause;

/// Counts of rows by verdict and standing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Unverified rows whose verification was switched off: they count as on target.
    pub unproven_by_choice: u64,
    pub pending: u64,
    pub in_doubt: u64,
    /// Rows in doubt whose answer is unknown and no longer waited for.
    pub lost: u64,
    pub attempts: u64,
    /// Attempts whose end is not recorded: on the wire, or about to leave.
    pub open: u64,
    pub throttled: u64,
}

impl Tally {
    #[must_use]
    pub fn on_target(&self) -> u64 {
        self.settled_as(Verdict::Applied) + self.settled_as(Verdict::Already) + self.unproven_by_choice
    }

    /// Returns the exit of a run in which nothing is left to do.
    #[must_use]
    pub(crate) fn finished(&self) -> Exit {
        if self.on_target() == self.n_rows() { Exit::Done } else { Exit::NotOnTarget }
    }

    #[must_use]
    pub fn n_rows(&self) -> u64 {
        self.settled() + self.unsettled()
    }

    #[must_use]
    pub fn settled_as(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or(0)
    }

    #[must_use]
    pub fn settled(&self) -> u64 {
        self.verdicts.values().sum()
    }

    #[must_use]
    pub fn unsettled(&self) -> u64 {
        self.pending + self.in_doubt
    }
}

/// Counts of a run's rows: all of them, by wave and by lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    pub tally: Tally,
    /// Counts of each wave, in the order in which waves run.
    pub waves: Vec<WaveTally>,
    /// Counts of each lane, in the order of lanes.
    pub lanes: Vec<LaneTally>,
    /// Verdicts that rows have for more than one cause, so that a report has to name the cause. Skipped rows are named anyway.
    pub mixed: Vec<Verdict>,
}

/// Counts of one wave's rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaveTally {
    pub wave: Option<String>,
    pub rows: u64,
    pub settled: u64,
    pub on_target: u64,
}

/// Counts of one lane's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneTally {
    pub lane: LaneId,
    pub rows: u64,
    pub settled: u64,
    pub on_target: u64,
}

impl Journal {
    pub fn tally(&self, run: RunKey) -> Result<Tally, JournalError> {
        Ok(self.sums(run)?.tally)
    }

    /// Counts all rows of a run, by wave and by lane. Each row is read once, and nothing is sorted.
    pub fn sums(&self, run: RunKey) -> Result<Sums, JournalError> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT lane, wave_no, wave, verdict, standing IN ('open', 'in_doubt', 'accepted'), attempts, throttled,
                 {ON_TARGET}, standing = 'open', ground, error_code, http_status, standing = 'in_doubt'
             FROM row WHERE run = ?1"
        ))?;
        let mut found = statement.query([run.0])?;
        let mut tally = Tally::default();
        let mut waves = BTreeMap::<u32, WaveTally>::new();
        let mut lanes = BTreeMap::<LaneId, LaneTally>::new();
        let mut mixed = Mixed::default();
        while let Some(row) = found.next()? {
            let lane = LaneId(row.get(0)?);
            let verdict = row.get_ref(3)?.as_str_or_null().map_err(rusqlite::Error::from)?;
            let (settled, on_target) = (u64::from(verdict.is_some()), u64::from(row.get::<_, bool>(7)?));
            tally.attempts += row.get::<_, u64>(5)?;
            tally.open += row.get::<_, u64>(8)?;
            tally.throttled += row.get::<_, u64>(6)?;
            match verdict {
                Some(name) => {
                    let verdict = Verdict::named(name)
                        .ok_or_else(|| JournalError::Damaged(format!("unknown verdict `{name}`")))?;
                    *tally.verdicts.entry(verdict).or_default() += 1;
                    if verdict == Verdict::Unverified {
                        tally.unproven_by_choice += on_target;
                    }
                    if on_target == 0 {
                        mixed.add(verdict, row)?;
                    }
                }
                None if row.get(4)? => {
                    tally.in_doubt += 1;
                    tally.lost += row.get::<_, u64>(12)?;
                }
                None => tally.pending += 1,
            }
            let of_wave = match waves.entry(row.get(1)?) {
                Entry::Occupied(wave) => wave.into_mut(),
                Entry::Vacant(new) => new.insert(WaveTally { wave: row.get(2)?, rows: 0, settled: 0, on_target: 0 }),
            };
            of_wave.rows += 1;
            of_wave.settled += settled;
            of_wave.on_target += on_target;
            let of_lane = lanes.entry(lane).or_insert(LaneTally { lane, rows: 0, settled: 0, on_target: 0 });
            of_lane.rows += 1;
            of_lane.settled += settled;
            of_lane.on_target += on_target;
        }
        tally.throttled += self
            .conn
            .prepare_cached("SELECT coalesce(sum(throttled), 0) FROM lane WHERE run = ?1")?
            .query_row([run.0], |row| row.get::<_, u64>(0))?;
        // `--only unverified` also selects rows whose verification was switched off, although they are on target.
        if tally.unproven_by_choice > 0 && tally.unproven_by_choice < tally.settled_as(Verdict::Unverified) {
            mixed.are_several(Verdict::Unverified);
        }
        let (waves, lanes) = (waves.into_values().collect(), lanes.into_values().collect());
        Ok(Sums { tally, waves, lanes, mixed: mixed.several })
    }

    pub fn count_unsettled(&self, run: RunKey) -> Result<u64, JournalError> {
        self.conn
            .prepare_cached("SELECT count(*) FROM row INDEXED BY row_open WHERE run = ?1 AND verdict IS NULL")?
            .query_row([run.0], |row| row.get(0))
            .map_err(JournalError::from)
    }

    /// Tells whether any row is without a verdict, without a walk over all of them.
    pub fn has_unsettled(&self, run: RunKey) -> Result<bool, JournalError> {
        self.conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM row INDEXED BY row_open WHERE run = ?1 AND verdict IS NULL)")?
            .query_row([run.0], |row| row.get(0))
            .map_err(JournalError::from)
    }

    pub fn count_unsettled_in(&self, run: RunKey, lane: LaneId) -> Result<u64, JournalError> {
        self.conn
            .prepare_cached(
                "SELECT count(*) FROM row INDEXED BY row_open WHERE run = ?1 AND lane = ?2 AND verdict IS NULL",
            )?
            .query_row(params![run.0, lane.0], |row| row.get(0))
            .map_err(JournalError::from)
    }
}

/// Search for verdicts whose rows have different causes.
#[derive(Default)]
struct Mixed {
    first: BTreeMap<Verdict, String>,
    several: Vec<Verdict>,
}

impl Mixed {
    /// Adds a row as [`Journal::sums`] reads it.
    fn add(&mut self, verdict: Verdict, columns: &rusqlite::Row<'_>) -> rusqlite::Result<()> {
        let ground = ground_at(columns, 9)?;
        if ground == Some(Ground::Skipped) || self.several.contains(&verdict) {
            return Ok(());
        }
        let cause = cause::word(ground, columns.get_ref(10)?.as_str_or_null()?, columns.get(11)?);
        match self.first.get(&verdict) {
            None => _ = self.first.insert(verdict, cause),
            Some(first) if *first == cause => (),
            Some(_) => self.are_several(verdict),
        }
        Ok(())
    }

    fn are_several(&mut self, verdict: Verdict) {
        if !self.several.contains(&verdict) {
            self.several.push(verdict);
        }
    }
}
