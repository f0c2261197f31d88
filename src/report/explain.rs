//! One row's whole story: planned, seen before, every event in order, and what to do next.

use std::io;

use serde::Serialize;

use super::ReportError;
use super::advice::{self, Advice};
use super::json::Extra;
use super::plain::{duration, plain, time};
use crate::event::{Event, EventKind, Outcome};
use crate::journal::read::{RunRecord, UNPROVEN_BY_CHOICE};
use crate::journal::{Journal, JournalError};
use crate::ledger::{Phase, Standing};
use crate::model::words::Word;
use crate::model::{Row, SeenState};

#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the run `{run}` has no source `{}`{}", plain(source_id), did_you_mean(near))]
    Unknown {
        run: String,
        source_id: String,
        /// Ids that are in the run and look like it, five at most.
        near: Vec<String>,
    },
}

fn did_you_mean(near: &[String]) -> String {
    let quoted: Vec<String> = near.iter().map(|id| format!("`{}`", plain(id))).collect();
    if quoted.is_empty() { String::new() } else { format!(" (did you mean {}?)", quoted.join(", ")) }
}

/// A row, where it stands and how it came there.
#[derive(Clone, Debug)]
pub struct Explained {
    run: String,
    plan_path: String,
    row: Row,
    standing: Standing,
    events: Vec<Event>,
}

impl Explained {
    pub fn of(journal: &Journal, run: &RunRecord, source_id: &str) -> Result<Self, ExplainError> {
        journal.at_one_instant(|| {
            let Some((row, standing)) = journal.row_of_source(run.key, source_id)? else {
                let near = journal.sources_like(run.key, source_id)?;
                return Err(ExplainError::Unknown { run: run.id.clone(), source_id: source_id.to_owned(), near });
            };
            let events = journal.events_of_row(run.key, row.id)?;
            Ok(Self { run: run.id.clone(), plan_path: run.plan_path.clone(), row, standing, events })
        })
    }

    pub fn write_json(&self, out: &mut dyn io::Write) -> Result<(), ReportError> {
        super::document(&self.document(), out)
    }

    fn document(&self) -> Document<'_> {
        let (row, standing) = (&self.row, &self.standing);
        Document {
            schema: "cutover.explain.v1",
            run: &self.run,
            row: row.id.0,
            source_id: row.source_id.as_str(),
            plan: Planned {
                path: &self.plan_path,
                line: row.line,
                copystate: row.wants.copystate.as_ref().map(Word::as_str),
                migrationcycle: row.wants.migrationcycle.as_ref().map(Word::as_str),
                expect_copystate: row.expects.copystate.as_ref().map(Word::as_str),
                expect_migrationcycle: row.expects.migrationcycle.as_ref().map(Word::as_str),
                wave: row.wave.as_deref(),
                target: row.account.as_deref(),
                name: row.name.as_deref(),
                note: row.note.as_deref(),
                extra: Extra(&row.extra),
            },
            verdict: standing.phase.public_name(),
            reason: standing.reason.as_deref(),
            before: standing.before.as_ref(),
            after: standing.after.as_ref(),
            attempts: standing.attempts,
            throttled: standing.throttled,
            events: self.told().collect(),
            meaning: advice::meaning(standing.phase),
            next: self.next().map(|Advice { say, command }| Next { say, command }),
        }
    }

    /// Each event with what passed since the one before it.
    fn told(&self) -> impl Iterator<Item = Told<'_>> {
        let mut before: Option<jiff::Timestamp> = None;
        self.events.iter().map(move |event| {
            let gap_ms = before.map(|before| event.at.as_millisecond() - before.as_millisecond());
            before = Some(event.at);
            Told { lane: event.lane.0, seq: event.seq, at: time(event.at), gap_ms, kind: &event.kind }
        })
    }

    fn next(&self) -> Option<Advice> {
        if self.standing.reason.as_deref() == Some(UNPROVEN_BY_CHOICE) {
            return None;
        }
        if let (Phase::Settled(_), Some(moved)) = (self.standing.phase, &self.standing.moved) {
            return Some(advice::moved(moved, self.row.source_id.as_str()));
        }
        advice::next(self.standing.phase, &self.run, self.row.source_id.as_str())
    }

    pub fn write_text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        self.write_plan(out)?;
        writeln!(out)?;
        if self.events.is_empty() {
            writeln!(out, "Nothing has happened to it yet.")?;
        }
        for told in self.told() {
            let gap = told.gap_ms.map_or_else(String::new, since);
            writeln!(out, "  {}  {gap:>12}  {}", told.at, sentence(told.kind))?;
            for detail in details(told.kind) {
                writeln!(out, "  {:24}  {:12}    {detail}", "", "")?;
            }
        }
        self.write_end(out)
    }

    fn write_plan(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let row = &self.row;
        let name = row.name.as_deref().map_or_else(String::new, |name| format!(" ({})", plain(name)));
        writeln!(out, "{}{name}: {}\n", plain(row.source_id.as_str()), self.standing.phase.public_name())?;
        let mut fact = |name: &str, value: &str| writeln!(out, "  {name:<12} {}", plain(value));
        fact("planned", &format!("{}, by {}:{} (row {})", row.wants, self.plan_path, row.line, row.id))?;
        if !row.expects.is_empty() {
            fact("expected", &row.expects.to_string())?;
        }
        for (what, value) in [("wave", &row.wave), ("target", &row.account), ("note", &row.note)] {
            if let Some(value) = value {
                fact(what, value)?;
            }
        }
        for (column, value) in &row.extra {
            fact(&plain(column), value)?;
        }
        fact("run", &self.run)?;
        fact("seen before", &shown(self.standing.before.as_ref()))?;
        if self.standing.after.is_some() {
            fact("seen after", &shown(self.standing.after.as_ref()))?;
        }
        Ok(())
    }

    fn write_end(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let standing = &self.standing;
        let reason = standing.reason.as_deref().map_or_else(String::new, |reason| format!(" ({})", plain(reason)));
        writeln!(out, "\n{}: {}{reason}.", standing.phase.public_name(), advice::meaning(standing.phase))?;
        match self.next() {
            Some(Advice { say, command }) => writeln!(out, "What to do next: {say}.\n\n  {command}"),
            None => writeln!(out, "Nothing is to be done."),
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    run: &'a str,
    row: u32,
    source_id: &'a str,
    plan: Planned<'a>,
    verdict: &'static str,
    reason: Option<&'a str>,
    before: Option<&'a SeenState>,
    after: Option<&'a SeenState>,
    attempts: u32,
    throttled: u32,
    events: Vec<Told<'a>>,
    meaning: &'static str,
    next: Option<Next>,
}

#[derive(Serialize)]
struct Next {
    say: String,
    command: String,
}

#[derive(Serialize)]
struct Planned<'a> {
    path: &'a str,
    line: u32,
    copystate: Option<&'a str>,
    migrationcycle: Option<&'a str>,
    expect_copystate: Option<&'a str>,
    expect_migrationcycle: Option<&'a str>,
    wave: Option<&'a str>,
    target: Option<&'a str>,
    name: Option<&'a str>,
    note: Option<&'a str>,
    extra: Extra<'a>,
}

