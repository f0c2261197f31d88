//! The journal's promises, on real files.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::chain::Hash;
use super::new_run::{NewLane, NewRun};
use super::read::rows::Which;
use super::tombstone::{Archive, Tombstone};
use super::*;
use crate::control::{By, Command};
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::lane::{LaneEvent, LaneId};
use crate::event::outcome::Outcome;
use crate::event::row::RowEvent;
use crate::event::rules::Rules;
use crate::event::run::RunEvent;
use crate::event::stored::{Stored, from_stored_form, stored_form};
use crate::event::verdict::{Ground, Verdict};
use crate::exit::Exit;
use crate::ledger::standing::{LastWord, Phase, Standing};
use crate::model::state::{SeenState, TargetState};
use crate::model::words::Word;
use crate::model::{Row, RowId, SourceId};
use crate::waves::Part;

struct JournalLab {
    folder: tempfile::TempDir,
    journal: Journal,
    run: RunKey,
}

impl JournalLab {
    fn new(n_rows: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&folder.path().join("j.db")).unwrap();
        let run = make(&mut journal, "run-1", n_rows);
        Self { folder, journal, run }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("j.db")
    }

    fn lane(&mut self, kinds: Vec<EventKind>) -> Result<Vec<Event>, JournalError> {
        self.journal.append(self.run, kinds.into_iter().map(|kind| (LaneId::FIRST, kind)))
    }

    /// By a connection such as other people's: ours ask no views.
    fn count(&self, sql: &str) -> i64 {
        Connection::open(self.path()).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

fn one_lane() -> NewLane {
    NewLane {
        name: "default".to_owned(),
        endpoint: "sandbox".to_owned(),
        account: "default".to_owned(),
        takes_unnamed: true,
    }
}

fn make(journal: &mut Journal, id: &str, n_rows: u32) -> RunKey {
    make_by_key(journal, id, n_rows, None).unwrap()
}

fn make_by_key(journal: &mut Journal, id: &str, n_rows: u32, run_key: Option<&str>) -> Result<RunKey, JournalError> {
    let settings = serde_json::json!({});
    let new = NewRun {
        id,
        made_at: Timestamp::now(),
        plan_path: "plan.csv",
        plan_digest: "sha256:0",
        n_rows,
        lanes: &[one_lane()],
        settings: &settings,
        given: std::collections::BTreeMap::new(),
        terms: &crate::waves::Terms::default(),
        run_key,
    };
    journal
        .create_run(&new, |sink| {
            (1..=n_rows).try_for_each(|n| {
                let row = Row {
                    id: RowId(n),
                    line: n + 1,
                    file: (n == 3).then(|| "rows/third.csv".into()),
                    source_id: SourceId::new(&format!("vm-{n}")).unwrap(),
                    wants: TargetState { copystate: Some(Word::new("stopped")), migrationcycle: None },
                    expects: TargetState::default(),
                    wave: Some(if n % 2 == 1 { "odd" } else { "even" }.to_owned()),
                    account: None,
                    name: None,
                    note: Some("a note".to_owned()),
                    extra: vec![("ticket".to_owned(), n.to_string())],
                };
                sink.row(&row, None)
            })
        })
        .map(|made| made.run)
}

#[test]
fn a_run_key_names_one_run_of_the_journal() {
    let mut lab = JournalLab::new(1);
    let made = make_by_key(&mut lab.journal, "first", 1, Some("2026-11-28")).unwrap();
    let taken = make_by_key(&mut lab.journal, "second", 1, Some("2026-11-28")).unwrap_err();
    assert!(matches!(&taken, JournalError::KeyTaken { run, .. } if run == "first"), "{taken}");
    make_by_key(&mut lab.journal, "third", 1, Some("2026-11-29")).unwrap();
    let found = lab.journal.run_by_key("2026-11-28").unwrap().unwrap();
    assert_eq!((found.key, found.run_key.as_deref()), (made, Some("2026-11-28")));
    assert!(lab.journal.run_by_key("2026-11-2").unwrap().is_none());
    // Nothing that forgets to ask gets past the index, and the run that was refused left nothing.
    let raw = Connection::open(lab.path()).unwrap();
    raw.execute("UPDATE run SET run_key = '2026-11-28' WHERE id = 'third'", []).unwrap_err();
    assert_eq!((lab.count("SELECT count(*) FROM run"), lab.count("SELECT n_runs FROM journal")), (3, 3));
    assert_eq!(lab.count("SELECT count(*) FROM v_run WHERE run_key = '2026-11-29'"), 1);
}

/// Leaves a run as an earlier version did that was cut off before its first event.
fn forget(lab: &JournalLab, run: RunKey) {
    let raw = Connection::open(lab.path()).unwrap();
    raw.execute_batch("DROP TRIGGER IF EXISTS event_is_never_removed").unwrap();
    raw.execute("DELETE FROM event WHERE run = ?1", [run.0]).unwrap();
    raw.execute("UPDATE lane SET seq = 0 WHERE run = ?1", [run.0]).unwrap();
}

fn add(standing: &mut Standing, event: &Event) {
    let EventKind::Row(row, what) = &event.kind else { panic!("it is about no row: {event:?}") };
    standing.add(*row, what, event.at).unwrap();
}

fn seen(row: u32) -> EventKind {
    let seen = SeenState { copystate: Some(Word::new("syncing")), migrationcycle: Some(Word::new("syncing")) };
    RowEvent::Seen { seen: Some(seen) }.about(RowId(row))
}

fn started(row: u32, attempt: u32) -> EventKind {
    RowEvent::AttemptStarted { attempt, sends: TargetState::default() }.about(RowId(row))
}

fn ended(row: u32, outcome: Outcome) -> EventKind {
    RowEvent::AttemptEnded { attempt: 1, outcome, request_id: Some("abc".to_owned()), took_ms: 3, via: None }
        .about(RowId(row))
}

fn settled(row: u32, verdict: Verdict) -> EventKind {
    RowEvent::Settled { verdict, seen: None, reason: None, ground: None }.about(RowId(row))
}

#[test]
fn rows_come_back_as_they_were_planned_and_stand_as_their_events_add_up() {
    let mut lab = JournalLab::new(3);
    lab.lane(vec![seen(2), started(2, 1)]).unwrap();
    lab.lane(vec![ended(2, Outcome::Accepted { status: 200 }), settled(2, Verdict::Applied)]).unwrap();
    let rows = lab.journal.page(lab.run, Which::All, None, 10).unwrap();
    assert_eq!(rows.len(), 3);
    let (row, standing) = &rows[1];
    assert_eq!((row.line, row.note.as_deref(), &row.extra[0].1), (3, Some("a note"), &"2".to_owned()));
    assert_eq!((standing.phase, standing.attempts), (Phase::Settled(Verdict::Applied), 1));
    assert_eq!(standing.before.as_ref().unwrap().to_string(), "syncing/syncing");
    assert_eq!((row.file.as_deref(), rows[2].0.file.as_deref()), (None, Some("rows/third.csv")));
    assert_eq!(rows[0].1, Standing::default());
    let folded = lab.journal.events_of_row(lab.run, RowId(2)).unwrap().iter().fold(
        Standing::default(),
        |mut standing, event| {
            add(&mut standing, event);
            standing
        },
    );
    assert_eq!(&folded, standing);
}

#[test]
fn the_last_word_of_a_row_is_stored_and_an_unknown_source_is_asked_of_its_events() {
    let lost = |status| Outcome::Lost { status: Some(status), code: None, cause: "a page".to_owned() };
    let rejected = || Outcome::Rejected { status: 400, code: None, message: "no".to_owned() };
    let throttled = Outcome::Throttled { status: None, retry_after_ms: None, quota: None, message: String::new() };
    let reopened = || RowEvent::Reopened { cause: "asked for".to_owned() }.about(RowId(1));
    let unknown = || RowEvent::Seen { seen: None }.about(RowId(1));
    let end = |attempt, outcome| {
        RowEvent::AttemptEnded { attempt, outcome, request_id: None, took_ms: 3, via: None }.about(RowId(1))
    };
    let refused = || vec![seen(1), started(1, 1), end(1, rejected()), settled(1, Verdict::Refused), reopened()];
    let then = |more: Vec<EventKind>| [refused(), more].concat();
    let accepted = Outcome::Accepted { status: 200 };
    let unverified = vec![started(1, 1), end(1, accepted), settled(1, Verdict::Unverified), reopened()];
    for (history, last_word, is_unknown) in [
        (vec![seen(1), started(1, 1), end(1, lost(400))], LastWord::Unsaid, false),
        (vec![seen(1), started(1, 1), end(1, rejected())], LastWord::No, false),
        (refused(), LastWord::No, false),
        (then(vec![started(1, 2), end(2, throttled)]), LastWord::No, false),
        (then(vec![started(1, 2), end(2, lost(403))]), LastWord::Unsaid, false),
        (unverified, LastWord::Yes, false),
        (then(vec![unknown()]), LastWord::No, true),
        (then(vec![unknown(), seen(1)]), LastWord::No, false),
        (then(vec![unknown(), settled(1, Verdict::Refused), reopened()]), LastWord::No, false),
    ] {
        let mut lab = JournalLab::new(1);
        lab.lane(history).unwrap();
        let stands = |lab: &JournalLab| lab.journal.page(lab.run, Which::All, None, 1).unwrap().remove(0).1;
        let standing = stands(&lab);
        let events = lab.journal.events_of_row(lab.run, RowId(1)).unwrap();
        let mut folded = Standing::default();
        for event in &events {
            add(&mut folded, event);
        }
        assert_eq!(standing, folded, "{events:?}");
        assert_eq!((standing.last_word, standing.unknown), (last_word, is_unknown), "{events:?}");

        lab.journal.conn.execute_batch("ALTER TABLE row DROP COLUMN last_word").unwrap();
        lab.journal.conn.execute_batch(include_str!("../../migrations/0008_last_word.sql")).unwrap();
        assert_eq!(stands(&lab), folded, "{events:?}");
    }
}

#[test]
fn a_wait_is_no_longer_than_it_was_asked_for_whatever_the_clock_says() {
    let mut lab = JournalLab::new(1);
    let asked_at = Timestamp::from_second(1_700_000_000).unwrap();
    let throttled = LaneEvent::ReadThrottled { request_id: None, retry_after_ms: Some(60_000) }.into();
    lab.journal.append_at(lab.run, [(LaneId::FIRST, Some(asked_at), throttled)]).unwrap();
    let left = |journal: &Journal, after: i64| {
        let now = asked_at + jiff::SignedDuration::from_secs(after);
        journal.cools_for("sandbox", "default", now).unwrap().as_secs()
    };
    for (after, expected) in [(0, 60), (10, 50), (61, 0), (-10, 60), (-86_400, 60)] {
        assert_eq!(left(&lab.journal, after), expected, "{after}");
    }
    // What was recorded since is time that has passed.
    let later = asked_at + jiff::SignedDuration::from_secs(20);
    lab.journal.append_at(lab.run, [(LaneId::FIRST, Some(later), seen(1))]).unwrap();
    assert_eq!(left(&lab.journal, -86_400), 40);
    assert!(lab.journal.cools_for("elsewhere", "default", asked_at).unwrap().is_zero());
}

#[test]
fn what_no_service_says_is_not_believed_whoever_said_it() {
    let mut lab = JournalLab::new(1);
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    let day_ms = 24 * 60 * 60 * 1000;
    for (per_second, is_believed) in [(5.0, true), (0.0, false), (-5.0, false), (1e-9, false), (0.5, true)] {
        let learned = LaneEvent::QuotaLearned { per_second, stated: true }.into();
        lab.journal.append_at(lab.run, [(LaneId::FIRST, Some(now), learned)]).unwrap();
        let quota = lab.journal.learned_quota("sandbox", "default").unwrap();
        assert_eq!(quota.map(|quota| quota.per_second), is_believed.then_some(per_second));
    }
    // A wait that is not believed neither counts nor ends another one.
    for (wait_ms, waits) in [(day_ms + 1, 0), (60_000, 60), (u64::MAX, 60), (day_ms, 86_400)] {
        let throttled = LaneEvent::ReadThrottled { request_id: None, retry_after_ms: Some(wait_ms) }.into();
        lab.journal.append_at(lab.run, [(LaneId::FIRST, Some(now), throttled)]).unwrap();
        assert_eq!(lab.journal.cools_for("sandbox", "default", now).unwrap().as_secs(), waits, "{wait_ms}");
    }
    lab.journal.conn.execute("UPDATE lane SET cooled_until = cooled_until - 1", []).unwrap();
    assert!(matches!(lab.journal.cools_for("sandbox", "default", now), Err(JournalError::Damaged(_))));
    lab.journal.conn.execute("UPDATE lane SET per_second = 0.4", []).unwrap();
    assert!(matches!(lab.journal.learned_quota("sandbox", "default"), Err(JournalError::Damaged(_))));
}

#[test]
fn what_was_learned_of_a_quota_outlives_the_run_that_learned_it() {
    let mut lab = JournalLab::new(1);
    let at = |second| Some(Timestamp::from_second(second).unwrap());
    let learned = |per_second| LaneEvent::QuotaLearned { per_second, stated: true }.into();
    let second = make_by_key(&mut lab.journal, "run-2", 1, Some("tonight")).unwrap();
    lab.journal.append_at(lab.run, [(LaneId::FIRST, at(1_700_000_000), learned(5.0))]).unwrap();
    lab.journal.append_at(second, [(LaneId::FIRST, at(1_700_000_100), learned(7.0))]).unwrap();
    let known = |journal: &Journal| journal.learned_quota("sandbox", "default").unwrap().map(|quota| quota.per_second);
    let mut bury = |run: RunKey| {
        let record = lab.journal.pruned_record(&lab.journal.run(run).unwrap()).unwrap();
        let tombstone = Tombstone {
            quotas: lab.journal.quotas_of_this_run_alone(run).unwrap(),
            run: record,
            archive: Archive { name: "a.zip".to_owned(), sha256: "0".to_owned(), bytes: 1 },
            pruned_at: Timestamp::now(),
            by: crate::control::By::default(),
            version: "0".to_owned(),
        };
        lab.journal.bury(run, &tombstone).unwrap();
        while lab.journal.clear_some_left(run.number()).unwrap() {}
        (tombstone.quotas.len(), known(&lab.journal))
    };
    // Of the first, a later run has learned better.
    assert_eq!(bury(RunKey(1)), (0, Some(7.0)));
    assert_eq!(bury(second), (1, Some(7.0)));
    assert!(lab.journal.tombstones().unwrap().iter().all(|stored| stored.is_whole));
    // The number of a run that left is not given to another, and neither is its key.
    let by_key = make_by_key(&mut lab.journal, "run-3", 1, Some("tonight")).map(drop);
    for found in [by_key, lab.journal.find_run("tonight").map(drop), lab.journal.find_run("run-2").map(drop)] {
        assert!(matches!(found, Err(JournalError::Pruned(tombstone)) if tombstone.run.id == "run-2"));
    }
    let third = make(&mut lab.journal, "run-3", 1);
    assert_eq!(third.number(), 3);
    let later = lab.journal.append_at(third, [(LaneId::FIRST, at(1_700_000_200), learned(6.0))]);
    assert_eq!((later.is_ok(), known(&lab.journal)), (true, Some(6.0)));
    assert!(matches!(lab.journal.run(second), Err(JournalError::Pruned(_))));
    for sql in ["UPDATE tombstone SET run = 9", "DELETE FROM tombstone"] {
        let error = Connection::open(lab.path()).unwrap().execute(sql, []).unwrap_err().to_string();
        assert!(error.contains("the journal is append-only"), "{error}");
    }
}

#[test]
fn an_impossible_history_is_refused_whole() {
    let mut lab = JournalLab::new(2);
    let error = lab.lane(vec![seen(1), started(2, 7)]).unwrap_err();
    assert!(matches!(error, JournalError::Illegal(_)), "{error}");
    assert_eq!(lab.count("SELECT count(*) FROM event WHERE lane = 1"), 0);
    assert_eq!(lab.count("SELECT sum(looked) FROM row"), 0);
    assert_eq!(lab.lane(vec![seen(1)]).unwrap()[0].seq, 1);
}

#[test]
fn events_are_never_changed_or_removed() {
    let mut lab = JournalLab::new(1);
    lab.lane(vec![seen(1)]).unwrap();
    // By whoever else opens it: our own connections ask for neither.
    let conn = Connection::open(lab.path()).unwrap();
    for sql in ["UPDATE event SET at = 0", "DELETE FROM event"] {
        let error = conn.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains("the journal is append-only"), "{error}");
    }
}

