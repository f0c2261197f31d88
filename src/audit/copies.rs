//! Runs that were made in one journal and copied into another: they are the same there, are told as what they are, and take nothing from
//! what a journal proves of its own.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::finding::Finding;
use super::result::{Audit, ProvenBy};
use super::told::{write_json, write_text};
use super::verify_all;
use crate::control::{By, Command, GivenCommand};
use crate::digest::Digester;
use crate::event::kind::EventKind;
use crate::event::lane::LaneId;
use crate::event::outcome::Outcome;
use crate::event::row::RowEvent;
use crate::event::run::RunEvent;
use crate::journal::chain::Code;
use crate::journal::new_run::{NewLane, NewRun};
use crate::journal::run_copy::{CopyRecord, NotCopied};
use crate::journal::stored::{EventOrder, StoredEvent};
use crate::journal::{Journal, JournalError, RunKey};
use crate::log::making::copy_run;
use crate::model::state::{SeenState, TargetState};
use crate::model::words::Word;
use crate::model::{Row, RowId, SourceId};
use crate::report::lab::{drop_triggers, rechain};
use crate::waves::{Terms, WaveTerms};
use crate::wording::printout::Printout;

struct CopyLab {
    folder: tempfile::TempDir,
}

/// Run as it lies on servers: its record, its parts, and its events in their order.
#[derive(Clone)]
struct Shipped {
    record: String,
    parts: Vec<String>,
    events: Vec<OwnedStored>,
}

#[derive(Clone)]
struct OwnedStored {
    lane: LaneId,
    seq: u64,
    at_ms: i64,
    kind: String,
    row: Option<u32>,
    detail: String,
    prev: [u8; 32],
    hash: [u8; 32],
}

impl OwnedStored {
    fn new(event: &StoredEvent<'_>) -> Self {
        let &StoredEvent { lane, seq, at_ms, kind, row, detail, prev, hash } = event;
        Self { lane, seq, at_ms, kind: kind.to_owned(), row, detail: detail.to_owned(), prev, hash }
    }

    fn stored(&self) -> StoredEvent<'_> {
        let &Self { lane, seq, at_ms, ref kind, row, ref detail, prev, hash } = self;
        StoredEvent { lane, seq, at_ms, kind, row, detail, prev, hash }
    }
}

fn seen(copystate: &str) -> SeenState {
    SeenState { copystate: Some(Word::new(copystate)), migrationcycle: Some(Word::new("syncing")) }
}

fn row(n: u32) -> Row {
    Row {
        id: RowId(n),
        line: n + 1,
        file: (n == 3).then(|| "rows/third.csv".into()),
        source_id: SourceId::new(&format!("vm-{n}")).unwrap(),
        wants: TargetState { copystate: Some(Word::new("stopped")), migrationcycle: None },
        expects: TargetState { copystate: None, migrationcycle: (n == 2).then(|| Word::new("syncing")) },
        wave: Some(if n % 2 == 1 { "odd" } else { "even" }.to_owned()),
        account: Some(if n <= 4 { "one" } else { "two" }.to_owned()),
        name: Some(format!("db-{n} \"☃\"\n")),
        note: (n == 4).then(|| "a note".to_owned()),
        extra: vec![("ticket".to_owned(), n.to_string())],
    }
}

const SHARED: &str = "nats://10.0.0.1:4222";

