//! What a run adds up to: the document `cutover.summary.v1`, and the same for people.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::advice::{self, Advice};
use super::cut_off;
use super::error::ReportError;
use super::next::{self, Given, NextCommands};
use crate::control::{CONTROL, Paused, Taken, Waits};
use crate::event::run::RunEvent;
use crate::event::{EventKind, Verdict};
use crate::journal::read::causes::Cause;
use crate::journal::read::ending::Ending;
use crate::journal::read::lanes::LaneRecord;
use crate::journal::read::runs::RunRecord;
use crate::journal::read::sums::{LaneTally, Sums, Tally, WaveTally};
use crate::journal::{Journal, JournalError};
use crate::ledger::Phase;
use crate::ledger::steered::Steered;
use crate::plan::paper::Paper;
use crate::plan::sealed::{Approval, Seal};
use crate::rollback::IfStopped;
use crate::values::zone::Zone;
use crate::waves::{Stage, Terms};
use crate::whoami::Who;
use crate::wording::amounts::{count, duration};
use crate::wording::plain::plain;
use crate::wording::printout::Printout;
use crate::wording::times::{serialize_time, time, time_in};

/// Causes past these are counted and not listed.
const MOST_CAUSES: u32 = 50;
/// Commands before the last of these are in the journal, and not listed.
const MOST_STEERED: usize = 10;
/// Rows on target that nobody wanted proven, where it is said what is to be done about them.
pub(crate) const UNPROVEN: &str = "unproven";
const VERDICT_WIDTH: usize = 10;

/// The final document of `run`, `resume`, `retry`, `reconcile` and `status`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub schema: &'static str,
    pub run: String,
    pub plan: PlanOf,
    pub verdicts: Verdicts,
    pub unsettled: Unsettled,
    /// Rows that need nobody any more; the unverified are among them where verification was switched off.
    pub on_target: u64,
    /// Of those on target, the ones that nobody wanted proven.
    pub unproven: u64,
    pub attempts: u64,
    /// While it runs, changes whose answer is not known yet; they are not among the attempts until it is.
    pub under_way: u64,
    pub throttled: u64,
    pub exit: ExitOf,
    #[serde(serialize_with = "serialize_time")]
    pub started_at: Option<Timestamp>,
    pub elapsed_s: f64,
    pub journal: String,
    /// As people keep it.
    pub anchor: String,
    /// The whole of it.
    pub anchor_hash: String,
    pub launches: u32,
    /// How the last launch began.
    pub last_launch: Option<LaunchOf>,
    /// Set while a launch has not ended: it runs, or it was cut off.
    pub running: Option<Running>,
    pub waves: Vec<WaveTally>,
    pub lanes: Vec<LaneOf>,
    /// What the plan says of itself, who sealed it and who agreed.
    pub paper: PaperOf,
    /// Who steered it, and what it waits for.
    pub steering: SteeringOf,
    /// Rows that somebody else moved, as far as reads showed it that were made for others.
    pub moved: u64,
    /// Only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_stopped: Option<IfStopped>,
    /// Why rows are not on target, most frequent first.
    pub causes: Vec<Cause>,
    /// What to type next, and what that depends on.
    #[serde(skip)]
    pub commands: NextCommands,
    #[serde(skip)]
    pub ending: Ending,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanOf {
    pub path: String,
    pub digest: String,
    pub rows: u32,
}

/// All eight, always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdicts {
    pub applied: u64,
    pub already: u64,
    pub unverified: u64,
    pub no_effect: u64,
    pub overtaken: u64,
    pub refused: u64,
    pub failed: u64,
    pub blocked: u64,
}

impl Verdicts {
    fn of(tally: &Tally) -> Self {
        Self {
            applied: tally.of(Verdict::Applied),
            already: tally.of(Verdict::Already),
            unverified: tally.of(Verdict::Unverified),
            no_effect: tally.of(Verdict::NoEffect),
            overtaken: tally.of(Verdict::Overtaken),
            refused: tally.of(Verdict::Refused),
            failed: tally.of(Verdict::Failed),
            blocked: tally.of(Verdict::Blocked),
        }
    }

