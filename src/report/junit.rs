//! Report for CI: JUnit XML in the dialect of the Jenkins xunit plugin (`junit-10.xsd`), with retries as Maven Surefire writes
//! them. A wave is a suite, a row is a test; a row on target passes.
//!
//! source: <https://github.com/jenkinsci/xunit-plugin>, `org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd`, and
//! <https://maven.apache.org/surefire/maven-surefire-plugin/examples/rerun-failing-tests.html>

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::advice::rows;
use super::advice::step::Advice;
use super::error::ReportError;
use super::next::NextCommands;
use super::row::why;
use super::terminal::UNPROVEN;
use crate::event::outcome::Outcome;
use crate::event::verdict::Verdict;
use crate::journal::Journal;
use crate::journal::chain::Anchor;
use crate::journal::read::attempts::Attempt;
use crate::journal::read::by_wave::WaveSum;
use crate::journal::read::runs::RunRecord;
use crate::ledger::standing::{Phase, Standing};
use crate::model::Row;
use crate::wording::amounts::duration;
use crate::wording::plain::plain;
use crate::wording::times::time;

type Xml<'a> = Writer<&'a mut dyn io::Write>;

pub(super) fn write(journal: &Journal, run: &RunRecord, out: &mut dyn io::Write) -> Result<(), ReportError> {
    let waves = journal.wave_sums(run.key)?;
    let anchor = journal.anchor(run)?;
    let mut commands = NextCommands::from_journal(journal, run, journal.told_path())?;
    if waves.iter().any(|wave| wave.unproven > 0) {
        commands.mixed = journal.sums(run.key)?.mixed;
    }
    let mut xml: Xml<'_> = Writer::new_with_indent(&mut *out, b' ', 1);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let mut root = BytesStart::new("testsuites");
    root.push_attribute(("name", format!("cutover: run {}", plain(&run.id)).as_str()));
    push_sums(&mut root, &waves);
    xml.write_event(Event::Start(root))?;
    let mut coming = waves.iter();
    let mut open: Option<Suite> = None;
    journal.for_each_row_by_wave(run.key, |wave_no, row, standing| {
        if open.as_ref().is_none_or(|suite| suite.wave_no != wave_no) {
            if open.is_some() {
                end(&mut xml, "testsuite")?;
            }
            let wave = coming.next().filter(|wave| wave.wave_no == wave_no);
            open = Some(Suite::begin(&mut xml, (run, &commands), wave.expect("both are read at one instant"), anchor)?);
        }
        let suite = open.as_ref().expect("begun above");
        let attempts =
            if has_other_attempts(&standing) { journal.attempts_of_row(run.key, row.id)? } else { Vec::new() };
        Ok::<(), ReportError>(suite.case(&mut xml, &commands, &row, &standing, &attempts)?)
    })?;
    if open.is_some() {
        end(&mut xml, "testsuite")?;
    }
    end(&mut xml, "testsuites")?;
    writeln!(out)?;
    Ok(())
}

/// Adds the sums of these suites as attributes. A row takes the time from its first change to its verdict.
fn push_sums(element: &mut BytesStart<'_>, waves: &[WaveSum]) {
    let sum = |count: fn(&WaveSum) -> u64| waves.iter().map(count).sum::<u64>();
    for (name, n) in [
        ("tests", sum(|wave| wave.rows)),
        ("failures", sum(|wave| wave.settled - wave.on_target)),
        ("errors", sum(|wave| wave.rows - wave.settled)),
    ] {
        element.push_attribute((name, n.to_string().as_str()));
    }
    element.push_attribute(("time", seconds(sum(|wave| wave.took_ms)).as_str()));
}

/// A wave whose rows are being written.
struct Suite {
    wave_no: u32,
    class: String,
}

