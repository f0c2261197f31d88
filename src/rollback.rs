//! Rollback of a run: the rows that it changed, the state to which each would go back, and those that cannot.
//!
//! Everything comes from the journal: from the states that preflight saw before the change, and those seen after it.

use std::io;
use std::time::Duration;

use serde::Serialize;

use crate::event::verdict::Verdict;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::judge::effect::{Effect, on_target};
use crate::judge::way_back::{self, NoWayBack};
use crate::ledger::standing::{Phase, Standing};
use crate::model::Row;
use crate::model::state::SeenState;
use crate::model::words::Word;
use crate::plan::paper::Paper;
use crate::values;
use crate::waves::forecast::{Ahead, Band, Measured};
use crate::wording::amounts::count;
use crate::wording::plain::plain;

/// Rows that are named for each reason; the others are counted.
const IDS_NAMED: usize = 5;

/// Possible rollback of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WayBack {
    /// No change was ever sent for it.
    Untouched,
    /// A change was sent, and the row is where it was before, as far as this run knows.
    Unchanged { reason: String },
    /// Goes from its present state to the one before the run.
    Back { from: SeenState, to: SeenState },
    /// The row was changed, or may have been, and cannot be sent back.
    None { reason: String },
}

#[must_use]
pub fn way_back(row: &Row, standing: &Standing) -> WayBack {
    let none = |reason: String| WayBack::None { reason };
    // An applied row counts as changed even without a counted attempt: a throttled one may have had an effect.
    if !standing.was_sent() && standing.phase != Phase::Settled(Verdict::Applied) {
        return WayBack::Untouched;
    }
    match standing.phase {
        Phase::Open | Phase::InDoubt | Phase::Accepted => {
            return none("it is in doubt whether it was changed: a reconcile looks".to_owned());
        }
        Phase::Settled(Verdict::Overtaken) => return none("somebody else moved it".to_owned()),
        Phase::Settled(Verdict::Unverified) => {
            return none("its change was never proven: a retry looks first".to_owned());
        }
        Phase::Untried | Phase::Due | Phase::Settled(_) => (),
    }
    // A row on target without a look is taken to be where the plan wanted it.
    let applied = standing.phase == Phase::Settled(Verdict::Applied);
    let from = standing.after.clone().or_else(|| applied.then(|| SeenState::from(&row.wants)));
    let Some(from) = from else { return unchanged(standing) };
    let Some(to) = &standing.before else {
        return none(way_back::UNSEEN_BEFORE.to_owned());
    };
    if from == *to {
        return unchanged(standing);
    }
    if let Some(moved) = standing.moved.as_ref().filter(|moved| !on_target(&row.wants, moved)) {
        return none(format!("somebody else moved it since: it is {moved}"));
    }
    // A retry may have begun where somebody else had put the row, and had no effect.
    if let Effect::Overtaken { .. } = Effect::from_look(&row.wants, Some(to), Some(&from)) {
        return none(format!("somebody else moved it: it is {from}"));
    }
    if let Some(reason) = way_back::reason_against(&from, Some(to)) {
        return none(reason);
    }
    WayBack::Back { from, to: to.clone() }
}

/// Returns the result for a row that was sent without effect: it is listed all the same.
fn unchanged(standing: &Standing) -> WayBack {
    let said = match standing.phase {
        Phase::Settled(Verdict::Refused) => "the service refused it",
        Phase::Settled(Verdict::Applied | Verdict::Already) => "it was there before",
        Phase::Settled(_) => "nothing came of it",
        Phase::Untried | Phase::Open | Phase::InDoubt | Phase::Accepted | Phase::Due => "will be again",
    };
    let is_seen = standing.after.is_some() && standing.before.is_some();
    let there = if is_seen { "; it is where it was" } else { ", as far as is known" };
    WayBack::Unchanged { reason: format!("it was sent, and {said}{there}") }
}

/// A row that was sent and does not go back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stays {
    pub source_id: String,
    pub reason: String,
    /// True if there is nothing to undo, as far as is known.
    pub unchanged: bool,
}

impl Stays {
    /// Heading in front of the row's id, for people.
    #[must_use]
    pub fn heading(&self) -> &'static str {
        if self.unchanged { "not changed" } else { "no way back" }
    }
}

/// Document `cutover.rollback.v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rollback {
    pub schema: &'static str,
    pub run: String,
    /// Rows that go back.
    pub rows: u64,
    /// Rows that were sent and do not go back.
    pub no_way_back: Vec<Stays>,
}

