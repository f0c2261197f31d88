//! Open journal: its connection, and values that the files of this room share.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::chain::Hash;
use super::error::JournalError;
use crate::event::lane::LaneId;
use crate::ledger::standing::Standing;
use crate::model::RowId;

/// Number of a run within its file. People use its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunKey(pub(super) i64);

pub struct Journal {
    pub(super) conn: Connection,
    pub(super) path: PathBuf,
    /// Path that reports name in place of the real one.
    pub(super) told_as: Option<PathBuf>,
    pub(super) access: Access,
    /// Standings of rows in doubt, so that they need not be read again when their answer comes. They stay valid because one process
    /// alone appends to a run (see `lock`). Boxed, because they are large and are moved often.
    pub(super) open: HashMap<(RunKey, RowId), Box<Standing>>,
    /// SQLite's number of the schema when that was last compared with the one of its version.
    pub(super) schema: Option<i64>,
    /// Heads that this connection wrote: those of runs that it made, and all since [`Journal::mind_heads`].
    pub(super) ours: HashMap<(RunKey, LaneId), (u64, Hash)>,
    pub(super) minds_heads: bool,
    /// SQLite's number of the writes by other connections, up to which the content was checked.
    pub(super) others: i64,
    /// Rows are compared with their events when this connection first sends or settles them.
    pub(super) minds_rows: bool,
}

/// Kind of access to an open journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Write,
    /// With the files that SQLite keeps beside it, so that another process may be writing.
    Read,
    /// Immutable file: it has no log, and none can be made beside it.
    ///
    /// source: sqlite.org/wal.html#readonly
    ReadStill,
    /// With its log read into memory: the log's index is missing and cannot be made. Nobody else has the journal open, or the index
    /// would be there.
    ///
    /// source: sqlite.org/wal.html#noshm
    ReadWithLog,
}

impl Journal {
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes reports name this path: a copy that is moved elsewhere afterwards lies now where nobody will find it.
    pub(crate) fn be_told_as(&mut self, name: &str) {
        self.told_as = Some(name.into());
    }

    /// Path that reports name.
    pub(crate) fn told_path(&self) -> &Path {
        self.told_as.as_deref().unwrap_or(&self.path)
    }

    /// Waits at most so long from here on for other processes that write.
    pub(crate) fn wait_for_others(&self, most: Duration) -> Result<(), JournalError> {
        Ok(self.conn.busy_timeout(most)?)
    }

    /// Runs reads that all see the journal of one instant, also while another process writes.
    pub fn at_one_instant<T, E: From<JournalError>>(&self, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if !self.conn.is_autocommit() {
            // A transaction is open already.
            return read();
        }
        // Begins with the first read; dropped without a commit, since nothing was written.
        let _snapshot = self.conn.unchecked_transaction().map_err(JournalError::from)?;
        read()
    }
}
