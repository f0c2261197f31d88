//! Table `control`: commands to the launch that carries a run, given by other processes.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::connection::{Journal, RunKey};
use super::error::JournalError;
use crate::control::{By, Command, GivenCommand};
use crate::event::kind::EventKind;
use crate::event::run::RunEvent;
use crate::event::stored::from_stored_form;

/// Command in the journal that this version does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub control: i64,
    pub error: String,
}

/// Command that was asked from another machine, as the journal has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskedCommand {
    /// No launch has taken it; its key.
    Open(i64),
    Taken,
}

impl Journal {
    /// Finds a command by the id under which it was asked; `None` if it was never given, or was withdrawn.
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "nobody asks a machine that is alone"))]
    pub(crate) fn asked(&self, run: RunKey, ask: &str) -> Result<Option<AskedCommand>, JournalError> {
        let took_effect: bool = self
            .conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM event WHERE run = ?1 AND lane = 0 AND kind = 'controlled'
                     AND json_extract(detail, '$.by.ask') = ?2)",
            )?
            .query_row(params![run.0, ask], |row| row.get(0))?;
        if took_effect {
            return Ok(Some(AskedCommand::Taken));
        }
        self.conn
            .prepare_cached(
                "SELECT control, taken_at IS NOT NULL FROM control
                 WHERE run = ?1 AND json_extract(given_by, '$.ask') = ?2",
            )?
            .query_row(params![run.0, ask], |row| {
                Ok(if row.get(1)? { AskedCommand::Taken } else { AskedCommand::Open(row.get(0)?) })
            })
            .optional()
            .map_err(JournalError::from)
    }

    /// Stores a command for the launch that carries the run, now or later. Returns its key.
    pub fn give_command(&mut self, run: RunKey, command: &Command, by: &By) -> Result<i64, JournalError> {
        let (command, by) = (serde_json::to_string(command), serde_json::to_string(by));
        let now = Timestamp::now().as_millisecond();
        self.conn.execute(
            "INSERT INTO control (run, at, command, given_by) VALUES (?1, ?2, ?3, ?4)",
            params![run.0, now, command.expect("a command is JSON"), by.expect("who gave it is JSON")],
        )?;
        Ok(self.conn.last_insert_rowid())
    }

    /// Deletes commands to a launch that has ended, except those that the next launch may begin with: skips, releases and the end of
    /// a pause.
    pub fn forget_stale_commands(&mut self, run: RunKey) -> Result<(), JournalError> {
        self.conn.execute(
            "DELETE FROM control WHERE run = ?1 AND taken_at IS NULL
                 AND json_extract(command, '$.is') NOT IN ('skip', 'unskip', 'release', 'continue')",
            [run.0],
        )?;
        Ok(())
    }

    /// Withdraws a command that no launch has taken. Returns false if it was taken or is not there.
    pub fn withdraw_command(&mut self, control: i64) -> Result<bool, JournalError> {
        let n = self.conn.execute("DELETE FROM control WHERE control = ?1 AND taken_at IS NULL", [control])?;
        Ok(n > 0)
    }

    /// Returns the commands that no launch has taken yet, in the order in which they were given, and apart from them those that this
    /// version does not know.
    pub fn open_commands(&self, run: RunKey) -> Result<(Vec<GivenCommand>, Vec<Unreadable>), JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT control, command, given_by FROM control INDEXED BY control_open
             WHERE run = ?1 AND taken_at IS NULL ORDER BY control",
        )?;
        let mut found = statement.query([run.0])?;
        let (mut given, mut unreadable) = (Vec::new(), Vec::new());
        while let Some(columns) = found.next()? {
            let control = columns.get(0)?;
            let (command, by): (String, String) = (columns.get(1)?, columns.get(2)?);
            let read = serde_json::from_str(&command).and_then(|command| Ok((command, serde_json::from_str(&by)?)));
            match read {
                Ok((command, by)) => given.push(GivenCommand { control, command, by }),
                Err(error) => unreadable.push(Unreadable { control, error: error.to_string() }),
            }
        }
        Ok((given, unreadable))
    }

    /// Tells whether an event records that the command took effect. A launch on another machine numbers those that were given to it.
    pub fn took_effect(&self, run: RunKey, given: &GivenCommand) -> Result<bool, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT kind, detail FROM event WHERE run = ?1 AND lane = 0 AND kind = 'controlled'
                 AND json_extract(detail, '$.control') = ?2",
        )?;
        let mut found = statement.query(params![run.0, given.control])?;
        while let Some(columns) = found.next()? {
            let (kind, detail): (String, String) = (columns.get(0)?, columns.get(1)?);
            if let Ok(EventKind::Run(RunEvent::Controlled { command, by, .. })) = from_stored_form(&kind, None, &detail)
                && by == given.by
                && given.command.is_taken_as(&command)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tells whether a launch took the command; `None` if it is no longer there, because it was withdrawn or its launch had ended.
    pub fn is_taken(&self, control: i64) -> Result<Option<bool>, JournalError> {
        self.conn
            .prepare_cached("SELECT taken_at IS NOT NULL FROM control WHERE control = ?1")?
            .query_row([control], |row| row.get(0))
            .optional()
            .map_err(JournalError::from)
    }
}
