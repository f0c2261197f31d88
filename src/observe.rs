//! Who watches a run, and what they are shown of it.

mod bar;
pub(crate) mod events;
pub(crate) mod progress;
