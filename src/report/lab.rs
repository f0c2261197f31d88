//! For tests of what is read back: a journal with a known night in it, snapshots, and a check against the schemas.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::control::{self, By, Command, Wait};
use crate::event::lane::LaneEvent;
use crate::event::row::RowEvent;
use crate::event::run::RunEvent;
use crate::event::{DrainReason, EventKind, LaneId, Outcome, StatedQuota, Verdict};
use crate::exit::Exit;
use crate::journal::chain::{self, Hash};
use crate::journal::new_run::{NewLane, NewRun};
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::ledger::Standing;
use crate::model::words::Word;
use crate::model::{Row, RowId, SeenState, SourceId, TargetState};
use crate::plan::digest::Digester;
use crate::waves::{Part, Stage};

pub(crate) const RUN_ID: &str = "20261123-a1b2c3";
const JOURNAL_ID: &str = "00112233445566778899aabbccddeeff";
/// The first event's time; each one after it comes a quarter of a second later.
const FIRST_AT_MS: i64 = 1_795_428_000_000;
const STEP_MS: i64 = 250;

pub(crate) struct Lab {
    folder: TempDir,
    order: Vec<(LaneId, u64)>,
}

impl Lab {
    /// A run of these rows that was made, and not launched yet.
    pub(crate) fn with(rows: &[Row]) -> Self {
        let lab = Self { folder: tempfile::tempdir().unwrap(), order: vec![(LaneId::RUN, 1)] };
        let mut digester = Digester::new();
        for row in rows {
            digester.row(row);
        }
        let mut journal = Journal::open(&lab.path()).unwrap();
        lab.raw().execute("UPDATE journal SET id = ?1", [JOURNAL_ID]).unwrap();
        let new = NewRun {
            id: RUN_ID,
            made_at: Timestamp::from_millisecond(FIRST_AT_MS).unwrap(),
            plan_path: "plan.csv",
            plan_digest: &digester.finish().to_string(),
            n_rows: u32::try_from(rows.len()).unwrap(),
            lanes: &[NewLane {
                name: "acme".to_owned(),
                endpoint: "https://sms.example.com".to_owned(),
                account: "acme".to_owned(),
                takes_unnamed: true,
            }],
            settings: &json!({"rate": 10}),
            given: std::collections::BTreeMap::new(),
            terms: &crate::waves::Terms::default(),
        };
        journal
            .create_run(&new, |sink| rows.iter().try_for_each(|row| sink.row(row, None)))
            .unwrap_or_else(|error: JournalError| panic!("{error}"));
        lab
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("cutover.db")
    }

