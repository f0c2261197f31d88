//! Laboratory for tests of reports: journals with known times and hashes. `night` fills one.

use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde_json::json;
use tempfile::TempDir;

use crate::digest::Digester;
use crate::event::kind::EventKind;
use crate::event::lane::LaneId;
use crate::event::run::RunEvent;
use crate::exit::Exit;
use crate::journal::chain::{self, Hash};
use crate::journal::new_run::{NewLane, NewRun};
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::ledger::standing::Standing;
use crate::model::Row;

pub(crate) mod night;

pub(crate) const RUN_ID: &str = "20261123-a1b2c3";
const JOURNAL_ID: &str = "00112233445566778899aabbccddeeff";
/// Time of the first event in milliseconds; each later one comes a quarter of a second after the one before.
const FIRST_AT_MS: i64 = 1_795_428_000_000;
const STEP_MS: i64 = 250;

pub(crate) struct ReportLab {
    folder: TempDir,
    order: Vec<(LaneId, u64)>,
}

impl ReportLab {
    /// Makes a run of these rows that was not launched yet.
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
            run_key: Some("2026-11-22"),
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

    /// Returns the journal with known times, and hashes, heads and sums that fit them.
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

/// Returns the text of a snapshot, and checks the line ends, which `insta` does not compare.
pub(crate) fn in_lines(document: Vec<u8>) -> String {
    let text = String::from_utf8(document).unwrap();
    assert!(!text.contains('\r') && text.strip_suffix('\n') == Some(text.trim_end()), "{text:?}");
    text
}

/// Drops the triggers, so that events can be tampered with. Returns the SQL that makes them again.
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