impl Rollback {
    pub fn from_journal(journal: &Journal, run: &RunRecord) -> Result<Self, JournalError> {
        let mut rollback =
            Self { schema: "cutover.rollback.v1", run: run.id.clone(), rows: 0, no_way_back: Vec::new() };
        journal.for_each_row_backwards(run.key, |row, standing| {
            match way_back(&row, &standing) {
                WayBack::Untouched => (),
                WayBack::Back { .. } => rollback.rows += 1,
                WayBack::Unchanged { reason } => rollback.stays(&row, reason, true),
                WayBack::None { reason } => rollback.stays(&row, reason, false),
            }
            Ok::<(), JournalError>(())
        })?;
        Ok(rollback)
    }

    fn stays(&mut self, row: &Row, reason: String, unchanged: bool) {
        self.no_way_back.push(Stays { source_id: row.source_id.to_string(), reason, unchanged });
    }

    /// Lists the reasons for which rows stay, each once, with the number of its rows and the first of them.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let mut groups: Vec<(&Stays, u64, Vec<&str>)> = Vec::new();
        for stays in &self.no_way_back {
            let is_alike = |one: &Stays| one.unchanged == stays.unchanged && one.reason == stays.reason;
            let at = groups.iter().position(|(first, _, _)| is_alike(first)).unwrap_or_else(|| {
                groups.push((stays, 0, Vec::new()));
                groups.len() - 1
            });
            let (_, n_rows, ids) = &mut groups[at];
            *n_rows += 1;
            if ids.len() < IDS_NAMED {
                ids.push(&stays.source_id);
            }
        }
        let line = |(first, n_rows, ids): &(&Stays, u64, Vec<&str>)| {
            let named = ids.join(", ");
            let more = n_rows - ids.len() as u64;
            let more = if more == 0 { String::new() } else { format!(" … and {more} more") };
            let which = if *n_rows == 1 { named } else { format!("{} ({named}{more})", count(*n_rows, "row")) };
            format!("{}: {which}: {}", first.heading(), first.reason)
        };
        groups.iter().map(line).collect()
    }

    /// Says in one line how many rows go back and how many do not.
    #[must_use]
    pub fn told(&self) -> String {
        let go = if self.rows == 1 { "row goes" } else { "rows go" };
        let n_unchanged = self.no_way_back.iter().filter(|stays| stays.unchanged).count();
        let told = format!("{} {go} back, {} cannot", self.rows, self.no_way_back.len() - n_unchanged);
        if n_unchanged == 0 { told } else { format!("{told}, {n_unchanged} not changed") }
    }

    /// Writes a plan that `check` accepts: waves and rows in reverse order, with the reasons of rows that stay as comments.
    pub fn write_plan(&self, journal: &Journal, run: &RunRecord, out: &mut dyn io::Write) -> Result<(), WriteError> {
        writeln!(out, "# The way back of run {} ({})", plain(&run.id), plain(&run.plan_path))?;
        let go = if self.rows == 1 { "row goes" } else { "rows go" };
        writeln!(
            out,
            "# {} {go} back, each to where it was seen before; each is expected where it is now.",
            self.rows
        )?;
        writeln!(
            out,
            "# What a task action has to start is warned about by `cutover check`, and an error under --strict."
        )?;
        for stays in &self.no_way_back {
            writeln!(out, "# {}: {}: {}", stays.heading(), plain(&stays.source_id), plain(&stays.reason))?;
        }
        // Everything is quoted, because an id may begin with the comment character.
        let mut csv = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(out);
        csv.write_record([
            "source_id",
            "copystate",
            "migrationcycle",
            "expect_copystate",
            "expect_migrationcycle",
            "wave",
            "target",
            "name",
            "note",
        ])?;
        // Names that the plan file gives to profiles are replaced by the profiles: other plans do not have them.
        let terms = Paper::of_settings(&run.settings).unwrap_or_default().terms;
        let profile = run.settings.get("profile").and_then(serde_json::Value::as_str);
        let target = |row: &Row| match &row.account {
            Some(target) => Some(terms.targets.get(target).unwrap_or(target).clone()),
            None => profile.map(str::to_owned),
        };
        journal.for_each_row_backwards(run.key, |row, standing| {
            let WayBack::Back { from, to } = way_back(&row, &standing) else { return Ok(()) };
            let word = |word: Option<&Word>| word.map_or(String::new(), ToString::to_string);
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            csv.write_record([
                row.source_id.to_string(),
                word(to.copystate.as_ref()),
                word(to.migrationcycle.as_ref()),
                word(from.copystate.as_ref()),
                word(from.migrationcycle.as_ref()),
                text(row.wave.as_deref()),
                target(&row).unwrap_or_default(),
                text(row.name.as_deref()),
                text(row.note.as_deref()),
            ])?;
            Ok::<(), WriteError>(())
        })?;
        csv.flush()?;
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Write(#[from] io::Error),
}

impl From<csv::Error> for WriteError {
    fn from(error: csv::Error) -> Self {
        WriteError::Write(io::Error::other(error))
    }
}

/// Numbers of rows by where they would stand if the run stopped now. The first four add up to all rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IfStopped {
    pub done: u64,
    /// Rows that were sent, with an unknown or unproven result.
    pub on_the_way: u64,
    /// Rows for which nothing was sent.
    pub untouched: u64,
    /// Rows that were tried and are not on target.
    pub not_on_target: u64,
    /// Rows that were changed and can go back.
    pub reversible: u64,
    pub not_reversible: u64,
    /// Rows without a way back, by the reason against it.
    pub no_way_back: NoWayBack,
    /// Estimated seconds that sending back all reversible rows would take.
    pub rollback_s: u64,
}