#[test]
fn each_lane_has_a_chain_of_its_own_from_its_genesis() {
    let mut lab = JournalLab::new(1);
    let ended = RunEvent::LaunchEnded { exit: Exit::Done, reason: None, elapsed_ms: 1, refusal: None }.into();
    lab.journal.append(lab.run, [(LaneId::RUN, ended), (LaneId::FIRST, seen(1))]).unwrap();
    lab.lane(vec![started(1, 1)]).unwrap();
    let heads = lab.journal.heads(lab.run).unwrap();
    assert_eq!(heads.iter().map(|(lane, seq, _)| (lane.0, *seq)).collect::<Vec<_>>(), [(0, 2), (1, 2)]);
    let prevs: Vec<(u32, Hash)> = lab
        .journal
        .conn
        .prepare("SELECT lane, prev FROM event WHERE seq = 1 ORDER BY lane")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for (lane, prev) in prevs {
        assert_eq!(prev, chain::genesis("run-1", LaneId(lane)));
    }
}

#[test]
fn what_is_left_comes_wave_by_wave() {
    let mut lab = JournalLab::new(5);
    lab.lane(vec![settled(3, Verdict::Blocked)]).unwrap();
    let waves = lab.journal.unsettled_stages_in(lab.run, LaneId::FIRST).unwrap();
    assert_eq!(waves, [(0, Part::Rest), (1, Part::Rest)]);
    assert_eq!(lab.journal.unsettled_by_lane(lab.run).unwrap(), [(LaneId::FIRST, 4)]);
    let odd = lab
        .journal
        .page(lab.run, Which::Unsettled { lane: LaneId::FIRST, wave_no: 0, part: Part::Rest }, None, 10)
        .unwrap();
    assert_eq!(odd.iter().map(|(row, _)| row.id.0).collect::<Vec<_>>(), [1, 5]);
}

