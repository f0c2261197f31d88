//! `serve`: read-only web pages over one journal, for the war room. `axum` stays in this room.
//!
//! [`guests`] limits connections, [`door`] decides who is let in and what browsers may do with a page, [`live`] watches a run
//! once for all who look at it, [`pages`] is what they see, and [`scraping`] what Prometheus does. The journal is only read, in short transactions, so that a launch
//! that writes never waits.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod door;
mod following;
mod guests;
mod links;
mod live;
mod neighbor;
mod pages;
mod reader;
mod room;
mod scraping;
mod shelf;
mod token;

pub(crate) use door::{Door, IN_LINK};
pub(crate) use token::{Token, WeakToken};

use door::Visit;
use guests::Guests;
use live::Watchers;
use reader::Reader;
use room::ServeState;
use shelf::Shelf;

/// Time after the end within which answers on their way have to be taken.
const GRACE: Duration = Duration::from_secs(1);
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves the journal until `stop` is cancelled.
pub(crate) async fn serve(listener: TcpListener, door: Door, journal: PathBuf, stop: CancellationToken) {
    let reader = Reader::new(journal.clone());
    let watchers = Watchers::new(reader.clone(), journal.clone(), stop.clone());
    let room = Arc::new(ServeState { reader, watchers, journal, shelf: Shelf::default(), known: Arc::default() });
    let app = Router::new()
        .route("/", get(pages::runs))
        .route("/style.css", get(pages::style))
        .route("/live.js", get(pages::script))
        .route("/runs/{run}", get(pages::run))
        .route("/runs/{run}/live", get(following::events))
        .route("/runs/{run}/rows", get(pages::rows))
        .route("/runs/{run}/rows/{row}", get(pages::row))
        .route("/runs/{run}/report/{format}", get(pages::report))
        .route("/metrics", get(scraping::metrics))
        .fallback(pages::nothing_there)
        .with_state(room);
    let (door, guests, answering) = (Arc::new(door), Guests::default(), TaskTracker::new());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let Ok((stream, address)) = accepted else {
            // The client is gone again, or no file handles are left just now.
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let Ok(here) = stream.local_addr() else { continue };
        let Some(guest) = guests.enter(address, here).map(Arc::new) else {
            guests::turn_away(&stream);
            continue;
        };
        let visit = Visit { door: Arc::clone(&door), guest: Arc::clone(&guest) };
        let app = app.clone().layer(middleware::from_fn_with_state(visit, door::guard));
        answering.spawn(guests::answer(stream, guest, app, stop.clone()));
    }
    answering.close();
    // Answers that are not taken by then are dropped.
    _ = tokio::time::timeout(GRACE, answering.wait()).await;
}

/// Opens the port to listen on, before anything else is done.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}
