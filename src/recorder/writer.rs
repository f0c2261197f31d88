//! The writing thread: batches what comes, appends it, and finds another place for it once the journal is lost.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::apart::Apart;
use super::batch::{Batch, Entry};
use super::observer::Observer;
use super::watch::{LOG_IS_LARGE, Rescue, Watch};
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::run::DrainReason;
use crate::event::run::RunEvent;
use crate::journal::append::Begun;
use crate::journal::place::{Gone, How};
use crate::journal::stamped::Stamped;
use crate::journal::{Journal, JournalError, RunKey};
use crate::ledger::fold::IllegalStep;
use crate::log::appending::{NotAppended, append, append_committed, append_of_run};
use crate::log::seam::{Hold, Log, commit_patiently};
use crate::log::stamp::Illegal;
use crate::model::SourceId;

/// Bound of the callers of one commit. It bounds memory, not speed: a batch is whatever waits.
const BATCH: usize = 1024;
/// Interval of the question why a log is large, which costs a checkpoint.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// Message to the writer.
pub(super) enum Message {
    Record(Entry),
    /// Asks if the journal is still in its place, at times when nothing is recorded.
    Look,
    /// End of the messages; all before it are on disk when the thread ends.
    Close,
}

/// Result of appending a batch that was not refused.
enum Appended {
    Whole,
    /// Another connection wrote to the journal, so the batch was not written: see [`Begun::WrittenByOthers`].
    WrittenByOthers(i64),
}

/// State of the writing thread.
pub(super) struct Writer {
    journal: Journal,
    log: Box<dyn Log>,
    /// Leave for changes; withdrawn when nothing more can be recorded.
    hold: Hold,
    run: RunKey,
    observers: Vec<Box<dyn Observer>>,
    /// `None` once the journal was seen to be lost, and where nobody watches it.
    watch: Option<Watch>,
    /// The journal takes nothing more, and what is still heard of what was sent goes here.
    apart: Option<Apart>,
    save_to: Option<PathBuf>,
    /// The first step that could not have happened. The run went on without it, and ends with it.
    refused: Option<IllegalStep>,
    /// The stop of the run that has to be recorded because the journal is lost.
    stop: Option<RunEvent>,
    /// The launch has ended, so that nothing of it can be stopped.
    ended: bool,
    /// Time of the last question why the log is so large.
    asked: Option<Instant>,
    told_of_log: bool,
    comparison: Comparison,
}

/// Bound of the cost of comparing the journal with itself where others write to it all the time: launches of other runs.
#[derive(Default)]
struct Comparison {
    /// Others wrote since the last comparison.
    is_due: bool,
    /// Earliest time of the next comparison; `None` allows it at any time.
    not_before: Option<Instant>,
}

/// Minimum pause between two comparisons of the journal with its events, as a multiple of the time that the last one took.
const COMPARED_EVERY: u32 = 20;

impl Writer {
    pub(super) fn new(
        journal: Journal,
        log: Box<dyn Log>,
        run: RunKey,
        observers: Vec<Box<dyn Observer>>,
        watch: Option<Watch>,
    ) -> Self {
        Self {
            journal,
            hold: log.hold(),
            log,
            run,
            observers,
            watch,
            apart: None,
            save_to: None,
            refused: None,
            stop: None,
            ended: false,
            asked: None,
            told_of_log: false,
            comparison: Comparison::default(),
        }
    }

    /// Returns the leave for changes, which this writer withdraws when nothing more can be recorded.
    pub(super) fn hold(&self) -> Hold {
        self.hold.clone()
    }