#[test]
fn a_run_names_those_before_it_back_to_the_first_that_names_its_own() {
    let mut lab = JournalLab::new(1);
    let named = |journal: &Journal, run| {
        let found = journal.predecessors(run).unwrap().runs;
        found.iter().map(|named| (named.run.clone(), named.heads[0].1)).collect::<Vec<_>>()
    };
    let is = |run: &str, seq| (run.to_owned(), seq);
    assert_eq!(named(&lab.journal, lab.run), []);
    let [second, third, fourth] = ["run-2", "run-3", "run-4"].map(|id| make(&mut lab.journal, id, 1));
    assert_eq!(named(&lab.journal, fourth), [is("run-3", 1)]);
    assert_eq!(named(&lab.journal, second), [is("run-1", 1)]);
    // As earlier versions left those that had not begun, so that none is named by another one.
    for run in [lab.run, second] {
        forget(&lab, run);
    }
    assert_eq!(named(&lab.journal, third), [is("run-2", 0), is("run-1", 0)]);
}

#[test]
fn no_run_is_made_where_the_one_before_it_is_gone() {
    let mut lab = JournalLab::new(1);
    make(&mut lab.journal, "run-2", 1);
    lab.journal.conn.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM run WHERE run = 2").unwrap();
    let settings = serde_json::json!({});
    let new = NewRun {
        id: "run-3",
        made_at: Timestamp::now(),
        plan_path: "plan.csv",
        plan_digest: "sha256:0",
        n_rows: 0,
        lanes: &[one_lane()],
        settings: &settings,
        given: std::collections::BTreeMap::new(),
        terms: &crate::waves::Terms::default(),
        run_key: None,
    };
    let made = lab.journal.create_run(&new, |_| Ok::<(), JournalError>(()));
    assert!(matches!(made, Err(JournalError::Damaged(why)) if why.starts_with("2 runs were made")));
}

