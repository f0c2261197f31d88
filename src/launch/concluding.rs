//! End of a launch: its facts are gathered, its end is decided and recorded, and its parts are taken down.

use std::path::Path;

use tokio::time::Instant;

use super::assembling::{Assembly, Lanes, Work};
use super::ending::{self, Facts, GoOn, HaltFacts, and_broken, exit_event};
use super::faults::{Faults, MachineFault};
use super::halted::Halted;
use super::inputs::Launch;
use super::request::Consent;
use super::saving::Lost;
use super::signals::EndSignal;
use super::summing_up::Carried;
use crate::clock::Clock;
use crate::engine::journal_reader::JournalReader;
use crate::engine::stop::Stop;
use crate::event::lane::LaneStop;
use crate::event::run::{DrainReason, RunEvent};
use crate::exit::Exit;
use crate::journal::read::steering::Due;
use crate::journal::{Journal, JournalError, LogError};
use crate::recorder::refusal::NotRecorded;
use crate::recorder::{Recorder, Writing};
use crate::report::next::NextCommands;
use crate::verb::error::{CommandError, LogAway};

impl Launch {
    /// Decides and records the end of the launch, and takes its parts down. A journal that cannot record it is lost or broken, which
    /// is then the end that is told.
    pub(super) async fn end(
        &self,
        Assembly { work, faults, background }: Assembly,
        carried: Result<(), Halted>,
        started: Instant,
    ) -> Result<Carried, CommandError> {
        let known = faults.known(self.sent.n());
        let refusal = carried.as_ref().err().and_then(Halted::refusal);
        let concluded = self.concluded(&work, &faults, carried, faults.told(&known)).await;
        let (recorder, stop) = (work.of_run.recorder.clone(), work.of_run.stop.clone());
        let (exit, reason) = match concluded {
            Ok((exit, reason)) => {
                let exit = self.as_sent(exit);
                end_of_hooks(&work, exit, reason.as_deref()).await;
                (exit, reason)
            }
            Err(error) => {
                let exit = if known.is_empty() { self.as_sent(error.exit()) } else { Exit::Internal };
                end_of_hooks(&work, exit, Some(&error.to_string())).await;
                let finished = finish(&recorder, background.writing, exit_event(exit, None, None, started)).await;
                let error = finished.map_err(|error| self.given_up(error, &stop, &faults)).err().unwrap_or(error);
                return self.failed_in(faults.losing.lost(), error);
            }
        };
        let is_any_refused = work.lanes.iter().any(|lane| lane.is_refused());
        let (writing, sandboxes) = background.end_tasks();
        work.progress.finish();
        drop(work);
        let finished = finish(&recorder, writing, exit_event(exit, reason.clone(), refusal, started)).await;
        for sandbox in sandboxes {
            sandbox.stop().await;
        }
        let finished = finished.map_err(|error| self.given_up(error, &stop, &faults));
        let journal = faults.whole_journal(self.sent.n())?;
        let (exit, reason) = match finished {
            // The reason names the account, and the error the row.
            Err(CommandError::Journal(error @ JournalError::Illegal(_))) if is_any_refused => {
                let said = reason.into_iter().chain([error.to_string()]).collect::<Vec<_>>().join("; ");
                (exit.worst(Exit::Integrity), Some(said))
            }
            finished => finished.map(|()| (exit, reason))?,
        };
        // Recording the end may itself have found the journal gone, or failed to write the event out.
        let late: Vec<MachineFault> =
            faults.known(self.sent.n()).into_iter().filter(|fault| !known.contains(fault)).collect();
        let (exit, reason) = and_broken(exit, reason, faults.told(&late));
        Ok(Carried { exit, reason, journal })
    }

