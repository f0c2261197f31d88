//! The one writer of a run: commits a batch, then tells the observers, then the caller.
//!
//! A thread owns the journal's connection. What queued up while the last commit was syncing becomes one
//! transaction, so that full sync costs little when many calls share it.

use std::thread;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::event::{Event, EventKind, LaneId};
use crate::journal::{Journal, JournalError, RunKey};
use crate::model::SourceId;
use crate::observe::Observer;

/// What may wait for one commit. Bounds memory, not speed: a batch is whatever is there.
const INBOX: usize = 4096;
const BATCH: usize = 1024;

/// The journal takes nothing more, so nothing more may be sent.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the journal takes nothing more")]
pub(crate) struct JournalClosed;

#[derive(Clone)]
pub(crate) struct Recorder {
    inbox: mpsc::Sender<Message>,
    clock: Clock,
}

enum Message {
    Record(Entry),
    /// Nothing comes after this; what came before is on disk when the thread ends.
    Close,
}

struct Entry {
    lane: LaneId,
    kinds: Vec<EventKind>,
    /// None: when it is written.
    at: Option<Timestamp>,
    /// For those who watch: the journal knows it by the row.
    source: Option<SourceId>,
    ack: oneshot::Sender<()>,
}

impl Recorder {
    /// When this returns, the events are on disk and the observers have been told.
    pub(crate) async fn record(
        &self,
        lane: LaneId,
        kinds: Vec<EventKind>,
        source: Option<&SourceId>,
    ) -> Result<(), JournalClosed> {
        let (ack, done) = oneshot::channel();
        let at = match self.clock {
            Clock::OfMachine => None,
            // Known to the tasks of the rehearsal, and not to the thread that writes.
            Clock::Rehearsed { .. } => Some(self.clock.now()),
        };
        let entry = Entry { lane, kinds, at, source: source.cloned(), ack };
        self.inbox.send(Message::Record(entry)).await.map_err(|_| JournalClosed)?;
        if let Clock::Rehearsed { .. } = self.clock {
            // Tokio's clock jumps over what no task does anything in, and knows of no thread but its own.
            let written = tokio::task::spawn_blocking(move || done.blocking_recv()).await;
            return written.map_err(|_| JournalClosed)?.map_err(|_| JournalClosed);
        }
        done.await.map_err(|_| JournalClosed)
    }

    /// Ends the writing, whoever else still holds a recorder, and says whether everything was written.
    pub(crate) async fn close(&self, writing: Writing) -> Result<(), JournalError> {
        // If the thread has ended already, it has its reason.
        _ = self.inbox.send(Message::Close).await;
        let joined = tokio::task::spawn_blocking(move || writing.thread.join()).await;
        match joined {
            Ok(Ok(written)) => written,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// The writing thread. It ends when it is closed, or when the journal refuses.
pub(crate) struct Writing {
    thread: thread::JoinHandle<Result<(), JournalError>>,
}

pub(crate) fn start(
    mut journal: Journal,
    run: RunKey,
    mut observers: Vec<Box<dyn Observer>>,
    clock: Clock,
) -> std::io::Result<(Recorder, Writing)> {
    let (inbox, mut messages) = mpsc::channel::<Message>(INBOX);
    let thread = thread::Builder::new().name("recorder".to_owned()).spawn(move || {
        let mut batch: Vec<Entry> = Vec::new();
        let mut open = true;
        while open && let Some(first) = messages.blocking_recv() {
            // Where the processors are busy, those who are about to write come first, and share the commit.
            thread::yield_now();
            let mut next = Some(first);
            while let Some(message) = next.take() {
                match message {
                    Message::Record(entry) => batch.push(entry),
                    Message::Close => open = false,
                }
                if open && batch.len() < BATCH {
                    next = messages.try_recv().ok();
                }
            }
            let owners: Vec<usize> =
                batch.iter().enumerate().flat_map(|(at, entry)| entry.kinds.iter().map(move |_| at)).collect();
            let kinds = batch.iter_mut().flat_map(|entry| {
                let (lane, at) = (entry.lane, entry.at);
                std::mem::take(&mut entry.kinds).into_iter().map(move |kind| (lane, at, kind))
            });
            // An error drops the acks unsent, and so tells everyone who waits: what is not recorded is not sent.
            let events = journal.append_at(run, kinds)?;
            for (event, owner) in events.iter().zip(owners) {
                tell(&mut observers, event, batch[owner].source.as_ref());
            }
            for entry in batch.drain(..) {
                // The caller may have gone; the fact stays.
                _ = entry.ack.send(());
            }
        }
        Ok(())
    })?;
    Ok((Recorder { inbox, clock }, Writing { thread }))
}

/// An observer that fails is dropped and never stops a run.
fn tell(observers: &mut Vec<Box<dyn Observer>>, event: &Event, source: Option<&SourceId>) {
    observers.retain_mut(|observer| observer.on_event(event, source).is_ok());
}
