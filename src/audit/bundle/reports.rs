//! Comparison of the reports that programs read with what the journal makes of them, byte for byte and a line at a time. A reader
//! could otherwise take one or the other of two columns or names that are alike, or something that is not there in ours.
//!
//! Reports of an earlier form lack columns and fields of this version. Columns are only added behind those before, so that an
//! earlier row is ours without the last columns, also byte for byte; of an earlier summary, each field that is there is compared.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::path::Path;

use serde_json::{Map, Value};

use crate::formats::Format;
use crate::journal::chain::{Anchor, Code};
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::report::csv::header;
use crate::report::error::ReportError;
use crate::report::row::{COLUMNS, PROMISED};
use crate::report::summary::Summary;
use crate::report::write;
use crate::wording::sieve::Form;

/// Reasons for which files cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<ReportError> for CompareError {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Journal(error) => CompareError::Journal(error),
            ReportError::Write(error) => CompareError::Io(error),
        }
    }
}

/// Most findings; more tell nothing new.
const MOST_FOUND: usize = 20;
/// Most names in a finding; the others are counted.
const MOST_NAMED: usize = 8;
/// Bytes that are read of a line beyond its expected length.
const SPARE: usize = 64 << 10;
/// Number of the line with the summary in the JSON report; [`ROWS_LINE`] is the one before the first row.
const SUMMARY_LINE: usize = 2;
const ROWS_LINE: usize = 3;
/// Fields that the summary of every version has.
const OF_EVERY_SUMMARY: [&str; 12] = [
    "schema",
    "run",
    "plan",
    "verdicts",
    "unsettled",
    "attempts",
    "throttled",
    "exit",
    "started_at",
    "elapsed_s",
    "journal",
    "anchor",
];

/// Reports of a run.
#[derive(Clone, Copy)]
pub(super) struct Reports<'a> {
    pub(super) journal: &'a Journal,
    pub(super) run: &'a RunRecord,
    /// True if they are of an earlier form.
    pub(super) is_earlier: bool,
}

impl Reports<'_> {
    pub(super) fn compare_csv(self, path: &Path, say: &mut dyn FnMut(String)) -> Result<(), CompareError> {
        let own = self.journal.extra_columns(self.run.key)?;
        let mut columns = header(COLUMNS.len(), &own);
        let mut n_ours = COLUMNS.len();
        self.compare(Format::Csv, path, say, &mut |line| {
            if line.n == 1 && self.is_earlier {
                let found = cells_of(&line.found);
                n_ours = ours_of(|n| header(n, &own) == found);
                columns = header(n_ours, &own);
                line.expected = line_of(&columns);
            } else if n_ours < COLUMNS.len() {
                let mut cells = cells_of(&line.expected);
                cells.drain(n_ours..COLUMNS.len().min(cells.len()));
                line.expected = line_of(&cells);
            }
            (line.found != line.expected).then(|| csv_problem(line, &columns))
        })
    }

    pub(super) fn compare_json(self, path: &Path, say: &mut dyn FnMut(String)) -> Result<(), CompareError> {
        let summary = Summary::from_journal(self.journal, self.run, self.journal.told_path())?;
        let anchor = self.journal.anchor(self.run)?;
        let mut n_ours = COLUMNS.len();
        self.compare(Format::Json, path, say, &mut |line| {
            match line.n {
                SUMMARY_LINE => {
                    line.expected = expected_summary(&line.found, &summary, self.is_earlier.then_some(anchor));
                }
                n if n > ROWS_LINE && self.is_earlier => {
                    if n == ROWS_LINE + 1 {
                        n_ours = ours_of(|n| without_the_last(&line.expected, n) == line.found);
                    }
                    line.expected = without_the_last(&line.expected, n_ours);
                }
                _ => (),
            }
            (line.found != line.expected).then(|| json_problem(line))
        })
    }

    /// Compares each line that the journal makes with the next one of a file.
    fn compare(
        self,
        format: Format,
        path: &Path,
        say: &mut dyn FnMut(String),
        unlike: &mut dyn FnMut(&mut ReportLine) -> Option<String>,
    ) -> Result<(), CompareError> {
        let file = BufReader::new(File::open(path)?);
        let is_table = format == Format::Csv;
        let mut held =
            LineComparison { file, is_table, is_quoted: false, line: ReportLine::default(), n_found: 0, unlike, say };
        write(format, self.journal, self.run, &mut held)?;
        if !held.file.fill_buf()?.is_empty() {
            held.say("there is something behind its last row".to_owned());
        }
        Ok(())
    }
}

