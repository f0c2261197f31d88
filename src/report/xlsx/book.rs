//! Workbook of sheets that are written line by line. `rust_xlsxwriter` stays in this file.
//!
//! Its constant-memory mode keeps a sheet in a temporary file until all are there. It panics where that file cannot be written;
//! [`written`] returns an error instead. Texts are always written as texts: there is no way to write a formula or a link.

use std::any::Any;
use std::borrow::Cow;
use std::io::{self, Seek as _};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Once;

use jiff::Timestamp;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use crate::report::csv::defused;
use crate::wording::times::time;

/// source: <https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3>, "Excel specifications and limits"
const MOST_ROWS: u32 = 1_048_576;
pub(super) const MOST_COLUMNS: usize = 16_384;
const MOST_CHARACTERS: usize = 32_767;
/// Most bytes in a sheet: a part of a ZIP past 4 GiB needs its 64-bit form, which Excel may offer to repair.
const MOST_BYTES: usize = 3 << 30;
/// Approximate bytes of a cell besides its text.
const BYTES_OF_CELL: usize = 64;
/// Beginning of the message with which the library panics.
///
/// source: its `src/xmlwriter.rs`, `XML_WRITE_ERROR`
const PANIC: &str = "Couldn't write to xml file";

/// Value of a cell.
pub(super) enum CellValue<'a> {
    Nothing,
    Number(u64),
    Text(Cow<'a, str>),
    Title(Cow<'a, str>),
    Time(Timestamp),
}

/// Formats of cells.
struct Formats {
    plain: Format,
    /// Text after an apostrophe: editing the cell does not turn it into a formula either.
    quoted: Format,
    title: Format,
    quoted_title: Format,
    /// Time with a `Z`, which says that it is in UTC.
    time: Format,
}

/// Size of one sheet, past which another one continues.
#[derive(Clone, Copy)]
struct SheetLimits {
    rows: u32,
    bytes: usize,
}

pub(super) struct Spreadsheet {
    workbook: Workbook,
    formats: Formats,
    limits: SheetLimits,
}

/// Writes a workbook with temporary files in this folder, and copies it to `out` once it is complete.
pub(super) fn written<E: From<io::Error>>(
    out: &mut dyn io::Write,
    place: &Path,
    title: &str,
    created: Timestamp,
    fill: impl FnOnce(&mut Spreadsheet) -> Result<(), E>,
) -> Result<(), E> {
    written_within(SheetLimits { rows: MOST_ROWS, bytes: MOST_BYTES }, out, place, title, created, fill)
}

fn written_within<E: From<io::Error>>(
    limits: SheetLimits,
    out: &mut dyn io::Write,
    place: &Path,
    title: &str,
    created: Timestamp,
    fill: impl FnOnce(&mut Spreadsheet) -> Result<(), E>,
) -> Result<(), E> {
    static QUIET: Once = Once::new();
    QUIET.call_once(say_nothing_of_full_disks);
    let mut workbook = Workbook::new();
    workbook.set_tempdir(place).map_err(failed)?;
    let mut book = Spreadsheet { workbook, formats: Formats::new(), limits };
    let filled = catch_unwind(AssertUnwindSafe(|| {
        fill(&mut book)?;
        Ok::<_, E>(book.end(place, title, created)?)
    }));
    let mut whole = filled.unwrap_or_else(|panicked| Err(unwritable(panicked, place).into()))?;
    io::copy(&mut whole, out)?;
    Ok(())
}

/// Returns the error of a temporary file that could not be written. Any other panic is a bug, and is resumed.
fn unwritable(panicked: Box<dyn Any + Send>, place: &Path) -> io::Error {
    if !is_full_disk(&*panicked) {
        resume_unwind(panicked);
    }
    io::Error::other(format!("a temporary file in `{}` could not be written: is there room?", place.display()))
}

/// Tells whether this is the library's panic about its temporary file.
fn is_full_disk(panicked: &(dyn Any + Send)) -> bool {
    panicked.downcast_ref::<String>().is_some_and(|text| text.starts_with(PANIC))
}

/// Silences the panic that becomes an error, so that it is told once. Every other panic is printed as before.
#[expect(clippy::disallowed_methods, reason = "all other panics go on to where they went before")]
fn say_nothing_of_full_disks() {
    let before = take_hook();
    set_hook(Box::new(move |panicked| {
        let is_full_disk = panicked.payload_as_str().is_some_and(|text| text.starts_with(PANIC));
        if !is_full_disk {
            before(panicked);
        }
    }));
}

fn failed(error: XlsxError) -> io::Error {
    match error {
        XlsxError::IoError(error) => error,
        error => io::Error::other(error),
    }
}

impl Formats {
    fn new() -> Self {
        let title = Format::new().set_bold();
        Self {
            plain: Format::new(),
            quoted: Format::new().set_quote_prefix(),
            quoted_title: title.clone().set_quote_prefix(),
            title,
            time: Format::new().set_num_format("yyyy\\-mm\\-dd\\ hh:mm:ss.000\"Z\""),
        }
    }
}

impl Spreadsheet {
    /// Adds a sheet to be read from top to bottom, with columns of these widths.
    pub(super) fn page(&mut self, name: &'static str, widths: &[u32]) -> io::Result<Sheet<'_>> {
        let columns = widths.iter().map(|width| SheetColumn { name: String::new(), width: *width }).collect();
        Sheet::begin(self, name, columns, false)
    }

    /// Adds a sheet of lines under a header that stays in sight, with a filter on it.
    pub(super) fn table(&mut self, name: &'static str, columns: Vec<SheetColumn>) -> io::Result<Sheet<'_>> {
        Sheet::begin(self, name, columns, true)
    }

    /// Returns the whole file. Its only date is this one, so that its bytes do not depend on when it is written.
    fn end(&mut self, place: &Path, title: &str, created: Timestamp) -> io::Result<std::fs::File> {
        let created = ExcelDateTime::from_timestamp(created.as_second()).map_err(failed)?;
        let properties = DocProperties::new().set_title(title).set_author("cutover").set_creation_datetime(&created);
        self.workbook.set_properties(&properties);
        let mut whole = tempfile::tempfile_in(place)?;
        self.workbook.save_to_writer(io::BufWriter::new(&mut whole)).map_err(failed)?;
        whole.rewind()?;
        Ok(whole)
    }
}

pub(super) struct SheetColumn {
    pub(super) name: String,
    /// Width in characters.
    pub(super) width: u32,
}

/// A sheet while it is written, with those that continue it once it is full.
pub(super) struct Sheet<'b> {
    book: &'b mut Spreadsheet,
    name: &'static str,
    columns: Vec<SheetColumn>,
    is_table: bool,
    n_parts: u32,
    /// Index among all sheets of the one that is written now.
    place: usize,
    n_rows: u32,
    n_bytes: usize,
}

impl<'b> Sheet<'b> {
    fn begin(
        book: &'b mut Spreadsheet,
        name: &'static str,
        columns: Vec<SheetColumn>,
        is_table: bool,
    ) -> io::Result<Self> {
        let mut sheet = Self { book, name, columns, is_table, n_parts: 0, place: 0, n_rows: 0, n_bytes: 0 };
        sheet.begin_part().map_err(failed)?;
        Ok(sheet)
    }

    /// Writes the next line. Cells past the last column are left out.
    pub(super) fn row<'v>(&mut self, values: impl IntoIterator<Item = CellValue<'v>>) -> io::Result<()> {
        self.add(values).map_err(failed)
    }

    fn add<'v>(&mut self, values: impl IntoIterator<Item = CellValue<'v>>) -> Result<(), XlsxError> {
        if self.n_rows == self.book.limits.rows || self.n_bytes >= self.book.limits.bytes {
            self.end_part()?;
            self.begin_part()?;
        }
        let sheet = self.book.workbook.worksheet_from_index(self.place)?;
        for (column, value) in (0..).zip(values).take(self.columns.len()) {
            self.n_bytes += BYTES_OF_CELL + write(sheet, self.n_rows, column, &value, &self.book.formats)?;
        }
        self.n_rows += 1;
        Ok(())
    }

    pub(super) fn end(mut self) -> io::Result<()> {
        self.end_part().map_err(failed)
    }

    fn begin_part(&mut self) -> Result<(), XlsxError> {
        (self.n_parts, self.n_rows, self.n_bytes) = (self.n_parts + 1, 0, 0);
        let name = if self.n_parts == 1 { self.name.to_owned() } else { format!("{} {}", self.name, self.n_parts) };
        let sheet = self.book.workbook.add_worksheet_with_constant_memory()?;
        sheet.set_name(name)?;
        for (column, SheetColumn { width, .. }) in (0..).zip(&self.columns) {
            sheet.set_column_width(column, *width)?;
        }
        if self.is_table {
            sheet.set_freeze_panes(1, 0)?;
            for (column, SheetColumn { name, .. }) in (0..).zip(&self.columns) {
                write(sheet, 0, column, &CellValue::Title(Cow::Borrowed(name)), &self.book.formats)?;
            }
            self.n_rows = 1;
        }
        self.place = self.book.workbook.worksheets().len() - 1;
        Ok(())
    }

    fn end_part(&mut self) -> Result<(), XlsxError> {
        if self.is_table {
            let last = u16::try_from(self.columns.len() - 1).expect("no more columns than a sheet takes");
            self.book.workbook.worksheet_from_index(self.place)?.autofilter(0, 0, self.n_rows - 1, last)?;
        }
        Ok(())
    }
}

