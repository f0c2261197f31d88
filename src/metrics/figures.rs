//! Figures of a run, or of a launch that had none: all that metrics are made from.

use std::time::Duration;

use jiff::Timestamp;

use super::pace::{TargetPace, paces_told};
use crate::event::verdict::Verdict;
use crate::exit::Exit;
use crate::journal::read::outcomes::OutcomeCounts;
use crate::journal::read::sums::{Sums, Tally};
use crate::journal::tombstone::Tombstone;
use crate::journal::{Journal, JournalError, RunKey};
use crate::ledger::waiting::{WaitsFor, waits_for};
use crate::report::cut_off;
use crate::report::holder::Holder;
use crate::report::summary::lanes_of;
use crate::report::waiting::throttled_for;
use crate::wording::plain::{plain, shortened};

/// Longest label value made from a text of others, in terminal columns.
const LONGEST_LABEL: usize = 100;

/// Figures of a run, or of a launch that ended before it had one.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// Name of the plan; `None` for a launch that did not get as far as to know it.
    pub(crate) plan: Option<String>,
    /// Id of the run; `None` for a launch that had none.
    pub(crate) run: Option<String>,
    /// Start of the run, or of the launch without one.
    pub(crate) started_at: Timestamp,
    /// End of the last launch; `None` while one goes on, and after one that was cut off.
    pub(crate) ended: Option<LaunchEnd>,
    /// Time that all launches took; `None` where nobody recorded it.
    pub(crate) elapsed: Option<Duration>,
    pub(crate) of_run: Option<RunFigures>,
    /// End of the last launch of the plan that ended well.
    pub(crate) last_success: Option<Timestamp>,
}

/// End of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaunchEnd {
    pub(crate) at: Timestamp,
    pub(crate) exit_code: u8,
}

/// Figures that only a run has.
#[derive(Clone, Debug)]
pub(crate) struct RunFigures {
    pub(crate) tally: Tally,
    /// Absent of a run of which the journal has no event any more.
    pub(crate) outcomes: Option<OutcomeCounts>,
    pub(crate) waits_for: Vec<WaitsFor>,
    pub(crate) paces: Vec<TargetPace>,
}

impl Figures {
    /// Figures of a launch that ended before it had a run.
    pub(crate) fn without_run(plan: Option<String>, began: Timestamp, now: Timestamp, exit: Exit) -> Self {
        Self {
            plan,
            run: None,
            started_at: began,
            ended: Some(LaunchEnd { at: now, exit_code: exit.code() }),
            elapsed: Some(between(began, now)),
            of_run: None,
            last_success: None,
        }
    }

    /// Figures of a run of this plan that was taken out of the journal.
    pub(crate) fn of_pruned_run(plan: Option<String>, Tombstone { run, .. }: &Tombstone) -> Self {
        let verdicts = Verdict::ALL.map(|verdict| (verdict, run.verdicts.get(verdict.name()).copied().unwrap_or(0)));
        let settled: u64 = verdicts.iter().map(|(_, n)| n).sum();
        let pending = u64::from(run.plan.rows).saturating_sub(settled);
        let tally = Tally { verdicts: verdicts.into(), pending, ..Tally::default() };
        Self {
            plan,
            run: Some(run.id.clone()),
            started_at: run.made_at,
            ended: run.ended_at.zip(run.exit.as_ref()).map(|(at, exit)| LaunchEnd { at, exit_code: exit.code }),
            elapsed: None,
            of_run: Some(RunFigures { tally, outcomes: None, waits_for: Vec::new(), paces: Vec::new() }),
            last_success: None,
        }
    }

    /// Reads the figures of a run from one consistent read of the journal. Events that `outcomes` counted before are not read again.
    pub(crate) fn from_journal(
        journal: &Journal,
        key: RunKey,
        outcomes: &mut OutcomeCounts,
        now: Timestamp,
    ) -> Result<Self, JournalError> {
        journal.at_one_instant(|| {
            let Sums { tally, lanes, .. } = journal.sums(key)?;
            let run = cut_off::as_told(journal, &journal.run(key)?, &tally)?;
            journal.count_outcomes(key, outcomes)?;
            let lanes = lanes_of(journal, key, &lanes, now)?;
            let steered = journal.steered(key)?;
            let began = journal.last_launch(key)?.map(|event| event.at);
            let holder = run.running.then(|| Holder::look_up(journal.path(), &run));
            let elapsed = match holder {
                // Time goes on also while nothing happens: a run that waits is told from one that was cut off.
                Some(Holder::Alive) => {
                    Duration::from_millis(run.elapsed_ms) + began.map_or(Duration::ZERO, |began| between(began, now))
                }
                Some(Holder::Gone | Holder::Unknown) | None => {
                    Duration::from_millis(cut_off::elapsed_ms(journal, &run)?)
                }
            };
            let waits_for = match holder {
                Some(Holder::Alive | Holder::Unknown) => {
                    waits_for(&steered.paused, steered.waits.as_ref(), throttled_for(&lanes))
                }
                Some(Holder::Gone) | None => Vec::new(),
            };
            let paces = paces_told(&run, &lanes, &steered, began);
            Ok(Self {
                plan: Some(plan_name(run.plan_name.as_deref(), &run.plan_path)),
                run: Some(run.id),
                started_at: run.started_at.unwrap_or(run.created_at),
                ended: run.ended_at.zip(run.exit_code).map(|(at, exit_code)| LaunchEnd { at, exit_code }),
                elapsed: Some(elapsed),
                of_run: Some(RunFigures { tally, outcomes: Some(outcomes.clone()), waits_for, paces }),
                last_success: None,
            })
        })
    }
}

/// Name of a plan as a label has it: the one that it has for itself, else that of its file without folders.
pub(crate) fn plan_name(own: Option<&str>, path: &str) -> String {
    let own = own.map(str::trim).filter(|own| !own.is_empty());
    let name = own.unwrap_or_else(|| path.rsplit('/').next().unwrap_or(path));
    label(name)
}

/// Text of others as the value of a label: on one line, visible, and of bounded length.
pub(super) fn label(text: &str) -> String {
    shortened(&plain(text), LONGEST_LABEL)
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    // A clock that was set back makes no negative time.
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_called_as_it_calls_itself_or_as_its_file_is() {
        for (own, path, name) in [
            (Some("north"), "plans/a.toml", "north"),
            (Some(" "), "plans/a.toml", "a.toml"),
            (None, "/srv/plans/a b.csv", "a b.csv"),
            (None, "<stdin>", "<stdin>"),
            (Some("a\n\u{202e}b"), "x", "a\\n\\u{202e}b"),
        ] {
            assert_eq!(plan_name(own, path), name);
        }
        assert_eq!(plan_name(Some(&"n".repeat(1000)), "x").chars().count(), LONGEST_LABEL);
    }
}
