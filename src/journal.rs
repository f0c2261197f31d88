//! The journal: one SQLite file that holds every run, its rows and its events. `rusqlite` stays in this room.
//!
//! Its files stand on [`connection`](Journal), [`error`](JournalError) and `tables`, the stored forms. `opening` and what it asks
//! (`objects`, `one_name`, `place`) is how a file is opened, [`new_run`] how a run is made, `append` how events are written and
//! `project` what they change in other tables. [`read`] is reading, [`stored`] and `by_index` are for those who check, [`chain`] is
//! the hash chain. Events, the rows they change and the heads of their lanes are one transaction; `log::appending` says in which
//! steps it is made.

mod alone;
pub mod altered;
pub(crate) mod append;
mod as_told;
mod beside;
mod by_index;
pub mod chain;
pub mod commands;
mod connection;
mod error;
mod index;
pub(crate) mod known;
mod making;
mod migrations;
pub mod new_run;
mod objects;
pub(crate) mod one_name;
mod opening;
pub(crate) mod place;
mod project;
pub mod read;
mod schema;
pub(crate) mod stamped;
pub mod stored;
pub mod succession;
mod tables;
#[cfg(test)]
mod tests;

pub use connection::{Journal, RunKey};
pub use error::JournalError;
