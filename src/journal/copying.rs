//! Making of a run from a copy of it: what was made in another journal is made in this one, the same to the letter.

use rusqlite::{Connection, Transaction, TransactionBehavior, params_from_iter};

use super::append::Append;
use super::connection::{Journal, RunKey};
use super::error::JournalError;
use super::run_copy::{CopiedRow, CopyRecord, MadeRun, NotCopied, TEXTS, json};
use super::succession;
use super::tables::written::must_be;
use crate::digest::Digester;
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::lane::LaneId;
use crate::event::run::RunEvent;
use crate::waves::Terms;

/// Beginning to make a run from a copy.
pub(crate) enum BegunCopy<'j> {
    Copying(Box<Copying<'j>>),
    /// The journal has that run, made with the same.
    IsThere(RunKey),
}

/// Run that is being made from a copy: its rows and lanes are in a transaction, which the first events of its log end.
pub(crate) struct Copying<'j> {
    pub(crate) run: RunKey,
    pub(crate) append: Append<'j>,
    pub(crate) made: AsMade,
}

/// Run as its copy makes it, to be compared with what its first event says.
pub(crate) struct AsMade {
    run: MadeRun,
    n_rows: u32,
    digest: String,
    layout: String,
}

impl Journal {
    /// Begins to make the run of a record, whose parts are taken in their order, one at a time.
    pub(crate) fn begin_copy<E: From<NotCopied>>(
        &mut self,
        record: &CopyRecord,
        parts: impl Iterator<Item = Result<String, E>>,
    ) -> Result<BegunCopy<'_>, E> {
        let failed = |error: rusqlite::Error| NotCopied::from(JournalError::from(error));
        let transaction = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate).map_err(failed)?;
        if let Some(run) = self.same_run(record)? {
            return Ok(BegunCopy::IsThere(run));
        }
        self.must_take_runs(&record.run).map_err(NotCopied::from)?;
        let run = succession::count_another(&transaction).map_err(NotCopied::from)?;
        record.run.insert(&transaction, run).map_err(NotCopied::from)?;
        let n_rows = insert_rows(&transaction, run, record, parts)?;
        let made = self.as_made(run, record.run.clone(), n_rows)?;
        let append = Append::new(transaction, run, &mut self.ours, &mut self.open);
        Ok(BegunCopy::Copying(Box::new(Copying { run, append, made })))
    }

    /// Returns the run of this id, if there is one. It has to be made with the same.
    pub(crate) fn same_run(&self, record: &CopyRecord) -> Result<Option<RunKey>, NotCopied> {
        let Some(run) = self.run_of_id(record.id())? else { return Ok(None) };
        let ours = self.copy_of_run(run)?.record()?;
        let what = if ours.run == record.run { "its rows are" } else { "its record is" };
        if ours == *record { Ok(Some(run)) } else { Err(NotCopied::OtherRun { what }) }
    }

    /// Refuses a run that was taken out of this journal, and one whose run key is that of another.
    fn must_take_runs(&self, made: &MadeRun) -> Result<(), JournalError> {
        self.must_not_be_an_excerpt()?;
        if let Some(tombstone) = self.last_pruned(|pruned| pruned.id == made.id)? {
            return Err(JournalError::Pruned(Box::new(tombstone)));
        }
        made.run_key.as_deref().map_or(Ok(()), |run_key| self.must_be_free(run_key))
    }

    fn as_made(&self, run: RunKey, made: MadeRun, n_rows: u32) -> Result<AsMade, NotCopied> {
        let mut digester = Digester::new();
        self.for_each_planned_row(run, |row| _ = digester.row(row))?;
        let settings: Option<serde_json::Value> = serde_json::from_str(&made.settings).ok();
        let terms: Option<Terms> =
            settings.and_then(|settings| serde_json::from_value(settings.get("plan")?.clone()).ok());
        digester.terms(&terms.unwrap_or_default());
        Ok(AsMade { n_rows, digest: digester.finish().to_string(), layout: self.layout(run)?, run: made })
    }
}

/// Inserts the rows of all parts, and returns their number.
fn insert_rows<E: From<NotCopied>>(
    conn: &Connection,
    run: RunKey,
    record: &CopyRecord,
    mut parts: impl Iterator<Item = Result<String, E>>,
) -> Result<u32, E> {
    let failed = |error: rusqlite::Error| NotCopied::from(JournalError::from(error));
    let sql = format!(
        "INSERT INTO row (run, row, lane, wave_no, canary, line, {TEXTS})
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    );
    let mut insert = conn.prepare_cached(&sql).map_err(failed)?;
    let (mut n_rows, mut last) = (0, 0);
    for part in 1..=record.n_parts() {
        let text = parts.next().ok_or(NotCopied::PartMissing { part })??;
        for line in record.rows_of(part, &text)? {
            let line = line?;
            let row = line.row().0;
            if row <= last {
                return Err(NotCopied::RowNotNext { part, row, last }.into());
            }
            last = row;
            n_rows += 1;
            let n_written = insert.execute(params_from_iter(values(run, &line))).map_err(failed)?;
            must_be(1, n_written, "rows").map_err(NotCopied::from)?;
        }
    }
    match parts.next() {
        None => Ok(n_rows),
        Some(_) => Err(NotCopied::PartAdded { expected: record.n_parts() as usize }.into()),
    }
}

/// Columns of a row, in the order of the statement.
fn values(run: RunKey, CopiedRow(numbers, texts): &CopiedRow) -> impl Iterator<Item = rusqlite::types::Value> {
    let numbers = std::iter::once(run.0).chain(numbers.iter().copied().map(i64::from));
    numbers.map(Into::into).chain(texts.iter().cloned().map(Into::into))
}

impl AsMade {
    /// Compares the run with the first event of its log, which its hash chain covers.
    pub(crate) fn compare(&self, events: &[Event]) -> Result<(), NotCopied> {
        let first = events.first().filter(|event| (event.lane, event.seq) == (LaneId::RUN, 1));
        let Some(Event {
            kind: EventKind::Run(RunEvent::Started { plan, rows, settings, lanes, layout, rules, run_key, .. }),
            ..
        }) = first
        else {
            return Err(NotCopied::NotBegun);
        };
        let made = &self.run;
        let same = [
            ("the number of its rows is", *rows == made.n_rows && *rows == self.n_rows),
            ("the digest of its plan is", *plan == made.plan_digest && *plan == self.digest),
            ("its accounts are", *lanes == made.lanes),
            ("its settings are", json(settings) == made.settings),
            ("its rules are", rules.name() == made.rules),
            ("its run key is", *run_key == made.run_key),
            ("its layout is", layout.as_ref() == Some(&self.layout)),
        ];
        match same.into_iter().find(|(_, same)| !same) {
            None => Ok(()),
            Some((what, _)) => Err(NotCopied::NotAsBegun { what }),
        }
    }
}
