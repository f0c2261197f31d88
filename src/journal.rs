//! The journal: one SQLite file that holds every run, its rows and its events. `rusqlite` stays in this room.
//!
//! Opening is in `opening`, writing is here, reading is in [`read`] and for those who check in [`stored`], the chain in [`chain`]. Whatever appends goes through
//! [`Journal::append`]: events, the rows they change and the heads of their lanes are one transaction, and when
//! it returns they are on disk.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, ToSql, Transaction, TransactionBehavior, params};

use crate::control::{By, Command};
use crate::event::lane::LaneEvent;
use crate::event::rules::Rules;
use crate::event::run::RunEvent;
use crate::event::stored::{Stored, stored_form};
use crate::event::{Event, EventKind, LaneId, LanePlace, Verdict};
use crate::ledger::{self, IllegalStep, Phase, Standing};
use crate::model::{Row, RowId, SeenState};
use crate::waves::Terms;

pub(crate) mod activity;
mod alone;
mod as_told;
pub mod attempts;
mod beside;
mod by_index;
pub mod by_wave;
pub mod chain;
pub mod ending;
mod index;
pub(crate) mod launched;
mod making;
pub(crate) mod meant;
pub mod objects;
pub(crate) mod one_name;
mod opening;
pub(crate) mod place;
pub mod read;
pub mod reopening;
mod rows;
mod schema;
pub(crate) mod search;
pub mod steering;
pub mod stored;
pub mod succession;
#[cfg(test)]
mod tests;

use chain::Hash;
use objects::{Additions, SchemaAltered};
use one_name::Misplaced;
use opening::Access;

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
    fn is_about_writing(&self) -> bool {
        matches!(self.code(), Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen))
    }

    /// Time within which it may pass, because another process is at work on the file just now.
    fn may_pass_within(&self) -> Option<Duration> {
        let is_busy =
            matches!(self.code(), Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked));
        let is_beside = matches!(self, JournalError::Beside { .. });
        is_busy.then_some(opening::BUSY_FOR).or(is_beside.then_some(opening::BESIDE_FOR))
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

    /// Tells an error of which the cause may be that another file was meant.
    pub(crate) fn is_about_its_place(&self) -> bool {
        match self {
            JournalError::Absent(_)
            | JournalError::Unopenable { .. }
            | JournalError::Unreadable { .. }
            | JournalError::Folder(_)
            | JournalError::NoFolder(_)
            | JournalError::Misplaced(_)
            | JournalError::NotAJournal
            | JournalError::NoRuns
            | JournalError::Excerpt
            | JournalError::UnknownRun(_) => true,
            JournalError::Damaged(_)
            | JournalError::Schema(_)
            | JournalError::NotAsTold { .. }
            | JournalError::Beside { .. }
            | JournalError::NotOurs
            | JournalError::Older { .. }
            | JournalError::Copy { .. }
            | JournalError::Migration(_)
            | JournalError::Abandoned
            | JournalError::Newer { .. }
            | JournalError::Added(_)
            | JournalError::Full(_)
            | JournalError::Sqlite(_)
            | JournalError::Illegal(_)
            | JournalError::AmbiguousRun { .. } => false,
        }
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

/// More of them would hide what is said.
const MOST_NAMED: usize = 10;

/// The first of them, and how many more there are.
pub(crate) fn bounded(names: &[String]) -> String {
    let first = names.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST_NAMED) {
        0 => first,
        n_more => format!("{first} and {n_more} more"),
    }
}

/// A run's number within its file. People use its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunKey(i64);

/// What is known of a run when it is made.
pub struct NewRun<'a> {
    pub id: &'a str,
    pub made_at: Timestamp,
    pub plan_path: &'a str,
    pub plan_digest: &'a str,
    pub n_rows: u32,
    pub lanes: &'a [NewLane],
    pub settings: &'a serde_json::Value,
    /// What the launch that makes it was given by hand.
    pub given: BTreeMap<String, String>,
    /// Which waves there are, in their order; rows may name others, which come behind them.
    pub terms: &'a Terms,
}

/// A run that was just made.
pub struct NewlyMade {
    pub run: RunKey,
    /// The event with which it begins. It is in the journal, and nobody was told of it yet.
    pub begun: Event,
}