#[test]
fn a_reason_is_read_for_a_ground_only_where_an_earlier_version_wrote_it() {
    let kind = RowEvent::Settled {
        verdict: Verdict::Unverified,
        seen: None,
        reason: Some("verification is switched off".to_owned()),
        ground: None,
    }
    .about(RowId(1));
    for (rules, on_target) in [(Rules::First, 1), (Rules::Second, 1), (Rules::Third, 0)] {
        let mut lab = JournalLab::new(1);
        lab.journal.conn.execute("UPDATE run SET rules = ?1", [rules.name()]).unwrap();
        lab.lane(vec![kind.clone()]).unwrap();
        assert_eq!(lab.count("SELECT on_target FROM v_run"), on_target, "{rules:?}");
    }
}

#[test]
fn a_run_is_found_by_a_prefix_that_means_one() {
    let mut lab = JournalLab::new(1);
    make(&mut lab.journal, "run-2", 1);
    assert_eq!(lab.journal.launched().unwrap()[0].run.id, "run-2");
    assert_eq!(lab.journal.find_run("run-1").unwrap().id, "run-1");
    for n in 3..=9 {
        make(&mut lab.journal, &format!("run-{n}"), 1);
    }
    let Err(JournalError::AmbiguousRun { candidates, .. }) = lab.journal.find_run("run-") else {
        panic!("it means one of nine")
    };
    assert_eq!(candidates.len(), 9);
    assert!(matches!(lab.journal.find_run("%"), Err(JournalError::UnknownRun(_))));
}

