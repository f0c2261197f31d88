//! Detection of files that are no plans, by their first bytes.

use crate::texts::{self, ByteOrderMark};

/// Kind of a file that is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// Name, with an article.
    pub(crate) is: &'static str,
    /// Advice to the user.
    pub(crate) remedy: &'static str,
}

/// Bytes of a file that are examined: up to the mark of a tar archive, and the first line behind a long comment.
pub(crate) const BEGINNING: u64 = 4096;

const UNPACK: &str = "unpack it first";
const SAVE_AS_CSV: &str = "save the sheet as \"CSV UTF-8\", and give that";
const NO_PLAN: &str = "plans are read as CSV, TSV, JSON Lines and TOML";
const AS_UTF8: &str = "save it as UTF-8";

/// source: the formats' own signatures, as file(1) knows them (`magic/Magdir`: compress, archive, msooxml, ole2compounddocs, pdf)
const MAGIC: [(&[u8], &str, &str); 24] = [
    (b"\x1F\x8B", "a gzip archive", UNPACK),
    (b"\x28\xB5\x2F\xFD", "a zstd archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\xFD7zXZ\0", "an xz archive", UNPACK),
    (b"\x04\x22\x4D\x18", "an lz4 archive", UNPACK),
    (b"\x1F\x9D", "an archive of compress", UNPACK),
    (b"7z\xBC\xAF\x27\x1C", "a 7-Zip archive", UNPACK),
    (b"Rar!\x1A\x07", "a RAR archive", UNPACK),
    (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an old Excel workbook (XLS) or another Office file", SAVE_AS_CSV),
    (b"\x09\x08\x08\0", "an old Excel worksheet (XLS)", SAVE_AS_CSV),
    (b"\x09\x08\x10\0", "an old Excel worksheet (XLS)", SAVE_AS_CSV),
    (b"%PDF-", "a PDF document", "a plan has to be text: export the table as CSV, and give that"),
    (b"{\\rtf", "a rich text document (RTF)", "save it as plain text"),
    (b"SQLite format 3\0", "an SQLite file, such as a journal", "`cutover report --format csv` makes a plan of a run"),
    (b"\x7FELF", "a program", NO_PLAN),
    (b"MZ\x90\0", "a program", NO_PLAN),
    (b"\x89PNG\r\n", "a picture (PNG)", NO_PLAN),
    (b"\xFF\xD8\xFF", "a picture (JPEG)", NO_PLAN),
    (b"GIF8", "a picture (GIF)", NO_PLAN),
    (b"PAR1", "a Parquet file", "export the table as CSV, and give that"),
    (b"Obj\x01", "an Avro file", "export the table as CSV, and give that"),
    (b"ARROW1\0\0", "an Arrow file", "export the table as CSV, and give that"),
    (b"bplist00", "a property list", NO_PLAN),
    (b"-----BEGIN ", "a key, a certificate or another PEM file", NO_PLAN),
];

/// Returns the kind of a file if we do not read it. `extension` is that of its name.
pub(crate) fn foreign(beginning: &[u8], extension: Option<&str>) -> Option<Foreign> {
    if texts::mark(beginning) == ByteOrderMark::Utf32 || has_four_bytes_a_character(beginning) {
        return Some(Foreign { is: "UTF-32 text", remedy: AS_UTF8 });
    }
    if let Some((_, is, remedy)) = MAGIC.iter().find(|(magic, _, _)| beginning.starts_with(magic)) {
        return Some(Foreign { is, remedy });
    }
    if beginning.get(257..262) == Some(b"ustar") {
        return Some(Foreign { is: "a tar archive", remedy: UNPACK });
    }
    if let [b'P', b'K', 3 | 5 | 7, 4 | 6 | 8, ..] = beginning {
        return Some(of_zip(beginning, extension));
    }
    match extension {
        Some("xlsx" | "xlsm" | "xlsb") => Some(Foreign { is: "an Excel workbook by its name", remedy: SAVE_AS_CSV }),
        Some("xls") if !looks_like_text(beginning) => {
            Some(Foreign { is: "an old Excel workbook by its name", remedy: SAVE_AS_CSV })
        }
        Some(_) | None => of_text(beginning),
    }
}

fn of_zip(beginning: &[u8], extension: Option<&str>) -> Foreign {
    let has = |name: &[u8]| beginning.windows(name.len()).any(|bytes| bytes == name);
    if has(b"opendocument.spreadsheet") || extension == Some("ods") {
        return Foreign { is: "a LibreOffice spreadsheet (ODS)", remedy: SAVE_AS_CSV };
    }
    if has(b"word/document") {
        return Foreign { is: "a Word document (DOCX)", remedy: "a plan is a table: save that as CSV, and give it" };
    }
    let is_workbook = has(b"[Content_Types].xml") || has(b"xl/") || has(b"_rels/.rels");
    if is_workbook || matches!(extension, Some("xlsx" | "xlsm" | "xlsb")) {
        return Foreign { is: "an Excel workbook (XLSX) or another Office file", remedy: SAVE_AS_CSV };
    }
    Foreign { is: "a ZIP archive", remedy: UNPACK }
}

/// Detects markup and JSON, in any encoding.
fn of_text(beginning: &[u8]) -> Option<Foreign> {
    let text = texts::glimpse(beginning, encoding_rs::UTF_8);
    let start: String = text.chars().filter(|c| *c != '\0' && !c.is_whitespace()).take(9).collect();
    let start = start.to_ascii_lowercase();
    if start.starts_with("<?xml") {
        return Some(Foreign { is: "an XML file", remedy: SAVE_AS_CSV });
    }
    if ["<!", "<html", "<head", "<body", "<table", "<meta", "<script"].iter().any(|tag| start.starts_with(tag)) {
        let remedy = "a log-in page is saved like that, or a table for Excel: log in, and download the file itself";
        return Some(Foreign { is: "an HTML page", remedy });
    }
    // A table of TOML begins with `[`, too, but goes on with a letter.
    let is_array = start.starts_with("[{") || start.starts_with("[\"") || start == "[]" || start == "[";
    is_array.then_some(Foreign { is: "a JSON array", remedy: "write one object a line (jq -c '.[]'), and give that" })
}

fn looks_like_text(beginning: &[u8]) -> bool {
    texts::mark(beginning) != ByteOrderMark::None || str::from_utf8(beginning).is_ok() && !beginning.contains(&0)
}

/// Detects UTF-32 without a byte-order mark: three of four bytes are zero in the scripts that headers are written in.
fn has_four_bytes_a_character(beginning: &[u8]) -> bool {
    let (characters, _) = beginning.as_chunks::<4>();
    characters.len() >= 4
        && (characters.iter().take(64).all(|c| matches!(c, [1..=255, 0, 0, 0]))
            || characters.iter().take(64).all(|c| matches!(c, [0, 0, 0, 1..=255])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plan_is_called_what_it_is() {
        let tar = [&[b'x'; 257][..], b"ustar"].concat();
        let utf32: Vec<u8> = "id,state\na,error\n".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        let utf16_page: Vec<u8> = "\u{FEFF}<html>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let cases: [(&[u8], Option<&str>, &str); 18] = [
            (b"\x1F\x8B\x08", Some("csv"), "a gzip archive"),
            (b"\x28\xB5\x2F\xFD", None, "a zstd archive"),
            (b"BZh91AY", None, "a bzip2 archive"),
            (b"\xFD7zXZ\0", None, "an xz archive"),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", Some("csv"), "an old Excel workbook (XLS) or another Office file"),
            (b"%PDF-1.7", Some("csv"), "a PDF document"),
            (&tar, None, "a tar archive"),
            (b"PK\x03\x04....[Content_Types].xml", Some("csv"), "an Excel workbook (XLSX) or another Office file"),
            (
                b"PK\x03\x04....mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
                None,
                "a LibreOffice spreadsheet (ODS)",
            ),
            (b"PK\x03\x04....plan.csv", Some("csv"), "a ZIP archive"),
            (b"PK\x03\x04....[Content_Types].xml..word/document.xml", Some("csv"), "a Word document (DOCX)"),
            (b"", Some("xlsx"), "an Excel workbook by its name"),
            (b"\xFF\xFE\0\0i\0\0\0", None, "UTF-32 text"),
            (&utf32, None, "UTF-32 text"),
            (b"\xEF\xBB\xBF \r\n<!DOCTYPE html>", Some("csv"), "an HTML page"),
            (&utf16_page, Some("csv"), "an HTML page"),
            (b"<?xml version='1.0'?><Workbook>", Some("xls"), "an XML file"),
            (b" [ {\"id\": 1}]", None, "a JSON array"),
        ];
        for (beginning, extension, is) in cases {
            assert_eq!(foreign(beginning, extension).map(|foreign| foreign.is), Some(is), "{beginning:x?}");
        }
        let plans: [&[u8]; 7] = [
            b"id,state\na,error\n",
            b"\xEF\xBB\xBFid,state",
            b"\xFF\xFEi\0d\0",
            b"[policy]\nrate = 1",
            b"[[waves]]\nname = 'a'",
            b"{\"id\":\"a\"}",
            b"",
        ];
        for plan in plans {
            assert_eq!(foreign(plan, Some("csv")), None, "{plan:x?}");
        }
    }
}
