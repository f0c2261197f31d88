//! One line for each row, in plan order, streamed: the plan's own unknown columns come last.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::mpsc;
use std::{mem, thread};

use super::error::ReportError;
use super::row::{COLUMNS, Cell, cells};
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::model::RowId;
use crate::wording::times::Times;

/// Rows in one portion.
const PORTION: u32 = 2_000;

/// Writes the report by two threads: each renders every second portion over a connection of its own, and this one puts them out
/// in order.
pub(super) fn write(journal: &Journal, run: &RunRecord, out: &mut dyn io::Write) -> Result<(), ReportError> {
    let extra = &journal.extra_columns(run.key)?[..];
    let mut lines = Lines::default();
    out.write_all(&lines.header(extra))?;
    let n_portions = journal.last_row(run.key)?.map_or(0, |last| last.0.div_ceil(PORTION));
    let heads = journal.heads(run.key)?;
    let beside = if n_portions > 2 { journal.again().ok() } else { None };
    thread::scope(|scope| {
        let (sender, portions) = mpsc::sync_channel(1);
        if let Some(beside) = beside {
            scope.spawn(move || {
                // The second thread stops at the first error or difference; this thread then renders the portions that are
                // missing.
                _ = beside.at_one_instant(|| {
                    // Both connections have to read the same instant; where their heads differ, the second thread renders
                    // nothing.
                    if beside.heads(run.key)? == heads {
                        let mut lines = Lines::default();
                        for n in (1..n_portions).step_by(2) {
                            if sender.send(lines.portion(&beside, run, extra, n)?).is_err() {
                                break;
                            }
                        }
                    }
                    Ok::<(), JournalError>(())
                });
            });
        } else {
            drop(sender);
        }
        for n in 0..n_portions {
            let from_beside = if n % 2 == 1 { portions.recv().ok() } else { None };
            let portion = match from_beside {
                Some(portion) => portion,
                None => lines.portion(journal, run, extra, n)?,
            };
            out.write_all(&portion)?;
        }
        Ok(())
    })
}

/// Lines in the format of the crate `csv`, with which the report takes 16 % more instructions (benches/README.md,
/// "Instructions").
#[derive(Default)]
struct Lines {
    text: Vec<u8>,
    times: Times,
}

impl Lines {
    fn header(&mut self, extra: &[String]) -> Vec<u8> {
        for column in COLUMNS {
            self.cell(Cell::Text(column));
        }
        for column in extra {
            self.cell(Cell::Text(&own_name(column)));
        }
        self.end();
        self.taken()
    }

    fn portion(
        &mut self,
        journal: &Journal,
        run: &RunRecord,
        extra: &[String],
        n: u32,
    ) -> Result<Vec<u8>, JournalError> {
        let before = n.saturating_mul(PORTION);
        let rows = RowId(before.saturating_add(1))..=RowId(before.saturating_add(PORTION));
        journal.for_each_row_among(run.key, rows, |row, standing| {
            for cell in cells(&row, &standing) {
                self.cell(cell);
            }
            for column in extra {
                let value = row.extra.iter().find(|(name, _)| name == column).map_or("", |(_, value)| value);
                self.cell(Cell::Text(value));
            }
            self.end();
            Ok::<(), JournalError>(())
        })?;
        Ok(self.taken())
    }

    fn cell(&mut self, cell: Cell<'_>) {
        match cell {
            Cell::Nothing => (),
            Cell::Number(number) => _ = write!(self.text, "{number}"),
            Cell::Text(text) => self.text(text),
            Cell::Time(at) => self.times.put(at, &mut self.text),
        }
        self.text.push(b',');
    }

    fn text(&mut self, text: &str) {
        let text = defused(text);
        if text.bytes().any(|byte| matches!(byte, b'"' | b',' | b'\n' | b'\r')) {
            self.text.push(b'"');
            self.text.extend_from_slice(text.replace('"', "\"\"").as_bytes());
            self.text.push(b'"');
        } else {
            self.text.extend_from_slice(text.as_bytes());
        }
    }

    /// Ends a line of at least two cells.
    fn end(&mut self) {
        self.text.pop();
        self.text.push(b'\n');
    }

    /// Takes the text so far, and reserves as much for the next.
    fn taken(&mut self) -> Vec<u8> {
        let next = Vec::with_capacity(self.text.len());
        mem::replace(&mut self.text, next)
    }
}

/// Returns the header of a report that has the first `n` of our columns and then the plan's own.
pub(crate) fn header(n: usize, own: &[String]) -> Vec<String> {
    let of_plan = own.iter().map(|name| defused(&own_name_among(&COLUMNS[..n], name)).into_owned());
    COLUMNS[..n].iter().map(|name| (*name).to_owned()).chain(of_plan).collect()
}

/// Returns the header of a plan's own column, with the prefix `plan_` where one of ours has the same name.
pub(crate) fn own_name(column: &str) -> Cow<'_, str> {
    own_name_among(&COLUMNS, column)
}

fn own_name_among<'a>(ours: &[&str], column: &'a str) -> Cow<'a, str> {
    if ours.contains(&column) { format!("plan_{column}").into() } else { column.into() }
}

/// Puts an apostrophe before a text that spreadsheets, in which people open these files, would take for a formula.
pub(crate) fn defused(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_defused_and_the_rest_is_as_it_was() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(defused(formula), format!("'{formula}"));
        }
        for text in ["", "a=1", "'=1", " =1", "12"] {
            assert_eq!(defused(text), text);
        }
    }

    #[test]
    fn lines_are_those_of_the_crate() {
        let texts =
            ["", "plain", "a,b", "say \"hi\"", "\"", "two\nlines", "\r", " ", "naïve ☃", "=1+1", "'", "a\tb", "#"];
        let (mut lines, mut theirs) = (Lines::default(), csv::Writer::from_writer(Vec::new()));
        for (first, second) in texts.iter().zip(texts.iter().rev()) {
            for text in [first, second] {
                lines.cell(Cell::Text(text));
            }
            lines.cell(Cell::Number(7));
            lines.cell(Cell::Nothing);
            lines.end();
            theirs.write_record([&*defused(first), &*defused(second), "7", ""]).unwrap();
        }
        assert_eq!(String::from_utf8(lines.taken()).unwrap(), String::from_utf8(theirs.into_inner().unwrap()).unwrap());
    }

    #[test]
    fn the_promised_columns_come_first_in_the_promised_order() {
        let promised = "row, source_id, copystate, migrationcycle, verdict, before_copystate, before_migrationcycle, \
             after_copystate, after_migrationcycle, attempts, http_status, error_code, error_msg, request_id, wave, \
             target, name, first_sent_at, settled_at";
        assert!(COLUMNS.join(", ").starts_with(promised));
    }
}
