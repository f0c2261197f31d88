//! The one writer of a run: appends a batch (`log::appending`: stamp, commit, project), then tells the observers, then the caller.
//!
//! A thread owns the journal's connection. What queued up while the last commit was syncing becomes one
//! transaction, so that full sync costs little when many calls share it.

use std::collections::HashMap;
use std::iter;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::lane::LaneId;
use crate::event::run::{DrainReason, RunEvent};
use crate::journal::append::Begun;
use crate::journal::place::{Gone, How, JournalFiles};
use crate::journal::{Journal, JournalError, RunKey};
use crate::ledger::fold::IllegalStep;
use crate::log::alone::Alone;
use crate::log::appending::{self, NotAppended};
use crate::log::seam::Log;
use crate::log::stamp::Illegal;
use crate::model::SourceId;

pub(crate) mod kept;
pub(crate) mod observer;
pub(crate) mod sent;

use kept::Kept;
use observer::Observer;
use sent::Sent;

/// Bounds of the entries that wait and of the events in one commit. They bound memory, not speed: a batch is whatever waits.
const INBOX: usize = 4096;
const BATCH: usize = 1024;

/// Refusal to record. Nothing that depends on the events may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotRecorded {
    #[error("the journal takes nothing more")]
    ToAll,
    /// An event cannot follow those before it. Other lanes go on.
    #[error("the journal refused an event that cannot have happened")]
    ToLane,
}

#[derive(Clone)]
pub(crate) struct Recorder {
    inbox: mpsc::Sender<Message>,
    clock: Clock,
}

/// Answer to whoever waits: the events are on disk, or refused. None comes where the journal is closed to all.
type Recorded = Result<(), NotRecorded>;

enum Message {
    Record(Entry),
    /// Asks if the journal is still in its place, at times when nothing is recorded.
    Look,
    /// End of the messages; all before it are on disk when the thread ends.
    Close,
}

struct Entry {
    lane: LaneId,
    kinds: Vec<EventKind>,
    /// Time of the events; `None` stands for that of their commit.
    at: Option<Timestamp>,
    /// Source of the row, for observers; the journal finds it by the row.
    source: Option<SourceId>,
    ack: oneshot::Sender<Recorded>,
}

impl Recorder {
    /// Records events of the run itself: the one way to its lane while a launch carries it. Returns as [`Recorder::record`] does.
    pub(crate) async fn record_of_run(&self, events: Vec<RunEvent>) -> Result<(), NotRecorded> {
        self.bring(LaneId::RUN, events.into_iter().map(EventKind::from).collect(), None).await
    }

    /// Records events of an account's lane. When this returns `Ok`, the events are on disk and the observers have been told. On an error none of them is, but where the
    /// journal was closed while it was written.
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
    pub(crate) place: JournalFiles,
    /// Told once, before anybody hears that what was recorded last is recorded: nothing more may be sent. Says where what
    /// was recorded and what is to come goes.
    pub(crate) gone: WhenGone,
    /// Reads all of a journal that somebody else wrote to, and says what is wrong with it.
    pub(crate) check: Check,
    /// Holds the run against what it began with and against its events, as a launch does before it goes on with it.
    pub(crate) hold: Hold,
    /// List of what was sent, apart from the journal, and its length.
    pub(crate) kept: Kept,
    pub(crate) sent: Sent,
    /// Told once that the log cannot be begun anew, with its size and who is known to read in it.
    pub(crate) held: WhenHeld,
}

/// Above this size it is asked why the log was not begun anew.
pub(crate) const LOG_IS_LARGE: u64 = 16 << 20;
/// Interval of that question, which costs a checkpoint.
const ASKED_EVERY: Duration = Duration::from_secs(1);

pub(crate) type WhenHeld = Box<dyn Fn(u64, &[String]) + Send>;

pub(crate) type WhenGone = Box<dyn Fn(&Journal, &JournalFiles, &Gone) -> Rescue + Send>;

pub(crate) type Hold = Box<dyn Fn(&Journal) -> Result<(), How> + Send>;

pub(crate) type Check = Box<dyn Fn(&Journal) -> Result<(), String> + Send>;

/// Destination of the records of a journal that is gone.
pub(crate) enum Rescue {
    /// The open file takes them to the end, and is copied then.
    AtTheEnd(PathBuf),
    /// They go on in a whole copy of it.
    In(Box<Journal>),
    /// The open file takes nothing more; what was sent is kept apart.
    Apart,
    /// No place takes them.
    Nowhere,
}

