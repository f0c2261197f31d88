//! Cells of one row, in the columns that CSV, JSON and spreadsheets share.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::advice::rows;
use super::causes::code_and_text;
use crate::ledger::standing::Standing;
use crate::model::Row;
use crate::model::state::SeenState;
use crate::model::words::Word;
use crate::wording::times::time;

/// Number of columns that every report has.
pub(crate) const PROMISED: usize = 19;

/// All columns. The first [`PROMISED`] keep their order; new ones come last, and raise the format version of bundles.
pub(crate) const COLUMNS: [&str; 29] = [
    "row",
    "source_id",
    "copystate",
    "migrationcycle",
    "verdict",
    "before_copystate",
    "before_migrationcycle",
    "after_copystate",
    "after_migrationcycle",
    "attempts",
    "http_status",
    "error_code",
    "error_msg",
    "request_id",
    "wave",
    "target",
    "name",
    "first_sent_at",
    "settled_at",
    "reason",
    "throttled",
    "note",
    "line",
    "expect_copystate",
    "expect_migrationcycle",
    "last_sent_at",
    "moved_copystate",
    "moved_migrationcycle",
    "file",
];

/// Says in one line why a row is not on target.
#[must_use]
pub(super) fn why(standing: &Standing) -> String {
    match standing.reason.as_deref().or(standing.error_msg.as_deref()) {
        None | Some("") if standing.error_code.is_none() => rows::meaning(standing.phase).to_owned(),
        text => code_and_text(standing.error_code.as_deref(), text.unwrap_or_default()),
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Cell<'a> {
    Nothing,
    Number(u32),
    Text(&'a str),
    Time(Timestamp),
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Nothing => serializer.serialize_none(),
            Cell::Number(number) => serializer.serialize_u32(*number),
            Cell::Text(text) => serializer.serialize_str(text),
            Cell::Time(at) => serializer.serialize_str(&time(*at)),
        }
    }
}

/// The row's values, in the order of [`COLUMNS`].
pub(crate) fn cells<'a>(row: &'a Row, standing: &'a Standing) -> [Cell<'a>; COLUMNS.len()] {
    let (before, after) = (standing.before.as_ref(), standing.after.as_ref());
    [
        Cell::Number(row.id.0),
        Cell::Text(row.source_id.as_str()),
        word(row.wants.copystate.as_ref()),
        word(row.wants.migrationcycle.as_ref()),
        Cell::Text(standing.phase.public_name()),
        copystate(before),
        migrationcycle(before),
        copystate(after),
        migrationcycle(after),
        Cell::Number(standing.attempts),
        standing.http_status.map_or(Cell::Nothing, |status| Cell::Number(status.into())),
        text(standing.error_code.as_deref()),
        text(standing.error_msg.as_deref()),
        text(standing.request_id.as_deref()),
        text(row.wave.as_deref()),
        text(row.account.as_deref()),
        text(row.name.as_deref()),
        at(standing.first_sent_at),
        at(standing.settled_at),
        text(standing.reason.as_deref()),
        Cell::Number(standing.throttled),
        text(row.note.as_deref()),
        Cell::Number(row.line),
        word(row.expects.copystate.as_ref()),
        word(row.expects.migrationcycle.as_ref()),
        at(standing.last_sent_at),
        copystate(standing.moved.as_ref()),
        migrationcycle(standing.moved.as_ref()),
        text(row.file.as_deref()),
    ]
}

fn text(text: Option<&str>) -> Cell<'_> {
    text.map_or(Cell::Nothing, Cell::Text)
}

fn word(word: Option<&Word>) -> Cell<'_> {
    text(word.map(Word::as_str))
}

fn copystate(seen: Option<&SeenState>) -> Cell<'_> {
    word(seen.and_then(|seen| seen.copystate.as_ref()))
}

fn migrationcycle(seen: Option<&SeenState>) -> Cell<'_> {
    word(seen.and_then(|seen| seen.migrationcycle.as_ref()))
}

fn at<'a>(at: Option<Timestamp>) -> Cell<'a> {
    at.map_or(Cell::Nothing, Cell::Time)
}
