//! Story of one row: plan, state before, every event in order, and what to do next.

use std::io;
use std::sync::Arc;

use serde::Serialize;

use super::advice::rows;
use super::advice::step::Advice;
use super::error::ReportError;
use super::json::Extra;
use super::next::NextCommands;
use super::story::{self, Moment};
use crate::control::By;
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::run::RunEvent;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::ledger::standing::{Phase, Standing};
use crate::model::Row;
use crate::model::state::SeenState;
use crate::model::words::{self, Word};
use crate::values::zone::Zone;
use crate::wording::plain::{padded, plain};
use crate::wording::printout::Printout;

/// A row, its standing and its events.
#[derive(Clone, Debug)]
pub struct Explained {
    run: String,
    plan_path: String,
    pub(crate) row: Row,
    pub(crate) standing: Standing,
    events: Vec<Event>,
    commands: Arc<NextCommands>,
    /// Person who asked for the row to be skipped.
    skipped: Option<By>,
    /// Person who launched the run last.
    launched: Option<String>,
}

impl Explained {
    /// Reads the events of the row, the skip that waits for it, and who launched the run last.
    pub fn from_journal(
        journal: &Journal,
        run: &RunRecord,
        row: Row,
        standing: Standing,
    ) -> Result<Self, JournalError> {
        let events = journal.events_of_row(run.key, row.id)?;
        let mut commands = NextCommands::from_journal(journal, run, journal.told_path())?;
        commands
            .needs_leave(|| Ok::<_, JournalError>(row.wants.copystate.as_ref().is_some_and(words::irreversible)))?;
        let skipped = journal.steered(run.key)?.skipped.remove(row.source_id.as_str());
        let launched = journal.last_launch(run.key)?.and_then(|event| {
            let EventKind::Run(RunEvent::LaunchBegan { user, host, who, .. }) = event.kind else { return None };
            Some(who.told(user.as_deref(), &host).to_string())
        });
        Ok(Self { skipped, launched, ..Self::from_parts(run, row, standing, events, &Arc::new(commands)) })
    }

    /// Makes the story from what a caller that reads row by row has; without skip and launcher.
    pub(crate) fn from_parts(
        run: &RunRecord,
        row: Row,
        standing: Standing,
        events: Vec<Event>,
        commands: &Arc<NextCommands>,
    ) -> Self {
        let (run, plan_path) = (run.id.clone(), run.plan_path.clone());
        Self { run, plan_path, row, standing, events, commands: Arc::clone(commands), skipped: None, launched: None }
    }

    pub fn write_json(&self, out: &mut dyn io::Write) -> Result<(), ReportError> {
        super::document::document(&self.document(), out)
    }

    fn document(&self) -> ExplainDocument<'_> {
        let (row, standing) = (&self.row, &self.standing);
        ExplainDocument {
            schema: "cutover.explain.v1",
            run: &self.run,
            row: row.id.0,
            source_id: row.source_id.as_str(),
            plan: PlannedRow {
                path: &self.plan_path,
                file: row.file.as_deref(),
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
            skipped: self.waits_to_be_skipped(),
            before: standing.before.as_ref(),
            after: standing.after.as_ref(),
            attempts: standing.attempts,
            throttled: standing.throttled,
            events: self.moments().collect(),
            meaning: rows::meaning(standing.phase),
            next: self.next().map(|Advice { say, command }| NextStep { say, command }),
        }
    }

    pub(crate) fn next(&self) -> Option<Advice> {
        if let (Phase::Settled(_), Some(moved)) = (self.standing.phase, &self.standing.moved) {
            return Some(rows::moved(moved, &self.commands, self.row.source_id.as_str()));
        }
        rows::next(self.standing.phase, self.standing.ground, &self.commands, self.row.source_id.as_str())
    }