    #[must_use]
    pub fn get(&self, verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Applied => self.applied,
            Verdict::Already => self.already,
            Verdict::Unverified => self.unverified,
            Verdict::NoEffect => self.no_effect,
            Verdict::Overtaken => self.overtaken,
            Verdict::Refused => self.refused,
            Verdict::Failed => self.failed,
            Verdict::Blocked => self.blocked,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Unsettled {
    pub pending: u64,
    pub in_doubt: u64,
    /// Of those in doubt, the ones that a launch which goes on has under way.
    #[serde(skip)]
    pub under_way: u64,
}

/// How the last launch ended; without code and name while none has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExitOf {
    pub code: Option<u8>,
    pub name: Option<String>,
    pub reason: Option<String>,
}

/// What a plan says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PaperOf {
    pub name: Option<String>,
    pub ticket: Option<String>,
    pub reason: Option<String>,
    pub require_approvals: u32,
    pub seal: Option<Seal>,
}

impl PaperOf {
    fn facts(&self, zone: Option<&Zone>) -> Vec<(&'static str, String)> {
        let own = [("name", &self.name), ("ticket", &self.ticket), ("reason", &self.reason)];
        let own = own.into_iter().filter_map(|(name, text)| Some((name, plain(text.as_ref()?))));
        let sealed = self.seal.iter().flat_map(|seal| {
            let by = format!("by {} at {}, {}", plain(&seal.sealed_by), time_in(zone, seal.at), plain(&seal.digest));
            let approvals = seal.approvals.iter().map(|approval| {
                let Approval { name, user, host, who, at, .. } = approval;
                let person = user.as_deref().map_or(String::new(), |user| format!(" ({})", who.told(Some(user), host)));
                let signed = match seal.signer_of(approval) {
                    Some(Ok(signer)) => format!(", signed by {}", signer.fingerprint),
                    Some(Err(_)) => ", with a signature that is not of it".to_owned(),
                    None => ", not signed".to_owned(),
                };
                ("approved", plain(&format!("by {name}{person} at {}{signed}", time_in(zone, *at))))
            });
            std::iter::once(("sealed", by)).chain(approvals)
        });
        own.chain(sealed).collect()
    }

    fn of(run: &RunRecord) -> Self {
        // What is not there, or was altered, says nothing; `audit verify` finds the latter.
        let Paper { terms, seal } = Paper::of_settings(&run.settings).unwrap_or_default();
        let Terms { name, ticket, reason, require_approvals, .. } = terms;
        Self { name, ticket, reason, require_approvals, seal }
    }
}

/// Who steered a run, and what it waits for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SteeringOf {
    pub paused: Vec<Paused>,
    pub waits: Option<Waits>,
    pub stage: Option<Stage>,
    pub forecast: Option<String>,
    pub history: Vec<Taken>,
    /// Rows that somebody skipped and whose turn has not come.
    #[serde(skip)]
    pub(crate) skipped: u64,
}

impl SteeringOf {
    fn of(journal: &Journal, run: &RunRecord) -> Result<Self, JournalError> {
        let Steered { paused, waits, stage, forecast, history, skipped, .. } = journal.steered(run.key)?;
        let skipped = journal.n_unsettled_of(run.key, skipped.keys())?;
        Ok(Self { paused, waits, stage, forecast, history, skipped })
    }

    /// Who holds it back, and if it goes on, what it waits for: one line each, with times as the clocks of a zone show them or
    /// else in UTC.
    #[must_use]
    pub fn lines(&self, commands: &NextCommands, goes_on: bool, zone: Option<&Zone>) -> Vec<String> {
        let paused = self.paused.iter().map(|Paused { by, since }| {
            let since = time_in(zone, *since);
            if by.via == CONTROL {
                format!("Paused since {since} by {by}; `{}` releases it.", commands.control(&["continue"]))
            } else {
                format!("Paused since {since} by {by}; removing the file releases it.")
            }
        });
        let waits = self.waits.iter().filter(|_| goes_on).map(|waits| {
            let text = commands.waiting(waits.cause, &waits.stage, waits.until, zone);
            format!("Waiting {text}, since {}.", time_in(zone, waits.since))
        });
        // A plan without waves is carried as one.
        let says_something = |stage: &&Stage| goes_on && (stage.wave.is_some() || self.forecast.is_some());
        let stage = self.stage.iter().filter(says_something).map(|stage| {
            let forecast = self.forecast.as_ref().map_or(String::new(), |forecast| format!(": {forecast}"));
            format!("Carrying {stage}{forecast}.")
        });
        let skipped = (self.skipped > 0).then(|| {
            let (rows, is) = (count(self.skipped, "row"), is_or_are(self.skipped));
            format!("{rows} {is} skipped, and settled as blocked in turn.")
        });
        paused.chain(waits).chain(stage).chain(skipped).map(|line| plain(&line)).collect()
    }
}