impl Suite {
    fn begin(
        xml: &mut Xml<'_>,
        (run, commands): (&RunRecord, &NextCommands),
        wave: &WaveSum,
        anchor: Anchor,
    ) -> io::Result<Self> {
        let name = wave.wave.as_deref().map_or_else(|| "(no wave)".to_owned(), plain);
        let class = format!("cutover.{name}");
        let mut suite = BytesStart::new("testsuite");
        suite.push_attribute(("name", name.as_str()));
        push_sums(&mut suite, std::slice::from_ref(wave));
        // No row is skipped and counted as fine: one that an operator skipped is a failure.
        suite.push_attribute(("skipped", "0"));
        if let Some(at) = wave.first_sent_at.or(run.started_at) {
            suite.push_attribute(("timestamp", time(at).as_str()));
        }
        xml.write_event(Event::Start(suite))?;
        xml.write_event(Event::Start(BytesStart::new("properties")))?;
        let (anchor, anchor_hash) = (anchor.to_string(), anchor.whole());
        for (name, value) in [
            ("run", &run.id),
            ("plan", &run.plan_path),
            ("digest", &run.plan_digest),
            ("anchor", &anchor),
            ("anchor_hash", &anchor_hash),
        ] {
            write_property(xml, name, &plain(value))?;
        }
        if let Some(run_key) = &run.run_key {
            write_property(xml, "run_key", &plain(run_key))?;
        }
        if wave.unproven > 0 {
            let Advice { say, command } = rows::unproven(wave.unproven, commands);
            write_property(xml, UNPROVEN, &format!("{say}: {command}"))?;
        }
        end(xml, "properties")?;
        Ok(Self { wave_no: wave.wave_no, class })
    }

    fn case(
        &self,
        xml: &mut Xml<'_>,
        commands: &NextCommands,
        row: &Row,
        standing: &Standing,
        attempts: &[Attempt],
    ) -> io::Result<()> {
        let mut case = BytesStart::new("testcase");
        case.extend_attributes([
            ("name", plain(row.source_id.as_str()).as_str()),
            ("classname", &self.class),
            ("time", &seconds(standing.took_ms())),
        ]);
        let passed = standing.is_on_target();
        let missed: Vec<Missed> = missed(attempts, passed);
        if passed && missed.is_empty() {
            return xml.write_event(Event::Empty(case));
        }
        xml.write_event(Event::Start(case))?;
        if !passed {
            write_ending(xml, commands, row, standing)?;
        }
        for missed in missed {
            missed.write(xml, passed)?;
        }
        end(xml, "testcase")
    }
}

fn write_property(xml: &mut Xml<'_>, name: &str, value: &str) -> io::Result<()> {
    let mut property = BytesStart::new("property");
    property.extend_attributes([("name", name), ("value", value)]);
    xml.write_event(Event::Empty(property))
}

/// Tells whether there may be attempts besides the last one, whose end the row itself holds.
fn has_other_attempts(standing: &Standing) -> bool {
    // Every attempt ends with a message, except one that was accepted.
    standing.started > 1 || standing.is_on_target() && standing.error_msg.is_some()
}

/// Writes the verdict of a row that is not on target, or an error where it has none.
fn write_ending(xml: &mut Xml<'_>, commands: &NextCommands, row: &Row, standing: &Standing) -> io::Result<()> {
    let name = match standing.phase {
        Phase::Settled(_) => "failure",
        Phase::Untried | Phase::Open | Phase::InDoubt | Phase::Accepted | Phase::Due => "error",
    };
    let mut ending = BytesStart::new(name);
    ending.extend_attributes([("type", standing.phase.public_name()), ("message", &why(standing))]);
    xml.write_event(Event::Start(ending))?;
    xml.write_event(Event::Text(BytesText::new(&told(commands, row, standing))))?;
    end(xml, name)
}

/// Returns the row's facts, one line each.
fn told(commands: &NextCommands, row: &Row, standing: &Standing) -> String {
    let mut lines = vec![("wanted", row.wants.to_string())];
    let mut line = |name, value: Option<String>| lines.extend(value.map(|value| (name, value)));
    line("seen", standing.last_seen().map(ToString::to_string));
    line("http status", standing.http_status.map(|status| status.to_string()));
    line("code", standing.error_code.clone());
    line("answer", standing.error_msg.clone());
    line("request id", standing.request_id.clone());
    line("name", row.name.clone());
    if let Some(Advice { say, command }) = rows::next(standing.phase, standing.ground, commands, row.source_id.as_str())
    {
        line("to do", Some(format!("{say}: {command}")));
    }
    lines.iter().fold(String::new(), |told, (name, value)| told + name + ": " + &plain(value) + "\n")
}

