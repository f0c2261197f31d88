//! List of the runs in a journal, newest first: a table for people, and the document `cutover.runs.v1`.

use std::io;

use jiff::Timestamp;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::cut_off;
use super::error::ReportError;
use super::holder::Holder;
use super::summary::seconds;
use crate::exit::Exit;
use crate::journal::read::runs::{RunFilter, RunRecord, RunningByLock};
use crate::journal::{Journal, JournalError};
use crate::values::zone::Zone;
use crate::wording::amounts::{count, duration};
use crate::wording::plain::{padded, plain, shortened};
use crate::wording::printout::Printout;
use crate::wording::times::{serialize_time, time};

/// Width of a plan's name, and of a run key, on a terminal that has no room for the longest.
const NAME_WIDTH: usize = 24;
/// Width of the columns beside a run's id, its plan and its key.
const BESIDE: usize = 100;

/// Runs of a journal that fit a filter. They are read one at a time: a journal of years has many.
pub struct RunList<'j> {
    journal: &'j Journal,
    filter: RunFilter,
    running: RunningByLock,
}

/// Number of the runs in a list, and the widths of its columns.
struct TableExtent {
    n_runs: u64,
    run: usize,
    plan: usize,
    /// `None` if no run has a key: then there is no such column.
    run_key: Option<usize>,
}

impl TableExtent {
    /// Makes room for a run.
    fn hold(&mut self, run: &str, plan: &str, run_key: Option<&str>) {
        self.n_runs += 1;
        self.run = self.run.max(plain(run).width());
        self.plan = self.plan.max(plain(plan).width());
        if let Some(run_key) = run_key {
            self.run_key = Some(self.run_key.unwrap_or("key".len()).max(plain(run_key).width()));
        }
    }

    /// Width of all columns.
    fn whole(&self) -> usize {
        self.run + BESIDE + self.plan + self.run_key.map_or(0, |width| width + "  ".len())
    }

    /// Cuts the names that are longest.
    fn cut(self) -> Self {
        Self { plan: NAME_WIDTH.min(self.plan), run_key: self.run_key.map(|width| width.min(NAME_WIDTH)), ..self }
    }

