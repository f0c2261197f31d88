//! CSV, TSV and `;`-separated plans → the values of each row, with the position of each field.

use std::io::{self, Read};
use std::rc::Rc;

use super::error::ReadStop;
use super::text::Comment;
use crate::model::Row;
use crate::plan::check::RowChecker;
use crate::plan::columns::{Cells, Column, ColumnUse, PlanHeader};
use crate::plan::problem::{Position, Problems, WarningKind, quoted};
use crate::plan::text::{MAX_FIELD, NextLine, Text};
use crate::wording::amounts::count;

mod fields;
mod heading;
mod records;
mod shape;

use fields::CsvField;
use records::{CsvRecord, CsvRecords};
use shape::{RowShape, warn_of_comment};

/// Reads the header, at which the text has to be, and the rows. `above` are the comments before it.
pub(crate) fn read<R: Read, E>(
    text: &mut Text<R>,
    above: &[Comment],
    checker: &mut RowChecker,
    each: &mut impl FnMut(Row) -> Result<(), E>,
) -> Result<(), ReadStop<E>> {
    let n_errors = checker.problems.n_errors();
    let Some(delimiter) = delimiter(text, &mut checker.problems)? else {
        if checker.problems.n_errors() == n_errors {
            checker.lacks_content("not even a header", "a header without rows");
        }
        return Ok(());
    };
    let mut records = CsvRecords::new(delimiter);
    // Without a header, the rows cannot be read.
    if !records.next(text, &mut checker.problems)? || checker.problems.n_errors() > n_errors {
        return Ok(());
    }
    let first = text.line();
    let by_default = checker.has_default_target();
    let names = records.first_values(text.unread());
    if !names.iter().any(|name| name.contains('\0'))
        && let Some(missing) = heading::missing(&names, text.unread(), first, delimiter, by_default, above)
    {
        let at = records.record(text).at(0);
        checker.problems.error(at, missing.message(first, delimiter), None);
        return Ok(());
    }
    let name_of_id = names.iter().find(|name| Column::named(name) == Some(Column::SourceId)).cloned();
    let Some(header) = header(&records.record(text), by_default, &mut checker.problems) else { return Ok(()) };
    checker.header(&header);
    let shape = Rc::new(RowShape::new(&header, delimiter));
    for comment in above.iter().filter(|comment| shape.is_like_comment(&comment.text)) {
        warn_of_comment(Position { line: comment.line, column: 1 }, &comment.text, &mut checker.problems);
    }
    records.rows_look_like(Rc::clone(&shape));
    while records.next(text, &mut checker.problems)? {
        let record = records.record(text);
        if !record.is_plain {
            warn_of_quoted(&record, &header, &shape, &mut checker.problems);
        }
        if let Some(name) = &name_of_id
            && is_header_again(&record, &header, name)
        {
            let message = "this is the header again: files were joined here; take the line away".to_owned();
            checker.problems.error(record.at(0), message, None);
            continue;
        }
        if let Some(row) = row(&record, &header, checker) {
            each(row).map_err(ReadStop::Each)?;
        }
    }
    Ok(())
}

/// Returns the delimiter that the first line names, which is then consumed, or else the one under which the header reads best;
/// `None` if there is nothing to read.
fn delimiter<R: Read>(text: &mut Text<R>, problems: &mut Problems) -> io::Result<Option<u8>> {
    if !skip_empty_rows(text, problems)? {
        return Ok(None);
    }
    let Some(len) = text.line_len()? else { return Ok(Some(heading::delimiter(text.unread()))) };
    let named = match heading::named_delimiter(&text.unread()[..len]) {
        None => return Ok(Some(heading::delimiter(text.unread()))),
        Some(Ok(named)) => named,
        Some(Err(())) => {
            let message = "this line names no delimiter: write `sep=;`, or take it away".to_owned();
            problems.error(Position { line: text.line(), column: 1 }, message, None);
            return Ok(None);
        }
    };
    text.consume(len)?;
    Ok(skip_empty_rows(text, problems)?.then_some(named))
}

/// Advances to a line that is no comment and has more than blanks and delimiters; false at the end.
fn skip_empty_rows<R: Read>(text: &mut Text<R>, problems: &mut Problems) -> io::Result<bool> {
    loop {
        match text.next(problems)? {
            NextLine::Comment { len } => text.consume(len)?,
            NextLine::End => return Ok(false),
            NextLine::Content => match text.line_len()? {
                Some(len) if text.unread()[..len].iter().all(|byte| b",;\t \r\n".contains(byte)) => {
                    text.consume(len)?;
                }
                Some(_) | None => return Ok(true),
            },
        }
    }
}