/// An attempt that did not bring its row to the target.
struct Missed<'a> {
    attempt: &'a Attempt,
    /// True for a refusal or a missing effect; false for anything else, which says nothing about the row.
    is_failure: bool,
    kind: &'static str,
    message: String,
}

/// Returns every attempt that failed, except the last one of a row off target, which the row's own ending tells.
fn missed(attempts: &[Attempt], passed: bool) -> Vec<Missed<'_>> {
    let n_told = if passed { attempts.len() } else { attempts.len().saturating_sub(1) };
    let last = attempts.len().saturating_sub(1);
    attempts.iter().enumerate().take(n_told).filter_map(|(i, attempt)| missed_one(attempt, i == last)).collect()
}

fn missed_one(attempt: &Attempt, is_last: bool) -> Option<Missed<'_>> {
    let Some(ended) = &attempt.ended else {
        let message = "cut off with its launch".to_owned();
        return Some(Missed { attempt, is_failure: false, kind: "lost", message });
    };
    let is_failure = match &ended.outcome {
        // Accepted, but made again: its effect did not last.
        Outcome::Accepted { .. } if !is_last => {
            let (verdict, reason) =
                attempt.settled.as_ref().map_or((Verdict::NoEffect, None), |(v, r)| (*v, r.as_deref()));
            let message = reason.map_or_else(|| verdict.meaning().to_owned(), plain);
            return Some(Missed { attempt, is_failure: true, kind: verdict.name(), message });
        }
        Outcome::Accepted { .. } => return None,
        Outcome::Rejected { .. } => true,
        Outcome::Unauthenticated { .. }
        | Outcome::Barred { .. }
        | Outcome::Throttled { .. }
        | Outcome::Unsent { .. }
        | Outcome::Disclaimed { .. }
        | Outcome::Lost { .. } => false,
    };
    Some(Missed { attempt, is_failure, kind: ended.outcome.name(), message: plain(&ended.outcome.to_string()) })
}

impl Missed<'_> {
    fn write(&self, xml: &mut Xml<'_>, passed: bool) -> io::Result<()> {
        let name = match (passed, self.is_failure) {
            (true, true) => "flakyFailure",
            (true, false) => "flakyError",
            (false, true) => "rerunFailure",
            (false, false) => "rerunError",
        };
        let mut element = BytesStart::new(name);
        element.extend_attributes([("message", self.message.as_str()), ("type", self.kind)]);
        xml.write_event(Event::Start(element))?;
        xml.write_event(Event::Start(BytesStart::new("stackTrace")))?;
        xml.write_event(Event::Text(BytesText::new(&self.when())))?;
        end(xml, "stackTrace")?;
        end(xml, name)
    }

    fn when(&self) -> String {
        let Attempt { number, began_at, ended, .. } = self.attempt;
        let began = format!("attempt {number}, {}", time(*began_at));
        let Some(ended) = ended else { return began };
        let took = format!("{began}, took {}", duration(ended.took_ms));
        let id = ended.request_id.as_ref().map_or(String::new(), |id| format!(", request id {}", plain(id)));
        let by = ended.via.as_ref().map_or(String::new(), |via| format!(", by worker {}", plain(via)));
        took + &id + &by
    }
}

fn end(xml: &mut Xml<'_>, name: &str) -> io::Result<()> {
    xml.write_event(Event::End(BytesEnd::new(name)))
}

