//! Copy of a run as it was made, as texts: its record, and its rows in parts. With the events of its log it is the whole run.
//!
//! A part is a line that says which part of which run it is, and then a line for each row. The record names the parts by their SHA-256,
//! and so comes last. Values are those of the columns, to the letter. All of it is JSON in the one spelling of this program.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::chain::{genesis, hex};
use super::connection::{Journal, RunKey};
use super::error::JournalError;
use super::tables::columns::is_run_id;
use crate::event::lane::LaneId;
use crate::event::run::LanePlace;
use crate::model::RowId;
use crate::wording::plain::plain;

/// Version of the form of records and parts.
const FORMAT: u64 = 1;
/// Size in bytes from which on a part takes no further row.
const LARGEST: usize = 512 << 10;

/// Run as it was made: the columns of its record that are no sums of events, and its accounts in the order of lanes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MadeRun {
    pub(crate) id: String,
    pub(crate) plan_path: String,
    pub(super) plan_digest: String,
    pub(crate) n_rows: u32,
    pub(super) endpoint: String,
    pub(super) account: String,
    /// Text of the settings as it is spelled.
    pub(super) settings: String,
    /// In milliseconds since 1970.
    pub(crate) created_at: i64,
    pub(super) rules: String,
    pub(super) run_key: Option<String>,
    pub(super) lanes: Vec<LanePlace>,
}

/// Record of a copy: the run, and its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CopyRecord {
    format: u64,
    pub(super) run: MadeRun,
    /// SHA-256 of each part, in hexadecimal digits.
    parts: Vec<String>,
}

/// First line of a part.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartHead {
    format: u64,
    run: String,
    /// Number of the part, from 1 on.
    part: u32,
}

/// Columns of a row as it was made: `row, lane, wave_no, canary, line`, then [`TEXTS`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CopiedRow(pub(super) [u32; 5], pub(super) [Option<String>; N_TEXTS]);

pub(super) const TEXTS: &str =
    "source_id, copystate, migrationcycle, expect_copystate, expect_migrationcycle, wave, target, name, note,
    extra, sealed_copystate, sealed_migrationcycle, file";
const N_TEXTS: usize = 13;

