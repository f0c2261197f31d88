//! Chain of runs: each names those before it, so that none can be removed from the journal or inserted.
//!
//! Runs are numbered from 1 in the order in which they were made. A new run names the run before it with the heads of its lanes;
//! where that one names none itself, because an earlier version made it, the new run names the one before that as well, and so
//! on. So a run vouches, directly or through those it names, for every run as it was when this one was made, and for nothing
//! that happened since. A run that was made in another journal, and copied into this one, names runs of that one: it vouches for none
//! here, and the next run names the one before it as well. A run that was taken out is named as its tombstone has it, and the last tombstone is named as well.

use rusqlite::{Connection, OptionalExtension, params};

use super::chain::{Hash, hex};
use super::connection::{Journal, RunKey};
use super::error::JournalError;
use super::tables::columns;
use super::tombstone::{LastTombstone, PrunedRecord, StoredTombstone, Tombstone};
use crate::event::kind::EventKind;
use crate::event::lane::LaneId;
use crate::event::rules::Rules;
use crate::event::run::{Predecessor, Predecessors, PrunedBefore, RunEvent, is_shared};
use crate::event::stored::from_stored_form;

/// Journal as a whole, as table `journal` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Random id, given when the journal was made or brought up to the version that has ids. Copies keep it.
    pub id: String,
    /// Number of runs that were made in it.
    pub n_runs: u64,
    /// Number of these that were made by versions that did not chain runs.
    pub n_earlier: u64,
    /// True for a copy that leaves runs out.
    pub is_excerpt: bool,
}

impl Identity {
    /// Tells whether a run was made by a version that did not chain runs. Decided by its number and by its rules, which nobody can
    /// make older in an intact chain.
    #[must_use]
    pub fn is_earlier(&self, run: RunKey, rules: Rules) -> bool {
        run.number().cast_unsigned() <= self.n_earlier && rules < Rules::Third
    }
}

/// First event of a run's own lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum First {
    NotBegun,
    /// Beginning that names no run before it, as earlier versions wrote it.
    Alone(Rules),
    After(Predecessors),
    /// Beginning of a run that was made in another journal, and names runs of that. Only a run that several machines share is copied.
    Elsewhere(Predecessors),
    /// Event of another kind, or one that cannot be read.
    Other,
}

impl First {
    /// Returns the runs that it names, of whichever journal.
    #[must_use]
    pub fn named(&self) -> Option<&Predecessors> {
        match self {
            First::After(after) | First::Elsewhere(after) => Some(after),
            First::NotBegun | First::Alone(_) | First::Other => None,
        }
    }

    fn of_tombstone(rules: Rules, after: Option<Predecessors>, journal: &str) -> Self {
        match after {
            None => First::Alone(rules),
            Some(after) if after.journal == journal => First::After(after),
            Some(after) => First::Elsewhere(after),
        }
    }
}

/// Run with its first event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    pub run: RunKey,
    pub id: String,
    pub first: First,
    /// Ends of its lanes, by its tombstone; `None` for a run that is there.
    pub pruned: Option<Vec<(LaneId, u64, String)>>,
}

/// Tables of which entries of a run are left for a while after its tombstone was made.
pub(super) const LEFT_BEHIND: [&str; 2] = ["event", "row"];
/// Other tables with entries of runs, which go together with the run's record.
const GONE_AT_ONCE: [&str; 3] = ["lane", "control", "notice"];

impl RunKey {
    /// Returns the number: from 1 on, in the order in which runs were made.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }
}

impl Journal {
    pub fn identity(&self) -> Result<Identity, JournalError> {
        self.conn
            .prepare_cached(
                "SELECT id, n_runs, n_earlier, excerpt, (SELECT count(*) FROM journal) FROM journal WHERE journal = 1",
            )?
            .query_row([], |row| {
                let identity = Identity {
                    id: row.get(0)?,
                    n_runs: row.get(1)?,
                    n_earlier: row.get(2)?,
                    is_excerpt: columns::flag(row, 3)?,
                };
                Ok((identity, row.get(4)?))
            })
            .map_err(JournalError::from)
            .and_then(|(identity, n_lines): (_, u64)| match n_lines {
                1 => Ok(identity),
                n => Err(JournalError::Damaged(format!("table `journal` says {n} times what it is"))),
            })
    }

