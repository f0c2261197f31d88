//! An open journal: its connection, and values that its files share.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::chain::Hash;
use super::error::JournalError;
use crate::event::lane::LaneId;
use crate::ledger::standing::Standing;
use crate::model::RowId;

/// A run's number within its file. People use its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunKey(pub(super) i64);

pub struct Journal {
    pub(super) conn: Connection,
    pub(super) path: PathBuf,
    /// Another name for those who read of it.
    pub(super) told_as: Option<PathBuf>,
    pub(super) access: Access,
    /// Where the rows stand whose change is under way, so that they need not be read again when its answer comes. Whoever
    /// appends to a run is the only one (see `lock`), and nobody else has these. Boxed, for they are large and are moved often.
    pub(super) open: HashMap<(RunKey, RowId), Box<Standing>>,
    /// Number of the schema when it was held last against what its version makes.
    pub(super) schema: Option<i64>,
    /// The heads that this connection has written: those of runs that it made, and all since nobody else may write to the same.
    pub(super) ours: HashMap<(RunKey, LaneId), (u64, Hash)>,
    pub(super) minds_heads: bool,
    /// Number of what other connections wrote, up to which it was held against itself.
    pub(super) others: i64,
    /// Rows that it has not taken in hand itself are held against their events as it does.
    pub(super) minds_rows: bool,
}

/// How an open journal is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Write,
    /// With the files that SQLite keeps beside it, so that another process may be writing.
    Read,
    /// Nothing is beside it, and nothing can be: as a file that does not change.
    ///
    /// source: sqlite.org/wal.html#readonly
    ReadStill,
    /// Its log is beside it and its log's index is not, and cannot be: the log is read into memory. Nobody has it open, or
    /// the index were there.
    ///
    /// source: sqlite.org/wal.html#noshm
    ReadWithLog,
}

impl Journal {
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// From here on reports name it so: a copy that goes elsewhere lies where nobody will find it.
    pub(crate) fn be_told_as(&mut self, name: &str) {
        self.told_as = Some(name.into());
    }

    /// Path that reports name.
    pub(crate) fn told_path(&self) -> &Path {
        self.told_as.as_deref().unwrap_or(&self.path)
    }

    /// Whatever is read meanwhile is of one instant, also while another process writes.
    pub fn at_one_instant<T, E: From<JournalError>>(&self, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if !self.conn.is_autocommit() {
            // Within such an instant already.
            return read();
        }
        // Begun by the first read; dropped without a commit, for there is nothing to commit.
        let _snapshot = self.conn.unchecked_transaction().map_err(JournalError::from)?;
        read()
    }
}
