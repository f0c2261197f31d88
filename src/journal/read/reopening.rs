//! Settled rows that a launch opens again.

use std::collections::BTreeSet;

use rusqlite::params;

use crate::event::lane::LaneId;
use crate::event::verdict::{Ground, Verdict};
use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;
use crate::journal::tables::row;
use crate::ledger::cause::Only;
use crate::ledger::standing::{Phase, Standing};
use crate::model::RowId;

/// Selection of settled rows to open again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reopen {
    #[default]
    Nothing,
    /// Rows not on target, except those that somebody else moved or somebody skipped.
    OffTarget,
    /// Rows that one of these selects.
    Only(Vec<Only>),
    /// Rows by number, with any verdict.
    Rows(BTreeSet<RowId>),
}

impl Reopen {
    fn takes(&self, row: RowId, standing: &Standing) -> bool {
        match self {
            Reopen::Nothing => false,
            Reopen::OffTarget => is_off_target(standing),
            Reopen::Only(only) => only.iter().any(|only| only.means(standing)),
            Reopen::Rows(rows) => rows.contains(&row),
        }
    }
}

/// Tells whether [`Reopen::OffTarget`] selects a row. Unverified rows whose verification was switched off count as on target.
fn is_off_target(standing: &Standing) -> bool {
    match standing.phase {
        Phase::Settled(Verdict::NoEffect | Verdict::Refused | Verdict::Failed) => true,
        Phase::Settled(Verdict::Unverified) => standing.ground != Some(Ground::NotVerified),
        Phase::Settled(Verdict::Blocked) => standing.ground != Some(Ground::Skipped),
        Phase::Settled(Verdict::Applied | Verdict::Already | Verdict::Overtaken)
        | Phase::Untried
        | Phase::Open
        | Phase::InDoubt
        | Phase::Accepted
        | Phase::Due => false,
    }
}

impl Journal {
    /// Returns the rows that are to be opened again, with lane and standing, in plan order.
    pub fn rows_to_reopen(&self, run: RunKey, reopen: &Reopen) -> Result<Vec<(LaneId, RowId, Standing)>, JournalError> {
        if *reopen == Reopen::Nothing {
            return Ok(Vec::new());
        }
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {}, row, lane FROM row WHERE run = ?1 AND verdict NOT IN ('applied', 'already') ORDER BY row",
            row::STANDING
        ))?;
        let mut found = statement.query(params![run.0])?;
        let mut taken = Vec::new();
        while let Some(columns) = found.next()? {
            let (row, standing) = (RowId(columns.get("row")?), row::standing(columns, 0)?);
            if reopen.takes(row, &standing) {
                taken.push((LaneId(columns.get("lane")?), row, standing));
            }
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_on_target_is_opened_again_but_for_what_others_decided() {
        let standing = |verdict, ground| Standing { phase: Phase::Settled(verdict), ground, ..Standing::default() };
        let grounds = || Ground::ALL.into_iter().map(Some).chain([None]);
        for (verdict, ground) in
            Verdict::ALL.into_iter().flat_map(|verdict| grounds().map(move |ground| (verdict, ground)))
        {
            let opened = Reopen::OffTarget.takes(RowId(1), &standing(verdict, ground));
            let is_usual = match verdict {
                Verdict::Applied | Verdict::Already | Verdict::Overtaken => false,
                Verdict::NoEffect | Verdict::Refused | Verdict::Failed => true,
                Verdict::Unverified => ground != Some(Ground::NotVerified),
                Verdict::Blocked => ground != Some(Ground::Skipped),
            };
            assert_eq!(opened, is_usual, "{verdict} {ground:?}");
        }
        let named = Reopen::Rows([RowId(1)].into());
        assert!(
            named.takes(RowId(1), &standing(Verdict::Overtaken, None)) && !named.takes(RowId(2), &Standing::default())
        );
    }
}
