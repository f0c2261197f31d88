//! Source ids that are not what their author meant: leftovers of spreadsheets, quotes, brackets, invisible characters.

use crate::model::SourceId;
use crate::plan::columns::sheet_error;

/// Describes a reason for which an id looks like another, or like no id, without its author seeing it.
pub(super) fn oddity(id: &str) -> Option<&'static str> {
    if sheet_error(id) || id.starts_with('#') {
        Some("is what a spreadsheet writes where a look-up fails")
    } else if !id.is_ascii() {
        Some("has characters that do not print or are not ASCII")
    } else if id.contains([' ', '"', '\'', '`', '{', '}', '[', ']', '(', ')', '<', '>', ',', ';', '=', '\\']) {
        Some("has blanks, quotes or brackets in it")
    } else {
        None
    }
}

/// Returns the id inside quotes or brackets, or behind the `=` that makes a spreadsheet treat it as text.
pub(super) fn within(text: &str) -> Option<&str> {
    let id = text.trim_matches(['{', '}', '[', ']', '(', ')', '<', '>', '"', '\'', '`', '=', ' ']);
    (id != text).then_some(id).filter(|id| SourceId::plain(id).is_some())
}