/// One account of a run that is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLane {
    /// What rows call it.
    pub name: String,
    pub endpoint: String,
    pub account: String,
    /// Whether rows that name no target are its own.
    pub takes_unnamed: bool,
}

impl NewLane {
    pub(crate) fn place(&self) -> LanePlace {
        let NewLane { name, endpoint, account, takes_unnamed: _ } = self.clone();
        LanePlace { name, endpoint, account }
    }
}

/// What tells a run's places from those of other runs: distinct, in one text each.
struct Places {
    endpoint: String,
    account: String,
}

impl Places {
    fn of(lanes: &[NewLane]) -> Self {
        let one = |of: fn(&NewLane) -> &String| {
            let distinct: BTreeSet<&str> = lanes.iter().map(|lane| of(lane).as_str()).collect();
            distinct.into_iter().collect::<Vec<_>>().join(" ")
        };
        Self { endpoint: one(|lane| &lane.endpoint), account: one(|lane| &lane.account) }
    }
}

pub struct Journal {
    conn: Connection,
    path: PathBuf,
    /// Another name for those who read of it.
    told_as: Option<PathBuf>,
    access: Access,
    /// Where the rows stand whose change is under way, so that they need not be read again when its answer comes. Whoever
    /// appends to a run is the only one (see `lock`), and nobody else has these. Boxed, for they are large and are moved often.
    open: HashMap<(RunKey, RowId), Box<Standing>>,
    /// Number of the schema when it was held last against what its version makes.
    schema: Option<i64>,
    /// The heads that this connection has written: those of runs that it made, and all since nobody else may write to the same.
    ours: HashMap<(RunKey, LaneId), (u64, Hash)>,
    minds_heads: bool,
    /// Number of what other connections wrote, up to which it was held against itself.
    others: i64,
    /// Rows that it has not taken in hand itself are held against their events as it does.
    minds_rows: bool,
}

impl Journal {
    /// From here on nobody else appends to a run that this connection appends to: a head that is another then was taken from us.
    pub(crate) fn mind_heads(&mut self) {
        self.minds_heads = true;
    }

    /// Takes what other connections wrote up to this number (see [`Journal::append_alone`]) for held against itself.
    pub(crate) fn trust_others(&mut self, number: i64) {
        self.others = number;
    }

    /// Puts another journal in the place of this one if it has all that this connection wrote.
    pub(crate) fn goes_on_in(&self, other: &mut Journal) -> Result<bool, JournalError> {
        for ((run, lane), head) in &self.ours {
            if load_head(&other.conn, *run, *lane)? != *head {
                return Ok(false);
            }
        }
        other.ours.clone_from(&self.ours);
        other.minds_heads = self.minds_heads;
        other.minds_rows = self.minds_rows;
        Ok(true)
    }

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