/// Begins with telling of the event with which the run began, if that was recorded just now and nobody was told.
pub(crate) fn start(
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
    let mut writer = Writer {
        journal,
        log: Box::new(Alone),
        run,
        observers,
        watch: Some(watch),
        refused: None,
        apart: None,
        save_to: None,
        ended: false,
        asked: None,
        told_of_log: false,
        holding: Holding::default(),
    };
    let thread = thread::Builder::new().name("recorder".to_owned()).spawn(move || {
        if let Some(begun) = begun {
            tell(&mut writer.observers, &begun, None);
        }
        writer.serve(messages)
    })?;
    Ok((Recorder { inbox, clock }, Writing { thread }))
}

/// Events of one commit, with those who wait for them. It stays whole until it is recorded somewhere.
#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    waiting: Vec<Waiting>,
    /// Time of all that brings none of its own: they are written together.
    at: Option<Timestamp>,
}

/// Caller who waits for a number of consecutive events of a batch.
struct Waiting {
    n_events: usize,
    source: Option<SourceId>,
    ack: oneshot::Sender<Recorded>,
}

impl Batch {
    /// Takes the events of the caller who brought this one out of the batch, and tells that caller of the refusal.
    fn refuse(&mut self, nth: usize) {
        let mut ends = 0;
        let at = self.waiting.iter().position(|waiting| {
            ends += waiting.n_events;
            nth < ends
        });
        let refused = self.waiting.remove(at.expect("somebody waits for each event"));
        self.events.drain(ends - refused.n_events..ends);
        // The caller may have gone.
        _ = refused.ack.send(Err(NotRecorded::ToLane));
    }

    fn push(&mut self, entry: Entry) {
        let Entry { lane, kinds, at, source, ack } = entry;
        self.waiting.push(Waiting { n_events: kinds.len(), source, ack });
        let at = at.unwrap_or_else(|| *self.at.get_or_insert_with(Timestamp::now));
        self.events.extend(kinds.into_iter().map(|kind| Event::unnumbered(lane, Some(at), kind)));
    }
}

/// The source of each event.
fn sources(waiting: &[Waiting]) -> impl Iterator<Item = Option<&SourceId>> {
    waiting.iter().flat_map(|waiting| iter::repeat_n(waiting.source.as_ref(), waiting.n_events))
}

/// Result of appending a batch that was not refused.
enum Appended {
    Whole,
    /// Another connection wrote to the journal, so the batch was not written: see [`Begun::WrittenByOthers`].
    WrittenByOthers(i64),
}

/// State of the writing thread.
struct Writer {
    journal: Journal,
    log: Box<dyn Log>,
    run: RunKey,
    observers: Vec<Box<dyn Observer>>,
    /// `None` once the journal was seen to be gone.
    watch: Option<Watch>,
    /// The journal takes nothing more, and what is still heard of what was sent goes here.
    apart: Option<Apart>,
    save_to: Option<PathBuf>,
    /// The first step that could not have happened. The run went on without it, and ends with it.
    refused: Option<IllegalStep>,
    /// The launch has ended, so that nothing of it can be stopped.
    ended: bool,
    /// Time of the last question why the log is so large.
    asked: Option<Instant>,
    told_of_log: bool,
    holding: Holding,
}

/// Bounds what holding the journal against itself costs, where others write to it all the time: launches of other runs.
#[derive(Default)]
struct Holding {
    /// Others wrote since the last comparison.
    is_due: bool,
    /// Earliest time of the next comparison; `None` allows it at any time.
    not_before: Option<Instant>,
}

/// Minimum pause between two comparisons of the journal with its events, as a multiple of the time that the last one took.
const HELD_EVERY: u32 = 20;

impl Writer {
    fn serve(mut self, messages: mpsc::Receiver<Message>) -> Result<(), JournalError> {
        let written = self.write_all(messages);
        let saved = match &self.save_to {
            Some(path) => self.journal.copy_to(path),
            None => Ok(()),
        };
        let refused = self.refused.map_or(Ok(()), |step| Err(step.into()));
        written.and(saved).and(refused)
    }

