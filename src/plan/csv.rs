//! CSV, TSV and `;`-separated plans → the values of each row, with the place of each field.

use std::io::Read;

use crate::model::Row;
use crate::plan::Stop;
use crate::plan::check::Checker;
use crate::plan::columns::{Cells, Column, Header, Place};
use crate::plan::problem::{Problems, plural, quoted};
use crate::plan::text::{MAX_FIELD, Text};

mod records;

use records::{Field, Record, Records};

/// Reads the header, before which the text stands, and the rows.
pub(crate) fn read<R: Read, E>(
    text: &mut Text<R>,
    checker: &mut Checker,
    each: &mut impl FnMut(Row) -> Result<(), E>,
) -> Result<(), Stop<E>> {
    let mut records = Records::new(delimiter(text.unread()));
    let first = text.line();
    // Without its header, which was found to be none, a plan says nothing.
    if !records.next(text, &mut checker.problems)? || text.line() != first {
        return Ok(());
    }
    let by_default = checker.has_default_target();
    let Some(header) = header(&records.record(text), by_default, &mut checker.problems) else { return Ok(()) };
    checker.header(&header);
    while records.next(text, &mut checker.problems)? {
        if let Some(row) = row(&records.record(text), &header, checker) {
            each(row).map_err(Stop::Each)?;
        }
    }
    Ok(())
}

/// The delimiter under which the header has the most columns that we know, then the most columns.
fn delimiter(text: &[u8]) -> u8 {
    let columns = |delimiter: u8| {
        let names = Records::new(delimiter).first_values(text);
        (names.iter().filter(|name| Column::named(name).is_some()).count(), names.len())
    };
    // The last of equals is taken.
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| columns(*delimiter)).unwrap_or(b',')
}

fn header(record: &Record<'_>, by_default: bool, problems: &mut Problems) -> Option<Header> {
    if let Some(nul) = record.text.iter().position(|byte| *byte == 0) {
        let message = "a NUL character: UTF-16 text is read only with a byte order mark".to_owned();
        problems.error(record.at(nul), message, None);
        return None;
    }
    let name = |field: &Field| record.value(field).trim().to_owned();
    let names: Vec<_> = record.fields.iter().map(|field| (name(field), record.at(field.start))).collect();
    Some(Header::new(&names, record.at(0), by_default, problems))
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

#[cfg(test)]
mod tests {
    use std::io::{self, Seek, SeekFrom};

    use super::*;
    use crate::plan::Reading;
    use crate::plan::duplicates::Ids;
    use crate::plan::text::MAX_RECORD;

    #[test]
    fn the_delimiter_is_the_one_that_makes_columns_that_we_know() {
        assert_eq!(delimiter(b"id,state"), b',');
        assert_eq!(delimiter(b"id;state;a,b,c,d"), b';');
        assert_eq!(delimiter(b"id\tstate\tnote; or comment"), b'\t');
        assert_eq!(delimiter(b"\"id\";\"a,b\";\"state\""), b';');
        assert_eq!(delimiter(b"rack;\"a,b\nc,d\";row\n1,2,3,4,5"), b';');
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
        let mut checker = Checker::new(Reading::default(), Ids::default());
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
        let mut checker = Checker::new(Reading::default(), Ids::default());
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