impl IfStopped {
    pub fn from_journal(journal: &Journal, run: &RunRecord) -> Result<Self, JournalError> {
        let mut counts = Self::default();
        let lanes = journal.lanes(run.key)?;
        let mut back: Vec<u64> = vec![0; lanes.len()];
        let unnamed = run.settings.get("profile").and_then(serde_json::Value::as_str).unwrap_or("default");
        journal.for_each_row(run.key, |row, standing| {
            match standing.phase {
                Phase::Settled(_) if standing.is_on_target() => counts.done += 1,
                phase if phase.is_in_doubt() => counts.on_the_way += 1,
                _ if standing.attempts == 0 => counts.untouched += 1,
                _ => counts.not_on_target += 1,
            }
            match way_back(&row, &standing) {
                WayBack::Untouched | WayBack::Unchanged { .. } => (),
                WayBack::Back { .. } => {
                    counts.reversible += 1;
                    let name = row.account.as_deref().unwrap_or(unnamed);
                    // The lane of a single account may have another name than its rows give it.
                    back[lanes.iter().position(|lane| lane.name == name).unwrap_or(0)] += 1;
                }
                WayBack::None { reason } => counts.no_way_back.add(reason),
            }
            Ok::<(), JournalError>(())
        })?;
        counts.not_reversible = counts.no_way_back.n_rows();
        let setting = |key: &str| run.settings.get(key).and_then(serde_json::Value::as_str);
        let rate = setting("rate").and_then(|text| values::rate(text).ok()).and_then(|rate| rate.per_second());
        let concurrency = setting("concurrency").and_then(|text| values::positive(text).ok()).unwrap_or(1);
        let ahead = lanes.iter().zip(back).map(|(lane, rows)| {
            let per_second = match (rate, lane.per_second) {
                (Some(rate), Some(learned)) => Some(rate.min(learned)),
                (one, None) | (None, one) => one,
            };
            Ahead { rows, per_second, concurrency, measured: Measured::default() }
        });
        let ahead: Vec<Ahead> = ahead.collect();
        counts.rollback_s = Band::side_by_side(&ahead, None, Duration::ZERO).likely.as_secs();
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SourceId;
    use crate::model::state::TargetState;

    fn seen(text: &str) -> SeenState {
        let (copystate, cycle) = text.split_once('/').unwrap();
        SeenState { copystate: Some(Word::new(copystate)), migrationcycle: Some(Word::new(cycle)) }
    }

    fn row(target: &str) -> Row {
        let SeenState { copystate, migrationcycle } = seen(target);
        Row::first(TargetState { copystate, migrationcycle })
    }

    fn settled(verdict: Verdict, before: &str, after: Option<&str>) -> Standing {
        Standing {
            phase: Phase::Settled(verdict),
            attempts: 1,
            before: Some(seen(before)),
            after: after.map(seen),
            ..Standing::default()
        }
    }

    fn way(target: &str, standing: &Standing) -> WayBack {
        way_back(&row(target), standing)
    }

    fn reason(way: WayBack) -> String {
        let WayBack::None { reason } = way else { panic!("{way:?}") };
        reason
    }

    #[test]
    fn what_was_applied_goes_back_to_where_it_was_seen() {
        let applied = settled(Verdict::Applied, "syncing/syncing", Some("cutovering/cutovering"));
        let back = WayBack::Back { from: seen("cutovering/cutovering"), to: seen("syncing/syncing") };
        assert_eq!(way("cutovering/cutovering", &applied), back);
        // Half of a pair that was reached is a change as well.
        let half = settled(Verdict::NoEffect, "syncing/syncing", Some("cutovering/syncing"));
        let back = WayBack::Back { from: seen("cutovering/syncing"), to: seen("syncing/syncing") };
        assert_eq!(way("cutovering/cutovering", &half), back);
    }

    #[test]
    fn each_reason_is_named_once_with_its_rows() {
        let mut back = Rollback { schema: "cutover.rollback.v1", run: "r1".into(), rows: 0, no_way_back: Vec::new() };
        for i in 1..=30 {
            let mut row = row("stopped/syncing");
            row.source_id = SourceId::new(&format!("vm-{i}")).unwrap();
            let (reason, unchanged) = match i {
                29 => ("it is in `stopped`", true),
                30 => ("nothing came of it", true),
                _ if i % 10 == 0 => ("it is in `finished`", false),
                _ => ("it is in `stopped`", false),
            };
            back.stays(&row, reason.to_owned(), unchanged);
        }
        let told = [
            "no way back: 26 rows (vm-1, vm-2, vm-3, vm-4, vm-5 … and 21 more): it is in `stopped`",
            "no way back: 2 rows (vm-10, vm-20): it is in `finished`",
            "not changed: vm-29: it is in `stopped`",
            "not changed: vm-30: nothing came of it",
        ];
        assert_eq!(back.reasons(), told);
    }

    #[test]
    fn only_what_was_never_sent_stays_out() {
        let untouched = Standing { phase: Phase::Settled(Verdict::Blocked), ..Standing::default() };
        assert_eq!(way("cutovering/cutovering", &untouched), WayBack::Untouched);
        let unchanged = |standing: &Standing| match way("cutovering/cutovering", standing) {
            WayBack::Unchanged { reason } => reason,
            other => panic!("{other:?}"),
        };
        let refused = settled(Verdict::Refused, "syncing/syncing", None);
        assert_eq!(unchanged(&refused), "it was sent, and the service refused it, as far as is known");
        let no_effect = settled(Verdict::NoEffect, "syncing/syncing", Some("syncing/syncing"));
        assert_eq!(unchanged(&no_effect), "it was sent, and nothing came of it; it is where it was");
        let due = Standing { phase: Phase::Due, after: None, ..refused };
        assert_eq!(unchanged(&due), "it was sent, and will be again, as far as is known");
    }

    #[test]
    fn what_cannot_go_back_says_why() {
        let stopped = settled(Verdict::Applied, "syncing/syncing", Some("stopped/syncing"));
        let why = reason(way("stopped/syncing", &stopped));
        assert_eq!(why, "a server in `stopped` answers success and changes nothing");
        let odd = settled(Verdict::Applied, "waiting/syncing", Some("cutovering/cutovering"));
        assert!(reason(way("cutovering/cutovering", &odd)).contains("none of the documented pairs"));
        let unknown = settled(Verdict::Applied, "brand_new/syncing", Some("cutovering/cutovering"));
        assert!(reason(way("cutovering/cutovering", &unknown)).contains("`brand_new`"));
        let overtaken = settled(Verdict::Overtaken, "syncing/syncing", Some("error/syncing"));
        assert_eq!(reason(way("cutovering/cutovering", &overtaken)), "somebody else moved it");
        let elsewhere = settled(Verdict::NoEffect, "syncing/syncing", Some("error/syncing"));
        assert_eq!(reason(way("cutovering/cutovering", &elsewhere)), "somebody else moved it: it is error/syncing");
        let in_doubt = Standing { phase: Phase::InDoubt, attempts: 1, ..Standing::default() };
        assert!(reason(way("cutovering/cutovering", &in_doubt)).contains("reconcile"));
        let mut moved = settled(Verdict::Applied, "syncing/syncing", Some("cutovering/cutovering"));
        moved.moved = Some(seen("error/cutovering"));
        assert!(reason(way("cutovering/cutovering", &moved)).contains("it is error/cutovering"));
        let unseen = Standing { before: None, ..settled(Verdict::Applied, "a/b", None) };
        assert_eq!(reason(way("cutovering/cutovering", &unseen)), "nobody saw where it was before");
    }
}