/// One account, and how its rows add up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LaneOf {
    #[serde(flatten)]
    pub lane: LaneRecord,
    pub rows: u64,
    pub settled: u64,
    pub on_target: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaunchOf {
    pub launch: u32,
    pub verb: String,
    pub at: String,
    pub pid: u32,
    pub host: String,
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Who::is_empty")]
    pub who: Who,
    pub version: String,
    /// By hand, for itself alone.
    #[serde(skip)]
    pub given: Given,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Running {
    pub pid: Option<u32>,
    pub host: Option<String>,
    #[serde(serialize_with = "serialize_time")]
    pub since: Option<Timestamp>,
}

impl Summary {
    /// Of the run as it stands in the journal at one instant.
    pub fn of(journal: &Journal, run: &RunRecord, journal_path: &Path) -> Result<Self, JournalError> {
        journal.at_one_instant(|| Self::now(journal, &journal.run(run.key)?, journal_path))
    }

    /// For those who already hold the instant.
    pub(super) fn now(journal: &Journal, run: &RunRecord, journal_path: &Path) -> Result<Self, JournalError> {
        let Sums { tally, waves, lanes, mixed } = journal.sums(run.key)?;
        let run = &cut_off::as_told(journal, run, &tally)?;
        let began = journal.last_launch(run.key)?;
        let elapsed_ms = cut_off::elapsed_ms(journal, run)?;
        let since = began.as_ref().map(|event| event.at);
        // An attempt may yet be taken back, throttled or not even sent, and a count that people watch would go down.
        let under_way = if run.running { tally.open } else { 0 };
        let mut commands = NextCommands::from_journal(journal, run, journal_path)?;
        let is_all_on_target = tally.on_target() == u64::from(run.n_rows);
        if !is_all_on_target {
            commands.needs_leave(|| journal.has_irreversible_left(run.key))?;
        }
        commands.mixed = mixed;
        let anchor = journal.anchor(run)?;
        Ok(Self {
            schema: "cutover.summary.v1",
            run: run.id.clone(),
            plan: PlanOf { path: run.plan_path.clone(), digest: run.plan_digest.clone(), rows: run.n_rows },
            verdicts: Verdicts::of(&tally),
            unsettled: Unsettled {
                pending: tally.pending,
                in_doubt: tally.in_doubt,
                under_way: if commands.goes_on { tally.in_doubt - tally.lost } else { 0 },
            },
            on_target: tally.on_target(),
            unproven: tally.unproven_by_choice,
            attempts: tally.attempts - under_way,
            under_way,
            throttled: tally.throttled,
            exit: ExitOf { code: run.exit_code, name: run.exit_name.clone(), reason: run.exit_reason.clone() },
            started_at: run.started_at,
            elapsed_s: seconds(elapsed_ms),
            journal: journal_path.display().to_string(),
            anchor: anchor.to_string(),
            anchor_hash: anchor.whole(),
            launches: run.launches,
            last_launch: began.and_then(|event| launch_of(time(event.at), event.kind)),
            running: run.running.then(|| Running { pid: run.pid, host: run.host.clone(), since }),
            waves,
            paper: PaperOf::of(run),
            steering: SteeringOf::of(journal, run)?,
            moved: journal.n_moved(run.key)?,
            if_stopped: None,
            lanes: lanes_of(journal.lanes(run.key)?, &lanes),
            causes: if is_all_on_target { Vec::new() } else { journal.causes(run.key, MOST_CAUSES)? },
            commands,
            ending: journal.last_ending(run.key)?,
        })
    }

    #[must_use]
    pub fn n_unsettled(&self) -> u64 {
        self.unsettled.pending + self.unsettled.in_doubt
    }

    /// Settled, and not where they should be.
    #[must_use]
    pub fn n_need_a_look(&self) -> u64 {
        Verdict::ALL.into_iter().map(|verdict| self.verdicts.get(verdict)).sum::<u64>() - self.on_target
    }

    /// What one would say aloud.
    #[must_use]
    pub fn sentence(&self) -> String {
        let n_rows = u64::from(self.plan.rows);
        let Unsettled { pending, in_doubt, under_way } = self.unsettled;
        let in_doubt = in_doubt - under_way;
        if n_rows == 0 {
            return "The run has no rows.".to_owned();
        }
        if self.on_target == n_rows {
            let all = if n_rows == 1 { "The one row is".to_owned() } else { format!("All {n_rows} rows are") };
            return format!("{all} on target{}.", self.without_proof());
        }
        let mut rest = Vec::new();
        if pending > 0 {
            rest.push(format!("{pending} {} still to do", is_or_are(pending)));
        }
        if under_way > 0 {
            rest.push(format!("{under_way} {} under way", is_or_are(under_way)));
        }
        if in_doubt > 0 {
            rest.push(format!("{in_doubt} {} in doubt", is_or_are(in_doubt)));
        }
        let n_look = self.n_need_a_look();
        if n_look > 0 {
            rest.push(format!("{n_look} {} a look", if n_look == 1 { "needs" } else { "need" }));
        }
        let (on_target, so_far) = (self.on_target, if self.running.is_some() { " so far" } else { "" });
        let (rows, unproven) = (count(n_rows, "row"), self.without_proof());
        format!("{on_target} of {rows} {} on target{so_far}{unproven}; {}.", is_or_are(n_rows), rest.join(", "))
    }

    /// What is to be known of the rows on target, if somebody switched their proof off.
    fn without_proof(&self) -> String {
        match self.unproven {
            0 => String::new(),
            n if n == self.on_target => ", unproven: verification was switched off".to_owned(),
            n => format!(", {n} of them unproven: verification was switched off"),
        }
    }

    /// For people, about 100 characters wide, meaningful without color; times as the clocks of a zone show them.
    pub fn write_text(&self, zone: &Zone, out: &mut Printout<'_>) -> io::Result<()> {
        writeln!(out, "{}", self.sentence())?;
        self.write_counts(out)?;
        self.write_causes(out)?;
        self.write_next("What to do next", out)?;
        self.write_footer(zone, out)
    }

    /// The counts that are not zero; they add up to the total below them.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64, &'static str)> {
        let verdicts = Verdict::ALL.map(|verdict| (verdict.name(), self.verdicts.get(verdict), verdict.meaning()));
        let Unsettled { pending, in_doubt, under_way } = self.unsettled;
        let unsettled = [
            ("pending", pending, "not begun, or due again"),
            ("under_way", under_way, "begun; its answer or its proof is waited for"),
            ("in_doubt", in_doubt - under_way, "sent; not known or not yet proven whether it was done"),
        ];
        verdicts.into_iter().chain(unsettled).filter(|(_, n_rows, _)| *n_rows > 0).collect()
    }

    pub(crate) fn write_counts(&self, out: &mut Printout<'_>) -> io::Result<()> {
        writeln!(out)?;
        for (name, n_rows, meaning) in self.counts() {
            writeln!(out, "  {name:<VERDICT_WIDTH$} {n_rows:>9}  {meaning}")?;
        }
        writeln!(out, "  {:<VERDICT_WIDTH$} {:>9}", "total", self.plan.rows)
    }

    pub(super) fn write_causes(&self, out: &mut Printout<'_>) -> io::Result<()> {
        if self.causes.is_empty() {
            return Ok(());
        }
        out.heading("What needs a look")?;
        for cause in &self.causes {
            let Cause { verdict, n_rows, .. } = cause;
            writeln!(out, "  {verdict:<VERDICT_WIDTH$} {n_rows:>9}  {} ({})", cause_text(cause), example_of(cause))?;
        }
        let n_more = self.n_need_a_look().saturating_sub(self.causes.iter().map(|cause| cause.n_rows).sum());
        if n_more > 0 {
            writeln!(out, "  … and {} for other causes", count(n_more, "row"))?;
        }
        Ok(())
    }

    /// What to do about what is not on target or not proven, once for each cause.
    pub(crate) fn next_steps(&self) -> Vec<(&'static str, Advice)> {
        let commands = &self.commands;
        let mut steps = Vec::new();
        let in_doubt = self.unsettled.in_doubt > 0;
        if !commands.goes_on && in_doubt {
            steps.extend(advice::next(Phase::InDoubt, None, commands, "").map(|next| ("in_doubt", next)));
        }
        if !commands.goes_on && self.unsettled.pending > 0 {
            let left = advice::left(self.exit.code, &self.ending, in_doubt, commands);
            steps.extend(left.into_iter().map(|next| ("pending", next)));
        }
        if self.unproven > 0 {
            steps.push((UNPROVEN, advice::unproven(self.unproven, commands)));
        }
        for verdict in Verdict::ALL {
            let causes = || self.causes.iter().filter(|cause| cause.verdict == verdict.name());
            for (n, cause) in causes().enumerate() {
                if !causes().take(n).any(|before| advice::is_same(before, cause)) {
                    steps.extend(advice::of_cause(cause, commands).map(|next| (verdict.name(), next)));
                }
            }
        }
        if let Some(cause) = self.causes.first() {
            steps.push(("any row", advice::story(&cause.example, commands)));
        }
        steps
    }

    pub(super) fn write_next(&self, title: &str, out: &mut Printout<'_>) -> io::Result<()> {
        let steps = self.next_steps();
        if steps.is_empty() {
            return Ok(());
        }
        out.heading(title)?;
        for (name, Advice { say, command }) in steps {
            writeln!(out, "  {name:<VERDICT_WIDTH$} {say}")?;
            writeln!(out, "  {:VERDICT_WIDTH$}   {command}", "")?;
        }
        Ok(())
    }

    pub(super) fn write_footer(&self, zone: &Zone, out: &mut Printout<'_>) -> io::Result<()> {
        writeln!(out)?;
        for (name, value) in self.facts_in(Some(zone)) {
            writeln!(out, "  {name:<VERDICT_WIDTH$} {value}")?;
        }
        Ok(())
    }

    /// In UTC.
    pub(crate) fn started(&self) -> Option<String> {
        self.started_at.map(time)
    }

    /// What identifies the run and what it took, as pairs of name and value, with times in UTC.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        self.facts_in(None)
    }

    /// The same, with times as the clocks of a zone show them.
    fn facts_in(&self, zone: Option<&Zone>) -> Vec<(&'static str, String)> {
        let mut facts = vec![("run", plain(&self.run))];
        facts.push(("plan", format!("{} ({})", plain(&self.plan.path), plain(&self.plan.digest))));
        if let Some(started_at) = self.started_at {
            let so_far = if self.running.is_some() { " so far" } else { "" };
            let elapsed = duration(milliseconds(self.elapsed_s));
            facts.push(("started", format!("{}; it took {elapsed}{so_far}", time_in(zone, started_at))));
        }
        if let Some(launch) = &self.last_launch {
            let by = launch.user.as_deref().map_or(String::new(), |user| format!(" by {}", plain(user)));
            let (verb, host) = (plain(&launch.verb), plain(&launch.host));
            let version = plain(&launch.version);
            let given = match &launch.given {
                given if given.is_empty() => String::new(),
                given => format!(", given{}", plain(&next::flags(given))),
            };
            facts.push(("launch", format!("{}: `{verb}`{by} on {host}, cutover {version}{given}", launch.launch)));
        }
        if let (Some(code), Some(name)) = (self.exit.code, &self.exit.name) {
            let reason = self.exit.reason.as_deref().filter(|reason| !reason.is_empty());
            let reason = reason.map_or_else(String::new, |reason| format!(": {}", plain(reason)));
            facts.push(("ended", format!("{code} ({name}){reason}")));
        }
        let (attempts, throttled) = (count(self.attempts, "change"), self.throttled);
        let more = match self.under_way {
            0 => String::new(),
            n => format!(", {n} more without an answer yet"),
        };
        facts.push(("sent", format!("{attempts}{more}; throttled {}", count(throttled, "time"))));
        for lane in &self.lanes {
            if self.lanes.len() > 1 {
                let LaneOf { lane: LaneRecord { name, endpoint, .. }, rows, on_target, .. } = lane;
                let fact = format!("{}: {on_target} of {rows} on target, at {}", plain(name), plain(endpoint));
                facts.push(("account", fact));
            }
            facts.extend(lane_facts(&lane.lane));
        }
        facts.extend(self.paper.facts(zone));
        for Taken { at, command, by } in self.steering.history.iter().rev().take(MOST_STEERED).rev() {
            facts.push(("steered", plain(&format!("{} {command}, by {by}", time_in(zone, *at)))));
        }
        if self.moved > 0 {
            facts.push(("moved", format!("{} by somebody else", count(self.moved, "row"))));
        }
        facts.push(("journal", plain(&self.journal)));
        facts.push(("anchor", format!("{} (keep it elsewhere)", self.anchor)));
        facts
    }
}

