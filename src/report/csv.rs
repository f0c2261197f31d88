//! One line for each row, in plan order, streamed: the plan's own unknown columns come last.

use std::borrow::Cow;
use std::io;

use super::ReportError;
use super::plain::time;
use super::row::{COLUMNS, Cell, cells};
use crate::journal::Journal;
use crate::journal::read::RunRecord;

pub(super) fn write(journal: &Journal, run: &RunRecord, out: &mut dyn io::Write) -> Result<(), ReportError> {
    let extra = journal.extra_columns(run.key)?;
    let mut csv = csv::WriterBuilder::new().from_writer(out);
    for column in COLUMNS {
        csv.write_field(column).map_err(write_error)?;
    }
    for column in &extra {
        csv.write_field(defused(&own_name(column)).as_ref()).map_err(write_error)?;
    }
    csv.write_record(None::<&[u8]>).map_err(write_error)?;
    journal.for_each_row(run.key, |row, standing| {
        for cell in cells(&row, &standing) {
            csv.write_field(written(cell).as_ref()).map_err(write_error)?;
        }
        for column in &extra {
            let value = row.extra.iter().find(|(name, _)| name == column).map_or("", |(_, value)| value);
            csv.write_field(defused(value).as_ref()).map_err(write_error)?;
        }
        csv.write_record(None::<&[u8]>).map_err(write_error)
    })?;
    csv.flush()?;
    Ok(())
}

/// A column of the plan that is called like one of ours says that it is the plan's.
pub(super) fn own_name(column: &str) -> Cow<'_, str> {
    if COLUMNS.contains(&column) { format!("plan_{column}").into() } else { column.into() }
}

fn written(cell: Cell<'_>) -> Cow<'_, str> {
    match cell {
        Cell::Nothing => "".into(),
        Cell::Number(number) => number.to_string().into(),
        Cell::Text(text) => defused(text),
        Cell::Time(at) => time(at).into(),
    }
}

/// People open these in spreadsheets, which take such a beginning for a formula.
pub(crate) fn defused(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}").into() } else { text.into() }
}

fn write_error(error: csv::Error) -> ReportError {
    ReportError::Write(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_defused_and_the_rest_is_as_it_was() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(defused(formula), format!("'{formula}"));
        }
        for text in ["", "a=1", "'=1", " =1", "12"] {
            assert_eq!(defused(text), text);
        }
    }

    #[test]
    fn the_promised_columns_come_first_in_the_promised_order() {
        let promised = "row, source_id, copystate, migrationcycle, verdict, before_copystate, before_migrationcycle, \
             after_copystate, after_migrationcycle, attempts, http_status, error_code, error_msg, request_id, wave, \
             target, name, first_sent_at, settled_at";
        assert!(COLUMNS.join(", ").starts_with(promised));
    }
}
