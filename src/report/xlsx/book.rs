//! A workbook as Office Open XML has it (ECMA-376), streamed sheet by sheet: nothing goes back, nothing waits in memory
//! or in a temporary file, and a disk that is full is an error like any other.
//!
//! Texts are always written as texts. There is no way to write a formula or a link.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use jiff::Timestamp;
use zip::ZipWriter;
use zip::write::{SimpleFileOptions, StreamWriter};

use crate::report::csv::defused;
use crate::report::plain::time;

/// source: <https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3>, "Excel specifications and limits"
const MOST_ROWS: u32 = 1_048_576;
pub(super) const MOST_COLUMNS: usize = 16_384;
const MOST_CHARACTERS: usize = 32_767;
/// A part of a ZIP past 4 GiB needs its 64-bit form, which Excel may offer to repair.
const MOST_BYTES: u64 = 3 << 30;
/// A third of the work of the usual 6, for a quarter more bytes.
const COMPRESSION: i64 = 2;

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";
const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";
const TYPES: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml";

/// What a cell holds.
pub(super) enum Value<'a> {
    Nothing,
    Number(u64),
    Text(Cow<'a, str>),
    Title(Cow<'a, str>),
    Time(Timestamp),
}

/// The formats of [`STYLES`], in their order.
#[derive(Clone, Copy)]
enum Style {
    Plain,
    /// As after an apostrophe: editing the cell does not make a formula of it either.
    Quoted,
    Title,
    QuotedTitle,
    Time,
}

/// `Z` stands in the format, so that each time says where it holds.
const STYLES: &str = "<numFmts count=\"1\"><numFmt numFmtId=\"164\" formatCode=\"yyyy\\-mm\\-dd\\ hh:mm:ss.000&quot;Z&quot;\"/>\
    </numFmts><fonts count=\"2\"><font><sz val=\"11\"/><name val=\"Calibri\"/><family val=\"2\"/></font>\
    <font><b/><sz val=\"11\"/><name val=\"Calibri\"/><family val=\"2\"/></font></fonts>\
    <fills count=\"2\"><fill><patternFill patternType=\"none\"/></fill><fill><patternFill patternType=\"gray125\"/></fill>\
    </fills><borders count=\"1\"><border><left/><right/><top/><bottom/><diagonal/></border></borders>\
    <cellStyleXfs count=\"1\"><xf numFmtId=\"0\" fontId=\"0\" fillId=\"0\" borderId=\"0\"/></cellStyleXfs>\
    <cellXfs count=\"5\"><xf numFmtId=\"0\" fontId=\"0\" fillId=\"0\" borderId=\"0\" xfId=\"0\"/>\
    <xf numFmtId=\"0\" fontId=\"0\" fillId=\"0\" borderId=\"0\" xfId=\"0\" quotePrefix=\"1\"/>\
    <xf numFmtId=\"0\" fontId=\"1\" fillId=\"0\" borderId=\"0\" xfId=\"0\" applyFont=\"1\"/>\
    <xf numFmtId=\"0\" fontId=\"1\" fillId=\"0\" borderId=\"0\" xfId=\"0\" quotePrefix=\"1\" applyFont=\"1\"/>\
    <xf numFmtId=\"164\" fontId=\"0\" fillId=\"0\" borderId=\"0\" xfId=\"0\" applyNumberFormat=\"1\"/></cellXfs>\
    <cellStyles count=\"1\"><cellStyle name=\"Normal\" xfId=\"0\" builtinId=\"0\"/></cellStyles>";

/// How much one sheet takes before the next one goes on.
#[derive(Clone, Copy)]
struct Limits {
    rows: u32,
    bytes: u64,
}

pub(super) struct Book<'a> {
    zip: ZipWriter<StreamWriter<UntilError<'a>>>,
    limits: Limits,
    sheets: Vec<Written>,
}

/// A sheet that is in the file, and what of it is filtered.
struct Written {
    name: String,
    filter: Option<String>,
}

