//! Table `notice`: what became of the notices about a run. It is in no chain, because the notice about the end of a launch carries the
//! anchor, and its outcome comes after that.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::params;

use super::connection::{Access, Journal, RunKey};
use super::error::JournalError;
use super::tables::columns::time_at;
use super::{migrations, one_name, schema};

/// Time to wait for a journal that another process has locked: the end of a launch waits for this record.
const PATIENT_FOR: Duration = Duration::from_secs(1);

/// Outcome of a notice at one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeOutcome {
    /// Number of the launch.
    pub launch: u32,
    pub at: Timestamp,
    /// Name of the receiver in the settings.
    pub receiver: String,
    /// Occasion: `start`, `waiting`, `halt` or `end`.
    pub about: String,
    pub tries: u32,
    /// Problem of the last try; `None` if it was delivered.
    pub problem: Option<String>,
}

impl Journal {
    /// Opens a journal to add outcomes of notices, and nothing else. It has to be there and of this version; nothing is checked or
    /// brought up to date, because a launch has just done so.
    pub(crate) fn open_to_note(path: &Path) -> Result<Self, JournalError> {
        if !path.exists() {
            return Err(JournalError::Absent(path.to_owned()));
        }
        one_name::check(path)?;
        let journal = Self::connect(path, Access::Write)?;
        schema::recognise(&journal.conn)?;
        if !schema::is_of_newest(&journal.conn)? {
            let (version, known) = (schema::version(&journal.conn)?, migrations::newest());
            return Err(JournalError::Older { version, known });
        }
        schema::tune(&journal.conn)?;
        journal.conn.busy_timeout(PATIENT_FOR)?;
        Ok(journal)
    }

    /// Adds the outcome of a notice about the run with this id. Adds nothing if the journal has no such run.
    pub(crate) fn note(&mut self, run: &str, outcome: &NoticeOutcome) -> Result<(), JournalError> {
        let NoticeOutcome { launch, at, receiver, about, tries, problem } = outcome;
        self.conn.execute(
            "INSERT INTO notice (run, launch, at, receiver, about, tries, problem)
             SELECT run, ?2, ?3, ?4, ?5, ?6, ?7 FROM run WHERE id = ?1",
            params![run, launch, at.as_millisecond(), receiver, about, tries, problem],
        )?;
        Ok(())
    }

    /// Returns the outcomes of notices about a run that were not delivered, in the order in which they were given up.
    pub fn undelivered(&self, run: RunKey) -> Result<Vec<NoticeOutcome>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT launch, at, receiver, about, tries, problem FROM notice INDEXED BY notice_undelivered
             WHERE run = ?1 AND problem IS NOT NULL ORDER BY notice",
        )?;
        let outcomes = statement.query_map([run.0], |row| {
            Ok(NoticeOutcome {
                launch: row.get(0)?,
                at: time_at(row, 1)?.unwrap_or_default(),
                receiver: row.get(2)?,
                about: row.get(3)?,
                tries: row.get(4)?,
                problem: row.get(5)?,
            })
        })?;
        outcomes.collect::<Result<_, _>>().map_err(JournalError::from)
    }
}