    /// Makes a run, fills it with rows and begins it, all or nothing: `fill` is given a sink for the rows of the plan. There is no
    /// run without the event that says what it was made as: else whoever edits it before its first launch would be believed.
    pub fn create_run<E: From<JournalError>>(
        &mut self,
        new: &NewRun<'_>,
        fill: impl FnOnce(&mut RowSink<'_>) -> Result<(), E>,
    ) -> Result<NewlyMade, E> {
        let places = Places::of(new.lanes);
        // What it begins with is read within it.
        let transaction =
            Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate).map_err(JournalError::from)?;
        let run = succession::count_another(&transaction)?;
        transaction
            .execute(
                "INSERT INTO run (run, id, plan_path, plan_digest, n_rows, endpoint, account, settings, created_at, rules)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    run.0,
                    new.id,
                    new.plan_path,
                    new.plan_digest,
                    new.n_rows,
                    places.endpoint,
                    places.account,
                    new.settings.to_string(),
                    new.made_at.as_millisecond(),
                    Rules::default().name()
                ],
            )
            .map_err(JournalError::from)?;
        let of_run = (LaneId::RUN, "run", None, None);
        let of_accounts = (1..).map(LaneId).zip(new.lanes).map(|(lane, new)| {
            let NewLane { name, endpoint, account, takes_unnamed: _ } = new;
            (lane, name.as_str(), Some(endpoint), Some(account))
        });
        for (lane, name, endpoint, account) in iter::once(of_run).chain(of_accounts) {
            transaction
                .execute(
                    "INSERT INTO lane (run, lane, name, endpoint, account, seq, head) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)",
                    params![run.0, lane.0, name, endpoint, account, chain::genesis(new.id, lane)],
                )
                .map_err(JournalError::from)?;
        }
        let waves = new.terms.waves.iter().map(|wave| Some(wave.name.clone())).collect();
        let insert = rows::Insert::new(&transaction).map_err(JournalError::from)?;
        let mut sink = RowSink { insert, run, lanes: new.lanes, waves };
        fill(&mut sink)?;
        drop(sink);
        let canaries =
            (0_u32..).zip(&new.terms.waves).filter_map(|(wave_no, wave)| Some((wave_no, wave.canary.as_ref()?.rows)));
        rows::send_ahead(&transaction, run, &canaries.collect::<Vec<_>>())?;
        let (begun, head) = self.begin(&transaction, run, new)?;
        transaction.commit().map_err(JournalError::from)?;
        self.ours.insert((run, begun.lane), (begun.seq, head));
        Ok(NewlyMade { run, begun })
    }

    /// Records what a run begins with, once its rows are where they stay. Returns the head of its lane, too.
    fn begin(&self, conn: &Connection, run: RunKey, new: &NewRun<'_>) -> Result<(Event, Hash), JournalError> {
        let started = RunEvent::Started {
            plan: new.plan_digest.to_owned(),
            rows: new.n_rows,
            settings: new.settings.clone(),
            lanes: new.lanes.iter().map(NewLane::place).collect(),
            layout: Some(self.layout(run)?),
            rules: Rules::default(),
            after: Some(self.predecessors(run)?),
            given: new.given.clone(),
        };
        let event = Event { seq: 1, ..Event::unnumbered(LaneId::RUN, Some(new.made_at), started.into()) };
        let head = EventSink::new(conn, run, 1)?.put(&event, &chain::genesis(new.id, event.lane))?;
        store_head(conn, run, event.lane, &(event.seq, head))?;
        Ok((event, head))
    }

    /// Puts down a command for the launch that carries the run, now or later.
    pub fn give_command(&mut self, run: RunKey, command: &Command, by: &By) -> Result<i64, JournalError> {
        let (command, by) = (serde_json::to_string(command), serde_json::to_string(by));
        let now = Timestamp::now().as_millisecond();
        self.conn.execute(
            "INSERT INTO control (run, at, command, given_by) VALUES (?1, ?2, ?3, ?4)",
            params![run.0, now, command.expect("a command is JSON"), by.expect("who gave it is JSON")],
        )?;
        Ok(self.conn.last_insert_rowid())
    }

    /// Forgets commands that were meant for a launch that is gone. What a launch may begin with stays.
    pub fn forget_stale_commands(&mut self, run: RunKey) -> Result<(), JournalError> {
        self.conn.execute(
            "DELETE FROM control WHERE run = ?1 AND taken_at IS NULL
                 AND json_extract(command, '$.is') NOT IN ('skip', 'unskip', 'release', 'continue')",
            [run.0],
        )?;
        Ok(())
    }

    /// Takes a command back that no launch has taken.
    pub fn withdraw_command(&mut self, control: i64) -> Result<bool, JournalError> {
        let n = self.conn.execute("DELETE FROM control WHERE control = ?1 AND taken_at IS NULL", [control])?;
        Ok(n > 0)
    }

    /// Appends events to their lanes, durable when this returns. A history that cannot have happened is refused
    /// whole, and nothing is written.
    pub fn append(
        &mut self,
        run: RunKey,
        kinds: impl IntoIterator<Item = (LaneId, EventKind)>,
    ) -> Result<Vec<Event>, JournalError> {
        self.append_at(run, kinds.into_iter().map(|(lane, kind)| (lane, None, kind)))
    }

    /// The same, with the time of each event; none: now.
    pub fn append_at(
        &mut self,
        run: RunKey,
        kinds: impl IntoIterator<Item = (LaneId, Option<Timestamp>, EventKind)>,
    ) -> Result<Vec<Event>, JournalError> {
        let mut events: Vec<Event> =
            kinds.into_iter().map(|(lane, at, kind)| Event::unnumbered(lane, at, kind)).collect();
        self.append_all(run, &mut events)?;
        Ok(events)
    }

    /// The same of events that have no number yet, and get it here. They stay with whoever brings them, who may have another
    /// place for those that are refused.
    pub(crate) fn append_all(&mut self, run: RunKey, events: &mut [Event]) -> Result<(), JournalError> {
        self.append_if(run, events, false).map(drop)
    }

    /// The same, unless another connection wrote to the file since: then nothing is written, and the number is returned up to
    /// which that has to be held against itself first.
    pub(crate) fn append_alone(&mut self, run: RunKey, events: &mut [Event]) -> Result<Option<i64>, JournalError> {
        self.append_if(run, events, true)
    }

    fn append_if(&mut self, run: RunKey, events: &mut [Event], alone: bool) -> Result<Option<i64>, JournalError> {
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if self.minds_heads {
            let version = objects::version_in_use(&transaction)?;
            if self.schema != Some(version) {
                // Somebody made something in it since, or packed it.
                objects::must_all_be_ours(&transaction)?;
                self.schema = Some(version);
            }
        }
        if alone {
            // Nobody else writes from here to the end of the transaction.
            let number = opening::written_by_others(&transaction)?;
            if number != self.others {
                return Ok(Some(number));
            }
        }
        // What is under way now; it is put back when all of this is on disk.
        let mut open = std::mem::take(&mut self.open);
        let mut standings = BTreeMap::<RowId, Box<Standing>>::new();
        let mut in_hand = HashSet::new();
        let mut heads = BTreeMap::<LaneId, (u64, Hash)>::new();
        let mut sink = EventSink::new(&transaction, run, events.len())?;
        let rules = rows::load_rules(&transaction, run)?;
        let mut load = rows::Load::new(&transaction, run, rules)?;
        for event in events {
            // Before its row is asked for: where somebody else wrote, that is why the row is not as it was.
            let (seq, head) = match heads.entry(event.lane) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    let head = load_head(&transaction, run, event.lane)?;
                    let ours = self.ours.get(&(run, event.lane)).filter(|_| self.minds_heads);
                    if ours.is_some_and(|ours| *ours != head) {
                        return Err(JournalError::NotOurs);
                    }
                    entry.insert(head)
                }
            };
            if let EventKind::Row(row, what) = &event.kind {
                let row = *row;
                let standing = match standings.entry(row) {
                    std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                    std::collections::btree_map::Entry::Vacant(entry) => entry.insert(match open.remove(&(run, row)) {
                        Some(standing) => {
                            in_hand.insert(row);
                            standing
                        }
                        None => Box::new(load.standing(row)?),
                    }),
                };
                if self.minds_rows && ledger::takes_in_hand(what) && in_hand.insert(row) {
                    as_told::check(&transaction, run, rules, row, standing)?;
                }
                standing.add(row, what, event.at)?;
            }
            *seq += 1;
            event.seq = *seq;
            *head = sink.put(event, head)?;
            fold_into_run(&transaction, run, event)?;
        }
        drop((sink, load));
        rows::store_standings(&transaction, run, &standings)?;
        for (lane, head) in &heads {
            store_head(&transaction, run, *lane, head)?;
        }
        transaction.commit()?;
        if self.minds_heads {
            self.ours.extend(heads.into_iter().map(|(lane, head)| ((run, lane), head)));
        }
        let under_way = standings.into_iter().filter(|(_, standing)| standing.phase.is_in_doubt());
        open.extend(under_way.map(|(row, standing)| ((run, row), standing)));
        self.open = open;
        Ok(None)
    }
}

