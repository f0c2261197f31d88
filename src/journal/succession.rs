//! The chain of runs: each names those before it, so that none can vanish from the journal or come in between.
//!
//! Runs have the numbers from 1 on, in the order in which they were made. One that begins names the one made before it with
//! the heads of its lanes, and where that one names none itself (because it has not begun, or was begun by an earlier
//! version), the one before that as well, and so on. So whatever was there when a run began is named by it or by those it
//! names; what happened to them since is not.

use rusqlite::{Connection, params};

use super::chain::hex;
use super::{Journal, JournalError, RunKey};
use crate::event::{Predecessor, Predecessors};

/// The journal as a whole, as table `journal` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Given at random when the journal was made, or brought up to the version that knows of it. Copies keep it.
    pub id: String,
    /// So many runs were made in it.
    pub n_runs: u64,
    /// Of these, those made by versions that did not chain them.
    pub n_earlier: u64,
    /// A copy for others that leaves runs out.
    pub is_excerpt: bool,
}

impl Journal {
    pub fn identity(&self) -> Result<Identity, JournalError> {
        self.conn
            .prepare_cached("SELECT id, n_runs, n_earlier, excerpt FROM journal WHERE journal = 1")?
            .query_row([], |row| {
                Ok(Identity {
                    id: row.get(0)?,
                    n_runs: row.get(1)?,
                    n_earlier: row.get(2)?,
                    is_excerpt: super::rows::flag(row, 3)?,
                })
            })
            .map_err(JournalError::from)
    }

    /// What a run names that begins now.
    pub fn predecessors(&self, run: RunKey) -> Result<Predecessors, JournalError> {
        let Identity { id, n_earlier, .. } = self.identity()?;
        let mut statement = self.conn.prepare_cached(
            "SELECT run, id, EXISTS (SELECT 1 FROM event
                                     WHERE event.run = run.run AND lane = 0 AND seq = 1 AND kind = 'run_started'
                                         AND json_type(detail, '$.after') IS NOT NULL)
             FROM run WHERE run < ?1 ORDER BY run DESC",
        )?;
        let mut found = statement.query([run.0])?;
        let mut runs = Vec::new();
        while let Some(row) = found.next()? {
            let heads = self.heads(RunKey(row.get(0)?))?;
            let heads = heads.into_iter().map(|(lane, seq, hash)| (lane, seq, hex(&hash))).collect();
            runs.push(Predecessor { run: row.get(1)?, heads });
            if row.get(2)? {
                break;
            }
        }
        Ok(Predecessors { journal: id, earlier: n_earlier, runs })
    }
}

/// The number of the next run. One that is not the next after those that are there tells that runs were removed.
pub(super) fn count_another(conn: &Connection) -> Result<RunKey, JournalError> {
    let (n_runs, last): (i64, i64) = conn
        .prepare_cached("SELECT n_runs, (SELECT coalesce(max(run), 0) FROM run) FROM journal WHERE journal = 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if n_runs != last {
        return Err(JournalError::Damaged(format!(
            "{n_runs} runs were made in it, and the last one there is number {last}"
        )));
    }
    conn.execute("UPDATE journal SET n_runs = ?1", params![n_runs + 1])?;
    Ok(RunKey(n_runs + 1))
}
