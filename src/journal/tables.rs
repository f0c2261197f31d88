//! Stored forms: values to and from the columns of tables, a file for each table.

pub(super) mod columns;
pub(super) mod event;
pub(super) mod lane;
pub(super) mod row;
pub(super) mod written;
