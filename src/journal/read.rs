//! Reads of a journal, in files by their readers. Nothing here holds a plan in memory: rows come in pages or one by one.
//!
//! | to find | read |
//! |---|---|
//! | a run, its accounts, and the one that is meant | [`runs`], `launched`, [`lanes`] |
//! | its rows | [`rows`], [`reopening`] |
//! | sums over them | [`sums`], [`causes`] |
//! | what the steering of a run decides by | [`steering`], [`ending`] |
//! | what reports tell | [`events`], [`attempts`], `activity`, [`by_wave`], [`extra`] |
//! | what metrics count | `outcomes`, `of_plans` |
//! | what somebody looks for | `search`, `meant` |

pub(crate) mod activity;
pub mod attempts;
pub mod by_wave;
pub mod causes;
pub(super) mod conditions;
pub mod ending;
pub mod events;
pub mod extra;
pub mod lanes;
pub(crate) mod launched;
pub(crate) mod meant;
pub(crate) mod of_plans;
pub(crate) mod outcomes;
pub mod reopening;
pub mod rows;
pub mod runs;
pub(crate) mod search;
pub mod sizes;
pub mod steering;
pub mod sums;