#[test]
fn an_unfinished_run_is_one_with_a_row_without_a_verdict() {
    let mut lab = JournalLab::new(1);
    let unfinished = |lab: &JournalLab| lab.journal.unfinished("sha256:0", &[one_lane()]).unwrap();
    assert_eq!(unfinished(&lab).len(), 1);
    let other = NewLane { account: "other".to_owned(), ..one_lane() };
    assert!(lab.journal.unfinished("sha256:0", &[other]).unwrap().is_empty());
    lab.lane(vec![settled(1, Verdict::Already)]).unwrap();
    assert!(unfinished(&lab).is_empty());
}

#[test]
fn a_newer_journal_is_refused_in_those_words() {
    let lab = JournalLab::new(1);
    lab.journal.conn.pragma_update(None, "user_version", 99).unwrap();
    let text = Journal::open(&lab.path()).err().unwrap().to_string();
    let knows = super::migrations::newest();
    assert_eq!(text, format!("the journal was written by a newer cutover (schema 99, this program knows {knows})"));
}

#[test]
fn a_file_that_is_no_journal_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "these are notes, and long enough to be more than a header of any kind of file").unwrap();
    assert!(matches!(Journal::open(&text), Err(JournalError::NotAJournal)));
    let other = folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let before = std::fs::read(&other).unwrap();
    assert!(matches!(Journal::open(&other), Err(JournalError::NotAJournal)));
    assert_eq!(std::fs::read(&other).unwrap(), before);
}