/// Returns the largest number of our columns that a report of an earlier form has, or all of them if none fits.
fn ours_of(mut has: impl FnMut(usize) -> bool) -> usize {
    (PROMISED..=COLUMNS.len()).rev().find(|n| has(*n)).unwrap_or(COLUMNS.len())
}

/// One line of a report, with its line break, as found and as expected. A line break in a cell of a table ends no line.
#[derive(Default)]
struct ReportLine {
    n: usize,
    found: Vec<u8>,
    expected: Vec<u8>,
}

/// Writer that takes a report as it is made, and compares each line of it with the next one of a file.
struct LineComparison<'a> {
    file: BufReader<File>,
    is_table: bool,
    /// True while the expected line, as far as it is made, ends inside quotes.
    is_quoted: bool,
    line: ReportLine,
    n_found: usize,
    unlike: &'a mut dyn FnMut(&mut ReportLine) -> Option<String>,
    say: &'a mut dyn FnMut(String),
}

impl LineComparison<'_> {
    fn end_line(&mut self) -> io::Result<()> {
        self.line.n += 1;
        self.read_line()?;
        if let Some(problem) = (self.unlike)(&mut self.line) {
            self.say(problem);
        }
        self.line.expected.clear();
        Ok(())
    }

    /// Reads a line, but not much more than the expected length; the rest of a longer one is skipped.
    fn read_line(&mut self) -> io::Result<()> {
        let (found, most) = (&mut self.line.found, self.line.expected.len() + SPARE);
        found.clear();
        let mut is_quoted = false;
        loop {
            let before = found.len();
            let n_read = (&mut self.file).take((most - before) as u64).read_until(b'\n', found)?;
            is_quoted ^= self.is_table && ends_quoted(&found[before..]);
            if n_read == 0 || !found.ends_with(b"\n") {
                return if found.len() == most { self.file.skip_until(b'\n').map(drop) } else { Ok(()) };
            }
            if !is_quoted {
                return Ok(());
            }
        }
    }

    fn say(&mut self, problem: String) {
        self.n_found += 1;
        if self.n_found <= MOST_FOUND {
            (self.say)(problem);
        }
    }
}

impl Write for LineComparison<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.expected.extend_from_slice(part);
            self.is_quoted ^= self.is_table && ends_quoted(part);
            if part.ends_with(b"\n") && !self.is_quoted {
                self.end_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tells whether a part of a table that begins outside quotes ends inside them.
fn ends_quoted(part: &[u8]) -> bool {
    part.iter().fold(false, |is_quoted, byte| is_quoted ^ (*byte == b'"'))
}

fn csv_problem(line: &ReportLine, columns: &[String]) -> String {
    if line.n == 1 {
        return "its columns are not those of a report".to_owned();
    }
    let (found, expected) = (cells_of(&line.found), cells_of(&line.expected));
    let named = columns.iter().enumerate().filter(|(at, _)| found.get(*at) != expected.get(*at));
    let row = expected.first().map_or("?", String::as_str);
    row_problem(&line.found, row, named.map(|(_, name)| name.as_str()))
}

fn cells_of(line: &[u8]) -> Vec<String> {
    let mut lines = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line);
    let mut cells = csv::StringRecord::new();
    _ = lines.read_record(&mut cells);
    cells.iter().map(str::to_owned).collect()
}

/// Writes cells as a line of a report.
fn line_of(cells: &[String]) -> Vec<u8> {
    let mut line = csv::Writer::from_writer(Vec::new());
    line.write_record(cells).expect("a vector takes everything");
    line.into_inner().expect("a vector takes everything")
}

