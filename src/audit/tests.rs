//! Each way of tampering is found and called by its name; an untouched journal passes.

use insta::assert_snapshot;
use rusqlite::Connection;
use serde_json::Value;

use super::beforehand::{self, CheckFor};
use super::bundle::CHECKER;
use super::finding::{self, Finding};
use super::result::{Altered, Audit, AuditError, ProvenBy, Verified};
use super::run::verify;
use super::told::{write_json, write_text};
use super::verify_all;
use crate::event::lane::{LaneEvent, LaneId};
use crate::event::row::RowEvent;
use crate::event::stored::{Stored, stored_form};
use crate::journal::JournalError;
use crate::journal::chain::{self, Code, Hash};
use crate::journal::stored::EventOrder;
use crate::model::RowId;
use crate::report::lab::night::{self, row};
use crate::report::lab::{RUN_ID, ReportLab, drop_triggers, in_lines, rechain};
use crate::wording::printout::Printout;

const LANE: LaneId = LaneId::FIRST;

/// Makes the known run and tampers with it like somebody who can write to the file. The triggers are as before afterwards.
fn tampered(tamper: impl FnOnce(&Connection)) -> ReportLab {
    let lab = night::night();
    let conn = lab.raw();
    let triggers = drop_triggers(&conn);
    tamper(&conn);
    for trigger in triggers {
        conn.execute_batch(&trigger).unwrap();
    }
    lab
}

fn altered(lab: &ReportLab) -> Altered {
    let (journal, run) = lab.open();
    match verify(&journal, &run) {
        Err(AuditError::Altered(altered)) => altered,
        Err(AuditError::Journal(error)) => panic!("{error}"),
        Err(AuditError::ShortAnchor { .. }) => unreachable!("no anchor was given"),
        Ok(verified) => panic!("it passed: {verified:?}"),
    }
}

/// Returns the first finding after this batch of SQL.
fn found(sql: &str) -> Finding {
    altered(&tampered(|conn| conn.execute_batch(sql).unwrap())).findings.swap_remove(0)
}

fn audit(lab: &ReportLab) -> Audit {
    verify_all(&lab.open().0).unwrap()
}

fn verified(lab: &ReportLab) -> Verified {
    let (journal, run) = lab.open();
    verify(&journal, &run).unwrap()
}

#[test]
fn what_was_not_touched_passes() {
    let lab = night::night();
    let verified = verified(&lab);
    let n_events: u64 = lab.raw().query_row("SELECT count(*) FROM event", [], |row| row.get(0)).unwrap();
    assert_eq!((verified.n_rows, verified.n_events), (12, n_events));
    assert!(n_events > 30);
    for empty in [ReportLab::with(&[]), ReportLab::with(&[row(1, "vm-1")])] {
        self::verified(&empty);
    }
}

#[test]
fn sums_of_another_instant_than_that_of_the_chains_are_not_taken() {
    let mut lab = ReportLab::with(&[row(1, "vm-1")]);
    lab.begins();
    let (journal, run) = lab.open();
    let heads = journal.heads(run.key).unwrap();
    let left_over = || {
        let portions = super::sums::Portions::new(&journal, &run).unwrap();
        let found = super::run::sums_beside(&journal.again().unwrap(), &run, &heads, &portions).unwrap();
        assert!(found.is_empty());
        portions.take()
    };
    assert_eq!(left_over(), None);
    lab.happens(LANE, [night::seen(1)]);
    assert_eq!(left_over(), Some((0, RowId(0), RowId(u32::MAX))));
    // A reader of the earlier instant still finds everything right.
    let earlier = journal.at_one_instant(|| {
        let before = journal.heads(run.key)?;
        lab.happens(LANE, night::attempt(1, 1, night::ACCEPTED));
        verify(&journal, &run).map(|verified| (verified.n_events, before))
    });
    let (n_events, before) = earlier.unwrap();
    assert_eq!(n_events, before.iter().map(|(_, seq, _)| seq).sum::<u64>());
}

#[test]
fn a_run_in_progress_passes() {
    let mut lab = ReportLab::with(&[row(1, "vm-1"), row(2, "vm-2")]);
    lab.begins();
    let [started, _] = night::attempt(1, 1, night::ACCEPTED);
    lab.happens(LANE, [night::seen(1), started]);
    verified(&lab);
}

