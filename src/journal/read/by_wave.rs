//! Waves of a run: sums of each, and rows wave by wave.

use jiff::Timestamp;

use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;
use crate::journal::tables::columns;
use crate::journal::tables::row::ON_TARGET;
use crate::ledger::standing::Standing;
use crate::model::{Row, RowId};

/// Sums over the rows of one wave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaveSum {
    /// Position in the order in which waves run.
    pub wave_no: u32,
    pub wave: Option<String>,
    pub rows: u64,
    pub settled: u64,
    pub on_target: u64,
    /// Rows on target whose verification was switched off.
    pub unproven: u64,
    /// Milliseconds from first change to verdict, added up over its settled rows: see [`Standing::took_ms`].
    pub took_ms: u64,
    /// Time at which its first change was sent.
    pub first_sent_at: Option<Timestamp>,
}

impl Journal {
    /// Returns the sums of a run's waves, in the order in which they run.
    pub fn wave_sums(&self, run: RunKey) -> Result<Vec<WaveSum>, JournalError> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT wave_no, min(wave), count(*), count(verdict), sum({ON_TARGET}),
                 sum(coalesce(max(settled_at - first_sent_at, 0), 0)), min(first_sent_at),
                 coalesce(sum(verdict = 'unverified' AND ground = 'not_verified'), 0)
             FROM row WHERE run = ?1 GROUP BY wave_no ORDER BY wave_no"
        ))?;
        let waves = statement.query_map([run.0], |columns| {
            Ok(WaveSum {
                wave_no: columns.get(0)?,
                wave: columns.get(1)?,
                rows: columns.get(2)?,
                settled: columns.get(3)?,
                on_target: columns.get(4)?,
                took_ms: columns.get(5)?,
                first_sent_at: columns::time_at(columns, 6)?,
                unproven: columns.get(7)?,
            })
        })?;
        waves.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// Visits every row, wave by wave and in plan order within each, one at a time.
    ///
    /// Only row numbers are sorted; rows that follow each other in the plan are then read together.
    pub fn for_each_row_by_wave<E: From<JournalError>>(
        &self,
        run: RunKey,
        mut each: impl FnMut(u32, Row, Standing) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut order = self
            .conn
            .prepare_cached("SELECT wave_no, row FROM row WHERE run = ?1 ORDER BY wave_no, row")
            .map_err(JournalError::from)?;
        let mut found = order.query([run.0]).map_err(JournalError::from)?;
        let mut stretch: Option<Stretch> = None;
        while let Some(columns) = found.next().map_err(JournalError::from)? {
            let (wave_no, row) = wave_and_row(columns).map_err(JournalError::from)?;
            match &mut stretch {
                Some(stretch) if stretch.wave_no == wave_no && stretch.last + 1 == row => stretch.last = row,
                Some(_) | None => {
                    if let Some(whole) = stretch.replace(Stretch { wave_no, first: row, last: row }) {
                        self.for_each_row_of(run, &whole, &mut each)?;
                    }
                }
            }
        }
        stretch.map_or(Ok(()), |whole| self.for_each_row_of(run, &whole, &mut each))
    }

    fn for_each_row_of<E: From<JournalError>>(
        &self,
        run: RunKey,
        Stretch { wave_no, first, last }: &Stretch,
        each: &mut impl FnMut(u32, Row, Standing) -> Result<(), E>,
    ) -> Result<(), E> {
        self.for_each_row_among(run, RowId(*first)..=RowId(*last), |row, standing| each(*wave_no, row, standing))
    }
}

/// Rows of one wave that follow each other in the plan.
struct Stretch {
    wave_no: u32,
    first: u32,
    last: u32,
}

fn wave_and_row(columns: &rusqlite::Row<'_>) -> rusqlite::Result<(u32, u32)> {
    Ok((columns.get(0)?, columns.get(1)?))
}
