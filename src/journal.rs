//! The journal: one SQLite file that holds every run, its rows and its events. `rusqlite` stays in this room.
//!
//! Its files stand on [`connection`](Journal), [`error`](JournalError) and `tables`, the stored forms. `opening` opens a file, with
//! checks in `objects`, `one_name` and `place`; [`new_run`] makes a run; `append` writes events, and `project` the changes that they
//! make in other tables. [`read`] is for readers, [`stored`] and `by_index` for audits, [`chain`] is the hash chain. Events, the rows
//! they change and the heads of their lanes are one transaction; `log::appending` has its steps.

mod alone;
pub mod altered;
pub(crate) mod append;
mod as_told;
mod beside;
mod by_index;
pub mod chain;
pub mod commands;
mod connection;
pub(crate) mod copying;
mod error;
mod index;
pub(crate) mod loaded;
mod making;
mod migrations;
pub mod new_run;
pub mod notices;
mod objects;
pub(crate) mod one_name;
mod opening;
pub(crate) mod place;
mod project;
mod pruning;
pub mod read;
#[cfg_attr(
    not(any(test, feature = "cluster")),
    expect(dead_code, reason = "runs are copied to logs of several machines")
)]
pub(crate) mod run_copy;
mod schema;
pub(crate) mod stamped;
pub mod stored;
pub mod succession;
mod tables;
#[cfg(test)]
mod tests;
pub mod tombstone;
mod tombstones;

pub use connection::{Journal, RunKey};
pub use error::{JournalError, LogError};
