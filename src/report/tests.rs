//! Every text and format of one known run, and of runs at their limits.

use std::fmt::Write as _;
use std::io;

use insta::assert_snapshot;
use jiff::Timestamp;
use serde_json::Value;

use super::error::ReportError;
use super::explain::Explained;
use super::holder::Holder;
use super::lab::night::{self, row};
use super::lab::{RUN_ID, ReportLab, in_lines};
use super::runs::RunList;
use super::summary::{self, Summary};
use super::{status, write};
use crate::control::{By, CONTROL, Command};
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::lane::LaneId;
use crate::event::row::RowEvent;
use crate::event::run::RunEvent;
use crate::event::verdict::{Ground, Verdict};
use crate::exit::Exit;
use crate::formats::Format;
use crate::journal::read::runs::{RunFilter, RunRecord};
use crate::journal::stored::EventOrder;
use crate::journal::{Journal, JournalError};
use crate::observe::events;
use crate::values::zone::Zone;
use crate::wording::printout::Printout;

const PATH: &str = "cutover.db";

fn written<E: std::fmt::Debug>(write: impl FnOnce(&mut dyn io::Write) -> Result<(), E>) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    out
}

fn told(write: impl FnOnce(&mut Printout<'_>) -> io::Result<()>) -> String {
    in_lines(written(|out| write(&mut Printout::new(out))))
}

fn summary_of(lab: &ReportLab) -> Summary {
    let (journal, run) = lab.open();
    Summary::from_journal(&journal, &run, PATH.as_ref()).unwrap()
}

/// Returns the report, with the journal's own path made the same on every machine.
fn report(lab: &ReportLab, format: Format) -> Vec<u8> {
    let (journal, run) = lab.open();
    let bytes = written(|out| write(format, &journal, &run, out));
    if format.is_binary() { bytes } else { without_path(lab, str::from_utf8(&bytes).unwrap()).into_bytes() }
}

fn without_path(lab: &ReportLab, text: &str) -> String {
    let path = lab.path();
    let in_json = serde_json::to_string(&path).unwrap();
    text.replace(in_json.trim_matches('"'), PATH).replace(&path.display().to_string().replace('_', "\\_"), PATH)
}

fn explained(journal: &Journal, run: &RunRecord, source_id: &str) -> Explained {
    let (row, standing) = journal.row_of_source(run.key, source_id).unwrap().unwrap();
    Explained::from_journal(journal, run, row, standing).unwrap()
}

/// Time zone in which these tests show times.
fn berlin() -> Zone {
    Zone::from_name("Europe/Berlin").unwrap()
}

#[test]
fn a_night_reads_as_it_was() {
    let lab = night::night();
    let summary = summary_of(&lab);
    assert_snapshot!("summary.txt", told(|out| summary.write_text(&berlin(), out)));
    assert_snapshot!("summary.json", in_lines(written(|out| summary::write_json(&summary, out))));
    assert_snapshot!("status.txt", told(|out| status::write_text(&summary, Holder::Gone, &berlin(), out)));
    assert_snapshot!("report.csv", in_lines(report(&lab, Format::Csv)));
    assert_snapshot!("report.html", String::from_utf8(report(&lab, Format::Html)).unwrap());
    assert_snapshot!("report.json", in_lines(report(&lab, Format::Json)));
    assert_snapshot!("report.junit.xml", in_lines(report(&lab, Format::Junit)));
    assert_snapshot!("report.md", in_lines(report(&lab, Format::Md)));
    let (journal, _) = lab.open();
    let runs = RunList::new(&journal, RunFilter::default()).unwrap();
    let listed = |out: &mut Printout<'_>| runs.write_text(&berlin(), out).map(drop).map_err(io::Error::other);
    assert_snapshot!("runs.txt", told(listed));
    assert_snapshot!("runs.json", in_lines(written(|out| runs.write_json(out))));
}

#[test]
fn a_row_tells_its_whole_story() {
    let lab = night::night();
    let (journal, run) = lab.open();
    for source_id in ["vm-applied", "vm-failed", "vm-refused", "vm-in-doubt", "vm-pending"] {
        let explained = explained(&journal, &run, source_id);
        let text = without_path(&lab, &told(|out| explained.write_text(&berlin(), out)));
        assert_snapshot!(format!("explain.{source_id}.txt"), text);
    }
    let hostile = explained(&journal, &run, "-vm|it's ☃\u{202e}");
    assert_snapshot!("explain.hostile.txt", without_path(&lab, &told(|out| hostile.write_text(&berlin(), out))));
    let failed = explained(&journal, &run, "vm-failed");
    let document = in_lines(written(|out| failed.write_json(out)));
    assert_snapshot!("explain.vm-failed.json", without_path(&lab, &document));
}

#[test]
fn every_event_is_a_line() {
    let lab = night::night();
    let (journal, run) = lab.open();
    let source = crate::model::SourceId::new("vm-1").unwrap();
    let mut lines = String::new();
    journal
        .for_each_stored_event(run.key, EventOrder::ByLane, |event| {
            let at = Timestamp::from_millisecond(event.at_ms).unwrap();
            let kind = event.read().unwrap();
            let source = matches!(kind, EventKind::Row(..)).then_some(&source);
            let event = Event { lane: event.lane, seq: event.seq, at, kind };
            writeln!(lines, "{}", events::line(RUN_ID, &event, source)).unwrap();
            Ok::<(), JournalError>(())
        })
        .unwrap();
    assert_snapshot!("events.jsonl", lines);
}

#[test]
fn counts_add_up_to_the_rows_and_to_the_sentence() {
    let summary = summary_of(&night::night());
    let total: u64 = summary.counts().iter().map(|(_, n_rows, _)| n_rows).sum();
    assert_eq!(total, u64::from(summary.plan.rows));
    assert_eq!(summary.on_target + summary.n_need_a_look() + summary.n_unsettled(), total);
    assert_eq!(summary.sentence(), "2 of 12 rows are on target; 1 is still to do, 1 is in doubt, 8 need a look.");
    assert_eq!((summary.attempts, summary.throttled), (8, 2));
}

#[test]
fn whatever_stopped_a_run_early_begins_its_sentence_until_it_goes_on() {
    let mut summary = summary_of(&night::night());
    for (exit, begins) in [
        (Exit::Halted, "Halted: 2 of 12 rows are on target; 1 is still to do"),
        (Exit::Terminated, "Terminated by a signal: 2 of 12 rows are on target; "),
        (Exit::NotOnTarget, "2 of 12 rows are on target; 1 is still to do"),
    ] {
        summary.exit.code = Some(exit.code());
        assert!(summary.sentence().starts_with(begins), "{}", summary.sentence());
    }
    let line = summary.in_one_line();
    assert!(
        line.contains("8 need a look: 2 refused, SMS.0515: ") && line.ends_with("; 6 rows for other causes"),
        "{line}"
    );
    assert!(summary.hint().contains(": `cutover "), "{}", summary.hint());
    for (n_rows, told) in [(3, "all 3 rows are"), (1, "the one row is")] {
        (summary.plan.rows, summary.verdicts.already) = (n_rows, n_rows.into());
        assert_eq!(summary.sentence(), format!("Nothing was to do: {told} on target already."));
    }
}

#[test]
fn two_reports_of_one_journal_are_the_same_bytes() {
    let lab = night::night();
    for format in Format::ALL {
        assert_eq!(report(&lab, format), report(&lab, format));
    }
}

#[test]
fn every_value_survives_the_way_through_csv() {
    let lab = night::night();
    let bytes = report(&lab, Format::Csv);
    let mut csv = csv::Reader::from_reader(bytes.as_slice());
    let header = csv.headers().unwrap().clone();
    let records: Vec<csv::StringRecord> = csv.records().collect::<Result<_, _>>().unwrap();
    assert_eq!(records.len(), 12);
    let value = |row: usize, column: &str| {
        records[row].get(header.iter().position(|name| name == column).unwrap()).unwrap().to_owned()
    };
    assert_eq!(value(11, "source_id"), "'-vm|it's ☃\u{202e}");
    assert!(value(11, "name").starts_with("'=cmd|' /C calc'!A0\n| a | b |"));
    assert_eq!((value(11, "note"), value(11, "'=1+1")), ("'@SUM(A1)".into(), "'+1".into()));
    assert_eq!((value(0, "verdict"), value(0, "plan_verdict")), ("applied".into(), "'-1".into()));
    assert_eq!((value(9, "verdict"), value(10, "verdict")), ("in_doubt".into(), "pending".into()));
    assert_eq!(value(0, "first_sent_at").len(), "2026-11-23T10:00:00.000Z".len());
}

#[test]
fn a_run_without_rows_and_one_that_has_not_begun_can_be_read() {
    let empty = ReportLab::with(&[]);
    assert_eq!(summary_of(&empty).sentence(), "The run has no rows.");
    let unbegun = ReportLab::with(&[row(1, "vm-1")]);
    assert_eq!(summary_of(&unbegun).sentence(), "0 of 1 row is on target; 1 is still to do.");
    for lab in [empty, unbegun] {
        let summary = summary_of(&lab);
        assert_eq!((summary.exit.code, &summary.started_at, &summary.running), (None, &None, &None));
        for format in Format::ALL {
            assert!(!report(&lab, format).is_empty());
        }
        assert!(serde_json::from_slice::<Value>(&report(&lab, Format::Json)).is_ok());
    }
}

#[test]
fn a_run_in_progress_says_who_carries_it_and_has_no_exit() {
    let mut lab = ReportLab::with(&[row(1, "vm-1"), row(2, "vm-2")]);
    lab.begins();
    lab.happens(LaneId::FIRST, [night::seen(1)]);
    let [started, _] = night::attempt(1, 1, night::ACCEPTED);
    lab.happens(LaneId::FIRST, [started]);
    let lab = lab.at_known_times();
    let summary = summary_of(&lab);
    assert_eq!((summary.exit.code, &summary.exit.name), (None, &None));
    assert_eq!(summary.unsettled, summary::Unsettled { pending: 1, in_doubt: 1, under_way: 0 });
    assert!((summary.elapsed_s - 0.5).abs() < f64::EPSILON);
    for (holder, name) in [(Holder::Alive, "alive"), (Holder::Gone, "gone"), (Holder::Unknown, "unknown")] {
        let text = told(|out| status::write_text(&summary, holder, &berlin(), out));
        assert_snapshot!(format!("status.{name}.txt"), text);
    }
    let mut goes_on = summary;
    goes_on.unsettled.under_way = 1;
    assert_eq!(goes_on.sentence(), "0 of 2 rows are on target so far; 1 is still to do, 1 is under way.");
    assert_eq!(goes_on.counts().iter().map(|(name, ..)| *name).collect::<Vec<_>>(), ["pending", "under_way"]);
}

#[test]
fn an_unverified_row_is_on_target_only_when_nobody_wanted_proof() {
    let mut lab = ReportLab::with(&[row(1, "vm-1"), row(2, "vm-2")]);
    lab.begins();
    for (id, ground) in [(1, Ground::NotVerified), (2, Ground::Unseen)] {
        let (row, ground) = (crate::model::RowId(id), Some(ground));
        lab.happens(LaneId::FIRST, night::attempt(id, 1, night::ACCEPTED));
        let verdict = Verdict::Unverified;
        lab.happens(LaneId::FIRST, [RowEvent::Settled { verdict, seen: None, reason: None, ground }.about(row)]);
    }
    lab.ends(Exit::NotOnTarget, None);
    let summary = summary_of(&lab);
    assert_eq!((summary.on_target, summary.verdicts.unverified), (1, 2));
    assert_eq!(summary.causes.iter().map(|cause| cause.example.as_str()).collect::<Vec<_>>(), ["vm-2"]);
    assert_eq!(summary.waves[0].on_target, 1);
}

#[test]
fn a_ticket_lists_two_hundred_rows_and_counts_the_others() {
    let rows: Vec<_> = (1..=203).map(|id| row(id, &format!("vm-{id}"))).collect();
    let mut lab = ReportLab::with(&rows);
    lab.begins();
    let blocked = |id| night::settled(id, Verdict::Blocked, None, Some("not met"));
    lab.happens(LaneId::FIRST, (1..=203).map(blocked));
    let text = String::from_utf8(report(&lab, Format::Md)).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("| vm-") && line.contains("finished/cutovered")).count(), 200);
    assert!(text.contains("… and 3 more rows"), "{text}");
}

