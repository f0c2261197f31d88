//! The one writer of a run: commits a batch, then tells the observers, then the caller.
//!
//! A thread owns the journal's connection. What queued up while the last commit was syncing becomes one
//! transaction, so that full sync costs little when many calls share it.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::event::{DrainReason, Event, EventKind, LaneId};
use crate::journal::place::{Gone, Place};
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
    /// Whether the journal is still where it was, when nothing is recorded for a while.
    Look,
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

    /// Has the writer look at once where the journal is. False: nobody writes any more.
    pub(crate) async fn look(&self) -> bool {
        self.inbox.send(Message::Look).await.is_ok()
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

/// Keeps an eye on the files of the journal.
pub(crate) struct Watch {
    pub(crate) place: Place,
    /// Told once, before anybody hears that what was recorded last is recorded: nothing more may be sent. Says where all of
    /// it is to be saved at the end, if there is a place.
    pub(crate) gone: WhenGone,
    /// Told once that the log cannot be begun anew, with its size and who is known to read in it.
    pub(crate) held: WhenHeld,
}

/// Above this size it is asked why the log was not begun anew.
pub(crate) const LOG_IS_LARGE: u64 = 16 << 20;
/// It costs a checkpoint.
const ASKED_EVERY: Duration = Duration::from_secs(1);

pub(crate) type WhenHeld = Box<dyn Fn(u64, &[String]) + Send>;

pub(crate) type WhenGone = Box<dyn Fn(&Place, &Gone) -> Option<PathBuf> + Send>;

pub(crate) fn start(
    journal: Journal,
    run: RunKey,
    observers: Vec<Box<dyn Observer>>,
    clock: Clock,
    watch: Watch,
) -> std::io::Result<(Recorder, Writing)> {
    let (inbox, messages) = mpsc::channel::<Message>(INBOX);
    let writer = Writer {
        journal,
        run,
        observers,
        watch: Some(watch),
        save_to: None,
        ended: false,
        asked: None,
        told_of_log: false,
    };
    let thread = thread::Builder::new().name("recorder".to_owned()).spawn(move || writer.serve(messages))?;
    Ok((Recorder { inbox, clock }, Writing { thread }))
}

/// What the writing thread owns.
struct Writer {
    journal: Journal,
    run: RunKey,
    observers: Vec<Box<dyn Observer>>,
    /// None: it was seen that the journal is gone.
    watch: Option<Watch>,
    save_to: Option<PathBuf>,
    /// The launch has ended, so that nothing of it can be stopped.
    ended: bool,
    /// When it was asked last why the log is so large; it was told, if never again.
    asked: Option<Instant>,
    told_of_log: bool,
}

impl Writer {
    fn serve(mut self, mut messages: mpsc::Receiver<Message>) -> Result<(), JournalError> {
        let mut batch: Vec<Entry> = Vec::new();
        let mut open = true;
        while open && let Some(first) = messages.blocking_recv() {
            // Where the processors are busy, those who are about to write come first, and share the commit.
            thread::yield_now();
            let mut next = Some(first);
            while let Some(message) = next.take() {
                match message {
                    Message::Record(entry) => batch.push(entry),
                    Message::Look => (),
                    Message::Close => open = false,
                }
                if open && batch.len() < BATCH {
                    next = messages.try_recv().ok();
                }
            }
            self.write(&mut batch)?;
        }
        match &self.save_to {
            Some(path) => self.journal.copy_to(path),
            None => Ok(()),
        }
    }

    fn write(&mut self, batch: &mut Vec<Entry>) -> Result<(), JournalError> {
        let owners: Vec<usize> =
            batch.iter().enumerate().flat_map(|(at, entry)| entry.kinds.iter().map(move |_| at)).collect();
        let kinds = batch.iter_mut().flat_map(|entry| {
            let (lane, at) = (entry.lane, entry.at);
            std::mem::take(&mut entry.kinds).into_iter().map(move |kind| (lane, at, kind))
        });
        if !owners.is_empty() {
            // An error drops the acks unsent, and so tells everyone who waits: what is not recorded is not sent.
            let events = self.journal.append_at(self.run, kinds)?;
            if events.iter().any(|event| matches!(event.kind, EventKind::LaunchBegan { .. })) {
                // A copy of the file alone is known from here on for what it is: it says that a launch goes on.
                self.journal.write_back()?;
            }
            for (event, owner) in events.iter().zip(owners) {
                self.ended |= matches!(event.kind, EventKind::LaunchEnded { .. });
                tell(&mut self.observers, event, batch[owner].source.as_ref());
            }
        }
        self.look_where_it_is()?;
        for entry in batch.drain(..) {
            // The caller may have gone; the fact stays.
            _ = entry.ack.send(());
        }
        Ok(())
    }

    /// After each commit and before anybody hears of it. What is open is recorded to the end where it was begun, so that
    /// it can be saved from there.
    fn look_where_it_is(&mut self) -> Result<(), JournalError> {
        let Some(watch) = &self.watch else { return Ok(()) };
        let gone = match watch.place.look() {
            Ok(log) if log < LOG_IS_LARGE || self.told_of_log => return Ok(()),
            Ok(log) => {
                self.ask_who_reads(log);
                return Ok(());
            }
            Err(gone) => gone,
        };
        if let Some(watch) = self.watch.take() {
            self.save_to = (watch.gone)(&watch.place, &gone);
        }
        if self.ended {
            return Ok(());
        }
        let stops = EventKind::DrainBegan { reason: DrainReason::JournalGone, why: Some(gone.to_string()) };
        for event in self.journal.append(self.run, [(LaneId::RUN, stops)])? {
            tell(&mut self.observers, &event, None);
        }
        Ok(())
    }
}

impl Writer {
    /// Who reads at length, in a log that cannot be begun anew meanwhile. A reading of our own passes.
    fn ask_who_reads(&mut self, log: u64) {
        if self.asked.is_some_and(|asked| asked.elapsed() < ASKED_EVERY) {
            return;
        }
        self.asked = Some(Instant::now());
        let Some(watch) = self.watch.as_ref().filter(|_| !self.journal.write_back().unwrap_or(true)) else {
            return;
        };
        let readers = watch.place.readers();
        if readers.as_ref().is_none_or(|readers| !readers.is_empty()) {
            (watch.held)(log, &readers.unwrap_or_default());
            self.told_of_log = true;
        }
    }
}

/// An observer that fails is dropped and never stops a run.
fn tell(observers: &mut Vec<Box<dyn Observer>>, event: &Event, source: Option<&SourceId>) {
    observers.retain_mut(|observer| observer.on_event(event, source).is_ok());
}
