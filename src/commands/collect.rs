//! `collect` copies a run from the servers of its log into the journal.

use std::io;
use std::time::Duration;

use serde::Serialize;

use crate::audit;
use crate::exit::Exit;
use crate::journal::chain::Anchor;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, RunKey};
use crate::lock::{self, Lock};
use crate::log::server::NotRead;
use crate::settings::flags::arguments::CollectArgs;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::results::{print, print_json};
use crate::wording::amounts::count;
use crate::wording::plain::plain;
use crate::wording::printout::Printout;

/// Interval at which a run that goes on is read on.
const FOLLOWS_EVERY: Duration = Duration::from_secs(1);

pub(super) fn collect(context: &Context, args: &CollectArgs) -> Result<Exit, CommandError> {
    if context.settings.engine.is_none() {
        return Err(CommandError::NoServers);
    }
    let id = context.logs.find(&args.run)?;
    let path = &context.settings.journal;
    let mut journal = Journal::open(path)?;
    // Whoever leads the run or copies it writes to its part of the journal alone.
    let _lock = Lock::take(&lock::of_run(path, &id), journal.mode(), &format!("run {id}"), path)?;
    let run = context.logs.bring(&mut journal, &id)?;
    if args.follow {
        follow(context, &mut journal, run, &id)?;
    }
    if args.forget {
        forget(context, &mut journal, run)?;
    }
    let collected = Collected::new(&journal, &journal.run(run)?, args.forget)?;
    if context.console.json {
        print_json(|out| Ok(write_json(&collected, out)?))?;
    } else {
        print(|out| Ok(write_text(&collected, out)?))?;
    }
    Ok(Exit::Done)
}

/// Reads on until the launch that carries the run has ended. Servers that do not answer for a while are waited for.
fn follow(context: &Context, journal: &mut Journal, run: RunKey, id: &str) -> Result<(), CommandError> {
    let mut is_told = false;
    while journal.run(run)?.running {
        if !is_told {
            context
                .console
                .say(&format!("following run {id} until its launch ends; Ctrl-C leaves it, and what was copied stays"));
            is_told = true;
        }
        std::thread::sleep(FOLLOWS_EVERY);
        match context.logs.catch_up(journal, run, id) {
            Ok(()) => (),
            Err(NotRead::Unreachable(why)) => context.console.warn(&format!("{why}; it is tried again")),
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}

/// Removes the run from the servers, if the copy is whole and nobody goes on with it.
fn forget(context: &Context, journal: &mut Journal, run: RunKey) -> Result<(), CommandError> {
    let record = journal.run(run)?;
    let refused = |why: String| CommandError::NotForgotten { run: record.id.clone(), why };
    let n_open = journal.unsettled_by_lane(run)?.iter().map(|(_, n)| n).sum();
    if record.running || record.launches == 0 {
        return Err(refused("its last launch has not ended".to_owned()));
    }
    if n_open > 0 {
        return Err(refused(format!("{} not settled", count(n_open, "row"))));
    }
    audit::run::verify(journal, &record)?;
    if let Some(led) = context.logs.runs(Some(&record.id))?.into_iter().find_map(|found| found.led_by) {
        return Err(refused(format!("launch {} leads it, pid {} on {}", led.launch, led.pid, plain(&led.host))));
    }
    // Compared once more, with all that came meanwhile.
    let before = journal.heads(run)?;
    context.logs.bring(journal, &record.id)?;
    if journal.heads(run)? != before {
        return Err(refused("it went on meanwhile".to_owned()));
    }
    Ok(context.logs.forget(&record.id, record.run_key.as_deref())?)
}

/// Document `cutover.collected.v1`.
#[derive(Serialize)]
struct Collected {
    schema: &'static str,
    run: String,
    journal: String,
    rows: u32,
    events: u64,
    anchor: String,
    anchor_hash: String,
    launches: u32,
    /// The last launch has not ended, as far as the log goes.
    running: bool,
    pid: Option<u32>,
    host: Option<String>,
    exit_code: Option<u8>,
    exit_name: Option<String>,
    /// True if the run was removed from the servers.
    forgotten: bool,
}

impl Collected {
    fn new(journal: &Journal, record: &RunRecord, forgotten: bool) -> Result<Self, CommandError> {
        let heads = journal.heads(record.key)?;
        let events = heads.iter().map(|(_, seq, _)| seq).sum();
        let anchor = Anchor::new(&record.id, heads);
        Ok(Self {
            schema: "cutover.collected.v1",
            run: record.id.clone(),
            journal: journal.path().display().to_string(),
            rows: record.n_rows,
            events,
            anchor: anchor.to_string(),
            anchor_hash: anchor.whole(),
            launches: record.launches,
            running: record.running,
            pid: record.pid,
            host: record.host.clone(),
            exit_code: record.exit_code,
            exit_name: record.exit_name.clone(),
            forgotten,
        })
    }

    fn state(&self) -> String {
        match (self.running, self.exit_code, &self.exit_name) {
            (true, _, _) => {
                let host = self.host.as_deref().map_or_else(|| "?".to_owned(), plain);
                let pid = self.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
                format!("launch {} has not ended, on {host}{pid}", self.launches)
            }
            (false, Some(code), Some(name)) => format!("its last launch ended with {code} ({})", plain(name)),
            (false, _, _) => "no launch has begun".to_owned(),
        }
    }
}

fn write_json(collected: &Collected, out: &mut dyn io::Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, collected)?;
    writeln!(out)
}

fn write_text(collected: &Collected, out: &mut Printout<'_>) -> io::Result<()> {
    let Collected { run, journal, rows, events, anchor, forgotten, .. } = collected;
    let (rows, events) = (count((*rows).into(), "row"), count(*events, "event"));
    writeln!(out, "Run {run} is in {}: {rows}, {events}.", plain(journal))?;
    writeln!(out)?;
    writeln!(out, "  anchor  {anchor}")?;
    writeln!(out, "  state   {}", collected.state())?;
    if *forgotten {
        writeln!(out, "  servers have it no more: this journal and other copies of it are all there is")?;
    }
    Ok(())
}
