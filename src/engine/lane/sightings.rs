//! Sightings of a lane's rows: by the list's pages that were read for other rows, and by preflight.

use std::sync::{MutexGuard, PoisonError};

use tokio::time::Instant;

use super::list::List;
use super::news::News;
use super::state::Lane;
use crate::engine::onlookers::Onlooker;
use crate::journal::JournalError;
use crate::ledger::standing::Standing;
use crate::model::state::SeenState;
use crate::model::{Row, RowId, SourceId};

impl<R> Lane<R> {
    pub(crate) fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows of the lane among these sources, as the journal has them.
    pub(crate) async fn rows_among(&self, sources: Vec<SourceId>) -> Result<Vec<(Row, Standing)>, JournalError> {
        let id = self.id;
        let read =
            self.journal.read(move |journal, run| journal.rows_among(run, id, sources.iter().map(SourceId::as_str)));
        read.await
    }

    /// Has the row told what pages show of it that are read for others, until the onlooker is dropped.
    pub(crate) fn watch_pages(&self, source: &SourceId) -> Onlooker {
        self.onlookers.join(source)
    }

    /// Tells those who watch the pages of what one shows.
    pub(crate) fn tell_onlookers(&self, servers: &[(SourceId, SeenState)], left_at: Instant) {
        self.onlookers.tell(servers, left_at);
    }

    /// Takes back what those who watch the pages were told of these sources.
    pub(crate) fn untell_onlookers(&self, sources: &[SourceId]) {
        self.onlookers.forget(sources);
    }

    /// Takes the news of a row, so that it is looked at again once.
    pub(crate) fn take_news(&self, row: RowId) -> Option<News> {
        self.news.take(row)
    }

    /// Adds news of rows in the place of older news.
    pub(crate) fn add_news(&self, news: impl IntoIterator<Item = (RowId, News)>) {
        self.news.add(news);
    }

    /// Notes that this launch's preflight sees rows from now on.
    pub(crate) fn begin_preflight(&self) {
        self.preflighted.begin(Instant::now());
    }

    /// Notes that this launch's preflight could not look at a row.
    pub(crate) fn miss_in_preflight(&self, row: RowId) {
        self.preflighted.miss(row);
    }

    pub(crate) fn was_missed_in_preflight(&self, row: RowId) -> bool {
        self.preflighted.has_missed(row)
    }

    /// Earliest instant at which the preflight of this launch saw the row; `None` if it did not.
    pub(crate) fn seen_by_preflight_at(&self, row: RowId) -> Option<Instant> {
        self.preflighted.saw_at(row)
    }
}