    /// Writes what comes until it is told to end, or until nothing more can be recorded. Returns the first reason for which an event
    /// was not recorded.
    pub(super) fn serve(mut self, messages: mpsc::Receiver<Message>) -> Result<(), JournalError> {
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
                if open && batch.n_callers() < BATCH {
                    next = messages.try_recv().ok();
                }
            }
            // Withdrawn before the batch is dropped, which is how its callers hear of it.
            self.write(&mut batch).inspect_err(|_| self.hold.withdraw())?;
        }
        Ok(())
    }

    fn write(&mut self, batch: &mut Batch) -> Result<(), JournalError> {
        batch.date();
        if self.watch.as_ref().is_some_and(|watch| !watch.place.is_as_long()) {
            self.look_where_it_is()?;
        }
        // An error drops the callers' senders unused, and so tells everyone who waits: what is not recorded is not sent.
        self.put(batch)?;
        self.look_where_it_is()?;
        self.record_stop()?;
        batch.acknowledge();
        Ok(())
    }

    /// Records a batch where records go now. Entries that cannot have happened are refused to their callers and taken out of it.
    fn put(&mut self, batch: &mut Batch) -> Result<(), JournalError> {
        let mut was_asked = false;
        loop {
            if !batch.is_in_log {
                self.record_stop()?;
            }
            if let Some(apart) = &mut self.apart {
                return apart.take(batch);
            }
            if batch.is_empty() {
                return self.hold_run(batch);
            }
            // Whoever can write the file can write into rows that were read before they were agreed to, and are sent later.
            if self.comparison.is_due && !self.compare(batch)? {
                continue;
            }
            match self.append(batch) {
                Ok(Appended::Whole) => return self.told_of(batch),
                Ok(Appended::WrittenByOthers(number)) => {
                    self.journal.trust_others(number);
                    self.comparison.is_due = true;
                }
                // The log holds it, so that no caller may hear that it was refused.
                Err(error @ NotAppended::Illegal(_)) if batch.is_in_log => return Err(error.into()),
                // A step that cannot have happened may be due to a journal that is lost. One answer holds for the whole batch.
                Err(NotAppended::Illegal(Illegal { nth, step })) => {
                    let is_lost = !was_asked && self.is_lost_by(&step.clone().into())?;
                    was_asked = true;
                    if !is_lost {
                        batch.refuse(nth);
                        self.refused.get_or_insert(step);
                    }
                }
                Err(NotAppended::Unanswered) => {
                    self.log.settle(None).map_err(NotAppended::from)?;
                    batch.is_in_log = true;
                }
                // Another writer goes on with the run, and looks at what this one left open.
                Err(error @ (NotAppended::Replaced | NotAppended::Log(_))) => return Err(error.into()),
                Err(NotAppended::Journal(error)) => self.go_elsewhere(error)?,
                Err(NotAppended::NotProjected(error)) => {
                    batch.is_in_log = true;
                    self.go_elsewhere(error)?;
                }
            }
        }
    }

    /// Commits nothing, for callers who ask only if the run is still held. The journal is not asked.
    fn hold_run(&mut self, batch: &Batch) -> Result<(), JournalError> {
        match batch.n_callers() {
            0 => Ok(()),
            _ => commit_patiently(&mut *self.log, &Stamped::default()).map_err(|why| NotAppended::from(why).into()),
        }
    }

    /// Tells the observers of a batch that is on disk.
    fn told_of(&mut self, batch: &mut Batch) -> Result<(), JournalError> {
        if batch.begins_launch() {
            // A copy of the file alone is known from here on for what it is: it says that a launch goes on.
            self.journal.write_back()?;
        }
        for (event, source) in batch.with_sources() {
            self.ended |= matches!(event.kind, EventKind::Run(RunEvent::LaunchEnded { .. }));
            tell(&mut self.observers, event, source);
        }
        Ok(())
    }

    fn append(&mut self, batch: &mut Batch) -> Result<Appended, NotAppended> {
        match self.journal.begin_append_alone(self.run)? {
            Begun::Append(to) => {
                let appended = if batch.is_in_log {
                    append_committed(to, &mut batch.events)
                } else {
                    append(to, &mut *self.log, &mut batch.events)
                };
                appended.map(|()| Appended::Whole)
            }
            Begun::WrittenByOthers(number) => Ok(Appended::WrittenByOthers(number)),
        }
    }

    /// Compares the run with its beginning and its events, unless that was done just now and the batch is about rows alone. False: it is
    /// not what it was, and records go elsewhere.
    fn compare(&mut self, batch: &Batch) -> Result<bool, JournalError> {
        let Some(watch) = &self.watch else {
            self.comparison.is_due = false;
            return Ok(true);
        };
        let began = Instant::now();
        if !batch.is_of_run() && self.comparison.not_before.is_some_and(|not_before| began < not_before) {
            return Ok(true);
        }
        if let Err(how) = (watch.compare)(&self.journal) {
            let path = watch.place.path().to_owned();
            self.lose(&Gone::File { path, how })?;
            return Ok(false);
        }
        self.comparison =
            Comparison { is_due: false, not_before: Some(Instant::now() + began.elapsed() * COMPARED_EVERY) };
        Ok(true)
    }

    /// Has records go elsewhere after an append that failed because the journal is lost; returns any other error.
    fn go_elsewhere(&mut self, error: JournalError) -> Result<(), JournalError> {
        if self.is_lost_by(&error)? { Ok(()) } else { Err(error) }
    }

    /// Tells if an append failed because the journal no longer holds what was written to it. Records go elsewhere from then on.
    fn is_lost_by(&mut self, error: &JournalError) -> Result<bool, JournalError> {
        if self.watch.is_none() {
            return Ok(false);
        }
        self.look_where_it_is()?;
        let Some(watch) = &self.watch else { return Ok(true) };
        let why = match error.is_about_content() {
            true => error.to_string(),
            false if error.may_be_about_content() => match (watch.check)(&self.journal) {
                Ok(()) => return Ok(false),
                Err(why) => why,
            },
            false => return Ok(false),
        };
        let path = watch.place.path().to_owned();
        self.lose(&Gone::File { path, how: How::Unlike(why) })?;
        Ok(true)
    }

    /// Looks at the journal's files: after each commit, before anybody hears of it, and before a commit that would hide what happened since
    /// the last one. Records go elsewhere where they are lost.
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

    /// Stops the run. What is open is recorded to the end where it was begun if that is whole, so that it can be saved from
    /// there, else in a copy, else apart.
    fn lose(&mut self, gone: &Gone) -> Result<(), JournalError> {
        let Some(watch) = self.watch.take() else { return Ok(()) };
        match (watch.gone)(&self.journal, &watch.place, gone) {
            Rescue::AtTheEnd(path) => self.save_to = Some(path),
            Rescue::In(journal) => self.journal = *journal,
            Rescue::Apart => {
                self.apart = Some(Apart::new(watch.kept, watch.sent));
                return Ok(());
            }
            Rescue::Nowhere if gone.is_elsewhere() => (),
            Rescue::Nowhere => return Err(JournalError::NotOurs),
        }
        self.stop = Some(RunEvent::DrainBegan { reason: DrainReason::JournalGone, why: Some(gone.to_string()) });
        Ok(())
    }

    /// Records that the run stops because its journal is lost, if that is so, was not recorded yet, and the launch has not ended.
    fn record_stop(&mut self) -> Result<(), JournalError> {
        let Some(stop) = self.stop.take().filter(|_| !self.ended) else { return Ok(()) };
        let stopped = append_of_run(&mut self.journal, &mut *self.log, self.run, stop, None)?;
        self.tell(&stopped);
        Ok(())
    }

    /// Tells the observers of an event that is about no row.
    pub(super) fn tell(&mut self, event: &Event) {
        tell(&mut self.observers, event, None);
    }

    /// Names the readers that keep the log from being begun anew, if another process has read in it for long. Readers of our own finish
    /// soon.
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

