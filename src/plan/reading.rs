//! Options for reading a plan, and a row that was read.

use encoding_rs::Encoding;

use crate::model::dialect::Dialect;
use crate::model::{Row, SeenState};

/// Options for reading a plan.
#[expect(clippy::struct_excessive_bools, reason = "leave that has nothing to do with each other")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Accepts state words that no edition of the API lists.
    pub allow_unknown: bool,
    /// Accepts files of rows that are not below the plan's own folder.
    pub allow_outside: bool,
    /// Treats warnings as errors.
    pub strict: bool,
    /// Dialect in which each row's target has to be expressible.
    pub dialect: Dialect,
    /// A field that a row's target leaves open will be filled in from what is read.
    pub fills_in: bool,
    /// Encoding of texts without a byte-order mark; `None` for UTF-8.
    pub encoding: Option<&'static Encoding>,
}

/// Row as it is handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub row: Row,
    /// State in which a sealed plan saw its server.
    pub sealed: Option<SeenState>,
}
