//! Appending to a run: events, the rows they change and the heads of their lanes are one transaction, and when it returns they are
//! on disk.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use rusqlite::TransactionBehavior;

use super::chain::Hash;
use super::connection::{Journal, RunKey};
use super::error::JournalError;
use super::project::fold_into_run;
use super::tables::event::EventSink;
use super::tables::lane::{load_head, store_head};
use super::tables::row;
use super::{as_told, objects, opening};
use crate::event::{Event, EventKind, LaneId};
use crate::ledger::{self, Standing};
use crate::model::RowId;

impl Journal {
    /// From here on nobody else appends to a run that this connection appends to: a head that is another then was taken from us.
    pub(crate) fn mind_heads(&mut self) {
        self.minds_heads = true;
    }

    /// Takes what other connections wrote up to this number (see [`Journal::append_alone`]) for held against itself.
    pub(crate) fn trust_others(&mut self, number: i64) {
        self.others = number;
    }

    /// Puts another journal in the place of this one if it has all that this connection wrote.
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

    /// Appends events to their lanes, durable when this returns. A history that cannot have happened is refused
    /// whole, and nothing is written.
    pub fn append(
        &mut self,
        run: RunKey,
        kinds: impl IntoIterator<Item = (LaneId, EventKind)>,
    ) -> Result<Vec<Event>, JournalError> {
        self.append_at(run, kinds.into_iter().map(|(lane, kind)| (lane, None, kind)))
    }

    /// The same, with the time of each event; none: now.
    pub fn append_at(
        &mut self,
        run: RunKey,
        kinds: impl IntoIterator<Item = (LaneId, Option<Timestamp>, EventKind)>,
    ) -> Result<Vec<Event>, JournalError> {
        let mut events: Vec<Event> =
            kinds.into_iter().map(|(lane, at, kind)| Event::unnumbered(lane, at, kind)).collect();
        self.append_all(run, &mut events)?;
        Ok(events)
    }

    /// The same of events that have no number yet, and get it here. They stay with whoever brings them, who may have another
    /// place for those that are refused.
    pub(crate) fn append_all(&mut self, run: RunKey, events: &mut [Event]) -> Result<(), JournalError> {
        self.append_if(run, events, false).map(drop)
    }

    /// The same, unless another connection wrote to the file since: then nothing is written, and the number is returned up to
    /// which that has to be held against itself first.
    pub(crate) fn append_alone(&mut self, run: RunKey, events: &mut [Event]) -> Result<Option<i64>, JournalError> {
        self.append_if(run, events, true)
    }

    fn append_if(&mut self, run: RunKey, events: &mut [Event], alone: bool) -> Result<Option<i64>, JournalError> {
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if self.minds_heads {
            let version = objects::version_in_use(&transaction)?;
            if self.schema != Some(version) {
                // Somebody made something in it since, or packed it.
                objects::must_all_be_ours(&transaction)?;
                self.schema = Some(version);
            }
        }
        if alone {
            // Nobody else writes from here to the end of the transaction.
            let number = opening::written_by_others(&transaction)?;
            if number != self.others {
                return Ok(Some(number));
            }
        }
        // What is under way now; it is put back when all of this is on disk.
        let mut open = std::mem::take(&mut self.open);
        let mut standings = BTreeMap::<RowId, Box<Standing>>::new();
        let mut in_hand = HashSet::new();
        let mut heads = BTreeMap::<LaneId, (u64, Hash)>::new();
        let mut sink = EventSink::new(&transaction, run, events.len())?;
        let rules = row::load_rules(&transaction, run)?;
        let mut load = row::Load::new(&transaction, run, rules)?;
        for event in events {
            // Before its row is asked for: where somebody else wrote, that is why the row is not as it was.
            let (seq, head) = match heads.entry(event.lane) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    let head = load_head(&transaction, run, event.lane)?;
                    let ours = self.ours.get(&(run, event.lane)).filter(|_| self.minds_heads);
                    if ours.is_some_and(|ours| *ours != head) {
                        return Err(JournalError::NotOurs);
                    }
                    entry.insert(head)
                }
            };
            if let EventKind::Row(row, what) = &event.kind {
                let row = *row;
                let standing = match standings.entry(row) {
                    std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                    std::collections::btree_map::Entry::Vacant(entry) => entry.insert(match open.remove(&(run, row)) {
                        Some(standing) => {
                            in_hand.insert(row);
                            standing
                        }
                        None => Box::new(load.standing(row)?),
                    }),
                };
                if self.minds_rows && ledger::takes_in_hand(what) && in_hand.insert(row) {
                    as_told::check(&transaction, run, rules, row, standing)?;
                }
                standing.add(row, what, event.at)?;
            }
            *seq += 1;
            event.seq = *seq;
            *head = sink.put(event, head)?;
            fold_into_run(&transaction, run, event)?;
        }
        drop((sink, load));
        row::store_standings(&transaction, run, &standings)?;
        for (lane, head) in &heads {
            store_head(&transaction, run, *lane, head)?;
        }
        transaction.commit()?;
        if self.minds_heads {
            self.ours.extend(heads.into_iter().map(|(lane, head)| ((run, lane), head)));
        }
        let under_way = standings.into_iter().filter(|(_, standing)| standing.phase.is_in_doubt());
        open.extend(under_way.map(|(row, standing)| ((run, row), standing)));
        self.open = open;
        Ok(None)
    }
}