impl CopyLab {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, name: &str) -> Journal {
        Journal::open(&self.path(name)).unwrap()
    }

    fn make(&self, name: &str, id: &str, settings: &Value) -> RunKey {
        self.make_by_key(name, id, settings, None)
    }

    fn make_by_key(&self, name: &str, id: &str, settings: &Value, run_key: Option<&str>) -> RunKey {
        let wave = |name: &str, canary: Option<&str>| {
            let canary = canary.map(|rows| json!({ "rows": rows }));
            serde_json::from_value::<WaveTerms>(json!({ "name": name, "canary": canary })).unwrap()
        };
        let terms = Terms { waves: vec![wave("odd", Some("2")), wave("even", None)], ..Terms::default() };
        let mut digester = Digester::new();
        (1..=6).for_each(|n| _ = digester.row(&row(n)));
        digester.terms(&terms);
        let mut all = json!({ "plan": terms, "rate": "10" });
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let lane = |name: &str| NewLane {
            name: name.to_owned(),
            endpoint: "https://sms.example.com".to_owned(),
            account: name.to_owned(),
            takes_unnamed: false,
        };
        let new = NewRun {
            id,
            made_at: Timestamp::from_millisecond(1_795_428_000_123).unwrap(),
            plan_path: "plan.toml",
            plan_digest: &digester.finish().to_string(),
            n_rows: 6,
            lanes: &[lane("one"), lane("two")],
            settings: &all,
            given: std::collections::BTreeMap::new(),
            terms: &terms,
            run_key,
        };
        let sealed = seen("replicating");
        let fill = |sink: &mut crate::journal::new_run::RowSink<'_>| {
            (1..=6).try_for_each(|n| sink.row(&row(n), (n > 3).then_some(&sealed)))
        };
        self.open(name).create_run(&new, fill).unwrap_or_else(|error: JournalError| panic!("{error}")).run
    }

    /// Begins a launch of a run, with a row that gets on target, and a command.
    fn carry(&self, name: &str, run: RunKey) {
        let mut journal = self.open(name);
        let by = By::me("control", Some("phone call".to_owned()));
        let control = journal.give_command(run, &Command::Pause, &by).unwrap();
        let launch = RunEvent::LaunchBegan {
            launch: 1,
            verb: "run".into(),
            pid: 4711,
            host: "jump-1".into(),
            user: None,
            who: crate::whoami::Who::default(),
            version: "0.2.0".into(),
            given: std::collections::BTreeMap::new(),
            cut_off_ms: 0,
        };
        let of_row = |what: RowEvent| (LaneId(1), what.about(RowId(1)));
        let ended = Outcome::Accepted { status: 200 };
        let events: Vec<(LaneId, EventKind)> = vec![
            (LaneId::RUN, launch.into()),
            of_row(RowEvent::Seen { seen: Some(seen("replicating")) }),
            of_row(RowEvent::AttemptStarted { attempt: 1, sends: TargetState::default() }),
            (LaneId::RUN, RunEvent::Controlled { command: Command::Pause, by, control: Some(control) }.into()),
            of_row(RowEvent::AttemptEnded { attempt: 1, outcome: ended, request_id: None, took_ms: 7, via: None }),
            of_row(RowEvent::Seen { seen: Some(seen("stopped")) }),
        ];
        journal.append(run, events).unwrap();
    }

    /// Returns a run with all its events, lane by lane.
    fn ship(&self, name: &str, run: RunKey) -> Shipped {
        let journal = Journal::open_to_read(&self.path(name)).unwrap();
        let (mut parts, mut events) = (Vec::new(), Vec::new());
        let record = journal.copy_of_run(run).unwrap().for_each_part(|nth, part| {
            parts.push(part.to_owned());
            assert_eq!(parts.len(), nth as usize);
            Ok::<(), JournalError>(())
        });
        let read = journal.for_each_stored_event(run, EventOrder::ByLane, |event| {
            events.push(OwnedStored::new(&event));
            Ok::<(), JournalError>(())
        });
        read.unwrap();
        Shipped { record: record.unwrap().text(), parts, events }
    }

    /// Copies a run into a journal: what it begins with, and then the rest.
    fn take(&self, name: &str, shipped: &Shipped) -> Result<RunKey, NotCopied> {
        let mut journal = self.open(name);
        let record = CopyRecord::read(&shipped.record)?;
        let (first, rest) = shipped.events.split_at(1);
        let first: Vec<StoredEvent<'_>> = first.iter().map(OwnedStored::stored).collect();
        let run = copy_run(&mut journal, &record, shipped.parts.iter().cloned().map(Ok::<_, NotCopied>), &first)?;
        let rest: Vec<StoredEvent<'_>> = rest.iter().map(OwnedStored::stored).collect();
        if journal.heads(run)?.iter().map(|(_, seq, _)| seq).sum::<u64>() == 1 {
            journal.append_stamped(run, &rest)?;
        }
        Ok(run)
    }

    fn audit(&self, name: &str) -> Audit {
        verify_all(&Journal::open_to_read(&self.path(name)).unwrap()).unwrap()
    }

    /// Returns all columns of a run's entries but its number, as they are stored.
    fn entries(&self, name: &str, run: RunKey) -> String {
        let conn = Connection::open(self.path(name)).unwrap();
        let mut all = String::new();
        for (table, order) in [("event", "lane, seq"), ("row", "row"), ("lane", "lane"), ("run", "id")] {
            let mut statement =
                conn.prepare(&format!("SELECT * FROM {table} WHERE run = ?1 ORDER BY {order}")).unwrap();
            let n_columns = statement.column_count();
            let mut found = statement.query([run.number()]).unwrap();
            while let Some(entry) = found.next().unwrap() {
                let cells: Vec<Cell> = (1..n_columns).map(|at| entry.get(at).unwrap()).collect();
                writeln!(all, "{table} {cells:?}").unwrap();
            }
        }
        all
    }
}

