//! One line for each row, in plan order, streamed: the plan's own unknown columns come last.

use std::borrow::Cow;
use std::io::{self, Write};

use super::ReportError;
use super::plain::Times;
use super::row::{COLUMNS, Cell, cells};
use crate::journal::Journal;
use crate::journal::read::RunRecord;

pub(super) fn write(journal: &Journal, run: &RunRecord, out: &mut dyn io::Write) -> Result<(), ReportError> {
    let extra = journal.extra_columns(run.key)?;
    let mut lines = Lines { out, text: Vec::new(), times: Times::default() };
    for column in COLUMNS {
        lines.cell(Cell::Text(column));
    }
    for column in &extra {
        lines.cell(Cell::Text(&own_name(column)));
    }
    lines.end()?;
    journal.for_each_row(run.key, |row, standing| {
        for cell in cells(&row, &standing) {
            lines.cell(cell);
        }
        for column in &extra {
            let value = row.extra.iter().find(|(name, _)| name == column).map_or("", |(_, value)| value);
            lines.cell(Cell::Text(value));
        }
        lines.end()
    })?;
    lines.write_out()
}

/// Lines as the crate `csv` writes them, at a fraction of the cost: there are millions of them.
struct Lines<'a> {
    out: &'a mut dyn io::Write,
    text: Vec<u8>,
    times: Times,
}

impl Lines<'_> {
    /// So much is kept together.
    const PORTION: usize = 64 * 1024;

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

    /// The end of a line of at least two cells.
    fn end(&mut self) -> Result<(), ReportError> {
        self.text.pop();
        self.text.push(b'\n');
        if self.text.len() < Self::PORTION { Ok(()) } else { self.write_out() }
    }

    fn write_out(&mut self) -> Result<(), ReportError> {
        self.out.write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }
}

/// A column of the plan that is called like one of ours says that it is the plan's.
pub(super) fn own_name(column: &str) -> Cow<'_, str> {
    if COLUMNS.contains(&column) { format!("plan_{column}").into() } else { column.into() }
}

/// People open these in spreadsheets, which take such a beginning for a formula.
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
        let (mut ours, mut theirs) = (Vec::new(), csv::Writer::from_writer(Vec::new()));
        let mut lines = Lines { out: &mut ours, text: Vec::new(), times: Times::default() };
        for (first, second) in texts.iter().zip(texts.iter().rev()) {
            for text in [first, second] {
                lines.cell(Cell::Text(text));
            }
            lines.cell(Cell::Number(7));
            lines.cell(Cell::Nothing);
            lines.end().unwrap();
            theirs.write_record([&*defused(first), &*defused(second), "7", ""]).unwrap();
        }
        lines.write_out().unwrap();
        assert_eq!(String::from_utf8(ours).unwrap(), String::from_utf8(theirs.into_inner().unwrap()).unwrap());
    }

    #[test]
    fn the_promised_columns_come_first_in_the_promised_order() {
        let promised = "row, source_id, copystate, migrationcycle, verdict, before_copystate, before_migrationcycle, \
             after_copystate, after_migrationcycle, attempts, http_status, error_code, error_msg, request_id, wave, \
             target, name, first_sent_at, settled_at";
        assert!(COLUMNS.join(", ").starts_with(promised));
    }
}
