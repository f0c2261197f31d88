//! Ways in which a journal cannot be opened, read or written.

use std::io;
use std::path::PathBuf;

use super::altered::{Additions, SchemaAltered};
use super::one_name::Misplaced;
use crate::ledger::fold::IllegalStep;
use crate::model::RowId;
use crate::wording::amounts::bounded;

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
    /// All that we made is there as we made it, and something else is, too.
    #[error(transparent)]
    Added(Additions),
    /// Something of ours is not as we made it, or something was at work on what is recorded.
    #[error(transparent)]
    Schema(SchemaAltered),
    /// A copy of one run, for others to read.
    #[error("the journal is an excerpt: a copy of one run for others to read, from which the other runs were left out")]
    Excerpt,
    /// Whoever opens the journal would make it part of it, or pass over it.
    #[error("`{}`, beside the journal, {what}", path.display())]
    Beside { path: PathBuf, what: &'static str },
    /// Somebody else wrote what is stored of a row, which was about to be sent or settled.
    #[error("row {row} is not what its events say ({columns})")]
    NotAsTold { row: RowId, columns: String },
    /// Somebody else wrote to a run that this process alone writes to.
    #[error("the journal does not hold any more what was recorded last")]
    NotOurs,
    #[error("the disk is full: the journal cannot be written")]
    Full(#[source] rusqlite::Error),
    #[error("the journal could not be read or written")]
    Sqlite(#[source] rusqlite::Error),
    #[error("the journal tells a history that cannot have happened")]
    Illegal(#[from] IllegalStep),
    #[error("the journal holds no run yet")]
    NoRuns,
    #[error("the journal has no run `{0}`")]
    UnknownRun(String),
    #[error("`{prefix}` could be any of {}", bounded(candidates))]
    AmbiguousRun { prefix: String, candidates: Vec<String> },
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        if let rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..) = error
        {
            // We would not have written it.
            return JournalError::Damaged(error.to_string());
        }
        if let rusqlite::Error::QueryReturnedNoRows = error {
            // Where there may be none, the question says so.
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
            Some(rusqlite::ErrorCode::DiskFull) => JournalError::Full(error),
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::TooBig) => {
                JournalError::Damaged(error.to_string())
            }
            _ => JournalError::Sqlite(error),
        }
    }
}

/// Tells by what SQLite says whether it did not find what we wrote: what we ask is always the same, and so are our tables.
fn is_about_what_is_there(msg: &str) -> bool {
    let begins = ["no such ", "duplicate column name", "malformed JSON"];
    begins.iter().any(|begins| msg.starts_with(begins))
        || msg.contains(" has no column named ")
        || msg.ends_with(" already exists")
}

impl JournalError {
    /// Nothing can be written where the file is.
    pub(super) fn is_about_writing(&self) -> bool {
        matches!(self.code(), Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen))
    }

    /// Tells that another process has locked the file just now.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.code(), Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
    }

    /// What SQLite said of a file that was opened.
    fn code(&self) -> Option<rusqlite::ErrorCode> {
        match self {
            JournalError::Sqlite(error) => error.sqlite_error_code(),
            JournalError::Absent(_)
            | JournalError::Unreadable { .. }
            | JournalError::Folder(_)
            | JournalError::Older { .. }
            | JournalError::Copy { .. }
            | JournalError::Migration(_)
            | JournalError::Unopenable { .. }
            | JournalError::NoFolder(_)
            | JournalError::Misplaced(_)
            | JournalError::Abandoned
            | JournalError::NotAJournal
            | JournalError::Newer { .. }
            | JournalError::Damaged(_)
            | JournalError::Added(_)
            | JournalError::Schema(_)
            | JournalError::Excerpt
            | JournalError::NotAsTold { .. }
            | JournalError::Beside { .. }
            | JournalError::NotOurs
            | JournalError::Full(_)
            | JournalError::Illegal(_)
            | JournalError::NoRuns
            | JournalError::UnknownRun(_)
            | JournalError::AmbiguousRun { .. } => None,
        }
    }

    /// Tells whether it may be that what was written is not what is there: what is written does not fit to it.
    pub(crate) fn may_be_about_content(&self) -> bool {
        matches!(self, JournalError::Illegal(_)) || self.code() == Some(rusqlite::ErrorCode::ConstraintViolation)
    }

    /// Tells whether what was written is not what is there.
    pub(crate) fn is_about_content(&self) -> bool {
        match self {
            JournalError::NotAJournal
            | JournalError::Damaged(_)
            | JournalError::Schema(_)
            | JournalError::Beside { .. }
            | JournalError::NotOurs => true,
            JournalError::Absent(_)
            | JournalError::Unreadable { .. }
            | JournalError::Folder(_)
            | JournalError::Older { .. }
            | JournalError::Copy { .. }
            | JournalError::Migration(_)
            | JournalError::Unopenable { .. }
            | JournalError::NoFolder(_)
            | JournalError::Misplaced(_)
            | JournalError::Abandoned
            | JournalError::Newer { .. }
            | JournalError::Added(_)
            | JournalError::Excerpt
            | JournalError::NotAsTold { .. }
            | JournalError::Full(_)
            | JournalError::Sqlite(_)
            | JournalError::Illegal(_)
            | JournalError::NoRuns
            | JournalError::UnknownRun(_)
            | JournalError::AmbiguousRun { .. } => false,
        }
    }
}