fn shared() -> Value {
    json!({ "engine": SHARED })
}

fn is_whole(audit: &Audit) {
    let mut text = Vec::new();
    write_text(audit, &mut Printout::new(&mut text)).unwrap();
    assert!(audit.is_ok(), "{}", String::from_utf8(text).unwrap());
}

fn told(audit: &Audit) -> String {
    let mut text = Vec::new();
    write_text(audit, &mut Printout::new(&mut text)).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn a_copy_is_the_same_to_the_letter_in_an_empty_journal_and_between_other_runs() {
    let lab = CopyLab::new();
    let native = json!({});
    lab.make("head.db", "before", &native);
    let run = lab.make_by_key("head.db", "r1", &shared(), Some("2026-11-28"));
    lab.carry("head.db", run);
    lab.make("head.db", "after", &native);
    let shipped = lab.ship("head.db", run);
    let first = lab.take("empty.db", &shipped).unwrap();
    lab.make("other.db", "own-1", &native);
    let second = lab.take("other.db", &shipped).unwrap();
    let original = lab.entries("head.db", run);
    assert_eq!(lab.entries("empty.db", first), original);
    assert_eq!(lab.entries("other.db", second), original);
    assert_eq!((first.number(), second.number()), (1, 2));
    // What is shipped from a copy is the same again.
    let again = lab.ship("other.db", second);
    assert_eq!((again.record, again.parts), (shipped.record.clone(), shipped.parts.clone()));
    // Twice is once.
    assert_eq!(lab.take("other.db", &shipped).unwrap(), second);
    lab.make("other.db", "own-2", &native);
    lab.make("other.db", "own-3", &native);
    for name in ["head.db", "empty.db", "other.db"] {
        is_whole(&lab.audit(name));
    }
    let anchors = |name: &str| {
        let journal = Journal::open_to_read(&lab.path(name)).unwrap();
        journal.anchor(&journal.find_run("r1").unwrap()).unwrap()
    };
    assert_eq!(anchors("empty.db"), anchors("head.db"));
}

#[test]
fn an_audit_says_which_runs_were_made_elsewhere() {
    let lab = CopyLab::new();
    let run = lab.make("head.db", "r1", &shared());
    lab.make("other.db", "own-1", &json!({}));
    lab.take("other.db", &lab.ship("head.db", run)).unwrap();
    let id = lab.open("head.db").identity().unwrap().id;
    let audit = lab.audit("other.db");
    let text = told(&audit);
    assert!(text.contains(&format!("  made    in another journal, {id}, and copied into this one\n")), "{text}");
    assert!(text.contains("vouches for no other run here"), "{text}");
    let mut document = Vec::new();
    write_json(&audit, &mut document).unwrap();
    let document: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["runs"][1]["made_in"], id);
    assert_eq!(document["runs"][0]["made_in"], Value::Null);
    let at_home = told(&lab.audit("head.db"));
    assert!(!at_home.contains("another journal"), "{at_home}");
}

