//! The end of a launch: decided by what is known then, written down, and told again by what came to light meanwhile.

use std::path::Path;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::assembling::{Assembly, Lanes};
use super::ending::{self, Facts, GoOn, exit_event};
use super::halted::Halted;
use super::inputs::Launch;
use super::request::Consent;
use super::saving::Lost;
use super::summing_up::Carried;
use crate::clock::Clock;
use crate::engine::book::Book;
use crate::engine::stop::Stop;
use crate::event::lane::LaneStop;
use crate::event::run::{DrainReason, RunEvent};
use crate::exit::Exit;
use crate::journal::read::steering::Due;
use crate::journal::{Journal, JournalError};
use crate::recorder::{NotRecorded, Recorder, Writing};
use crate::report::next::NextCommands;
use crate::verb::error::CommandError;

impl Launch {
    /// Records how the launch ended, and takes its parts down. Its own end may be what cannot be recorded.
    pub(super) async fn end(
        &self,
        parts: Assembly,
        carried: Result<(), Halted>,
        started: Instant,
    ) -> Result<Carried, CommandError> {
        let known = Assembly::broken(&parts.losing, &parts.undelivered, self.sent.n());
        let refusal = carried.as_ref().err().and_then(Halted::refusal);
        let concluded = self.concluded(&parts, carried, &known).await;
        let recorder = parts.of_run.recorder.clone();
        let (exit, reason) = match concluded {
            Ok((exit, reason)) => (self.as_sent(exit), reason),
            Err(error) => {
                let exit = if known.is_empty() { self.as_sent(error.exit()) } else { Exit::Internal };
                let finished = finish(&recorder, parts.writing, exit_event(exit, None, None, started)).await;
                return self.failed_in(parts.losing.lost(), finished.err().unwrap_or(error));
            }
        };
        let Assembly {
            path,
            lanes,
            of_run,
            ear,
            progress,
            writing,
            losing,
            undelivered,
            sandboxes,
            ended,
            mut reading,
            looking,
            given: _,
            reopened: _,
        } = parts;
        ended.store(true, Ordering::Relaxed);
        progress.finish();
        reading.abort_all();
        drop(looking);
        drop((ear, of_run, lanes));
        let finished = finish(&recorder, writing, exit_event(exit, reason.clone(), refusal, started)).await;
        for sandbox in sandboxes {
            sandbox.stop().await;
        }
        let journal = match losing.lost() {
            Some(lost @ Lost { saved: None, .. }) => return Err(lost.error(self.sent.n())),
            Some(Lost { saved: Some(saved), .. }) => saved.clone(),
            None => path,
        };
        finished?;
        // Its own end may have been what could not be told, or found the journal gone.
        let late = Assembly::broken(&losing, &undelivered, self.sent.n());
        let (exit, reason) = and_late(exit, reason, late.into_iter().filter(|what| !known.contains(what)).collect());
        Ok(Carried { exit, reason, journal })
    }

    /// Code and reason of a launch, whether it was let run to its end or was stopped before.
    async fn concluded(
        &self,
        parts: &Assembly,
        carried: Result<(), Halted>,
        broken: &[String],
    ) -> Result<(Exit, Option<String>), CommandError> {
        // One that cannot be opened is told by what became of the file.
        let copied = parts.losing.copied().and_then(|path| Journal::open_to_read(path).ok());
        let copied = copied.map(|journal| Book::new(journal, self.run.key));
        let stop = &parts.of_run.stop;
        match (carried, copied) {
            (Ok(()), None) => self.conclude(parts, &parts.of_run.book, broken).await,
            // What failed after that failed in what is left of the file.
            (Ok(()) | Err(Halted::Error(_)), Some(copy)) => self.conclude(parts, &copy, broken).await,
            (Err(Halted::With(exit, reason)), _) => Ok(halted(stop, exit, reason, broken)),
            (Err(Halted::Refused(_, reason)), _) => Ok(halted(stop, Exit::Refused, reason, broken)),
            (Err(Halted::Error(error)), None) => Err(error),
        }
    }

    /// Code and reason of a launch that was let run to its end, drained or not.
    async fn conclude(
        &self,
        parts: &Assembly,
        book: &Book,
        broken: &[String],
    ) -> Result<(Exit, Option<String>), CommandError> {
        if self.request.consent.ends_at_the_look() {
            return Ok((Exit::Done, None));
        }
        let (lanes, stop) = (&parts.lanes[..], &parts.of_run.stop);
        let journal = parts.losing.saved().unwrap_or(&parts.path).to_owned();
        let commands = book.read(move |own, run| NextCommands::from_journal(own, &own.run(run)?, &journal)).await?;
        let commands = commands.after(self.clock.now());
        let facts = Facts {
            n_rows: u64::from(self.run.n_rows),
            tally: book.read(Journal::tally).await?,
            signal: by_signal(stop),
            chosen: stop.chosen().map(|(_, why)| why.unwrap_or_default()),
            stopped: stopped_lanes(lanes),
            refused: refused_lanes(lanes),
            due: self.due(lanes, book).await?,
            reached_nobody: self.sent.n() == 0 && are_out_of_reach(lanes),
            broken: broken.to_vec(),
            go_on: match self.clock {
                Clock::Rehearsed { .. } => None,
                Clock::OfMachine => Some(go_on(&commands)),
            },
        };
        Ok(facts.ending())
    }