/// Where the rows of a plan go as they are read.
pub struct RowSink<'a> {
    insert: rows::Insert<'a>,
    run: RunKey,
    lanes: &'a [NewLane],
    waves: Vec<Option<String>>,
}

impl RowSink<'_> {
    /// With where a sealed plan saw it, if it is from one.
    pub fn row(&mut self, row: &Row, sealed: Option<&SeenState>) -> Result<(), JournalError> {
        let wave_no = self.waves.iter().position(|wave| *wave == row.wave).unwrap_or_else(|| {
            self.waves.push(row.wave.clone());
            self.waves.len() - 1
        });
        let wave_no = u32::try_from(wave_no).expect("no more waves than rows");
        let lane = self.lanes.iter().position(|lane| match &row.account {
            Some(target) => lane.name == *target,
            None => lane.takes_unnamed,
        });
        let lane = lane.expect("lanes are made from what the plan names");
        let lane = LaneId(u32::try_from(lane + 1).expect("lanes are few"));
        self.insert.put(self.run, lane, wave_no, row, sealed)
    }
}

/// Columns of table `event`.
const EVENT_COLUMNS: usize = 9;

/// Where the events of one transaction go.
struct EventSink<'a> {
    run: RunKey,
    one: CachedStatement<'a>,
    /// Takes [`Self::MANY`]: the second and all others are put behind the one before without a search for their place.
    many: CachedStatement<'a>,
    n_left: usize,
    /// Events that `many` holds and has not written yet.
    n_held: usize,
    /// Written anew for each event.
    text: String,
}

