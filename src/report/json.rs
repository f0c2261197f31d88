//! Document `cutover.report.v1`, streamed row by row.

use std::io;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::error::ReportError;
use super::row::{COLUMNS, cells};
use super::summary::Summary;
use crate::journal::Journal;
use crate::journal::read::runs::RunRecord;
use crate::ledger::standing::Standing;
use crate::model::Row;

/// Writes the summary on one line, and each row on its own.
pub(super) fn write(journal: &Journal, run: &RunRecord, out: &mut dyn io::Write) -> Result<(), ReportError> {
    let summary = Summary::now(journal, run, journal.told_path())?;
    write!(out, "{{\"schema\":\"cutover.report.v1\",\n\"summary\":")?;
    serde_json::to_writer(&mut *out, &summary).map_err(io::Error::from)?;
    write!(out, ",\n\"rows\":[")?;
    let mut separator = "\n";
    journal.for_each_row(run.key, |row, standing| {
        out.write_all(separator.as_bytes())?;
        separator = ",\n";
        serde_json::to_writer(&mut *out, &RowOf { row, standing }).map_err(io::Error::from)?;
        Ok::<(), ReportError>(())
    })?;
    writeln!(out, "\n]}}")?;
    Ok(())
}

struct RowOf {
    row: Row,
    standing: Standing,
}

impl Serialize for RowOf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(COLUMNS.len() + 1))?;
        for (column, cell) in COLUMNS.iter().zip(cells(&self.row, &self.standing)) {
            map.serialize_entry(column, &cell)?;
        }
        map.serialize_entry("extra", &Extra(&self.row.extra))?;
        map.end()
    }
}

/// Unknown columns of the plan by name, in the plan's order.
pub(super) struct Extra<'a>(pub(super) &'a [(String, String)]);

impl Serialize for Extra<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
