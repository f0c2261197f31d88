//! State that the handlers share.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::live::Watchers;
use super::reader::Reader;
use super::shelf::Shelf;
use crate::metrics::plans::KnownFigures;

/// State that the handlers share.
pub(super) struct ServeState {
    pub(super) reader: Reader,
    pub(super) watchers: Watchers,
    pub(super) journal: PathBuf,
    pub(super) shelf: Shelf,
    /// Figures of the last scrape, for one scrape at a time.
    pub(super) known: Arc<Mutex<KnownFigures>>,
}
