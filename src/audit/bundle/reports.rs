//! The reports that programs read, held to the byte against what the journal makes of them, a line at a time: whatever reads them
//! takes the one or the other of two columns or names that are alike, and no reader takes what is not there.
//!
//! Reports of an earlier form lack columns and fields of this version. Columns are added behind those that were there, and so its
//! rows are ours without the last columns, to the byte as well; of its summary each field that is there is compared.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::path::Path;

use serde_json::{Map, Value};

use crate::formats::Format;
use crate::journal::chain::{Anchor, Code};
use crate::journal::read::RunRecord;
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

/// Findings past these tell nothing new.
const MOST_FOUND: usize = 20;
/// Names past these are counted.
const MOST_NAMED: usize = 8;
/// So much more of a line is read than it should have.
const SPARE: usize = 64 << 10;
/// Lines of the JSON report that are no rows: those before the first of them.
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

/// The run that reports are of.
#[derive(Clone, Copy)]
pub(super) struct Reports<'a> {
    pub(super) journal: &'a Journal,
    pub(super) run: &'a RunRecord,
    /// They are of an earlier form.
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
        let summary = Summary::of(self.journal, self.run, self.journal.told_path())?;
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

    /// Holds each line that the journal makes against the next one of a file.
    fn compare(
        self,
        format: Format,
        path: &Path,
        say: &mut dyn FnMut(String),
        unlike: &mut dyn FnMut(&mut ReportLine) -> Option<String>,
    ) -> Result<(), CompareError> {
        let file = BufReader::new(File::open(path)?);
        let is_table = format == Format::Csv;
        let mut held = Held { file, is_table, is_quoted: false, line: ReportLine::default(), n_found: 0, unlike, say };
        write(format, self.journal, self.run, &mut held)?;
        if !held.file.fill_buf()?.is_empty() {
            held.say("there is something behind its last row".to_owned());
        }
        Ok(())
    }
}

/// The most of our columns that a report of an earlier form has, if it has any number of them.
fn ours_of(mut has: impl FnMut(usize) -> bool) -> usize {
    (PROMISED..=COLUMNS.len()).rev().find(|n| has(*n)).unwrap_or(COLUMNS.len())
}

/// One line of a report, with its end, and as the journal makes it. A cell of a table may hold line breaks, which end no line.
#[derive(Default)]
struct ReportLine {
    n: usize,
    found: Vec<u8>,
    expected: Vec<u8>,
}

/// Takes a report as it is made, and holds each line of it against the next one of a file.
struct Held<'a> {
    file: BufReader<File>,
    is_table: bool,
    /// The line that is being made ends inside of quotes, so far.
    is_quoted: bool,
    line: ReportLine,
    n_found: usize,
    unlike: &'a mut dyn FnMut(&mut ReportLine) -> Option<String>,
    say: &'a mut dyn FnMut(String),
}

impl Held<'_> {
    fn end_line(&mut self) -> io::Result<()> {
        self.line.n += 1;
        self.read_line()?;
        if let Some(problem) = (self.unlike)(&mut self.line) {
            self.say(problem);
        }
        self.line.expected.clear();
        Ok(())
    }

    /// Reads no more than could be the line that is expected; of one that is longer the rest is passed over.
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

impl Write for Held<'_> {
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

/// Tells that a part of a table that begins outside of quotes ends inside.
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

/// The same as a line of a report.
fn line_of(cells: &[String]) -> Vec<u8> {
    let mut line = csv::Writer::from_writer(Vec::new());
    line.write_record(cells).expect("a vector takes everything");
    line.into_inner().expect("a vector takes everything")
}

/// A row of the JSON report without those of our columns that come behind the first so many. A quote stands before a name nowhere
/// but where it begins: those in texts are escaped. The plan's own columns come last.
fn without_the_last(line: &[u8], n: usize) -> Vec<u8> {
    let text = String::from_utf8_lossy(line);
    let begins = |name: &str| text.find(&format!(",\"{name}\":"));
    match (COLUMNS.get(n).and_then(|next| begins(next)), begins("extra")) {
        (Some(next), Some(own)) if next < own => [&line[..next], &line[own..]].concat(),
        (Some(_) | None, Some(_) | None) => line.to_owned(),
    }
}

/// The line of the summary; where the found one is of an earlier form, that is the one if each of its fields is as it should be.
fn expected_summary(found: &[u8], summary: &Summary, earlier: Option<Anchor>) -> Vec<u8> {
    let fields = named(found);
    let mut expected = summary.clone();
    // Reports of an earlier form name the place where the journal lay when they were made.
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
    // As long as what was read of it: no name is there twice, and nothing else besides.
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

/// Names of what differs; it may be the spelling alone.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    match names.len() {
        0 => "the form".to_owned(),
        n if n > MOST_NAMED => format!("{} and {} more", names[..MOST_NAMED].join(", "), n - MOST_NAMED),
        _ => names.join(", "),
    }
}

/// The fields of the object on a line of the JSON report; none if it is something else.
fn named(line: &[u8]) -> Map<String, Value> {
    let line = line.strip_prefix(b"\"summary\":").unwrap_or(line).trim_ascii_end();
    serde_json::from_slice(line.strip_suffix(b",").unwrap_or(line)).unwrap_or_default()
}
