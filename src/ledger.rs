//! Sum of a row's events. This fold is the definition; the journal's table `row` is a cache of it.
//!
//! The fold also refuses impossible histories: an end without a start, anything after a verdict except a
//! reopening, and above all a row in doubt that is sent again without a look. [`cool_down`] is the sum of a lane's waits.

pub mod cause;
pub mod cool_down;
pub mod fold;
pub mod standing;
pub mod steered;
mod unlike;
pub mod waiting;