impl<'a> Book<'a> {
    pub(super) fn begin(out: &'a mut dyn io::Write) -> io::Result<Self> {
        Self::with_limits(out, Limits { rows: MOST_ROWS, bytes: MOST_BYTES })
    }

    fn with_limits(out: &'a mut dyn io::Write, limits: Limits) -> io::Result<Self> {
        let mut book =
            Self { zip: ZipWriter::new_stream(UntilError { out, failed: false }), limits, sheets: Vec::new() };
        book.part(
            "_rels/.rels",
            &format!(
                "<Relationships xmlns=\"{PACKAGE}/relationships\">\
                 <Relationship Id=\"rId1\" Type=\"{OFFICE}/officeDocument\" Target=\"xl/workbook.xml\"/>\
                 <Relationship Id=\"rId2\" Type=\"{PACKAGE}/relationships/metadata/core-properties\" \
                 Target=\"docProps/core.xml\"/></Relationships>"
            ),
        )?;
        book.part("xl/styles.xml", &format!("<styleSheet xmlns=\"{MAIN}\">{STYLES}</styleSheet>"))?;
        Ok(book)
    }

    /// A sheet to be read from top to bottom, with columns of these widths.
    pub(super) fn page(&mut self, name: &'static str, widths: &[u32]) -> io::Result<Sheet<'_, 'a>> {
        let columns = widths.iter().map(|width| Column { name: String::new(), width: *width }).collect();
        Sheet::begin(self, name, columns, false)
    }

    /// A sheet of lines under a header that stays in sight, with a filter on it.
    pub(super) fn table(&mut self, name: &'static str, columns: Vec<Column>) -> io::Result<Sheet<'_, 'a>> {
        Sheet::begin(self, name, columns, true)
    }

    /// What names the sheets comes last: how many there are is known now.
    pub(super) fn end(mut self, title: &str, created: Timestamp) -> io::Result<()> {
        let (mut sheets, mut filters, mut relations, mut types) = Default::default();
        for (i, Written { name, filter }) in self.sheets.iter().enumerate() {
            let number = i + 1;
            write_to(&mut sheets, format_args!("<sheet name=\"{name}\" sheetId=\"{number}\" r:id=\"rId{number}\"/>"));
            if let Some(range) = filter {
                let defined = "<definedName name=\"_xlnm._FilterDatabase\" hidden=\"1\"";
                write_to(&mut filters, format_args!("{defined} localSheetId=\"{i}\">'{name}'!{range}</definedName>"));
            }
            let target = format!("worksheets/sheet{number}.xml");
            let relation =
                format_args!("<Relationship Id=\"rId{number}\" Type=\"{OFFICE}/worksheet\" Target=\"{target}\"/>");
            write_to(&mut relations, relation);
            write_to(
                &mut types,
                format_args!("<Override PartName=\"/xl/{target}\" ContentType=\"{TYPES}.worksheet+xml\"/>"),
            );
        }
        let filters = if filters.is_empty() { filters } else { format!("<definedNames>{filters}</definedNames>") };
        let workbook = format!(
            "<workbook xmlns=\"{MAIN}\" xmlns:r=\"{OFFICE}\"><bookViews><workbookView/></bookViews>\
             <sheets>{sheets}</sheets>{filters}</workbook>"
        );
        self.part("xl/workbook.xml", &workbook)?;
        let styles = self.sheets.len() + 1;
        let relations = format!(
            "<Relationships xmlns=\"{PACKAGE}/relationships\">{relations}\
             <Relationship Id=\"rId{styles}\" Type=\"{OFFICE}/styles\" Target=\"styles.xml\"/></Relationships>"
        );
        self.part("xl/_rels/workbook.xml.rels", &relations)?;
        self.part("docProps/core.xml", &properties(title, created))?;
        let types = format!(
            "<Types xmlns=\"{PACKAGE}/content-types\">\
             <Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
             <Default Extension=\"xml\" ContentType=\"application/xml\"/>\
             <Override PartName=\"/xl/workbook.xml\" ContentType=\"{TYPES}.sheet.main+xml\"/>\
             <Override PartName=\"/xl/styles.xml\" ContentType=\"{TYPES}.styles+xml\"/>\
             <Override PartName=\"/docProps/core.xml\" \
             ContentType=\"application/vnd.openxmlformats-package.core-properties+xml\"/>{types}</Types>"
        );
        self.part("[Content_Types].xml", &types)?;
        self.zip.finish()?;
        Ok(())
    }

