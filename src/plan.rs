//! Bytes → valid rows, or every problem: nothing of a plan is used before all of it has been read.
//!
//! A plan is read as a stream, so that its size does not matter. What must be known of the whole of it (which ids there
//! were, which waves) is kept small in `duplicates`. The formats differ only in how they take a row apart; `check` judges
//! the values of all of them alike.

use std::io;

use crate::model::Row;

mod check;
mod columns;
mod csv;
pub mod digest;
mod duplicates;
pub mod example;
mod json;
pub mod problem;
pub mod source;
mod text;

use check::Checker;
use digest::PlanDigest;
use problem::{Position, Problems, plural};
use source::Source;
use text::Text;

/// How to read a plan.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// State words that no edition of the API lists are taken as they are.
    pub allow_unknown: bool,
    /// Warnings are errors.
    pub strict: bool,
}

/// What a plan without errors comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub digest: PlanDigest,
    pub n_rows: u32,
    pub warnings: Problems,
    /// The waves that rows name, in order of first appearance.
    pub waves: Vec<String>,
    /// The accounts that rows name, in order of first appearance.
    pub accounts: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("could not read the plan `{name}`")]
    Unreadable {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("the plan `{name}` is {found}; plans are read as CSV, TSV and JSON Lines")]
    Unsupported { name: String, found: &'static str },
    #[error("the plan has {}", plural(problems.n_errors(), "error"))]
    Problems { problems: Problems },
}

/// Why a reading ended before its end: the plan, or whoever took the rows.
#[derive(Debug, thiserror::Error)]
pub enum ReadError<E> {
    #[error(transparent)]
    Plan(PlanError),
    #[error(transparent)]
    Each(E),
}

/// Why a format's reader stopped in the middle.
enum Stop<E> {
    Io(io::Error),
    Each(E),
}

impl<E> From<io::Error> for Stop<E> {
    fn from(error: io::Error) -> Self {
        Stop::Io(error)
    }
}

/// Reads every row and hands it to `each`, in plan order and counted from 1. An error of `each` ends the reading at once.
/// An error in the plan does not: the other rows are still handed over, and all that came is void once this fails.
///
/// Memory does not grow with the plan beyond 32 bytes a row, and the name of each wave and account once.
pub fn read<E>(
    source: &Source,
    reading: &Reading,
    mut each: impl FnMut(Row) -> Result<(), E>,
) -> Result<Checked, ReadError<E>> {
    let mut checker = Checker::new(*reading);
    let start = read_rows(source, &mut checker, &mut each)?;
    let check::Total { problems, digest, n_rows, waves, accounts } = checker.finish(start);
    if problems.n_errors() > 0 {
        return Err(ReadError::Plan(PlanError::Problems { problems }));
    }
    Ok(Checked { digest, n_rows, warnings: problems, waves, accounts })
}

/// Reads the rows; returns where the content of the plan starts.
fn read_rows<E>(
    source: &Source,
    checker: &mut Checker,
    each: &mut impl FnMut(Row) -> Result<(), E>,
) -> Result<Position, ReadError<E>> {
    let unreadable = |error| ReadError::Plan(PlanError::Unreadable { name: source.name().to_owned(), source: error });
    let mut text = source.bytes().and_then(Text::new).map_err(unreadable)?;
    let has_content = text.skip_to_content(&mut checker.problems).map_err(unreadable)?;
    let start = Position { line: if has_content { text.line() } else { 1 }, column: 1 };
    let read = match format(source, text.unread().trim_ascii_start()) {
        Ok(Format::Delimited) => csv::read(&mut text, checker, each),
        Ok(Format::JsonLines) => json::read(&mut text, checker, each),
        Err(found) => {
            return Err(ReadError::Plan(PlanError::Unsupported { name: source.name().to_owned(), found }));
        }
    };
    match read {
        Ok(()) => Ok(start),
        Err(Stop::Io(error)) => Err(unreadable(error)),
        Err(Stop::Each(error)) => Err(ReadError::Each(error)),
    }
}

enum Format {
    /// By comma, semicolon or tab.
    Delimited,
    JsonLines,
}

/// Tells by its name or first bytes how a plan is written; what it is, if it is nothing that we read.
fn format(source: &Source, content: &[u8]) -> Result<Format, &'static str> {
    match (source.extension(), content) {
        (Some("toml"), _) => Err("a TOML file"),
        (Some("xlsx"), _) | (_, [b'P', b'K', 3, 4, ..]) => Err("a spreadsheet or ZIP file"),
        (Some("jsonl" | "ndjson"), _) | (_, [b'{', ..]) => Ok(Format::JsonLines),
        (_, [b'[', ..]) => Err("a JSON array"),
        (_, _) => Ok(Format::Delimited),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENIENT: Reading = Reading { allow_unknown: false, strict: false };

    /// The rows that were handed over, and what the reading came to.
    fn read_all(source: &Source, reading: &Reading) -> (Vec<Row>, Result<Checked, PlanError>) {
        let mut rows = Vec::new();
        let read = read(source, reading, |row| {
            rows.push(row);
            Ok::<(), std::convert::Infallible>(())
        });
        match read {
            Ok(checked) => (rows, Ok(checked)),
            Err(ReadError::Plan(error)) => (rows, Err(error)),
            Err(ReadError::Each(never)) => match never {},
        }
    }

    fn rows_and_checked(name: &str, content: impl AsRef<[u8]>) -> (Vec<Row>, Checked) {
        let (rows, checked) = read_all(&Source::holding(name, content.as_ref()), &LENIENT);
        (rows, checked.unwrap())
    }

    fn problems_under(reading: &Reading, name: &str, content: impl AsRef<[u8]>) -> Vec<String> {
        let source = Source::holding(name, content.as_ref());
        let problems = match read_all(&source, reading).1 {
            Ok(checked) => checked.warnings,
            Err(PlanError::Problems { problems }) => problems,
            Err(error @ (PlanError::Unreadable { .. } | PlanError::Unsupported { .. })) => panic!("{error}"),
        };
        let mut out = Vec::new();
        problems.render(source.name(), &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    fn problems(name: &str, content: impl AsRef<[u8]>) -> Vec<String> {
        problems_under(&LENIENT, name, content)
    }

    #[test]
    fn thirty_mistakes_are_told_in_thirty_lines() {
        let plan = include_bytes!("../tests/it/plans/thirty_mistakes.csv");
        let expected = include_str!("../tests/it/plans/thirty_mistakes.txt");
        let found = problems("thirty_mistakes.csv", plan);
        assert_eq!(found.join("\n"), expected.trim_end());
        assert_eq!(found.len(), 30);
    }
}