/// Warns of rows inside a quoted field: a stray quote swallows the lines up to the next one.
fn warn_of_quoted(record: &CsvRecord<'_>, header: &PlanHeader, shape: &RowShape, problems: &mut Problems) {
    let n_columns = header.places.len();
    for (field, at) in record.fields.iter().zip(record.places()).take(n_columns) {
        for (line, text) in (at.line..).zip(record.value(field).split('\n')).skip(1) {
            if shape.is_like_quoted(text) {
                let message = format!(
                    "this line looks like a row, and is part of the text that the quote on line {} opens: {}",
                    at.line,
                    quoted(text.trim())
                );
                problems.warning(WarningKind::QuotedRow, Position { line, column: 1 }, message, None);
            }
        }
    }
}

fn header(record: &CsvRecord<'_>, by_default: bool, problems: &mut Problems) -> Option<PlanHeader> {
    if let Some(nul) = record.text.iter().position(|byte| *byte == 0) {
        let message =
            "a NUL character: UTF-16 text without a byte-order mark is read with --encoding utf-16le or utf-16be"
                .to_owned();
        problems.error(record.at(nul), message, None);
        return None;
    }
    let name = |field: &CsvField| record.value(field).trim().to_owned();
    let names: Vec<_> = record.fields.iter().map(name).zip(record.places()).collect();
    Some(PlanHeader::new(&names, record.at(0), by_default, problems))
}

/// Tells whether a row repeats the header: its id is the name of its column. Joined files may have a byte-order mark there.
fn is_header_again(record: &CsvRecord<'_>, header: &PlanHeader, name_of_id: &str) -> bool {
    let field = header.field_of(Column::SourceId).and_then(|field| record.fields.get(field));
    field.is_some_and(|field| {
        record.value(field).trim().trim_start_matches('\u{feff}').trim_matches('"') == name_of_id.trim()
    })
}

fn row(record: &CsvRecord<'_>, header: &PlanHeader, checker: &mut RowChecker) -> Option<Row> {
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

/// Tells whether the record has one field per column, none of them too long; reports it otherwise. In a ragged record nobody
/// can tell which value belongs to which column, so its values are not judged.
fn is_whole(record: &CsvRecord<'_>, header: &PlanHeader, problems: &mut Problems) -> bool {
    let (n_fields, n_columns) = (record.fields.len(), header.places.len());
    if n_fields != n_columns {
        // Points at the first surplus field, or at the row that is too short.
        let at = record.at(record.fields.get(n_columns).map_or(0, |field| field.start));
        let fields = count(n_fields as u64, "field");
        let lone = record.text.trim_ascii_end().contains(&b'\r') && record.is_plain;
        let by_cr = if lone { "; a CR stands in it that ends no line here" } else { "" };
        problems.error(at, format!("the row has {fields}, and the header has {n_columns}{by_cr}"), None);
        return false;
    }
    let mut columns = record.fields.iter().zip(&header.places);
    let Some((field, place)) = columns.find(|(field, _)| field.value.len() > MAX_FIELD) else { return true };
    let message = match place {
        ColumnUse::Known(column) => format!("the {} is longer than 64 KiB", column.name()),
        ColumnUse::Extra(name) => format!("the value of {} is longer than 64 KiB", quoted(name)),
        ColumnUse::Nowhere => "the value is longer than 64 KiB".to_owned(),
    };
    problems.error(record.at(field.start), message, None);
    false
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom};

    use super::*;
    use crate::plan::duplicates::Ids;
    use crate::plan::reading::Reading;
    use crate::plan::text::MAX_RECORD;

    /// Endless input: a header, an opening quote, and then text.
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
        let mut text = Text::new(Endless { n_read: 0 }, None).unwrap();
        let mut checker = RowChecker::new(Reading::default(), Ids::default());
        assert!(text.skip_to_content(&mut checker.problems).unwrap());
        assert!(matches!(read(&mut text, &[], &mut checker, &mut |_| Ok::<_, ()>(())), Ok(())));
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
        let mut text = Text::new(io::Cursor::new(plan.as_bytes()), None).unwrap();
        let mut checker = RowChecker::new(Reading::default(), Ids::default());
        assert!(text.skip_to_content(&mut checker.problems).unwrap());
        let mut n_rows = 0;
        let mut each = |row: Row| {
            let expected = [Some("plain"), Some("quoted"), Some("two\nlines"), Some("a \"quote\""), None];
            assert_eq!((row.source_id.as_str(), row.note.as_deref()), (&*format!("vm-{n_rows}"), expected[n_rows % 5]));
            n_rows += 1;
            Ok::<_, ()>(())
        };
        assert!(matches!(read(&mut text, &[], &mut checker, &mut each), Ok(())));
        assert_eq!((n_rows, checker.problems.is_empty()), (30_000, true));
    }
}