    fn write_all(&mut self, mut messages: mpsc::Receiver<Message>) -> Result<(), JournalError> {
        let mut batch = Batch::default();
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
                if open && batch.waiting.len() < BATCH {
                    next = messages.try_recv().ok();
                }
            }
            self.write(&mut batch)?;
        }
        Ok(())
    }

    fn write(&mut self, batch: &mut Batch) -> Result<(), JournalError> {
        if self.watch.as_ref().is_some_and(|watch| !watch.place.is_as_long()) {
            self.look_where_it_is()?;
        }
        // An error drops the acks unsent, and so tells everyone who waits: what is not recorded is not sent.
        self.put(batch)?;
        self.look_where_it_is()?;
        batch.events.clear();
        batch.at = None;
        for waiting in batch.waiting.drain(..) {
            // The caller may have gone; the fact stays.
            _ = waiting.ack.send(Ok(()));
        }
        Ok(())
    }

    /// Records it where records go now.
    fn put(&mut self, batch: &mut Batch) -> Result<(), JournalError> {
        if let Some(apart) = &mut self.apart {
            return apart.take(batch);
        }
        if batch.events.is_empty() {
            return Ok(());
        }
        // Whoever can write the file can write into rows that were read before they were agreed to, and are sent later.
        if self.holding.is_due && !self.hold(batch)? {
            return self.put(batch);
        }
        match self.append(batch) {
            Ok(Appended::Whole) => (),
            Ok(Appended::WrittenByOthers(number)) => {
                self.journal.trust_others(number);
                self.holding.is_due = true;
                return self.put(batch);
            }
            Err(NotAppended::Illegal(illegal)) => return self.put_without(batch, illegal),
            Err(error @ (NotAppended::Replaced | NotAppended::Journal(_))) => {
                return self.put_elsewhere(batch, error.into());
            }
        }
        if batch.events.iter().any(|event| matches!(event.kind, EventKind::Run(RunEvent::LaunchBegan { .. }))) {
            // A copy of the file alone is known from here on for what it is: it says that a launch goes on.
            self.journal.write_back()?;
        }
        for (event, source) in batch.events.iter().zip(sources(&batch.waiting)) {
            self.ended |= matches!(event.kind, EventKind::Run(RunEvent::LaunchEnded { .. }));
            tell(&mut self.observers, event, source);
        }
        Ok(())
    }

    fn append(&mut self, batch: &mut Batch) -> Result<Appended, NotAppended> {
        match self.journal.begin_append_alone(self.run)? {
            Begun::Append(append) => {
                appending::append(append, &mut *self.log, &mut batch.events).map(|()| Appended::Whole)
            }
            Begun::WrittenByOthers(number) => Ok(Appended::WrittenByOthers(number)),
        }
    }

    /// Records a batch of which one event cannot have happened: without what came with that, unless the journal is lost, which then
    /// is why. Whoever brought it is told, and ends the lane.
    fn put_without(&mut self, batch: &mut Batch, illegal: Illegal) -> Result<(), JournalError> {
        let Illegal { nth, step } = illegal;
        if self.watch.is_some() {
            self.look_where_it_is()?;
            self.ask_what_is_there(&step.clone().into())?;
            if self.watch.is_none() {
                return self.put(batch);
            }
        }
        batch.refuse(nth);
        self.refused.get_or_insert(step);
        self.put(batch)
    }

    /// Holds the run against its beginning and its events, unless that was done just now and no stage and no end hangs on it.
    /// False: it is not what it was, and records go elsewhere.
    fn hold(&mut self, batch: &Batch) -> Result<bool, JournalError> {
        let Some(watch) = &self.watch else {
            self.holding.is_due = false;
            return Ok(true);
        };
        let began = Instant::now();
        let is_of_run = batch.events.iter().any(|event| matches!(event.kind, EventKind::Run(_)));
        if !is_of_run && self.holding.not_before.is_some_and(|not_before| began < not_before) {
            return Ok(true);
        }
        if let Err(how) = (watch.hold)(&self.journal) {
            let path = watch.place.path().to_owned();
            self.lose(&Gone::File { path, how })?;
            return Ok(false);
        }
        self.holding = Holding { is_due: false, not_before: Some(Instant::now() + began.elapsed() * HELD_EVERY) };
        Ok(true)
    }

    /// Records what the journal has refused, if it did so because it is lost: it may tell what came of that which was sent.
    fn put_elsewhere(&mut self, batch: &mut Batch, error: JournalError) -> Result<(), JournalError> {
        if self.watch.is_none() {
            return Err(error);
        }
        self.look_where_it_is()?;
        self.ask_what_is_there(&error)?;
        if self.watch.is_some() { Err(error) } else { self.put(batch) }
    }

    /// After an append that failed: whether that is because the journal does not hold any more what was written to it.
    fn ask_what_is_there(&mut self, error: &JournalError) -> Result<(), JournalError> {
        let Some(watch) = &self.watch else { return Ok(()) };
        let why = if error.is_about_content() {
            error.to_string()
        } else if error.may_be_about_content()
            && let Err(why) = (watch.check)(&self.journal)
        {
            why
        } else {
            return Ok(());
        };
        let path = watch.place.path().to_owned();
        self.lose(&Gone::File { path, how: How::Unlike(why) })
    }

    /// After each commit and before anybody hears of it, and before a commit that would hide what happened since the last.
    fn look_where_it_is(&mut self) -> Result<(), JournalError> {
        let Some(watch) = &mut self.watch else { return Ok(()) };
        let gone = match watch.place.look() {
            Ok(seen) if seen.was_touched => match (watch.check)(&self.journal) {
                Ok(()) => {
                    watch.place.trust();
                    return Ok(());
                }
                Err(why) => Gone::File { path: watch.place.path().to_owned(), how: How::Unlike(why) },
            },
            Ok(seen) if seen.log < LOG_IS_LARGE || self.told_of_log => return Ok(()),
            Ok(seen) => {
                self.ask_who_reads(seen.log);
                return Ok(());
            }
            Err(gone) => gone,
        };
        self.lose(&gone)
    }

    /// Stops the run. What is open is recorded to the end where it was begun if it is whole, so that it can be saved from
    /// there, else in a copy, else apart.
    fn lose(&mut self, gone: &Gone) -> Result<(), JournalError> {
        let Some(watch) = self.watch.take() else { return Ok(()) };
        match (watch.gone)(&self.journal, &watch.place, gone) {
            Rescue::AtTheEnd(path) => self.save_to = Some(path),
            Rescue::In(journal) => self.journal = *journal,
            Rescue::Apart => {
                self.apart = Some(Apart { kept: watch.kept, sent: watch.sent, seqs: HashMap::new() });
                return Ok(());
            }
            Rescue::Nowhere if gone.is_elsewhere() => (),
            Rescue::Nowhere => return Err(JournalError::NotOurs),
        }
        if self.ended {
            return Ok(());
        }
        let stops = RunEvent::DrainBegan { reason: DrainReason::JournalGone, why: Some(gone.to_string()) };
        let event = self.journal.append_of_run(self.run, stops)?;
        tell(&mut self.observers, &event, None);
        Ok(())
    }
}

