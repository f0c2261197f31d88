//! Ground of every verb: its inputs, the choice of journal, run and row, its results, and every error that can end it.

pub(crate) mod advice;
pub(crate) mod approval;
pub(crate) mod context;
pub(crate) mod engine;
pub(crate) mod error;
pub(crate) mod here;
pub(crate) mod journal;
pub(crate) mod meant;
pub(crate) mod notices;
pub(crate) mod reach;
pub(crate) mod results;
pub(crate) mod runtime;