    fn part(&mut self, name: &str, xml: &str) -> io::Result<()> {
        self.begin_part(name)?;
        self.zip.write_all(xml.as_bytes())
    }

    fn begin_part(&mut self, name: &str) -> io::Result<()> {
        // The same bytes at any time: no part has a date.
        let options = SimpleFileOptions::default()
            .compression_level(Some(COMPRESSION))
            .last_modified_time(zip::DateTime::default());
        self.zip.start_file(name, options)?;
        self.zip.write_all(DECLARATION.as_bytes())
    }
}

/// After its first error it takes everything, into nothing: a ZIP that is dropped is still brought to an end, and would
/// complain on standard error that it cannot be.
struct UntilError<'a> {
    out: &'a mut dyn io::Write,
    failed: bool,
}

impl UntilError<'_> {
    fn unless_failed<T>(&mut self, after: T, step: impl FnOnce(&mut dyn io::Write) -> io::Result<T>) -> io::Result<T> {
        if self.failed {
            return Ok(after);
        }
        let done = step(self.out);
        self.failed = done.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        done
    }
}

impl io::Write for UntilError<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_failed(bytes.len(), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_failed((), |out| out.flush())
    }
}

fn properties(title: &str, created: Timestamp) -> String {
    let at = |name| format!("<dcterms:{name} xsi:type=\"dcterms:W3CDTF\">{created:.0}</dcterms:{name}>");
    let mut escaped = String::new();
    push_text(&mut escaped, title);
    format!(
        "<cp:coreProperties xmlns:cp=\"{PACKAGE}/metadata/core-properties\" \
         xmlns:dc=\"http://purl.org/dc/elements/1.1/\" xmlns:dcterms=\"http://purl.org/dc/terms/\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><dc:title>{escaped}</dc:title>\
         <dc:creator>cutover</dc:creator>{}{}</cp:coreProperties>",
        at("created"),
        at("modified")
    )
}

pub(super) struct Column {
    pub(super) name: String,
    /// In characters.
    pub(super) width: u32,
}

/// A sheet while it is written, and those that go on where it is full.
pub(super) struct Sheet<'b, 'a> {
    book: &'b mut Book<'a>,
    name: &'static str,
    columns: Vec<Column>,
    letters: Vec<String>,
    is_table: bool,
    n_parts: u32,
    n_rows: u32,
    n_bytes: u64,
    line: String,
}

impl<'b, 'a> Sheet<'b, 'a> {
    fn begin(book: &'b mut Book<'a>, name: &'static str, columns: Vec<Column>, is_table: bool) -> io::Result<Self> {
        let letters = (0..columns.len()).map(letters).collect();
        let (n_parts, n_rows, n_bytes, line) = Default::default();
        let mut sheet = Self { book, name, columns, letters, is_table, n_parts, n_rows, n_bytes, line };
        sheet.begin_part()?;
        Ok(sheet)
    }