/// Takes what is still heard of what was sent, when the journal cannot. Nothing new is sent any more.
struct Apart {
    kept: Kept,
    sent: Sent,
    /// Number of the last event of each lane, counted from here.
    seqs: HashMap<LaneId, u64>,
}

impl Apart {
    fn take(&mut self, batch: &mut Batch) -> Result<(), JournalError> {
        for (event, source) in batch.events.iter_mut().zip(sources(&batch.waiting)) {
            let seq = self.seqs.entry(event.lane).or_default();
            *seq += 1;
            event.seq = *seq;
            let written = self.kept.on_event(event, source).and_then(|()| self.sent.on_event(event, source));
            written.map_err(|_| JournalError::NotOurs)?;
        }
        Ok(())
    }
}

impl Writer {
    /// Tells who keeps the log from being begun anew, if another process has read in it for long. Readers of our own finish soon.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::row::RowEvent;
    use crate::log::suite::make_run;
    use crate::model::RowId;
    use crate::model::state::TargetState;

    fn writer(path: &std::path::Path) -> Writer {
        make_run(path);
        let mut journal = Journal::open(path).unwrap();
        journal.mind_heads();
        let run = journal.runs().unwrap()[0].key;
        Writer {
            journal,
            log: Box::new(Alone),
            run,
            observers: Vec::new(),
            watch: None,
            refused: None,
            apart: None,
            save_to: None,
            ended: false,
            asked: None,
            told_of_log: false,
            holding: Holding::default(),
        }
    }

    fn begun(row: u32, attempt: u32) -> EventKind {
        RowEvent::AttemptStarted { attempt, sends: TargetState::default() }.about(RowId(row))
    }

    fn seen(row: u32) -> EventKind {
        RowEvent::Seen { seen: None }.about(RowId(row))
    }

    #[test]
    fn a_history_that_cannot_have_happened_is_refused_to_its_lane_and_to_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(&folder.path().join("j.db"));
        let (mut batch, mut answers) = (Batch::default(), Vec::new());
        // Rows of odd numbers are in lane 1. Row 2 is begun with its third attempt.
        let entries =
            [(1, vec![seen(1), begun(1, 1)]), (2, vec![seen(2), begun(2, 3)]), (2, vec![seen(4)]), (1, vec![seen(3)])];
        for (lane, kinds) in entries {
            let (ack, answer) = oneshot::channel();
            batch.push(Entry { lane: LaneId(lane), kinds, at: None, source: None, ack });
            answers.push(answer);
        }
        writer.write(&mut batch).unwrap();
        let answers: Vec<Recorded> = answers.into_iter().map(|answer| answer.blocking_recv().unwrap()).collect();
        assert_eq!(answers, [Ok(()), Err(NotRecorded::ToLane), Ok(()), Ok(())]);
        let heads = writer.journal.heads(writer.run).unwrap();
        let numbers: Vec<(LaneId, u64)> = heads.into_iter().map(|(lane, seq, _)| (lane, seq)).collect();
        assert_eq!(numbers, [(LaneId::RUN, 1), (LaneId(1), 3), (LaneId(2), 1)]);
        // The launch ends with it all the same.
        let (_, messages) = mpsc::channel(1);
        assert!(matches!(writer.serve(messages), Err(JournalError::Illegal(step)) if step.row == RowId(2)));
    }
}
