//! Table `tombstone`, and what table `journal` says of it.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::chain::{Hash, hex};
use super::connection::Journal;
use super::error::JournalError;
use super::read::runs::RunRecord;
use super::tombstone::{
    LastTombstone, PrunedExit, PrunedPlan, PrunedRecord, StoredTombstone, Tombstone, genesis, hash_of,
};

const COLUMNS: &str = "tombstone, run, id, run_key, quotas, detail, prev, hash";

/// Columns of a tombstone, before they are compared.
struct Columns {
    nth: u64,
    run: i64,
    id: String,
    run_key: Option<String>,
    quotas: Option<String>,
    detail: String,
    prev: Hash,
    hash: Hash,
}

impl Columns {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            nth: row.get(0)?,
            run: row.get(1)?,
            id: row.get(2)?,
            run_key: row.get(3)?,
            quotas: row.get(4)?,
            detail: row.get(5)?,
            prev: row.get(6)?,
            hash: row.get(7)?,
        })
    }

    fn tombstone(&self) -> Result<Tombstone, JournalError> {
        serde_json::from_str(&self.detail)
            .map_err(|error| JournalError::Damaged(format!("tombstone {}: {error}", self.nth)))
    }

    fn stored(self, nth: u64, prev: &Hash) -> Result<StoredTombstone, JournalError> {
        let tombstone = self.tombstone()?;
        let is_whole = self.nth == nth
            && self.prev == *prev
            && self.hash == hash_of(prev, nth, &self.detail)
            && self.detail == tombstone.detail()
            && (self.run, &self.id, &self.run_key) == (tombstone.run.number, &tombstone.run.id, &tombstone.run.run_key)
            && self.quotas == tombstone.quotas_text()
            && tombstone.run.anchor == tombstone.run.anchor_of_heads().whole();
        Ok(StoredTombstone { nth: self.nth, tombstone, hash: self.hash, is_whole })
    }
}

impl Journal {
    /// Returns all tombstones, in the order in which they were made, each compared with the one before it.
    pub fn tombstones(&self) -> Result<Vec<StoredTombstone>, JournalError> {
        let mut prev = genesis(&self.identity()?.id);
        let mut statement = self.conn.prepare_cached(&format!("SELECT {COLUMNS} FROM tombstone ORDER BY tombstone"))?;
        let mut found = statement.query([])?;
        let mut tombstones = Vec::new();
        while let Some(row) = found.next()? {
            let stored = Columns::read(row)?.stored(tombstones.len() as u64 + 1, &prev)?;
            prev = stored.hash;
            tombstones.push(stored);
        }
        Ok(tombstones)
    }

    pub fn n_tombstones(&self) -> Result<u64, JournalError> {
        let mut statement = self.conn.prepare_cached("SELECT count(*) FROM tombstone")?;
        statement.query_row([], |row| row.get(0)).map_err(JournalError::from)
    }

    /// Returns the tombstone of the run that was made last of those that fit; `None` if none does.
    pub(crate) fn last_pruned(&self, fits: impl Fn(&PrunedRecord) -> bool) -> Result<Option<Tombstone>, JournalError> {
        let mut statement = self.conn.prepare_cached(&format!("SELECT {COLUMNS} FROM tombstone ORDER BY run DESC"))?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let tombstone = Columns::read(row)?.tombstone()?;
            if fits(&tombstone.run) {
                return Ok(Some(tombstone));
            }
        }
        Ok(None)
    }

    /// Returns what a tombstone says of a run.
    pub fn pruned_record(&self, run: &RunRecord) -> Result<PrunedRecord, JournalError> {
        let tally = self.tally(run.key)?;
        let by_verdict = tally.verdicts.iter().map(|(verdict, n)| (verdict.name().to_owned(), *n));
        let unsettled = [("pending", tally.pending), ("in_doubt", tally.in_doubt)];
        let unsettled = unsettled.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_owned(), n));
        let heads = self.heads(run.key)?.into_iter().map(|(lane, seq, hash)| (lane, seq, hex(&hash)));
        let exit = run.exit_code.zip(run.exit_name.clone());
        Ok(PrunedRecord {
            id: run.id.clone(),
            number: run.key.number(),
            run_key: run.run_key.clone(),
            plan: PrunedPlan {
                path: run.plan_path.clone(),
                digest: run.plan_digest.clone(),
                rows: run.n_rows,
                sealing: run.sealing().map(str::to_owned),
            },
            endpoint: run.endpoint.clone(),
            account: run.account.clone(),
            made_at: run.created_at,
            ended_at: run.ended_at,
            exit: exit.map(|(code, name)| PrunedExit { code, name, reason: run.exit_reason.clone() }),
            verdicts: by_verdict.chain(unsettled).collect(),
            on_target: tally.on_target(),
            rules: run.rules,
            heads: heads.collect(),
            anchor: self.anchor(run)?.whole(),
            after: self.named_before(run.key)?,
        })
    }

    /// Returns the tombstones of the runs whose ids begin so, at most two of them.
    pub(super) fn tombstones_of(&self, prefix: &str) -> Result<Vec<Tombstone>, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM tombstone WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id = ?1 DESC, tombstone LIMIT 2"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let found = statement.query_map([prefix], Columns::read)?;
        found.map(|columns| columns?.tombstone()).collect()
    }

    /// Returns the tombstone of the run that had this run key: a used one stays used. The index is left out, as it is for the runs
    /// that are there.
    pub fn tombstone_by_key(&self, run_key: &str) -> Result<Option<Tombstone>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM tombstone NOT INDEXED WHERE run_key = ?1");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let found = statement.query_row([run_key], Columns::read).optional()?;
        found.map(|columns| columns.tombstone()).transpose()
    }

    /// Returns the tombstone of the run with this number.
    pub(super) fn tombstone_at(&self, number: i64) -> Result<Option<Tombstone>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM tombstone WHERE run = ?1");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let found = statement.query_row([number], Columns::read).optional()?;
        found.map(|columns| columns.tombstone()).transpose()
    }

    /// Returns the last tombstone as table `journal` states it; `None` if no run was taken out.
    pub fn last_tombstone(&self) -> Result<Option<LastTombstone>, JournalError> {
        last_tombstone(&self.conn)
    }
}

fn last_tombstone(conn: &Connection) -> Result<Option<LastTombstone>, JournalError> {
    let mut statement = conn.prepare_cached("SELECT n_pruned, pruned_head FROM journal WHERE journal = 1")?;
    let (n, hash): (u64, Option<Hash>) = statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    match (n, hash) {
        (0, None) => Ok(None),
        (n, Some(hash)) if n > 0 => Ok(Some(LastTombstone { n, hash })),
        (n, _) => Err(JournalError::Damaged(format!(
            "table `journal` counts {n} tombstones, and the last has another number"
        ))),
    }
}

/// Adds a tombstone behind the last one.
pub(super) fn add(conn: &Connection, journal: &str, tombstone: &Tombstone) -> Result<(), JournalError> {
    let (n, prev) = last_tombstone(conn)?.map_or_else(|| (0, genesis(journal)), |last| (last.n, last.hash));
    let (nth, detail, run) = (n + 1, tombstone.detail(), &tombstone.run);
    let hash = hash_of(&prev, nth, &detail);
    conn.execute(
        "INSERT INTO tombstone (tombstone, run, id, run_key, quotas, detail, prev, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![nth, run.number, run.id, run.run_key, tombstone.quotas_text(), detail, prev, hash],
    )?;
    conn.execute("UPDATE journal SET n_pruned = ?1, pruned_head = ?2", params![nth, hash])?;
    Ok(())
}
