//! Words and lines for people: how a value from outside, a count, a time or a command is written, wherever it is written.
//!
//! What came from outside is shown by one rule (`visible`). Lines for people are written to a [`printout`], and what has a form of
//! its own goes through a `sieve`.

pub(crate) mod amounts;
pub(crate) mod plain;
pub mod printout;
pub(crate) mod shell;
pub(crate) mod sieve;
pub(crate) mod times;
pub(crate) mod visible;
