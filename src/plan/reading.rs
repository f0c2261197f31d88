//! Options for reading a plan, and a row that was read.

use encoding_rs::Encoding;

use crate::model::Row;
use crate::model::dialect::Dialect;
use crate::model::state::{PairCompletion, SeenState};

/// Options for reading a plan.
#[expect(clippy::struct_excessive_bools, reason = "options that do not depend on each other")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Accepts state words that no edition of the API lists.
    pub allow_unknown: bool,
    /// Accepts a plan without rows, but no file without content.
    pub allow_empty: bool,
    /// Accepts files of rows that are not below the plan's own folder.
    pub allow_outside: bool,
    /// Treats warnings as errors.
    pub strict: bool,
    /// Dialect in which each row's target has to be expressible.
    pub dialect: Dialect,
    /// Completion of each row's target before it is sent.
    pub completion: PairCompletion,
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
