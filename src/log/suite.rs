//! Rules that every log has to keep, together with the journal that stands behind it. A further log gets a [`Subject`] and a line as at
//! the foot of this file.

use std::path::PathBuf;

use jiff::Timestamp;

use super::alone::Alone;
use super::appending::{NotAppended, append_to};
use super::making;
use super::memory::{LogLine, Memory, Shared};
use super::seam::{Log, commit_patiently};
use crate::digest::Digester;
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::lane::LaneId;
use crate::event::outcome::Outcome;
use crate::event::row::RowEvent;
use crate::event::run::RunEvent;
use crate::journal::new_run::{NewLane, NewRun, NewlyMade};
use crate::journal::stamped::Stamped;
use crate::journal::stored::EventOrder;
use crate::journal::{Journal, JournalError, RunKey};
use crate::model::state::TargetState;
use crate::model::words::Word;
use crate::model::{Row, RowId, SourceId};
use crate::waves::Terms;

const N_ROWS: u32 = 40;

/// A run of two accounts behind a log. Rows of odd numbers are in lane 1, the others in lane 2.
pub(crate) trait Subject: Sized {
    /// Makes the run and its log; `None` on a machine that lacks what the log needs.
    fn new() -> Option<Self>;

    /// A further writer, who goes on behind all that is there.
    fn writer(&self) -> SuiteWriter;

    /// All that was committed, as whoever begins anew reads it, lane by lane.
    fn lines(&self) -> Vec<LogLine>;
}

/// A journal and the log before it, as a recorder holds them.
pub(crate) struct SuiteWriter {
    pub(crate) journal: Journal,
    pub(crate) log: Box<dyn Log>,
    pub(crate) run: RunKey,
}

impl SuiteWriter {
    pub(crate) fn new(mut journal: Journal, log: Box<dyn Log>) -> Self {
        journal.mind_heads();
        let run = journal.runs().unwrap()[0].key;
        Self { journal, log, run }
    }

    pub(crate) fn append(&mut self, events: &mut [Event]) -> Result<(), NotAppended> {
        append_to(&mut self.journal, &mut *self.log, self.run, events, None)
    }

    /// Tells if the run is held, after a commit without events where that is needed. One that took long gives no leave.
    fn holds_run(&mut self) -> bool {
        let hold = self.log.hold();
        let mut holds_again = || {
            commit_patiently(&mut *self.log, &Stamped::default()).unwrap();
            hold.is_held()
        };
        hold.is_held() || (0..20).any(|_| holds_again())
    }

    /// Asserts that the events of each lane in the journal are the first ones of that lane in the log.
    fn is_behind(&self, subject: &impl Subject) {
        let all = subject.lines();
        let own = lines_of(&self.journal, self.run);
        for lane in [LaneId::RUN, LaneId(1), LaneId(2)] {
            let of = |lines: &[LogLine]| lines.iter().filter(|line| line.lane == lane).cloned().collect::<Vec<_>>();
            assert!(of(&all).starts_with(&of(&own)), "lane {lane}: {own:#?} is not what the log begins with: {all:#?}");
        }
    }
}

struct OfAlone {
    folder: tempfile::TempDir,
}

impl Subject for OfAlone {
    fn new() -> Option<Self> {
        let subject = Self { folder: tempfile::tempdir().unwrap() };
        make_run(&subject.path());
        Some(subject)
    }

    fn writer(&self) -> SuiteWriter {
        SuiteWriter::new(Journal::open(&self.path()).unwrap(), Box::new(Alone))
    }

    fn lines(&self) -> Vec<LogLine> {
        let journal = Journal::open_to_read(&self.path()).unwrap();
        lines_of(&journal, journal.runs().unwrap()[0].key)
    }
}

impl OfAlone {
    fn path(&self) -> PathBuf {
        self.folder.path().join("j.db")
    }
}

struct OfMemory {
    shared: Shared,
    made: Made,
}

impl Subject for OfMemory {
    fn new() -> Option<Self> {
        let shared = Shared::default();
        let made = Made::behind(&mut Memory::new(&shared));
        Some(Self { shared, made })
    }

    fn writer(&self) -> SuiteWriter {
        let (mut journal, run) = self.made.journal();
        let lines = self.shared.lines().clone();
        // All but the one with which it was made.
        journal.append_stamped(run, &lines.iter().skip(1).map(LogLine::stored).collect::<Vec<_>>()).unwrap();
        SuiteWriter::new(journal, Box::new(Memory::new(&self.shared)))
    }

    fn lines(&self) -> Vec<LogLine> {
        let mut lines = self.shared.lines().clone();
        lines.sort_by_key(|line| (line.lane, line.seq));
        lines
    }
}

