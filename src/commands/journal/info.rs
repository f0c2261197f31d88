//! `journal info`: what the journal holds, how large each run is, and what `journal prune` would free.

use std::io;

use jiff::Timestamp;
use serde::Serialize;

use super::due::{Considered, StaysInJournal, considered};
use crate::exit::Exit;
use crate::journal::read::sizes::RunSize;
use crate::report::document::document;
use crate::values::age::Age;
use crate::values::zone::Zone;
use crate::verb::context::{Context, zone_for};
use crate::verb::error::CommandError;
use crate::verb::journal;
use crate::verb::results::{print, print_json};
use crate::wording::amounts::{bytes, count};
use crate::wording::plain::{padded, plain};
use crate::wording::printout::Printout;
use crate::wording::times::serialize_time;

/// Document `cutover.journal.v1`.
#[derive(Serialize)]
struct JournalTold {
    schema: &'static str,
    journal: String,
    id: String,
    file: FileTold,
    /// Runs in it, in the order in which they were made.
    runs: Vec<RunTold>,
    /// Runs that were taken out.
    pruned: PrunedTold,
    /// Absent without an age.
    #[serde(skip_serializing_if = "Option::is_none")]
    would_free: Option<WouldFree>,
}

#[derive(Serialize)]
struct FileTold {
    bytes: u64,
    /// Part of it that holds nothing, and is used by later runs.
    free_bytes: u64,
    /// Size of the log beside it.
    log_bytes: u64,
}

#[derive(Serialize)]
struct RunTold {
    run: String,
    rows: u32,
    events: u64,
    /// Estimate of its share of the file.
    bytes: u64,
    #[serde(serialize_with = "serialize_time")]
    ended_at: Option<Timestamp>,
    going_on: bool,
    unfinished: bool,
    /// True if `journal prune` with this age would take it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    would_leave: Option<bool>,
}

#[derive(Serialize)]
struct PrunedTold {
    runs: u64,
    rows: u64,
}

#[derive(Serialize)]
struct WouldFree {
    keep: String,
    keep_since: Timestamp,
    runs: u64,
    rows: u64,
    bytes: u64,
    /// Command that takes them out, with a name to be put in for `DIR`.
    #[serde(skip)]
    command: String,
}

pub(super) fn info(context: &Context, keep: Option<&Age>) -> Result<Exit, CommandError> {
    let told = read(context, keep)?;
    if context.console.json {
        print_json(|out| document(&told, out))?;
    } else {
        let zone = zone_for(context, None);
        print(|out| Ok(told.write_text(&zone, out)?))?;
    }
    Ok(Exit::Done)
}

fn read(context: &Context, keep: Option<&Age>) -> Result<JournalTold, CommandError> {
    let path = &context.settings.journal;
    let journal = journal::to_read(context)?;
    // Without an age, no run is too young for the other reasons to be told.
    let keep_since = keep.map_or(Timestamp::MAX, |keep| keep.before(Timestamp::now()));
    journal.at_one_instant(|| {
        let sizes = journal.sizes()?;
        let runs: Vec<RunTold> = considered(&journal, path, keep_since)?
            .into_iter()
            .map(|Considered { run, stays }| {
                let RunSize { n_events, bytes } = sizes.get(&run.key.number()).copied().unwrap_or_default();
                Ok::<_, CommandError>(RunTold {
                    rows: run.n_rows,
                    events: n_events,
                    bytes,
                    ended_at: run.ended_at,
                    going_on: stays == Some(StaysInJournal::GoesOn),
                    unfinished: journal.count_unsettled(run.key)? > 0,
                    would_leave: keep.map(|_| stays.is_none()),
                    run: run.id,
                })
            })
            .collect::<Result<_, _>>()?;
        let tombstones = journal.tombstones()?;
        let size = journal.file_size()?;
        let leave = || runs.iter().filter(|run| run.would_leave == Some(true));
        let would_free = keep.map(|keep| WouldFree {
            keep: keep.to_string(),
            keep_since,
            runs: leave().count() as u64,
            rows: leave().map(|run| u64::from(run.rows)).sum(),
            bytes: leave().map(|run| run.bytes).sum(),
            command: context.here.reads(&format!("journal prune --keep {keep} --archive DIR")),
        });
        let n_rows = tombstones.iter().map(|stored| u64::from(stored.tombstone.run.plan.rows)).sum();
        Ok(JournalTold {
            schema: "cutover.journal.v1",
            journal: path.display().to_string(),
            id: journal.identity()?.id,
            file: FileTold {
                bytes: size.bytes,
                free_bytes: size.free,
                log_bytes: journal.place().map_or(0, |place| place.log_size()),
            },
            runs,
            pruned: PrunedTold { runs: tombstones.len() as u64, rows: n_rows },
            would_free,
        })
    })
}

impl JournalTold {
    fn write_text(&self, zone: &Zone, out: &mut Printout<'_>) -> io::Result<()> {
        let Self { journal, file, runs, pruned, would_free, .. } = self;
        let n_rows: u64 = runs.iter().map(|run| u64::from(run.rows)).sum();
        let (n_runs, n_rows) = (count(runs.len() as u64, "run"), count(n_rows, "row"));
        writeln!(out, "{}: {n_runs}, {n_rows}, {}.", plain(journal), bytes(file.bytes))?;
        if file.free_bytes > 0 || file.log_bytes > 0 {
            let (free, log) = (bytes(file.free_bytes), bytes(file.log_bytes));
            writeln!(out, "{free} of it hold nothing, and are used by later runs; its log has {log}.")?;
        }
        if pruned.runs > 0 {
            let (runs, rows) = (count(pruned.runs, "run"), count(pruned.rows, "row"));
            writeln!(out, "Taken out of it: {runs}, {rows}.")?;
        }
        if let Some(WouldFree { command, runs, rows, bytes: n, .. }) = would_free {
            let (runs, rows) = (count(*runs, "run"), count(*rows, "row"));
            writeln!(out, "`{command}` would take out {runs}, {rows}, and free about {}.", bytes(*n))?;
        }
        if runs.is_empty() {
            return Ok(());
        }
        let width = runs.iter().map(|run| run.run.len()).max().unwrap_or(0).max(3);
        writeln!(out)?;
        writeln!(out, "{:<width$}  {:>8}  {:>9}  {:>9}  ended", "run", "rows", "events", "size")?;
        for run in runs {
            let RunTold { run, rows, events, bytes: n, ended_at, going_on, unfinished, would_leave } = run;
            let ended = ended_at.map_or_else(|| "-".to_owned(), |at| zone.shows(at));
            let note = match (going_on, unfinished, would_leave) {
                (true, _, _) => ", going on",
                (false, true, Some(true)) => ", unfinished, would be taken out",
                (false, true, _) => ", unfinished",
                (false, false, Some(true)) => ", would be taken out",
                (false, false, _) => "",
            };
            writeln!(out, "{}  {rows:>8}  {events:>9}  {:>9}  {ended}{note}", padded(&plain(run), width), bytes(*n))?;
        }
        Ok(())
    }
}
