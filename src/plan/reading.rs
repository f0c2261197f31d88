//! Ways to read a plan, and a row that was read.

use encoding_rs::Encoding;

use crate::model::dialect::Dialect;
use crate::model::{Row, SeenState};

/// How to read a plan.
#[expect(clippy::struct_excessive_bools, reason = "leave that has nothing to do with each other")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// State words that no edition of the API lists are taken as they are.
    pub allow_unknown: bool,
    /// Rows may stand in files that are not below the plan's own folder.
    pub allow_outside: bool,
    /// Warnings are errors.
    pub strict: bool,
    /// In which a row's target has to be sayable.
    pub dialect: Dialect,
    /// A half that a row leaves open is filled in from what is read.
    pub fills_in: bool,
    /// How a text without a byte-order mark is encoded, if that is not UTF-8.
    pub encoding: Option<&'static Encoding>,
}

/// A row as it is handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub row: Row,
    /// Where a sealed plan saw it.
    pub sealed: Option<SeenState>,
}
