//! Making a run: its rows and its lanes, in the transaction that the event with which it begins ends.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{Transaction, TransactionBehavior};

use super::append::Append;
use super::connection::{Journal, RunKey};
use super::error::JournalError;
use super::run_copy::MadeRun;
use super::succession;
use super::tables::row;
use crate::event::Event;
use crate::event::lane::LaneId;
use crate::event::rules::Rules;
use crate::event::run::{LanePlace, RunEvent};
use crate::model::Row;
use crate::model::state::SeenState;
use crate::waves::Terms;

/// Facts about a run that is to be made.
pub struct NewRun<'a> {
    pub id: &'a str,
    pub made_at: Timestamp,
    pub plan_path: &'a str,
    pub plan_digest: &'a str,
    pub n_rows: u32,
    pub lanes: &'a [NewLane],
    pub settings: &'a serde_json::Value,
    /// Settings given by hand to the launch that makes it.
    pub given: BTreeMap<String, String>,
    /// Terms with the waves in their order; waves that only rows name come after them.
    pub terms: &'a Terms,
    /// Key by which a schedule names it: no other run of the journal has the same.
    pub run_key: Option<&'a str>,
}

/// Run that was just made.
pub struct NewlyMade {
    pub run: RunKey,
    /// Event with which it begins: in the journal, and not yet told to observers.
    pub begun: Event,
}

/// Run that is being made: its rows and lanes are in a transaction, which its first event ends.
pub(crate) struct Making<'j> {
    pub(crate) run: RunKey,
    pub(crate) append: Append<'j>,
    /// Event with which the run begins. Without it in the same transaction, an edit of the run before its first launch would be believed.
    pub(crate) begun: Event,
}

/// Account of a run that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLane {
    /// Name by which rows refer to it.
    pub name: String,
    pub endpoint: String,
    pub account: String,
    /// True if it takes the rows that name no target.
    pub takes_unnamed: bool,
}

impl NewLane {
    pub(crate) fn place(&self) -> LanePlace {
        let NewLane { name, endpoint, account, takes_unnamed: _ } = self.clone();
        LanePlace { name, endpoint, account }
    }
}

/// Endpoints and accounts of a run, each as one text of distinct sorted names: by these, runs in the same places are found.
pub(crate) struct Places {
    pub(crate) endpoint: String,
    pub(crate) account: String,
}

impl Places {
    pub(crate) fn from_lanes(lanes: &[NewLane]) -> Self {
        let one = |of: fn(&NewLane) -> &String| {
            let distinct: BTreeSet<&str> = lanes.iter().map(|lane| of(lane).as_str()).collect();
            distinct.into_iter().collect::<Vec<_>>().join(" ")
        };
        Self { endpoint: one(|lane| &lane.endpoint), account: one(|lane| &lane.account) }
    }
}

impl NewRun<'_> {
    fn made(&self) -> MadeRun {
        let Places { endpoint, account } = Places::from_lanes(self.lanes);
        MadeRun {
            id: self.id.to_owned(),
            plan_path: self.plan_path.to_owned(),
            plan_digest: self.plan_digest.to_owned(),
            n_rows: self.n_rows,
            endpoint,
            account,
            settings: self.settings.to_string(),
            created_at: self.made_at.as_millisecond(),
            rules: Rules::default().name().to_owned(),
            run_key: self.run_key.map(str::to_owned),
            lanes: self.lanes.iter().map(NewLane::place).collect(),
        }
    }
}

impl Journal {
    /// Begins to make a run, and fills it with rows: `fill` is given a sink for the rows of the plan.
    pub(crate) fn begin_run<E: From<JournalError>>(
        &mut self,
        new: &NewRun<'_>,
        fill: impl FnOnce(&mut RowSink<'_>) -> Result<(), E>,
    ) -> Result<Making<'_>, E> {
        // Layout and predecessors are read within the same transaction.
        let transaction =
            Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate).map_err(JournalError::from)?;
        new.run_key.map_or(Ok(()), |run_key| self.must_be_free(run_key))?;
        let run = succession::count_another(&transaction)?;
        new.made().insert(&transaction, run)?;
        let waves = new.terms.waves.iter().map(|wave| Some(wave.name.clone())).collect();
        let insert = row::Insert::new(&transaction).map_err(JournalError::from)?;
        let mut sink = RowSink { insert, run, lanes: new.lanes, waves };
        fill(&mut sink)?;
        drop(sink);
        let canaries =
            (0_u32..).zip(&new.terms.waves).filter_map(|(wave_no, wave)| Some((wave_no, wave.canary.as_ref()?.rows)));
        row::send_ahead(&transaction, run, &canaries.collect::<Vec<_>>())?;
        let begun = self.beginning(run, new)?;
        let append = Append::new(transaction, run, &mut self.ours, &mut self.open);
        Ok(Making { run, append, begun })
    }

    /// Refuses the run key of another run. Within a transaction that writes, no other process takes it in between.
    pub(super) fn must_be_free(&self, run_key: &str) -> Result<(), JournalError> {
        if let Some(run) = self.run_by_key(run_key)? {
            return Err(JournalError::KeyTaken { run_key: run_key.to_owned(), run: run.id });
        }
        // A used key stays used: its run has ended, or it would not have been taken out.
        let pruned = self.tombstone_by_key(run_key)?;
        pruned.map_or(Ok(()), |tombstone| Err(JournalError::Pruned(Box::new(tombstone))))
    }

    /// Returns the first event of a run, whose rows are in place.
    fn beginning(&self, run: RunKey, new: &NewRun<'_>) -> Result<Event, JournalError> {
        let started = RunEvent::Started {
            plan: new.plan_digest.to_owned(),
            rows: new.n_rows,
            settings: new.settings.clone(),
            lanes: new.lanes.iter().map(NewLane::place).collect(),
            layout: Some(self.layout(run)?),
            rules: Rules::default(),
            after: Some(Box::new(self.predecessors(run)?)),
            given: new.given.clone(),
            run_key: new.run_key.map(str::to_owned),
        };
        Ok(Event::unnumbered(LaneId::RUN, Some(new.made_at), started.into()))
    }
}

/// Sink for the rows of a plan as they are read.
pub struct RowSink<'a> {
    insert: row::Insert<'a>,
    run: RunKey,
    lanes: &'a [NewLane],
    waves: Vec<Option<String>>,
}

impl RowSink<'_> {
    /// Stores a row, with the state that its sealed plan saw, if it comes from one.
    pub fn row(&mut self, row: &Row, sealed: Option<&SeenState>) -> Result<(), JournalError> {
        let wave_no = self.waves.iter().position(|wave| *wave == row.wave).unwrap_or_else(|| {
            self.waves.push(row.wave.clone());
            self.waves.len() - 1
        });
        let wave_no = u32::try_from(wave_no).expect("no more waves than rows");
        let lane = self.lanes.iter().position(|lane| match &row.account {
            Some(target) => lane.name == *target,
            None => lane.takes_unnamed,
        });
        let lane = lane.expect("lanes are made from what the plan names");
        let lane = LaneId(u32::try_from(lane + 1).expect("lanes are few"));
        self.insert.put(self.run, lane, wave_no, row, sealed)
    }
}
