//! Delimited text → its records, field by field, and what is wrong with those that are none.
//!
//! `csv_core` finds the fields and their values. The reader of `csv`, which is built on it, hands over whole records: it
//! knows no blanks before a quote and no place of a field, takes text after a closing quote as it comes, and reads on for
//! a quote that is never closed until the memory is full.

use std::io::{self, Read};
use std::ops::Range;
use std::rc::Rc;

use super::shape::Shape;
use super::warn_of_comment;
use csv_core::{ReadFieldResult, ReaderBuilder, Terminator};

use crate::plan::problem::{Position, Problems};
use crate::plan::text::{MAX_FIELD, MAX_RECORD, Next, Text};

/// The record that was found last.
pub(super) struct Record<'a> {
    pub(super) text: &'a [u8],
    pub(super) fields: &'a [Field],
    values: &'a [u8],
    line: u32,
    /// It is a line without a quote.
    pub(super) is_plain: bool,
}

/// One field of a record.
pub(super) struct Field {
    /// Where in the record it starts: its quote, if it has one.
    pub(super) start: usize,
    /// Where its value is among those of the record.
    pub(super) value: Range<usize>,
}

impl<'a> Record<'a> {
    pub(super) fn at(&self, offset: usize) -> Position {
        Position::of(self.text, offset, self.line)
    }

    /// The place of each field, one after another: to look for each from the beginning of a record of very many fields would
    /// take for ever.
    pub(super) fn places(&self) -> impl Iterator<Item = Position> {
        let mut at = Position { line: self.line, column: 1 };
        let mut from = 0;
        self.fields.iter().map(move |field| {
            at = at.behind(&self.text[from..field.start]);
            from = field.start;
            at
        })
    }

    pub(super) fn value(&self, field: &Field) -> &'a str {
        str::from_utf8(&self.values[field.value.clone()]).expect("`next` stops only where the encoding was checked")
    }
}

pub(super) struct Records {
    delimiter: u8,
    reader: csv_core::Reader,
    /// Of the record that was found last.
    fields: Vec<Field>,
    /// Unless it is plain: then its values stand in its text.
    values: Vec<u8>,
    is_plain: bool,
    len: usize,
    /// What comments are held against, once the header is known.
    rows: Option<Rc<Shape>>,
}

impl Records {
    pub(super) fn new(delimiter: u8) -> Self {
        let reader = ReaderBuilder::new().delimiter(delimiter).terminator(Terminator::Any(b'\n')).build();
        Self { delimiter, reader, fields: Vec::new(), values: Vec::new(), is_plain: false, len: 0, rows: None }
    }

    /// From here on a comment that looks like a row is warned of.
    pub(super) fn rows_look_like(&mut self, shape: Rc<Shape>) {
        self.rows = Some(shape);
    }

