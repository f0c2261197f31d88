//! Table `lane`: the head of each lane, which its next event is chained to.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::written::must_be;
use crate::event::lane::LaneId;
use crate::journal::chain::Hash;
use crate::journal::connection::RunKey;
use crate::journal::error::JournalError;

pub(in crate::journal) fn load_head(conn: &Connection, run: RunKey, lane: LaneId) -> Result<(u64, Hash), JournalError> {
    let head = conn
        .prepare_cached("SELECT seq, head FROM lane WHERE run = ?1 AND lane = ?2")?
        .query_row(params![run.0, lane.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    head.ok_or_else(|| JournalError::Damaged(format!("lane {lane} has no head")))
}

pub(in crate::journal) fn store_head(
    conn: &Connection,
    run: RunKey,
    lane: LaneId,
    (seq, head): &(u64, Hash),
) -> Result<(), JournalError> {
    let n_written = conn
        .prepare_cached("UPDATE lane SET seq = ?3, head = ?4 WHERE run = ?1 AND lane = ?2")?
        .execute(params![run.0, lane.0, seq, head])?;
    must_be(1, n_written, "heads")
}

/// End of a wait, in milliseconds.
pub(in crate::journal) fn wait_ends(asked_at: Timestamp, wait_ms: u64) -> i64 {
    asked_at.as_millisecond().saturating_add(i64::try_from(wait_ms).unwrap_or(i64::MAX))
}
