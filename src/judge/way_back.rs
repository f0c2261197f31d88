//! Ways back: which changes a rollback can undo, and why it cannot undo the others.
//!
//! A rollback applies this to rows that were sent, and the difference to rows that would be, so that both say the same. It goes
//! further than the targets for which leave is needed: that is asked for where the vendor has no way back at all, while out of
//! `stopped` or `clearing`, where a server only ignores updates, the console still has one.

use std::io;

use serde::Serialize;

use crate::model::state::SeenState;
use crate::model::words::{self, Pairing};
use crate::wording::plain::plain;
use crate::wording::printout::Printout;

/// Rows without a way back, counted by the reason against it, in the order in which the reasons were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct NoWayBack(Vec<RowsOfReason>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct RowsOfReason {
    reason: String,
    rows: u64,
}

impl NoWayBack {
    pub(crate) fn add(&mut self, reason: String) {
        match self.0.iter_mut().find(|known| known.reason == reason) {
            Some(known) => known.rows += 1,
            None => self.0.push(RowsOfReason { reason, rows: 1 }),
        }
    }

    pub(crate) fn n_rows(&self) -> u64 {
        self.0.iter().map(|of| of.rows).sum()
    }

    /// Writes a line for each reason, indented by this much, behind the number of its rows.
    pub(crate) fn write(&self, indent: usize, out: &mut Printout<'_>) -> io::Result<()> {
        self.0
            .iter()
            .try_for_each(|RowsOfReason { reason, rows }| writeln!(out, "{:indent$}{rows:>9}  {}", "", plain(reason)))
    }
}

/// Reason for a row that nobody looked at before it was sent.
pub(crate) const UNSEEN_BEFORE: &str = "nobody saw where it was before";

/// Reason against a rollback from the state in which a row `is` to that in which it `was` seen before it was sent; `None` if it
/// is possible. Without `was`, the row was never seen before it was sent, or will not be.
pub(crate) fn reason_against(is: &SeenState, was: Option<&SeenState>) -> Option<String> {
    let Some(was) = was else { return Some(UNSEEN_BEFORE.to_owned()) };
    stuck_in(is).or_else(|| no_target(was))
}

/// Reason for which no update takes a server out of a state; `None` if one does.
pub(crate) fn stuck_in(is: &SeenState) -> Option<String> {
    let irreversible = |state: &&words::Word| words::irreversible(state);
    ignores_updates(is).or_else(|| {
        is.copystate.as_ref().filter(irreversible).map(|state| format!("there is no way back from `{state}`"))
    })
}

/// Reason for not sending anything to a server in a state in which the service ignores updates; `None` in any other.
///
/// source: CN api-sms/UpdateCopyState.html (2026-01-27)
pub(super) fn ignores_updates(is: &SeenState) -> Option<String> {
    let state = is.copystate.as_ref().filter(|state| words::swallows_updates(state))?;
    Some(format!("a server in `{state}` answers success and changes nothing"))
}

/// Reason for which a state cannot be sent as a target; `None` if it can.
fn no_target(was: &SeenState) -> Option<String> {
    let copystate = was.copystate.as_ref().filter(|word| !word.is_copystate());
    let unknown = copystate.or_else(|| was.migrationcycle.as_ref().filter(|word| !word.is_migrationcycle()));
    if let Some(unknown) = unknown {
        return Some(format!("it was in `{unknown}`, which no edition of the API lists as a target"));
    }
    let (copystate, cycle) = (was.copystate.as_ref()?, was.migrationcycle.as_ref()?);
    (words::pairing(copystate, cycle) == Pairing::Outside)
        .then(|| format!("it was in {was}, which is none of the documented pairs: the service may refuse it"))
}

#[cfg(test)]
mod tests {
    use super::super::states::seen;
    use super::*;

    #[test]
    fn a_row_has_no_way_back_from_where_it_is_stuck_and_to_where_nothing_is_sent() {
        for (is, was, expected) in [
            ("cutovering/cutovering", "syncing/syncing", None),
            ("stopped/syncing", "syncing/syncing", Some("`stopped` answers success and changes nothing")),
            ("finished/cutovered", "cutovering/cutovering", Some("`finished` answers success and changes nothing")),
            ("cleared/cutovered", "error/cutovered", Some("no way back from `cleared`")),
            ("cutovering/*", "syncing/syncing", None),
            ("cutovering/cutovering", "waiting/syncing", Some("none of the documented pairs")),
            ("cutovering/cutovering", "brand_new/syncing", Some("`brand_new`, which no edition")),
        ] {
            let reason = reason_against(&seen(is), Some(&seen(was)));
            assert!(
                reason.as_deref().is_some_and(|why| expected.is_some_and(|part| why.contains(part)))
                    || (reason.is_none() && expected.is_none()),
                "{was} -> {is}: {reason:?}"
            );
        }
        assert_eq!(reason_against(&seen("cutovering/cutovering"), None).as_deref(), Some(UNSEEN_BEFORE));
        // Whatever needs leave is said to have no way back.
        for state in words::IRREVERSIBLE {
            assert!(stuck_in(&seen(&format!("{state}/cutovered"))).is_some(), "{state}");
        }
    }
}
