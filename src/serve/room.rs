//! Things that the handlers share.

use std::path::PathBuf;

use super::live::Watchers;
use super::reader::Reader;
use super::shelf::Shelf;

/// What the handlers share.
pub(super) struct Room {
    pub(super) reader: Reader,
    pub(super) watchers: Watchers,
    pub(super) journal: PathBuf,
    pub(super) shelf: Shelf,
}
