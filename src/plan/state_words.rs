//! State words of a plan: the ones that no look can prove, and explanations for those that the field does not have.

use super::reading::Reading;
use crate::model::dialect::{Dialect, Field};
use crate::model::state::TargetState;
use crate::model::words::{self, Word};
use crate::plan::columns::{Column, sheet_error};
use crate::plan::problem::quoted;

/// Returns the words of a state that no look can prove, with their columns.
pub(super) fn unprovable(state: &TargetState, columns: [Column; 2]) -> impl Iterator<Item = (Column, &Word)> {
    let words = [state.copystate.as_ref(), state.migrationcycle.as_ref()];
    let named = columns.into_iter().zip(words).filter_map(|(column, word)| Some((column, word?)));
    named.filter(|(_, word)| words::never_shown(word))
}

pub(super) fn column_of(field: Field) -> Column {
    match field {
        Field::Copystate => Column::Copystate,
        Field::Migrationcycle => Column::Migrationcycle,
    }
}

/// Returns the problem with a state word, and a suggestion. Even where unknown words are allowed, they have to look like words.
pub(super) fn objection(
    reading: &Reading,
    field: Field,
    text: &str,
    word: &Word,
) -> Option<(String, Option<&'static str>)> {
    if field.knows(word) {
        return None;
    }
    if sheet_error(text) {
        let message = format!("{} is what a spreadsheet writes where a look-up fails, and no {field}", quoted(text));
        return Some((message, None));
    }
    if !reading.allow_unknown {
        return Some(explain(reading.dialect, field, text, word));
    }
    (!Word::could_be(text)).then(|| (no_word(field, text), None))
}

/// Explains that an unknown word is not even a possible one.
pub(super) fn no_word(field: Field, text: &str) -> String {
    format!("{} is no {field}: a word has letters, digits, `_` and `-`, at most 64 of them", quoted(text))
}

/// Explains that a word does not belong to this field, with a suggestion. The nearest word of this field is no help where one of
/// the other field is nearer: `seting` is meant for `setting`, and not for `deleting`.
fn explain(dialect: Dialect, field: Field, text: &str, word: &Word) -> (String, Option<&'static str>) {
    let other = field.other();
    match words::nearest(text, dialect.words(field).chain(dialect.words(other))) {
        Some(near) if field.knows(&Word::new(near)) => (format!("unknown {field} {}", quoted(text)), Some(near)),
        Some(near) if near == word.as_str() => (format!("{} is a {other}, not a {field}", quoted(text)), None),
        Some(near) => (format!("unknown {field} {}, near to the {other} \"{near}\"", quoted(text)), None),
        None => (format!("unknown {field} {}", quoted(text)), None),
    }
}
