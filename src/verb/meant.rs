//! Choice of the run and the row that a verb is about, when a person names them by a part, or not at all.
//!
//! In an emergency nobody looks up an id: without a name, the run that goes on is chosen. A run goes on if its lock is held, because
//! a lock ends with its process, and a killed launch leaves no end in the journal.

use std::ffi::OsStr;
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
use crate::wording::amounts::count;
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
    let unfinished = match otherwise {
        Otherwise::Unfinished => all().find(|(_, run)| run.is_open).map(|(i, _)| Choice::Unfinished(i)),
        Otherwise::LaunchedLast => None,
    };
    unfinished.unwrap_or(if candidates.is_empty() { Choice::Nothing } else { Choice::LaunchedLast(0) })
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

/// Returns the runs that a monitoring system asks about: the one that is named, else all that go on, of the named plan or of any, else
/// the one launched last. At least one.
pub(crate) fn runs_to_check(
    context: &Context,
    journal: &Journal,
    named: Option<&str>,
) -> Result<Vec<RunRecord>, CommandError> {
    let of_plan = match named.map(|named| by_id_or_key(context, journal, named)).transpose()? {
        Some(Some(run)) => return Ok(vec![run]),
        Some(None) => named,
        None => None,
    };
    let runs = journal.at_one_instant(|| journal.launched())?.into_iter().map(|launched| launched.run);
    let of_plan_alone = runs.filter(|run| of_plan.is_none_or(|plan| is_of_plan(run, plan)));
    let (going, others): (Vec<RunRecord>, Vec<RunRecord>) = of_plan_alone.partition(|run| goes_on(journal.path(), run));
    let runs = if going.is_empty() { others.into_iter().take(1).collect() } else { going };
    if runs.is_empty() { Err(no_run(journal, of_plan)?.into()) } else { Ok(runs) }
}

fn chosen(
    context: &Context,
    journal: &Journal,
    named: Option<&str>,
    otherwise: Otherwise,
    hold: impl FnOnce(Vec<&RunRecord>) -> Result<(), CommandError>,
) -> Result<RunRecord, CommandError> {
    let of_plan = match named.map(|named| by_id_or_key(context, journal, named)).transpose()? {
        Some(Some(run)) => return Ok(run),
        Some(None) => named,
        None => None,
    };
    let mut runs = journal.at_one_instant(|| journal.launched())?;
    let is_candidate = |launched: &Launched| of_plan.is_none_or(|plan| is_of_plan(&launched.run, plan));
    let (places, candidates): (Vec<usize>, Vec<Candidate>) = runs
        .iter()
        .enumerate()
        .filter(|(_, launched)| is_candidate(launched))
        .map(|(place, launched)| (place, candidate(journal.path(), launched)))
        .unzip();
    let choice = choose(&candidates, otherwise);
    let at = match &choice {
        Choice::Nothing => return Err(no_run(journal, of_plan)?.into()),
        Choice::Several(at) => {
            let several = at.iter().map(|at| &runs[places[*at]].run);
            let told = several.map(|run| format!("{} ({})", plain(&run.id), plain(&run.plan_path)));
            return Err(CommandError::SeveralRuns { runs: told.collect() });
        }
        Choice::GoesOn(at) | Choice::LaunchedLast(at) | Choice::Unfinished(at) => *at,
    };
    match choice {
        Choice::LaunchedLast(_) | Choice::Unfinished(_) => hold(passed_over(&runs, places[at]))?,
        // Decided by a lock and by nothing that is stored, so that no check is needed.
        Choice::Nothing | Choice::Several(_) | Choice::GoesOn(_) => (),
    }
    let refused = told_if_refused(places[at..].iter().map(|place| &runs[*place]));
    let run = runs.swap_remove(places[at]).run;
    context.console.say(&format!("run {}: {}{refused}", plain(&run.id), why(&choice, of_plan)));
    Ok(run)
}