    /// Returns code and reason of a launch, whether it was let run to its end or was stopped before.
    async fn concluded(
        &self,
        work: &Work,
        faults: &Faults,
        carried: Result<(), Halted>,
        broken: Vec<String>,
    ) -> Result<(Exit, Option<String>), CommandError> {
        // If the copy cannot be opened, the loss of the first file is told.
        let copied = faults.losing.copied().and_then(|path| Journal::open_to_read(path).ok());
        let copied = copied.map(|journal| JournalReader::new(journal, self.run.key));
        let signal = by_signal(&work.of_run.stop);
        let halted = |exit, reason| HaltFacts { exit, reason, signal, broken: broken.clone() }.ending();
        // A stop that somebody chose ends a launch that has sent nothing yet as it ends any other.
        let carried = match carried {
            Err(Halted::With(Exit::Interrupted, _)) if work.of_run.stop.chosen().is_some() => Ok(()),
            carried => carried,
        };
        match (carried, copied) {
            (Ok(()), None) => self.conclude(work, faults, &work.of_run.journal, broken).await,
            // The copy is whole: an error after the copy was made concerns the lost file alone.
            (Ok(()) | Err(Halted::Error(_)), Some(copy)) => self.conclude(work, faults, &copy, broken).await,
            (Err(Halted::With(Exit::Integrity, reason)), _) => {
                Ok(halted(Exit::Integrity, refused_lanes(&work.lanes).unwrap_or(reason)))
            }
            (Err(Halted::With(exit, reason)), _) => Ok(halted(exit, reason)),
            (Err(Halted::Refused(_, reason)), _) => Ok(halted(Exit::Refused, reason)),
            (Err(Halted::Error(error)), None) => Err(error),
        }
    }

    /// Returns code and reason of a launch that was let run to its end, drained or not.
    async fn conclude(
        &self,
        work: &Work,
        faults: &Faults,
        journal: &JournalReader,
        broken: Vec<String>,
    ) -> Result<(Exit, Option<String>), CommandError> {
        if self.request.consent.ends_at_the_look() {
            if let Some(refused) = refused_lanes(&work.lanes) {
                return Ok((Exit::Integrity, Some(refused)));
            }
            // Nobody looked at the rows of an account that stopped: nothing can be said of them, and nothing sealed.
            return Ok(stopped_lanes(&work.lanes).map_or((Exit::Done, None), |(exit, why)| (exit, Some(why))));
        }
        let (lanes, stop) = (&work.lanes[..], &work.of_run.stop);
        let path = faults.journal().to_owned();
        let commands =
            journal.read(move |journal, run| NextCommands::from_journal(journal, &journal.run(run)?, &path)).await?;
        let commands = commands.after(self.clock.now());
        let facts = Facts {
            n_rows: u64::from(self.run.n_rows),
            tally: journal.read(Journal::tally).await?,
            signal: by_signal(stop),
            chosen: self.chosen(stop),
            vetoed: stop.has_reason(DrainReason::Vetoed) && self.sent.n() == 0,
            stopped: stopped_lanes(lanes),
            refused: refused_lanes(lanes),
            due: self.due(lanes, journal).await?,
            reached_nobody: self.sent.n() == 0 && are_out_of_reach(lanes),
            broken,
            go_on: match self.clock {
                Clock::Rehearsed { .. } => None,
                Clock::OfMachine => Some(go_on(&commands)),
            },
        };
        Ok(facts.ending())
    }

    /// Words of the first reason to stop that somebody chose.
    fn chosen(&self, stop: &Stop) -> Option<String> {
        let (reason, why) = stop.chosen()?;
        let why = why.unwrap_or_default();
        let is_unsent = matches!(reason, DrainReason::NotBegun | DrainReason::Operator) && self.sent.n() == 0;
        Some(if is_unsent { format!("{why}; nothing was sent by this launch") } else { why })
    }

