//! Places of a plan's rows: files that the plan names, and rows in the plan file itself.

use super::sections::{InlineRow, Section};
use crate::plan::problem::Position;

/// One group of a plan's rows.
#[derive(Debug)]
pub(in crate::plan) struct RowsAt {
    /// Wave that they belong to because of where they stand.
    pub(in crate::plan) wave: Option<String>,
    pub(in crate::plan) what: Rows,
}

#[derive(Debug)]
pub(in crate::plan) enum Rows {
    /// Rows in a file of their own, which is named at this position.
    File { path: String, at: Position },
    /// Rows in the plan file itself, each with its columns, values and positions.
    Inline(Vec<InlineRow>),
}

pub(super) fn read(section: &mut Section<'_>, wave: Option<&str>) -> Vec<RowsAt> {
    let files = section.texts("files").into_iter().map(|(path, at)| Rows::File { path, at });
    let inline = section.rows("rows").map(Rows::Inline);
    files.chain(inline).map(|what| RowsAt { wave: wave.map(str::to_owned), what }).collect()
}
