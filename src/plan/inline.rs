//! Rows in the plan file itself → the values of each row, with their positions.

use std::collections::HashSet;

use super::error::ReadStop;
use super::file::sections::InlineRow;
use crate::model::Row;
use crate::plan::check::RowChecker;
use crate::plan::columns::{Cells, Column, ColumnUse, repeated, warn_unknown};
use crate::plan::problem::Position;

pub(super) fn read<E>(
    rows: &[InlineRow],
    checker: &mut RowChecker,
    each: &mut impl FnMut(Row) -> Result<(), E>,
) -> Result<(), ReadStop<E>> {
    let mut warned: HashSet<&str> = HashSet::new();
    for InlineRow { at, cells } in rows {
        let mut values = Cells::default();
        let mut places: [Option<(&str, Position)>; Column::ALL.len()] = [None; Column::ALL.len()];
        for (key, value, place) in cells {
            let Some(column) = Column::named(key) else {
                if warned.insert(key) {
                    let has = |column| cells.iter().any(|(key, _, _)| Column::named(key) == Some(column));
                    warn_unknown(key, *place, has, &mut checker.problems);
                }
                values.put(&ColumnUse::Extra(key.trim().to_owned()), value);
                continue;
            };
            if let Some((first, _)) = places[column as usize].replace((key, *place)) {
                repeated(first, key, *place, &mut checker.problems);
            }
            values.put(&ColumnUse::Known(column), value);
        }
        let place_of =
            |column: Option<Column>| column.and_then(|column| places[column as usize]).map_or(*at, |(_, at)| at);
        if let Some(row) = checker.row(values, &place_of) {
            each(row).map_err(ReadStop::Each)?;
        }
    }
    Ok(())
}