    /// Returns the column of the key, with the space before it; nothing where there is no such column.
    fn column_of_key(&self, run_key: &str) -> String {
        let column = |width| format!("  {}", padded(&shortened(&plain(run_key), width), width));
        self.run_key.map_or_else(String::new, column)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunLine {
    pub run: String,
    /// Key by which a schedule names it.
    pub run_key: Option<String>,
    pub plan: String,
    pub digest: String,
    pub rows: u32,
    pub on_target: u64,
    pub unsettled: u64,
    /// State by the journal, which cannot know that a launch was cut off.
    pub running: bool,
    /// True if a launch holds it now.
    pub goes_on: bool,
    #[serde(skip)]
    cut_off: bool,
    pub exit_code: Option<u8>,
    pub exit_name: Option<String>,
    #[serde(serialize_with = "serialize_time")]
    pub started_at: Option<Timestamp>,
    pub elapsed_s: f64,
    #[serde(skip)]
    elapsed_ms: u64,
    /// Number of notices about it that were not delivered.
    pub undelivered: u64,
}

impl RunLine {
    pub(crate) fn ended(&self) -> String {
        match (self.running, self.exit_code, &self.exit_name) {
            (true, _, _) if self.goes_on => "going on".to_owned(),
            (true, _, _) if self.cut_off => "cut off".to_owned(),
            (true, _, _) => "not ended".to_owned(),
            (false, Some(code), Some(name)) => format!("{code} {}", plain(name)),
            (false, _, _) => "not begun".to_owned(),
        }
    }

    /// Tells whether its last launch ended otherwise than with 0, or was cut off.
    pub(crate) fn is_failed(&self) -> bool {
        if self.running { self.cut_off } else { self.exit_code.is_some_and(|code| code != Exit::Done.code()) }
    }

    /// Returns the time of the beginning in UTC.
    pub(crate) fn started(&self) -> String {
        self.started_at.map_or_else(String::new, time)
    }

    pub(crate) fn took(&self) -> String {
        let so_far = if self.running { " so far" } else { "" };
        format!("{}{so_far}", duration(self.elapsed_ms))
    }
}

impl<'j> RunList<'j> {
    /// Prepares a list. The locks are looked at before the runs are read: a launch records its end before it gives its lock up, so
    /// that a run which is still called running then was cut off.
    pub fn new(journal: &'j Journal, filter: RunFilter) -> Result<Self, JournalError> {
        let mut running = RunningByLock::default();
        for run in journal.running()? {
            match Holder::look_up(journal.path(), &run) {
                Holder::Alive => running.going_on.push(run.key),
                Holder::Gone => running.cut_off.push(run.key),
                Holder::Unknown => (),
            }
        }
        Ok(Self { journal, filter, running })
    }

    /// Returns all of them at once.
    pub fn lines(&self) -> Result<Vec<RunLine>, JournalError> {
        let mut lines = Vec::new();
        self.journal.at_one_instant(|| {
            self.for_each::<JournalError>(|line| {
                lines.push(line);
                Ok(())
            })
        })?;
        Ok(lines)
    }

    /// Writes the runs as text, with times in this time zone, and returns their number. Where the table is wider than the terminal,
    /// plans are shortened or each run has two lines; for other readers, nothing is.
    pub fn write_text(&self, zone: &Zone, out: &mut Printout<'_>) -> Result<u64, ReportError> {
        self.journal.at_one_instant(|| {
            let extent = self.extent()?;
            let n_runs = extent.n_runs;
            let fitting = if out.has_room_for(extent.whole()) { extent } else { extent.cut() };
            match n_runs {
                0 => (),
                _ if out.has_room_for(fitting.whole()) => self.write_table(&fitting, zone, out)?,
                _ => self.write_in_two_lines(zone, out)?,
            }
            Ok(n_runs)
        })
    }

    /// Writes the document, with each run on a line of its own.
    pub fn write_json(&self, out: &mut dyn io::Write) -> Result<(), ReportError> {
        self.journal.at_one_instant(|| {
            write!(out, "{{\"schema\":\"cutover.runs.v1\",\n\"runs\":[")?;
            let mut separator = "\n";
            self.for_each::<ReportError>(|line| {
                out.write_all(separator.as_bytes())?;
                separator = ",\n";
                Ok(serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?)
            })?;
            Ok(writeln!(out, "\n],\n\"pruned\":{}}}", self.journal.n_tombstones()?)?)
        })
    }

    fn for_each<E: From<JournalError>>(&self, mut each: impl FnMut(RunLine) -> Result<(), E>) -> Result<(), E> {
        self.journal.for_each_run(&self.filter, &self.running, |run| each(line_of(self.journal, &run)?))
    }

    fn extent(&self) -> Result<TableExtent, JournalError> {
        let mut extent = TableExtent { n_runs: 0, run: "run".len(), plan: "plan".len(), run_key: None };
        let hold = |run: &str, plan: &str, run_key: Option<&str>| extent.hold(run, plan, run_key);
        self.journal.for_each_run_name(&self.filter, &self.running, hold)?;
        Ok(extent)
    }

    fn write_table(&self, extent: &TableExtent, zone: &Zone, out: &mut Printout<'_>) -> Result<(), ReportError> {
        let TableExtent { run: run_width, plan: plan_width, n_runs: _, run_key: _ } = *extent;
        let key = extent.column_of_key("key");
        writeln!(
            out,
            "{:<run_width$}  {:<plan_width$}{key}  {:>8}  {:>9}  {:>9}  {:<17}  {:<26}  took",
            "run", "plan", "rows", "on target", "unsettled", "ended", "started"
        )?;
        self.for_each(|run| {
            Ok(writeln!(
                out,
                "{}  {}{}  {:>8}  {:>9}  {:>9}  {:<17}  {:<26}  {}",
                padded(&plain(&run.run), run_width),
                padded(&shortened(&plain(&run.plan), plan_width), plan_width),
                extent.column_of_key(run.run_key.as_deref().unwrap_or("-")),
                run.rows,
                run.on_target,
                run.unsettled,
                run.ended(),
                run.started_at.map_or_else(|| "-".to_owned(), |at| zone.shows(at)),
                run.took() + &not_told(run.undelivered)
            )?)
        })
    }

    fn write_in_two_lines(&self, zone: &Zone, out: &mut Printout<'_>) -> Result<(), ReportError> {
        self.for_each(|run| {
            let told = |at| format!("; {}, {}{}", zone.shows(at), run.took(), not_told(run.undelivered));
            let started = run.started_at.map_or_else(String::new, told);
            let RunLine { on_target, unsettled, .. } = run;
            let rows = count(u64::from(run.rows), "row");
            let run_key = run.run_key.as_deref().map_or_else(String::new, |key| format!("  (key {})", plain(key)));
            writeln!(out, "{}  {}{run_key}", plain(&run.run), plain(&run.plan))?;
            writeln!(out, "  {rows}, {on_target} on target, {unsettled} unsettled; {}{started}", run.ended())?;
            Ok(())
        })
    }
}

/// Says, behind other facts about a run, that so many notices about it were not delivered; nothing if all were.
pub(super) fn not_told(undelivered: u64) -> String {
    match undelivered {
        0 => String::new(),
        n => format!("; {} not delivered", count(n, "notice")),
    }
}

fn line_of(journal: &Journal, run: &RunRecord) -> Result<RunLine, JournalError> {
    let tally = journal.tally(run.key)?;
    let run = cut_off::as_told(journal, run, &tally)?;
    let elapsed_ms = cut_off::elapsed_ms(journal, &run)?;
    let holder = run.running.then(|| Holder::look_up(journal.path(), &run));
    Ok(RunLine {
        goes_on: holder == Some(Holder::Alive),
        cut_off: holder == Some(Holder::Gone),
        run: run.id,
        run_key: run.run_key,
        plan: run.plan_path,
        digest: run.plan_digest,
        rows: run.n_rows,
        on_target: tally.on_target(),
        unsettled: tally.unsettled(),
        running: run.running,
        exit_code: run.exit_code,
        exit_name: run.exit_name,
        started_at: run.started_at,
        elapsed_s: seconds(elapsed_ms),
        elapsed_ms,
        undelivered: journal.undelivered(run.key)?.len() as u64,
    })
}
