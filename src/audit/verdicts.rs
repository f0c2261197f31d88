//! Check of the verdicts of rows against the events that gave them: a launch does not look at settled rows again, and lets the
//! next wave begin after them.

use super::finding::{Finding, Findings};
use super::sums::read;
use crate::event::kind::EventKind;
use crate::event::row::RowEvent;
use crate::event::verdict::Verdict;
use crate::journal::read::runs::RunRecord;
use crate::journal::stored::EventOrder;
use crate::journal::{Journal, JournalError};
use crate::ledger::cause;
use crate::model::RowId;

/// A row's verdict as it is stored and as its events say. It takes eight bytes for each row.
struct Compared {
    row: RowId,
    stored: Settled,
    told: Settled,
}

/// Verdict, if any, and true if it counts as on target.
type Settled = (Option<Verdict>, bool);

const OPEN: Settled = (None, false);

/// Compares all rows in one pass over the rows, and one over the events.
pub(super) fn check(journal: &Journal, run: &RunRecord, findings: &mut Findings) -> Result<(), JournalError> {
    let mut rows: Vec<Compared> = Vec::new();
    journal.for_each_verdict(run.key, |row, verdict, on_target| {
        rows.push(Compared { row, stored: (verdict, on_target), told: OPEN });
    })?;
    journal.for_each_stored_event(run.key, EventOrder::OfVerdicts, |event| {
        let told = match read(&event) {
            Ok(EventKind::Row(_, RowEvent::Settled { verdict, ground, reason, .. })) => {
                let ground = cause::ground_of(run.rules, verdict, ground, reason.as_deref());
                (Some(verdict), verdict.is_on_target(ground))
            }
            Ok(_) => OPEN,
            Err(finding) => {
                findings.add(finding);
                return Ok(());
            }
        };
        let row = RowId(event.row.unwrap_or_default());
        match rows.binary_search_by_key(&row, |known| known.row) {
            Ok(at) => rows[at].told = told,
            Err(_) => findings.add(Finding::NoSuchRow { lane: event.lane, seq: event.seq, row }),
        }
        Ok::<(), JournalError>(())
    })?;
    for Compared { row, stored, told } in rows {
        let same = [("verdict", stored.0 == told.0), ("on_target", stored.1 == told.1)];
        let columns: Vec<_> = same.into_iter().filter(|(_, same)| !same).map(|(column, _)| column).collect();
        if !columns.is_empty() {
            findings.add(Finding::RowDiffers { row, columns });
        }
    }
    Ok(())
}
