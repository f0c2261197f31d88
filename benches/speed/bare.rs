//! Least program that sends the same changes and journals them: an HTTP library on as many connections, and one thread with
//! the journal's own tables.
//!
//! The floor writes the events and sums of rows in transactions of whatever has queued up, each intent on disk before its call, as
//! we do. It reads no plan, makes no JSON and no hash, reads only the status of an answer, keeps no pace and decides nothing.
//! This is no upper limit: a connection waits for its commits, where we write intents ahead.

use std::error::Error;
use std::path::Path;
use std::thread;

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, params};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::stub::source;

/// First argument that makes a process of this program run [`send`].
pub(crate) const WORD: &str = "bare";

/// Body of each change, also of those that the rivals send.
pub(crate) const BODY: &str = r#"{"copystate":"stopped","migrationcycle":"syncing"}"#;

type AnyError = Box<dyn Error + Send + Sync>;

const BATCH: usize = 1024;
/// Arbitrary time and hash.
const AT: i64 = 1_790_000_000_000;
const HASH: [u8; 32] = [7; 32];

struct Entry {
    row: usize,
    is_intent: bool,
    ack: oneshot::Sender<()>,
}

/// Sends the changes of this many rows to this address.
pub(crate) fn send(address: &str, concurrency: usize, n_rows: usize, journal: &Path) -> Result<(), AnyError> {
    let journal = prepared(journal, n_rows)?;
    let (inbox, entries) = mpsc::channel(4096);
    let writing = thread::spawn(move || write(&journal, entries));
    let sent = tokio::runtime::Runtime::new()?.block_on(async {
        let mut senders = JoinSet::new();
        for first in 0..concurrency {
            let rows = (first..n_rows).step_by(concurrency);
            senders.spawn(send_all(address.to_owned(), rows, inbox.clone()));
        }
        drop(inbox);
        while let Some(sent) = senders.join_next().await {
            sent??;
        }
        Ok(())
    });
    // If the writer failed, its error explains those of the connections.
    writing.join().map_err(|_| "the writer panicked")??;
    sent
}

async fn send_all(
    address: String,
    rows: impl Iterator<Item = usize>,
    inbox: mpsc::Sender<Entry>,
) -> Result<(), AnyError> {
    let stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    for row in rows {
        record(&inbox, row, true).await?;
        let change = Request::put(format!("/v3/sources/{}/changestate", source(row)))
            .header("host", &address)
            .header("x-auth-token", "x")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from_static(BODY.as_bytes())))?;
        let answer = sender.send_request(change).await?;
        if !answer.status().is_success() {
            return Err(answer.status().as_str().into());
        }
        answer.into_body().collect().await?;
        record(&inbox, row, false).await?;
    }
    Ok(())
}

async fn record(inbox: &mpsc::Sender<Entry>, row: usize, is_intent: bool) -> Result<(), AnyError> {
    let (ack, written) = oneshot::channel();
    inbox.send(Entry { row: row + 1, is_intent, ack }).await.map_err(|_| "the writer is gone")?;
    Ok(written.await?)
}

/// Makes a journal with the rows of a plan.
fn prepared(path: &Path, n_rows: usize) -> Result<Connection, AnyError> {
    drop(cutover::journal::Journal::open(path)?);
    let journal = Connection::open(path)?;
    journal.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    journal.execute_batch("PRAGMA synchronous = FULL; PRAGMA ignore_check_constraints = ON; BEGIN IMMEDIATE")?;
    journal.execute(
        "INSERT INTO run (run, id, plan_path, plan_digest, n_rows, endpoint, account, settings, created_at)
         VALUES (1, 'bare', '', '', ?1, '', '', '{}', ?2)",
        params![n_rows, AT],
    )?;
    let mut insert = journal.prepare(
        "INSERT INTO row (run, row, lane, wave_no, line, source_id, copystate, migrationcycle)
         VALUES (1, ?1, 1, 0, ?1, ?2, 'stopped', 'syncing')",
    )?;
    for row in 0..n_rows {
        insert.execute(params![row + 1, source(row)])?;
    }
    drop(insert);
    journal.execute_batch("COMMIT")?;
    Ok(journal)
}

fn write(journal: &Connection, mut entries: mpsc::Receiver<Entry>) -> Result<(), AnyError> {
    let mut event = journal.prepare(
        "INSERT INTO event (run, lane, seq, at, kind, row, detail, prev, hash) VALUES (1, 1, ?1, ?2, ?3, ?4, ?5, ?6, ?6)",
    )?;
    let mut begun = journal.prepare(
        "UPDATE row SET standing = 'open', started = 1, attempts = 1, first_sent_at = ?2, last_sent_at = ?2
         WHERE run = 1 AND row = ?1",
    )?;
    let mut settled = journal.prepare(
        "UPDATE row SET standing = 'settled', verdict = 'unverified', http_status = 200, settled_at = ?2,
             reason = 'verification is switched off' WHERE run = 1 AND row = ?1",
    )?;
    let mut seq = 0;
    let mut batch = Vec::new();
    while let Some(first) = entries.blocking_recv() {
        batch.push(first);
        thread::yield_now();
        while batch.len() < BATCH
            && let Ok(next) = entries.try_recv()
        {
            batch.push(next);
        }
        journal.execute_batch("BEGIN IMMEDIATE")?;
        for entry in &batch {
            let mut put = |kind: &str, detail: &str| {
                seq += 1;
                event.execute(params![seq, AT, kind, entry.row, detail, HASH])
            };
            if entry.is_intent {
                put("attempt_started", r#"{"attempt":1,"sends":{"copystate":"stopped","migrationcycle":"syncing"}}"#)?;
                begun.execute(params![entry.row, AT])?;
            } else {
                put("attempt_ended", r#"{"attempt":1,"outcome":{"is":"accepted","status":200},"took_ms":9}"#)?;
                put("row_settled", r#"{"verdict":"unverified","reason":"verification is switched off"}"#)?;
                settled.execute(params![entry.row, AT])?;
            }
        }
        journal.execute_batch("COMMIT")?;
        for entry in batch.drain(..) {
            // The connection is gone when something else failed.
            _ = entry.ack.send(());
        }
    }
    Ok(())
}
