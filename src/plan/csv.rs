//! CSV, TSV and `;`-separated plans → the values of each row, with the place of each field.
//!
//! `csv_core` takes the records apart, field by field. The reader of `csv`, which is built on it, hands over whole
//! records: it knows no blanks before a quote and no place of a field, takes text after a closing quote as it comes, and
//! reads on for a quote that is never closed until the memory is full.

use std::io::{self, Read};
use std::ops::Range;

use csv_core::{ReadFieldResult, ReaderBuilder, Terminator};

use crate::model::Row;
use crate::plan::Stop;
use crate::plan::check::Checker;
use crate::plan::columns::{Cells, Column, Header, Place};
use crate::plan::problem::{Position, Problems, plural, quoted};
use crate::plan::text::{MAX_FIELD, MAX_RECORD, Text};

/// Reads the header, before which the text stands, and the rows.
pub(crate) fn read<R: Read, E>(
    text: &mut Text<R>,
    checker: &mut Checker,
    each: &mut impl FnMut(Row) -> Result<(), E>,
) -> Result<(), Stop<E>> {
    let mut records = Records::new(delimiter(first_line(text)));
    let first = text.line();
    // Without its header, which was found to be none, a plan says nothing.
    if !records.next(text, &mut checker.problems)? || text.line() != first {
        return Ok(());
    }
    let Some(header) = header(&records.record(text), &mut checker.problems) else { return Ok(()) };
    checker.header(&header);
    while records.next(text, &mut checker.problems)? {
        if let Some(row) = row(&records.record(text), &header, checker) {
            each(row).map_err(Stop::Each)?;
        }
    }
    Ok(())
}

/// The delimiter under which the header line has the most columns that we know, then the most columns.
fn delimiter(header: &[u8]) -> u8 {
    let columns = |delimiter: u8| {
        let mut records = Records::new(delimiter);
        records.scan(header, true);
        let names = records.fields.iter().map(|field| String::from_utf8_lossy(&records.values[field.value.clone()]));
        (names.filter(|name| Column::named(name).is_some()).count(), records.fields.len())
    };
    // The last of equals is taken.
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| columns(*delimiter)).unwrap_or(b',')
}

/// The line that stands before us, or as much as is there of one that is too long: the records say so.
fn first_line<R: Read>(text: &Text<R>) -> &[u8] {
    let line = text.unread().split(|byte| *byte == b'\n').next().unwrap_or_default();
    &line[..line.len().min(MAX_FIELD)]
}

fn header(record: &Record<'_>, problems: &mut Problems) -> Option<Header> {
    if let Some(nul) = record.text.iter().position(|byte| *byte == 0) {
        let message = "a NUL character: UTF-16 text is read only with a byte order mark".to_owned();
        problems.error(record.at(nul), message, None);
        return None;
    }
    let name = |field: &Field| record.value(field).trim().to_owned();
    let names: Vec<_> = record.fields.iter().map(|field| (name(field), record.at(field.start))).collect();
    Some(Header::new(&names, record.at(0), problems))
}

fn row(record: &Record<'_>, header: &Header, checker: &mut Checker) -> Option<Row> {
    if !is_whole(record, header, &mut checker.problems) {
        return None;
    }
    let mut cells = Cells::default();
    for (field, place) in record.fields.iter().zip(&header.places) {
        cells.put(place, record.value(field));
    }
    checker.row(cells, &|column| {
        let field = column.and_then(|column| header.field_of(column)).map(|field| &record.fields[field]);
        record.at(field.map_or(0, |field| field.start))
    })
}

/// Whether the record has a field for each column, none of them too long. In a ragged record nobody can tell which
/// value belongs to which column, so its values are not judged.
fn is_whole(record: &Record<'_>, header: &Header, problems: &mut Problems) -> bool {
    let (n_fields, n_columns) = (record.fields.len(), header.places.len());
    if n_fields != n_columns {
        // The first one too many, or the row that is too short.
        let at = record.at(record.fields.get(n_columns).map_or(0, |field| field.start));
        let fields = plural(n_fields, "field");
        problems.error(at, format!("the row has {fields}, and the header has {n_columns}"), None);
        return false;
    }
    let mut columns = record.fields.iter().zip(&header.places);
    let Some((field, place)) = columns.find(|(field, _)| field.value.len() > MAX_FIELD) else { return true };
    let message = match place {
        Place::Known(column) => format!("the {} is longer than 64 KiB", column.name()),
        Place::Extra(name) => format!("the value of {} is longer than 64 KiB", quoted(name)),
        Place::Nowhere => "the value is longer than 64 KiB".to_owned(),
    };
    problems.error(record.at(field.start), message, None);
    false
}