/// Returns seconds with milliseconds, as Surefire writes them.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::lane::LaneId;
    use crate::event::row::RowEvent;
    use crate::exit::Exit;
    use crate::model::RowId;
    use crate::report::lab::ReportLab;
    use crate::report::lab::night::{self, row};

    fn report(lab: &ReportLab) -> String {
        let (journal, run) = lab.open();
        let mut out = Vec::new();
        write(&journal, &run, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Returns each of these elements in order, by name and with one of its attributes.
    fn told<'a>(report: &'a str, elements: &[(&'a str, &str)]) -> Vec<(&'a str, &'a str)> {
        let tags = report.split('<').filter_map(|tag| {
            let (name, attribute) = elements.iter().find(|(name, _)| tag.starts_with(&format!("{name} ")))?;
            Some((*name, tag.split(&format!(" {attribute}=\"")).nth(1)?.split('"').next()?))
        });
        tags.collect()
    }

    #[test]
    fn what_went_wrong_before_a_row_was_on_target_is_flaky_and_not_a_failure() {
        let mut lab = ReportLab::with(&[row(1, "vm-1"), row(2, "vm-2")]);
        lab.begins();
        let lane = LaneId::FIRST;
        let done = Some(("finished", "cutovered"));
        let reopened = |row| RowEvent::Reopened { cause: "asked for".into() }.about(RowId(row));
        let throttled = Outcome::Throttled { status: None, retry_after_ms: None, quota: None, message: "slow".into() };
        let refused = Outcome::Rejected { status: 403, code: None, message: "no".into() };
        lab.happens(lane, night::attempt(1, 1, throttled));
        lab.happens(lane, night::attempt(1, 2, refused));
        lab.happens(lane, [night::settled(1, Verdict::Refused, None, None), reopened(1)]);
        lab.happens(lane, night::attempt(1, 3, night::ACCEPTED));
        lab.happens(lane, [night::settled(1, Verdict::NoEffect, None, Some("still there")), reopened(1)]);
        lab.happens(lane, night::attempt(1, 4, night::ACCEPTED));
        lab.happens(lane, [night::settled(1, Verdict::Applied, done, None)]);
        // The answer was lost, and the change was made.
        lab.happens(lane, night::attempt(2, 1, night::lost()));
        lab.happens(lane, [night::settled(2, Verdict::Applied, done, None)]);
        lab.ends(Exit::Done, None);
        let report = report(&lab);
        let elements = [("testcase", "name"), ("flakyError", "type"), ("flakyFailure", "type")];
        assert_eq!(
            told(&report, &elements),
            [
                ("testcase", "vm-1"),
                ("flakyError", "throttled"),
                ("flakyFailure", "rejected"),
                ("flakyFailure", "no_effect"),
                ("testcase", "vm-2"),
                ("flakyError", "lost"),
            ]
        );
        assert!(report.contains("tests=\"2\" failures=\"0\" errors=\"0\"") && !report.contains("rerun"), "{report}");
    }

    #[test]
    fn waves_come_in_their_order_each_with_its_own_rows_and_sums() {
        let mut rows: Vec<Row> = (1..=6).map(|id| row(id, &format!("vm-{id}"))).collect();
        for (row, wave) in rows.iter_mut().zip([Some("b"), None, Some("b"), Some("a"), None, Some("b")]) {
            row.wave = wave.map(str::to_owned);
        }
        let mut lab = ReportLab::with(&rows);
        lab.begins();
        lab.happens(LaneId::FIRST, [night::settled(3, Verdict::Blocked, None, None)]);
        lab.happens(LaneId::FIRST, [night::settled(4, Verdict::Already, None, None)]);
        let report = report(&lab);
        assert_eq!(
            told(&report, &[("testsuite", "name"), ("testcase", "name")]),
            [
                ("testsuite", "b"),
                ("testcase", "vm-1"),
                ("testcase", "vm-3"),
                ("testcase", "vm-6"),
                ("testsuite", "(no wave)"),
                ("testcase", "vm-2"),
                ("testcase", "vm-5"),
                ("testsuite", "a"),
                ("testcase", "vm-4"),
            ]
        );
        let counts = |attribute| {
            let counts = told(&report, &[("testsuite", attribute), ("testsuites", attribute)]);
            counts.into_iter().map(|(_, n)| n).collect::<Vec<_>>()
        };
        assert_eq!(counts("tests"), ["6", "3", "2", "1"]);
        assert_eq!(counts("failures"), ["1", "1", "0", "0"]);
        assert_eq!(counts("errors"), ["4", "2", "2", "0"]);
    }
}
