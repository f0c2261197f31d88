//! Result of `journal prune`: the document `cutover.prune.v1`, and the same as text.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::archiving::NotArchived;
use super::space::{Hindrance, SpaceGiven};
use crate::exit::Exit;
use crate::journal::read::runs::RunRecord;
use crate::journal::tombstone::{Archive, PrunedRecord, Tombstone};
use crate::journal::{Journal, JournalError};
use crate::report::document::document;
use crate::report::next::NextCommands;
use crate::values::age::Age;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::results::{print, print_json};
use crate::wording::amounts::{bytes, count};
use crate::wording::plain::{plain, shown};
use crate::wording::printout::Printout;

/// Fate of one run.
pub(super) enum PruneFate {
    Young,
    Left { tombstone: Box<Tombstone> },
    WouldLeave { record: Box<PrunedRecord>, bytes: u64 },
    GoesOn { run: String },
    IsToldToWait { run: String },
    Unfinished { run: String, pending: u64, in_doubt: u64, next: String },
    Altered { run: String, problem: String },
    Occupied { run: String, path: String, problem: String },
}

impl PruneFate {
    pub(super) fn unfinished(journal: &Journal, run: &RunRecord, path: &Path) -> Result<Self, JournalError> {
        let tally = journal.tally(run.key)?;
        let commands = NextCommands::from_journal(journal, run, path)?;
        let next = if journal.is_unrecorded(run.key)? {
            commands.run_again()
        } else if tally.pending > 0 {
            commands.resume()
        } else {
            commands.reconcile()
        };
        Ok(PruneFate::Unfinished { run: run.id.clone(), pending: tally.pending, in_doubt: tally.in_doubt, next })
    }

    pub(super) fn not_archived(run: &RunRecord, why: NotArchived) -> Self {
        let run = run.id.clone();
        match why {
            NotArchived::Altered(problem) => PruneFate::Altered { run, problem },
            NotArchived::Occupied { path, problem } => PruneFate::Occupied { run, path: shown(&path), problem },
        }
    }
}

#[derive(Serialize)]
pub(super) struct PruneTold {
    schema: &'static str,
    journal: String,
    archive: String,
    keep: String,
    pub(super) keep_since: Timestamp,
    /// Runs that were taken out, or would be.
    pruned: Vec<PrunedLine>,
    kept: Vec<StaysLine>,
    /// Runs that ended within the time that is kept.
    young: u64,
    bytes_before: u64,
    /// Absent if nothing was changed.
    #[serde(flatten)]
    pub(super) space: Option<SpaceGiven>,
    dry_run: bool,
    #[serde(skip)]
    exit: Exit,
}

#[derive(Serialize)]
struct PrunedLine {
    run: String,
    rows: u32,
    verdicts: BTreeMap<String, u64>,
    anchor_hash: String,
    /// Absent if it was not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<Archive>,
    /// Estimate of its size in the journal, where it is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

#[derive(Serialize)]
struct StaysLine {
    run: String,
    why: &'static str,
    text: String,
    /// Command that comes next, if there is one.
    next: Option<String>,
}

impl PruneTold {
    pub(super) fn new(context: &Context, keep: &Age, archive: &Path, journal: &Journal) -> Result<Self, JournalError> {
        Ok(Self {
            schema: "cutover.prune.v1",
            journal: context.settings.journal.display().to_string(),
            archive: archive.display().to_string(),
            keep: keep.to_string(),
            keep_since: keep.before(Timestamp::now()),
            pruned: Vec::new(),
            kept: Vec::new(),
            young: 0,
            bytes_before: journal.file_size()?.bytes,
            space: None,
            dry_run: true,
            exit: Exit::Done,
        })
    }

