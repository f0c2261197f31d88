//! Metrics of all plans, for Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::pages::PageError;
use super::room::ServeState;
use crate::metrics::MEDIA_TYPE;
use crate::metrics::plans::text_of_all;

/// Answers with the metrics of each plan's latest run. Scrapes are read one after the other, and whoever waits for that has no turn
/// among the readers yet, so that pages do not wait for scrapes.
pub(super) async fn metrics(State(room): State<Arc<ServeState>>) -> Result<Response, PageError> {
    let mut known = Arc::clone(&room.known).lock_owned().await;
    let text = room.reader.read(move |journal| text_of_all(journal, &mut known, Timestamp::now()));
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text.await?).into_response())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::journal::Journal;
    use crate::serve::live::Watchers;
    use crate::serve::reader::Reader;
    use crate::serve::shelf::Shelf;

    #[tokio::test]
    async fn a_scrape_that_takes_long_keeps_nobody_from_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("cutover.db");
        drop(Journal::open(&journal).unwrap());
        let reader = Reader::new(journal.clone());
        let watchers = Watchers::new(reader.clone(), journal.clone(), CancellationToken::new());
        let room = Arc::new(ServeState { reader, watchers, journal, shelf: Shelf::default(), known: Arc::default() });
        let slow = Arc::clone(&room.known).lock_owned().await;
        let mut scrapes = JoinSet::new();
        for _ in 0..20 {
            scrapes.spawn(metrics(State(Arc::clone(&room))));
        }
        tokio::task::yield_now().await;
        let page = room.reader.read(Journal::launched);
        assert!(tokio::time::timeout(Duration::from_secs(20), page).await.unwrap().unwrap().is_empty());
        drop(slow);
        assert!(scrapes.join_all().await.iter().all(Result::is_ok));
    }
}
