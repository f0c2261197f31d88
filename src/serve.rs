//! `serve`: a read-only page over one journal, for the war room. `axum` stays in this room.
//!
//! [`door`] decides who is let in and what browsers may do with a page, [`live`] watches a run once for all who look at it,
//! [`pages`] is what they see. The journal is only read, in short transactions, so that a launch that writes never waits.

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

mod door;
mod live;
mod pages;
mod reader;

pub(crate) use door::{Door, Token, WeakToken};
use live::Watchers;
use reader::Reader;

/// Who does not take an answer within this time of the end goes without.
const GRACE: Duration = Duration::from_secs(1);

/// What the handlers share.
struct Room {
    reader: Reader,
    watchers: Watchers,
    journal: PathBuf,
}

/// Serves the journal until it is told to stop.
pub(crate) async fn serve(
    listener: TcpListener,
    door: Door,
    journal: PathBuf,
    stop: CancellationToken,
) -> io::Result<()> {
    let reader = Reader::new(journal.clone());
    let watchers = Watchers::new(reader.clone(), journal.clone(), stop.clone());
    let room = Arc::new(Room { reader, watchers, journal });
    let app = Router::new()
        .route("/", get(pages::runs))
        .route("/style.css", get(pages::style))
        .route("/live.js", get(pages::script))
        .route("/runs/{run}", get(pages::run))
        .route("/runs/{run}/live", get(live::events))
        .route("/runs/{run}/rows", get(pages::rows))
        .route("/runs/{run}/rows/{row}", get(pages::row))
        .route("/runs/{run}/report/{format}", get(pages::report))
        .fallback(pages::nothing_there)
        .layer(middleware::from_fn_with_state(Arc::new(door), door::guard))
        .with_state(room);
    let serving = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned()).into_future();
    tokio::select! {
        served = serving => served,
        () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}

/// A port to listen on, taken before anything else is done.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}
