//! List of rows, in whatever notation: delimited fields, or JSON lines.

use std::io;

use super::error::{PlanError, ReadError, ReadStop};
use super::kind::{Foreign, foreign};
use super::reading::Reading;
use super::source::Source;
use super::text::{Comment, NextLine, Text};
use super::{csv, json};
use crate::model::Row;
use crate::plan::check::RowChecker;
use crate::plan::problem::Position;
use crate::plan::sealed::lines::is_sealed;

/// Reads the rows; returns the position at which the content of the plan starts.
pub(super) fn read<E>(
    source: &Source,
    reading: Reading,
    checker: &mut RowChecker,
    each: &mut impl FnMut(Row) -> Result<(), E>,
) -> Result<Position, ReadError<E>> {
    let unreadable = |error| ReadError::Plan(PlanError::Unreadable { name: source.name().to_owned(), source: error });
    let beginning = source.beginning().map_err(unreadable)?;
    if let Some(foreign) = foreign(&beginning, source.extension()) {
        return Err(ReadError::Plan(unsupported(source, foreign)));
    }
    let mut text = source.bytes().and_then(|bytes| Text::new(bytes, reading.encoding)).map_err(unreadable)?;
    let above = comments_above(&mut text, checker).map_err(unreadable)?;
    let has_content = !text.unread().is_empty();
    let start = Position { line: if has_content { text.line() } else { 1 }, column: 1 };
    let read = match notation(source, text.unread().trim_ascii_start()) {
        Ok(Notation::Delimited) => csv::read(&mut text, &above, checker, each),
        Ok(Notation::JsonLines) => json::read(&mut text, &above, checker, each),
        Err(foreign) => return Err(ReadError::Plan(unsupported(source, foreign))),
    };
    match read {
        Ok(()) => Ok(start),
        Err(ReadStop::Io(error)) => Err(unreadable(error)),
        Err(ReadStop::Each(error)) => Err(ReadError::Each(error)),
    }
}

/// Advances to the start of the content; returns the comments above it, at most the first 100, since somebody may have commented
/// out a header or a row by mistake.
fn comments_above<R: io::Read>(text: &mut Text<R>, checker: &mut RowChecker) -> io::Result<Vec<Comment>> {
    const MOST: usize = 100;
    let mut above = Vec::new();
    while let NextLine::Comment { len } = text.next(&mut checker.problems)? {
        if above.len() < MOST {
            above.push(Comment { line: text.line(), text: text.unread()[..len].to_vec() });
        }
        text.consume(len)?;
    }
    Ok(above)
}

enum Notation {
    /// Fields separated by comma, semicolon or tab.
    Delimited,
    JsonLines,
}

/// Determines the notation of a list of rows from its file extension or first bytes; an error names a kind of file that we do
/// not read.
fn notation(source: &Source, content: &[u8]) -> Result<Notation, Foreign> {
    match (source.extension(), content) {
        (_, content) if is_sealed(content) => {
            Err(Foreign { is: "a sealed plan", remedy: "it stands for itself, and is no part of another" })
        }
        (Some("jsonl" | "ndjson"), _) | (_, [b'{', ..]) => Ok(Notation::JsonLines),
        (_, [b'[', ..]) => {
            Err(Foreign { is: "a JSON array", remedy: "write one object a line (jq -c '.[]'), and give that" })
        }
        (_, _) => Ok(Notation::Delimited),
    }
}

/// Error for a file of a kind that is not read.
pub(super) fn unsupported(source: &Source, Foreign { is, remedy }: Foreign) -> PlanError {
    PlanError::Unsupported { name: source.name().to_owned(), found: is, remedy }
}
