//! CSV, TSV and `;`-separated plans → the values of each row, with the place of each field.
//!
//! The records are taken apart here and not by a CSV crate, because every message names the line and the character of
//! its field, and because a quote that is never closed must neither fill the memory nor hide the rows after it.

use std::borrow::Cow;
use std::io::{self, Read};

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
    let mut records = Records { delimiter: delimiter(first_line(text)), fields: Vec::new(), len: 0 };
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
fn delimiter(header: &str) -> u8 {
    let columns = |delimiter: u8| {
        let mut fields = Vec::new();
        scan(header.as_bytes(), delimiter, true, &mut fields);
        let n_known = fields.iter().filter(|field| Column::named(&field.value(header)).is_some()).count();
        (n_known, fields.len())
    };
    // The last of equals is taken.
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| columns(*delimiter)).unwrap_or(b',')
}

/// The line that stands before us, or as much as is there of one that is not text or too long: the records say so.
fn first_line<R: Read>(text: &Text<R>) -> &str {
    let line = text.unread().split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = &line[..line.len().min(MAX_FIELD)];
    str::from_utf8(line).or_else(|error| str::from_utf8(&line[..error.valid_up_to()])).unwrap_or_default()
}

fn header(record: &Record<'_>, problems: &mut Problems) -> Option<Header> {
    if let Some(nul) = record.text.find('\0') {
        let message = "a NUL character: UTF-16 text is read only with a byte order mark".to_owned();
        problems.error(record.at(nul), message, None);
        return None;
    }
    let name = |field: &Field| field.value(record.text).trim().to_owned();
    let names: Vec<_> = record.fields.iter().map(|field| (name(field), record.at(field.start))).collect();
    Some(Header::new(&names, record.at(0), problems))
}

fn row(record: &Record<'_>, header: &Header, checker: &mut Checker) -> Option<Row> {
    if !is_whole(record, header, &mut checker.problems) {
        return None;
    }
    let mut cells = Cells::default();
    for (field, place) in record.fields.iter().zip(&header.places) {
        cells.put(place, field.value(record.text));
    }
    checker.row(cells, &|column| {
        let field = column.and_then(|column| header.field_of(column)).and_then(|field| record.fields.get(field));
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
    let too_long = record.fields.iter().position(|field| field.end - field.start > MAX_FIELD);
    if let Some(field) = too_long {
        let at = record.at(record.fields[field].start);
        let message = match &header.places[field] {
            Place::Known(column) => format!("the {} is longer than 64 KiB", column.name()),
            Place::Extra(name) => format!("the value of {} is longer than 64 KiB", quoted(name)),
            Place::Nowhere => "the value is longer than 64 KiB".to_owned(),
        };
        problems.error(at, message, None);
    }
    too_long.is_none()
}

/// One field of a record: where its text stands, without its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    /// Where the field starts: its quote, if it has one.
    start: usize,
    end: usize,
    quoted: bool,
    /// Whether a quote in it is written as two.
    escaped: bool,
}

impl Field {
    fn value<'a>(&self, record: &'a str) -> Cow<'a, str> {
        if !self.quoted {
            return Cow::Borrowed(&record[self.start..self.end]);
        }
        let text = &record[self.start + 1..self.end - 1];
        if self.escaped { Cow::Owned(text.replace("\"\"", "\"")) } else { Cow::Borrowed(text) }
    }
}

/// The record that was found last.
struct Record<'a> {
    text: &'a str,
    fields: &'a [Field],
    line: u32,
}

impl Record<'_> {
    fn at(&self, offset: usize) -> Position {
        Position::of(self.text.as_bytes(), offset, self.line)
    }
}

struct Records {
    delimiter: u8,
    fields: Vec<Field>,
    len: usize,
}

impl Records {
    /// Goes to the next record that is one, and says what is wrong with those that are none; false at the end.
    fn next<R: Read>(&mut self, text: &mut Text<R>, problems: &mut Problems) -> io::Result<bool> {
        loop {
            text.consume(self.len)?;
            self.len = 0;
            if !text.skip_to_content(problems)? {
                return Ok(false);
            }
            match scan(text.unread(), self.delimiter, text.ended(), &mut self.fields) {
                Scan::Record { len } => {
                    self.len = len;
                    // A spreadsheet's empty row.
                    let is_empty = self.fields.iter().all(|field| field.start == field.end);
                    if !is_empty && text.check_encoding(len, problems) {
                        return Ok(true);
                    }
                }
                Scan::Unfinished { quote: Some(quote) } if text.unread().len() - quote > MAX_FIELD => {
                    let at = Position::of(text.unread(), quote, text.line());
                    let message = "this quote is not closed within 64 KiB; nothing after it was read";
                    problems.error(at, message.to_owned(), None);
                    return Ok(false);
                }
                Scan::Unfinished { .. } if text.unread().len() > MAX_RECORD => {
                    let at = Position { line: text.line(), column: 1 };
                    problems.error(at, "the row is longer than 1 MiB".to_owned(), None);
                    text.skip_line()?;
                }
                Scan::Unfinished { .. } => _ = text.more()?,
                Scan::Broken { quote, after } => {
                    let (at, message) = explain(text, quote, after);
                    problems.error(at, message, None);
                    // A lone quote swallows the rows up to the next one, so go on after the line that it stands in.
                    let line_end = text.unread()[quote..].iter().position(|byte| *byte == b'\n');
                    self.len = line_end.map_or(text.unread().len(), |line_end| quote + line_end + 1);
                }
            }
        }
    }