    /// Refuses a copy for others to read: it lacks runs that the next run would have to name.
    pub(crate) fn must_not_be_an_excerpt(&self) -> Result<(), JournalError> {
        if self.identity()?.is_excerpt { Err(JournalError::Excerpt) } else { Ok(()) }
    }

    /// Returns the beginnings of all runs, in the order in which they were made: those of runs that were taken out as their
    /// tombstones have them.
    pub fn beginnings(&self) -> Result<Vec<Beginning>, JournalError> {
        let journal = self.identity()?.id;
        let mut beginnings = self.beginnings_of_those_there(&journal)?;
        for StoredTombstone { tombstone, .. } in self.tombstones()? {
            let PrunedRecord { id, number, rules, heads, after, .. } = tombstone.run;
            let first = First::of_tombstone(rules, after, &journal);
            beginnings.push(Beginning { run: RunKey(number), id, first, pruned: Some(heads) });
        }
        beginnings.sort_by_key(|beginning| beginning.run.number());
        Ok(beginnings)
    }

    fn beginnings_of_those_there(&self, journal: &str) -> Result<Vec<Beginning>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT run.run, run.id, event.kind, event.row, event.detail
             FROM run LEFT JOIN event ON event.run = run.run AND event.lane = 0 AND event.seq = 1 ORDER BY run.run",
        )?;
        let mut found = statement.query([])?;
        let mut beginnings = Vec::new();
        while let Some(row) = found.next()? {
            let first = first_at(row, [2, 3, 4], journal)?;
            beginnings.push(Beginning { run: RunKey(row.get(0)?), id: row.get(1)?, first, pruned: None });
        }
        Ok(beginnings)
    }

    /// Returns the runs that a run names as made before it.
    pub(super) fn named_before(&self, run: RunKey) -> Result<Option<Predecessors>, JournalError> {
        let journal = self.identity()?.id;
        let first = self
            .conn
            .prepare_cached("SELECT kind, row, detail FROM event WHERE run = ?1 AND lane = 0 AND seq = 1")?
            .query_row([run.0], |row| first_at(row, [0, 1, 2], &journal))
            .optional()?;
        Ok(first.and_then(|first| first.named().cloned()))
    }

    /// Returns table and run number of entries whose run is not there, other than those that are left of a run with a tombstone.
    pub fn left_of_runs_that_are_gone(&self) -> Result<Vec<(&'static str, i64)>, JournalError> {
        let is_gone = "run NOT IN (SELECT run FROM run)";
        let is_lost = format!("{is_gone} AND run NOT IN (SELECT run FROM tombstone)");
        let of_tables = [(&GONE_AT_ONCE[..], is_gone), (&LEFT_BEHIND[..], &*is_lost)];
        let mut left = Vec::new();
        for (table, is_left) in
            of_tables.into_iter().flat_map(|(tables, is)| tables.iter().map(move |table| (*table, is)))
        {
            let runs = runs_with_entries(&self.conn, table, is_left)?;
            left.extend(runs.into_iter().map(|run| (table, run)));
        }
        Ok(left)
    }

    /// Returns the hash of one event; `None` if it is not there.
    pub fn hash_at(&self, run: RunKey, lane: LaneId, seq: u64) -> Result<Option<Hash>, JournalError> {
        self.conn
            .prepare_cached("SELECT hash FROM event WHERE run = ?1 AND lane = ?2 AND seq = ?3")?
            .query_row(params![run.0, lane.0, seq], |row| row.get(0))
            .optional()
            .map_err(JournalError::from)
    }

    /// Tells whether a run has no events at all, not even its beginning: an earlier version was cut off there, or somebody removed
    /// them.
    pub fn is_unrecorded(&self, run: RunKey) -> Result<bool, JournalError> {
        self.conn
            .prepare_cached(
                "SELECT NOT EXISTS (SELECT 1 FROM event WHERE run = ?1)
                    AND NOT EXISTS (SELECT 1 FROM lane WHERE run = ?1 AND seq > 0)",
            )?
            .query_row([run.0], |row| row.get(0))
            .map_err(JournalError::from)
    }

    /// Returns the predecessors that a run made now has to name.
    pub fn predecessors(&self, run: RunKey) -> Result<Predecessors, JournalError> {
        let Identity { id, n_earlier, .. } = self.identity()?;
        let mut runs = Vec::new();
        for number in (1..run.0).rev() {
            let (predecessor, is_chained) = self.predecessor(RunKey(number), &id)?;
            runs.push(predecessor);
            if is_chained {
                break;
            }
        }
        let pruned = self.last_tombstone()?.map(|LastTombstone { n, hash }| PrunedBefore { n, head: hex(&hash) });
        Ok(Predecessors { journal: id, earlier: n_earlier, runs, pruned })
    }

    /// Returns the run with this number, or its tombstone, as a later run has to name it, and true if it names its own predecessors in
    /// this journal.
    fn predecessor(&self, run: RunKey, journal: &str) -> Result<(Predecessor, bool), JournalError> {
        if let Some(Tombstone { run: PrunedRecord { id, heads, after, .. }, .. }) = self.tombstone_at(run.0)? {
            return Ok((Predecessor { run: id, heads }, after.is_some_and(|after| after.journal == journal)));
        }
        let (id, is_chained) = self
            .conn
            .prepare_cached(
                "SELECT id, EXISTS (SELECT 1 FROM event
                                    WHERE event.run = run.run AND lane = 0 AND seq = 1 AND kind = 'run_started'
                                        AND json_extract(detail, '$.after.journal') = ?2)
                 FROM run WHERE run = ?1",
            )?
            .query_row(params![run.0, journal], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let heads = self.heads(run)?.into_iter().map(|(lane, seq, hash)| (lane, seq, hex(&hash))).collect();
        Ok((Predecessor { run: id, heads }, is_chained))
    }
}