#[derive(Serialize)]
struct Told<'a> {
    lane: u32,
    seq: u64,
    at: String,
    gap_ms: Option<i64>,
    #[serde(flatten)]
    kind: &'a EventKind,
}

/// A clock that was set back between two events shows as it is.
fn since(gap_ms: i64) -> String {
    let sign = if gap_ms < 0 { '-' } else { '+' };
    format!("{sign}{}", duration(gap_ms.unsigned_abs()))
}

fn shown(seen: Option<&SeenState>) -> String {
    seen.map_or_else(|| "nothing".to_owned(), ToString::to_string)
}

fn sentence(kind: &EventKind) -> String {
    let sentence = match kind {
        EventKind::RowSeen { seen: Some(seen), .. } => format!("a look shows {seen}"),
        EventKind::RowSeen { seen: None, .. } => "a look: the service does not know this source".to_owned(),
        EventKind::RowMoved { seen, .. } => format!("a read made for others shows {seen}: somebody else moved it"),
        EventKind::AttemptStarted { attempt, sends, .. } => format!("attempt {attempt} begins: {sends}"),
        EventKind::AttemptEnded { attempt, outcome, .. } => format!("attempt {attempt}: {outcome}"),
        EventKind::RowSettled { verdict, seen: Some(seen), .. } => format!("settled: {verdict}, a look shows {seen}"),
        EventKind::RowSettled { verdict, seen: None, .. } => format!("settled: {verdict}"),
        EventKind::RowLeft { cause, .. } => format!("left for later: {cause}"),
        EventKind::RowReopened { cause, .. } => format!("opened again: {cause}"),
        EventKind::RunStarted { .. }
        | EventKind::LaunchBegan { .. }
        | EventKind::DrainBegan { .. }
        | EventKind::StageBegan { .. }
        | EventKind::StageEnded { .. }
        | EventKind::WaitBegan { .. }
        | EventKind::WaitEnded
        | EventKind::Controlled { .. }
        | EventKind::LaunchEnded { .. }
        | EventKind::QuotaLearned { .. }
        | EventKind::ReadThrottled { .. }
        | EventKind::LaneStopped { .. } => "an event of the whole lane".to_owned(),
    };
    plain(&sentence)
}

fn details(kind: &EventKind) -> Vec<String> {
    match kind {
        EventKind::AttemptEnded { outcome, request_id, took_ms, .. } => {
            let request = request_id
                .as_deref()
                .map_or_else(|| "no request id".to_owned(), |id| format!("request id {}", plain(id)));
            let mut details = vec![format!("{request}, took {}", duration(*took_ms))];
            details.extend(asked_to_wait(outcome));
            details
        }
        EventKind::RowSettled { reason: Some(reason), .. } => vec![plain(reason)],
        EventKind::RowSettled { reason: None, .. }
        | EventKind::RowSeen { .. }
        | EventKind::RowMoved { .. }
        | EventKind::AttemptStarted { .. }
        | EventKind::RowLeft { .. }
        | EventKind::RowReopened { .. }
        | EventKind::RunStarted { .. }
        | EventKind::LaunchBegan { .. }
        | EventKind::DrainBegan { .. }
        | EventKind::StageBegan { .. }
        | EventKind::StageEnded { .. }
        | EventKind::WaitBegan { .. }
        | EventKind::WaitEnded
        | EventKind::Controlled { .. }
        | EventKind::LaunchEnded { .. }
        | EventKind::QuotaLearned { .. }
        | EventKind::ReadThrottled { .. }
        | EventKind::LaneStopped { .. } => Vec::new(),
    }
}

fn asked_to_wait(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Throttled { retry_after_ms: Some(ms), .. } => {
            Some(format!("the service asked to wait {}", duration(*ms)))
        }
        Outcome::Throttled { retry_after_ms: None, .. }
        | Outcome::Accepted { .. }
        | Outcome::Rejected { .. }
        | Outcome::Unauthenticated { .. }
        | Outcome::Barred { .. }
        | Outcome::Unsent { .. }
        | Outcome::Lost { .. } => None,
    }
}
