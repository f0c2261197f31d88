//! Changes of a run's page, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path as InPath, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::live::PageText;
use super::pages::PageError;
use super::room::ServeState;

/// Answers with the page as it is, and then with each change.
pub(super) async fn events(
    State(room): State<Arc<ServeState>>,
    InPath(run): InPath<String>,
) -> Result<Response, PageError> {
    let id = room.reader.read(move |journal| journal.find_run(&run).map(|run| run.id)).await?;
    let heard = room.watchers.watch(&id).await?;
    let told = changes(heard, room.watchers.stop.clone());
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(told).keep_alive(keep_alive).into_response())
}

/// Streams the present page and then each change. A slow client misses those in between and gets the last.
fn changes(heard: watch::Receiver<PageText>, stop: CancellationToken) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((heard, stop, true), |(mut heard, stop, is_first)| async move {
        if !is_first {
            tokio::select! {
                changed = heard.changed() => changed.ok()?,
                () = stop.cancelled() => return None,
            }
        }
        let text = Arc::clone(&heard.borrow_and_update());
        // A carriage return would end the event.
        let event = Event::default().event("run").data(text.replace('\r', ""));
        Some((Ok(event), (heard, stop, false)))
    })
}