#[test]
fn the_run_behind_a_copy_names_the_one_before_it_as_well() {
    let lab = CopyLab::new();
    let native = json!({});
    let run = lab.make("head.db", "r1", &shared());
    let shipped = lab.ship("head.db", run);
    lab.make("other.db", "own-1", &native);
    lab.take("other.db", &shipped).unwrap();
    lab.make("other.db", "own-2", &native);
    lab.make("other.db", "own-3", &native);
    let journal = lab.open("other.db");
    let named = |id: &str| {
        let beginnings = journal.beginnings().unwrap();
        let beginning = beginnings.iter().find(|found| found.id == id).unwrap();
        beginning.first.named().unwrap().runs.iter().map(|named| named.run.clone()).collect::<Vec<_>>()
    };
    assert_eq!(named("own-2"), ["r1", "own-1"]);
    assert_eq!(named("own-3"), ["own-2"]);
    drop(journal);
    // An anchor of the newest one proves all of them.
    let audit = lab.audit("other.db");
    let code: Code = audit.runs[3].as_ref().unwrap().anchor.to_string().parse().unwrap();
    let proven = audit.against(&code).unwrap();
    assert!(proven.runs.iter().all(|run| run.as_ref().unwrap().proven_by == ProvenBy::Anchor));
    // Without the one in front of the copy, the journal is not whole.
    let removed = "DELETE FROM event WHERE run = 1; DELETE FROM row WHERE run = 1; DELETE FROM lane WHERE run = 1;
         DELETE FROM run WHERE run = 1";
    tamper(&lab.path("other.db"), |conn| conn.execute_batch(removed).unwrap());
    let audit = lab.audit("other.db");
    let own_2 = audit.runs[1].as_ref().unwrap_err();
    assert!(own_2.findings.iter().any(|found| matches!(found, Finding::RunMissing { other, .. } if other == "own-1")));
}

/// Alters a journal like somebody who can write the file.
fn tamper(path: &Path, by: impl FnOnce(&Connection)) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let triggers = drop_triggers(&conn);
    by(&conn);
    for trigger in triggers {
        conn.execute_batch(&trigger).unwrap();
    }
}

#[test]
fn only_a_run_that_machines_share_may_be_from_elsewhere() {
    let lab = CopyLab::new();
    lab.make("head.db", "r1", &json!({}));
    let of_another = |name: &str| {
        let id = lab.open(name).identity().unwrap().id;
        format!("UPDATE event SET detail = replace(detail, '{id}', '{}') WHERE lane = 0 AND seq = 1", "0".repeat(32))
    };
    let edit = of_another("head.db");
    tamper(&lab.path("head.db"), |conn| {
        assert_eq!(conn.execute(&edit, []).unwrap(), 1);
        rechain(conn);
    });
    let audit = lab.audit("head.db");
    let altered = audit.runs[0].as_ref().unwrap_err();
    assert!(altered.findings.iter().any(|found| matches!(found, Finding::OtherJournal { .. })), "{altered:?}");
    // Without the hashes, that of a shared one is found as well.
    let run = lab.make("shared.db", "r1", &shared());
    let shipped = lab.ship("shared.db", run);
    lab.take("copy.db", &shipped).unwrap();
    let edit = of_another("shared.db");
    tamper(&lab.path("copy.db"), |conn| assert_eq!(conn.execute(&edit, []).unwrap(), 1));
    let audit = lab.audit("copy.db");
    let altered = audit.runs[0].as_ref().unwrap_err();
    assert_eq!(altered.findings[0], Finding::Changed { lane: LaneId::RUN, seq: 1 });
}

#[test]
fn a_copy_that_a_later_one_names_otherwise_is_found_and_one_that_is_shorter_is_not() {
    let lab = CopyLab::new();
    let first = lab.make("head.db", "r1", &shared());
    let short = lab.ship("head.db", first);
    lab.carry("head.db", first);
    let second = lab.make("head.db", "r2", &shared());
    let (whole, later) = (lab.ship("head.db", first), lab.ship("head.db", second));
    lab.take("short.db", &short).unwrap();
    lab.take("short.db", &later).unwrap();
    is_whole(&lab.audit("short.db"));
    lab.take("whole.db", &whole).unwrap();
    lab.take("whole.db", &later).unwrap();
    is_whole(&lab.audit("whole.db"));
    tamper(&lab.path("whole.db"), |conn| {
        conn.execute_batch("UPDATE event SET at = at + 1 WHERE run = 1 AND lane = 0 AND seq = 2").unwrap();
        rechain(conn);
    });
    let audit = lab.audit("whole.db");
    let altered = audit.runs[0].as_ref().unwrap_err();
    let is_that = |found: &Finding| matches!(found, Finding::NotAsNamed { named_by, .. } if named_by == "r2");
    assert!(altered.findings.iter().any(is_that), "{altered:?}");
}

