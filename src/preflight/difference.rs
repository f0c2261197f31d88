//! Preview of a run, as data: what would happen to all rows, counted by kind, and in groups of rows with the same prospect.

use std::sync::Arc;

use super::error::PreflightError;
use super::prospect::{Kind, LatestLook, Prospect, prospect};
use super::unsettled::for_each_unsettled;
use crate::diagnostics;
use crate::engine::driver::Clearance;
use crate::engine::journal_reader::JournalReader;
use crate::engine::lane::{Lane, LaneSettings};
use crate::judge::{self, way_back::NoWayBack};
use crate::ledger::standing::Standing;
use crate::model::state::SeenState;
use crate::model::{Row, words};
use crate::remote::service::Remote;

/// Counts of rows, and the first rows of each group.
#[derive(Debug, Default)]
pub(crate) struct Preview {
    /// Rows of each kind, by the kind's place in [`Kind::ALL`].
    n_of_kind: [u64; Kind::ALL.len()],
    /// Rows that would be sent against the service's documented pairs.
    pub(crate) n_outside_matrix: u64,
    /// Rows whose target needs leave, because nothing leads back from it.
    pub(crate) n_irreversible: u64,
    /// Rows that a roll-back could not bring back, those included.
    pub(crate) no_way_back: NoWayBack,
    pub(crate) groups: Vec<RowGroup>,
}

/// Rows of one kind that are listed under one title.
#[derive(Debug)]
pub(crate) struct RowGroup {
    pub(crate) kind: Kind,
    pub(crate) title: String,
    pub(crate) n_rows: u64,
    /// First rows in plan order, and the state of each before the run.
    pub(crate) first: Vec<(Row, Option<SeenState>)>,
}

impl Preview {
    pub(crate) fn n(&self, kind: Kind) -> u64 {
        self.n_of_kind[kind as usize]
    }

    /// Rows to which a change may be sent.
    pub(crate) fn n_changes(&self) -> u64 {
        self.n(Kind::Change) + self.n(Kind::LookFirst) + self.n(Kind::Unseen)
    }

    /// Rows that are not sent and get their verdict now.
    pub(crate) fn n_to_settle(&self) -> u64 {
        self.n(Kind::Already) + self.n(Kind::Blocked)
    }

    /// Adds a row, and keeps it as an example while its group has fewer than `n_shown`.
    pub(crate) fn add(&mut self, row: Row, standing: &Standing, prospect: &Prospect, n_shown: usize) {
        let (kind, title) = (prospect.kind(), prospect.title(standing));
        self.n_of_kind[kind as usize] += 1;
        self.n_outside_matrix += u64::from(prospect.is_outside_matrix());
        if prospect.may_send() {
            self.n_irreversible += u64::from(row.wants.copystate.as_ref().is_some_and(words::irreversible));
            prospect.no_way_back(&row, standing).into_iter().for_each(|reason| self.no_way_back.add(reason));
        }
        let known = self.groups.iter().position(|group| group.kind == kind && group.title == title);
        let at = known.unwrap_or_else(|| {
            self.groups.push(RowGroup { kind, title, n_rows: 0, first: Vec::new() });
            self.groups.len() - 1
        });
        let group = &mut self.groups[at];
        group.n_rows += 1;
        if group.first.len() < n_shown {
            group.first.push((row, standing.before.clone()));
        }
    }
}

/// Adds up the prospects of all rows without a verdict, from the journal as it is now. Keeps the first `n_shown` rows of each group.
pub(crate) async fn add_up<R: Remote>(
    lanes: &[Arc<Lane<R>>],
    journal: &JournalReader,
    n_shown: usize,
) -> Result<Preview, PreflightError> {
    let mut difference = Preview::default();
    for lane in lanes {
        let stopped = lane.left_out().map(|why| format!("account `{}` is left out: {why}", lane.name));
        for_each_unsettled(journal, lane.id, async |rows| {
            for (row, standing) in rows {
                let prospect = match &stopped {
                    Some(reason) => Prospect::LeftOut { reason: reason.clone() },
                    None => prospect_unless_skipped(lane, &row, &standing),
                };
                check_it_can_be_said(&row, &lane.settings)?;
                diagnostics::decided_of(row.source_id.as_str(), || prospect.told(&standing));
                difference.add(row, &standing, &prospect, n_shown);
            }
            Ok(())
        })
        .await?;
    }
    // The sort is stable: groups of a kind stay in plan order.
    difference.groups.sort_by_key(|group| group.kind);
    Ok(difference)
}

/// Prospect of a row; one that an operator skipped is shown as held back. It gets its verdict only in its turn, since the skip
/// may be withdrawn until then.
fn prospect_unless_skipped<R: Remote>(lane: &Lane<R>, row: &Row, standing: &Standing) -> Prospect {
    let prospect = prospect(row, standing, LatestLook::in_lane(lane, row), &lane.settings);
    match lane.clearance(&row.source_id, standing) {
        Clearance::Skipped(reason) if prospect.may_send() => {
            Prospect::Blocked { verdict: judge::unsent_verdict(standing), reason }
        }
        Clearance::Skipped(_) | Clearance::Granted | Clearance::OneOfFew | Clearance::Paused | Clearance::Draining => {
            prospect
        }
    }
}

/// Refuses a row whose target the lane's dialect cannot express: a run may be resumed in another dialect than its plan was
/// checked for.
fn check_it_can_be_said(row: &Row, settings: &LaneSettings) -> Result<(), PreflightError> {
    let objection = settings.dialect.objections(&row.wants, settings.completion()).next();
    match objection {
        Some(objection) => Err(PreflightError::Unsayable { source_id: row.source_id.clone(), objection }),
        None => Ok(()),
    }
}