#[test]
fn an_id_that_is_not_there_gets_its_neighbours() {
    let lab = night::night();
    let (journal, run) = lab.open();
    let near = |source_id: &str| journal.sources_like(run.key, source_id).unwrap();
    assert_eq!(near("vm-ref"), ["vm-refused", "vm-refused-too"]);
    assert_eq!(near("doubt"), ["vm-in-doubt"]);
    assert_eq!(near("vm-faield"), ["vm-failed"]);
    assert_eq!(near("vm").len(), 5);
    assert_eq!(near("%_%"), [""; 0]);
    assert_eq!(near("VM-BLOKED"), ["vm-blocked"]);
}

#[test]
fn a_closed_pipe_is_an_error_and_not_a_panic() {
    struct Closed;
    impl io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let lab = night::night();
    let (journal, run) = lab.open();
    for format in Format::ALL {
        let Err(ReportError::Write(error)) = write(format, &journal, &run, &mut Closed) else { panic!("{format:?}") };
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}

#[test]
fn a_reopened_row_is_told_as_such() {
    let mut lab = ReportLab::with(&[row(1, "vm-1")]);
    lab.begins();
    let reopened = RowEvent::Reopened { cause: "asked for by ops".into() }.about(crate::model::RowId(1));
    lab.happens(LaneId::FIRST, [night::settled(1, Verdict::Blocked, None, Some("not met")), reopened]);
    let lab = lab.at_known_times();
    let (journal, run) = lab.open();
    let text = told(|out| explained(&journal, &run, "vm-1").write_text(&berlin(), out));
    assert!(text.contains("opened again: asked for by ops"), "{text}");
    assert!(text.contains("pending: begun, and due again."), "{text}");
}

#[test]
fn a_row_that_waits_to_be_skipped_names_who_and_why_in_its_document_too() {
    let mut lab = ReportLab::with(&[row(1, "vm-1")]);
    lab.begins();
    let by = By {
        user: Some("ada".into()),
        host: "bridge".into(),
        reason: Some("not tonight".into()),
        via: CONTROL.into(),
        ..By::default()
    };
    let command = Command::Skip { source_id: "vm-1".into() };
    lab.happens(LaneId::RUN, [RunEvent::Controlled { command, by, control: None }.into()]);
    let (journal, run) = lab.open();
    let document: Value =
        serde_json::from_slice(&written(|out| explained(&journal, &run, "vm-1").write_json(out))).unwrap();
    assert_eq!((&document["skipped"]["user"], &document["skipped"]["reason"]), (&"ada".into(), &"not tonight".into()));
}
