//! Lines that are no rows but look like one: comments that a failed look-up made (`#N/A`), and lines inside quotes.
//!
//! No row that somebody meant may be dropped unnoticed, so such a line gets a warning. A comment in prose gets none, however many
//! commas it has.

use super::fields::CsvFields;
use crate::model::dialect::Field;
use crate::model::words::Word;
use crate::plan::columns::{Column, PlanHeader, sheet_error};
use crate::plan::problem::{Position, Problems, WarningKind, quoted};

/// Shape of a plan's rows.
pub(super) struct RowShape {
    delimiter: u8,
    n_columns: usize,
    source_id: Option<usize>,
    states: Vec<(usize, Field)>,
}

impl RowShape {
    pub(super) fn new(header: &PlanHeader, delimiter: u8) -> Self {
        let states = [
            (Column::Copystate, Field::Copystate),
            (Column::Migrationcycle, Field::Migrationcycle),
            (Column::ExpectCopystate, Field::Copystate),
            (Column::ExpectMigrationcycle, Field::Migrationcycle),
        ];
        let states = states.into_iter().filter_map(|(column, field)| Some((header.field_of(column)?, field))).collect();
        let (n_columns, source_id) = (header.places.len(), header.field_of(Column::SourceId));
        Self { delimiter, n_columns, source_id, states }
    }

    fn cells(&self, line: &[u8]) -> Vec<String> {
        let values = CsvFields::new(self.delimiter).first_values(line);
        values.into_iter().map(|value| value.trim().to_owned()).collect()
    }

    /// Tells whether a comment looks like a row: a state word where the state stands, the mark of a failed look-up, or as many
    /// fields as the header.
    pub(super) fn is_like_comment(&self, comment: &[u8]) -> bool {
        // Splits at any common delimiter, since only the first field matters here.
        let first = comment.trim_ascii_start().split(|byte| b",;\t|".contains(byte)).next().unwrap_or_default();
        if str::from_utf8(first).is_ok_and(|first| sheet_error(first.trim())) {
            return true;
        }
        let cells = self.cells(comment);
        if self.has_state(&cells) || cells.iter().any(|cell| sheet_error(cell)) {
            return !self.is_header(&cells);
        }
        self.n_columns > 1 && cells.len() == self.n_columns && !self.is_prose(&cells) && !self.is_header(&cells)
    }

    /// Tells whether a line of a quoted text looks like a row. Prose has commas too, so that only a state word counts.
    pub(super) fn is_like_quoted(&self, line: &str) -> bool {
        self.has_state(&self.cells(line.as_bytes()))
    }

    fn has_state(&self, cells: &[String]) -> bool {
        let has = |(place, field): &(usize, Field)| {
            *place > 0 && cells.get(*place).is_some_and(|cell| !cell.is_empty() && field.knows(&Word::new(cell)))
        };
        self.states.iter().any(has)
    }

    /// Tells whether cells are prose: an id has no blanks, and a note in a sheet's first cell leaves the others empty.
    fn is_prose(&self, cells: &[String]) -> bool {
        let place = self.source_id.unwrap_or(0);
        let id = cells[place].trim_start_matches('#');
        let begins_as_prose = cells[0].strip_prefix('#').is_some_and(|rest| rest.starts_with([' ', '\t']));
        id.trim().contains(char::is_whitespace) || begins_as_prose && cells[1..].iter().all(String::is_empty)
    }

    /// Tells whether it is the header again, as where files were joined.
    fn is_header(&self, cells: &[String]) -> bool {
        let named = |cell: &String| Column::named(cell.trim_start_matches(['#', ' ', '\t']));
        self.source_id.is_some_and(|place| cells.get(place).and_then(named) == Some(Column::SourceId))
    }
}

/// Warns of a comment that looks like a row.
pub(super) fn warn_of_comment(at: Position, comment: &[u8], problems: &mut Problems) {
    let comment = String::from_utf8_lossy(comment);
    let comment = comment.trim();
    let is_of_a_sheet = comment.split([',', ';', '\t', '|']).any(|cell| sheet_error(cell.trim()));
    let why = if is_of_a_sheet {
        "a spreadsheet writes this where a look-up fails"
    } else {
        "take the # away if it is meant for one, and the line if not"
    };
    let message = format!("this comment looks like a row, and is none: {} ({why})", quoted(comment));
    problems.warning(WarningKind::CommentLikeRow, at, message, None);
}