/// Tells observers of an event. One that fails is dropped and never stops a run.
fn tell(observers: &mut Vec<Box<dyn Observer>>, event: &Event, source: Option<&SourceId>) {
    observers.retain_mut(|observer| observer.on_event(event, source).is_ok());
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use jiff::Timestamp;
    use tokio::sync::oneshot;

    use super::*;
    use crate::event::lane::LaneId;
    use crate::event::row::RowEvent;
    use crate::journal::place::JournalFiles;
    use crate::journal::stored::EventOrder;
    use crate::log::alone::Alone;
    use crate::log::memory::{Memory, Shared};
    use crate::log::suite::{lines_of, make_run};
    use crate::model::RowId;
    use crate::model::state::TargetState;
    use crate::recorder::batch::Recorded;
    use crate::recorder::kept::Kept;
    use crate::recorder::refusal::NotRecorded;
    use crate::recorder::sent::Sent;

    fn writer(path: &Path, log: Box<dyn Log>) -> Writer {
        make_run(path);
        let mut journal = Journal::open(path).unwrap();
        journal.mind_heads();
        let run = journal.runs().unwrap()[0].key;
        Writer::new(journal, log, run, Vec::new(), None)
    }

    /// A watch that finds the journal whole or damaged when it is asked. A damaged one is given up for a copy that was made beforehand.
    fn watch(path: &Path, check: impl Fn() -> Result<(), String> + Send + 'static) -> Watch {
        let rescue = path.with_extension("copy");
        Journal::open_to_read(path).unwrap().copy_to(&rescue).unwrap();
        Watch {
            place: JournalFiles::at(path).unwrap(),
            gone: Box::new(move |journal, _, _| {
                let mut copy = Journal::open(&rescue).unwrap();
                assert!(journal.goes_on_in(&mut copy).unwrap());
                Rescue::In(Box::new(copy))
            }),
            check: Box::new(move |_| check()),
            compare: Box::new(|_| Ok(())),
            kept: Kept::nothing(),
            sent: Sent::default(),
            held: Box::new(|_, _| ()),
        }
    }

    fn begun(row: u32, attempt: u32) -> EventKind {
        RowEvent::AttemptStarted { attempt, sends: TargetState::default() }.about(RowId(row))
    }

    fn seen(row: u32) -> EventKind {
        RowEvent::Seen { seen: None }.about(RowId(row))
    }

    /// Writes entries, each of a lane, as one batch. Returns the answers to their callers.
    fn write(writer: &mut Writer, entries: Vec<(u32, Vec<EventKind>)>) -> Vec<Recorded> {
        let (mut batch, mut answers) = (Batch::default(), Vec::new());
        for (lane, kinds) in entries {
            let (ack, answer) = oneshot::channel();
            batch.push(Entry { lane: LaneId(lane), kinds, at: None, source: None, ack });
            answers.push(answer);
        }
        writer.write(&mut batch).unwrap();
        answers.into_iter().map(|answer| answer.blocking_recv().unwrap()).collect()
    }

    #[test]
    fn a_history_that_cannot_have_happened_is_refused_to_its_lane_and_to_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(&folder.path().join("j.db"), Box::new(Alone));
        // Rows of odd numbers are in lane 1. Row 2 is begun with its third attempt.
        let entries = vec![
            (1, vec![seen(1), begun(1, 1)]),
            (2, vec![seen(2), begun(2, 3)]),
            (2, vec![seen(4)]),
            (1, vec![seen(3)]),
        ];
        assert_eq!(write(&mut writer, entries), [Ok(()), Err(NotRecorded::ToLane), Ok(()), Ok(())]);
        let heads = writer.journal.heads(writer.run).unwrap();
        let numbers: Vec<(LaneId, u64)> = heads.into_iter().map(|(lane, seq, _)| (lane, seq)).collect();
        assert_eq!(numbers, [(LaneId::RUN, 1), (LaneId(1), 3), (LaneId(2), 1)]);
        // The launch ends with it all the same.
        let (_, messages) = mpsc::channel(1);
        assert!(matches!(writer.serve(messages), Err(JournalError::Illegal(step)) if step.row == RowId(2)));
    }

    #[test]
    fn no_event_of_a_batch_is_told_to_be_older_than_the_last_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(&folder.path().join("j.db"), Box::new(Alone));
        let (mut batch, began) = (Batch::default(), Timestamp::now());
        let entry =
            |row| Entry { lane: LaneId(1), kinds: vec![seen(row)], at: None, source: None, ack: oneshot::channel().0 };
        batch.push(entry(1));
        while Timestamp::now().as_millisecond() <= began.as_millisecond() {}
        let came = Event::time(Timestamp::now());
        batch.push(entry(3));
        writer.write(&mut batch).unwrap();
        let mut times = Vec::new();
        let read = writer.journal.for_each_stored_event(writer.run, EventOrder::ByLane, |event| {
            times.extend((event.lane == LaneId(1)).then_some(event.at_ms));
            Ok::<(), JournalError>(())
        });
        read.unwrap();
        assert!(times.len() == 2 && times.iter().all(|at_ms| *at_ms >= came.as_millisecond()), "{times:?}");
    }

    #[test]
    fn a_batch_with_several_refusals_has_the_journal_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.db");
        let mut writer = writer(&path, Box::new(Alone));
        let n_checks = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&n_checks);
        writer.watch = Some(watch(&path, move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }));
        let refused = || (2, vec![begun(2, 3)]);
        let answers = write(&mut writer, vec![refused(), (1, vec![seen(1)]), refused(), refused()]);
        let no = Err(NotRecorded::ToLane);
        assert_eq!(answers, [no, Ok(()), no, no]);
        assert_eq!(n_checks.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_the_log_has_is_not_committed_again_when_the_journal_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.db");
        let shared = Shared::default();
        let mut writer = writer(&path, Box::new(Memory::new(&shared)));
        writer.watch = Some(watch(&path, || Err("it is damaged".to_owned())));
        // Somebody has written an event of this number already.
        let occupy = "INSERT INTO event (run, lane, seq, at, kind, row, detail, prev, hash)
             SELECT run, 2, 1, 0, 'row_seen', 2, '{}', zeroblob(32), zeroblob(32) FROM run";
        rusqlite::Connection::open(&path).unwrap().execute(occupy, []).unwrap();
        assert_eq!(write(&mut writer, vec![(1, vec![seen(1), begun(1, 1)]), (2, vec![seen(2)])]), [Ok(()), Ok(())]);
        // The stop is recorded behind what the log had taken.
        let kinds = || shared.lines().iter().map(|line| line.kind.clone()).collect::<Vec<_>>();
        assert_eq!(kinds(), ["row_seen", "attempt_started", "row_seen", "drain_began"]);
        assert_eq!(write(&mut writer, vec![(2, vec![seen(4)])]), [Ok(())]);
        assert_eq!(kinds().len(), 5);
        let heads = writer.journal.heads(writer.run).unwrap();
        let numbers: Vec<u64> = heads.into_iter().map(|(_, seq, _)| seq).collect();
        assert_eq!(numbers, [2, 2, 2], "the copy has what the log has");
    }

    #[test]
    fn a_log_that_does_not_answer_keeps_no_other_run_from_the_journal_and_its_batch_is_recorded_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.db");
        let shared = Shared::default();
        let mut writer = writer(&path, Box::new(Memory::new(&shared)));
        shared.cut();
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| write(&mut writer, vec![(1, vec![seen(1), begun(1, 1)]), (2, vec![seen(2)])]));
            shared.wait_until_missed();
            let other = rusqlite::Connection::open(&path).unwrap();
            other.busy_timeout(Duration::from_secs(1)).unwrap();
            let of_other = other.execute_batch("BEGIN IMMEDIATE; UPDATE run SET plan_path = 'other.csv'; COMMIT");
            let is_open = shared.lines().is_empty() && !writing.is_finished();
            shared.mend();
            assert!(of_other.is_ok() && is_open, "{of_other:?}");
            assert_eq!(writing.join().unwrap(), [Ok(()), Ok(())]);
        });
        let kinds: Vec<String> = shared.lines().iter().map(|line| line.kind.clone()).collect();
        assert_eq!(kinds, ["row_seen", "attempt_started", "row_seen"]);
        assert_eq!(lines_of(&writer.journal, writer.run)[1..], *shared.lines());
        assert_eq!(write(&mut writer, vec![(2, vec![seen(4)])]), [Ok(())]);
    }

    #[test]
    fn where_another_writer_took_the_run_over_nothing_more_is_recorded_or_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.db");
        let shared = Shared::default();
        let log = Memory::new(&shared);
        let hold = log.hold();
        let mut writer = writer(&path, Box::new(log));
        writer.watch = Some(watch(&path, || Ok(())));
        assert_eq!(write(&mut writer, vec![(1, vec![seen(1)])]), [Ok(())]);
        assert!(hold.is_held());
        // Another one commits behind it.
        let other = folder.path().join("other.db");
        writer.journal.copy_to(&other).unwrap();
        let mut second =
            Writer::new(Journal::open(&other).unwrap(), Box::new(Memory::new(&shared)), writer.run, Vec::new(), None);
        assert_eq!(write(&mut second, vec![(1, vec![begun(1, 1)])]), [Ok(())]);
        for _ in 0..2 {
            let (ack, answer) = oneshot::channel();
            let mut batch = Batch::default();
            batch.push(Entry { lane: LaneId(1), kinds: vec![begun(1, 1)], at: None, source: None, ack });
            assert!(matches!(writer.write(&mut batch), Err(JournalError::Replaced)));
            drop(batch);
            assert!(answer.blocking_recv().is_err(), "the caller hears of it");
            assert!(!hold.is_held());
        }
        assert_eq!(shared.lines().len(), 2);
    }
}
