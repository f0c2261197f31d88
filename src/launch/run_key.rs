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
//! | the same, and a result of it could not be delivered | says so (70), until it writes a report of its own |
//! | was taken out of the journal | sends nothing, names its archive, and ends with its code |

use crate::exit::Exit;
use crate::journal::new_run::{NewLane, Places};
use crate::journal::read::runs::RunRecord;
use crate::journal::tombstone::{PrunedRecord, Tombstone};
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
pub(super) enum RunOfKey {
    /// No run has the key, and none had it.
    Free,
    GoesOn(RunRecord),
    HasEnded(RunRecord, Exit),
    /// The run has ended with this, and is in an archive.
    WasPruned(Box<Tombstone>, Exit),
}

impl RunOfKey {
    /// Finds the run with this key, in the journal or in an archive; an error if it is one of another plan, target or seal.
    pub(super) fn find(
        journal: &Journal,
        run_key: &str,
        checked: &Checked,
        lanes: &[NewLane],
    ) -> Result<Self, CommandError> {
        if let Some(run) = journal.run_by_key(run_key)? {
            MadeFrom::of_run(&run).must_be(run_key, checked, lanes)?;
            let is_held = lock::is_held(&lock::of_run(journal.path(), &run.id)) == Some(true);
            let n_unsettled = journal.count_unsettled(run.key)?;
            let keyed = KeyedRun { is_held, is_running: run.running, n_unsettled, exit: exit_of(&run)? };
            return Ok(match keyed.next_launch() {
                NextLaunch::GoesOn => RunOfKey::GoesOn(run),
                NextLaunch::HasEnded(exit) => RunOfKey::HasEnded(run, exit),
            });
        }
        let Some(tombstone) = journal.tombstone_by_key(run_key)? else { return Ok(RunOfKey::Free) };
        MadeFrom::of_tombstone(&tombstone.run).must_be(run_key, checked, lanes)?;
        let exit = tombstone.run.exit.as_ref().and_then(|exit| Exit::from_code(exit.code));
        let exit = exit.ok_or_else(|| {
            let run = plain(&tombstone.run.id);
            JournalError::Damaged(format!("the tombstone of run {run} has no exit of a launch"))
        })?;
        Ok(RunOfKey::WasPruned(Box::new(tombstone), exit))
    }
}

/// Tells whether a run has ended, so that the next launch with its key sends nothing. For a run whose lock this process holds.
pub(super) fn has_ended(journal: &Journal, run: &RunRecord) -> Result<bool, JournalError> {
    let n_unsettled = journal.count_unsettled(run.key)?;
    let keyed = KeyedRun { is_held: false, is_running: run.running, n_unsettled, exit: exit_of(run)? };
    Ok(matches!(keyed.next_launch(), NextLaunch::HasEnded(_)))
}

fn exit_of(run: &RunRecord) -> Result<Option<Exit>, JournalError> {
    let unknown =
        |code| JournalError::Damaged(format!("run {} ended with {code}, which no launch does", plain(&run.id)));
    run.exit_code.map(|code| Exit::from_code(code).ok_or_else(|| unknown(code))).transpose()
}

/// Plan, target and seal that a run was made from.
struct MadeFrom<'r> {
    run: &'r str,
    plan: &'r str,
    digest: &'r str,
    endpoint: &'r str,
    account: &'r str,
    sealing: Option<&'r str>,
}

impl<'r> MadeFrom<'r> {
    fn of_run(run: &'r RunRecord) -> Self {
        Self {
            run: &run.id,
            plan: &run.plan_path,
            digest: &run.plan_digest,
            endpoint: &run.endpoint,
            account: &run.account,
            sealing: run.sealing(),
        }
    }

    fn of_tombstone(run: &'r PrunedRecord) -> Self {
        Self {
            run: &run.id,
            plan: &run.plan.path,
            digest: &run.plan.digest,
            endpoint: &run.endpoint,
            account: &run.account,
            sealing: run.plan.sealing.as_deref(),
        }
    }

    /// Refuses the key for a launch of another plan, at other accounts, or of another seal.
    fn must_be(&self, run_key: &str, checked: &Checked, lanes: &[NewLane]) -> Result<(), CommandError> {
        let Self { run, plan, digest, endpoint, account, sealing } = *self;
        let places = Places::from_lanes(lanes);
        let how = if digest != checked.digest.to_string() {
            format!("which has another plan: it was made from `{}` as {}", plain(plan), plain(digest))
        } else if (endpoint, account) != (&places.endpoint, &places.account) {
            format!("which has another target: account `{}` at {}", plain(account), plain(endpoint))
        } else if sealing != checked.seal.as_ref().map(|seal| seal.digest.as_str()) {
            "which was made from another seal of the plan".to_owned()
        } else {
            return Ok(());
        };
        Err(CommandError::KeyOfAnother { run_key: run_key.to_owned(), run: plain(run), how })
    }
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
