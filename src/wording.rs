//! Values from outside, counts, times and commands as people read them: one spelling each, for all outputs.
//!
//! Everything that came from outside is spelled by one rule (`visible`). Lines for people are written to a [`printout`]; output
//! with a format of its own (CSV, JSON, HTML) goes through a `sieve`.

pub(crate) mod amounts;
pub(crate) mod plain;
pub mod printout;
pub(crate) mod shell;
pub(crate) mod sieve;
pub(crate) mod times;
pub(crate) mod visible;
