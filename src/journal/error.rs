//! Errors of opening, reading and writing a journal.

use std::io;
use std::path::PathBuf;

use super::altered::{Additions, SchemaAltered};
use super::one_name::Misplaced;
use super::tombstone::{PrunedRecord, Tombstone};
use crate::event::lane::LaneId;
use crate::ledger::fold::IllegalStep;
use crate::model::RowId;
use crate::wording::amounts::bounded;
use crate::wording::plain::plain;

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("there is no journal `{}`", .0.display())]
    Absent(PathBuf),
    #[error("could not open the journal `{}`", path.display())]
    Unopenable {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("could not read the journal `{}`", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` is a folder, and a journal is a file", .0.display())]
    Folder(PathBuf),
    #[error("there is no folder `{}` for the journal", .0.display())]
    NoFolder(PathBuf),
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
    #[error("reading the journal took too long and was given up")]
    Abandoned,
    #[error("the file is not a journal of cutover")]
    NotAJournal,
    #[error(
        "the journal was written by an older cutover (schema {version}, this program reads {known}), and where it is it \
         cannot be brought up to date"
    )]
    Older { version: i64, known: i64 },
    #[error("the journal could not be copied to `{}`", path.display())]
    Copy {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("the journal was written by a newer cutover (schema {version}, this program knows {known})")]
    Newer { version: i64, known: i64 },
    #[error("the journal could not be brought up to date: {0}")]
    Migration(String),
    #[error("the journal is damaged: {0}")]
    Damaged(String),
    /// Objects besides ours, which are as we made them.
    #[error(transparent)]
    Added(Additions),
    /// Object of ours that is not as we made it, or a foreign one that may have acted on what is recorded.
    #[error(transparent)]
    Schema(SchemaAltered),
    /// Copy of one run, for others to read.
    #[error("the journal is an excerpt: a copy of one run for others to read, from which the other runs were left out")]
    Excerpt,
    /// File beside the journal that SQLite would apply to it, or silently ignore.
    #[error("`{}`, beside the journal, {what}", path.display())]
    Beside { path: PathBuf, what: &'static str },
    /// Stored standing of a row, about to be sent or settled, that is not the sum of its events: somebody else wrote it.
    #[error("row {row} is not what its events say ({columns})")]
    NotAsTold { row: RowId, columns: String },
    /// Foreign write to a run that this process alone writes to.
    #[error("the journal does not hold any more what was recorded last")]
    NotOurs,
    /// Taking over of a run by a launch on another machine, which committed to the log of the run.
    #[error("another launch goes on with the run")]
    Replaced,
    /// Failure of the log before the journal.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Transaction of another process that takes too long.
    #[error("another process holds the journal, and has not let go of it in time")]
    Held,
    #[error("the disk is full: the journal cannot be written")]
    Full(#[source] rusqlite::Error),
    /// The disk failed, or a quota or a limit on the size of files stopped a write.
    #[error("the journal could not be read or written")]
    FailingDisk(#[source] rusqlite::Error),
    #[error("the journal could not be read or written")]
    Sqlite(#[source] rusqlite::Error),
    #[error("the journal tells a history that cannot have happened")]
    Illegal(#[from] IllegalStep),
    #[error("the journal holds no run yet")]
    NoRuns,
    /// Every run was taken out; the one that was made last.
    #[error("the journal holds no run any more, and the last was this: {}", told_of_pruned(.0))]
    AllPruned(Box<Tombstone>),
    #[error("the journal has no run `{0}`")]
    UnknownRun(String),
    #[error("{}", told_of_pruned(.0))]
    Pruned(Box<Tombstone>),
    #[error("`{prefix}` could be any of {}", bounded(candidates))]
    AmbiguousRun { prefix: String, candidates: Vec<String> },
    /// A run was to be made under the run key of another.
    #[error("the run key `{}` is that of run {run}", plain(run_key))]
    KeyTaken { run_key: String, run: String },
}

/// Reason for which the log of a run takes nothing more, although no other writer has taken the run over. Messages are numbered by the
/// log; number 0 stands for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    #[error("the log of the run ends with message {found}, and had acknowledged message {acknowledged}")]
    Shorter { acknowledged: u64, found: u64 },
    #[error("the log of the run is gone, and had acknowledged message {acknowledged}")]
    Gone { acknowledged: u64 },
    #[error("the log of the run was made anew: message {acknowledged} is not the one that it had acknowledged")]
    MadeAnew { acknowledged: u64 },
    #[error("message {sequence} of the log of the run was written by no cutover: nothing can be recorded behind it")]
    Stray { sequence: u64 },
    #[error("event {seq} of lane {lane} takes {bytes} bytes, and the log of the run takes {limit} at once")]
    TooLarge { lane: LaneId, seq: u64, bytes: usize, limit: usize },
    #[error("part {part} of the rows takes {bytes} bytes, and the log of the run takes {limit} at once")]
    PartTooLarge { part: u32, bytes: usize, limit: usize },
    /// Given up by somebody who did not wait for it any longer.
    #[error("the servers of the log of the run are away")]
    Away,
    #[error("the log of the run could not be made: its servers do not take the rows")]
    NotMade,
    #[error("the servers of the log have another run of this id")]
    OtherRun,
}

/// Says of a run that was taken out how it ended, and where its evidence is.
fn told_of_pruned(tombstone: &Tombstone) -> String {
    let Tombstone { run: PrunedRecord { id, plan, exit, .. }, archive, pruned_at, .. } = tombstone;
    let ended =
        exit.as_ref().map_or_else(String::new, |exit| format!(" ended with {} ({}) and", exit.code, plain(&exit.name)));
    format!(
        "run {} of {} rows{ended} was taken out of the journal {pruned_at:.0}: its evidence is in the archive `{}`",
        plain(id),
        plan.rows,
        plain(&archive.name)
    )
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        if let rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..) = error
        {
            // This program writes no such value.
            return JournalError::Damaged(error.to_string());
        }
        if let rusqlite::Error::QueryReturnedNoRows = error {
            // Queries that may find nothing return an option.
            return JournalError::Damaged("what others refer to is not there".to_owned());
        }
        if let rusqlite::Error::SqlInputError { msg, .. } | rusqlite::Error::SqliteFailure(_, Some(msg)) = &error
            && is_about_what_is_there(msg)
        {
            return JournalError::Damaged(msg.clone());
        }
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => JournalError::Abandoned,
            Some(rusqlite::ErrorCode::NotADatabase) => JournalError::NotAJournal,
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => JournalError::Held,
            Some(rusqlite::ErrorCode::DiskFull) => JournalError::Full(error),
            Some(rusqlite::ErrorCode::SystemIoFailure) => JournalError::FailingDisk(error),
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::TooBig) => {
                JournalError::Damaged(error.to_string())
            }
            _ => JournalError::Sqlite(error),
        }
    }
}

/// Tells from SQLite's message whether the schema or a value is not ours: our queries are fixed, so that they fail so on no other
/// journal.
fn is_about_what_is_there(msg: &str) -> bool {
    let begins = ["no such ", "duplicate column name", "malformed JSON"];
    begins.iter().any(|begins| msg.starts_with(begins))
        || msg.contains(" has no column named ")
        || msg.ends_with(" already exists")
}

/// Part of a journal that an error is about, which decides what can be done against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blamed {
    /// Content that is not what was written.
    Content,
    /// Conflict of a write with the content, either of which may be wrong.
    ContentOrWrite,
    /// Place at which nothing can be written.
    ReadOnlyPlace,
    /// Lock that another process holds on the file just now.
    Lock,
    Other,
}

impl JournalError {
    fn blamed(&self) -> Blamed {
        match self {
            JournalError::NotAJournal
            | JournalError::Damaged(_)
            | JournalError::Schema(_)
            | JournalError::Beside { .. }
            | JournalError::NotOurs => Blamed::Content,
            JournalError::Illegal(_) => Blamed::ContentOrWrite,
            JournalError::Held => Blamed::Lock,
            JournalError::Sqlite(error) => match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::ConstraintViolation) => Blamed::ContentOrWrite,
                Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen) => Blamed::ReadOnlyPlace,
                _ => Blamed::Other,
            },
            JournalError::Absent(_)
            | JournalError::Unopenable { .. }
            | JournalError::Unreadable { .. }
            | JournalError::Folder(_)
            | JournalError::NoFolder(_)
            | JournalError::Misplaced(_)
            | JournalError::Abandoned
            | JournalError::Older { .. }
            | JournalError::Copy { .. }
            | JournalError::Newer { .. }
            | JournalError::Migration(_)
            | JournalError::Added(_)
            | JournalError::Excerpt
            | JournalError::NotAsTold { .. }
            | JournalError::Replaced
            | JournalError::Log(_)
            | JournalError::Full(_)
            | JournalError::FailingDisk(_)
            | JournalError::NoRuns
            | JournalError::AllPruned(_)
            | JournalError::UnknownRun(_)
            | JournalError::Pruned(_)
            | JournalError::AmbiguousRun { .. }
            | JournalError::KeyTaken { .. } => Blamed::Other,
        }
    }

    /// Tells whether nothing can be written at the file's place.
    pub(super) fn is_about_writing(&self) -> bool {
        self.blamed() == Blamed::ReadOnlyPlace
    }

    /// Tells whether another process has locked the file just now.
    pub(crate) fn is_busy(&self) -> bool {
        self.blamed() == Blamed::Lock
    }

    /// Tells whether the content may be wrong: what was to be written does not fit to it.
    pub(crate) fn may_be_about_content(&self) -> bool {
        self.blamed() == Blamed::ContentOrWrite
    }

    /// Tells whether the content is not what was written.
    pub(crate) fn is_about_content(&self) -> bool {
        self.blamed() == Blamed::Content
    }
}