/// The record that was found last.
struct Record<'a> {
    text: &'a [u8],
    fields: &'a [Field],
    values: &'a [u8],
    line: u32,
}

/// One field of a record.
struct Field {
    /// Where in the record it starts: its quote, if it has one.
    start: usize,
    /// Where its value is among those of the record.
    value: Range<usize>,
}

impl<'a> Record<'a> {
    fn at(&self, offset: usize) -> Position {
        Position::of(self.text, offset, self.line)
    }

    fn value(&self, field: &Field) -> &'a str {
        str::from_utf8(&self.values[field.value.clone()]).expect("`next` stops only where the encoding was checked")
    }
}

struct Records {
    delimiter: u8,
    reader: csv_core::Reader,
    /// Of the record that was found last.
    fields: Vec<Field>,
    values: Vec<u8>,
    len: usize,
}

impl Records {
    fn new(delimiter: u8) -> Self {
        let reader = ReaderBuilder::new().delimiter(delimiter).terminator(Terminator::Any(b'\n')).build();
        Self { delimiter, reader, fields: Vec::new(), values: Vec::new(), len: 0 }
    }

    /// Goes to the next record that is one, and says what is wrong with those that are none; false at the end.
    fn next<R: Read>(&mut self, text: &mut Text<R>, problems: &mut Problems) -> io::Result<bool> {
        loop {
            text.consume(self.len)?;
            self.len = 0;
            if !text.skip_to_content(problems)? {
                return Ok(false);
            }
            let at = |offset| Position::of(text.unread(), offset, text.line());
            match self.scan(text.unread(), text.ended()) {
                Scan::Record { len } => {
                    self.len = len;
                    // A spreadsheet's empty row.
                    let is_empty = self.fields.iter().all(|field| field.value.is_empty());
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

    fn record<'a, R: Read>(&'a self, text: &'a Text<R>) -> Record<'a> {
        Record { text: &text.unread()[..self.len], fields: &self.fields, values: &self.values, line: text.line() }
    }

    /// Takes the first record of `bytes` apart. `ended` says that no more bytes will come.
    fn scan(&mut self, bytes: &[u8], ended: bool) -> Scan {
        self.reader.reset();
        self.fields.clear();
        // A value is no longer than its field, and the reader wants a byte to spare.
        self.values.resize(self.values.len().max(bytes.len() + 1), 0);
        let (mut next, mut n_values) = (0, 0);
        loop {
            let start = self.skip_blanks(bytes, next);
            if let Some(bad) = self.bad_quote(bytes, start) {
                return bad;
            }
            // The reader would take no bytes for the end.
            if start == bytes.len() && !ended {
                return Scan::Unfinished;
            }
            let (found, n_read, n_written) = self.reader.read_field(&bytes[start..], &mut self.values[n_values..]);
            let value = n_values..n_values + n_written;
            (next, n_values) = (start + n_read, value.end);
            self.fields.push(Field { start, value });
            match found {
                ReadFieldResult::Field { record_end: false } => (),
                ReadFieldResult::InputEmpty if !ended => return Scan::Unfinished,
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
    use std::io::{Seek, SeekFrom};

    use super::*;
    use crate::plan::Reading;

    fn fields(record: &str, delimiter: u8) -> Vec<String> {
        let mut records = Records::new(delimiter);
        assert!(matches!(records.scan(record.as_bytes(), true), Scan::Record { .. }), "{record}");
        let value = |field: &Field| String::from_utf8(records.values[field.value.clone()].to_vec()).unwrap();
        records.fields.iter().map(|field| value(field).trim().to_owned()).collect()
    }

    #[test]
    fn a_record_is_taken_apart_as_spreadsheets_write_it() {
        assert_eq!(fields("a,b\r\nc", b','), ["a", "b"]);
        assert_eq!(fields("a,,\n", b','), ["a", "", ""]);
        assert_eq!(fields("a\t b \t\"x\ty\"", b'\t'), ["a", "b", "x\ty"]);
        assert_eq!(fields("\"a\nb\";\"\" ; \"say \"\"hi\"\"\" \r\n", b';'), ["a\nb", "", "say \"hi\""]);
        assert_eq!(fields("5\" disk,x\"", b','), ["5\" disk", "x\""]);
    }

    #[test]
    fn a_record_is_whole_only_when_its_end_was_seen() {
        for cut in ["a", "a,", "a,\"b", "a,\"b\"", "a,\"b\"\"", "a,\"b\" "] {
            let scanned = Records::new(b',').scan(cut.as_bytes(), false);
            assert!(matches!(scanned, Scan::Unfinished | Scan::Open { .. }), "{cut}");
        }
    }

    #[test]
    fn the_delimiter_is_the_one_that_makes_columns_that_we_know() {
        assert_eq!(delimiter(b"id,state"), b',');
        assert_eq!(delimiter(b"id;state;a,b,c,d"), b';');
        assert_eq!(delimiter(b"id\tstate\tnote; or comment"), b'\t');
        assert_eq!(delimiter(b"\"id\";\"a,b\";\"state\""), b';');
        assert_eq!(delimiter(b"id"), b',');
        assert_eq!(delimiter(b"foo|bar;baz"), b';');
    }

    /// A header, an opening quote, and then text for ever.
    struct Endless {
        n_read: u64,
    }

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let head = b"id,state\n\"a".iter().copied().chain(std::iter::repeat(b'x'));
            let from = usize::try_from(self.n_read).unwrap();
            buffer.iter_mut().zip(head.skip(from)).for_each(|(place, byte)| *place = byte);
            self.n_read += buffer.len() as u64;
            Ok(buffer.len())
        }
    }

    impl Seek for Endless {
        fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
            let SeekFrom::Start(place) = place else { return Err(io::ErrorKind::Unsupported.into()) };
            self.n_read = place;
            Ok(place)
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_ends_the_reading_within_a_megabyte() {
        let mut text = Text::new(Endless { n_read: 0 }).unwrap();
        let mut checker = Checker::new(Reading::default());
        assert!(text.skip_to_content(&mut checker.problems).unwrap());
        assert!(matches!(read(&mut text, &mut checker, &mut |_| Ok::<_, ()>(())), Ok(())));
        let shown: Vec<String> = checker.problems.shown().map(|problem| problem.in_file("p")).collect();
        assert_eq!(shown, ["p:2:1: error: this quote is not closed within 64 KiB; nothing after it was read"]);
        assert!(text.n_bytes_in_memory() <= MAX_RECORD);
    }

    #[test]
    fn records_are_found_wherever_a_chunk_ends() {
        let row = |n: usize| {
            let note = ["plain", "\"quoted\"", "\"two\nlines\"", "\"a \"\"quote\"\"\"", ""][n % 5];
            format!("vm-{n},{note}{},error\n", " ".repeat(n % 7))
        };
        let plan: String = std::iter::once("id,note,state\n".to_owned()).chain((0..30_000).map(row)).collect();
        let mut text = Text::new(io::Cursor::new(plan.as_bytes())).unwrap();
        let mut checker = Checker::new(Reading::default());
        assert!(text.skip_to_content(&mut checker.problems).unwrap());
        let mut n_rows = 0;
        let mut each = |row: Row| {
            let expected = [Some("plain"), Some("quoted"), Some("two\nlines"), Some("a \"quote\""), None];
            assert_eq!((row.source_id.as_str(), row.note.as_deref()), (&*format!("vm-{n_rows}"), expected[n_rows % 5]));
            n_rows += 1;
            Ok::<_, ()>(())
        };
        assert!(matches!(read(&mut text, &mut checker, &mut each), Ok(())));
        assert_eq!((n_rows, checker.problems.is_empty()), (30_000, true));
    }
}