    /// The next line. Cells past the last column are left out.
    pub(super) fn row<'v>(&mut self, values: impl IntoIterator<Item = Value<'v>>) -> io::Result<()> {
        if self.n_rows == self.book.limits.rows || self.n_bytes >= self.book.limits.bytes {
            self.end_part()?;
            self.begin_part()?;
        }
        self.n_rows += 1;
        let row = self.n_rows.to_string();
        write_to(&mut self.line, format_args!("<row r=\"{row}\">"));
        for (letters, value) in self.letters.iter().zip(values) {
            push_cell(&mut self.line, Place(letters, &row), &value);
        }
        self.line.push_str("</row>");
        self.flush()
    }

    pub(super) fn end(mut self) -> io::Result<()> {
        self.end_part()
    }

    fn begin_part(&mut self) -> io::Result<()> {
        (self.n_parts, self.n_rows, self.n_bytes) = (self.n_parts + 1, 0, 0);
        let name = if self.n_parts == 1 { self.name.to_owned() } else { format!("{} {}", self.name, self.n_parts) };
        let is_first = self.book.sheets.is_empty();
        self.book.sheets.push(Written { name, filter: None });
        self.book.begin_part(&format!("xl/worksheets/sheet{}.xml", self.book.sheets.len()))?;
        let selected = if is_first { " tabSelected=\"1\"" } else { "" };
        let pane = if self.is_table {
            "<pane ySplit=\"1\" topLeftCell=\"A2\" activePane=\"bottomLeft\" state=\"frozen\"/><selection pane=\"bottomLeft\"/>"
        } else {
            ""
        };
        write_to(
            &mut self.line,
            format_args!(
                "<worksheet xmlns=\"{MAIN}\"><sheetViews><sheetView{selected} workbookViewId=\"0\">{pane}</sheetView>\
                 </sheetViews><sheetFormatPr defaultRowHeight=\"15\"/><cols>"
            ),
        );
        for (column, number) in self.columns.iter().zip(1..) {
            let width = column.width;
            let column = format_args!("<col min=\"{number}\" max=\"{number}\" width=\"{width}\" customWidth=\"1\"/>");
            write_to(&mut self.line, column);
        }
        self.line.push_str("</cols><sheetData>");
        if self.is_table {
            self.n_rows = 1;
            self.line.push_str("<row r=\"1\">");
            for (column, letters) in self.columns.iter().zip(&self.letters) {
                push_cell(&mut self.line, Place(letters, "1"), &Value::Title(Cow::Borrowed(&column.name)));
            }
            self.line.push_str("</row>");
        }
        self.flush()
    }

    fn end_part(&mut self) -> io::Result<()> {
        self.line.push_str("</sheetData>");
        if let (true, Some(last)) = (self.is_table, self.letters.last()) {
            write_to(&mut self.line, format_args!("<autoFilter ref=\"A1:{last}{}\"/>", self.n_rows));
            let written = self.book.sheets.last_mut().expect("begun with its name");
            written.filter = Some(format!("$A$1:${last}${}", self.n_rows));
        }
        self.line.push_str("</worksheet>");
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.book.zip.write_all(self.line.as_bytes())?;
        self.n_bytes += u64::try_from(self.line.len()).unwrap_or(u64::MAX);
        self.line.clear();
        Ok(())
    }
}

/// `A` to `Z`, `AA`, …
fn letters(mut column: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"[column % 26]);
        if column < 26 {
            break;
        }
        column = column / 26 - 1;
    }
    letters.iter().rev().map(|letter| char::from(*letter)).collect()
}

/// Where a cell stands: the letters of its column, and its row.
#[derive(Clone, Copy)]
struct Place<'a>(&'a str, &'a str);

fn push_cell(line: &mut String, place: Place<'_>, value: &Value<'_>) {
    match value {
        Value::Nothing => (),
        Value::Number(number) => {
            push_opening(line, place, Style::Plain);
            write_to(line, format_args!("><v>{number}</v></c>"));
        }
        Value::Text(text) => push_text_cell(line, place, text, [Style::Plain, Style::Quoted]),
        Value::Title(text) => push_text_cell(line, place, text, [Style::Title, Style::QuotedTitle]),
        Value::Time(at) => match serial(*at) {
            Some((days, fraction)) => {
                push_opening(line, place, Style::Time);
                write_to(line, format_args!("><v>{days}.{fraction:011}</v></c>"));
            }
            None => push_text_cell(line, place, &time(*at), [Style::Plain, Style::Quoted]),
        },
    }
}

fn push_text_cell(line: &mut String, place: Place<'_>, text: &str, [plain, quoted]: [Style; 2]) {
    if text.is_empty() {
        return;
    }
    let text = fitting(text);
    push_opening(line, place, if matches!(defused(&text), Cow::Borrowed(_)) { plain } else { quoted });
    line.push_str(" t=\"inlineStr\"><is><t");
    // Without it, blanks at the edges would be gone.
    line.push_str(if text.trim() == text { ">" } else { " xml:space=\"preserve\">" });
    push_text(line, &text);
    line.push_str("</t></is></c>");
}

