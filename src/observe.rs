//! Views of a run while it goes on: progress for people, and a line for each event for programs.

mod bar;
pub(crate) mod events;
pub(crate) mod progress;
