//! Opening and making files in folders where other users may have put something first: one way for all of them.
//!
//! A name in a folder promises nothing: behind it may be a link to somebody's file, a second name of one, or a pipe that nobody
//! reads. So a file that is made here is new and readable for few, an opened file is checked before it is used, and nothing
//! waits for a peer that may never come. [`beside`] replaces a file in one step, [`stream`] writes to what cannot be replaced.
//!
//! Temporary files without a name need none of this, because nobody else finds them; [`temporary`] finds a place for them.

pub(crate) mod beside;
pub(crate) mod folder;
pub(crate) mod home;
pub(crate) mod identity;
pub(crate) mod left;
pub(crate) mod mode;
pub(crate) mod open;
mod stream;
pub(crate) mod sum;
pub(crate) mod temporary;
pub(crate) mod turn;