fn push_opening(line: &mut String, Place(letters, row): Place<'_>, style: Style) {
    line.push_str("<c r=\"");
    line.push_str(letters);
    line.push_str(row);
    line.push_str(match style {
        Style::Plain => "\"",
        Style::Quoted => "\" s=\"1\"",
        Style::Title => "\" s=\"2\"",
        Style::QuotedTitle => "\" s=\"3\"",
        Style::Time => "\" s=\"4\"",
    });
}

/// What a cell cannot hold is cut off, and says so.
fn fitting(text: &str) -> Cow<'_, str> {
    // No text has more of them than bytes.
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

/// Escaped for XML; what XML cannot hold, and would change, is written as Excel writes it: `_x001B_`.
///
/// source: ECMA-376 Part 1, 22.9.2.19 `ST_Xstring`
fn push_text(line: &mut String, text: &str) {
    let is_plain = |byte: u8| !(byte < b' ' || matches!(byte, b'&' | b'<' | b'>' | b'_' | 0xEF));
    if text.bytes().all(is_plain) {
        line.push_str(text);
        return;
    }
    for (at, character) in text.char_indices() {
        match character {
            '&' => line.push_str("&amp;"),
            '<' => line.push_str("&lt;"),
            '>' => line.push_str("&gt;"),
            '_' if reads_as_escape(&text[at..]) => line.push_str("_x005F_"),
            '\t' | '\n' => line.push(character),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => write_to(line, format_args!("_x{:04X}_", u32::from(character))),
            _ => line.push(character),
        }
    }
}

/// Whether the text begins like `_x001B_`.
fn reads_as_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.starts_with(b"_x") && bytes.get(6) == Some(&b'_') && bytes[2..6].iter().all(u8::is_ascii_hexdigit)
}

/// The days since the day before 1900, as Excel counts them, and the rest of the day in 10⁻¹¹ of one; none for times that
/// it has no number for.
fn serial(at: Timestamp) -> Option<(i64, i64)> {
    const DAY_MS: i64 = 86_400_000;
    const UNIX_EPOCH: i64 = 25_569;
    /// Excel takes 1900 for a leap year; before its end of February, and past the year 9999, it has other days or none.
    const DAYS: std::ops::Range<i64> = 61..2_958_466;
    let ms = at.as_millisecond();
    let days = ms.div_euclid(DAY_MS) + UNIX_EPOCH;
    let fraction = (ms.rem_euclid(DAY_MS) * 100_000_000_000 + DAY_MS / 2) / DAY_MS;
    DAYS.contains(&days).then_some((days, fraction))
}