/// Writes the summary as the one JSON document of the verbs that change something, and of `status`.
pub fn write_json(summary: &Summary, out: &mut dyn io::Write) -> Result<(), ReportError> {
    super::document::document(summary, out)
}

/// The same on one line, after lines of events.
pub fn write_json_line(summary: &Summary, out: &mut dyn io::Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, summary)?;
    writeln!(out)
}

/// A cause in one line: code and text.
pub(crate) fn cause_text(cause: &Cause) -> String {
    code_and_text(cause.error_code.as_deref(), &cause.text)
}

/// The row that has a cause, or one of those that have it.
pub(crate) fn example_of(cause: &Cause) -> String {
    let such_as = if cause.n_rows == 1 { "" } else { "such as " };
    format!("{such_as}{}", plain(&cause.example))
}

pub(crate) fn code_and_text(error_code: Option<&str>, text: &str) -> String {
    let text = plain(text);
    match error_code {
        Some(code) if !text.contains(code) => format!("{}: {text}", plain(code)),
        Some(_) | None if text.is_empty() => "no reason was given".to_owned(),
        Some(_) | None => text,
    }
}

fn lane_facts(lane: &LaneRecord) -> Vec<(&'static str, String)> {
    let name = plain(&lane.name);
    let mut facts = Vec::new();
    if let Some(per_second) = lane.per_second {
        let origin = if lane.stated { "stated by the service" } else { "found by trying" };
        facts.push(("quota", format!("{per_second:.2} requests a second for {name}, {origin}")));
    }
    if let Some(stopped) = &lane.stopped {
        facts.push(("stopped", format!("{name}: {}", plain(stopped))));
    }
    facts
}

fn lanes_of(lanes: Vec<LaneRecord>, tallies: &[LaneTally]) -> Vec<LaneOf> {
    let lanes = lanes.into_iter().map(|lane| {
        let tally = tallies.iter().find(|tally| tally.lane == lane.lane);
        let (rows, settled, on_target) = tally.map_or((0, 0, 0), |tally| (tally.rows, tally.settled, tally.on_target));
        LaneOf { lane, rows, settled, on_target }
    });
    lanes.collect()
}

pub(crate) fn launch_of(at: String, began: EventKind) -> Option<LaunchOf> {
    let EventKind::Run(RunEvent::LaunchBegan { launch, verb, pid, host, user, who, version, given, cut_off_ms: _ }) =
        began
    else {
        return None;
    };
    Some(LaunchOf { launch, verb, at, pid, host, user, who, version, given })
}

fn is_or_are(n: u64) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

pub(super) fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

fn milliseconds(seconds: f64) -> u64 {
    let elapsed = std::time::Duration::from_secs_f64(seconds.max(0.0));
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