/// Reason for which no run was made from a copy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotCopied {
    #[error("{what} was written by a newer cutover (format {format}, this program knows {FORMAT})")]
    Newer { what: String, format: u64 },
    #[error("{what} is not as cutover writes it: {}", plain(why))]
    Malformed { what: String, why: String },
    #[error("part {part} of the run is not the one that its record names: it was altered")]
    PartAltered { part: u32 },
    #[error("part {part} of the run is missing")]
    PartMissing { part: u32 },
    #[error("there is a part more than the {expected} that the record of the run names")]
    PartAdded { expected: usize },
    #[error("row {row} of the run stands in part {part}, and does not follow row {last}")]
    RowNotNext { part: u32, row: u32, last: u32 },
    #[error("the run does not begin with what it was made with: {what} not the same")]
    NotAsBegun { what: &'static str },
    #[error("the log of the run does not begin with the making of it")]
    NotBegun,
    #[error("the journal has another run of this id: {what} not the same")]
    OtherRun { what: &'static str },
    #[error(transparent)]
    Journal(#[from] JournalError),
}

const RECORD: &str = "the record of the run";

fn part_named(part: u32) -> String {
    format!("part {part} of the run")
}

/// Reads a JSON text of this program's, of which a newer one is known by its format.
fn read<T: Serialize + DeserializeOwned>(text: &str, what: &str) -> Result<T, NotCopied> {
    #[derive(Deserialize)]
    struct FormField {
        format: u64,
    }
    let malformed = |why: String| NotCopied::Malformed { what: what.to_owned(), why };
    let FormField { format } = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
    if format > FORMAT {
        return Err(NotCopied::Newer { what: what.to_owned(), format });
    }
    read_spelled(text).map_err(malformed)
}

/// Reads a JSON text that is spelled as this program spells it.
fn read_spelled<T: Serialize + DeserializeOwned>(text: &str) -> Result<T, String> {
    let read: T = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if json(&read) == text { Ok(read) } else { Err("it is spelled otherwise".to_owned()) }
}

pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers are JSON")
}

impl CopyRecord {
    pub(crate) fn read(text: &str) -> Result<Self, NotCopied> {
        let record: Self = read(text, RECORD)?;
        if record.format == FORMAT && is_run_id(&record.run.id) {
            return Ok(record);
        }
        let why = "it names no run".to_owned();
        Err(NotCopied::Malformed { what: RECORD.to_owned(), why })
    }

    pub(crate) fn text(&self) -> String {
        json(self)
    }

    pub(crate) fn id(&self) -> &str {
        &self.run.id
    }

    pub(crate) fn made(&self) -> &MadeRun {
        &self.run
    }

    pub(crate) fn n_parts(&self) -> u32 {
        u32::try_from(self.parts.len()).unwrap_or(u32::MAX)
    }

    /// Checks that a text is the part with this number.
    pub(crate) fn has_part(&self, part: u32, text: &str) -> Result<(), NotCopied> {
        let nth = usize::try_from(part).ok().and_then(|part| part.checked_sub(1));
        match nth.and_then(|nth| self.parts.get(nth)) {
            None => Err(NotCopied::PartAdded { expected: self.parts.len() }),
            Some(sum) if *sum == sum_of(text) => Ok(()),
            Some(_) => Err(NotCopied::PartAltered { part }),
        }
    }

    /// Reads the rows of a part.
    pub(super) fn rows_of<'t>(
        &self,
        part: u32,
        text: &'t str,
    ) -> Result<impl Iterator<Item = Result<CopiedRow, NotCopied>> + use<'t>, NotCopied> {
        self.has_part(part, text)?;
        let malformed = move |why| NotCopied::Malformed { what: part_named(part), why };
        let (head, rows) = text.split_once('\n').ok_or_else(|| malformed("it has no first line".to_owned()))?;
        let head: PartHead = read(head, &part_named(part))?;
        if head != (PartHead { format: FORMAT, run: self.run.id.clone(), part }) {
            return Err(malformed("it calls itself another one".to_owned()));
        }
        Ok(rows.lines().map(move |line| read_spelled(line).map_err(malformed)))
    }
}

fn sum_of(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// A run of a journal, to be copied as it was made.
pub(crate) struct RunCopy<'j> {
    conn: &'j Connection,
    run: RunKey,
    made: MadeRun,
}

impl<'j> RunCopy<'j> {
    pub(super) fn new(conn: &'j Connection, run: RunKey) -> Result<Self, JournalError> {
        Ok(Self { conn, run, made: MadeRun::load(conn, run)? })
    }

    /// Visits the parts in their order, with their numbers, and returns the record. One part is in memory at a time.
    pub(crate) fn for_each_part<E: From<JournalError>>(
        &self,
        mut each: impl FnMut(u32, &str) -> Result<(), E>,
    ) -> Result<CopyRecord, E> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut put = |text: &mut String, line: Option<&CopiedRow>| {
            let line = line.map(json);
            let fits = |line: &String| text.is_empty() || text.len() + line.len() < LARGEST;
            if !text.is_empty() && !line.as_ref().is_some_and(fits) {
                parts.push(sum_of(text));
                each(u32::try_from(parts.len()).expect("parts are few"), text)?;
                text.clear();
            }
            if let Some(line) = line {
                if text.is_empty() {
                    let part = u32::try_from(parts.len() + 1).expect("parts are few");
                    *text = json(&PartHead { format: FORMAT, run: self.made.id.clone(), part }) + "\n";
                }
                text.push_str(&line);
                text.push('\n');
            }
            Ok::<(), E>(())
        };
        let sql = format!("SELECT row, lane, wave_no, canary, line, {TEXTS} FROM row WHERE run = ?1 ORDER BY row");
        let mut statement = self.conn.prepare_cached(&sql).map_err(JournalError::from)?;
        let mut found = statement.query([self.run.0]).map_err(JournalError::from)?;
        while let Some(columns) = found.next().map_err(JournalError::from)? {
            put(&mut text, Some(&row_line(columns).map_err(JournalError::from)?))?;
        }
        put(&mut text, None)?;
        Ok(CopyRecord { format: FORMAT, run: self.made.clone(), parts })
    }

    /// Returns the record alone.
    pub(crate) fn record(&self) -> Result<CopyRecord, JournalError> {
        self.for_each_part(|_, _| Ok::<(), JournalError>(()))
    }
}