impl<'a> EventSink<'a> {
    const MANY: usize = 16;

    /// Takes so many events, no more and no less.
    fn new(conn: &'a Connection, run: RunKey, n_events: usize) -> Result<Self, JournalError> {
        static SQL: LazyLock<[String; 2]> = LazyLock::new(|| {
            let marks = |n: usize, of: &str| vec![of; n].join(", ");
            let values = format!("({})", marks(EVENT_COLUMNS, "?"));
            [1, EventSink::MANY].map(|n_events| {
                let rows = marks(n_events, &values);
                format!("INSERT INTO event (run, lane, seq, at, kind, row, detail, prev, hash) VALUES {rows}")
            })
        });
        let [one, many] = &*SQL;
        let (one, many) = (conn.prepare_cached(one)?, conn.prepare_cached(many)?);
        Ok(Self { run, one, many, n_left: n_events, n_held: 0, text: String::new() })
    }

    /// Its hash, which the next one of its lane carries.
    fn put(&mut self, event: &Event, prev: &Hash) -> Result<Hash, JournalError> {
        let Stored { kind, row, detail } = stored_form(&event.kind, &mut self.text);
        let (lane, seq, at_ms) = (event.lane, event.seq, event.at.as_millisecond());
        let hash = chain::Link { prev, lane, seq, at_ms, kind, row, detail }.hash();
        let is_of_many = self.n_held + self.n_left >= Self::MANY;
        let insert = if is_of_many { &mut self.many } else { &mut self.one };
        let columns: [&dyn ToSql; EVENT_COLUMNS] =
            [&self.run.0, &lane.0, &seq, &at_ms, &kind, &row, &detail, prev, &hash];
        for (at, column) in (self.n_held * EVENT_COLUMNS + 1..).zip(columns) {
            insert.raw_bind_parameter(at, column)?;
        }
        self.n_left -= 1;
        self.n_held += 1;
        if !is_of_many || self.n_held == Self::MANY {
            must_be(std::mem::take(&mut self.n_held), insert.raw_execute()?, "events")?;
        }
        Ok(hash)
    }
}

/// What was written is there: a statement that succeeds may have changed nothing all the same.
fn must_be(n_meant: usize, n_written: usize, what: &str) -> Result<(), JournalError> {
    if n_written == n_meant {
        return Ok(());
    }
    Err(JournalError::Damaged(format!("{what}: {n_meant} had to be written, and {n_written} were")))
}

