//! Append to a run: one transaction, in which a batch is checked against the stored state and then written. When it is finished,
//! its events, the rows they change and the heads of their lanes are on disk, or nothing of it is.

use std::collections::btree_map::Entry;
use std::collections::{HashMap, HashSet};

use rusqlite::{Transaction, TransactionBehavior};

use super::connection::{Journal, RunKey};
use super::error::JournalError;
use super::loaded::Loaded;
use super::project::project;
use super::run_copy::RunCopy;
use super::stamped::{LaneHead, Stamped};
use super::tables::lane::load_head;
use super::tables::row;
use super::{as_told, objects, opening};
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::lane::LaneId;
use crate::ledger;
use crate::ledger::standing::Standing;
use crate::model::RowId;

/// Append that is under way. Dropped before it is finished, it leaves nothing.
pub(crate) struct Append<'j> {
    transaction: Transaction<'j>,
    run: RunKey,
    ours: &'j mut HashMap<(RunKey, LaneId), LaneHead>,
    open: &'j mut HashMap<(RunKey, RowId), Box<Standing>>,
    minds_heads: bool,
    minds_rows: bool,
    pub(crate) known: Loaded,
}

/// Beginning of an append to a file that nobody else writes to.
pub(crate) enum Begun<'j> {
    Append(Append<'j>),
    /// Another connection wrote to the file since. The number stands for the state of the file to be checked before it is trusted.
    WrittenByOthers(i64),
}

impl Journal {
    /// Checks from here on that the heads of lanes are those that this connection wrote; any other is [`JournalError::NotOurs`].
    pub(crate) fn mind_heads(&mut self) {
        self.minds_heads = true;
    }

    /// Trusts what other connections wrote up to this number, which [`Journal::begin_append_alone`] returned, after it was checked.
    pub(crate) fn trust_others(&mut self, number: i64) {
        self.others = number;
    }

    /// Hands the state of this connection on to another journal, if that has all that this one wrote; false if it has not.
    pub(crate) fn goes_on_in(&self, other: &mut Journal) -> Result<bool, JournalError> {
        for ((run, lane), head) in &self.ours {
            if load_head(&other.conn, *run, *lane)? != *head {
                return Ok(false);
            }
        }
        other.ours.clone_from(&self.ours);
        other.minds_heads = self.minds_heads;
        other.minds_rows = self.minds_rows;
        Ok(true)
    }

    /// Begins an append. Nobody else writes to the file from here to its end.
    pub(crate) fn begin_append(&mut self, run: RunKey) -> Result<Append<'_>, JournalError> {
        let Journal { conn, schema, ours, open, minds_heads, minds_rows, .. } = self;
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if *minds_heads {
            let version = objects::version_in_use(&transaction)?;
            if *schema != Some(version) {
                // The schema changed since it was checked, or the file was packed.
                objects::must_all_be_ours(&transaction)?;
                *schema = Some(version);
            }
        }
        let (minds_heads, minds_rows) = (*minds_heads, *minds_rows);
        Ok(Append { transaction, run, ours, open, minds_heads, minds_rows, known: Loaded::default() })
    }

    /// Begins an append unless another connection wrote to the file since [`Journal::trust_others`].
    pub(crate) fn begin_append_alone(&mut self, run: RunKey) -> Result<Begun<'_>, JournalError> {
        let trusted = self.others;
        let append = self.begin_append(run)?;
        let number = opening::written_by_others(&append.transaction)?;
        if number == trusted { Ok(Begun::Append(append)) } else { Ok(Begun::WrittenByOthers(number)) }
    }
}

impl<'j> Append<'j> {
    /// Goes on in the transaction that makes the run. The heads that it writes are this connection's own from here on.
    pub(super) fn new(
        transaction: Transaction<'j>,
        run: RunKey,
        ours: &'j mut HashMap<(RunKey, LaneId), LaneHead>,
        open: &'j mut HashMap<(RunKey, RowId), Box<Standing>>,
    ) -> Self {
        Self { transaction, run, ours, open, minds_heads: true, minds_rows: false, known: Loaded::default() }
    }

    /// Returns the run as it was made, which in the transaction that makes it is there before its first event.
    pub(crate) fn copy_of_run(&self) -> Result<RunCopy<'_>, JournalError> {
        RunCopy::new(&self.transaction, self.run)
    }

    /// Loads the heads and standings that these events are checked against.
    pub(crate) fn load(&mut self, events: &[Event]) -> Result<(), JournalError> {
        let Append { transaction, run, ours, open, minds_heads, minds_rows, known } = self;
        // Before any row is loaded: a foreign write explains a row that changed, and is the error to report.
        for event in events {
            let Entry::Vacant(entry) = known.heads.entry(event.lane) else { continue };
            let head = load_head(transaction, *run, event.lane)?;
            let ours = ours.get(&(*run, event.lane)).filter(|_| *minds_heads);
            if ours.is_some_and(|ours| *ours != head) {
                return Err(JournalError::NotOurs);
            }
            entry.insert(head);
        }
        let mut in_hand = HashSet::new();
        let rules = row::load_rules(transaction, *run)?;
        let mut load = row::Load::new(transaction, *run, rules)?;
        for event in events {
            let EventKind::Row(row, what) = &event.kind else { continue };
            let row = *row;
            let standing = match known.standings.entry(row) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(match open.remove(&(*run, row)) {
                    Some(standing) => {
                        in_hand.insert(row);
                        standing
                    }
                    None => Box::new(load.standing(row)?),
                }),
            };
            if *minds_rows && ledger::fold::takes_in_hand(what) && in_hand.insert(row) {
                as_told::check(transaction, *run, rules, row, standing)?;
            }
        }
        Ok(())
    }

    /// Writes the stamped events and the sums, rows and heads that they change.
    pub(crate) fn project(&self, stamped: &Stamped, events: &[Event]) -> Result<(), JournalError> {
        project(&self.transaction, self.run, stamped, events, &self.known)
    }

    /// Commits, and keeps the standings of rows in doubt in memory, so that they need not be read again for their next event.
    pub(crate) fn finish(self) -> Result<(), JournalError> {
        let Append { transaction, run, ours, open, minds_heads: _, minds_rows: _, known } = self;
        transaction.commit()?;
        // Whether they are minded may only be decided later, as for a run that is followed before it is launched.
        ours.extend(known.heads.into_iter().map(|(lane, head)| ((run, lane), head)));
        let under_way = known.standings.into_iter().filter(|(_, standing)| standing.phase.is_in_doubt());
        open.extend(under_way.map(|(row, standing)| ((run, row), standing)));
        Ok(())
    }
}
