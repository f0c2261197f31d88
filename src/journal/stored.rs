//! Stored forms for audits: events with their hashes, heads, and values that no event holds.

use std::collections::BTreeMap;

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
    /// Events of one lane.
    OfLane(LaneId),
    /// First event of a lane.
    FirstOf(LaneId),
    LastOf(LaneId),
    /// Events that give a row a verdict or take it away, lane by lane.
    OfVerdicts,
    /// Events of a range of rows, with both ends.
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

/// Standing of a row as table `row` has it.
pub struct StoredStanding {
    pub row: RowId,
    pub standing: Standing,
    /// Value of the column, which has to follow from the standing.
    pub on_target: bool,
}

/// Command as table `control` has it.
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

    /// Tells whether its stored text is the one that this program writes for the event `read` from it. Fields that came later are
    /// left out at their defaults, so that texts of earlier versions are the same. `text` is a buffer that can be used again.
    #[must_use]
    pub fn is_spelled_as_written(&self, read: &EventKind, text: &mut String) -> bool {
        let Stored { kind, row, detail } = stored_form(read, text);
        (kind, row, detail) == (self.kind, self.row, self.detail)
    }
}

impl Journal {
    /// Returns the heads of a run's lanes, in the order of lanes.
    pub fn heads(&self, run: RunKey) -> Result<Vec<(LaneId, u64, Hash)>, JournalError> {
        let mut statement =
            self.conn.prepare_cached("SELECT lane, seq, head FROM lane WHERE run = ?1 ORDER BY lane")?;
        let heads = statement.query_map([run.0], |row| Ok((LaneId(row.get(0)?), row.get(1)?, row.get(2)?)))?;
        heads.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// Visits events of a run as they are stored, in the given order.
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

    /// Visits the events behind these ones of their lanes, in the order of their times; those of one lane in theirs.
    #[cfg_attr(
        not(feature = "cluster"),
        expect(dead_code, reason = "the journal is the log of a machine that is alone")
    )]
    pub(crate) fn for_each_event_behind(
        &self,
        run: RunKey,
        behind: &BTreeMap<LaneId, u64>,
        mut each: impl FnMut(StoredEvent<'_>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let behind: Vec<(u32, u64)> = behind.iter().map(|(lane, seq)| (lane.0, *seq)).collect();
        let behind = serde_json::to_string(&behind).expect("numbers are JSON");
        // A clock that was set back puts no event before those of its lane.
        let mut statement = self.conn.prepare_cached(
            "SELECT e.lane, e.seq, e.at, e.kind, e.row, e.detail, e.prev, e.hash
             FROM json_each(?2) AS behind
             JOIN event AS e ON e.run = ?1 AND e.lane = behind.value ->> 0 AND e.seq > behind.value ->> 1
             ORDER BY max(e.at) OVER (PARTITION BY e.lane ORDER BY e.seq), e.lane, e.seq",
        )?;
        let mut found = statement.query(params![run.0, behind])?;
        while let Some(columns) = found.next()? {
            each(stored_event(columns)?)?;
        }
        Ok(())
    }

    /// Visits every row as it was planned, in plan order.
    pub fn for_each_planned_row(&self, run: RunKey, mut each: impl FnMut(&Row)) -> Result<(), JournalError> {
        let sql = format!("SELECT {} FROM row WHERE run = ?1 ORDER BY row", row::PLAN);
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut found = statement.query([run.0])?;
        while let Some(columns) = found.next()? {
            each(&row::plan_row(columns)?);
        }
        Ok(())
    }

    /// Visits every row in plan order with its verdict, if any, and true if it counts as on target.
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

    /// Returns the standings of the next rows after one, in plan order, `limit` at most.
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

    /// Returns a digest over the layout of a run: path and time of its plan, and for each row its line, lane, wave, part (canary
    /// or rest) and the state that a sealed plan saw. It covers one line of JSON for the run and one for each row; a row from a
    /// file of its own has that file as a third part.
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

    /// Returns the settings of a run as they are spelled.
    pub fn settings_text(&self, run: RunKey) -> Result<String, JournalError> {
        self.conn
            .prepare_cached("SELECT settings FROM run WHERE run = ?1")?
            .query_row([run.0], |row| row.get(0))
            .map_err(JournalError::from)
    }

    /// Visits the unknown columns of each row that has any, as they are spelled.
    pub fn for_each_extra(&self, run: RunKey, mut each: impl FnMut(RowId, &str)) -> Result<(), JournalError> {
        let mut statement =
            self.conn.prepare_cached("SELECT row, extra FROM row WHERE run = ?1 AND extra IS NOT NULL ORDER BY row")?;
        let mut found = statement.query([run.0])?;
        while let Some(row) = found.next()? {
            each(RowId(row.get(0)?), row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
        }
        Ok(())
    }

    /// Returns the commands to the launches of a run, taken or not.
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

    /// Tells whether the run's own lane has none of the values that only accounts have.
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

/// Hashes a value as one line of JSON; `line` is a buffer that is used again.
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