#[test]
fn a_change_in_any_column_of_an_event_is_found_at_its_place() {
    for set in [
        "at = at + 1",
        "kind = 'row_left'",
        "row = row + 1",
        "row = NULL",
        "detail = replace(detail, 'cutovering', 'cutoverinG')",
        "detail = detail || ' '",
        "prev = zeroblob(32)",
        "hash = zeroblob(32)",
    ] {
        let found = found(&format!("UPDATE event SET {set} WHERE lane = 1 AND seq = 5"));
        assert_eq!(found, Finding::Changed { lane: LANE, seq: 5 }, "{set}");
    }
    let found = found("UPDATE event SET detail = replace(detail, 'run', 'RUN') WHERE lane = 0 AND seq = 2");
    assert_eq!(found, Finding::Changed { lane: LaneId::RUN, seq: 2 });
}

#[test]
fn the_first_and_the_last_event_are_no_exception() {
    let (journal, run) = night::night().open();
    let last = journal.heads(run.key).unwrap()[1].1;
    for seq in [1, last] {
        let found = found(&format!("UPDATE event SET at = at + 1 WHERE lane = 1 AND seq = {seq}"));
        assert_eq!(found, Finding::Changed { lane: LANE, seq });
    }
}

/// Rewrites an event with a correct hash.
fn forge(conn: &Connection, seq: u64, detail: &str) -> Hash {
    let (at_ms, kind, row, prev): (i64, String, Option<u32>, Hash) = conn
        .query_row("SELECT at, kind, row, prev FROM event WHERE lane = 1 AND seq = ?1", [seq], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap();
    let hash = chain::Link { prev: &prev, lane: LANE, seq, at_ms, kind: &kind, row, detail }.hash();
    conn.execute(
        "UPDATE event SET detail = ?2, hash = ?3 WHERE lane = 1 AND seq = ?1",
        rusqlite::params![seq, detail, hash],
    )
    .unwrap();
    hash
}

const NOTHING_SEEN: &str = r#"{"seen":null}"#;

/// Rewrites the detail of one event with another spelling, and makes every hash right again.
fn respelled(lane: u32, seq: u64, spelled: impl FnOnce(&str) -> String) -> Vec<Finding> {
    let lab = tampered(|conn| {
        let at = rusqlite::params![lane, seq];
        let sql = "SELECT detail FROM event WHERE lane = ?1 AND seq = ?2";
        let detail: String = conn.query_row(sql, at, |row| row.get(0)).unwrap();
        let other = spelled(&detail);
        assert_ne!(other, detail);
        let update = "UPDATE event SET detail = ?3 WHERE lane = ?1 AND seq = ?2";
        conn.execute(update, rusqlite::params![lane, seq, other]).unwrap();
        rechain(conn);
    });
    altered(&lab).findings
}

#[test]
fn an_event_that_is_spelled_otherwise_is_found_although_its_hash_is_right() {
    let blank = |detail: &str| detail.replacen(':', ": ", 1);
    let escaped = |detail: &str| detail.replacen("cutover", "\\u0063utover", 1);
    let order = |detail: &str| {
        let fields = detail.strip_prefix('{').and_then(|fields| fields.strip_suffix('}')).unwrap();
        let (first, rest) = fields.split_once(',').unwrap();
        format!("{{{rest},{first}}}")
    };
    let unknown = |detail: &str| detail.replacen('{', "{\"more\":1,", 1);
    let in_a_word = |detail: &str| detail.replacen("cutovering", "CUTOVERING", 1);
    let n_events: u64 =
        night::night().raw().query_row("SELECT seq FROM lane WHERE lane = 1", [], |row| row.get(0)).unwrap();
    for seq in 2..=9 {
        for spelled in [&blank as &dyn Fn(&str) -> String, &escaped, &unknown, &in_a_word] {
            assert_eq!(respelled(1, seq, spelled), [Finding::Respelled { lane: LANE, seq }]);
        }
    }
    for (lane, seq) in [(0, 1), (0, 2), (1, n_events)] {
        for spelled in [&blank as &dyn Fn(&str) -> String, &unknown, &order] {
            let found = respelled(lane, seq, spelled);
            assert_eq!(found[..1], [Finding::Respelled { lane: LaneId(lane), seq }], "{found:?}");
        }
    }
    // A duplicate key, a number with an exponent, a field that says nothing.
    for (kind, from, to) in [
        ("launch_began", "\"launch\":1", "\"launch\":1,\"launch\":1"),
        ("quota_learned", "1.0", "1e0"),
        ("attempt_ended", "\"took_ms\":120", "\"took_ms\":120,\"took_ms\":120"),
        ("launch_ended", "\"elapsed_ms\"", "\"reason\":null,\"elapsed_ms\""),
    ] {
        let sql = "SELECT lane, seq FROM event WHERE kind = ?1 AND instr(detail, ?2) ORDER BY lane, seq LIMIT 1";
        let (lane, seq) =
            night::night().raw().query_row(sql, [kind, from], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let found = respelled(lane, seq, |detail| detail.replacen(from, to, 1));
        assert_eq!(found[..1], [Finding::Respelled { lane: LaneId(lane), seq }], "{kind}: {found:?}");
    }
}

#[test]
fn an_event_written_anew_with_its_hash_is_found_by_the_next_one_or_by_the_head() {
    let lab = tampered(|conn| _ = forge(conn, 5, NOTHING_SEEN));
    assert_eq!(altered(&lab).findings[0], Finding::Changed { lane: LANE, seq: 5 });
    let last = |conn: &Connection| conn.query_row("SELECT seq FROM lane WHERE lane = 1", [], |row| row.get(0)).unwrap();
    let seq: u64 = last(&lab.raw());
    let lab = tampered(|conn| _ = forge(conn, seq - 1, r#"{"seen":{}}"#));
    assert_eq!(altered(&lab).findings[0], Finding::Changed { lane: LANE, seq: seq - 1 });
    let lab = tampered(|conn| _ = forge(conn, seq, r#"{"verdict":"applied"}"#));
    assert_eq!(altered(&lab).findings[0], Finding::HeadDiffers { lane: LANE, seq });
}

#[test]
fn missing_events_are_found_where_they_are_missing() {
    let missing = |seq, n_missing| Finding::Missing { lane: LANE, seq, n_missing };
    assert_eq!(found("DELETE FROM event WHERE lane = 1 AND seq = 5"), missing(5, 1));
    assert_eq!(found("DELETE FROM event WHERE lane = 1 AND seq IN (5, 6)"), missing(5, 2));
    assert_eq!(found("DELETE FROM event WHERE lane = 1 AND seq = 1"), missing(1, 1));
    let closed_up = "DELETE FROM event WHERE lane = 1 AND seq = 5;
         UPDATE event SET seq = -seq WHERE lane = 1 AND seq > 5;
         UPDATE event SET seq = -seq - 1 WHERE lane = 1 AND seq < 0";
    assert_eq!(found(closed_up), missing(5, 1));
}

#[test]
fn swapped_events_are_found_whether_or_not_their_hashes_went_with_them() {
    let swapped = Finding::Swapped { lane: LANE, seq: 5 };
    let whole = "UPDATE event SET seq = -5 WHERE lane = 1 AND seq = 5;
         UPDATE event SET seq = 5 WHERE lane = 1 AND seq = 6;
         UPDATE event SET seq = 6 WHERE lane = 1 AND seq = -5";
    assert_eq!(found(whole), swapped);
    let contents = "CREATE TEMP TABLE old AS SELECT * FROM event WHERE lane = 1 AND seq IN (5, 6);
         UPDATE event SET (at, kind, row, detail) =
             (SELECT at, kind, row, detail FROM old WHERE old.seq = 11 - event.seq)
         WHERE lane = 1 AND seq IN (5, 6)";
    assert_eq!(found(contents), swapped);
}

#[test]
fn an_added_event_is_found_in_the_middle_and_at_the_end() {
    let make_room = "UPDATE event SET seq = -seq WHERE lane = 1 AND seq >= 5;
         UPDATE event SET seq = -seq + 1 WHERE lane = 1 AND seq < 0;
         INSERT INTO event SELECT run, lane, 5, at, kind, row, detail, prev, hash FROM event WHERE lane = 1 AND seq = 4";
    assert_eq!(found(make_room), Finding::Added { lane: LANE, seq: 5 });
    let lab = tampered(|conn| {
        conn.execute_batch(make_room).unwrap();
        conn.execute(
            "UPDATE event SET prev = (SELECT hash FROM event WHERE lane = 1 AND seq = 4) WHERE lane = 1 AND seq = 5",
            [],
        )
        .unwrap();
        forge(conn, 5, NOTHING_SEEN);
    });
    assert_eq!(altered(&lab).findings[0], Finding::Added { lane: LANE, seq: 5 });
    let mut seq = 0;
    let lab = tampered(|conn| {
        seq = conn.query_row("SELECT seq FROM lane WHERE lane = 1", [], |row| row.get(0)).unwrap();
        let insert = "INSERT INTO event SELECT run, lane, seq + 1, at, 'row_seen', 11, detail, hash, hash FROM event
             WHERE lane = 1 AND seq = ?1";
        conn.execute(insert, [seq]).unwrap();
        forge(conn, seq + 1, NOTHING_SEEN);
    });
    assert_eq!(altered(&lab).findings[0], Finding::Added { lane: LANE, seq: seq + 1 });
}

#[test]
fn a_cut_tail_is_found_by_the_head_and_with_the_head_by_the_anchor() {
    let lab = night::night();
    let before = verified(&lab);
    let seq: u64 = lab.raw().query_row("SELECT seq FROM lane WHERE lane = 1", [], |row| row.get(0)).unwrap();
    let found = found(&format!("DELETE FROM event WHERE lane = 1 AND seq > {}", seq - 2));
    assert_eq!(found, Finding::CutOff { lane: LANE, seq: seq - 1, n_missing: 2 });
    let cut = tampered(|conn| {
        // The last two events belong to row 12, so that the row can be made to look untouched.
        conn.execute("DELETE FROM event WHERE lane = 1 AND seq > ?1", [seq - 2]).unwrap();
        conn.execute("UPDATE row SET standing = 'untried', verdict = NULL, looked = 0, settled_at = NULL, reason = NULL WHERE row = 12", [])
            .unwrap();
        rechain(conn);
    });
    let after = verified(&cut);
    let code = |anchor: &str| anchor.parse::<Code>().unwrap();
    let shown = before.anchor.to_string();
    let proven = Verified { proven_by: ProvenBy::Anchor, ..before.clone() };
    assert_eq!(before.against(&code(&shown.to_uppercase())).unwrap(), proven);
    let Err(AuditError::Altered(altered)) = after.clone().against(&code(&shown)) else { panic!("it passed") };
    let expected = Finding::AnchorDiffers { expected: shown, found: after.anchor.to_string() };
    assert_eq!(altered.findings, [expected]);
}

#[test]
fn a_rewritten_row_is_found_whichever_column_it_was() {
    for (column, value) in [
        ("attempts", "9"),
        ("throttled", "9"),
        ("started", "9"),
        ("doubted", "1"),
        ("looked", "1"),
        ("http_status", "418"),
        ("error_code", "'x'"),
        ("error_msg", "'x'"),
        ("request_id", "'x'"),
        ("first_sent_at", "1"),
        ("last_sent_at", "1"),
        ("settled_at", "1"),
        ("reason", "'x'"),
    ] {
        let found = found(&format!("UPDATE row SET {column} = {value} WHERE row = 1"));
        assert_eq!(found, Finding::RowDiffers { row: RowId(1), columns: vec![column] });
    }
    for (set, column) in [
        ("verdict = 'already'", "standing"),
        ("standing = 'due', verdict = NULL", "standing"),
        ("before_copystate = 'x'", "before"),
        ("after_migrationcycle = NULL", "after"),
    ] {
        let found = found(&format!("UPDATE row SET {set} WHERE row = 1"));
        assert_eq!(found, Finding::RowDiffers { row: RowId(1), columns: vec![column] });
    }
    // Row 11 has no events, so that nothing may be recorded of it.
    let untouched = found("UPDATE row SET standing = 'settled', verdict = 'applied' WHERE row = 11");
    assert_eq!(untouched, Finding::RowDiffers { row: RowId(11), columns: vec!["standing"] });
}

#[test]
fn of_a_run_that_is_too_large_to_verify_the_verdicts_are_held_against_the_events() {
    let check = |lab: &ReportLab| {
        let (journal, run) = lab.open();
        beforehand::large_run(&journal, &run, CheckFor::Launch)
    };
    for lab in [night::night(), ReportLab::with(&[]), ReportLab::with(&[row(1, "vm-1")])] {
        check(&lab).unwrap();
    }
    for (sql, row, columns) in [
        // The last rows of a wave are made to look settled, which would let the next wave begin.
        (
            "UPDATE row SET standing = 'settled', verdict = 'applied', on_target = 1 WHERE row = 11",
            11,
            &["verdict", "on_target"][..],
        ),
        ("UPDATE row SET standing = 'settled', verdict = 'blocked' WHERE row = 11", 11, &["verdict"]),
        ("UPDATE row SET verdict = 'already' WHERE row = 1", 1, &["verdict"]),
        ("UPDATE row SET on_target = 0 WHERE row = 1", 1, &["on_target"]),
        ("UPDATE row SET on_target = 1 WHERE row = 11", 11, &["on_target"]),
        (
            "UPDATE row SET standing = 'untried', verdict = NULL, on_target = 0 WHERE row = 1",
            1,
            &["verdict", "on_target"],
        ),
    ] {
        let lab = tampered(|conn| conn.execute_batch(sql).unwrap());
        let Err(AuditError::Altered(altered)) = check(&lab) else { panic!("it passed: {sql}") };
        let expected = Finding::RowDiffers { row: RowId(row), columns: columns.to_vec() };
        assert_eq!(altered.findings, [expected], "{sql}");
    }
    let gone = tampered(|conn| conn.execute_batch("DELETE FROM row WHERE row = 1").unwrap());
    let Err(AuditError::Altered(altered)) = check(&gone) else { panic!("it passed") };
    assert!(matches!(altered.findings[0], Finding::NoSuchRow { row: RowId(1), .. }), "{:?}", altered.findings);
}

#[test]
fn a_changed_plan_is_found_even_if_its_digest_was_changed_with_it() {
    for set in ["copystate = 'stopped'", "source_id = 'vm-x'", "wave = 'third'", "name = NULL", "extra = '[]'"] {
        assert!(
            matches!(found(&format!("UPDATE row SET {set} WHERE row = 1")), Finding::DigestDiffers { .. }),
            "{set}"
        );
    }
    let removed = found("DELETE FROM row WHERE row = 11");
    assert_eq!(removed, Finding::RowsMissing { expected: 12, found: 11 });
    let Finding::DigestDiffers { found: digest, .. } = found("UPDATE row SET note = 'x' WHERE row = 1") else {
        panic!("another finding")
    };
    let both = format!("UPDATE row SET note = 'x' WHERE row = 1; UPDATE run SET plan_digest = '{digest}'");
    assert_eq!(found(&both), Finding::RunDiffers { columns: vec!["plan_digest"] });
}

#[test]
fn the_sums_of_run_and_lane_are_checked() {
    for (column, value) in [
        ("n_rows", "13"),
        ("settings", "'{}'"),
        ("launches", "2"),
        ("started_at", "1"),
        ("ended_at", "1"),
        ("elapsed_ms", "1"),
        ("exit_code", "0"),
        ("exit_name", "'done'"),
        ("exit_reason", "'x'"),
    ] {
        let found = found(&format!("UPDATE run SET {column} = {value}"));
        assert_eq!(found, Finding::RunDiffers { columns: vec![column] });
    }
    for (column, value) in [
        ("throttled", "0"),
        ("per_second", "2.0"),
        ("stated", "0"),
        ("learned_at", "1"),
        ("cooled_until", "NULL"),
        ("endpoint", "'https://elsewhere'"),
        ("account", "'other'"),
        ("name", "'other'"),
    ] {
        let found = found(&format!("UPDATE lane SET {column} = {value} WHERE lane = 1"));
        assert_eq!(found, Finding::LaneDiffers { lane: LANE, columns: vec![column] });
    }
}

#[test]
fn an_impossible_history_is_named_even_when_every_hash_is_right() {
    let lab = tampered(|conn| {
        let sql =
            "UPDATE event SET kind = 'attempt_ended', detail = (SELECT detail FROM event WHERE kind = 'attempt_ended')
             WHERE lane = 1 AND seq = 2";
        conn.execute(sql, []).unwrap();
        rechain(conn);
    });
    let step = ("the end of an attempt", "untried");
    let expected = Finding::Impossible { lane: LANE, seq: 2, row: RowId(1), event: step.0, phase: step.1 };
    assert_eq!(altered(&lab).findings, [expected]);
}

#[test]
fn what_cannot_be_read_is_told_apart_from_what_is_newer() {
    let rewritten = |set: &str| {
        altered(&tampered(|conn| {
            conn.execute(&format!("UPDATE event SET {set} WHERE lane = 1 AND seq = 2"), []).unwrap();
            rechain(conn);
        }))
        .findings
    };
    let newer = rewritten("kind = 'row_dreamt'");
    assert_eq!(newer, [Finding::UnknownKind { lane: LANE, seq: 2, kind: "row_dreamt".into() }]);
    assert!(matches!(rewritten("kind = 'row_left'")[..], [Finding::Unreadable { seq: 2, .. }]));
    let elsewhere = rewritten("row = 99");
    assert!(elsewhere.contains(&Finding::NoSuchRow { lane: LANE, seq: 2, row: RowId(99) }), "{elsewhere:?}");
}

#[test]
fn the_triggers_must_be_there_as_they_were_made() {
    for (trigger, instead) in [
        ("event_is_never_changed", ""),
        ("event_is_never_removed", "CREATE TRIGGER event_is_never_removed BEFORE DELETE ON event BEGIN SELECT 1; END;"),
    ] {
        let lab = night::night();
        lab.raw().execute_batch(&format!("DROP TRIGGER {trigger}; {instead}")).unwrap();
        assert_eq!(altered(&lab).findings, [Finding::TriggerMissing { trigger }]);
    }
}

#[test]
fn every_kind_that_this_version_writes_is_known() {
    let (journal, run) = night::night().open();
    journal
        .for_each_stored_event(run.key, EventOrder::ByLane, |event| {
            assert!(super::sums::read(&event).is_ok(), "{}", event.kind);
            Ok::<(), JournalError>(())
        })
        .unwrap();
    let rest = [
        LaneEvent::Stopped { cause: crate::event::lane::LaneStop::Barred, message: String::new() }.into(),
        RowEvent::Reopened { cause: String::new() }.about(RowId(1)),
    ];
    for kind in rest {
        let mut text = String::new();
        let Stored { kind: name, row, detail } = stored_form(&kind, &mut text);
        let (prev, hash) = ([0; 32], [0; 32]);
        let stored =
            crate::journal::stored::StoredEvent { lane: LANE, seq: 1, at_ms: 0, kind: name, row, detail, prev, hash };
        assert!(super::sums::read(&stored).is_ok(), "{name}");
    }
}

#[test]
fn a_verification_is_told_to_people_and_to_scripts() {
    let lab = night::night();
    let verified = audit(&lab);
    let altered = audit(&tampered(|conn| {
        let tampering = "DELETE FROM event WHERE lane = 1 AND seq IN (5, 6); UPDATE run SET exit_code = 0;
             UPDATE row SET verdict = 'already' WHERE row = 1";
        conn.execute_batch(tampering).unwrap();
    }));
    let text = |of: &Audit| {
        let mut out = Vec::new();
        write_text(of, &mut Printout::new(&mut out)).unwrap();
        in_lines(out)
    };
    let json = |of: &Audit| {
        let mut out = Vec::new();
        write_json(of, &mut out).unwrap();
        in_lines(out)
    };
    assert_snapshot!("audit.txt", text(&verified));
    assert_snapshot!("audit.altered.txt", text(&altered));
    assert_snapshot!("audit.json", json(&verified));
    assert_snapshot!("audit.altered.json", json(&altered));
    for of in [&verified, &altered] {
        let document: Value = serde_json::from_str(&json(of)).unwrap();
        assert_eq!((document["ok"].as_bool(), &document["run"]), (Some(of.is_ok()), &Value::from(RUN_ID)));
    }
}

#[test]
fn findings_past_a_hundred_are_counted() {
    let rows: Vec<_> = (1..=150).map(|id| row(id, &format!("vm-{id}"))).collect();
    let lab = ReportLab::with(&rows);
    Connection::open(lab.path()).unwrap().execute("UPDATE row SET attempts = 1", []).unwrap();
    let altered = altered(&lab);
    assert_eq!((altered.findings.len(), altered.n_findings), (finding::MOST_KEPT, 150));
}

/// Random generator with the same sequence everywhere (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.roll() % n as u64).unwrap()
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Description of a change, and the event that has to be named for it, if it was to an event.
struct Deed {
    what: String,
    names: Option<(LaneId, u64)>,
}

/// Alters one value as little as its type allows.
fn altered_value(value: rusqlite::types::Value, dice: &mut Dice) -> rusqlite::types::Value {
    use rusqlite::types::Value as V;
    match value {
        V::Integer(number) => V::Integer(number + 1),
        V::Real(number) => V::Real(number + 0.5),
        V::Text(text) => {
            let mut chars: Vec<char> = text.chars().collect();
            match chars.len() {
                0 => chars.push('x'),
                n => {
                    let at = dice.below(n);
                    chars[at] = if chars[at] == 'x' { 'y' } else { 'x' };
                }
            }
            V::Text(chars.into_iter().collect())
        }
        V::Blob(mut bytes) => {
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
            V::Blob(bytes)
        }
        V::Null => V::Null,
    }
}

/// Alters one column of one entry of a table.
fn alter_a_column(conn: &Connection, dice: &mut Dice) -> Deed {
    let table = *dice.one_of(&["event", "event", "event", "row", "row", "run", "lane"]);
    let mut statement = conn.prepare(&format!("SELECT name, type FROM pragma_table_info('{table}')")).unwrap();
    let columns = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let columns: Vec<(String, String)> = columns.collect::<Result<_, _>>().unwrap();
    let (column, kind) = dice.one_of(&columns).clone();
    let keys: &[&str] = match table {
        "event" => &["run", "lane", "seq"],
        "row" => &["run", "row"],
        "lane" => &["run", "lane"],
        _ => &["run"],
    };
    let n: usize = conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    let sql = format!("SELECT {}, {column} FROM {table} LIMIT 1 OFFSET {}", keys.join(", "), dice.below(n));
    let (key, value): (Vec<i64>, rusqlite::types::Value) = conn
        .query_row(&sql, [], |row| {
            let key = (0..keys.len()).map(|at| row.get(at)).collect::<Result<_, _>>()?;
            Ok((key, row.get(keys.len())?))
        })
        .unwrap();
    let value = match (altered_value(value, dice), kind.as_str()) {
        (rusqlite::types::Value::Null, "TEXT") => "x".to_owned().into(),
        (rusqlite::types::Value::Null, "REAL") => 1.5.into(),
        (rusqlite::types::Value::Null, "BLOB") => vec![0_u8; 32].into(),
        (rusqlite::types::Value::Null, _) => 1_i64.into(),
        (value, _) => value,
    };
    let at: Vec<String> = keys.iter().zip(&key).map(|(name, value)| format!("{name} = {value}")).collect();
    let at = at.join(" AND ");
    let updated = conn.execute(&format!("UPDATE OR IGNORE {table} SET {column} = ?1 WHERE {at}"), [&value]).unwrap();
    if updated == 0 {
        // The key is taken already.
        return alter_a_column(conn, dice);
    }
    let is_content = table == "event" && !["run", "lane", "seq"].contains(&column.as_str());
    let names = is_content.then(|| (LaneId(u32::try_from(key[1]).unwrap()), u64::try_from(key[2]).unwrap()));
    Deed { what: format!("{table}.{column} = {value:?} where {at}"), names }
}

fn an_event(conn: &Connection, dice: &mut Dice) -> (u32, u64, u64) {
    let lane = *dice.one_of(&[0_u32, 1, 1, 1]);
    let last: u64 = conn.query_row("SELECT seq FROM lane WHERE lane = ?1", [lane], |row| row.get(0)).unwrap();
    (lane, 1 + u64::try_from(dice.below(usize::try_from(last).unwrap())).unwrap(), last)
}

/// Tampers in one random way, like somebody who can write to the file and knows nothing of hashes.
fn tamper_by(dice: &mut Dice, conn: &Connection) -> Deed {
    conn.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF").unwrap();
    let (lane, seq, last) = an_event(conn, dice);
    let named = |seq| Some((LaneId(lane), seq));
    let run = |sql: &str| conn.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let one_up = |from: u64| {
        run(&format!(
            "UPDATE event SET seq = -seq - 1 WHERE lane = {lane} AND seq > {from};
             UPDATE event SET seq = -seq WHERE lane = {lane} AND seq < 0"
        ));
    };
    match dice.below(10) {
        0..=4 => alter_a_column(conn, dice),
        5 => {
            run(&format!("DELETE FROM event WHERE lane = {lane} AND seq = {seq}"));
            Deed { what: format!("event {lane}/{seq} deleted"), names: named(seq) }
        }
        6 => {
            run(&format!("DELETE FROM event WHERE lane = {lane} AND seq IN ({seq}, {})", seq + 1));
            Deed { what: format!("events {lane}/{seq} and the next deleted"), names: named(seq) }
        }
        7 if seq < last => {
            run(&format!(
                "UPDATE event SET seq = -seq WHERE lane = {lane} AND seq IN ({seq}, {0});
                 UPDATE event SET seq = {0} WHERE lane = {lane} AND seq = -{seq};
                 UPDATE event SET seq = {seq} WHERE lane = {lane} AND seq = -{0}",
                seq + 1
            ));
            Deed { what: format!("event {lane}/{seq} swapped with the next"), names: named(seq) }
        }
        8 => {
            one_up(seq);
            run(&format!(
                "INSERT INTO event SELECT run, lane, seq + 1, at, kind, row, detail, prev, hash FROM event
                 WHERE lane = {lane} AND seq = {seq}"
            ));
            Deed { what: format!("event {lane}/{seq} copied behind itself"), names: named(seq + 1) }
        }
        _ => {
            // The head is set back with the tail, hash and all: only the anchor reveals it.
            run(&format!(
                "DELETE FROM event WHERE lane = {lane} AND seq >= {seq};
                 UPDATE lane SET seq = {seq} - 1, head = (SELECT prev FROM event_was WHERE lane = {lane} AND seq = {seq})
                 WHERE lane = {lane}"
            ));
            Deed { what: format!("the tail from {lane}/{seq} cut off with its head"), names: None }
        }
    }
}

fn names(finding: &Finding) -> Option<(LaneId, u64)> {
    match finding {
        Finding::Changed { lane, seq }
        | Finding::Missing { lane, seq, .. }
        | Finding::Swapped { lane, seq }
        | Finding::Added { lane, seq }
        | Finding::CutOff { lane, seq, .. } => Some((*lane, *seq)),
        _ => None,
    }
}

#[test]
fn a_thousand_ways_of_tampering_are_found_and_those_with_events_are_named() {
    let before = verified(&night::night());
    let mut n_named = 0;
    let mut faults = Vec::new();
    for seed in 0..1_000 {
        let mut dice = Dice(seed);
        let mut done = None;
        let lab = tampered(|conn| {
            conn.execute_batch("CREATE TEMP TABLE event_was AS SELECT * FROM event").unwrap();
            done = Some(tamper_by(&mut dice, conn));
        });
        let Deed { what, names: expected } = done.unwrap();
        let journal = crate::journal::Journal::open_to_read(&lab.path()).unwrap();
        let verified = journal
            .runs()
            .and_then(|runs| runs.into_iter().next().ok_or(JournalError::NoRuns))
            .map_err(AuditError::from)
            .and_then(|run| verify(&journal, &run))
            .and_then(|verified| verified.against(&before.anchor.whole().parse().unwrap()));
        match verified {
            Ok(_) => faults.push(format!("seed {seed}: not found: {what}")),
            Err(AuditError::Altered(altered)) => {
                let named = names(&altered.findings[0]);
                n_named += u32::from(named.is_some());
                if expected.is_some() && named != expected {
                    faults.push(format!("seed {seed}: {what}: {:?}", altered.findings[0]));
                }
            }
            Err(AuditError::Journal(JournalError::Damaged(_) | JournalError::Illegal(_))) => (),
            Err(error) => faults.push(format!("seed {seed}: {what}: {error:?}")),
        }
    }
    assert!(faults.is_empty(), "{} of 1,000:\n{}", faults.len(), faults.join("\n"));
    assert!(n_named > 400, "{n_named}");
}

#[test]
fn the_bundles_own_checker_knows_each_event_of_a_row() {
    let mut found: Vec<&str> = CHECKER
        .lines()
        .filter_map(|line| line.trim().strip_prefix("def on_")?.split_once('(').map(|(name, _)| name))
        .collect();
    let mut names = RowEvent::NAMES.to_vec();
    names.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, names);
}
