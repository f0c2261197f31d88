//! Waves of a plan file, their canaries, and the terms of each stage, made from the table of their keys.

use super::sections::Section;
use crate::plan::stage_keys::{STAGE_KEYS, StageTable};
use crate::values;
use crate::waves::{Canary, StageTerms};

/// Reads the canary of a wave; `None` if it does not say how many rows it has, which is reported.
pub(super) fn canary(mut canary: Section<'_>) -> Option<Canary> {
    let rows = canary.read("rows", values::share);
    match rows {
        None => canary.complain("a canary needs `rows`: a number of them, or a percentage"),
        Some(rows) if rows.rows_of(u64::MAX / 2) == 0 => {
            canary.complain("a canary of no rows is none: leave it out");
        }
        Some(_) => (),
    }
    let stage = stage(&mut canary);
    canary.finish();
    Some(Canary { rows: rows?, stage })
}

/// Reads the terms of a stage from its own table and from `halt` in it.
pub(super) fn stage(own: &mut Section<'_>) -> StageTerms {
    let mut terms = StageTerms::default();
    read_keys(StageTable::Own, own, &mut terms);
    if let Some(mut halt) = own.section("halt") {
        read_keys(StageTable::Halt, &mut halt, &mut terms);
        halt.finish();
    }
    terms
}

fn read_keys(table: StageTable, section: &mut Section<'_>, terms: &mut StageTerms) {
    for key in STAGE_KEYS.iter().filter(|key| key.table == table) {
        _ = section.read(key.name, |text| (key.read)(text, terms));
    }
}
