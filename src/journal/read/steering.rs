//! Facts that steer a run: its stages and their progress, commands, drift, and rows that others moved.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::conditions::Conditions;
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::lane::LaneId;
use crate::event::verdict::Verdict;
use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;
use crate::journal::tables::event::event;
use crate::ledger::steered::Steered;
use crate::waves::{Part, Stage};

/// Group of rows that were tried and ended alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    pub verdict: Verdict,
    pub http_status: Option<u16>,
    pub error_code: Option<String>,
    pub no_look_succeeded: bool,
    pub n_rows: u64,
}

/// Row that is not in the state that the sealed plan saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drifted {
    pub source_id: String,
    /// Location of the row in the plan, as `file:line`.
    pub place: String,
    pub sealed: String,
    pub seen: String,
}

/// Unsettled rows of a stage, in doubt and pending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOf {
    pub in_doubt: RowsLeft,
    pub pending: RowsLeft,
}

/// Number of rows, and the ids of the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowsLeft {
    pub n_rows: u64,
    pub first: Vec<String>,
}

/// Rows that are due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    pub n_rows: u64,
    /// Most frequent cause for which rows were left, if any was given, and below the number of rows with it.
    pub left_for: Option<String>,
    pub n_left_for: u64,
}

impl Journal {
    /// Returns the stages in which a lane has unsettled rows, in the order in which they run.
    pub fn unsettled_stages_in(&self, run: RunKey, lane: LaneId) -> Result<Vec<(u32, Part)>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT DISTINCT wave_no, canary FROM row INDEXED BY row_open
             WHERE run = ?1 AND lane = ?2 AND verdict IS NULL ORDER BY 1, 2 DESC",
        )?;
        let stages = statement.query_map(params![run.0, lane.0], |row| Ok((row.get(0)?, part(row.get(1)?))))?;
        stages.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// Returns the stages in which any lane has unsettled rows, in the order in which they run.
    pub fn unsettled_stages(&self, run: RunKey) -> Result<Vec<Stage>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT wave_no, canary, min(row) FROM row INDEXED BY row_open
             WHERE run = ?1 AND verdict IS NULL GROUP BY 1, 2 ORDER BY 1, 2 DESC",
        )?;
        let stages = statement.query_map([run.0], |row| Ok((row.get(0)?, part(row.get(1)?), row.get::<_, u32>(2)?)))?;
        let stages: Vec<(u32, Part, u32)> = stages.collect::<Result<_, _>>()?;
        let mut name = self.conn.prepare_cached("SELECT wave FROM row WHERE run = ?1 AND row = ?2")?;
        let named = stages.into_iter().map(|(wave_no, part, row)| {
            let wave = name.query_row(params![run.0, row], |row| row.get(0))?;
            Ok(Stage { wave_no, wave, part })
        });
        named.collect()
    }

    /// Counts the unsettled rows of a wave by lane and part; parts without any are left out.
    pub fn unsettled_in_wave(&self, run: RunKey, wave_no: u32) -> Result<Vec<(LaneId, Part, u64)>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, canary, count(*) FROM row INDEXED BY row_open
             WHERE run = ?1 AND wave_no = ?2 AND verdict IS NULL GROUP BY 1, 2",
        )?;
        let counts = statement
            .query_map(params![run.0, wave_no], |row| Ok((LaneId(row.get(0)?), part(row.get(1)?), row.get(2)?)))?;
        counts.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// Counts the rows of a stage that are in doubt and that are pending, with the ids of the first `n_named` of each.
    pub fn left_in_stage(&self, run: RunKey, stage: (u32, Part), n_named: u32) -> Result<LeftOf, JournalError> {
        let (wave_no, part) = stage;
        let mut statement = self.conn.prepare_cached(
            "SELECT source_id FROM row INDEXED BY row_open
             WHERE run = ?1 AND wave_no = ?2 AND canary = ?3 AND verdict IS NULL
                 AND (standing IN ('open', 'in_doubt', 'accepted')) = ?4
             ORDER BY row",
        )?;
        let mut left = LeftOf::default();
        for (in_doubt, of) in [(true, &mut left.in_doubt), (false, &mut left.pending)] {
            let mut found = statement.query(params![run.0, wave_no, part == Part::Canary, in_doubt])?;
            while let Some(columns) = found.next()? {
                of.n_rows += 1;
                if of.n_rows <= u64::from(n_named) {
                    of.first.push(columns.get(0)?);
                }
            }
        }
        Ok(left)
    }

    /// Counts the rows of a lane that are due, and finds the cause for which most of them were left.
    pub fn due_in(&self, run: RunKey, lane: LaneId) -> Result<Due, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT reason, count(*) AS n_rows, sum(count(*)) OVER () FROM row INDEXED BY row_open
             WHERE run = ?1 AND lane = ?2 AND verdict IS NULL AND standing IN ('untried', 'due')
             GROUP BY reason ORDER BY n_rows DESC, min(row) LIMIT 1",
        )?;
        let due = statement.query_row(params![run.0, lane.0], |columns| {
            Ok(Due { left_for: columns.get(0)?, n_left_for: columns.get(1)?, n_rows: columns.get(2)? })
        });
        Ok(due.optional()?.unwrap_or_default())
    }

    /// Counts unsettled rows by lane; lanes without any are left out.
    pub fn unsettled_by_lane(&self, run: RunKey) -> Result<Vec<(LaneId, u64)>, JournalError> {
        self.count_by_lane(
            run,
            "SELECT lane, count(*) FROM row INDEXED BY row_open WHERE run = ?1 AND verdict IS NULL GROUP BY 1",
        )
    }

    /// Counts the rows of each lane that this run has moved.
    pub fn changed_by_lane(&self, run: RunKey) -> Result<Vec<(LaneId, u64)>, JournalError> {
        self.count_by_lane(run, "SELECT lane, count(*) FROM row WHERE run = ?1 AND verdict = 'applied' GROUP BY 1")
    }

    fn count_by_lane(&self, run: RunKey, sql: &str) -> Result<Vec<(LaneId, u64)>, JournalError> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let counts = statement.query_map([run.0], |row| Ok((LaneId(row.get(0)?), row.get(1)?)))?;
        counts.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// Counts rows that were looked at and not yet sent, and whose state is not the one that the sealed plan saw, and returns the
    /// first `limit` of them.
    pub fn drifted(&self, run: RunKey, limit: u32) -> Result<(u64, Vec<Drifted>), JournalError> {
        // `init` and `initialize` are one state.
        let condition = "run = ?1 AND attempts = 0 AND looked = 1 AND doubted = 0 AND verdict IS NULL
             AND (replace(coalesce(sealed_copystate, ''), 'initialize', 'init')
                      <> replace(coalesce(moved_copystate, before_copystate, ''), 'initialize', 'init')
                  OR coalesce(sealed_migrationcycle, '') <> coalesce(moved_migrationcycle, before_migrationcycle, ''))";
        let n_rows = self
            .conn
            .prepare_cached(&format!("SELECT count(*) FROM row WHERE {condition}"))?
            .query_row([run.0], |row| row.get(0))?;
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT source_id, coalesce(sealed_copystate || '/' || sealed_migrationcycle, 'unknown'),
                 coalesce(moved_copystate || '/' || moved_migrationcycle, before_copystate || '/' || before_migrationcycle,
                     'unknown'),
                 coalesce(file, (SELECT plan_path FROM run WHERE run.run = row.run)) || ':' || line
             FROM row WHERE {condition} ORDER BY row LIMIT ?2"
        ))?;
        let first = statement.query_map(params![run.0, limit], |row| {
            Ok(Drifted { source_id: row.get(0)?, sealed: row.get(1)?, seen: row.get(2)?, place: row.get(3)? })
        })?;
        Ok((n_rows, first.collect::<Result<_, _>>()?))
    }

    /// Returns for each stage the time of the last verdict or attempt among its tried rows; stages without tried rows are left
    /// out.
    pub fn stages_at_rest(&self, run: RunKey) -> Result<BTreeMap<(u32, Part), Timestamp>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT wave_no, canary, coalesce(settled_at, last_sent_at) FROM row WHERE run = ?1 AND attempts > 0",
        )?;
        // Nothing is sorted by SQLite: a launch waits for this pass over all rows.
        let mut latest = BTreeMap::<(u32, bool), Option<i64>>::new();
        let mut found = statement.query([run.0])?;
        while let Some(columns) = found.next()? {
            let of_stage = latest.entry((columns.get(0)?, columns.get(1)?)).or_default();
            *of_stage = (*of_stage).max(columns.get(2)?);
        }
        let stages = latest.into_iter().map(|((wave_no, canary), ms)| {
            let at = ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX);
            ((wave_no, part(canary)), at)
        });
        Ok(stages.collect())
    }

    /// Counts settled rows that were tried, grouped by ending, in one stage or in all.
    pub fn tried(&self, run: RunKey, stage: Option<(u32, Part)>) -> Result<Vec<Tried>, JournalError> {
        let mut conditions = Conditions::new(run).and("attempts > 0 AND verdict IS NOT NULL");
        if let Some((wave_no, part)) = stage {
            conditions = conditions.and_with("wave_no = ?", wave_no).and_with("canary = ?", part == Part::Canary);
        }
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT verdict, http_status, error_code, coalesce(ground = 'unseen', 0) FROM row WHERE {}",
            conditions.sql()
        ))?;
        // Nothing is sorted by SQLite: a launch waits for this pass over all rows. Most rows ended like the one before, and are
        // counted without a look-up.
        let mut alike: Option<Tried> = None;
        let mut tried = BTreeMap::new();
        let mut add = |alike: Option<Tried>| {
            let Some(Tried { verdict, http_status, error_code, no_look_succeeded, n_rows }) = alike else { return };
            *tried.entry((verdict, http_status, error_code, no_look_succeeded)).or_default() += n_rows;
        };
        let mut found = statement.query(conditions.values())?;
        while let Some(columns) = found.next()? {
            let text = |at| columns.get_ref(at)?.as_str_or_null().map_err(rusqlite::Error::from);
            let Some(verdict) = text(0)?.and_then(Verdict::named) else { continue };
            let (http_status, error_code, no_look_succeeded) = (columns.get(1)?, text(2)?, columns.get(3)?);
            match &mut alike {
                Some(alike)
                    if (alike.verdict, alike.http_status, alike.error_code.as_deref(), alike.no_look_succeeded)
                        == (verdict, http_status, error_code, no_look_succeeded) =>
                {
                    alike.n_rows += 1;
                }
                Some(_) | None => {
                    let error_code = error_code.map(str::to_owned);
                    add(alike.replace(Tried { verdict, http_status, error_code, no_look_succeeded, n_rows: 1 }));
                }
            }
        }
        add(alike);
        let tried = tried.into_iter().map(|((verdict, http_status, error_code, no_look_succeeded), n_rows)| Tried {
            verdict,
            http_status,
            error_code,
            no_look_succeeded,
            n_rows,
        });
        Ok(tried.collect())
    }

    /// Visits the answers of a lane and the verdicts after them, in order, until `each` breaks off.
    pub(crate) fn for_each_answer(
        &self,
        run: RunKey,
        lane: LaneId,
        mut each: impl FnMut(&Event) -> bool,
    ) -> Result<(), JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event WHERE run = ?1 AND lane = ?2
             AND kind IN ('attempt_ended', 'row_settled', 'row_reopened', 'lane_stopped') ORDER BY seq",
        )?;
        let mut found = statement.query(params![run.0, lane.0])?;
        while let Some(columns) = found.next()? {
            if !each(&event(columns)?) {
                break;
            }
        }
        Ok(())
    }

    /// Returns the sum of a run's steering.
    pub fn steered(&self, run: RunKey) -> Result<Steered, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event WHERE run = ?1 AND lane = 0 ORDER BY seq",
        )?;
        let mut found = statement.query([run.0])?;
        let mut steered = Steered::default();
        while let Some(columns) = found.next()? {
            let event = event(columns)?;
            if let EventKind::Run(what) = event.kind {
                steered.add(event.at, &what);
            }
        }
        Ok(steered)
    }

    /// Counts those of these sources whose rows have no verdict yet.
    pub fn n_unsettled_of<'a>(&self, run: RunKey, ids: impl Iterator<Item = &'a String>) -> Result<u64, JournalError> {
        let ids = serde_json::to_string(&ids.collect::<Vec<_>>()).expect("strings are JSON");
        self.conn
            .prepare_cached(
                "SELECT count(*) FROM row
                 WHERE run = ?1 AND verdict IS NULL AND source_id IN (SELECT value FROM json_each(?2))",
            )?
            .query_row(params![run.0, ids], |row| row.get(0))
            .map_err(JournalError::from)
    }

    /// Counts rows that somebody else moved, as far as reads made for other rows showed it.
    pub fn n_moved(&self, run: RunKey) -> Result<u64, JournalError> {
        self.conn
            .prepare_cached(
                "SELECT count(*) FROM row
                 WHERE run = ?1 AND (moved_copystate IS NOT NULL OR moved_migrationcycle IS NOT NULL)",
            )?
            .query_row([run.0], |row| row.get(0))
            .map_err(JournalError::from)
    }
}

fn part(canary: bool) -> Part {
    if canary { Part::Canary } else { Part::Rest }
}
