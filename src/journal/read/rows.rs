//! Rows of a run and their standings, in pages or one by one: nothing here holds a plan in memory.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use rusqlite::{OptionalExtension, params};

use super::conditions::Conditions;
use crate::event::lane::LaneId;
use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;
use crate::journal::tables::row::{self, ON_TARGET};
use crate::ledger::standing::Standing;
use crate::model::{Row, RowId};
use crate::waves::Part;

/// Rows from which a page is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Without a verdict, in one lane and wave.
    Unsettled {
        lane: LaneId,
        wave_no: u32,
        part: Part,
    },
    /// Begun and without a verdict, in one lane and any wave.
    InDoubt {
        lane: LaneId,
    },
    /// Settled or not, but not on target.
    OffTarget,
    All,
}

impl Journal {
    /// Returns the next rows after one, in plan order, `limit` at most.
    pub fn page(
        &self,
        run: RunKey,
        which: Which,
        after: Option<RowId>,
        limit: u32,
    ) -> Result<Vec<(Row, Standing)>, JournalError> {
        let conditions = Conditions::new(run).and_with("row > ?", after.map_or(0, |row| row.0));
        let in_lane = |conditions: Conditions, lane: LaneId| conditions.and_with("lane = ?", lane.0);
        let mut conditions = match which {
            Which::Unsettled { lane, wave_no, part } => {
                let is_of_part = match part {
                    Part::Canary => "canary = 1",
                    Part::Rest => "canary = 0",
                };
                in_lane(conditions, lane).and_with("wave_no = ?", wave_no).and(is_of_part).and("verdict IS NULL")
            }
            Which::InDoubt { lane } => {
                in_lane(conditions, lane).and("verdict IS NULL").and("standing IN ('open', 'in_doubt', 'accepted')")
            }
            Which::OffTarget => conditions.and(&format!("NOT {ON_TARGET}")),
            Which::All => conditions,
        };
        let limit = conditions.value(limit);
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {}, {} FROM row WHERE {} ORDER BY row LIMIT {limit}",
            row::PLAN,
            row::STANDING,
            conditions.sql()
        ))?;
        let page = statement.query_map(conditions.values(), row::row_and_standing)?;
        page.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// Visits every row in plan order, one at a time.
    pub fn for_each_row<E: From<JournalError>>(
        &self,
        run: RunKey,
        each: impl FnMut(Row, Standing) -> Result<(), E>,
    ) -> Result<(), E> {
        self.for_each_row_among(run, RowId(0)..=RowId(u32::MAX), each)
    }

    /// Returns the last row of the plan; `None` if it has no rows.
    pub fn last_row(&self, run: RunKey) -> Result<Option<RowId>, JournalError> {
        let mut statement = self.conn.prepare_cached("SELECT max(row) FROM row WHERE run = ?1")?;
        let last: Option<u32> = statement.query_row([run.0], |row| row.get(0))?;
        Ok(last.map(RowId))
    }

    /// Visits every row of a range in plan order, one at a time.
    pub fn for_each_row_among<E: From<JournalError>>(
        &self,
        run: RunKey,
        rows: RangeInclusive<RowId>,
        mut each: impl FnMut(Row, Standing) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = format!(
            "SELECT {}, {} FROM row WHERE run = ?1 AND row BETWEEN ?2 AND ?3 ORDER BY row",
            row::PLAN,
            row::STANDING
        );
        let mut statement = self.conn.prepare_cached(&sql).map_err(JournalError::from)?;
        let among = params![run.0, rows.start().0, rows.end().0];
        let mut found = statement.query(among).map_err(JournalError::from)?;
        while let Some(columns) = found.next().map_err(JournalError::from)? {
            let (row, standing) = row::row_and_standing(columns).map_err(JournalError::from)?;
            each(row, standing)?;
        }
        Ok(())
    }

    /// Visits every row from the last of the last wave to the first, one at a time.
    pub fn for_each_row_backwards<E: From<JournalError>>(
        &self,
        run: RunKey,
        mut each: impl FnMut(Row, Standing) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = format!(
            "SELECT {}, {} FROM row WHERE run = ?1 ORDER BY wave_no DESC, canary, row DESC",
            row::PLAN,
            row::STANDING
        );
        let mut statement = self.conn.prepare_cached(&sql).map_err(JournalError::from)?;
        let mut found = statement.query([run.0]).map_err(JournalError::from)?;
        while let Some(columns) = found.next().map_err(JournalError::from)? {
            let (row, standing) = row::row_and_standing(columns).map_err(JournalError::from)?;
            each(row, standing)?;
        }
        Ok(())
    }

    /// Returns the row with this id, compared without case. An older journal may have two spellings of one id: the exact one goes
    /// first.
    pub fn row_of_source(&self, run: RunKey, source: &str) -> Result<Option<(Row, Standing)>, JournalError> {
        let sql = format!(
            "SELECT {}, {} FROM row INDEXED BY row_source WHERE run = ?1 AND source_id = ?2 COLLATE NOCASE
             ORDER BY source_id <> ?2 LIMIT 1",
            row::PLAN,
            row::STANDING
        );
        self.conn
            .prepare_cached(&sql)?
            .query_row(params![run.0, source], row::row_and_standing)
            .optional()
            .map_err(JournalError::from)
    }

    /// Returns, for each source in order, the row of this lane with it; `None` if there is none or it has a verdict.
    pub fn unsettled_among<'a>(
        &self,
        run: RunKey,
        lane: LaneId,
        sources: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Option<(Row, Standing)>>, JournalError> {
        let sql = format!(
            "SELECT {}, {} FROM row INDEXED BY row_source
             WHERE run = ?1 AND source_id = ?2 COLLATE NOCASE AND lane = ?3 AND verdict IS NULL",
            row::PLAN,
            row::STANDING
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        self.at_one_instant(|| {
            let mut of =
                |source| Ok(statement.query_row(params![run.0, source, lane.0], row::row_and_standing).optional()?);
            sources.into_iter().map(&mut of).collect()
        })
    }

    /// Returns the rows of this lane with these sources.
    pub fn rows_among<'a>(
        &self,
        run: RunKey,
        lane: LaneId,
        sources: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<(Row, Standing)>, JournalError> {
        let sql = format!(
            "SELECT {}, {} FROM row INDEXED BY row_source WHERE run = ?1 AND source_id = ?2 COLLATE NOCASE AND lane = ?3",
            row::PLAN,
            row::STANDING
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        // One read transaction takes the lock once for all.
        self.at_one_instant(|| {
            let mut found = Vec::new();
            for source in sources {
                let row = statement.query_row(params![run.0, source, lane.0], row::row_and_standing).optional()?;
                found.extend(row);
            }
            Ok(found)
        })
    }

    /// Returns the rows that were begun and of which no attempt counts as sent.
    pub fn begun_and_unsent(&self, run: RunKey) -> Result<HashSet<RowId>, JournalError> {
        let mut statement =
            self.conn.prepare_cached("SELECT row FROM row WHERE run = ?1 AND started > 0 AND attempts = 0")?;
        let found = statement.query_map([run.0], |row| Ok(RowId(row.get(0)?)))?;
        found.collect::<Result<_, _>>().map_err(JournalError::from)
    }
}
