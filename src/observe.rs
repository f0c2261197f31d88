//! Views of a run while it goes: progress for people, and a line an event for programs.

mod bar;
pub(crate) mod events;
pub(crate) mod progress;