/// Returns a row of the JSON report with only the first `n` of our columns, and the plan's own columns, which come last. The text
/// `,"NAME":` is found only where a field begins, because quotes in texts are escaped.
fn without_the_last(line: &[u8], n: usize) -> Vec<u8> {
    let text = String::from_utf8_lossy(line);
    let begins = |name: &str| text.find(&format!(",\"{name}\":"));
    match (COLUMNS.get(n).and_then(|next| begins(next)), begins("extra")) {
        (Some(next), Some(own)) if next < own => [&line[..next], &line[own..]].concat(),
        (Some(_) | None, Some(_) | None) => line.to_owned(),
    }
}

/// Returns the expected line of the summary. A summary of an earlier form is itself the expected line if each of its fields is
/// right.
fn expected_summary(found: &[u8], summary: &Summary, earlier: Option<Anchor>) -> Vec<u8> {
    let fields = named(found);
    let mut expected = summary.clone();
    // Reports of an earlier form name the path that the journal had when they were made.
    if let Some(Value::String(lay)) = fields.get("journal").filter(|_| earlier.is_some()) {
        expected.journal.clone_from(lay);
    }
    match earlier {
        Some(anchor) if is_part_of_summary(found, fields, &expected, anchor) => found.to_owned(),
        Some(_) | None => summary_line(&expected),
    }
}

fn summary_line(summary: &impl serde::Serialize) -> Vec<u8> {
    let text = serde_json::to_string(summary).expect("a summary is JSON");
    Form::Json.fit(&format!("\"summary\":{text},\n")).into_bytes()
}

fn is_part_of_summary(found: &[u8], mut fields: Map<String, Value>, summary: &Summary, anchor: Anchor) -> bool {
    // Equal in length to what was read of it: no name is there twice, and nothing else besides.
    let is_whole = summary_line(&fields).len() == found.len();
    let Ok(Value::Object(expected)) = serde_json::to_value(summary) else { return false };
    // Earlier anchors are shorter.
    let is_ours = |code: &Value| code.as_str()?.parse().ok().map(|code: Code| code.is_of(anchor));
    if fields.get("anchor").and_then(is_ours) == Some(true) {
        fields.insert("anchor".to_owned(), expected["anchor"].clone());
    }
    is_whole && OF_EVERY_SUMMARY.iter().all(|name| fields.contains_key(*name)) && has_no_other(&fields, &expected)
}

fn has_no_other(found: &Map<String, Value>, expected: &Map<String, Value>) -> bool {
    found.iter().all(|(name, value)| expected.get(name).is_some_and(|expected| is_part_of(value, expected)))
}

fn is_part_of(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => has_no_other(found, expected),
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(found, expected)| is_part_of(found, expected))
        }
        (found, expected) => found == expected,
    }
}

fn json_problem(line: &ReportLine) -> String {
    let (found, expected) = (named(&line.found), named(&line.expected));
    let differ = expected.keys().filter(|name| found.get(*name) != expected.get(*name)).map(String::as_str);
    let is_more = found.keys().any(|name| !expected.contains_key(name));
    let names = differ.chain(is_more.then_some("what it has besides"));
    match line.n {
        1 => "it does not begin as a report does".to_owned(),
        SUMMARY_LINE => format!("{} of its summary: not what the journal says", list(names)),
        ROWS_LINE => "its rows do not begin where they should".to_owned(),
        _ => match expected.get("row") {
            Some(row) => row_problem(&line.found, &row.to_string(), names),
            None => "it does not end with its last row".to_owned(),
        },
    }
}

fn row_problem<'a>(found: &[u8], row: &str, differ: impl Iterator<Item = &'a str>) -> String {
    if found.is_empty() {
        return format!("row {row} is missing");
    }
    format!("{} of row {row}: not what the journal says", list(differ))
}

/// Lists the names of what differs; without names only the spelling differs.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    match names.len() {
        0 => "the form".to_owned(),
        n if n > MOST_NAMED => format!("{} and {} more", names[..MOST_NAMED].join(", "), n - MOST_NAMED),
        _ => names.join(", "),
    }
}

/// Returns the fields of the object on a line of the JSON report; none if it is something else.
fn named(line: &[u8]) -> Map<String, Value> {
    let line = line.strip_prefix(b"\"summary\":").unwrap_or(line).trim_ascii_end();
    serde_json::from_slice(line.strip_suffix(b",").unwrap_or(line)).unwrap_or_default()
}