    /// Writes the story as text, with times in this time zone.
    pub fn write_text(&self, zone: &Zone, out: &mut Printout<'_>) -> io::Result<()> {
        writeln!(out, "{}: {}", self.title(), self.verdict())?;
        writeln!(out)?;
        for (name, value) in self.facts() {
            writeln!(out, "  {} {value}", padded(&name, 12))?;
        }
        writeln!(out)?;
        if self.events.is_empty() {
            writeln!(out, "Nothing has happened to it yet.")?;
        }
        for moment in self.moments() {
            writeln!(out, "  {}  {:>12}  {}", zone.shows_exactly(moment.at), moment.gap(), moment.sentence())?;
            for detail in moment.details() {
                writeln!(out, "  {:30}  {:12}    {detail}", "", "")?;
            }
        }
        writeln!(out)?;
        writeln!(out, "{}", self.conclusion())?;
        match self.next() {
            Some(Advice { say, command }) => {
                writeln!(out, "What to do next: {say}.")?;
                writeln!(out)?;
                writeln!(out, "  {command}")
            }
            None => writeln!(out, "Nothing is to be done."),
        }
    }

    /// Returns the row's id, and its name where it has one.
    pub(crate) fn title(&self) -> String {
        let name = self.row.name.as_deref().map_or_else(String::new, |name| format!(" ({})", plain(name)));
        format!("{}{name}", plain(self.row.source_id.as_str()))
    }

    pub(crate) fn verdict(&self) -> &'static str {
        self.standing.phase.public_name()
    }

    /// Returns what was planned for the row, and where it was seen, as pairs of name and value.
    pub(crate) fn facts(&self) -> Vec<(String, String)> {
        let row = &self.row;
        let mut facts = Vec::new();
        let mut fact = |name: &str, value: &str| facts.push((name.to_owned(), plain(value)));
        let file = row.file.as_deref().unwrap_or(&self.plan_path);
        fact("planned", &format!("{}, by {file}:{} (row {})", row.wants, row.line, row.id));
        if !row.expects.is_empty() {
            fact("expected", &row.expects.to_string());
        }
        for (what, value) in [("wave", &row.wave), ("target", &row.account), ("note", &row.note)] {
            if let Some(value) = value {
                fact(what, value);
            }
        }
        for (column, value) in &row.extra {
            fact(&plain(column), value);
        }
        fact("run", &self.run);
        if let Some(launched) = &self.launched {
            fact("launched", &format!("by {launched}"));
        }
        fact("seen before", &shown(self.standing.before.as_ref()));
        if self.standing.after.is_some() {
            fact("seen after", &shown(self.standing.after.as_ref()));
        }
        facts
    }

    pub(crate) fn moments(&self) -> impl Iterator<Item = Moment<'_>> {
        story::told(&self.events)
    }

    /// Returns whoever asked for the row to be skipped, as long as it has no verdict.
    fn waits_to_be_skipped(&self) -> Option<&By> {
        match self.standing.phase {
            Phase::Untried | Phase::Due => self.skipped.as_ref(),
            Phase::Open | Phase::InDoubt | Phase::Accepted | Phase::Settled(_) => None,
        }
    }

    /// Returns the verdict, its meaning, and the reason.
    pub(crate) fn conclusion(&self) -> String {
        if let Some(by) = self.waits_to_be_skipped() {
            let by = plain(&by.to_string());
            return format!("{}: skipped by {by}; it is settled as blocked when its turn comes.", self.verdict());
        }
        let reason = self.standing.reason.as_deref().map_or_else(String::new, |reason| format!(" ({})", plain(reason)));
        format!("{}: {}{reason}.", self.verdict(), rows::meaning(self.standing.phase))
    }
}

#[derive(Serialize)]
struct ExplainDocument<'a> {
    schema: &'static str,
    run: &'a str,
    row: u32,
    source_id: &'a str,
    plan: PlannedRow<'a>,
    verdict: &'static str,
    reason: Option<&'a str>,
    /// Person who asked for the row to be skipped, and the reason, while the row has no verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<&'a By>,
    before: Option<&'a SeenState>,
    after: Option<&'a SeenState>,
    attempts: u32,
    throttled: u32,
    events: Vec<Moment<'a>>,
    meaning: &'static str,
    next: Option<NextStep>,
}

#[derive(Serialize)]
struct NextStep {
    say: String,
    command: String,
}

#[derive(Serialize)]
struct PlannedRow<'a> {
    path: &'a str,
    file: Option<&'a str>,
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

fn shown(seen: Option<&SeenState>) -> String {
    seen.map_or_else(|| "nothing".to_owned(), ToString::to_string)
}
