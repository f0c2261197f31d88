//! States for tests, as texts: `copystate/migrationcycle`, with `*` for a field that is open or not shown.

use crate::model::Row;
use crate::model::state::{SeenState, TargetState};
use crate::model::words::Word;

pub(super) fn wants(text: &str) -> TargetState {
    let SeenState { copystate, migrationcycle } = seen(text);
    TargetState { copystate, migrationcycle }
}

pub(super) fn seen(text: &str) -> SeenState {
    let (copystate, cycle) = text.split_once('/').unwrap();
    let word = |text: &str| (text != "*").then(|| Word::new(text));
    SeenState { copystate: word(copystate), migrationcycle: word(cycle) }
}

pub(super) fn row(target: &str, expects: &str) -> Row {
    Row { expects: wants(expects), ..Row::first(wants(target)) }
}
