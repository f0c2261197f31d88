//! Delimited text → its records, and the problems of malformed ones.

use std::io::{self, Read};
use std::rc::Rc;

use super::fields::{CsvField, CsvFields, Scan};
use super::shape::{RowShape, warn_of_comment};
use crate::plan::problem::{Position, Problems};
use crate::plan::text::{MAX_FIELD, MAX_RECORD, NextLine, Text};

/// Record that was found last.
pub(super) struct CsvRecord<'a> {
    pub(super) text: &'a [u8],
    pub(super) fields: &'a [CsvField],
    values: &'a [u8],
    line: u32,
    /// True for a line without a quote.
    pub(super) is_plain: bool,
}

impl<'a> CsvRecord<'a> {
    pub(super) fn at(&self, offset: usize) -> Position {
        Position::at_offset(self.text, offset, self.line)
    }

    /// Returns the position of each field, counting on from one to the next: counting each from the beginning of a record would
    /// take quadratic time in the number of fields.
    pub(super) fn places(&self) -> impl Iterator<Item = Position> {
        let mut at = Position { line: self.line, column: 1 };
        let mut from = 0;
        self.fields.iter().map(move |field| {
            at = at.behind(&self.text[from..field.start]);
            from = field.start;
            at
        })
    }

    pub(super) fn value(&self, field: &CsvField) -> &'a str {
        str::from_utf8(&self.values[field.value.clone()]).expect("`next` stops only where the encoding was checked")
    }
}

pub(super) struct CsvRecords {
    /// Fields of the record that was found last.
    fields: CsvFields,
    len: usize,
    /// Shape of rows that comments are compared with, once the header is known.
    rows: Option<Rc<RowShape>>,
}

impl CsvRecords {
    pub(super) fn new(delimiter: u8) -> Self {
        Self { fields: CsvFields::new(delimiter), len: 0, rows: None }
    }

    /// Returns the values of the record that `text` begins with, even if it is malformed.
    pub(super) fn first_values(&mut self, text: &[u8]) -> Vec<String> {
        self.fields.first_values(text)
    }

    /// Sets the shape of rows: from here on, comments that look like rows get a warning.
    pub(super) fn rows_look_like(&mut self, shape: Rc<RowShape>) {
        self.rows = Some(shape);
    }

    /// Advances to the next well-formed record, and reports malformed ones; false at the end.
    pub(super) fn next<R: Read>(&mut self, text: &mut Text<R>, problems: &mut Problems) -> io::Result<bool> {
        loop {
            text.consume(self.len)?;
            self.len = 0;
            match text.next(problems)? {
                NextLine::Content => (),
                NextLine::Comment { len } => {
                    let comment = &text.unread()[..len];
                    if self.rows.as_ref().is_some_and(|rows| rows.is_like_comment(comment)) {
                        warn_of_comment(Position::at_offset(comment, 0, text.line()), comment, problems);
                    }
                    text.consume(len)?;
                    continue;
                }
                NextLine::End => return Ok(false),
            }
            let at = |offset| Position::at_offset(text.unread(), offset, text.line());
            match self.fields.scan(text.unread(), text.ended()) {
                Scan::Record { len } => {
                    self.len = len;
                    // A spreadsheet writes empty rows as delimiters alone.
                    let is_blank = |byte: &u8| *byte == self.fields.delimiter || byte.is_ascii_whitespace();
                    let is_empty = text.unread()[..len].iter().all(is_blank);
                    if !is_empty && text.check_encoding(len, problems) {
                        return Ok(true);
                    }
                }
                Scan::Followed { quote, by } => {
                    let (at, message) = explain(at(quote), at(by));
                    problems.error(at, message, None);
                    self.len = line_end(text.unread(), quote);
                }
                Scan::Open { quote } if text.ended() => {
                    problems.error(at(quote), "this quote is never closed".to_owned(), None);
                    self.len = line_end(text.unread(), quote);
                }
                Scan::Open { quote } if text.unread().len() - quote > MAX_FIELD => {
                    let message = "this quote is not closed within 64 KiB; nothing after it was read";
                    problems.error(at(quote), message.to_owned(), None);
                    return Ok(false);
                }
                Scan::Open { .. } | Scan::Unfinished if text.unread().len() > MAX_RECORD => {
                    problems.error(at(0), "the row is longer than 1 MiB".to_owned(), None);
                    text.skip_line()?;
                }
                Scan::Open { .. } | Scan::Unfinished => _ = text.more()?,
            }
        }
    }

    pub(super) fn record<'a, R: Read>(&'a self, text: &'a Text<R>) -> CsvRecord<'a> {
        let record = &text.unread()[..self.len];
        CsvRecord {
            text: record,
            fields: &self.fields.found,
            values: self.fields.values_in(record),
            line: text.line(),
            is_plain: self.fields.is_plain,
        }
    }
}

/// Explains a quoted text that is followed `by` text; at its opening quote if that is on another line.
fn explain(quote: Position, by: Position) -> (Position, String) {
    if by.line == quote.line {
        return (by, "text after the closing quote (a quote inside quotes is written as two)".to_owned());
    }
    (quote, format!("this quote is closed by the one on line {}, and text follows there", by.line))
}

/// Returns where to go on after a bad quote: a stray one swallows the rows up to the next quote, but only its own line is
/// skipped.
fn line_end(bytes: &[u8], quote: usize) -> usize {
    bytes[quote..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |newline| quote + newline + 1)
}