#[test]
fn a_journal_of_the_first_version_is_brought_up_to_date_also_for_those_who_only_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../../migrations/0001_journal.sql")).unwrap();
    old.execute_batch(
        "PRAGMA application_id = 0x63757476; PRAGMA user_version = 1;
         INSERT INTO run (run, id, plan_path, plan_digest, n_rows, endpoint, account, settings, created_at)
             VALUES (1, 'old', 'p.csv', 'sha256:0', 1, 'https://sms.example.com', 'acme', '{}', 0);
         INSERT INTO lane (run, lane, name, seq, head) VALUES (1, 0, 'run', 0, x'00'), (1, 1, 'acme', 0, x'00');
         INSERT INTO row (run, row, lane, wave_no, line, source_id, copystate) VALUES (1, 1, 1, 0, 2, 'vm-1', 'stopped');
         INSERT INTO row (run, row, lane, wave_no, line, source_id, copystate, standing, verdict, reason) VALUES
             (1, 2, 1, 0, 3, 'vm-2', 'stopped', 'settled', 'unverified', 'verification is switched off'),
             (1, 3, 1, 0, 4, 'vm-3', 'stopped', 'settled', 'unverified', 'no look succeeded: timeout');",
    )
    .unwrap();
    drop(old);
    let journal = Journal::open_to_read(&path).unwrap();
    let run = journal.find_run("old").unwrap();
    let lanes = journal.lanes(run.key).unwrap();
    assert_eq!(run.rules, crate::event::rules::Rules::First);
    assert_eq!((lanes[0].endpoint.as_str(), lanes[0].account.as_str()), ("https://sms.example.com", "acme"));
    assert_eq!(journal.unsettled_stages_in(run.key, LaneId::FIRST).unwrap(), [(0, Part::Rest)]);
    // Its rows that nobody wanted proven have their reason for that, and count as they did.
    let tally = journal.tally(run.key).unwrap();
    assert_eq!((tally.unproven_by_choice, tally.on_target(), tally.pending), (1, 1, 1));
}

#[test]
fn a_plan_that_fails_halfway_leaves_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&folder.path().join("j.db")).unwrap();
    let settings = serde_json::json!({});
    let new = NewRun {
        id: "run-1",
        made_at: Timestamp::now(),
        plan_path: "plan.csv",
        plan_digest: "sha256:0",
        n_rows: 1,
        lanes: &[one_lane()],
        settings: &settings,
        given: std::collections::BTreeMap::new(),
        terms: &crate::waves::Terms::default(),
        run_key: None,
    };
    assert!(matches!(journal.create_run(&new, |_| Err(JournalError::NotAJournal)), Err(JournalError::NotAJournal)));
    assert!(journal.runs().unwrap().is_empty());
}

#[test]
fn a_damaged_journal_is_noticed_after_an_unclean_end_only() {
    let mut lab = JournalLab::new(200);
    let began = RunEvent::LaunchBegan {
        launch: 1,
        verb: "run".to_owned(),
        pid: 1,
        host: "h".to_owned(),
        user: None,
        who: crate::whoami::Who::default(),
        version: "0".to_owned(),
        given: std::collections::BTreeMap::new(),
        cut_off_ms: 0,
    }
    .into();
    lab.journal.append(lab.run, [(LaneId::RUN, began)]).unwrap();
    lab.journal.conn.pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
    let path = lab.path();
    let JournalLab { folder, journal, .. } = lab;
    drop(journal);
    assert!(Journal::open(&path).is_ok());
    // A page in the middle of the file, but not the one that says that a launch was cut off.
    let mut bytes = std::fs::read(&path).unwrap();
    let page = 4096;
    let from = bytes.len() / page / 2 * page;
    bytes[from..from + page].fill(0xAA);
    std::fs::write(&path, bytes).unwrap();
    let opened = Journal::open(&path);
    assert!(matches!(opened, Err(JournalError::Damaged(_))), "{:?}", opened.err());
    drop(folder);
}