/// Returns the run with this id or key, or else the only one whose id begins so. What is given whole goes before a beginning: keys
/// and ids often begin with a date. `None` if the text can only be the name of a plan.
fn by_id_or_key(context: &Context, journal: &Journal, named: &str) -> Result<Option<RunRecord>, CommandError> {
    let found = journal.find_run(named);
    if found.as_ref().is_ok_and(|run| run.id == named) {
        return Ok(found.map(Some)?);
    }
    if let Some(run) = journal.run_by_key(named)? {
        context.console.say(&format!("run {}: the one with the key `{}`", plain(&run.id), plain(named)));
        return Ok(Some(run));
    }
    match found {
        Ok(run) => {
            context.console.say(&format!("run {}: the one that begins with `{}`", plain(&run.id), plain(named)));
            Ok(Some(run))
        }
        Err(JournalError::UnknownRun(_)) if !named.is_empty() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Tells whether this is the path of the run's plan, the name of its file, or the plan's own name.
fn is_of_plan(run: &RunRecord, name: &str) -> bool {
    is_path_or_file(&run.plan_path, name) || run.plan_name.as_deref() == Some(name)
}

fn is_path_or_file(path: &str, name: &str) -> bool {
    path == name || Path::new(path).file_name() == Some(OsStr::new(name))
}

/// Returns the error about a run that is not there, of this plan or of any: those that there were may be in archives.
fn no_run(journal: &Journal, of_plan: Option<&str>) -> Result<JournalError, JournalError> {
    let last =
        journal.last_pruned(|run| of_plan.is_none_or(|plan| is_path_or_file(&run.plan.path, plan)))?.map(Box::new);
    Ok(match (of_plan, last) {
        (None, None) => JournalError::NoRuns,
        (None, Some(last)) => JournalError::AllPruned(last),
        (Some(plan), None) => JournalError::UnknownRun(plan.to_owned()),
        (Some(_), Some(last)) => JournalError::Pruned(last),
    })
}

/// Says by which rule the run was chosen, of the runs of a plan or of all.
fn why(choice: &Choice, of_plan: Option<&str>) -> String {
    let Some(plan) = of_plan.map(plain) else {
        let why = match choice {
            Choice::GoesOn(_) => "it is going on",
            Choice::LaunchedLast(_) => "the one launched last; no run is going on",
            Choice::Unfinished(_) => "the unfinished one launched last; no run is going on",
            Choice::Nothing | Choice::Several(_) => "",
        };
        return why.to_owned();
    };
    match choice {
        Choice::GoesOn(_) => format!("the run of `{plan}` that is going on"),
        Choice::LaunchedLast(_) => format!("the run of `{plan}` that was launched last"),
        Choice::Unfinished(_) => format!("the unfinished run of `{plan}` that was launched last"),
        Choice::Nothing | Choice::Several(_) => String::new(),
    }
}

/// Says that the first of these runs was refused before it began, and names the last one before it that was not: it may be the one
/// that somebody has in mind who names none.
fn told_if_refused<'a>(mut launched: impl Iterator<Item = &'a Launched>) -> String {
    match (launched.next(), launched.find(|earlier| !earlier.is_refused)) {
        (Some(Launched { is_refused: true, .. }), Some(earlier)) => {
            format!("; it was refused before it began, and the run before it is {}", plain(&earlier.run.id))
        }
        (Some(Launched { is_refused: true, .. }), None) => "; it was refused before it began".to_owned(),
        (Some(Launched { is_refused: false, .. }) | None, _) => String::new(),
    }
}

/// Returns the runs that were launched after the chosen one, and those made after it, whatever launch time is stored for them.
fn passed_over(runs: &[Launched], at: usize) -> Vec<&RunRecord> {
    let meant = runs[at].run.key.number();
    let is_newer = |(place, launched): &(usize, &Launched)| *place < at || launched.run.key.number() > meant;
    runs.iter().enumerate().filter(is_newer).map(|(_, launched)| &launched.run).collect()
}

fn candidate(journal: &Path, launched: &Launched) -> Candidate {
    let Launched { run, is_open, is_refused: _ } = launched;
    Candidate { goes_on: goes_on(journal, run), is_open: *is_open }
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

/// Returns a row of this run as [`row`] does, or else of the run launched last that has such a row, and says which run that is. Runs in
/// archives are not searched, which is said where it could matter.
pub(crate) fn row_of_any(
    context: &Context,
    journal: &Journal,
    first: RunRecord,
    text: &str,
) -> Result<(RunRecord, Row, Standing), CommandError> {
    let missing = match row(context, journal, &first, text) {
        Err(missing @ CommandError::NoSuchRow { .. }) => missing,
        found => return found.map(|(row, standing)| (first, row, standing)),
    };
    for Launched { run, .. } in journal.launched()? {
        if run.key != first.key && !matches!(journal.meant(run.key, text)?, Meant::Nothing { .. }) {
            context.console.say(&format!("run {}: the one launched last that has such a row", plain(&run.id)));
            let (row, standing) = row(context, journal, &run, text)?;
            return Ok((run, row, standing));
        }
    }
    let n_pruned = journal.n_tombstones()?;
    if n_pruned > 0 {
        let were = if n_pruned == 1 { "was" } else { "were" };
        context.console.say(&format!("{} in archives {were} not searched", count(n_pruned, "run")));
    }
    Err(missing)
}

/// Returns the row's id, and its name where it has one.
fn told(Named { source_id, name }: &Named) -> String {
    let name = name.as_deref().map_or_else(String::new, |name| format!(" ({})", plain(name)));
    format!("{}{name}", plain(source_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDED: Candidate = Candidate { goes_on: false, is_open: false };
    const OPEN: Candidate = Candidate { is_open: true, ..ENDED };
    const GOING: Candidate = Candidate { goes_on: true, ..OPEN };
    /// A run whose last row has its verdict, and whose launch is about to end.
    const ENDING: Candidate = Candidate { goes_on: true, ..ENDED };

    #[test]
    fn what_goes_on_is_meant_and_else_what_was_launched_last() {
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
        ];
        for (runs, last, unfinished) in cases {
            assert_eq!(choose(runs, Otherwise::LaunchedLast), *last, "{runs:?}");
            assert_eq!(choose(runs, Otherwise::Unfinished), *unfinished, "{runs:?}");
        }
    }
}
