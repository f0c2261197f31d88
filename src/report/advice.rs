//! Advice on what to do next, for each way in which a row can stand and a launch can end: one table, shared by every report.

pub(crate) mod going_on;
pub(crate) mod rows;
pub(crate) mod step;
