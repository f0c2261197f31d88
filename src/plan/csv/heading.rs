//! First line of a delimited plan: the spreadsheet's `sep=;`, the header, or something else that was left there.

use std::iter;

use super::records::CsvRecords;
use crate::model::dialect::Field;
use crate::model::words::Word;
use crate::plan::columns::Column;
use crate::plan::text::Comment;

const DELIMITERS: [u8; 3] = [b'\t', b';', b','];

/// Number of lines, from the first on, that are searched for a header.
const FURTHER: usize = 50;

/// Returns the delimiter under which the header has the most known columns, then the most columns.
pub(super) fn delimiter(text: &[u8]) -> u8 {
    let columns = |delimiter: u8| {
        let names = CsvRecords::new(delimiter).first_values(text);
        (names.iter().filter(|name| Column::named(name).is_some()).count(), names.len())
    };
    // `max_by_key` returns the last of equal ones: the comma wins.
    DELIMITERS.into_iter().max_by_key(|delimiter| columns(*delimiter)).unwrap_or(b',')
}

/// Returns the delimiter that a line such as `sep=;` names, which spreadsheets write and read above the header; `Err` if it is
/// such a line and names none. A spreadsheet that saved the file again may have quoted the line, and filled up the row.
pub(super) fn named_delimiter(line: &[u8]) -> Option<Result<u8, ()>> {
    let line = str::from_utf8(line).ok()?.trim_matches([' ', '\r', '\n', '"']);
    let name = line.get(..4).filter(|name| name.eq_ignore_ascii_case("sep="))?;
    let rest = &line[name.len()..];
    let (delimiter, filling) = match rest.as_bytes() {
        [b'\\', b't', filling @ ..] => (b'\t', filling),
        [delimiter, filling @ ..] if is_delimiter(*delimiter) => (*delimiter, filling),
        // A trailing tab was probably trimmed on the way.
        [] => return Some(Err(())),
        _ => return None,
    };
    filling
        .iter()
        .all(|byte| matches!(byte, b'"' | b',' | b';' | b'\t' | b' ') || *byte == delimiter)
        .then_some(Ok(delimiter))
}

fn is_delimiter(byte: u8) -> bool {
    byte == b'\t' || byte.is_ascii_punctuation() && !matches!(byte, b'"' | b'#' | b'-' | b'_' | b'\'')
}

/// Reason for which the first line is not accepted as a header.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoHeader {
    /// A header is on a line below, or this line is one under another delimiter.
    Below {
        line: u32,
        delimiter: u8,
    },
    /// A header is in a comment above.
    Commented {
        line: u32,
    },
    /// A wide character that looks like a delimiter separates the columns.
    Wide(char),
    Nowhere,
}

/// Characters that Chinese input writes for a comma, a semicolon, an enumeration comma and a bar.
const WIDE: [char; 4] = ['，', '；', '、', '｜'];

/// Explains a first line of these names that is no header; `None` if it is one, or one with a misspelt column. `text` begins with
/// the line, which was split at `delimiter`.
pub(super) fn missing(
    names: &[String],
    text: &[u8],
    line: u32,
    delimiter: u8,
    by_default: bool,
    above: &[Comment],
) -> Option<NoHeader> {
    if names.iter().any(|name| Column::named(name) == Some(Column::SourceId)) {
        return None;
    }
    let lines = (line..).zip(text.split_inclusive(|byte| *byte == b'\n').take(FURTHER));
    for (line, text) in lines {
        let used = iter::once(delimiter).chain(DELIMITERS).chain([b'|']);
        if let Some(delimiter) = used.into_iter().find(|delimiter| is_header(text, *delimiter, by_default)) {
            return Some(NoHeader::Below { line, delimiter });
        }
    }
    let first = text.split(|byte| *byte == b'\n').next().and_then(|line| str::from_utf8(line).ok()).unwrap_or_default();
    let by_wide = |wide: &char| is_header(first.replace(*wide, ",").as_bytes(), b',', by_default);
    if let Some(wide) = WIDE.into_iter().find(|wide| first.contains(*wide) && by_wide(wide)) {
        return Some(NoHeader::Wide(wide));
    }
    let commented = above.iter().rev().find(|comment| {
        let text = &comment.text[comment.text.iter().take_while(|byte| b" \t#".contains(byte)).count()..];
        is_header(text, delimiter, by_default)
    });
    if let Some(comment) = commented {
        return Some(NoHeader::Commented { line: comment.line });
    }
    let is_like_one = names.iter().any(|name| Column::named(name).is_some() || Column::similar(name).is_some());
    let has_a_state = names.iter().any(|name| Column::named(name).is_none() && is_state(name));
    (!is_like_one || has_a_state).then_some(NoHeader::Nowhere)
}

/// Tells whether a line has the columns that a plan needs.
fn is_header(line: &[u8], delimiter: u8, by_default: bool) -> bool {
    // A longer line is no header, and is not parsed to find that out.
    if line.len() > 64 * 1024 {
        return false;
    }
    let columns: Vec<Column> =
        CsvRecords::new(delimiter).first_values(line).iter().filter_map(|name| Column::named(name)).collect();
    let has_target = columns.contains(&Column::Copystate) || columns.contains(&Column::Migrationcycle);
    columns.contains(&Column::SourceId) && (has_target || by_default)
}

fn is_state(text: &str) -> bool {
    let word = Word::new(text.trim());
    Field::Copystate.knows(&word) || Field::Migrationcycle.knows(&word)
}

impl NoHeader {
    pub(super) fn message(&self, first: u32, used: u8) -> String {
        let names = "a plan begins with the names of its columns, such as source_id,copystate";
        match self {
            NoHeader::Below { line, delimiter } if *line == first => {
                let shown = |delimiter: u8| match delimiter {
                    b'\t' => "a tab".to_owned(),
                    _ => format!("`{}`", char::from(delimiter)),
                };
                format!(
                    "the first line is no header by {}, and one by {}: write `sep={}` above it",
                    shown(used),
                    shown(*delimiter),
                    if *delimiter == b'\t' { "\\t".to_owned() } else { char::from(*delimiter).to_string() }
                )
            }
            NoHeader::Below { line, .. } => {
                format!(
                    "the first line is no header, and line {line} is one: remove what stands above it, or put # before it"
                )
            }
            NoHeader::Commented { line } => {
                format!("the first line is no header, and line {line} is one behind its #: take the # away")
            }
            NoHeader::Wide(wide) => format!(
                "the columns are separated by `{wide}` (U+{:04X}), which is no delimiter: replace each with a comma",
                u32::from(*wide)
            ),
            NoHeader::Nowhere => format!("the first line is no header: {names}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_spreadsheets_first_line_names_the_delimiter() {
        for (line, named) in [
            ("sep=;", Some(Ok(b';'))),
            ("SEP=,\r\n", Some(Ok(b','))),
            ("sep=\t\n", Some(Ok(b'\t'))),
            ("sep=\\t\n", Some(Ok(b'\t'))),
            ("\"sep=;\"\r\n", Some(Ok(b';'))),
            ("\"sep=;\",,\n", Some(Ok(b';'))),
            ("sep=;;;\n", Some(Ok(b';'))),
            ("sep=|", Some(Ok(b'|'))),
            ("sep=", Some(Err(()))),
            ("separator;id", None),
            ("sep=id;state", None),
            ("sep", None),
        ] {
            assert_eq!(named_delimiter(line.as_bytes()), named, "{line}");
        }
    }
}
