//! Choice of the run and the row that a verb is about, when a person names them by a part, or not at all.
//!
//! In an emergency nobody looks up an id: without a name, the run that goes on is chosen. A run goes on if its lock is held, because
//! a lock ends with its process, and a killed launch leaves no end in the journal.

use std::path::Path;

use super::context::Context;
use super::error::CommandError;
use crate::audit::beforehand;
use crate::journal::read::launched::Launched;
use crate::journal::read::meant::{Meant, Named};
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::ledger::standing::Standing;
use crate::lock;
use crate::model::Row;
use crate::wording::plain::plain;

/// Run that a verb takes when none is named and none goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Otherwise {
    LaunchedLast,
    /// The one launched last that has something left to do.
    Unfinished,
}

/// Facts about a run on which the choice depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    goes_on: bool,
    is_open: bool,
    /// True if its launches were refused before anything began: another run is preferred.
    is_refused: bool,
}

/// Result of the choice, by index among the candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice {
    /// The journal holds no run.
    Nothing,
    GoesOn(usize),
    /// Several runs go on.
    Several(Vec<usize>),
    LaunchedLast(usize),
    Unfinished(usize),
}

/// Chooses among runs, of which the one launched last comes first.
fn choose(candidates: &[Candidate], otherwise: Otherwise) -> Choice {
    let all = || candidates.iter().enumerate();
    let going: Vec<usize> = all().filter(|(_, run)| run.goes_on).map(|(i, _)| i).collect();
    match going[..] {
        [] => (),
        [one] => return Choice::GoesOn(one),
        [_, _, ..] => return Choice::Several(going),
    }
    let first = |fits: fn(&Candidate) -> bool| all().find(|(_, run)| fits(run)).map(|(i, _)| i);
    let unfinished = match otherwise {
        Otherwise::Unfinished => first(|run| run.is_open && !run.is_refused).or_else(|| first(|run| run.is_open)),
        Otherwise::LaunchedLast => None,
    };
    let last = || first(|run| !run.is_refused).or_else(|| first(|_| true));
    unfinished.map(Choice::Unfinished).or_else(|| last().map(Choice::LaunchedLast)).unwrap_or(Choice::Nothing)
}

/// Returns the run that is named, or that is meant without a name, and says which it is and why.
///
/// A run may end, or another begin, right after this: a verb that writes takes the run's lock, or has its command taken by
/// the launch that holds it.
pub(crate) fn run(
    context: &Context,
    journal: &Journal,
    named: Option<&str>,
    otherwise: Otherwise,
) -> Result<RunRecord, CommandError> {
    chosen(context, journal, named, otherwise, |_| Ok(()))
}

/// Returns the run for a verb that writes or sends. The runs that are passed over for it are first checked against their
/// events: an edit of what is stored about them could make another run the one that is meant.
pub(crate) fn run_to_change(
    context: &Context,
    journal: &Journal,
    named: Option<&str>,
    otherwise: Otherwise,
) -> Result<RunRecord, CommandError> {
    chosen(context, journal, named, otherwise, |passed_over| Ok(beforehand::passed_over(journal, passed_over)?))
}

/// Returns the runs that a monitoring system asks about: the one that is named, else all that go on, else the one launched last,
/// refused or not. At least one.
pub(crate) fn runs_to_check(
    context: &Context,
    journal: &Journal,
    named: Option<&str>,
) -> Result<Vec<RunRecord>, CommandError> {
    if named.is_some() {
        return Ok(vec![run(context, journal, named, Otherwise::LaunchedLast)?]);
    }
    let runs = journal.at_one_instant(|| journal.launched())?;
    let (going, others): (Vec<Launched>, Vec<Launched>) =
        runs.into_iter().partition(|launched| goes_on(journal.path(), &launched.run));
    let last = || others.into_iter().take(1).collect();
    let runs: Vec<Launched> = if going.is_empty() { last() } else { going };
    if runs.is_empty() {
        return Err(JournalError::NoRuns.into());
    }
    Ok(runs.into_iter().map(|launched| launched.run).collect())
}

fn chosen(
    context: &Context,
    journal: &Journal,
    named: Option<&str>,
    otherwise: Otherwise,
    hold: impl FnOnce(Vec<&RunRecord>) -> Result<(), CommandError>,
) -> Result<RunRecord, CommandError> {
    if let Some(named) = named {
        let run = journal.find_run(named)?;
        if run.id != named {
            context.console.say(&format!("run {}: the one that begins with `{}`", plain(&run.id), plain(named)));
        }
        return Ok(run);
    }
    let mut runs = journal.at_one_instant(|| journal.launched())?;
    let candidates: Vec<Candidate> = runs.iter().map(|launched| candidate(journal.path(), launched)).collect();
    let choice = choose(&candidates, otherwise);
    let (at, why) = match choice {
        Choice::Nothing => return Err(JournalError::NoRuns.into()),
        Choice::Several(at) => {
            let told = |i: &usize| format!("{} ({})", plain(&runs[*i].run.id), plain(&runs[*i].run.plan_path));
            return Err(CommandError::SeveralRuns { runs: at.iter().map(told).collect() });
        }
        // Decided by a lock and by nothing that is stored, so that no check is needed.
        Choice::GoesOn(at) => (at, "it is going on"),
        Choice::LaunchedLast(at) => (at, "the one launched last; no run is going on"),
        Choice::Unfinished(at) => (at, "the unfinished one launched last; no run is going on"),
    };
    match choice {
        Choice::LaunchedLast(at) | Choice::Unfinished(at) => hold(passed_over(&runs, at))?,
        Choice::Nothing | Choice::Several(_) | Choice::GoesOn(_) => (),
    }
    let refused = candidates[..at].iter().zip(&runs).find(|(candidate, _)| candidate.is_refused);
    let refused = refused.map_or_else(String::new, |(_, refused)| {
        format!("; run {} was refused before it began, and is meant only by its name", plain(&refused.run.id))
    });
    let run = runs.swap_remove(at).run;
    context.console.say(&format!("run {}: {why}{refused}", plain(&run.id)));
    Ok(run)
}

