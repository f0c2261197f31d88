//! Runs as table `run` has them, and the search for one.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use crate::event::rules::Rules;
use crate::journal::chain::Anchor;
use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;
use crate::journal::new_run::{NewLane, Places};
use crate::journal::tables::columns::{flag, is_run_id, time_at};
use crate::journal::tables::row::{ON_TARGET, rules_at};

/// Choice of runs. Of several conditions, all have to hold.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Something was recorded of the run at this time or later, or it goes on.
    pub since: Option<Timestamp>,
    /// Runs that go on, or have rows without a verdict.
    pub unfinished: bool,
    /// Runs that ended otherwise than with 0, or were cut off with rows that are not on target.
    pub failed: bool,
    /// Most runs, of which the newest are taken.
    pub limit: Option<u32>,
}

/// Runs that the journal calls running, by what their locks tell. One whose lock tells nothing is in neither list.
#[derive(Clone, Debug, Default)]
pub struct RunningByLock {
    pub going_on: Vec<RunKey>,
    pub cut_off: Vec<RunKey>,
}

/// Run as table `run` has it.
#[derive(Clone, Debug)]
pub struct RunRecord {
    pub key: RunKey,
    pub id: String,
    pub plan_path: String,
    pub plan_digest: String,
    pub n_rows: u32,
    pub endpoint: String,
    pub account: String,
    pub settings: serde_json::Value,
    pub launches: u32,
    pub running: bool,
    pub pid: Option<u32>,
    pub host: Option<String>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub elapsed_ms: u64,
    pub exit_code: Option<u8>,
    pub exit_name: Option<String>,
    pub exit_reason: Option<String>,
    /// Rules by which the events of its rows are added up.
    pub rules: Rules,
    /// Key by which a schedule names it.
    pub run_key: Option<String>,
    /// Name that the plan has for itself.
    pub plan_name: Option<String>,
}

impl RunRecord {
    /// Digest of the sealed plan that it was made from, if any.
    #[must_use]
    pub fn sealing(&self) -> Option<&str> {
        self.settings.pointer("/seal/digest")?.as_str()
    }
}

/// Name that a plan has for itself, as a column.
macro_rules! plan_name {
    () => {
        "iif(json_valid(settings), json_extract(settings, '$.plan.name'), NULL)"
    };
}

pub(in crate::journal) const RUN: &str = concat!(
    "run, id, plan_path, plan_digest, n_rows, endpoint, account, settings, launches, running, pid, host,
    started_at, ended_at, elapsed_ms, exit_code, exit_name, exit_reason, created_at, rules, run_key, ",
    plan_name!()
);

/// Columns by which a run tells its plan and its end.
pub(super) const RUN_OF_PLAN: &str = concat!("run, plan_path, ended_at, exit_code, ", plan_name!());

/// Selects what fits a [`RunFilter`]. The newest event of a run is the last of one of its lanes.
fn select_fitting(columns: &str) -> String {
    format!(
        "SELECT {columns} FROM run
         WHERE (?1 IS NULL OR created_at >= ?1 OR run IN (SELECT value FROM json_each(?2))
                OR EXISTS (SELECT 1 FROM lane JOIN event USING (run, lane, seq) WHERE lane.run = run.run AND event.at >= ?1))
           AND (NOT ?3 OR run IN (SELECT value FROM json_each(?2))
                OR EXISTS (SELECT 1 FROM row WHERE row.run = run.run AND row.verdict IS NULL))
           AND (NOT ?4 OR (running = 0 AND exit_code <> 0)
                OR (run IN (SELECT value FROM json_each(?5))
                    AND EXISTS (SELECT 1 FROM row WHERE row.run = run.run AND (row.verdict IS NULL OR NOT row.{ON_TARGET}))))
         ORDER BY run DESC LIMIT ?6"
    )
}

