//! Result of a rehearsal: the exit and duration of the night, the limits that it would meet, and advice.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::event::kind::EventKind;
use crate::event::lane::LaneEvent;
use crate::event::run::{DrainReason, RunEvent};
use crate::exit::Exit;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::model::words;
use crate::report::causes::{cause_text, example_of};
use crate::report::summary::Summary;
use crate::waves::forecast::spoken;
use crate::waves::hooks::PlanHook;
use crate::waves::{Terms, WaveTerms};
use crate::wording::amounts::count;
use crate::wording::plain::plain;
use crate::wording::printout::Printout;

/// Document `cutover.rehearsal.v1`.
#[derive(Debug, Serialize)]
pub struct Rehearsal {
    pub schema: &'static str,
    pub plan: String,
    pub scenario: String,
    pub from_live: bool,
    pub readiness: Readiness,
    /// Exit of the run.
    pub exit: RehearsalExit,
    /// Seconds from the beginning to the end, on the simulated clock.
    pub takes_s: u64,
    pub begins_at: String,
    pub ends_at: String,
    pub summary: Summary,
    /// Events of the run and its accounts, with seconds after the beginning.
    pub timeline: Vec<TimelineEntry>,
    pub tripped: Vec<String>,
    pub advice: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    Ready,
    /// The run goes to its end, but not every row gets on target.
    WithRemarks,
    NotReady,
}

impl Readiness {
    fn from_exit(exit: Exit) -> Self {
        if exit == Exit::Done {
            Readiness::Ready
        } else if exit.is_finished() {
            Readiness::WithRemarks
        } else {
            Readiness::NotReady
        }
    }

    fn words(self) -> &'static str {
        match self {
            Readiness::Ready => "ready",
            Readiness::WithRemarks => "ready, with remarks",
            Readiness::NotReady => "not ready",
        }
    }
}

#[derive(Debug, Serialize)]
pub struct RehearsalExit {
    pub code: u8,
    pub name: &'static str,
    pub reason: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct TimelineEntry {
    pub after_s: u64,
    pub what: String,
}

/// A rehearsal that has ended: its scenario, its start and its exit.
pub(crate) struct Rehearsed<'a> {
    pub(crate) scenario: &'a str,
    pub(crate) from_live: bool,
    pub(crate) exit: Exit,
    /// Reasons for which the real run would be refused before it begins.
    pub(crate) refused: Vec<String>,
}

impl Rehearsal {
    pub(crate) fn from_journal(
        journal: &Journal,
        run: &RunRecord,
        terms: &Terms,
        rehearsed: Rehearsed<'_>,
    ) -> Result<Self, JournalError> {
        let Rehearsed { scenario, from_live, exit, refused } = rehearsed;
        let summary = Summary::from_journal(journal, run, journal.path())?;
        let mut irreversible = 0;
        journal.for_each_row(run.key, |row, standing| {
            let target = row.wants.copystate.as_ref();
            irreversible += u64::from(standing.attempts > 0 && target.is_some_and(words::irreversible));
            Ok::<(), JournalError>(())
        })?;
        let mut told = RunStory::default();
        journal.for_each_event_of_lanes(run.key, |at, kind| told.add(at, kind))?;
        let begins = run.started_at.unwrap_or(told.last);
        let ends = run.ended_at.unwrap_or(told.last);
        let after = |at: Timestamp| Duration::try_from(at.duration_since(begins)).unwrap_or_default().as_secs();
        let timeline = told.moments.into_iter().map(|(at, what)| TimelineEntry { after_s: after(at), what }).collect();
        let mut rehearsal = Self {
            schema: "cutover.rehearsal.v1",
            plan: run.plan_path.clone(),
            scenario: scenario.to_owned(),
            from_live,
            readiness: if refused.is_empty() { Readiness::from_exit(exit) } else { Readiness::NotReady },
            exit: RehearsalExit { code: exit.code(), name: exit.name(), reason: run.exit_reason.clone() },
            takes_s: after(ends),
            begins_at: begins.to_string(),
            ends_at: ends.to_string(),
            summary,
            timeline,
            tripped: told.tripped.into_iter().chain(refused).collect(),
            advice: Vec::new(),
        };
        rehearsal.advice = rehearsal.advise(&told.reasons, terms);
        if irreversible > 0 {
            let rows = count(irreversible, "row");
            rehearsal.advice.push(format!(
                "{rows} would go to finished, deleting or cleared, which takes leave: --allow-irreversible says that it is meant"
            ));
        }
        Ok(rehearsal)
    }

    fn advise(&self, reasons: &[DrainReason], terms: &Terms) -> Vec<String> {
        let mut advice = Vec::new();
        let summary = &self.summary;
        if [DrainReason::Halted, DrainReason::StageLeft].iter().any(|reason| reasons.contains(reason)) {
            advice.push("look at the causes below; correct them, or allow for them in `halt`".to_owned());
        }
        if [DrainReason::Window, DrainReason::TooLong].iter().any(|reason| reasons.contains(reason)) {
            advice.push("begin earlier, allow a higher rate, take fewer rows a night, or move the window".to_owned());
        }
        for lane in &summary.lanes {
            if let Some(per_second) = lane.lane.per_second.filter(|_| summary.throttled > 0) {
                advice.push(format!(
                    "{} requests met a quota of {per_second:.1} a second: `rate` at or below that spares them",
                    summary.throttled
                ));
            }
        }
        if summary.verdicts.blocked > 0 {
            advice.push(format!(
                "{} would not be sent at all; the difference that `plan` shows says why",
                count(summary.verdicts.blocked, "row")
            ));
        }
        if summary.unsettled.in_doubt > 0 {
            let n = count(summary.unsettled.in_doubt, "row");
            advice.push(format!("{n} would be left in doubt: keep time to reconcile them"));
        }
        if terms.waves.iter().any(WaveTerms::needs_approval) {
            advice.push("approvals were given at once here; on the night, the time they take is on top".to_owned());
        }
        for (hook, PlanHook { command, .. }) in &terms.hooks.commands {
            advice.push(format!("the hook {hook} was not run here: {command}"));
        }
        advice
    }

