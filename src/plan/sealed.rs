//! Sealed plan: the rows, the terms and the states that were seen, under one digest; and the approvals of it.
//!
//! The file is a text of JSON lines: a head, a line for each row, the seal, and a line for each approval. The seal is a hash
//! over everything before it; each approval is bound to the seal and to the approval before it. A hash keeps nobody from
//! making another sealed plan; it keeps an edited one from passing for the one that was approved.

pub mod lines;
pub mod names;
pub(super) mod opening;
pub mod seal;
pub mod writing;