/// A run as it was made. Each writer has a journal of its own, to be brought up to where the log is.
pub(crate) struct Made(tempfile::TempDir);

impl Made {
    /// Makes a run whose log has nothing yet.
    pub(crate) fn behind(log: &mut dyn Log) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_run_behind(&folder.path().join("made.db"), log).unwrap();
        Self(folder)
    }

    pub(crate) fn journal(&self) -> (Journal, RunKey) {
        let nth = std::fs::read_dir(self.0.path()).unwrap().count();
        let path = self.0.path().join(format!("{nth}.db"));
        Journal::open_to_read(&self.0.path().join("made.db")).unwrap().copy_to(&path).unwrap();
        let journal = Journal::open(&path).unwrap();
        let run = journal.runs().unwrap()[0].key;
        (journal, run)
    }
}

/// Makes a journal with one run of two accounts, which is its own log.
pub(crate) fn make_run(path: &std::path::Path) {
    make_run_behind(path, &mut Alone).unwrap();
}

/// Makes a journal with one run of two accounts behind a log.
fn make_run_behind(path: &std::path::Path, log: &mut dyn Log) -> Result<NewlyMade, JournalError> {
    let lane = |name: &str| NewLane {
        name: name.to_owned(),
        endpoint: "sandbox".to_owned(),
        account: name.to_owned(),
        takes_unnamed: false,
    };
    let row = |n: u32| Row {
        id: RowId(n),
        line: n + 1,
        file: None,
        source_id: SourceId::new(&format!("vm-{n}")).unwrap(),
        wants: TargetState { copystate: Some(Word::new("stopped")), migrationcycle: None },
        expects: TargetState::default(),
        wave: None,
        account: Some(if n % 2 == 1 { "one" } else { "two" }.to_owned()),
        name: None,
        note: None,
        extra: Vec::new(),
    };
    let mut digester = Digester::new();
    (1..=N_ROWS).for_each(|n| _ = digester.row(&row(n)));
    let new = NewRun {
        id: "r1",
        made_at: Timestamp::UNIX_EPOCH,
        plan_path: "plan.csv",
        plan_digest: &digester.finish().to_string(),
        n_rows: N_ROWS,
        lanes: &[lane("one"), lane("two")],
        settings: &serde_json::json!({}),
        given: std::collections::BTreeMap::new(),
        terms: &Terms::default(),
        run_key: None,
    };
    let mut journal = Journal::open(path).unwrap();
    making::make_run(&mut journal, log, &new, |sink| (1..=N_ROWS).try_for_each(|n| sink.row(&row(n), None)))
}

/// Returns the events that the journal holds, lane by lane.
pub(crate) fn lines_of(journal: &Journal, run: RunKey) -> Vec<LogLine> {
    let mut lines = Vec::new();
    let read = journal.for_each_stored_event(run, EventOrder::ByLane, |event| {
        lines.push(LogLine::new(&event));
        Ok::<(), JournalError>(())
    });
    read.unwrap();
    lines
}

fn event(lane: LaneId, kind: EventKind) -> Event {
    Event::unnumbered(lane, Some(Timestamp::UNIX_EPOCH), kind)
}

fn lane_of(row: u32) -> LaneId {
    LaneId(2 - row % 2)
}

/// An event that may follow any other one.
pub(crate) fn waited() -> Event {
    event(LaneId::RUN, RunEvent::WaitEnded.into())
}

pub(crate) fn seen(row: u32) -> Event {
    event(lane_of(row), RowEvent::Seen { seen: None }.about(RowId(row)))
}

pub(crate) fn begun(row: u32) -> Event {
    let begun = RowEvent::AttemptStarted { attempt: 1, sends: TargetState::default() };
    event(lane_of(row), begun.about(RowId(row)))
}

pub(crate) fn ended(row: u32) -> Event {
    let outcome = Outcome::Accepted { status: 200 };
    let ended =
        RowEvent::AttemptEnded { attempt: 1, outcome, request_id: Some("☃\"".to_owned()), took_ms: 1, via: None };
    event(lane_of(row), ended.about(RowId(row)))
}

