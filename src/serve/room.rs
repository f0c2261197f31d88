//! State that the handlers share.

use std::path::PathBuf;

use super::live::Watchers;
use super::reader::Reader;
use super::shelf::Shelf;

/// State that the handlers share.
pub(super) struct ServeState {
    pub(super) reader: Reader,
    pub(super) watchers: Watchers,
    pub(super) journal: PathBuf,
    pub(super) shelf: Shelf,
}
