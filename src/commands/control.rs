//! `control` steers a run that goes on.

use std::time::Instant;

use crate::control::{By, CONTROL, Command};
use crate::exit::Exit;
use crate::journal::Journal;
use crate::journal::read::runs::RunRecord;
use crate::launch::holding::paper_of;
use crate::ledger::steered::Steered;
use crate::model::words::nearest;
use crate::report::next::NextCommands;
use crate::settings::key::ENGINE;
use crate::values;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::verb::meant;

mod skipping;
mod way;

use way::{Addressed, addressed};

const COMMANDS: [&str; 8] = ["pause", "continue", "rate", "concurrency", "skip", "release", "drain", "abort"];

pub(super) fn control(context: &Context, words: &[String], reason: Option<&str>) -> Result<Exit, CommandError> {
    let (run, words) = match words {
        [run, rest @ ..] if !rest.is_empty() && !COMMANDS.contains(&run.as_str()) => (Some(run.as_str()), rest),
        _ => (None, words),
    };
    // A first word that is no command is taken for a run, unless it is near to a command and no command follows.
    let command = match run.and_then(meant_for) {
        Some(command) if !COMMANDS.contains(&words[0].as_str()) => {
            Err(no_command(run.unwrap_or_default(), Some(command)))
        }
        Some(_) | None => command_of(words),
    };
    let command = command.map_err(CommandError::Command)?;
    let mut addressed = addressed(context, run)?;
    let runs = addressed.may_go_on(context)?;
    let Addressed { journal, run, .. } = &addressed;
    let command = understood(context, journal, run, command, runs)?;
    let waits_for_launch = matches!(command, Command::Skip { .. } | Command::Release { .. });
    if !runs && !waits_for_launch && !lifts_a_pause(journal, run, &command)? {
        let commands = NextCommands::from_journal(journal, run, &context.settings.journal)?;
        // From here its servers may be reached by other addresses than it was begun with.
        let engine = context.settings.by_hand.get(ENGINE).map(|servers| (ENGINE, servers.as_str()));
        let resume = commands.resume_with(engine.as_slice());
        return Err(CommandError::NotRunning { run: run.id.clone(), resume });
    }
    let by = By::me(CONTROL, reason.map(str::to_owned));
    let command = as_it_waits(journal, run, command)?;
    let id = run.id.clone();
    let given = Instant::now();
    if !runs {
        addressed.leave(&command, &by)?;
        context.console.say(&format!("{command}: run {id} does not go on now; its next launch begins with this"));
        return Ok(Exit::Done);
    }
    addressed.give(context, &command, &by)?;
    if let Command::Skip { source_id } = &command {
        skipping::must_be_skipped(&addressed.journal, &addressed.run, source_id)?;
    }
    context.console.say(&format!("{command}: taken by run {id} after {} ms", given.elapsed().as_millis()));
    Ok(Exit::Done)
}

/// Completes a command with the id of the row that is meant, and checks that it can have an effect in this run.
fn understood(
    context: &Context,
    journal: &Journal,
    run: &RunRecord,
    command: Command,
    runs: bool,
) -> Result<Command, CommandError> {
    match command {
        Command::Skip { source_id } => {
            let (row, standing) = meant::row(context, journal, run, &source_id)?;
            skipping::must_be_skippable(journal, run, &row, &standing, runs)?;
            Ok(Command::Skip { source_id: row.source_id.to_string() })
        }
        Command::Release { wave, part } => {
            must_wait_for_release(journal, run, &wave)?;
            Ok(Command::Release { wave, part })
        }
        Command::Pause
        | Command::Continue
        | Command::Rate { .. }
        | Command::Concurrency { .. }
        | Command::Unskip { .. }
        | Command::Drain
        | Command::Abort => Ok(command),
    }
}

fn command_of(words: &[String]) -> Result<Command, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["pause"] => Ok(Command::Pause),
        ["continue"] => Ok(Command::Continue),
        ["rate", rate] => Ok(Command::Rate { per_second: values::rate(rate)?.per_second() }),
        ["concurrency", n] => Ok(Command::Concurrency { n: values::positive(n)? }),
        ["skip", id] => Ok(Command::Skip { source_id: id.to_owned() }),
        ["release", wave] => Ok(Command::Release { wave: wave.to_owned(), part: None }),
        ["drain"] => Ok(Command::Drain),
        ["abort"] => Ok(Command::Abort),
        [] => Err(format!("no command is given: {}", COMMANDS.join(", "))),
        ["rate"] => Err("`rate` needs a figure: rate 5".to_owned()),
        ["concurrency"] => Err("`concurrency` needs a number: concurrency 4".to_owned()),
        ["skip"] => Err("`skip` needs the id of a row: skip ID".to_owned()),
        ["release"] => Err("`release` needs the name of a wave: release WAVE".to_owned()),
        [word, ..] if COMMANDS.contains(&word) => Err(format!("`{word}` has too many words behind it")),
        [word, ..] => Err(no_command(word, meant_for(word))),
    }
}

/// Returns the command that begins with this word, or that is spelled like it.
fn meant_for(word: &str) -> Option<&'static str> {
    let begun = COMMANDS.into_iter().find(|command| command.starts_with(word));
    begun.or_else(|| nearest(word, COMMANDS))
}

fn no_command(word: &str, meant: Option<&str>) -> String {
    let meant = meant.map_or(String::new(), |meant| format!(" (did you mean `{meant}`?)"));
    format!("`{word}` is not a command{meant}: {}", COMMANDS.join(", "))
}

/// Checks that the wave needs a release, and has not got it yet.
fn must_wait_for_release(journal: &Journal, run: &RunRecord, wave: &str) -> Result<(), CommandError> {
    let terms = paper_of(run)?.terms;
    let Some(of_wave) = terms.wave(Some(wave)) else {
        let known = terms.waves.iter().map(|wave| wave.name.clone()).collect();
        return Err(CommandError::UnknownWave { name: wave.to_owned(), known });
    };
    if !of_wave.needs_approval() {
        return Err(CommandError::Command(format!("the wave `{wave}` needs no approval")));
    }
    let Steered { waits, released, .. } = journal.steered(run.key)?;
    let waits = waits.and_then(|waits| waits.for_release_of(wave));
    if waits.is_none() && released.contains(&(wave.to_owned(), Some(of_wave.first_approval()))) {
        let why = format!("wave `{wave}` was released already; what is behind its canary is, once it waits");
        return Err(CommandError::Command(why));
    }
    Ok(())
}

/// Completes a release with the part that waits for it now, or waited when the launch ended: the next launch may take the
/// command before it waits.
fn as_it_waits(journal: &Journal, run: &RunRecord, command: Command) -> Result<Command, CommandError> {
    let Command::Release { wave, part: None } = command else { return Ok(command) };
    let waits = journal.steered(run.key)?.waits;
    let part = waits.and_then(|waits| waits.for_release_of(&wave));
    Ok(Command::Release { wave, part })
}

/// Tells whether the command lifts a pause, which outlives its launch and so can be lifted before the next one.
fn lifts_a_pause(journal: &Journal, run: &RunRecord, command: &Command) -> Result<bool, CommandError> {
    Ok(*command == Command::Continue && !journal.steered(run.key)?.paused.is_empty())
}