pub(crate) fn what_is_committed_is_found_to_the_letter<S: Subject>() {
    let Some(subject) = S::new() else { return };
    let mut batches = Vec::new();
    let mut writer = subject.writer();
    // More than one statement of the journal takes, with a rest; then a few; then one.
    let all = (1..=N_ROWS).map(seen).chain((1..=N_ROWS).map(begun));
    batches.push(all.chain([waited()]).collect::<Vec<_>>());
    batches.push(vec![ended(1), ended(2), ended(3)]);
    batches.push(vec![ended(4)]);
    for batch in &mut batches {
        writer.append(batch).unwrap();
    }
    let mut expected: Vec<(LaneId, u64, EventKind)> =
        batches.concat().into_iter().map(|event| (event.lane, event.seq, event.kind)).collect();
    expected.sort_by_key(|(lane, seq, _)| (*lane, *seq));
    let found: Vec<(LaneId, u64, EventKind)> =
        subject.lines().iter().map(|line| (line.lane, line.seq, line.stored().read().unwrap())).collect();
    assert!(matches!(found[0].2, EventKind::Run(RunEvent::Started { .. })), "the run is made by the first of all");
    assert_eq!(found[1..], expected);
    assert_eq!(lines_of(&writer.journal, writer.run), subject.lines());
    for pair in subject.lines().windows(2).filter(|pair| pair[0].lane == pair[1].lane) {
        assert_eq!((pair[1].seq, pair[1].prev), (pair[0].seq + 1, pair[0].hash));
    }
}

pub(crate) fn a_batch_that_cannot_have_happened_leaves_nothing<S: Subject>() {
    let Some(subject) = S::new() else { return };
    let mut writer = subject.writer();
    writer.append(&mut [seen(1), begun(1)]).unwrap();
    let before = subject.lines();
    let refused = writer.append(&mut [ended(1), seen(3), ended(2)]).unwrap_err();
    assert!(matches!(&refused, NotAppended::Illegal(illegal) if illegal.nth == 2), "{refused:?}");
    assert_eq!(subject.lines(), before);
    writer.is_behind(&subject);
    // The others are appended without it.
    writer.append(&mut [ended(1), seen(3)]).unwrap();
    assert_eq!(subject.lines().len(), before.len() + 2);
    assert_eq!(lines_of(&writer.journal, writer.run), subject.lines());
}

pub(crate) fn a_writer_that_was_replaced_commits_nothing_more<S: Subject>() {
    let Some(subject) = S::new() else { return };
    let mut first = subject.writer();
    first.append(&mut [seen(1), begun(1)]).unwrap();
    let mut second = subject.writer();
    second.append(&mut [ended(1), seen(3)]).unwrap();
    let taken = subject.lines();
    for _ in 0..2 {
        match first.append(&mut [ended(1)]).unwrap_err() {
            NotAppended::Replaced => assert!(!first.log.hold().is_held(), "nothing leaves any more"),
            NotAppended::Journal(JournalError::NotOurs) => (),
            other => panic!("{other:?}"),
        }
        assert_eq!(subject.lines(), taken);
        first.is_behind(&subject);
    }
    second.append(&mut [begun(3)]).unwrap();
    assert_eq!(subject.lines().len(), taken.len() + 1);
}

pub(crate) fn a_writer_that_nobody_replaced_holds_the_run<S: Subject>() {
    let Some(subject) = S::new() else { return };
    let mut writer = subject.writer();
    let before = subject.lines().len();
    assert!(writer.holds_run());
    writer.append(&mut [seen(1), begun(1)]).unwrap();
    assert!(writer.holds_run());
    assert_eq!(subject.lines().len(), before + 2, "a commit without events adds none");
}

macro_rules! keeps_the_rules {
    ($name:ident: $Subject:ty) => {
        mod $name {
            #[test]
            fn what_is_committed_is_found_to_the_letter() {
                $crate::log::suite::what_is_committed_is_found_to_the_letter::<$Subject>();
            }

            #[test]
            fn a_batch_that_cannot_have_happened_leaves_nothing() {
                $crate::log::suite::a_batch_that_cannot_have_happened_leaves_nothing::<$Subject>();
            }

            #[test]
            fn a_writer_that_was_replaced_commits_nothing_more() {
                $crate::log::suite::a_writer_that_was_replaced_commits_nothing_more::<$Subject>();
            }

            #[test]
            fn a_writer_that_nobody_replaced_holds_the_run() {
                $crate::log::suite::a_writer_that_nobody_replaced_holds_the_run::<$Subject>();
            }
        }
    };
}

#[cfg(feature = "cluster")]
pub(crate) use keeps_the_rules;

keeps_the_rules!(alone: super::OfAlone);
keeps_the_rules!(memory: super::OfMemory);

#[test]
fn a_run_that_its_log_does_not_take_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let shared = Shared::default();
    let mut late = Memory::new(&shared);
    make_run_behind(&folder.path().join("first.db"), &mut Memory::new(&shared)).unwrap();
    let path = folder.path().join("late.db");
    assert!(matches!(make_run_behind(&path, &mut late), Err(JournalError::Replaced)));
    assert!(Journal::open_to_read(&path).unwrap().runs().unwrap().is_empty());
    let kinds: Vec<String> = shared.lines().iter().map(|line| line.kind.clone()).collect();
    assert_eq!(kinds, ["run_started"]);
}