#[test]
fn a_command_that_another_machine_took_leaves_the_commands_of_this_journal_alone() {
    let lab = CopyLab::new();
    let run = lab.make("head.db", "r1", &shared());
    lab.carry("head.db", run);
    let shipped = lab.ship("head.db", run);
    let mut journal = lab.open("other.db");
    lab.make("other.db", "own-1", &json!({}));
    let own = journal.find_run("own-1").unwrap().key;
    let given = journal.give_command(own, &Command::Pause, &By::me("control", Some("phone call".to_owned()))).unwrap();
    assert_eq!(given, 1, "the same number as in the other journal");
    lab.take("other.db", &shipped).unwrap();
    assert_eq!(journal.is_taken(given).unwrap(), Some(false));
    is_whole(&lab.audit("other.db"));
}

#[test]
fn a_run_is_steered_on_one_machine_after_another() {
    let lab = CopyLab::new();
    let run = lab.make("head.db", "r1", &shared());
    lab.carry("head.db", run);
    let copy = lab.take("other.db", &lab.ship("head.db", run)).unwrap();
    let (by, mut journal) = (By::me("control", None), lab.open("other.db"));
    let control = journal.give_command(copy, &Command::Continue, &by).unwrap();
    assert_eq!(control, 1, "the same number as in the other journal");
    let given = GivenCommand { control, command: Command::Continue, by: by.clone() };
    assert!(!journal.took_effect(copy, &given).unwrap(), "it is that of the other machine which took effect");
    let taken = RunEvent::Controlled { command: Command::Continue, by, control: Some(control) };
    journal.append(copy, [(LaneId::RUN, taken.into())]).unwrap();
    assert!(journal.is_taken(control).unwrap() == Some(true) && journal.took_effect(copy, &given).unwrap());
    is_whole(&lab.audit("other.db"));
    // One that nobody took is none.
    let edit = "UPDATE control SET command = json_set(command, '$.is', 'drain')";
    tamper(&lab.path("other.db"), |conn| assert_eq!(conn.execute(edit, []).unwrap(), 1));
    let audit = lab.audit("other.db");
    let altered = audit.runs[0].as_ref().unwrap_err();
    assert_eq!(altered.findings[0], Finding::CommandDiffers { control: 1 });
}

/// Writes a part anew, with the record that names it.
fn forge(shipped: &mut Shipped, from: &str, to: &str) {
    let sum = |text: &str| crate::journal::chain::hex(&Sha256::digest(text));
    let old = sum(&shipped.parts[0]);
    assert!(shipped.parts[0].contains(from), "{}", shipped.parts[0]);
    shipped.parts[0] = shipped.parts[0].replacen(from, to, 1);
    shipped.record = shipped.record.replace(&old, &sum(&shipped.parts[0]));
}

/// A change of what is shipped, and the words in which it is refused.
type Attack = (Box<dyn Fn(&mut Shipped)>, String);