    fn record<'a, R: Read>(&'a self, text: &'a Text<R>) -> Record<'a> {
        let bytes = &text.unread()[..self.len];
        let record = str::from_utf8(bytes).expect("`next` stops only where the encoding was checked");
        Record { text: record, fields: &self.fields, line: text.line() }
    }
}

/// Says what is wrong with a quote: where the text after it stands, or, if that is on another line, where it opens.
fn explain<R: Read>(text: &Text<R>, quote: usize, after: Option<usize>) -> (Position, String) {
    let at = |offset| Position::of(text.unread(), offset, text.line());
    let opened = at(quote);
    match after.map(at) {
        None => (opened, "this quote is never closed".to_owned()),
        Some(after) if after.line == opened.line => {
            (after, "text after the closing quote (a quote inside quotes is written as two)".to_owned())
        }
        Some(after) => {
            (opened, format!("this quote is closed by the one on line {}, and text follows there", after.line))
        }
    }
}

enum Scan {
    /// A record of this many bytes, its line end included.
    Record { len: usize },
    /// The bytes end before the record does; in the field that this quote opens, if there is one.
    Unfinished { quote: Option<usize> },
    /// The field that this quote opens does not end where its quote is closed: there is text after it, or no such quote.
    Broken { quote: usize, after: Option<usize> },
}

/// Takes the first record of `bytes` apart. `ended` says that no more bytes will come.
fn scan(bytes: &[u8], delimiter: u8, ended: bool, fields: &mut Vec<Field>) -> Scan {
    fields.clear();
    let mut next = 0;
    loop {
        let start = skip_blanks(bytes, next, delimiter);
        let after = if bytes.get(start) == Some(&b'"') {
            match closing_quote(bytes, start) {
                None if !ended => return Scan::Unfinished { quote: Some(start) },
                None => return Scan::Broken { quote: start, after: None },
                Some((close, escaped)) => {
                    fields.push(Field { start, end: close + 1, quoted: true, escaped });
                    skip_blanks(bytes, close + 1, delimiter)
                }
            }
        } else {
            let rest = &bytes[start..];
            let len = rest.iter().position(|byte| *byte == delimiter || *byte == b'\n').unwrap_or(rest.len());
            let trimmed = rest[..len].trim_ascii_end().len();
            fields.push(Field { start, end: start + trimmed, quoted: false, escaped: false });
            start + len
        };
        match bytes.get(after) {
            Some(byte) if *byte == delimiter => next = after + 1,
            Some(b'\n') => return Scan::Record { len: after + 1 },
            None if ended => return Scan::Record { len: after },
            None => return Scan::Unfinished { quote: None },
            Some(_) => return Scan::Broken { quote: start, after: Some(after) },
        }
    }
}

fn skip_blanks(bytes: &[u8], from: usize, delimiter: u8) -> usize {
    let is_blank = |byte: &&u8| matches!(**byte, b' ' | b'\t' | b'\r') && **byte != delimiter;
    from + bytes[from..].iter().take_while(is_blank).count()
}

/// The quote that closes the one at `open`, and whether there are doubled ones between.
fn closing_quote(bytes: &[u8], open: usize) -> Option<(usize, bool)> {
    let mut from = open + 1;
    let mut escaped = false;
    loop {
        let quote = from + bytes[from..].iter().position(|byte| *byte == b'"')?;
        if bytes.get(quote + 1) != Some(&b'"') {
            return Some((quote, escaped));
        }
        escaped = true;
        from = quote + 2;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom};

    use super::*;
    use crate::plan::Reading;

    fn fields(record: &str, delimiter: u8) -> Vec<String> {
        let mut fields = Vec::new();
        assert!(matches!(scan(record.as_bytes(), delimiter, true, &mut fields), Scan::Record { .. }), "{record}");
        fields.iter().map(|field| field.value(record).into_owned()).collect()
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
            let scanned = scan(cut.as_bytes(), b',', false, &mut Vec::new());
            assert!(matches!(scanned, Scan::Unfinished { .. }), "{cut}");
        }
    }

    #[test]
    fn the_delimiter_is_the_one_that_makes_columns_that_we_know() {
        assert_eq!(delimiter("id,state"), b',');
        assert_eq!(delimiter("id;state;a,b,c,d"), b';');
        assert_eq!(delimiter("id\tstate\tnote; or comment"), b'\t');
        assert_eq!(delimiter("\"id\";\"a,b\";\"state\""), b';');
        assert_eq!(delimiter("id"), b',');
        assert_eq!(delimiter("foo|bar;baz"), b';');
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