    /// Returns the verdict on one line, with the end of the run as it was rehearsed.
    #[must_use]
    pub(crate) fn in_one_line(&self) -> String {
        let RehearsalExit { code, name, reason } = &self.exit;
        let why = reason.clone().unwrap_or_else(|| self.summary.in_one_line());
        format!(
            "the rehearsal of {} is {}: it would end with {code} ({name}): {why}",
            self.plan,
            self.readiness.words()
        )
    }

    /// Writes the result as text.
    pub fn write_text(&self, out: &mut Printout<'_>) -> io::Result<()> {
        let start = if self.from_live { "the live states" } else { "the plan" };
        writeln!(
            out,
            "Rehearsal of {} in the scenario {}, from {start}: {}.",
            plain(&self.plan),
            plain(&self.scenario),
            self.readiness.words()
        )?;
        let reason = self.exit.reason.as_deref().map_or(String::new(), |reason| format!(": {}", plain(reason)));
        let takes = spoken(Duration::from_secs(self.takes_s));
        writeln!(out, "It would take {takes} and end with {} ({}){reason}.", self.exit.code, self.exit.name)?;
        writeln!(out, "{}", self.summary.sentence())?;
        self.summary.write_counts(out)?;
        if !self.timeline.is_empty() {
            out.heading("When what happens")?;
            for TimelineEntry { after_s, what } in &self.timeline {
                let (hours, minutes, seconds) = (after_s / 3600, after_s / 60 % 60, after_s % 60);
                writeln!(out, "  {hours:>3}:{minutes:02}:{seconds:02}  {}", plain(what))?;
            }
        }
        for (title, lines) in [("What tripped", &self.tripped), ("What to change", &self.advice)] {
            if !lines.is_empty() {
                out.heading(title)?;
                for line in lines {
                    writeln!(out, "  {}", plain(line))?;
                }
            }
        }
        if !self.summary.causes.is_empty() {
            out.heading("What would need a look")?;
            for cause in self.summary.causes.iter().take(20) {
                let (text, example) = (cause_text(cause), example_of(cause));
                writeln!(out, "  {:<10} {:>6}  {text} ({example})", cause.verdict, cause.n_rows)?;
            }
        }
        Ok(())
    }
}

/// Story of the run and its accounts, without rows.
#[derive(Default)]
struct RunStory {
    moments: Vec<(Timestamp, String)>,
    tripped: Vec<String>,
    reasons: Vec<DrainReason>,
    last: Timestamp,
}

impl RunStory {
    fn add(&mut self, at: Timestamp, kind: &EventKind) {
        self.last = self.last.max(at);
        let what = match kind {
            EventKind::Run(event) => self.of_run(event),
            EventKind::Lane(event) => self.of_lane(event),
            EventKind::Row(..) => None,
        };
        self.moments.extend(what.map(|what| (at, what)));
    }

    fn of_run(&mut self, event: &RunEvent) -> Option<String> {
        match event {
            RunEvent::StageBegan { stage, rows, forecast } => {
                let forecast = forecast.as_ref().map_or(String::new(), |forecast| format!("; {forecast}"));
                Some(format!("{stage}: {}{forecast}", count(*rows, "row")))
            }
            RunEvent::StageEnded { stage } => Some(format!("{stage} is over")),
            RunEvent::WaitBegan { cause, stage, until } => {
                Some(format!("waiting {}", crate::control::waits_for(*cause, stage, *until, None)))
            }
            RunEvent::DrainBegan { reason, why } => {
                self.reasons.push(*reason);
                let why = why.clone().unwrap_or_default();
                self.tripped.push(why.clone());
                Some(format!("stops: {why}"))
            }
            RunEvent::Started { .. }
            | RunEvent::LaunchBegan { .. }
            | RunEvent::LaunchEnded { .. }
            | RunEvent::WaitEnded
            | RunEvent::HookRan { .. }
            | RunEvent::Controlled { .. } => None,
        }
    }

    fn of_lane(&mut self, event: &LaneEvent) -> Option<String> {
        match event {
            LaneEvent::Stopped { message, .. } => {
                self.tripped.push(message.clone());
                Some(format!("an account stops: {message}"))
            }
            LaneEvent::QuotaLearned { per_second, stated } => {
                let how = if *stated { "the service names its quota" } else { "a quota is met that nobody names" };
                Some(format!("{how}: going on at {per_second:.1} requests a second"))
            }
            LaneEvent::ReadThrottled { .. } | LaneEvent::CoolDownBegan { .. } | LaneEvent::Served { .. } => None,
        }
    }
}
