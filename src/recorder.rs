//! The one writer of a run: appends a batch (`log::appending`: stamp, commit, project), then tells the observers, then the caller.
//!
//! A thread owns the journal's connection. What queued up while the last commit was syncing becomes one
//! transaction, so that full sync costs little when many calls share it.

use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::lane::LaneId;
use crate::event::run::RunEvent;
use crate::journal::{Journal, JournalError, RunKey};
use crate::log::seam::{Hold, Log};
use crate::model::SourceId;

mod apart;
mod batch;
pub(crate) mod kept;
pub(crate) mod observer;
pub(crate) mod refusal;
pub(crate) mod sent;
pub(crate) mod watch;
mod writer;

use batch::Entry;
use observer::Observer;
use refusal::NotRecorded;
use watch::Watch;
use writer::{Message, Writer};

/// Bound of the entries that wait for the writer. It bounds memory, not speed.
const INBOX: usize = 4096;

/// A handle to the writer of the run, for those who record.
#[derive(Clone)]
pub(crate) struct Recorder {
    inbox: mpsc::Sender<Message>,
    clock: Clock,
    hold: Hold,
}

impl Recorder {
    /// Records events of the run itself: the one way to its lane while a launch carries it. Returns as [`Recorder::record`] does.
    pub(crate) async fn record_of_run(&self, events: Vec<RunEvent>) -> Result<(), NotRecorded> {
        self.bring(LaneId::RUN, events.into_iter().map(EventKind::from).collect(), None).await
    }

    /// Records events of an account's lane. When this returns `Ok`, the events are on disk and the observers have been told. After
    /// [`NotRecorded::ToLane`] none of them is; after [`NotRecorded::ToAll`] they may be.
    pub(crate) async fn record(
        &self,
        lane: LaneId,
        kinds: Vec<EventKind>,
        source: Option<&SourceId>,
    ) -> Result<(), NotRecorded> {
        debug_assert!(lane != LaneId::RUN, "the run's own events have their own way");
        self.bring(lane, kinds, source).await
    }

    async fn bring(&self, lane: LaneId, kinds: Vec<EventKind>, source: Option<&SourceId>) -> Result<(), NotRecorded> {
        let (ack, done) = oneshot::channel();
        let at = match self.clock {
            Clock::OfMachine => None,
            // Known to the tasks of the rehearsal, and not to the thread that writes.
            Clock::Rehearsed { .. } => Some(self.clock.now()),
        };
        let entry = Entry { lane, kinds, at, source: source.cloned(), ack };
        self.inbox.send(Message::Record(entry)).await.map_err(|_| NotRecorded::ToAll)?;
        if let Clock::Rehearsed { .. } = self.clock {
            // Tokio's clock jumps over what no task does anything in, and knows of no thread but its own.
            let written = tokio::task::spawn_blocking(move || done.blocking_recv()).await;
            return written.map_err(|_| NotRecorded::ToAll)?.unwrap_or(Err(NotRecorded::ToAll));
        }
        done.await.unwrap_or(Err(NotRecorded::ToAll))
    }

    /// Tells that a change may leave: the run can be recorded, and nobody else has taken it over, as far as its log knows. Asked as the
    /// last thing before each change leaves.
    pub(crate) fn holds_run(&self) -> bool {
        self.hold.is_held()
    }

    /// Tells that no change may leave any more: somebody else goes on with the run, or it cannot be recorded.
    pub(crate) fn has_lost_run(&self) -> bool {
        self.hold.is_withdrawn()
    }

    /// Time for which no change may leave yet, because one of the launch before this one still can; `None` if that is over.
    pub(crate) fn holds_run_in(&self) -> Option<Duration> {
        self.hold.begins_in()
    }

    /// Has the log of the run say that nobody else has taken it over, by a commit that records nothing. Takes as long as the log is not
    /// to be reached. All who wait share one commit.
    pub(crate) async fn hold_run(&self) -> Result<(), NotRecorded> {
        self.bring(LaneId::RUN, Vec::new(), None).await
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

/// Starts the writer behind a log. It tells the observers first of the event with which the run began, if that was recorded just now
/// and nobody was told.
pub(crate) fn start(
    log: Box<dyn Log>,
    mut journal: Journal,
    run: RunKey,
    begun: Option<Event>,
    mut observers: Vec<Box<dyn Observer>>,
    clock: Clock,
    watch: Watch,
) -> std::io::Result<(Recorder, Writing)> {
    journal.mind_heads();
    observers.push(Box::new(watch.kept.clone()));
    let (inbox, messages) = mpsc::channel::<Message>(INBOX);
    let mut writer = Writer::new(journal, log, run, observers, Some(watch));
    let hold = writer.hold();
    let thread = thread::Builder::new().name("recorder".to_owned()).spawn(move || {
        if let Some(begun) = begun {
            writer.tell(&begun);
        }
        writer.serve(messages)
    })?;
    Ok((Recorder { inbox, clock, hold }, Writing { thread }))
}
