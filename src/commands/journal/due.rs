//! Choice of the runs that leave a journal.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::journal::RunKey;
use crate::journal::read::launched::Launched;
use crate::journal::read::runs::RunRecord;
use crate::journal::{Journal, JournalError};
use crate::verb::meant::goes_on;

/// Reason for which a run stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StaysInJournal {
    /// A launch holds it.
    GoesOn,
    /// End within the time that was asked for.
    IsYoung,
    /// Rows have no verdict: they are pending or in doubt.
    IsUnfinished,
    /// The service asked one of its accounts for a wait that is not over, which the next launch has to keep.
    IsToldToWait,
}

/// Facts on which the choice depends, of a run that no launch holds.
#[derive(Clone, Copy, Debug)]
struct DueFacts {
    /// Rows are without a verdict, and may have been sent: its last launch was not refused before anything began.
    is_unfinished: bool,
    is_told_to_wait: bool,
    ended_at: Timestamp,
}

impl DueFacts {
    fn stays(self, keep_since: Timestamp) -> Option<StaysInJournal> {
        if self.ended_at >= keep_since {
            Some(StaysInJournal::IsYoung)
        } else if self.is_unfinished {
            Some(StaysInJournal::IsUnfinished)
        } else if self.is_told_to_wait {
            Some(StaysInJournal::IsToldToWait)
        } else {
            None
        }
    }
}

/// Run, and the reason for which it stays; `None` if it leaves.
pub(super) struct Considered {
    pub(super) run: RunRecord,
    pub(super) stays: Option<StaysInJournal>,
}

/// Considers all runs, in the order in which they were made.
pub(super) fn considered(
    journal: &Journal,
    path: &Path,
    keep_since: Timestamp,
) -> Result<Vec<Considered>, JournalError> {
    let mut considered = Vec::new();
    for launched in journal.launched()? {
        considered.push(if goes_on(path, &launched.run) {
            Considered { run: launched.run, stays: Some(StaysInJournal::GoesOn) }
        } else {
            judged(journal, launched, keep_since)?
        });
    }
    considered.sort_by_key(|considered| considered.run.key.number());
    Ok(considered)
}

/// Considers one run anew, whose lock the caller holds: no launch of it goes on, and none begins.
pub(super) fn considered_under_lock(
    journal: &Journal,
    run: RunKey,
    keep_since: Timestamp,
) -> Result<Option<Considered>, JournalError> {
    journal.launched_one(run)?.map(|launched| judged(journal, launched, keep_since)).transpose()
}

/// Judges a run that no launch holds.
fn judged(journal: &Journal, launched: Launched, keep_since: Timestamp) -> Result<Considered, JournalError> {
    let Launched { run, is_open, is_refused } = launched;
    let facts = DueFacts {
        is_unfinished: is_open && !is_refused,
        is_told_to_wait: !journal.cooling(run.key, Timestamp::now())?.is_empty(),
        ended_at: run.ended_at.or(run.started_at).unwrap_or(run.created_at),
    };
    Ok(Considered { stays: facts.stays(keep_since), run })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_leaves_once_it_ended_long_ago_and_nothing_of_it_is_open() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let old = DueFacts { is_unfinished: false, is_told_to_wait: false, ended_at: at(9) };
        for (facts, stays) in [
            (old, None),
            (DueFacts { ended_at: at(10), ..old }, Some(StaysInJournal::IsYoung)),
            (DueFacts { ended_at: at(11), is_unfinished: true, ..old }, Some(StaysInJournal::IsYoung)),
            (DueFacts { is_unfinished: true, ..old }, Some(StaysInJournal::IsUnfinished)),
            (DueFacts { is_told_to_wait: true, ..old }, Some(StaysInJournal::IsToldToWait)),
        ] {
            assert_eq!(facts.stays(at(10)), stays, "{facts:?}");
        }
    }
}
