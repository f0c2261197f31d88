//! Bytes → valid rows, or every problem: no row is used before the whole plan has been read.
//!
//! A plan is read as a stream, so that its size does not matter: once to check it ([`check()`]), and once more to hand its
//! rows over ([`read`]). Facts about the whole of it (repeated ids, the waves) are kept small in `duplicates`. Each format only
//! splits rows into values; `check` judges the values of all of them alike.

use std::convert::Infallible;

mod check;
pub mod checked;
mod columns;
mod csv;
mod duplicates;
pub mod error;
pub mod example;
mod file;
mod ids;
mod inline;
mod json;
mod kind;
pub mod paper;
mod pass;
pub mod problem;
pub mod reading;
mod rows;
pub mod sealed;
pub mod source;
pub(crate) mod stage_keys;
mod state_words;
mod text;

use checked::Checked;
use duplicates::Ids;
use error::{PlanError, ReadError};
use pass::pass;
use reading::{Planned, Reading};
use source::Source;

/// Checks a plan without handing its rows over.
///
/// Memory does not grow with the plan beyond 8 bytes per row, 44 per repeated id, and the name of each wave and account once. A
/// plan that may have repeated ids is read twice.
pub fn check(source: &Source, reading: &Reading) -> Result<Checked, PlanError> {
    let judge = |ids| match pass(source, *reading, ids, &mut |_| Ok::<(), Infallible>(())) {
        Ok(passed) => Ok(passed),
        Err(ReadError::Plan(error)) => Err(error),
        Err(ReadError::Each(never)) => match never {},
    };
    let mut passed = judge(Ids::default())?;
    if !passed.total.suspects.is_empty() {
        passed = judge(Ids::among(passed.total.suspects))?;
    }
    passed.judged(source)
}

/// Reads every row of a plan that was checked before, and hands it to `each`, in plan order and counted from 1. An error
/// of `each` ends the reading at once. The rows are void if this fails, or if the digest differs from the checked one: then the
/// plan was changed in between.
pub fn read<E>(
    source: &Source,
    reading: &Reading,
    checked: &Checked,
    mut each: impl FnMut(Planned) -> Result<(), E>,
) -> Result<Checked, ReadError<E>> {
    let passed = pass(source, *reading, Ids::among(checked.suspects.clone()), &mut each)?;
    passed.judged(source).map_err(ReadError::Plan)
}

#[cfg(test)]
mod tests;
