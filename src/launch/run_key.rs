//! Run that a run key stands for, and what the next launch with the key does.
//!
//! | the run with the key | the next launch with it |
//! |---|---|
//! | is not there | makes it |
//! | has another plan, target or seal | is a usage error (2) |
//! | is held by another launch | fails, is skipped or waits, as `--if-locked` says |
//! | was made and not launched, or was cut off | goes on with it |
//! | has rows without a verdict, whatever it ended with (4, 5, 8, 130 …) | goes on with it |
//! | has a verdict for every row | sends nothing, prints its summary, and ends with its code |
//! | was taken out of the journal | sends nothing, names its archive, and ends with its code |

use crate::exit::Exit;
use crate::journal::new_run::{NewLane, Places};
use crate::journal::read::runs::RunRecord;
use crate::journal::tombstone::Tombstone;
use crate::journal::{Journal, JournalError};
use crate::lock;
use crate::plan::checked::Checked;
use crate::verb::error::CommandError;
use crate::wording::plain::plain;

/// Consequence for the next launch with the key of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextLaunch {
    GoesOn,
    /// The run has ended so.
    HasEnded(Exit),
}

/// Facts about a run on which the next launch with its key depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KeyedRun {
    /// Another launch holds its lock.
    is_held: bool,
    /// Its last launch has no end in the journal.
    is_running: bool,
    n_unsettled: u64,
    /// Exit of its last launch, if one has ended.
    exit: Option<Exit>,
}

impl KeyedRun {
    fn next_launch(self) -> NextLaunch {
        match self {
            // Of a run that is held, nothing is known for good.
            Self { is_held: true, .. }
            | Self { is_running: true, .. }
            | Self { n_unsettled: 1.., .. }
            | Self { exit: None, .. } => NextLaunch::GoesOn,
            Self { n_unsettled: 0, exit: Some(exit), .. } => NextLaunch::HasEnded(exit),
        }
    }
}

/// Run that a key stands for.
pub(super) struct RunOfKey {
    pub(super) run: RunRecord,
    pub(super) next_launch: NextLaunch,
}

impl RunOfKey {
    /// Finds the run with this key; an error if it is one of another plan or target.
    pub(super) fn find(
        journal: &Journal,
        run_key: &str,
        checked: &Checked,
        lanes: &[NewLane],
    ) -> Result<Option<Self>, CommandError> {
        let Some(run) = journal.run_by_key(run_key)? else { return Ok(None) };
        if let Some(how) = difference(journal, &run, checked, lanes)? {
            return Err(CommandError::KeyOfAnother { run_key: run_key.to_owned(), run: plain(&run.id), how });
        }
        let is_held = lock::is_held(&lock::of_run(journal.path(), &run.id)) == Some(true);
        let n_unsettled = journal.count_unsettled(run.key)?;
        let keyed = KeyedRun { is_held, is_running: run.running, n_unsettled, exit: exit_of(&run)? };
        Ok(Some(Self { next_launch: keyed.next_launch(), run }))
    }
}

/// Tells whether a run has ended, so that the next launch with its key sends nothing. For a run whose lock this process holds.
pub(super) fn has_ended(journal: &Journal, run: &RunRecord) -> Result<bool, JournalError> {
    let n_unsettled = journal.count_unsettled(run.key)?;
    let keyed = KeyedRun { is_held: false, is_running: run.running, n_unsettled, exit: exit_of(run)? };
    Ok(matches!(keyed.next_launch(), NextLaunch::HasEnded(_)))
}

/// Returns the run of a key that was taken out of the journal, with its exit; an error if it was one of another plan or target.
pub(super) fn find_pruned(
    journal: &Journal,
    run_key: &str,
    checked: &Checked,
    lanes: &[NewLane],
) -> Result<Option<(Tombstone, Exit)>, CommandError> {
    let Some(tombstone) = journal.tombstone_by_key(run_key)? else { return Ok(None) };
    let (run, Places { endpoint, account }) = (&tombstone.run, Places::from_lanes(lanes));
    let how = if run.plan.digest != checked.digest.to_string() {
        format!("which had another plan: it was made from `{}` as {}", plain(&run.plan.path), plain(&run.plan.digest))
    } else if (&run.endpoint, &run.account) != (&endpoint, &account) {
        format!("which had another target: account `{}` at {}", plain(&run.account), plain(&run.endpoint))
    } else {
        let code = run.exit.as_ref().map(|exit| exit.code);
        let unknown =
            || JournalError::Damaged(format!("the tombstone of run {} has no exit of a launch", plain(&run.id)));
        let exit = code.and_then(Exit::from_code).ok_or_else(unknown)?;
        return Ok(Some((tombstone, exit)));
    };
    Err(CommandError::KeyOfAnother { run_key: run_key.to_owned(), run: plain(&run.id), how })
}

fn exit_of(run: &RunRecord) -> Result<Option<Exit>, JournalError> {
    let unknown =
        |code| JournalError::Damaged(format!("run {} ended with {code}, which no launch does", plain(&run.id)));
    run.exit_code.map(|code| Exit::from_code(code).ok_or_else(|| unknown(code))).transpose()
}

/// Returns the difference of a run from a launch of this plan at these accounts; `None` if it is one of both.
fn difference(
    journal: &Journal,
    run: &RunRecord,
    checked: &Checked,
    lanes: &[NewLane],
) -> Result<Option<String>, JournalError> {
    let digest = checked.digest.to_string();
    let sealing = checked.seal.as_ref().map(|seal| seal.digest.as_str());
    let how = if run.plan_digest != digest {
        format!("which has another plan: it was made from `{}` as {}", plain(&run.plan_path), plain(&run.plan_digest))
    } else if !journal.of_plan(&digest, lanes)?.iter().any(|same| same.key == run.key) {
        format!("which has another target: account `{}` at {}", plain(&run.account), plain(&run.endpoint))
    } else if run.sealing() != sealing {
        "which was made from another seal of the plan".to_owned()
    } else {
        return Ok(None);
    };
    Ok(Some(how))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_ended_once_every_row_has_its_verdict_whatever_code_that_was_and_goes_on_before() {
        let ended = |exit, n_unsettled| KeyedRun { is_held: false, is_running: false, n_unsettled, exit };
        assert_eq!(ended(None, 3).next_launch(), NextLaunch::GoesOn, "made, and killed before it was launched");
        for exit in Exit::ALL {
            let (all_settled, one_left) = (ended(Some(exit), 0), ended(Some(exit), 1));
            assert_eq!(one_left.next_launch(), NextLaunch::GoesOn, "{exit:?}");
            assert_eq!(all_settled.next_launch(), NextLaunch::HasEnded(exit));
            // Held: its launch may settle rows, or open them again. Cut off: its end is not recorded.
            for n_unsettled in [0, 1] {
                let run = ended(Some(exit), n_unsettled);
                assert_eq!(KeyedRun { is_held: true, ..run }.next_launch(), NextLaunch::GoesOn, "{exit:?}");
                assert_eq!(KeyedRun { is_running: true, ..run }.next_launch(), NextLaunch::GoesOn, "{exit:?}");
            }
        }
    }
}