    pub(crate) fn raw(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    pub(crate) fn open(&self) -> (Journal, RunRecord) {
        let journal = Journal::open_to_read(&self.path()).unwrap();
        let run = journal.find_run(RUN_ID).unwrap();
        (journal, run)
    }

    pub(crate) fn happens(&mut self, lane: LaneId, kinds: impl IntoIterator<Item = EventKind>) {
        let mut journal = Journal::open(&self.path()).unwrap();
        let run = journal.find_run(RUN_ID).unwrap().key;
        let events = journal.append(run, kinds.into_iter().map(|kind| (lane, kind))).unwrap();
        self.order.extend(events.iter().map(|event| (event.lane, event.seq)));
    }

    pub(crate) fn begins(&mut self) {
        let launch = RunEvent::LaunchBegan {
            launch: 1,
            verb: "run".into(),
            pid: 4711,
            host: "jump-1".into(),
            user: Some("ops".into()),
            who: crate::whoami::Who::default(),
            version: "0.1.0".into(),
            given: ["allow_irreversible", "yes"].map(|leave| (leave.into(), "on".into())).into(),
            cut_off_ms: 0,
        };
        self.happens(LaneId::RUN, [launch.into()]);
    }

    pub(crate) fn ends(&mut self, exit: Exit, reason: Option<&str>) {
        let reason = reason.map(str::to_owned);
        self.happens(LaneId::RUN, [RunEvent::LaunchEnded { exit, reason, elapsed_ms: 83_250, refusal: None }.into()]);
    }

    /// The journal as it would be, had its clock been ours: times, hashes, heads and sums.
    pub(crate) fn at_known_times(self) -> Self {
        let conn = self.raw();
        let triggers = drop_triggers(&conn);
        for (place, (lane, seq)) in self.order.iter().enumerate() {
            let at = FIRST_AT_MS + STEP_MS * i64::try_from(place).unwrap();
            conn.execute("UPDATE event SET at = ?3 WHERE lane = ?1 AND seq = ?2", params![lane.0, seq, at]).unwrap();
        }
        rechain(&conn);
        let (journal, run) = self.open();
        journal
            .for_each_row(run.key, |row, _| {
                let mut standing = Standing::default();
                for event in journal.events_of_row(run.key, row.id)? {
                    let EventKind::Row(id, what) = &event.kind else { continue };
                    standing.add(*id, what, event.at)?;
                }
                let ms = |at: Option<Timestamp>| at.map(Timestamp::as_millisecond);
                let times = (ms(standing.first_sent_at), ms(standing.last_sent_at), ms(standing.settled_at));
                let update = "UPDATE row SET first_sent_at = ?2, last_sent_at = ?3, settled_at = ?4 WHERE row = ?1";
                self.raw().execute(update, params![row.id.0, times.0, times.1, times.2]).unwrap();
                Ok::<(), JournalError>(())
            })
            .unwrap();
        let update = "UPDATE run SET
             started_at = (SELECT min(at) FROM event WHERE lane = 0 AND kind = 'launch_began'),
             ended_at = CASE WHEN running THEN NULL ELSE (SELECT max(at) FROM event WHERE lane = 0 AND kind = 'launch_ended') END";
        conn.execute(update, []).unwrap();
        // What a migration makes of the events of older versions.
        let made = include_str!("../../migrations/0007_pace.sql");
        conn.execute_batch(&made[made.find("UPDATE lane").unwrap()..]).unwrap();
        for trigger in triggers {
            conn.execute_batch(&trigger).unwrap();
        }
        self
    }
}

/// So that events can be tampered with; returns how to make the triggers again.
pub(crate) fn drop_triggers(conn: &Connection) -> Vec<String> {
    let mut statement = conn.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let triggers: Vec<(String, String)> = found.collect::<Result<_, _>>().unwrap();
    for (name, _) in &triggers {
        conn.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    triggers.into_iter().map(|(_, sql)| sql).collect()
}

/// Makes every hash right again, and the heads.
pub(crate) fn rechain(conn: &Connection) {
    for lane in [LaneId::RUN, LaneId::FIRST] {
        let mut prev = chain::genesis(RUN_ID, lane);
        let mut last = 0;
        let sql = "SELECT seq, at, kind, row, detail FROM event WHERE lane = ?1 ORDER BY seq";
        let mut statement = conn.prepare(sql).unwrap();
        let events: Vec<(u64, i64, String, Option<u32>, String)> = statement
            .query_map([lane.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        for (seq, at_ms, kind, row, detail) in events {
            let hash: Hash = chain::Link { prev: &prev, lane, seq, at_ms, kind: &kind, row, detail: &detail }.hash();
            conn.execute(
                "UPDATE event SET prev = ?3, hash = ?4 WHERE lane = ?1 AND seq = ?2",
                params![lane.0, seq, prev, hash],
            )
            .unwrap();
            (prev, last) = (hash, seq);
        }
        conn.execute("UPDATE lane SET seq = ?2, head = ?3 WHERE lane = ?1", params![lane.0, last, prev]).unwrap();
    }
}

pub(crate) fn row(id: u32, source_id: &str) -> Row {
    Row {
        id: RowId(id),
        line: id + 1,
        source_id: SourceId::new(source_id).unwrap(),
        wave: Some(if id <= 6 { "first" } else { "second" }.to_owned()),
        ..Row::first(TargetState {
            copystate: Some(Word::new("finished")),
            migrationcycle: Some(Word::new("cutovered")),
        })
    }
}

fn state(copystate: &str, cycle: &str) -> SeenState {
    SeenState { copystate: Some(Word::new(copystate)), migrationcycle: Some(Word::new(cycle)) }
}

pub(crate) fn seen(row: u32) -> EventKind {
    RowEvent::Seen { seen: Some(state("cutovering", "cutovering")) }.about(RowId(row))
}

pub(crate) fn attempt(row: u32, attempt: u32, outcome: Outcome) -> [EventKind; 2] {
    let sends = TargetState { copystate: Some(Word::new("finished")), migrationcycle: Some(Word::new("cutovered")) };
    let request_id = match outcome {
        Outcome::Lost { status: None, .. } => None,
        _ => Some(format!("req-{row}-{attempt}")),
    };
    [
        RowEvent::AttemptStarted { attempt, sends }.about(RowId(row)),
        RowEvent::AttemptEnded { attempt, outcome, request_id, took_ms: 120 }.about(RowId(row)),
    ]
}

pub(crate) fn settled(row: u32, verdict: Verdict, seen: Option<(&str, &str)>, reason: Option<&str>) -> EventKind {
    let seen = seen.map(|(copystate, cycle)| state(copystate, cycle));
    RowEvent::Settled { verdict, seen, reason: reason.map(str::to_owned), ground: None }.about(RowId(row))
}

pub(crate) const ACCEPTED: Outcome = Outcome::Accepted { status: 200 };

pub(crate) fn lost() -> Outcome {
    Outcome::Lost { status: None, code: None, cause: "no answer within 30 s".into() }
}

/// What an unfriendly service, or an unfriendly plan, would say.
const HOSTILE: &str = "=cmd|' /C calc'!A0\n| a | b |\u{1b}[31m\u{202e}drawkcab <script>";

/// All eight verdicts, one row in doubt, one pending, and texts that mean no good. Row 2 was settled without a change.
pub(crate) fn night() -> Lab {
    // Told once and copied: every event is a commit to disk.
    static NIGHT: OnceLock<Vec<u8>> = OnceLock::new();
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab { folder, order: Vec::new() };
    let bytes = NIGHT.get_or_init(|| {
        let told = told_night();
        let copy = told.folder.path().join("copy.db");
        told.raw().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        std::fs::read(copy).unwrap()
    });
    std::fs::write(lab.path(), bytes).unwrap();
    lab
}

fn told_night() -> Lab {
    let mut rows: Vec<Row> = [
        "vm-applied",
        "vm-already",
        "vm-unverified",
        "vm-no-effect",
        "vm-overtaken",
        "vm-refused",
        "vm-refused-too",
        "vm-failed",
        "vm-blocked",
        "vm-in-doubt",
        "vm-pending",
        "-vm|it's ☃\u{202e}",
    ]
    .into_iter()
    .zip(1..)
    .map(|(source_id, id)| row(id, source_id))
    .collect();
    rows[0].name = Some("web-01".into());
    rows[0].extra = vec![("owner".into(), "ops".into()), ("verdict".into(), "-1".into())];
    rows[11].name = Some(HOSTILE.into());
    rows[11].note = Some("@SUM(A1)".into());
    rows[11].extra = vec![("=1+1".into(), "+1".into())];
    let mut lab = Lab::with(&rows);
    lab.begins();
    tell(&mut lab);
    lab.ends(Exit::NotOnTarget, None);
    lab.at_known_times()
}

/// What the run's own lane tells of how it was steered.
fn steering() -> Vec<EventKind> {
    let stage = || Stage { wave_no: 0, wave: Some("pilot".into()), part: Part::Canary };
    let by = |reason: &str| By {
        user: Some("ada".into()),
        host: "bridge".into(),
        reason: Some(reason.into()),
        via: control::CONTROL.into(),
        who: crate::whoami::Who::default(),
    };
    let controlled = |command, reason| RunEvent::Controlled { command, by: by(reason), control: None }.into();
    let release = Command::Release { wave: "pilot".into(), part: Some(Part::Canary) };
    vec![
        RunEvent::WaitBegan { cause: Wait::Approval, stage: stage(), until: Some(Timestamp::UNIX_EPOCH) }.into(),
        controlled(release, "the lead says go"),
        RunEvent::WaitEnded.into(),
        RunEvent::StageBegan { stage: stage(), rows: 12, forecast: Some("about 12 s (12 s to 42 s)".into()) }.into(),
        controlled(Command::Pause, HOSTILE),
        controlled(Command::Continue, "go on"),
        controlled(Command::Rate { per_second: None }, "no hurry"),
        RunEvent::StageEnded { stage: stage() }.into(),
        RunEvent::DrainBegan { reason: DrainReason::Halted, why: Some("the run: 3 of 9 rows failed".into()) }.into(),
    ]
}

fn tell(lab: &mut Lab) {
    let forbidden =
        || Outcome::Rejected { status: 403, code: Some("SMS.0515".into()), message: "no permission".into() };
    let throttled = Outcome::Throttled {
        status: None,
        retry_after_ms: Some(2_000),
        quota: Some(StatedQuota { calls: 60, period_ms: 60_000 }),
        message: "limit:60,time:1 minute".into(),
    };
    let done = Some(("finished", "cutovered"));
    let as_before = Some(("cutovering", "cutovering"));
    let lane = LaneId::FIRST;
    lab.happens(lane, [LaneEvent::ReadThrottled { request_id: Some("req-read".into()), retry_after_ms: None }.into()]);
    for id in (1..=10).filter(|id| *id != 2) {
        lab.happens(lane, [seen(id)]);
    }
    lab.happens(lane, [settled(2, Verdict::Already, done, None)]);
    lab.happens(lane, attempt(1, 1, ACCEPTED));
    lab.happens(lane, [settled(1, Verdict::Applied, done, None)]);
    lab.happens(lane, attempt(3, 1, ACCEPTED));
    lab.happens(lane, [settled(3, Verdict::Unverified, None, Some("no look succeeded: timeout"))]);
    lab.happens(lane, attempt(4, 1, ACCEPTED));
    lab.happens(lane, [settled(4, Verdict::NoEffect, as_before, Some("copystate is still `cutovering`"))]);
    lab.happens(
        lane,
        [settled(5, Verdict::Overtaken, Some(("deleting", "cutovering")), Some("copystate is `deleting`"))],
    );
    for id in [6, 7] {
        lab.happens(lane, attempt(id, 1, forbidden()));
        lab.happens(lane, [settled(id, Verdict::Refused, None, None)]);
    }
    lab.happens(lane, attempt(8, 1, throttled));
    lab.happens(lane, [LaneEvent::QuotaLearned { per_second: 1.0, stated: true }.into()]);
    lab.happens(lane, attempt(8, 2, Outcome::Lost { status: Some(502), code: None, cause: HOSTILE.into() }));
    lab.happens(lane, [seen(8)]);
    lab.happens(lane, attempt(8, 3, lost()));
    lab.happens(lane, [settled(8, Verdict::Failed, as_before, Some("2 attempts used up"))]);
    lab.happens(lane, [settled(9, Verdict::Blocked, as_before, Some("expected `syncing`, seen `cutovering`"))]);
    lab.happens(lane, attempt(10, 1, lost()));
    lab.happens(lane, [RowEvent::Left { cause: "no look succeeded".into() }.about(RowId(10))]);
    lab.happens(lane, [RowEvent::Moved { seen: state("deleting", "cutovered") }.about(RowId(1))]);
    lab.happens(lane, [RowEvent::Seen { seen: None }.about(RowId(12))]);
    lab.happens(lane, [settled(12, Verdict::Blocked, None, Some(HOSTILE))]);
    lab.happens(LaneId::RUN, steering());
}

/// Compares with the file of that name; `UPDATE_SNAPSHOTS=1` writes it anew.
pub(crate) fn matches_snapshot(name: &str, found: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/snapshots").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, found).unwrap();
        return;
    }
    let expected = std::fs::read(&path).unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(found), String::from_utf8_lossy(&expected), "{name} (UPDATE_SNAPSHOTS=1)");
}

/// Checks a document against a shipped schema. Stricter than the schema on one point: a field that is not described
/// fails, although readers are told to expect new ones.
pub(crate) fn conforms(schema: &str, document: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/schemas").join(schema);
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut faults = Vec::new();
    Checker { root: &schema }.check(&schema, document, "$", &mut faults);
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The part of JSON Schema (2020-12) that the shipped schemas use; any other keyword is a mistake in the test.
struct Checker<'a> {
    root: &'a Value,
}

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        for (keyword, argument) in schema.as_object().expect("a schema is an object") {
            let fine = match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" | "format" => true,
                "$ref" => {
                    let pointer = argument.as_str().unwrap().strip_prefix('#').expect("a reference within the file");
                    self.check(self.root.pointer(pointer).expect("it points somewhere"), value, at, faults);
                    true
                }
                "type" => match argument {
                    Value::Array(types) => types.iter().any(|name| is_of_type(value, name)),
                    name => is_of_type(value, name),
                },
                "const" => argument == value,
                "enum" => argument.as_array().unwrap().contains(value),
                "minimum" => value.as_f64().is_none_or(|number| number >= argument.as_f64().unwrap()),
                "required" => value.as_object().is_none_or(|map| {
                    argument.as_array().unwrap().iter().all(|name| map.contains_key(name.as_str().unwrap()))
                }),
                "properties" => {
                    for (name, value) in value.as_object().into_iter().flatten() {
                        match (argument.get(name), schema.get("additionalProperties")) {
                            (Some(schema), _) => self.check(schema, value, &format!("{at}.{name}"), faults),
                            (None, Some(_)) => (),
                            (None, None) => faults.push(format!("{at}.{name} is not described")),
                        }
                    }
                    true
                }
                "additionalProperties" => {
                    let described = |name: &str| schema.get("properties").is_some_and(|all| all.get(name).is_some());
                    for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| !described(name)) {
                        match argument {
                            Value::Bool(false) => faults.push(format!("{at}.{name} is not allowed")),
                            argument => self.check(argument, value, &format!("{at}.{name}"), faults),
                        }
                    }
                    true
                }
                "items" => {
                    for (i, value) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(argument, value, &format!("{at}[{i}]"), faults);
                    }
                    true
                }
                other => panic!("the check does not know `{other}`"),
            };
            if !fine {
                faults.push(format!("{at}: {keyword} {argument}, found {value}"));
            }
        }
    }
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("`{other}` is not a type"),
    }
}