#[test]
fn what_was_meant_for_a_launch_that_died_is_forgotten_and_what_its_next_one_may_begin_with_is_not() {
    let mut lab = JournalLab::new(1);
    let by = By { host: "h".to_owned(), via: "control".to_owned(), ..By::default() };
    let skip = Command::Skip { source_id: "vm-1".to_owned() };
    let [drain, skip] = [Command::Drain, skip].map(|command| lab.journal.give_command(lab.run, &command, &by).unwrap());
    assert_eq!(lab.journal.is_taken(drain).unwrap(), Some(false));
    lab.journal.forget_stale_commands(lab.run).unwrap();
    assert_eq!((lab.journal.is_taken(drain).unwrap(), lab.journal.is_taken(skip).unwrap()), (None, Some(false)));
    assert_eq!(lab.journal.open_commands(lab.run).unwrap().0.len(), 1);
    // Its number is never given to another one.
    let next = lab.journal.give_command(lab.run, &Command::Pause, &by).unwrap();
    assert!(lab.journal.withdraw_command(next).unwrap());
    assert!(lab.journal.give_command(lab.run, &Command::Pause, &by).unwrap() > next);
}

#[test]
fn an_event_is_read_back_as_it_was_written() {
    let written = [seen(7), started(7, 2), ended(7, Outcome::aborted()), settled(7, Verdict::Blocked)];
    for kind in written.iter().chain([&RunEvent::WaitEnded.into()]) {
        let mut text = String::new();
        let Stored { kind: name, row, detail } = stored_form(kind, &mut text);
        assert_eq!(row, kind.row().map(|row| row.0));
        assert_eq!(from_stored_form(name, row, detail).unwrap(), *kind);
    }
    // What nobody wrote with this program is read as it always was: the last of two counts, and space does not.
    let left = |cause: &str| RowEvent::Left { cause: cause.to_owned() }.about(RowId(7));
    for (detail, cause) in [
        (r#"{"cause":"a","cause":"b"}"#, "b"),
        (r#" {"cause":"a"}"#, "a"),
        (r#"{"cause":"a","row":8}"#, "a"),
        (r#"{"kind":"row_seen","cause":"a"}"#, "a"),
    ] {
        assert_eq!(from_stored_form("row_left", Some(7), detail).unwrap(), left(cause), "{detail}");
    }
    for detail in ["", "{", "{}", "[]", r#"{"cause":"a"},{}"#, r#"{"cause":"a"}}"#] {
        assert!(from_stored_form("row_left", Some(7), detail).is_err(), "{detail}");
    }
    assert!(from_stored_form("row_left\",\"cause\":\"a", Some(7), r#"{"seen":null}"#).is_err());
}

#[test]
fn tables_views_and_sums_have_one_word_for_what_is_on_target() {
    let mut lab = JournalLab::new(32);
    // The last is how earlier versions said that nobody wanted a proof, and counts in their runs alone.
    let ways = [
        (None, None),
        (Some("whatever"), Some(Ground::Unseen)),
        (Some("whatever"), Some(Ground::NotVerified)),
        (Some("verification is switched off"), None),
    ];
    let mut expected = Vec::new();
    for (row, verdict) in (1..).map(RowId).zip(Verdict::ALL.into_iter().flat_map(|verdict| [verdict; 4])) {
        let (reason, ground) = ways[usize::try_from(row.0 - 1).unwrap() % 4];
        let event = RowEvent::Settled { verdict, seen: None, reason: reason.map(str::to_owned), ground };
        let mut standing = Standing::default();
        standing.add(row, &event, Timestamp::UNIX_EPOCH).unwrap();
        let kind = event.about(row);
        expected.push(standing.is_on_target());
        lab.lane(vec![kind]).unwrap();
    }
    let conn = Connection::open(lab.path()).unwrap();
    let mut stored = conn.prepare("SELECT on_target FROM v_row ORDER BY row").unwrap();
    let stored: Vec<bool> = stored.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(stored, expected);
    let n_on_target: u64 = expected.into_iter().map(u64::from).sum();
    assert_eq!(n_on_target, 9);
    for view in ["v_run", "v_lane"] {
        let n: u64 = conn.query_row(&format!("SELECT on_target FROM {view}"), [], |row| row.get(0)).unwrap();
        assert_eq!(n, n_on_target, "{view}");
    }
    assert_eq!(lab.journal.tally(lab.run).unwrap().on_target(), n_on_target);
}

#[test]
fn a_row_is_what_its_events_say_before_a_later_launch_sends_or_settles_it() {
    let edits = [
        "standing = 'due', looked = 1",
        "attempts = 4",
        "started = 1",
        "before_copystate = 'x'",
        "doubted = 1",
        "reason = 'x'",
    ];
    for edit in edits {
        let mut lab = JournalLab::new(2);
        let seen = |row| RowEvent::Seen { seen: Some(SeenState::default()) }.about(RowId(row));
        let started = |row| RowEvent::AttemptStarted { attempt: 1, sends: TargetState::default() }.about(RowId(row));
        let settled = |row| {
            RowEvent::Settled { verdict: Verdict::Already, seen: None, reason: None, ground: None }.about(RowId(row))
        };
        lab.lane(vec![seen(1), seen(2)]).unwrap();
        let mut later = Journal::open(&lab.path()).unwrap();
        later.mind_rows();
        Connection::open(lab.path()).unwrap().execute(&format!("UPDATE row SET {edit} WHERE row = 1"), []).unwrap();
        for kind in [started(1), settled(1)] {
            let refused = later.append(lab.run, [(LaneId::FIRST, kind)]);
            assert!(matches!(refused, Err(JournalError::NotAsTold { row: RowId(1), .. })), "{edit}: {refused:?}");
        }
        assert_eq!(lab.count("SELECT count(*) FROM event WHERE row = 1"), 1, "{edit}");
        later.append(lab.run, [(LaneId::FIRST, started(2))]).unwrap();
        // Whoever took it in hand knows how it stands.
        Connection::open(lab.path()).unwrap().execute("UPDATE row SET reason = 'x' WHERE row = 2", []).unwrap();
        let outcome = Outcome::Accepted { status: 200 };
        let ended =
            RowEvent::AttemptEnded { attempt: 1, outcome, request_id: None, took_ms: 1, via: None }.about(RowId(2));
        later.append(lab.run, [(LaneId::FIRST, ended)]).unwrap();
    }
}

/// Lets another process do something right before a statement is prepared: the first one that is about this.
fn meanwhile(
    journal: &Journal,
    is_it: impl Fn(&AuthAction<'_>) -> bool + Send + 'static,
    act: impl FnOnce() + Send + 'static,
) {
    let mut act = Some(act);
    let hook = move |asked: AuthContext<'_>| {
        if is_it(&asked.action)
            && let Some(act) = act.take()
        {
            act();
        }
        Authorization::Allow
    };
    journal.conn.authorizer(Some(hook)).unwrap();
}

#[test]
fn an_index_and_its_table_are_compared_as_of_one_instant() {
    let lab = JournalLab::new(6);
    let (run, mut launch) = (lab.run, Journal::open(&lab.path()).unwrap());
    // The second statement reads an index, which no longer has what the first one found in the table.
    let n_selects = AtomicU32::new(0);
    let is_second = move |action: &AuthAction<'_>| {
        matches!(action, AuthAction::Select) && n_selects.fetch_add(1, Ordering::Relaxed) == 1
    };
    meanwhile(&lab.journal, is_second, move || {
        launch.append(run, (1..=6).map(|row| (LaneId::FIRST, settled(row, Verdict::Already)))).unwrap();
    });
    lab.journal.check_asked_indexes(run).unwrap();
    assert_eq!(lab.count("SELECT count(*) FROM row WHERE verdict = 'already'"), 6);
    lab.journal.check_asked_indexes(run).unwrap();
}

#[test]
fn a_file_that_another_process_packs_is_not_taken_for_one_with_bytes_behind_its_end() {
    let lab = JournalLab::new(1);
    let raw = Connection::open(lab.path()).unwrap();
    raw.execute_batch("CREATE TABLE z AS SELECT zeroblob(500000) AS z; DROP TABLE z").unwrap();
    assert!(lab.journal.write_back_and_cut().unwrap());
    let mut other = Journal::open(&lab.path()).unwrap();
    let is_count = |action: &AuthAction<'_>| matches!(action, AuthAction::Pragma { pragma_name: "page_count", .. });
    meanwhile(&lab.journal, is_count, move || other.pack().unwrap());
    lab.journal.check_end().unwrap();
}

#[test]
fn a_journal_without_a_log_gets_one_and_nothing_lies_beside_it_meanwhile() {
    let lab = JournalLab::new(1);
    let copy = lab.folder.path().join("copy.db");
    lab.journal.copy_to(&copy).unwrap();
    let conn = Connection::open(&copy).unwrap();
    let mode = || conn.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(mode(), "delete");
    let (beside, found) = (lab.folder.path().join("copy.db-journal"), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&found);
    // Whoever is killed here leaves what is there.
    let hook = move || {
        seen.lock().unwrap().push(beside.exists());
        false
    };
    conn.commit_hook(Some(hook)).unwrap();
    schema::tune(&conn).unwrap();
    assert_eq!((mode().as_str(), &*found.lock().unwrap()), ("wal", &vec![false]));
    drop(conn);
    Journal::open(&copy).unwrap().check_pages().unwrap();
}