fn write_to(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read as _};

    use zip::ZipArchive;

    use super::*;

    fn book(limits: Limits, fill: impl FnOnce(&mut Book<'_>) -> io::Result<()>) -> ZipArchive<Cursor<Vec<u8>>> {
        let mut out = Vec::new();
        let mut book = Book::with_limits(&mut out, limits).unwrap();
        fill(&mut book).unwrap();
        book.end("a <title>", Timestamp::UNIX_EPOCH).unwrap();
        ZipArchive::new(Cursor::new(out)).unwrap()
    }

    fn part(book: &mut ZipArchive<Cursor<Vec<u8>>>, name: &str) -> String {
        let mut text = String::new();
        book.by_name(name).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    fn numbers(book: &mut Book<'_>, numbers: std::ops::Range<u64>) -> io::Result<()> {
        let mut sheet = book.table("Rows", vec![Column { name: "n".to_owned(), width: 9 }])?;
        numbers.into_iter().try_for_each(|number| sheet.row([Value::Number(number)]))?;
        sheet.end()
    }

    #[test]
    fn a_sheet_that_is_full_goes_on_in_the_next_under_the_same_header() {
        for limits in [Limits { rows: 3, bytes: u64::MAX }, Limits { rows: u32::MAX, bytes: 500 }] {
            let mut book = book(limits, |book| numbers(book, 0..5));
            let sheets: Vec<String> =
                (1..=3).map(|i| part(&mut book, &format!("xl/worksheets/sheet{i}.xml"))).collect();
            let rows: Vec<usize> = sheets.iter().map(|sheet| sheet.matches("<row ").count()).collect();
            assert_eq!(rows, [3, 3, 2]);
            let last = [("A1:A3", 1), ("A1:A3", 3), ("A1:A2", 4)];
            for (sheet, (filter, number)) in sheets.iter().zip(last) {
                assert!(sheet.contains("<row r=\"1\"><c r=\"A1\" s=\"2\" t=\"inlineStr\"><is><t>n</t>"), "{sheet}");
                assert!(
                    sheet.contains(&format!("<v>{number}</v></c></row></sheetData><autoFilter ref=\"{filter}\"/>")),
                    "{sheet}"
                );
            }
            let workbook = part(&mut book, "xl/workbook.xml");
            for name in ["<sheet name=\"Rows\" sheetId=\"1\"", "name=\"Rows 3\" sheetId=\"3\"", ">'Rows 2'!$A$1:$A$3<"]
            {
                assert!(workbook.contains(name), "{workbook}");
            }
        }
    }

    #[test]
    fn a_workbook_has_the_time_it_is_given_and_no_other() {
        let mut book = book(Limits { rows: 9, bytes: 999 }, |book| numbers(book, 0..1));
        let properties = part(&mut book, "docProps/core.xml");
        assert_eq!(properties.matches(">1970-01-01T00:00:00Z</dcterms:").count(), 2, "{properties}");
        assert!(properties.contains("<dc:title>a &lt;title&gt;</dc:title>"), "{properties}");
        for i in 0..book.len() {
            assert_eq!(book.by_index(i).unwrap().last_modified(), Some(zip::DateTime::default()));
        }
    }

    fn cell(value: &Value<'_>) -> String {
        let mut line = String::new();
        push_cell(&mut line, Place("B", "7"), value);
        line
    }

    #[test]
    fn a_text_stays_a_text_whatever_it_says() {
        let text = |text: &str| cell(&Value::Text(text.into()));
        assert_eq!(text("=1+1"), "<c r=\"B7\" s=\"1\" t=\"inlineStr\"><is><t>=1+1</t></is></c>");
        assert_eq!(text("12"), "<c r=\"B7\" t=\"inlineStr\"><is><t>12</t></is></c>");
        assert!(text(" a").contains("<t xml:space=\"preserve\"> a</t>"));
        assert!(text("<&>\"").contains("<t>&lt;&amp;&gt;\"</t>"));
        assert!(text("a\u{1b}\r\n\tb\u{ffff}\u{fffd}").contains("<t>a_x001B__x000D_\n\tb_xFFFF_\u{fffd}</t>"));
        assert!(text("_x001B_ _x1B_ _x00é_").contains("<t>_x005F_x001B_ _x1B_ _x00é_</t>"));
        assert_eq!(text(""), "");
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
        let number = |at: &str| cell(&Value::Time(at.parse().unwrap()));
        assert_eq!(number("2026-11-23T12:00:00Z"), "<c r=\"B7\" s=\"4\"><v>46349.50000000000</v></c>");
        assert!(number("1970-01-01T00:00:00.001Z").contains("<v>25569.00000001157</v>"));
        assert!(number("9999-12-30T22:00:00Z").contains("<v>2958464.9"));
        assert!(number("1900-03-01T00:00:00Z").contains("<v>61.0"));
        assert!(number("1900-02-28T23:59:59Z").contains("<t>1900-02-28T23:59:59.000Z</t>"));
    }

    #[test]
    fn columns_are_lettered_as_in_a_spreadsheet() {
        assert_eq!([0, 25, 26, 701, 702, MOST_COLUMNS - 1].map(letters), ["A", "Z", "AA", "ZZ", "AAA", "XFD"]);
    }
}