#[test]
fn a_copy_that_is_not_whole_is_refused_and_leaves_nothing() {
    let lab = CopyLab::new();
    let run = lab.make_by_key("head.db", "r1", &shared(), Some("tonight"));
    lab.carry("head.db", run);
    let shipped = lab.ship("head.db", run);
    let refused = |name: &str, change: &dyn Fn(&mut Shipped)| {
        let mut changed = shipped.clone();
        change(&mut changed);
        let error = lab.take(name, &changed).unwrap_err().to_string();
        let conn = Connection::open(lab.path(name)).unwrap();
        for table in ["run", "row", "lane", "event"] {
            let sql =
                format!("SELECT count(*) FROM {table} WHERE run IN (SELECT run FROM run WHERE id = 'r1') OR run > 1");
            assert_eq!(conn.query_row(&sql, [], |row| row.get::<_, u64>(0)).unwrap(), 0, "{error}");
        }
        error
    };
    let begun_with = |what: &str| format!("the run does not begin with what it was made with: {what} not the same");
    let of_record = |from: &'static str, to: &'static str| {
        move |shipped: &mut Shipped| {
            assert!(shipped.record.contains(from), "{}", shipped.record);
            shipped.record = shipped.record.replacen(from, to, 1);
        }
    };
    let attacks: Vec<Attack> = vec![
        (Box::new(|shipped| shipped.parts.clear()), "part 1 of the run is missing".into()),
        (
            Box::new(|shipped| shipped.parts.push(shipped.parts[0].clone())),
            "there is a part more than the 1 that the record of the run names".into(),
        ),
        (
            Box::new(|shipped| shipped.parts[0] = shipped.parts[0].replace("vm-3", "vm-9")),
            "part 1 of the run is not the one that its record names: it was altered".into(),
        ),
        (Box::new(|shipped| forge(shipped, "vm-3", "vm-9")), begun_with("the digest of its plan is")),
        (Box::new(|shipped| forge(shipped, "[1,1,0,1,2]", "[1,1,0,0,2]")), begun_with("its layout is")),
        (Box::new(|shipped| forge(shipped, "rows/third.csv", "rows/first.csv")), begun_with("its layout is")),
        (
            Box::new(|shipped| forge(shipped, "[2,1,", "[1,1,")),
            "row 1 of the run stands in part 1, and does not follow row 1".into(),
        ),
        (
            Box::new(|shipped| forge(shipped, "{\"format\":1", "{\"format\":2")),
            "part 1 of the run was written by a newer cutover (format 2, this program knows 1)".into(),
        ),
        (
            Box::new(of_record("{\"format\":1", "{\"format\":2")),
            "the record of the run was written by a newer cutover (format 2, this program knows 1)".into(),
        ),
        (Box::new(of_record("\"n_rows\":6", "\"n_rows\":7")), begun_with("the number of its rows is")),
        (Box::new(of_record("1795428000123", "1795428000124")), begun_with("its layout is")),
        (Box::new(of_record("plan.toml", "plan.tomb")), begun_with("its layout is")),
        (Box::new(of_record("nats://10.0.0.1", "nats://10.0.0.2")), begun_with("its settings are")),
        (Box::new(of_record("\"tonight\"", "\"tomorrow\"")), begun_with("its run key is")),
        (Box::new(of_record("\"third\"", "\"second\"")), begun_with("its rules are")),
        (Box::new(of_record("\"account\":\"one\"", "\"account\":\"ten\"")), begun_with("its accounts are")),
        (
            Box::new(of_record("{\"format\"", "{ \"format\"")),
            "the record of the run is not as cutover writes it: it is spelled otherwise".into(),
        ),
        (
            Box::new(of_record("\"id\":\"r1\"", "\"id\":\"../r\"")),
            "the record of the run is not as cutover writes it: it names no run".into(),
        ),
        (
            Box::new(of_record("\"id\":\"r1\"", "\"id\":\"r2\"")),
            "part 1 of the run is not as cutover writes it: it calls itself another one".into(),
        ),
        (
            Box::new(|shipped| _ = shipped.events.remove(0)),
            "the log of the run does not begin with the making of it".into(),
        ),
    ];
    for (nth, (change, expected)) in attacks.iter().enumerate() {
        assert_eq!(refused("empty.db", &**change), *expected, "{nth}");
    }
    // Neither a run key that is another's is taken, nor another run of the same id for the same.
    lab.make_by_key("keyed.db", "own-1", &json!({}), Some("tonight"));
    assert_eq!(refused("keyed.db", &|_| ()), "the run key `tonight` is that of run own-1");
    lab.make("twin.db", "r1", &shared());
    let twin = lab.take("twin.db", &shipped).unwrap_err().to_string();
    assert_eq!(twin, "the journal has another run of this id: its record is not the same");
    lab.take("empty.db", &shipped).unwrap();
    is_whole(&lab.audit("empty.db"));
}