    /// Rows that are due in the accounts that still go on. Empty if this launch was not to send anything: they are then for another
    /// launch.
    async fn due(&self, lanes: &Lanes, journal: &JournalReader) -> Result<Vec<Due>, JournalError> {
        let mut due = Vec::new();
        if self.request.consent != Consent::NothingIsSent {
            for id in lanes.iter().filter(|lane| lane.goes_on()).map(|lane| lane.id) {
                due.push(journal.read(move |journal, run| journal.due_in(run, id)).await?);
            }
        }
        Ok(due)
    }

    /// Error of a launch. If the journal was lost, that is told as its cause; with a saved journal the launch has an end by that.
    fn failed_in(&self, lost: Option<&Lost>, error: CommandError) -> Result<Carried, CommandError> {
        let Some(lost) = lost else { return Err(error) };
        match &lost.saved {
            Some(saved) => {
                // If the saved journal cannot be read, only the loss is told.
                let left = self.left_in(saved).unwrap_or_default();
                let reason = [lost.told(self.sent.n())].into_iter().chain(left).collect::<Vec<_>>().join("; ");
                Ok(Carried { exit: Exit::Internal, reason: Some(reason), journal: saved.clone() })
            }
            None => Err(lost.error(self.sent.n())),
        }
    }

    /// Says of a launch that gave its log up who wanted that, and what is left; returns any other error.
    fn given_up(&self, error: CommandError, stop: &Stop, faults: &Faults) -> CommandError {
        let CommandError::Journal(JournalError::Log(LogError::Away)) = error else { return error };
        let exit = by_signal(stop).unwrap_or(Exit::Halted);
        let left = Journal::open_to_read(faults.journal()).and_then(|journal| {
            let run = journal.run(self.run.key)?;
            let resume = NextCommands::from_journal(&journal, &run, faults.journal())?.resume();
            Ok((journal.tally(self.run.key)?.open, resume))
        });
        match left {
            Ok((n_open, resume)) => CommandError::LogAway(LogAway { exit, run: self.run.id.clone(), n_open, resume }),
            // The journal is what fails.
            Err(error) => error.into(),
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

/// Runs the hooks that are due at the end. What cannot be recorded of them is lost with the journal, which is told anyway.
async fn end_of_hooks(work: &Work, exit: Exit, reason: Option<&str>) {
    _ = work.of_run.driver.end_launch(exit, reason).await;
}

/// Tells whether requests were made, in any account, and none of them had an answer.
fn are_out_of_reach(lanes: &Lanes) -> bool {
    let mut tried = lanes.iter().filter_map(|lane| lane.is_out_of_reach()).peekable();
    tried.peek().is_some() && tried.all(|is_out_of_reach| is_out_of_reach)
}

/// Worst exit of lanes that stopped, and their causes in words; `None` if none stopped.
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

/// Lanes of which the journal refused an event, in words; `None` if there are none.
fn refused_lanes(lanes: &Lanes) -> Option<String> {
    let refused: Vec<&str> = lanes.iter().filter(|lane| lane.is_refused()).map(|lane| lane.name.as_str()).collect();
    let named = || refused.iter().map(|name| format!("account `{name}` stopped: {}", NotRecorded::ToLane));
    (!refused.is_empty()).then(|| named().collect::<Vec<_>>().join("; "))
}

fn go_on(commands: &NextCommands) -> GoOn {
    GoOn { resume: commands.resume(), reconcile: commands.reconcile() }
}

/// Exit of the worst signal that came; `None` if none did.
fn by_signal(stop: &Stop) -> Option<Exit> {
    let came = EndSignal::ALL.into_iter().filter(|signal| stop.has_reason(signal.reason()));
    came.map(EndSignal::exit).reduce(Exit::worst)
}

/// Records the end and waits for the last commit. Returns the error of the first write that the journal refused.
async fn finish(recorder: &Recorder, writing: Writing, end: RunEvent) -> Result<(), CommandError> {
    // Closing the journal returns the error, if this one failed.
    _ = recorder.record_of_run(vec![end]).await;
    Ok(recorder.close(writing).await?)
}
