//! The journal as it is stored, for those who check it: events with their hashes, heads, and what no event tells.

use rusqlite::params;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::chain::{Hash, hex};
use super::connection::{Journal, RunKey};
use super::error::JournalError;
use super::read::conditions::Conditions;
use super::tables::{columns, row};
use crate::event::kind::EventKind;
use crate::event::lane::LaneId;
use crate::event::stored::{Stored, from_stored_form, stored_form};
use crate::event::verdict::Verdict;
use crate::ledger::standing::Standing;
use crate::model::{Row, RowId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOrder {
    ByLane,
    /// Those of one lane.
    OfLane(LaneId),
    /// The first of a lane, or its last.
    FirstOf(LaneId),
    LastOf(LaneId),
    /// Those that give rows a verdict or take it from them, lane by lane.
    OfVerdicts,
    /// Those of the rows from the first to the last of these.
    ByRow {
        first: RowId,
        last: RowId,
    },
}

pub struct StoredEvent<'a> {
    pub lane: LaneId,
    pub seq: u64,
    pub at_ms: i64,
    pub kind: &'a str,
    pub row: Option<u32>,
    pub detail: &'a str,
    pub prev: Hash,
    pub hash: Hash,
}

/// A row's sum as table `row` has it.
pub struct StoredStanding {
    pub row: RowId,
    pub standing: Standing,
    /// Follows from the rest, and has a column of its own.
    pub on_target: bool,
}

/// A command as table `control` has it.
pub struct StoredCommand {
    pub control: i64,
    pub command: String,
    pub given_by: String,
    pub taken_at_ms: Option<i64>,
}

impl StoredEvent<'_> {
    pub fn read(&self) -> Result<EventKind, serde_json::Error> {
        from_stored_form(self.kind, self.row, self.detail)
    }

    /// Tells that it is spelled as it was written, given what was read of it. There is one spelling: fields that came later are
    /// left out where they say nothing, so that it is also that of earlier versions. The text may be used again.
    #[must_use]
    pub fn is_spelled_as_written(&self, read: &EventKind, text: &mut String) -> bool {
        let Stored { kind, row, detail } = stored_form(read, text);
        (kind, row, detail) == (self.kind, self.row, self.detail)
    }
}