    /// Goes to the next record that is one, and says what is wrong with those that are none; false at the end.
    pub(super) fn next<R: Read>(&mut self, text: &mut Text<R>, problems: &mut Problems) -> io::Result<bool> {
        loop {
            text.consume(self.len)?;
            self.len = 0;
            match text.next(problems)? {
                Next::Content => (),
                Next::Comment { len } => {
                    let comment = &text.unread()[..len];
                    if self.rows.as_ref().is_some_and(|rows| rows.is_like_comment(comment)) {
                        warn_of_comment(Position::of(comment, 0, text.line()), comment, problems);
                    }
                    text.consume(len)?;
                    continue;
                }
                Next::End => return Ok(false),
            }
            let at = |offset| Position::of(text.unread(), offset, text.line());
            match self.scan(text.unread(), text.ended()) {
                Scan::Record { len } => {
                    self.len = len;
                    // A spreadsheet's empty row.
                    let is_blank = |byte: &u8| *byte == self.delimiter || byte.is_ascii_whitespace();
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

    pub(super) fn record<'a, R: Read>(&'a self, text: &'a Text<R>) -> Record<'a> {
        let record = &text.unread()[..self.len];
        Record {
            text: record,
            fields: &self.fields,
            values: self.values_in(record),
            line: text.line(),
            is_plain: self.is_plain,
        }
    }

    /// The values of the record that `text` begins with, whether or not it is a good one.
    pub(super) fn first_values(&mut self, text: &[u8]) -> Vec<String> {
        self.scan(text, true);
        let values = self.values_in(text);
        let value = |field: &Field| String::from_utf8_lossy(&values[field.value.clone()]).into_owned();
        self.fields.iter().map(value).collect()
    }

    fn values_in<'a>(&'a self, text: &'a [u8]) -> &'a [u8] {
        if self.is_plain { text } else { &self.values }
    }

    /// Takes the first record of `bytes` apart. `ended` says that no more bytes will come.
    fn scan(&mut self, bytes: &[u8], ended: bool) -> Scan {
        let plain = self.scan_plain(bytes);
        self.is_plain = plain.is_some();
        plain.map_or_else(|| self.scan_quoted(bytes, ended), |len| Scan::Record { len })
    }

    /// Most records are a line without a quote: each value is what stands between two delimiters.
    fn scan_plain(&mut self, bytes: &[u8]) -> Option<usize> {
        self.fields.clear();
        let mut start = self.skip_blanks(bytes, 0);
        for (place, byte) in bytes.iter().copied().enumerate() {
            if byte == b'"' {
                return None;
            }
            if byte == self.delimiter || byte == b'\n' {
                self.fields.push(Field { start, value: start..place });
                if byte == b'\n' {
                    return Some(place + 1);
                }
                start = self.skip_blanks(bytes, place + 1);
            }
        }
        None
    }

    fn scan_quoted(&mut self, bytes: &[u8], ended: bool) -> Scan {
        self.reader.reset();
        self.fields.clear();
        // A value is no longer than its field, so that the reader never finds them full.
        self.values.resize(self.values.len().max(bytes.len()), 0);
        let (mut next, mut values_len) = (0, 0);
        loop {
            let start = self.skip_blanks(bytes, next);
            // The reader would take no bytes for the end.
            if start == bytes.len() && !ended {
                return Scan::Unfinished;
            }
            let (found, n_read, n_written) = self.reader.read_field(&bytes[start..], &mut self.values[values_len..]);
            let value = values_len..values_len + n_written;
            (next, values_len) = (start + n_read, value.end);
            self.fields.push(Field { start, value });
            if let Some(bad) = self.bad_quote(bytes, start) {
                return bad;
            }
            match found {
                ReadFieldResult::Field { record_end: false } => (),
                ReadFieldResult::InputEmpty if !ended => return Scan::Unfinished,
                // The end of the record, or of the text.
                _ => return Scan::Record { len: next },
            }
        }
    }

    /// What is wrong with the quotes of a field that starts here; the reader would make a value of it all the same.
    fn bad_quote(&self, bytes: &[u8], quote: usize) -> Option<Scan> {
        if bytes.get(quote) != Some(&b'"') {
            return None;
        }
        let Some(close) = closing_quote(bytes, quote) else { return Some(Scan::Open { quote }) };
        let by = self.skip_blanks(bytes, close + 1);
        let is_text = |byte: &u8| *byte != self.delimiter && *byte != b'\n';
        bytes.get(by).is_some_and(is_text).then_some(Scan::Followed { quote, by })
    }

    fn skip_blanks(&self, bytes: &[u8], from: usize) -> usize {
        let is_blank = |byte: &&u8| matches!(**byte, b' ' | b'\t' | b'\r') && **byte != self.delimiter;
        from + bytes[from..].iter().take_while(is_blank).count()
    }
}

enum Scan {
    /// A record of this many bytes, its line end included.
    Record { len: usize },
    /// The bytes end before the record does.
    Unfinished,
    /// The bytes end before this quote is closed.
    Open { quote: usize },
    /// The text that this quote opens is followed by text outside the quotes.
    Followed { quote: usize, by: usize },
}

/// The quote that closes the one at `open`. Two in a row are one of the text.
fn closing_quote(bytes: &[u8], open: usize) -> Option<usize> {
    let mut quotes = (open + 1..bytes.len()).filter(|place| bytes[*place] == b'"').peekable();
    loop {
        let quote = quotes.next()?;
        if quotes.next_if_eq(&(quote + 1)).is_none() {
            return Some(quote);
        }
    }
}

/// Says what is wrong with a quoted text that is followed `by` text; if that is on another line, with its quote.
fn explain(quote: Position, by: Position) -> (Position, String) {
    if by.line == quote.line {
        return (by, "text after the closing quote (a quote inside quotes is written as two)".to_owned());
    }
    (quote, format!("this quote is closed by the one on line {}, and text follows there", by.line))
}

/// Where to go on after a bad quote: a lone one swallows the rows up to the next one, but not its own line.
fn line_end(bytes: &[u8], quote: usize) -> usize {
    bytes[quote..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |newline| quote + newline + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(record: &str, delimiter: u8) -> Vec<String> {
        let mut records = Records::new(delimiter);
        assert!(matches!(records.scan(record.as_bytes(), true), Scan::Record { .. }), "{record}");
        records.first_values(record.as_bytes()).iter().map(|value| value.trim().to_owned()).collect()
    }

    #[test]
    fn a_record_is_taken_apart_as_spreadsheets_write_it() {
        assert_eq!(values("a,b\r\nc", b','), ["a", "b"]);
        assert_eq!(values("a,,\n", b','), ["a", "", ""]);
        assert_eq!(values("a\t b \t\"x\ty\"", b'\t'), ["a", "b", "x\ty"]);
        assert_eq!(values("\"a\nb\";\"\" ; \"say \"\"hi\"\"\" \r\n", b';'), ["a\nb", "", "say \"hi\""]);
        assert_eq!(values("5\" disk,x\"", b','), ["5\" disk", "x\""]);
        assert_eq!(values("a\rb, \"c, d\"\r\n", b','), ["a\rb", "c, d"]);
    }

    #[test]
    fn a_record_is_whole_only_when_its_end_was_seen() {
        for cut in ["a", "a,", "a,\"b", "a,\"b\"", "a,\"b\"\"", "a,\"b\" "] {
            let scanned = Records::new(b',').scan(cut.as_bytes(), false);
            assert!(matches!(scanned, Scan::Unfinished | Scan::Open { .. }), "{cut}");
        }
    }
}