/// Writes a cell. Returns the bytes of its text.
fn write(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    value: &CellValue<'_>,
    formats: &Formats,
) -> Result<usize, XlsxError> {
    match value {
        CellValue::Nothing => Ok(0),
        CellValue::Number(number) => {
            #[expect(clippy::cast_precision_loss, reason = "a spreadsheet counts in floating point")]
            sheet.write_number(row, column, *number as f64)?;
            Ok(0)
        }
        CellValue::Text(text) => write_text(sheet, row, column, text, [&formats.plain, &formats.quoted]),
        CellValue::Title(text) => write_text(sheet, row, column, text, [&formats.title, &formats.quoted_title]),
        CellValue::Time(at) => match serial(*at) {
            Some(days) => {
                sheet.write_number_with_format(row, column, days, &formats.time)?;
                Ok(0)
            }
            None => write_text(sheet, row, column, &time(*at), [&formats.plain, &formats.quoted]),
        },
    }
}

fn write_text(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    text: &str,
    [plain, quoted]: [&Format; 2],
) -> Result<usize, XlsxError> {
    if text.is_empty() {
        return Ok(0);
    }
    let text = fitting(text);
    let format = if matches!(defused(&text), Cow::Borrowed(_)) { plain } else { quoted };
    sheet.write_string_with_format(row, column, &*text, format)?;
    Ok(text.len())
}