    /// Rows that are due in the accounts that still go on. Empty if this launch was not to send anything: they are then for another
    /// launch.
    async fn due(&self, lanes: &Lanes, book: &Book) -> Result<Vec<Due>, JournalError> {
        let mut due = Vec::new();
        if self.request.consent != Consent::NothingIsSent {
            for id in lanes.iter().filter(|lane| lane.stopped().is_none() && !lane.is_refused()).map(|lane| lane.id) {
                due.push(book.read(move |journal, run| journal.due_in(run, id)).await?);
            }
        }
        Ok(due)
    }

    /// An error of a launch: what could not be read or written is told by what became of the file.
    fn failed_in(&self, lost: Option<&Lost>, error: CommandError) -> Result<Carried, CommandError> {
        let Some(lost) = lost else { return Err(error) };
        match &lost.saved {
            Some(saved) => {
                // Where even that cannot be read, what became of the file is what there is to tell.
                let left = self.left_in(saved).unwrap_or_default();
                let reason = [lost.told(self.sent.n())].into_iter().chain(left).collect::<Vec<_>>().join("; ");
                Ok(Carried { exit: Exit::Internal, reason: Some(reason), journal: saved.clone() })
            }
            None => Err(lost.error(self.sent.n())),
        }
    }

    /// Rest of the run by the saved journal, with the commands that go on with it.
    fn left_in(&self, saved: &Path) -> Result<Vec<String>, JournalError> {
        let journal = Journal::open_to_read(saved)?;
        let commands =
            NextCommands::from_journal(&journal, &journal.run(self.run.key)?, saved)?.after(self.clock.now());
        Ok(ending::left(&journal.tally(self.run.key)?, &go_on(&commands)).collect())
    }
}

/// Tells whether requests were made, in any account, and none of them had an answer.
fn are_out_of_reach(lanes: &Lanes) -> bool {
    let mut tried = lanes.iter().filter_map(|lane| lane.is_out_of_reach()).peekable();
    tried.peek().is_some() && tried.all(|is_out_of_reach| is_out_of_reach)
}

/// The worst of what stopped lanes, and which were stopped by what.
fn stopped_lanes(lanes: &Lanes) -> Option<(Exit, String)> {
    let stopped: Vec<(&str, LaneStop, String)> = lanes
        .iter()
        .filter_map(|lane| lane.stopped().map(|(cause, message)| (lane.name.as_str(), cause, message)))
        .collect();
    let exits = stopped.iter().map(|(_, cause, _)| match cause {
        LaneStop::Unauthenticated | LaneStop::NoCredentials | LaneStop::Barred | LaneStop::Forbidden => {
            Exit::Credentials
        }
        LaneStop::Throttled | LaneStop::NotTheService => Exit::Halted,
        LaneStop::Unreachable => Exit::Unreachable,
    });
    let exit = exits.reduce(Exit::worst)?;
    let named: Vec<String> = match (&stopped[..], lanes.len()) {
        ([(_, _, message)], 1) => vec![message.clone()],
        _ => stopped.iter().map(|(name, _, message)| format!("account `{name}` stopped: {message}")).collect(),
    };
    Some((exit, named.join("; ")))
}

/// Lanes of which the journal refused an event, in words.
fn refused_lanes(lanes: &Lanes) -> Option<String> {
    let refused: Vec<&str> = lanes.iter().filter(|lane| lane.is_refused()).map(|lane| lane.name.as_str()).collect();
    let named = || refused.iter().map(|name| format!("account `{name}` stopped: {}", NotRecorded::ToLane));
    (!refused.is_empty()).then(|| named().collect::<Vec<_>>().join("; "))
}

fn go_on(commands: &NextCommands) -> GoOn {
    GoOn { resume: commands.resume(), reconcile: commands.reconcile() }
}

/// The worst of the signals that came.
fn by_signal(stop: &Stop) -> Option<Exit> {
    let signals = [
        (DrainReason::HungUp, Exit::HungUp),
        (DrainReason::Interrupted, Exit::Interrupted),
        (DrainReason::Terminated, Exit::Terminated),
    ];
    signals.into_iter().filter(|(reason, _)| stop.has_reason(*reason)).map(|(_, exit)| exit).reduce(Exit::worst)
}

/// Code and reason of a launch that was stopped before it sent anything, or by an obstacle to all of it.
fn halted(stop: &Stop, exit: Exit, reason: String, broken: &[String]) -> (Exit, Option<String>) {
    let (exit, reason) = match (exit, stop.chosen()) {
        (Exit::Interrupted, Some((_, why))) => (by_signal(stop).unwrap_or(Exit::Halted), why.unwrap_or(reason)),
        (Exit::Interrupted, None) => (by_signal(stop).unwrap_or(Exit::Interrupted), reason),
        (exit, _) => (by_signal(stop).map_or(exit, |signal| signal.worst(exit)), reason),
    };
    if broken.is_empty() {
        return (exit, Some(reason));
    }
    let said: Vec<&str> = broken.iter().map(String::as_str).chain([reason.as_str()]).collect();
    (exit.worst(Exit::Internal), Some(said.join("; ")))
}

/// With what went wrong after the end was written down.
fn and_late(exit: Exit, reason: Option<String>, late: Vec<String>) -> (Exit, Option<String>) {
    if late.is_empty() {
        return (exit, reason);
    }
    let said = late.into_iter().chain(reason).collect::<Vec<_>>().join("; ");
    (exit.worst(Exit::Internal), Some(said))
}

/// Records the end and waits for the last commit. If the journal refused anything, this says why.
async fn finish(recorder: &Recorder, writing: Writing, end: RunEvent) -> Result<(), CommandError> {
    // If the journal takes nothing more, closing it says so.
    _ = recorder.record_of_run(vec![end]).await;
    Ok(recorder.close(writing).await?)
}
