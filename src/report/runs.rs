//! List of the runs in a journal, newest first: a table for people, and the document `cutover.runs.v1`.

use std::io;

use jiff::Timestamp;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::cut_off;
use super::error::ReportError;
use super::holder::Holder;
use super::summary::seconds;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::values::zone::Zone;
use crate::wording::amounts::{count, duration};
use crate::wording::plain::{padded, plain, shortened};
use crate::wording::printout::Printout;
use crate::wording::times::{serialize_time, time};

const PLAN_WIDTH: usize = 24;
/// Width of the columns beside a run's id and its plan.
const BESIDE: usize = 100;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Runs {
    pub schema: &'static str,
    pub runs: Vec<RunLine>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunLine {
    pub run: String,
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

    /// Returns the time of the beginning in UTC.
    pub(crate) fn started(&self) -> String {
        self.started_at.map_or_else(String::new, time)
    }

    pub(crate) fn took(&self) -> String {
        let so_far = if self.running { " so far" } else { "" };
        format!("{}{so_far}", duration(self.elapsed_ms))
    }
}

impl Runs {
    pub fn from_journal(journal: &Journal) -> Result<Self, JournalError> {
        journal.at_one_instant(|| {
            let runs = journal.runs()?.iter().map(|run| line_of(journal, run)).collect::<Result<_, JournalError>>()?;
            Ok(Self { schema: "cutover.runs.v1", runs })
        })
    }

    /// Writes the runs as text, with times in this time zone. Where the table is wider than the terminal, each run has two lines.
    pub fn write_text(&self, zone: &Zone, out: &mut Printout<'_>) -> io::Result<()> {
        if self.runs.is_empty() {
            return writeln!(out, "The journal holds no run yet.");
        }
        let width = self.runs.iter().map(|run| plain(&run.run).width()).max().unwrap_or(0).max(3);
        if !out.has_room_for(width + PLAN_WIDTH + BESIDE) {
            return self.write_in_two_lines(zone, out);
        }
        writeln!(
            out,
            "{:<width$}  {:<PLAN_WIDTH$}  {:>8}  {:>9}  {:>9}  {:<17}  {:<26}  took",
            "run", "plan", "rows", "on target", "unsettled", "ended", "started"
        )?;
        for run in &self.runs {
            writeln!(
                out,
                "{}  {}  {:>8}  {:>9}  {:>9}  {:<17}  {:<26}  {}",
                padded(&plain(&run.run), width),
                padded(&shortened(&plain(&run.plan), PLAN_WIDTH), PLAN_WIDTH),
                run.rows,
                run.on_target,
                run.unsettled,
                run.ended(),
                run.started_at.map_or_else(|| "-".to_owned(), |at| zone.shows(at)),
                run.took()
            )?;
        }
        Ok(())
    }

    fn write_in_two_lines(&self, zone: &Zone, out: &mut Printout<'_>) -> io::Result<()> {
        for run in &self.runs {
            let started = run.started_at.map_or_else(String::new, |at| format!("; {}, {}", zone.shows(at), run.took()));
            let RunLine { on_target, unsettled, .. } = run;
            let rows = count(u64::from(run.rows), "row");
            writeln!(out, "{}  {}", plain(&run.run), plain(&run.plan))?;
            writeln!(out, "  {rows}, {on_target} on target, {unsettled} unsettled; {}{started}", run.ended())?;
        }
        Ok(())
    }

    pub fn write_json(&self, out: &mut dyn io::Write) -> Result<(), ReportError> {
        super::document::document(self, out)
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
    })
}