/// Cuts a text to what a cell can hold, and notes the cut.
fn fitting(text: &str) -> Cow<'_, str> {
    // A text has at least as many bytes as UTF-16 units.
    if text.len() <= MOST_CHARACTERS {
        return text.into();
    }
    let n_units = text.encode_utf16().count();
    if n_units <= MOST_CHARACTERS {
        return text.into();
    }
    let note = format!("… [cut: {n_units} characters in all]");
    let mut room = MOST_CHARACTERS - note.encode_utf16().count();
    let kept = text.chars().take_while(|character| {
        let fits = character.len_utf16() <= room;
        room = room.saturating_sub(character.len_utf16());
        fits
    });
    (kept.collect::<String>() + &note).into()
}

/// Returns the days since the day before 1900, as Excel counts them; `None` for times that it cannot count.
fn serial(at: Timestamp) -> Option<f64> {
    const DAY_MS: i64 = 86_400_000;
    const UNIX_EPOCH: i64 = 25_569;
    /// Days that Excel counts right: it takes 1900 for a leap year, so that days before March of it are off by one, and it ends
    /// with the year 9999.
    const DAYS: std::ops::Range<i64> = 61..2_958_466;
    let ms = at.as_millisecond() + UNIX_EPOCH * DAY_MS;
    #[expect(clippy::cast_precision_loss, reason = "a day has few milliseconds")]
    DAYS.contains(&ms.div_euclid(DAY_MS)).then(|| ms as f64 / DAY_MS as f64)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read as _};

    use zip::ZipArchive;

    use super::*;

    type Archive = ZipArchive<Cursor<Vec<u8>>>;

    fn book(limits: SheetLimits, fill: impl FnOnce(&mut Spreadsheet) -> io::Result<()>) -> Archive {
        let mut out = Vec::new();
        written_within(limits, &mut out, &std::env::temp_dir(), "a <title>", Timestamp::UNIX_EPOCH, fill).unwrap();
        ZipArchive::new(Cursor::new(out)).unwrap()
    }

    fn part(book: &mut Archive, name: &str) -> String {
        let mut text = String::new();
        book.by_name(name).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    fn numbers(book: &mut Spreadsheet, numbers: std::ops::Range<u64>) -> io::Result<()> {
        let mut sheet = book.table("Rows", vec![SheetColumn { name: "n".to_owned(), width: 9 }])?;
        numbers.into_iter().try_for_each(|number| sheet.row([CellValue::Number(number)]))?;
        sheet.end()
    }

    const ENOUGH: SheetLimits = SheetLimits { rows: u32::MAX, bytes: usize::MAX };

    #[test]
    fn a_sheet_that_is_full_goes_on_in_the_next_under_the_same_header() {
        for limits in [SheetLimits { rows: 3, ..ENOUGH }, SheetLimits { bytes: 2 * BYTES_OF_CELL, ..ENOUGH }] {
            let mut book = book(limits, |book| numbers(book, 0..5));
            let sheets: Vec<String> =
                (1..=3).map(|i| part(&mut book, &format!("xl/worksheets/sheet{i}.xml"))).collect();
            let rows: Vec<usize> = sheets.iter().map(|sheet| sheet.matches("<row ").count()).collect();
            assert_eq!(rows, [3, 3, 2]);
            let last = [("A1:A3", 1), ("A1:A3", 3), ("A1:A2", 4)];
            for (sheet, (filter, number)) in sheets.iter().zip(last) {
                assert!(sheet.contains("<is><t>n</t></is>"), "{sheet}");
                assert!(sheet.contains(&format!("<v>{number}</v></c></row></sheetData>")), "{sheet}");
                assert!(sheet.contains(&format!("<autoFilter ref=\"{filter}\"/>")), "{sheet}");
            }
            let workbook = part(&mut book, "xl/workbook.xml");
            for name in ["name=\"Rows\"", "name=\"Rows 3\"", "Rows 2"] {
                assert!(workbook.contains(name), "{workbook}");
            }
        }
    }

    #[test]
    fn a_workbook_has_the_time_it_is_given_and_no_other() {
        let mut book = book(ENOUGH, |book| numbers(book, 0..1));
        let properties = part(&mut book, "docProps/core.xml");
        assert_eq!(properties.matches(">1970-01-01T00:00:00Z</dcterms:").count(), 2, "{properties}");
        assert!(properties.contains("<dc:title>a &lt;title&gt;</dc:title>"), "{properties}");
        for i in 0..book.len() {
            assert_eq!(book.by_index(i).unwrap().last_modified(), Some(zip::DateTime::default()));
        }
    }

    #[test]
    fn a_text_stays_a_text_whatever_it_says() {
        let texts = ["=1+1", "12", "https://example.com", "a\u{1b}\r\u{ffff}", "_x001B_"];
        let mut book = book(ENOUGH, |book| {
            let mut sheet = book.page("Page", &[9])?;
            texts.into_iter().try_for_each(|text| sheet.row([CellValue::Text(text.into())]))?;
            sheet.end()
        });
        let sheet = part(&mut book, "xl/worksheets/sheet1.xml");
        assert_eq!(sheet.matches("t=\"inlineStr\"").count(), texts.len(), "{sheet}");
        for nothing in ["<f>", "hyperlink", "\u{1b}", "\r"] {
            assert!(!sheet.contains(nothing), "{sheet}");
        }
        assert!(sheet.contains("_x005F_x001B_"), "{sheet}");
    }

    #[test]
    fn a_text_that_no_cell_can_hold_is_cut_and_says_so() {
        let most = "é".repeat(MOST_CHARACTERS);
        assert_eq!(fitting(&most), most);
        let cut = fitting(&format!("{}x", "🦀".repeat(20_000))).into_owned();
        assert_eq!(cut.encode_utf16().count(), MOST_CHARACTERS - 1, "half a crab is none");
        assert!(cut.ends_with("🦀… [cut: 40001 characters in all]"));
    }

    #[test]
    fn a_time_is_a_number_where_excel_has_one_for_it() {
        let number = |at: &str| serial(at.parse().unwrap()).map(|days| format!("{days:.8}"));
        assert_eq!(number("2026-11-23T12:00:00Z").as_deref(), Some("46349.50000000"));
        assert_eq!(number("1970-01-01T00:00:00.001Z").as_deref(), Some("25569.00000001"));
        assert_eq!(number("1900-03-01T00:00:00Z").as_deref(), Some("61.00000000"));
        assert_eq!(number("1900-02-28T23:59:59Z"), None);
    }

    #[test]
    fn a_temporary_file_that_cannot_be_written_is_an_error_and_a_bug_stays_a_bug() {
        let error = unwritable(Box::new(format!("{PANIC}: no room")), Path::new("/somewhere"));
        assert!(error.to_string().contains("is there room?"), "{error}");
        assert!(
            catch_unwind(|| unwritable(Box::new("index out of bounds".to_owned()), Path::new("/somewhere"))).is_err()
        );
    }
}