    pub(super) fn add(&mut self, outcome: PruneFate) {
        let mut keep = |run, why, text, next| self.kept.push(StaysLine { run, why, text, next });
        match outcome {
            PruneFate::Young => self.young += 1,
            PruneFate::Left { tombstone } => {
                let Tombstone { run, archive, .. } = *tombstone;
                self.pruned.push(PrunedLine::new(run, Some(archive), None));
            }
            PruneFate::WouldLeave { record, bytes } => self.pruned.push(PrunedLine::new(*record, None, Some(bytes))),
            PruneFate::GoesOn { run } => keep(run, "going_on", "a launch of it goes on".to_owned(), None),
            PruneFate::IsToldToWait { run } => {
                let text = "the service asked for a wait that is not over".to_owned();
                keep(run, "told_to_wait", text, None);
            }
            PruneFate::Unfinished { run, pending, in_doubt, next } => {
                let text = format!("unfinished: {pending} pending, {in_doubt} in doubt");
                keep(run, "unfinished", text, Some(next));
            }
            PruneFate::Altered { run, problem } => {
                keep(run, "altered", problem, None);
                self.exit = self.exit.worst(Exit::Integrity);
            }
            PruneFate::Occupied { run, path, problem } => {
                keep(run, "occupied", format!("{path} is there, and is not its archive: {problem}"), None);
                self.exit = if self.exit == Exit::Done { Exit::Refused } else { self.exit };
            }
        }
    }

    /// Prints it, and returns the exit.
    pub(super) fn print(mut self, context: &Context) -> Result<Exit, CommandError> {
        self.dry_run = self.space.is_none();
        let problem = self.kept.iter().find(|kept| matches!(kept.why, "altered" | "occupied"));
        let problem = problem.map(|kept| {
            let hint = match kept.why {
                "altered" => {
                    format!("`{}` names what was found", context.here.reads(&format!("audit verify {}", kept.run)))
                }
                _ => "move it elsewhere, and run the same command again".to_owned(),
            };
            (format!("run {} stays in the journal: {}", kept.run, kept.text), hint)
        });
        if context.console.json {
            print_json(|out| document(&self, out))?;
        } else if !context.console.quiet {
            print(|out| Ok(self.write_text(out)?))?;
        }
        if let Some((problem, hint)) = problem.filter(|_| !context.console.json) {
            context.console.fail(&problem, &[], Some(&hint));
        }
        Ok(self.exit)
    }

    fn write_text(&self, out: &mut Printout<'_>) -> io::Result<()> {
        let rows: u64 = self.pruned.iter().map(|pruned| u64::from(pruned.rows)).sum();
        let (runs, rows) = (count(self.pruned.len() as u64, "run"), count(rows, "row"));
        match self.space {
            None => {
                let about: u64 = self.pruned.iter().filter_map(|pruned| pruned.bytes).sum();
                writeln!(out, "{runs} would be taken out: {rows}, about {}.", bytes(about))?;
                for PrunedLine { run, rows, .. } in &self.pruned {
                    writeln!(out, "  {}  {}", plain(run), count(u64::from(*rows), "row"))?;
                }
            }
            Some(SpaceGiven { bytes: now, free_bytes, hindrance }) => {
                let back = self.bytes_before.saturating_sub(now);
                writeln!(
                    out,
                    "Taken out of the journal: {runs}, {rows}. Given back: {}; its file has {} now.",
                    bytes(back),
                    bytes(now)
                )?;
                if let Some(hindrance) = hindrance {
                    writeln!(
                        out,
                        "{} of it hold nothing, and are used by later runs: {}.",
                        bytes(free_bytes),
                        told(hindrance)
                    )?;
                }
            }
        }
        for StaysLine { run, text, next, .. } in &self.kept {
            let next = next.as_ref().map_or_else(String::new, |next| format!(" (`{next}`)"));
            writeln!(out, "  run {} stays: {}{next}", plain(run), plain(text))?;
        }
        if self.young > 0 {
            let stay = if self.young == 1 { "stays" } else { "stay" };
            writeln!(out, "{} ended within {} and {stay}.", count(self.young, "run"), self.keep)?;
        }
        Ok(())
    }
}

impl PrunedLine {
    fn new(record: PrunedRecord, archive: Option<Archive>, bytes: Option<u64>) -> Self {
        let PrunedRecord { id, plan, verdicts, anchor, .. } = record;
        Self { run: id, rows: plan.rows, verdicts, anchor_hash: anchor, archive, bytes }
    }
}

fn told(hindrance: Hindrance) -> &'static str {
    match hindrance {
        Hindrance::LaunchGoesOn => {
            "a launch goes on in the journal, which is written anew the first time; prune again later"
        }
        Hindrance::NoRoom => {
            "there was no room to write the journal anew, or another process wrote to it; prune again later"
        }
        Hindrance::Readers => "other processes read in the journal; its file gets shorter once they are done",
    }
}