impl Journal {
    /// Reads the runs that fit one after the other, newest first.
    pub fn for_each_run<E: From<JournalError>>(
        &self,
        filter: &RunFilter,
        running: &RunningByLock,
        mut each: impl FnMut(RunRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        self.for_each_fitting(RUN, filter, running, |columns| each(run_record(columns).map_err(JournalError::from)?))
    }

    /// Reads id, plan and key of the runs that fit, in the same order.
    pub fn for_each_run_name(
        &self,
        filter: &RunFilter,
        running: &RunningByLock,
        mut each: impl FnMut(&str, &str, Option<&str>),
    ) -> Result<(), JournalError> {
        self.for_each_fitting("id, plan_path, run_key", filter, running, |columns| {
            let [id, plan]: [String; 2] = [columns.get(0)?, columns.get(1)?];
            let run_key: Option<String> = columns.get(2)?;
            each(&id, &plan, run_key.as_deref());
            Ok(())
        })
    }

    fn for_each_fitting<E: From<JournalError>>(
        &self,
        columns: &str,
        filter: &RunFilter,
        running: &RunningByLock,
        mut each: impl FnMut(&rusqlite::Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let RunFilter { since, unfinished, failed, limit } = filter;
        let listed = |runs: &[RunKey]| format!("{:?}", runs.iter().map(|run| run.0).collect::<Vec<_>>());
        let mut statement = self.conn.prepare_cached(&select_fitting(columns)).map_err(JournalError::from)?;
        let values = params![
            since.map(Timestamp::as_millisecond),
            listed(&running.going_on),
            unfinished,
            failed,
            listed(&running.cut_off),
            limit.map_or(-1, i64::from),
        ];
        let mut found = statement.query(values).map_err(JournalError::from)?;
        while let Some(columns) = found.next().map_err(JournalError::from)? {
            each(columns)?;
        }
        Ok(())
    }

    /// Returns the runs that have no recorded end, newest first.
    pub fn running(&self) -> Result<Vec<RunRecord>, JournalError> {
        let mut statement =
            self.conn.prepare_cached(&format!("SELECT {RUN} FROM run WHERE running = 1 ORDER BY run DESC"))?;
        let runs = statement.query_map([], run_record)?;
        runs.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// Returns all runs, newest first.
    pub fn runs(&self) -> Result<Vec<RunRecord>, JournalError> {
        let mut statement = self.conn.prepare_cached(&format!("SELECT {RUN} FROM run ORDER BY run DESC"))?;
        let runs = statement.query_map([], run_record)?;
        runs.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    pub fn run(&self, key: RunKey) -> Result<RunRecord, JournalError> {
        let mut statement = self.conn.prepare_cached(&format!("SELECT {RUN} FROM run WHERE run = ?1"))?;
        match statement.query_row([key.0], run_record).optional()? {
            Some(run) => Ok(run),
            None => Err(match self.tombstone_at(key.0)? {
                Some(tombstone) => JournalError::Pruned(Box::new(tombstone)),
                None => rusqlite::Error::QueryReturnedNoRows.into(),
            }),
        }
    }

    /// Returns the hash over the heads of its lanes, to be kept elsewhere.
    pub fn anchor(&self, run: &RunRecord) -> Result<Anchor, JournalError> {
        Ok(Anchor::new(&run.id, self.heads(run.key)?))
    }

    /// Returns the run with this run key. The index is left out: it could hide a run from everybody else.
    pub fn run_by_key(&self, run_key: &str) -> Result<Option<RunRecord>, JournalError> {
        let mut statement =
            self.conn.prepare_cached(&format!("SELECT {RUN} FROM run NOT INDEXED WHERE run_key = ?1 ORDER BY run"))?;
        statement.query_row([run_key], run_record).optional().map_err(JournalError::from)
    }

    /// Finds the run with this id, or else the only one whose id begins so.
    pub fn find_run(&self, prefix: &str) -> Result<RunRecord, JournalError> {
        if prefix.is_empty() {
            // The value of a variable that is not set names no run.
            return Err(JournalError::UnknownRun(String::new()));
        }
        let mut statement = self
            .conn
            .prepare_cached(&format!("SELECT {RUN} FROM run WHERE substr(id, 1, length(?1)) = ?1 ORDER BY run DESC"))?;
        let mut found: Vec<RunRecord> = statement.query_map([prefix], run_record)?.collect::<Result<_, _>>()?;
        if let Some(exact) = found.iter().position(|run| run.id == prefix) {
            return Ok(found.swap_remove(exact));
        }
        match found.len() {
            0 => Err(self.not_there(prefix)?),
            1 => Ok(found.swap_remove(0)),
            _ => Err(JournalError::AmbiguousRun {
                prefix: prefix.to_owned(),
                candidates: found.into_iter().map(|run| run.id).collect(),
            }),
        }
    }

    /// Returns the error about a run that is not there: it was taken out, or never was.
    fn not_there(&self, prefix: &str) -> Result<JournalError, JournalError> {
        let mut pruned = self.tombstones_of(prefix)?;
        if pruned.is_empty() {
            pruned.extend(self.tombstone_by_key(prefix)?);
        }
        Ok(match &pruned[..] {
            [] => JournalError::UnknownRun(prefix.to_owned()),
            [one, others @ ..] if others.is_empty() || one.run.id == prefix => {
                JournalError::Pruned(Box::new(pruned.swap_remove(0)))
            }
            several => JournalError::AmbiguousRun {
                prefix: prefix.to_owned(),
                candidates: several.iter().map(|tombstone| tombstone.run.id.clone()).collect(),
            },
        })
    }

    /// Returns the runs of this plan at these endpoints and accounts, finished or not, newest first.
    pub(crate) fn of_plan(&self, digest: &str, lanes: &[NewLane]) -> Result<Vec<RunRecord>, JournalError> {
        let Places { endpoint, account } = Places::from_lanes(lanes);
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {RUN} FROM run WHERE plan_digest = ?1 AND endpoint = ?2 AND account = ?3 ORDER BY run DESC"
        ))?;
        let runs = statement.query_map(params![digest, endpoint, account], run_record)?;
        runs.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// Returns the ids of the other runs with an account of these that have rows without a verdict, newest first.
    pub(crate) fn others_unfinished(&self, lanes: &[NewLane], but: RunKey) -> Result<Vec<String>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT run, id FROM run
             WHERE run <> ?1 AND EXISTS (SELECT 1 FROM row WHERE row.run = run.run AND verdict IS NULL)
                 AND EXISTS (SELECT 1 FROM lane WHERE lane.run = run.run AND lane > 0 AND endpoint = ?2 AND account = ?3)",
        )?;
        let mut found = BTreeMap::new();
        for lane in lanes {
            let runs = statement.query_map(params![but.0, lane.endpoint, lane.account], |run| {
                Ok((Reverse(run.get::<_, i64>(0)?), run_id(run.get(1)?)?))
            })?;
            for run in runs {
                let (number, id) = run?;
                found.insert(number, id);
            }
        }
        Ok(found.into_values().collect())
    }

    /// Returns the runs of this plan at these endpoints and accounts that have rows without a verdict, or no recorded end, newest
    /// first.
    pub fn unfinished(&self, digest: &str, lanes: &[NewLane]) -> Result<Vec<RunRecord>, JournalError> {
        let Places { endpoint, account } = Places::from_lanes(lanes);
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {RUN} FROM run WHERE plan_digest = ?1 AND endpoint = ?2 AND account = ?3
               AND (running = 1 OR EXISTS (SELECT 1 FROM row WHERE row.run = run.run AND row.verdict IS NULL))
             ORDER BY run DESC"
        ))?;
        let runs = statement.query_map(params![digest, endpoint, account], run_record)?;
        runs.collect::<Result<_, _>>().map_err(JournalError::from)
    }
}