/// Returns the first event of a run in this journal, of which the columns have kind, row and detail.
fn first_at(columns: &rusqlite::Row<'_>, [kind, row, detail]: [usize; 3], journal: &str) -> rusqlite::Result<First> {
    let text = |at| columns.get_ref(at)?.as_str_or_null().map_err(rusqlite::Error::from);
    Ok(match (text(kind)?, text(detail)?) {
        (Some(kind), Some(detail)) => match from_stored_form(kind, columns.get(row)?, detail) {
            Ok(EventKind::Run(RunEvent::Started { after: Some(after), settings, .. })) => {
                if after.journal != journal && is_shared(&settings) {
                    First::Elsewhere(*after)
                } else {
                    First::After(*after)
                }
            }
            Ok(EventKind::Run(RunEvent::Started { after: None, rules, .. })) => First::Alone(rules),
            Ok(_) | Err(_) => First::Other,
        },
        (_, _) => First::NotBegun,
    })
}

/// Returns the numbers of the runs of which a table has entries, as far as a condition holds for them. Steps from number to number
/// by the index: there may be millions of entries of each run.
pub(super) fn runs_with_entries(conn: &Connection, table: &str, is: &str) -> Result<Vec<i64>, JournalError> {
    let mut statement = conn.prepare_cached(&format!(
        "WITH RECURSIVE found (run) AS (
             SELECT min(run) FROM {table}
             UNION ALL SELECT (SELECT min(run) FROM {table} WHERE {table}.run > found.run) FROM found
                 WHERE found.run IS NOT NULL)
         SELECT run FROM found WHERE run IS NOT NULL AND {is}"
    ))?;
    let runs = statement.query_map([], |row| row.get(0))?;
    runs.collect::<Result<_, _>>().map_err(JournalError::from)
}

/// Counts one more run and returns its number. Fails if the count differs from the last run there, or its tombstone: then runs were
/// removed.
pub(super) fn count_another(conn: &Connection) -> Result<RunKey, JournalError> {
    let (n_runs, last): (i64, i64) = conn
        .prepare_cached(
            "SELECT n_runs, max((SELECT coalesce(max(run), 0) FROM run), (SELECT coalesce(max(run), 0) FROM tombstone))
             FROM journal WHERE journal = 1",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if n_runs != last {
        return Err(JournalError::Damaged(format!(
            "{n_runs} runs were made in it, and the last one there is number {last}"
        )));
    }
    conn.execute("UPDATE journal SET n_runs = ?1", params![n_runs + 1])?;
    Ok(RunKey(n_runs + 1))
}