/// Returns the runs that were launched after the chosen one, and those made after it, whatever launch time is stored for them.
fn passed_over(runs: &[Launched], at: usize) -> Vec<&RunRecord> {
    let meant = runs[at].run.key.number();
    let is_newer = |(place, launched): &(usize, &Launched)| *place < at || launched.run.key.number() > meant;
    runs.iter().enumerate().filter(is_newer).map(|(_, launched)| &launched.run).collect()
}

fn candidate(journal: &Path, launched: &Launched) -> Candidate {
    let Launched { run, is_open, is_refused } = launched;
    Candidate { goes_on: goes_on(journal, run), is_open: *is_open, is_refused: *is_refused }
}

/// Tells whether a launch holds the run. Only if the lock cannot be tested, the journal decides.
pub(crate) fn goes_on(journal: &Path, run: &RunRecord) -> bool {
    lock::is_held(&lock::of_run(journal, &run.id)).unwrap_or(run.running)
}

/// Returns the row that an id, the beginning of one, or a name stands for, and says which it is if it is spelled otherwise.
pub(crate) fn row(
    context: &Context,
    journal: &Journal,
    run: &RunRecord,
    text: &str,
) -> Result<(Row, Standing), CommandError> {
    match journal.meant(run.key, text)? {
        Meant::One(found) => {
            let (row, _) = &*found;
            if row.source_id.as_str() != text {
                let named = Named { source_id: row.source_id.to_string(), name: row.name.clone() };
                context.console.say(&format!("`{}` is {}", plain(text), told(&named)));
            }
            Ok(*found)
        }
        Meant::Several(candidates) => {
            let candidates = candidates.iter().map(told).collect();
            Err(CommandError::AmbiguousRow { text: plain(text), candidates })
        }
        Meant::Nothing { near } => Err(CommandError::NoSuchRow { run: plain(&run.id), text: plain(text), near }),
    }
}

/// Returns the row's id, and its name where it has one.
fn told(Named { source_id, name }: &Named) -> String {
    let name = name.as_deref().map_or_else(String::new, |name| format!(" ({})", plain(name)));
    format!("{}{name}", plain(source_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDED: Candidate = Candidate { goes_on: false, is_open: false, is_refused: false };
    const OPEN: Candidate = Candidate { is_open: true, ..ENDED };
    const REFUSED: Candidate = Candidate { is_refused: true, ..OPEN };
    const GOING: Candidate = Candidate { goes_on: true, ..OPEN };
    /// A run whose last row has its verdict, and whose launch is about to end.
    const ENDING: Candidate = Candidate { goes_on: true, ..ENDED };

    #[test]
    fn what_goes_on_is_meant_then_what_was_launched_last_and_what_was_refused_only_when_there_is_nothing_else() {
        use Choice::{GoesOn, LaunchedLast, Nothing, Several, Unfinished};
        // The runs, the one launched last first; the choice for most verbs; and that for verbs that go on with a run.
        let cases: &[(&[Candidate], Choice, Choice)] = &[
            (&[], Nothing, Nothing),
            (&[ENDED], LaunchedLast(0), LaunchedLast(0)),
            (&[OPEN, ENDED], LaunchedLast(0), Unfinished(0)),
            (&[ENDED, OPEN], LaunchedLast(0), Unfinished(1)),
            (&[ENDED, OPEN, OPEN], LaunchedLast(0), Unfinished(1)),
            (&[ENDED, GOING, OPEN], GoesOn(1), GoesOn(1)),
            (&[OPEN, ENDED, ENDING], GoesOn(2), GoesOn(2)),
            (&[GOING, ENDED, ENDING], Several(vec![0, 2]), Several(vec![0, 2])),
            (&[REFUSED], LaunchedLast(0), Unfinished(0)),
            (&[REFUSED, ENDED], LaunchedLast(1), Unfinished(0)),
            (&[REFUSED, REFUSED, ENDED, OPEN], LaunchedLast(2), Unfinished(3)),
            (&[REFUSED, GOING], GoesOn(1), GoesOn(1)),
        ];
        for (runs, last, unfinished) in cases {
            assert_eq!(choose(runs, Otherwise::LaunchedLast), *last, "{runs:?}");
            assert_eq!(choose(runs, Otherwise::Unfinished), *unfinished, "{runs:?}");
        }
    }
}