fn row_line(columns: &rusqlite::Row<'_>) -> rusqlite::Result<CopiedRow> {
    let (mut numbers, mut texts) = ([0; 5], [const { None }; N_TEXTS]);
    for (at, number) in numbers.iter_mut().enumerate() {
        *number = columns.get(at)?;
    }
    for (at, text) in (numbers.len()..).zip(&mut texts) {
        *text = columns.get(at)?;
    }
    Ok(CopiedRow(numbers, texts))
}

impl CopiedRow {
    pub(super) fn row(&self) -> RowId {
        RowId(self.0[0])
    }
}

impl MadeRun {
    fn load(conn: &Connection, run: RunKey) -> Result<Self, JournalError> {
        let mut statement =
            conn.prepare_cached("SELECT name, endpoint, account FROM lane WHERE run = ?1 AND lane > 0 ORDER BY lane")?;
        let place = |columns: &rusqlite::Row<'_>| {
            Ok(LanePlace { name: columns.get(0)?, endpoint: columns.get(1)?, account: columns.get(2)? })
        };
        let lanes = statement.query_map([run.0], place)?.collect::<Result<_, _>>()?;
        conn.prepare_cached(
            "SELECT id, plan_path, plan_digest, n_rows, endpoint, account, settings, created_at, rules, run_key FROM run WHERE run = ?1",
        )?
        .query_row([run.0], |columns| {
            Ok(Self {
                id: columns.get(0)?,
                plan_path: columns.get(1)?,
                plan_digest: columns.get(2)?,
                n_rows: columns.get(3)?,
                endpoint: columns.get(4)?,
                account: columns.get(5)?,
                settings: columns.get(6)?,
                created_at: columns.get(7)?,
                rules: columns.get(8)?,
                run_key: columns.get(9)?,
                lanes,
            })
        })
        .map_err(JournalError::from)
    }

    /// Inserts the record and the lanes, which have no events yet.
    pub(super) fn insert(&self, conn: &Connection, run: RunKey) -> Result<(), JournalError> {
        let MadeRun {
            id,
            plan_path,
            plan_digest,
            n_rows,
            endpoint,
            account,
            settings,
            created_at,
            rules,
            run_key,
            lanes,
        } = self;
        conn.execute(
            "INSERT INTO run (run, id, plan_path, plan_digest, n_rows, endpoint, account, settings, created_at, rules, run_key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![run.0, id, plan_path, plan_digest, n_rows, endpoint, account, settings, created_at, rules, run_key],
        )?;
        let of_run = (LaneId::RUN, "run", None, None);
        let of_accounts = (1..)
            .map(LaneId)
            .zip(lanes)
            .map(|(lane, LanePlace { name, endpoint, account })| (lane, name.as_str(), Some(endpoint), Some(account)));
        for (lane, name, endpoint, account) in std::iter::once(of_run).chain(of_accounts) {
            conn.execute(
                "INSERT INTO lane (run, lane, name, endpoint, account, seq, head) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)",
                params![run.0, lane.0, name, endpoint, account, genesis(id, lane)],
            )?;
        }
        Ok(())
    }
}

impl Journal {
    /// Returns the run to be copied as it was made.
    pub(crate) fn copy_of_run(&self, run: RunKey) -> Result<RunCopy<'_>, JournalError> {
        RunCopy::new(&self.conn, run)
    }

    /// Returns the run with this very id.
    pub(crate) fn run_of_id(&self, id: &str) -> Result<Option<RunKey>, JournalError> {
        let mut statement = self.conn.prepare_cached("SELECT run FROM run WHERE id = ?1")?;
        statement.query_row([id], |columns| columns.get(0).map(RunKey)).optional().map_err(JournalError::from)
    }
}