fn load_head(conn: &Connection, run: RunKey, lane: LaneId) -> Result<(u64, Hash), JournalError> {
    let head = conn
        .prepare_cached("SELECT seq, head FROM lane WHERE run = ?1 AND lane = ?2")?
        .query_row(params![run.0, lane.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    head.ok_or_else(|| JournalError::Damaged(format!("lane {lane} has no head")))
}

fn store_head(conn: &Connection, run: RunKey, lane: LaneId, (seq, head): &(u64, Hash)) -> Result<(), JournalError> {
    let n_written = conn
        .prepare_cached("UPDATE lane SET seq = ?3, head = ?4 WHERE run = ?1 AND lane = ?2")?
        .execute(params![run.0, lane.0, seq, head])?;
    must_be(1, n_written, "heads")
}

/// The sums that stand in `run` and `lane`, so that `status` need not fold.
fn fold_into_run(conn: &Connection, run: RunKey, event: &Event) -> Result<(), JournalError> {
    match &event.kind {
        EventKind::Row(..) => {
            if let Some(wait) = event.kind.asked_wait_ms() {
                cool(conn, run, event, wait)?;
            }
            Ok(())
        }
        EventKind::Lane(what) => fold_lane(conn, run, event, what),
        EventKind::Run(what) => fold_run(conn, run, event.at.as_millisecond(), what),
    }
}

fn fold_lane(conn: &Connection, run: RunKey, event: &Event, what: &LaneEvent) -> Result<(), JournalError> {
    match what {
        LaneEvent::QuotaLearned { per_second, stated } => conn.execute(
            "UPDATE lane SET per_second = ?3, stated = ?4, learned_at = ?5 WHERE run = ?1 AND lane = ?2",
            params![run.0, event.lane.0, per_second, stated, event.at.as_millisecond()],
        )?,
        LaneEvent::ReadThrottled { retry_after_ms, request_id: _ } => {
            if let Some(wait) = retry_after_ms {
                cool(conn, run, event, *wait)?;
            }
            conn.execute(
                "UPDATE lane SET throttled = throttled + 1 WHERE run = ?1 AND lane = ?2",
                params![run.0, event.lane.0],
            )?
        }
        LaneEvent::Stopped { message, cause: _ } => conn.execute(
            "UPDATE lane SET stopped = ?3 WHERE run = ?1 AND lane = ?2",
            params![run.0, event.lane.0, message],
        )?,
    };
    Ok(())
}

fn fold_run(conn: &Connection, run: RunKey, at_ms: i64, what: &RunEvent) -> Result<(), JournalError> {
    match what {
        RunEvent::LaunchBegan { launch, pid, host, cut_off_ms, .. } => {
            // What stopped an earlier launch need not stop this one.
            conn.execute("UPDATE lane SET stopped = NULL WHERE run = ?1", [run.0])?;
            conn.execute(
                "UPDATE run SET launches = ?2, running = 1, pid = ?3, host = ?4, started_at = coalesce(started_at, ?5),
                 elapsed_ms = elapsed_ms + ?6, ended_at = NULL, exit_code = NULL, exit_name = NULL, exit_reason = NULL WHERE run = ?1",
                params![run.0, launch, pid, host, at_ms, cut_off_ms],
            )?
        }
        RunEvent::LaunchEnded { exit, reason, elapsed_ms, refusal: _ } => conn.execute(
            "UPDATE run SET running = 0, ended_at = ?2, elapsed_ms = elapsed_ms + ?3, exit_code = ?4, exit_name = ?5,
                 exit_reason = ?6 WHERE run = ?1",
            params![run.0, at_ms, elapsed_ms, exit.code(), exit.name(), reason],
        )?,
        RunEvent::Controlled { control: Some(control), .. } => conn.execute(
            "UPDATE control SET taken_at = ?2 WHERE control = ?1 AND taken_at IS NULL",
            params![control, at_ms],
        )?,
        RunEvent::Started { .. }
        | RunEvent::DrainBegan { .. }
        | RunEvent::StageBegan { .. }
        | RunEvent::StageEnded { .. }
        | RunEvent::WaitBegan { .. }
        | RunEvent::WaitEnded
        | RunEvent::Controlled { control: None, .. } => 0,
    };
    Ok(())
}

/// The service asked the lane to wait. The next launch waits for what is left of it.
fn cool(conn: &Connection, run: RunKey, event: &Event, wait_ms: u64) -> Result<usize, JournalError> {
    let until_ms = wait_ends(event.at, wait_ms);
    let cooled = conn.execute(
        "UPDATE lane SET cooled_until = max(coalesce(cooled_until, 0), ?3) WHERE run = ?1 AND lane = ?2",
        params![run.0, event.lane.0, until_ms],
    );
    Ok(cooled?)
}

/// End of a wait, in milliseconds.
fn wait_ends(asked_at: Timestamp, wait_ms: u64) -> i64 {
    asked_at.as_millisecond().saturating_add(i64::try_from(wait_ms).unwrap_or(i64::MAX))
}

/// The phase of a stored standing; a word that is not ours means that somebody else wrote it.
fn phase_named(standing: &str, verdict: Option<&str>) -> Option<Phase> {
    match (standing, verdict) {
        ("untried", None) => Some(Phase::Untried),
        ("open", None) => Some(Phase::Open),
        ("in_doubt", None) => Some(Phase::InDoubt),
        ("accepted", None) => Some(Phase::Accepted),
        ("due", None) => Some(Phase::Due),
        ("settled", Some(verdict)) => Verdict::named(verdict).map(Phase::Settled),
        _ => None,
    }
}
