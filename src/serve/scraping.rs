//! Metrics of all plans, for Prometheus.

use std::sync::{Arc, PoisonError};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::pages::PageError;
use super::room::ServeState;
use crate::metrics::MEDIA_TYPE;
use crate::metrics::plans::text_of_all;

/// Answers with the metrics of each plan's latest run. Scrapes are read one after the other.
pub(super) async fn metrics(State(room): State<Arc<ServeState>>) -> Result<Response, PageError> {
    let known = Arc::clone(&room.known);
    let text = room.reader.read(move |journal| {
        text_of_all(journal, &mut known.lock().unwrap_or_else(PoisonError::into_inner), Timestamp::now())
    });
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text.await?).into_response())
}