impl Journal {
    /// The heads of a run's lanes, in the order of lanes.
    pub fn heads(&self, run: RunKey) -> Result<Vec<(LaneId, u64, Hash)>, JournalError> {
        let mut statement =
            self.conn.prepare_cached("SELECT lane, seq, head FROM lane WHERE run = ?1 ORDER BY lane")?;
        let heads = statement.query_map([run.0], |row| Ok((LaneId(row.get(0)?), row.get(1)?, row.get(2)?)))?;
        heads.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// Every event of a run as it is stored, lane by lane in order: for those who check it.
    pub fn for_each_stored_event<E: From<JournalError>>(
        &self,
        run: RunKey,
        order: EventOrder,
        mut each: impl FnMut(StoredEvent<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let all = Conditions::new(run);
        let (conditions, by) = match order {
            EventOrder::ByLane => (all, "lane, seq"),
            EventOrder::OfLane(lane) => (all.and_with("lane = ?", lane.0), "seq"),
            EventOrder::FirstOf(lane) => (all.and_with("lane = ?", lane.0), "seq LIMIT 1"),
            EventOrder::LastOf(lane) => (all.and_with("lane = ?", lane.0), "seq DESC LIMIT 1"),
            EventOrder::OfVerdicts => (all.and("kind IN ('row_settled', 'row_reopened')"), "lane, seq"),
            EventOrder::ByRow { first, last } => {
                (all.and_with("row >= ?", first.0).and_with("row <= ?", last.0), "row, seq")
            }
        };
        let sql = format!(
            "SELECT lane, seq, at, kind, row, detail, prev, hash FROM event WHERE {} ORDER BY {by}",
            conditions.sql()
        );
        let mut statement = self.conn.prepare_cached(&sql).map_err(JournalError::from)?;
        let mut found = statement.query(conditions.values()).map_err(JournalError::from)?;
        while let Some(columns) = found.next().map_err(JournalError::from)? {
            let stored = stored_event(columns).map_err(JournalError::from)?;
            each(stored)?;
        }
        Ok(())
    }

    /// Every row as it was planned, in plan order.
    pub fn for_each_planned_row(&self, run: RunKey, mut each: impl FnMut(&Row)) -> Result<(), JournalError> {
        let sql = format!("SELECT {} FROM row WHERE run = ?1 ORDER BY row", row::PLAN);
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut found = statement.query([run.0])?;
        while let Some(columns) = found.next()? {
            each(&row::plan_row(columns)?);
        }
        Ok(())
    }

    /// The verdict of each row in plan order, if it has one, and that it counts as on target.
    pub fn for_each_verdict(
        &self,
        run: RunKey,
        mut each: impl FnMut(RowId, Option<Verdict>, bool),
    ) -> Result<(), JournalError> {
        let sql = format!("SELECT row, verdict, {} FROM row WHERE run = ?1 ORDER BY row", row::ON_TARGET);
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut found = statement.query([run.0])?;
        while let Some(columns) = found.next()? {
            let row = RowId(columns.get(0)?);
            let verdict = match columns.get_ref(1)?.as_str_or_null().map_err(rusqlite::Error::from)? {
                None => None,
                Some(name) => Some(Verdict::named(name).ok_or_else(|| {
                    JournalError::Damaged(format!("row {row} has the verdict `{name}`, and there is none such"))
                })?),
            };
            each(row, verdict, columns::flag(columns, 2)?);
        }
        Ok(())
    }

    /// How the next rows after one stand, in plan order.
    pub fn standings(
        &self,
        run: RunKey,
        after: Option<RowId>,
        limit: u32,
    ) -> Result<Vec<StoredStanding>, JournalError> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT row, {}, {} FROM row WHERE run = ?1 AND row > ?2 ORDER BY row LIMIT ?3",
            row::ON_TARGET,
            row::STANDING
        ))?;
        let after = after.map_or(0, |row| row.0);
        let page = statement.query_map(params![run.0, after, limit], |columns| {
            Ok(StoredStanding {
                row: RowId(columns.get(0)?),
                on_target: columns::flag(columns, 1)?,
                standing: row::standing(columns, 2)?,
            })
        })?;
        page.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// A digest over how a run was laid out when it was made: where its plan came from and when, and for each row its
    /// line, lane, wave, whether it is of the canary, and where a sealed plan saw it. One line of JSON for the run, then one
    /// for each row; a row that stands in a file of its own has that as a third part.
    pub fn layout(&self, run: RunKey) -> Result<String, JournalError> {
        let mut hash = Sha256::new();
        let mut line = Vec::new();
        let made: (String, String, i64, String, String) = self
            .conn
            .prepare_cached("SELECT id, plan_path, created_at, endpoint, account FROM run WHERE run = ?1")?
            .query_row([run.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?;
        add_line(&mut hash, &mut line, &made);
        let mut statement = self.conn.prepare_cached(
            "SELECT row, line, lane, wave_no, canary, sealed_copystate, sealed_migrationcycle, file
             FROM row WHERE run = ?1 ORDER BY row",
        )?;
        let mut found = statement.query([run.0])?;
        while let Some(row) = found.next()? {
            let numbers: [u32; 5] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
            let text = |at| row.get_ref(at)?.as_str_or_null().map_err(rusqlite::Error::from);
            let sealed = [text(5)?, text(6)?];
            match text(7)? {
                None => add_line(&mut hash, &mut line, &(numbers, sealed)),
                Some(file) => add_line(&mut hash, &mut line, &(numbers, sealed, file)),
            }
        }
        Ok(format!("sha256:{}", hex(&hash.finalize())))
    }

    /// The settings of a run as they are spelled.
    pub fn settings_text(&self, run: RunKey) -> Result<String, JournalError> {
        self.conn
            .prepare_cached("SELECT settings FROM run WHERE run = ?1")?
            .query_row([run.0], |row| row.get(0))
            .map_err(JournalError::from)
    }

    /// The columns of a plan that we do not know, as they are spelled, for each row that has any.
    pub fn for_each_extra(&self, run: RunKey, mut each: impl FnMut(RowId, &str)) -> Result<(), JournalError> {
        let mut statement =
            self.conn.prepare_cached("SELECT row, extra FROM row WHERE run = ?1 AND extra IS NOT NULL ORDER BY row")?;
        let mut found = statement.query([run.0])?;
        while let Some(row) = found.next()? {
            each(RowId(row.get(0)?), row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
        }
        Ok(())
    }

    /// Commands to the launches of a run, taken or not.
    pub fn stored_commands(&self, run: RunKey) -> Result<Vec<StoredCommand>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT control, command, given_by, taken_at FROM control WHERE run = ?1 ORDER BY control",
        )?;
        let commands = statement.query_map([run.0], |row| {
            Ok(StoredCommand {
                control: row.get(0)?,
                command: row.get(1)?,
                given_by: row.get(2)?,
                taken_at_ms: row.get(3)?,
            })
        })?;
        commands.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// Whether the run's own lane has nothing that only accounts have.
    pub fn own_lane_is_plain(&self, run: RunKey) -> Result<bool, JournalError> {
        self.conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM lane WHERE run = ?1 AND lane = 0 AND name = 'run' AND throttled = 0
                     AND coalesce(per_second, stated, stopped, endpoint, account, learned_at, cooled_until) IS NULL)",
            )?
            .query_row([run.0], |row| row.get(0))
            .map_err(JournalError::from)
    }
}

/// One line of JSON, put together in a place that is used for all.
fn add_line(hash: &mut Sha256, line: &mut Vec<u8>, value: &impl Serialize) {
    line.clear();
    serde_json::to_writer(&mut *line, value).expect("numbers and texts are JSON");
    line.push(b'\n');
    hash.update(&*line);
}

fn stored_event<'a>(columns: &'a rusqlite::Row<'_>) -> rusqlite::Result<StoredEvent<'a>> {
    Ok(StoredEvent {
        lane: LaneId(columns.get(0)?),
        seq: columns.get(1)?,
        at_ms: columns.get(2)?,
        kind: columns.get_ref(3)?.as_str()?,
        row: columns.get(4)?,
        detail: columns.get_ref(5)?.as_str()?,
        prev: columns.get(6)?,
        hash: columns.get(7)?,
    })
}