/// Checks a run's id as it is read. It becomes part of file names and of commands to type; any other text was written by somebody
/// else.
fn run_id(id: String) -> rusqlite::Result<String> {
    if is_run_id(&id) {
        return Ok(id);
    }
    let bad = format!("`{id}` cannot be the id of a run");
    Err(rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, bad.into()))
}

pub(in crate::journal) fn run_record(row: &rusqlite::Row<'_>) -> rusqlite::Result<RunRecord> {
    let time = |at: usize| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(at)?.and_then(|ms| Timestamp::from_millisecond(ms).ok()))
    };
    let settings: String = row.get(7)?;
    Ok(RunRecord {
        key: RunKey(row.get(0)?),
        id: run_id(row.get(1)?)?,
        plan_path: row.get(2)?,
        plan_digest: row.get(3)?,
        n_rows: row.get(4)?,
        endpoint: row.get(5)?,
        account: row.get(6)?,
        settings: serde_json::from_str(&settings).unwrap_or(serde_json::Value::Null),
        launches: row.get(8)?,
        running: flag(row, 9)?,
        pid: row.get(10)?,
        host: row.get(11)?,
        created_at: time_at(row, 18)?.unwrap_or_default(),
        started_at: time(12)?,
        ended_at: time(13)?,
        elapsed_ms: row.get(14)?,
        exit_code: row.get(15)?,
        exit_name: row.get(16)?,
        exit_reason: row.get(17)?,
        rules: rules_at(row, 19)?,
        run_key: row.get(20)?,
        plan_name: plan_name_at(row, 21)?,
    })
}

/// Name that a plan has for itself. One that is no text is none: `audit verify` finds what was altered.
pub(super) fn plan_name_at(columns: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Option<String>> {
    Ok(columns.get_ref(at)?.as_str().ok().map(str::to_owned))
}
