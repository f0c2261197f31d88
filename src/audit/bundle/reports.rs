//! The reports that programs read, held to the byte against what the journal makes of them, a line at a time: whatever reads them
//! takes the one or the other of two columns or names that are alike, and no reader takes what is not there.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::path::Path;

use serde_json::{Map, Value};

use super::CompareError;
use crate::journal::Journal;
use crate::journal::read::RunRecord;
use crate::report::sieve::Form;
use crate::report::summary::Summary;
use crate::report::{Format, write};

/// Findings past these tell nothing new.
const MOST_FOUND: usize = 20;
/// No line is read beyond this.
const LONGEST_LINE: u64 = 16 << 20;
/// Lines of the JSON report that are no rows: those before the first of them.
const SUMMARY_LINE: usize = 2;
const ROWS_LINE: usize = 3;

pub(super) fn compare_csv(
    journal: &Journal,
    run: &RunRecord,
    path: &Path,
    say: &mut dyn FnMut(String),
) -> Result<(), CompareError> {
    let mut header = Vec::new();
    compare(journal, run, Format::Csv, path, say, &mut |line| {
        if line.n == 1 {
            header = cells_of(&line.expected);
        }
        (line.found != line.expected).then(|| csv_problem(line, &header))
    })
}

pub(super) fn compare_json(
    journal: &Journal,
    run: &RunRecord,
    path: &Path,
    say: &mut dyn FnMut(String),
) -> Result<(), CompareError> {
    let mut summary = Summary::of(journal, run, journal.path())?;
    compare(journal, run, Format::Json, path, say, &mut |line| {
        if line.n == SUMMARY_LINE {
            // Where the journal lay when the report was made is its own affair.
            if let Some(Value::String(lay)) = named(&line.found).remove("journal") {
                summary.journal = lay;
            }
            line.expected = summary_line(&summary);
        }
        (line.found != line.expected).then(|| json_problem(line))
    })
}

/// One line of a report, with its end, and as the journal makes it.
#[derive(Default)]
struct ReportLine {
    n: usize,
    found: Vec<u8>,
    expected: Vec<u8>,
}

/// Takes a report as it is made, and holds each line of it against the next one of a file.
struct Held<'a> {
    file: BufReader<File>,
    line: ReportLine,
    n_found: usize,
    unlike: &'a mut dyn FnMut(&mut ReportLine) -> Option<String>,
    say: &'a mut dyn FnMut(String),
}

impl Held<'_> {
    fn end_line(&mut self) -> io::Result<()> {
        self.line.n += 1;
        self.line.found.clear();
        (&mut self.file).take(LONGEST_LINE).read_until(b'\n', &mut self.line.found)?;
        if let Some(problem) = (self.unlike)(&mut self.line) {
            self.say(problem);
        }
        self.line.expected.clear();
        Ok(())
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
            if part.ends_with(b"\n") {
                self.end_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn compare(
    journal: &Journal,
    run: &RunRecord,
    format: Format,
    path: &Path,
    say: &mut dyn FnMut(String),
    unlike: &mut dyn FnMut(&mut ReportLine) -> Option<String>,
) -> Result<(), CompareError> {
    let file = BufReader::new(File::open(path)?);
    let mut held = Held { file, line: ReportLine::default(), n_found: 0, unlike, say };
    write(format, journal, run, &mut held)?;
    if !held.file.fill_buf()?.is_empty() {
        held.say("there is something behind its last row".to_owned());
    }
    Ok(())
}

fn csv_problem(line: &ReportLine, header: &[String]) -> String {
    if line.n == 1 {
        return "its columns are not those of a report".to_owned();
    }
    let (found, expected) = (cells_of(&line.found), cells_of(&line.expected));
    // A line break in a cell makes lines of which none is a whole row.
    if expected.len() != header.len() {
        return format!("line {} is not what the journal says", line.n);
    }
    let named = header.iter().enumerate().filter(|(at, _)| found.get(*at) != expected.get(*at));
    row_problem(&line.found, &expected[0], named.map(|(_, name)| name.as_str()))
}

fn cells_of(line: &[u8]) -> Vec<String> {
    let mut lines = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line);
    let mut cells = csv::StringRecord::new();
    _ = lines.read_record(&mut cells);
    cells.iter().map(str::to_owned).collect()
}

fn json_problem(line: &ReportLine) -> String {
    let (found, expected) = (named(&line.found), named(&line.expected));
    let added = found.keys().filter(|name| !expected.contains_key(*name));
    let differ = expected.keys().filter(|name| found.get(*name) != expected.get(*name)).chain(added);
    let names = differ.map(String::as_str);
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
    if names.is_empty() { "the form".to_owned() } else { names.join(", ") }
}

/// The fields of the object on a line of the JSON report; none if it is something else.
fn named(line: &[u8]) -> Map<String, Value> {
    let line = line.strip_prefix(b"\"summary\":").unwrap_or(line).trim_ascii_end();
    serde_json::from_slice(line.strip_suffix(b",").unwrap_or(line)).unwrap_or_default()
}

fn summary_line(summary: &Summary) -> Vec<u8> {
    let text = serde_json::to_string(summary).expect("a summary is JSON");
    Form::Json.fit(&format!("\"summary\":{text},\n")).into_bytes()
}
