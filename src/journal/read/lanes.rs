//! Accounts of a run, and facts about an account from earlier launches: its quota, and the rest of a wait.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use crate::event::kind::EventKind;
use crate::event::lane::{LaneEvent, LaneId};
use crate::journal::connection::{Journal, RunKey};
use crate::journal::error::JournalError;
use crate::journal::tables::columns::{flag, time_at};
use crate::journal::tables::event::event;
use crate::journal::tables::lane::wait_ends;
use crate::journal::tombstone::PrunedQuota;
use crate::ledger::cool_down::{CoolDown, LONGEST_WAIT};

/// Account at an endpoint, as table `lane` has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LaneRecord {
    pub lane: LaneId,
    pub name: String,
    pub endpoint: String,
    pub account: String,
    /// Number of throttled reads.
    pub throttled: u64,
    /// Learned quota, in requests per second.
    pub per_second: Option<f64>,
    /// The figure stood in the service's text.
    pub stated: bool,
    /// Reason for which the lane was stopped.
    pub stopped: Option<String>,
    /// Time at which the quota was learned.
    #[serde(skip)]
    pub learned_at: Option<Timestamp>,
    /// Latest end of a wait, asked for by the service or begun by the lane itself.
    #[serde(skip)]
    pub cooled_until: Option<Timestamp>,
}

/// Quota with the time at which it was learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearnedQuota {
    pub per_second: f64,
    /// The figure stood in the service's text.
    pub stated: bool,
    pub at: Timestamp,
}

type LaneKey = (RunKey, LaneId);

/// Quota, and the lane that learned it.
type QuotaOfLane = (LaneKey, LearnedQuota);

/// Condition in SQL that tells events with a wait from others.
const GIVES_A_WAIT: &str = "(kind = 'cool_down_began'
     OR kind IN ('attempt_ended', 'read_throttled') AND detail LIKE '%\"retry_after_ms\"%')";

impl LearnedQuota {
    /// Tells whether a service may have this quota: at least one request in the longest wait that is believed of it.
    fn is_sensible(self) -> bool {
        self.per_second.is_finite() && self.per_second * LONGEST_WAIT.as_secs_f64() >= 1.0
    }
}

impl Journal {
    /// Returns the accounts of a run in the order of lanes, without the run's own lane.
    pub fn lanes(&self, run: RunKey) -> Result<Vec<LaneRecord>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, name, throttled, per_second, stated, stopped, endpoint, account, learned_at, cooled_until
             FROM lane
             WHERE run = ?1 AND lane > 0 ORDER BY lane",
        )?;
        let lanes = statement.query_map([run.0], |row| {
            Ok(LaneRecord {
                lane: LaneId(row.get(0)?),
                name: row.get(1)?,
                endpoint: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
                account: row.get::<_, Option<String>>(7)?.unwrap_or_default(),
                throttled: row.get(2)?,
                per_second: row.get(3)?,
                stated: flag(row, 4)?,
                stopped: row.get(5)?,
                learned_at: time_at(row, 8)?,
                cooled_until: time_at(row, 9)?,
            })
        })?;
        lanes.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// Returns the quota that any run learned last at this endpoint for this account; `None` if it is out of bounds. Fails if it
    /// is not the one in the lane's events. Of runs that were taken out, their tombstones have it.
    pub fn learned_quota(&self, endpoint: &str, account: &str) -> Result<Option<LearnedQuota>, JournalError> {
        let there = match self.last_quota(endpoint, account)? {
            None => None,
            Some((lane, quota)) => {
                // The time is not compared: a wrong age only makes the quota doubted sooner or later.
                let told = self.quota_told(lane)?;
                let is_told = told.is_some_and(|(per_second, stated)| {
                    per_second.total_cmp(&quota.per_second).is_eq() && stated == quota.stated
                });
                if !is_told {
                    return Err(self.not_as_told(lane, "the quota learned")?);
                }
                Some(quota)
            }
        };
        let last = there.into_iter().chain(self.pruned_quota(endpoint, account)?).max_by_key(|quota| quota.at);
        Ok(last.filter(|quota| quota.is_sensible()))
    }

    /// Returns the quota that a run in the journal learned last of an account, and the lane that has it.
    fn last_quota(&self, endpoint: &str, account: &str) -> Result<Option<QuotaOfLane>, JournalError> {
        let found = self
            .conn
            .prepare_cached(
                "SELECT run.run, lane.lane, lane.per_second, lane.stated,
                     coalesce(lane.learned_at, run.started_at, run.created_at) AS at
                 FROM lane JOIN run USING (run)
                 WHERE lane.endpoint = ?1 AND lane.account = ?2 AND lane.per_second IS NOT NULL
                 ORDER BY at DESC, run.run DESC LIMIT 1",
            )?
            .query_row(params![endpoint, account], |row| {
                let lane = (RunKey(row.get(0)?), LaneId(row.get(1)?));
                let (per_second, stated) = (row.get(2)?, row.get(3)?);
                let quota = LearnedQuota { per_second, stated, at: time_at(row, 4)?.unwrap_or_default() };
                Ok((lane, quota))
            })
            .optional()?;
        Ok(found)
    }

    /// Returns the quota of an account that tombstones have, the last to be learned of several.
    fn pruned_quota(&self, endpoint: &str, account: &str) -> Result<Option<LearnedQuota>, JournalError> {
        let mut statement =
            self.conn.prepare_cached("SELECT quotas FROM tombstone WHERE quotas IS NOT NULL ORDER BY tombstone")?;
        let mut found = statement.query([])?;
        let mut last: Option<LearnedQuota> = None;
        while let Some(row) = found.next()? {
            let text = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            let quotas: Vec<PrunedQuota> =
                serde_json::from_str(text).map_err(|error| JournalError::Damaged(error.to_string()))?;
            let of_account = quotas.into_iter().filter(|quota| quota.endpoint == endpoint && quota.account == account);
            for PrunedQuota { per_second, stated, at, .. } in of_account {
                last = last.filter(|last| last.at > at).or(Some(LearnedQuota { per_second, stated, at }));
            }
        }
        Ok(last)
    }

    /// Returns the quotas of which a run is the last that learned one of the account: without it they would be forgotten.
    pub(crate) fn quotas_of_this_run_alone(&self, run: RunKey) -> Result<Vec<PrunedQuota>, JournalError> {
        let mut quotas = Vec::new();
        for LaneRecord { lane, endpoint, account, .. } in self.lanes(run)? {
            let last = self.last_quota(&endpoint, &account)?;
            let of_this = last.filter(|(from, _)| *from == (run, lane));
            if let Some((_, LearnedQuota { per_second, stated, at })) = of_this {
                quotas.push(PrunedQuota { endpoint, account, per_second, stated, at });
            }
        }
        Ok(quotas)
    }

    /// Returns the rest of the waits of each account of a run that has to wait still, as [`CoolDown`] counts it.
    pub fn cooling(&self, run: RunKey, now: Timestamp) -> Result<BTreeMap<LaneId, Duration>, JournalError> {
        let mut statement =
            self.conn.prepare_cached("SELECT lane FROM lane WHERE run = ?1 AND lane > 0 AND cooled_until > ?2")?;
        let found = statement.query_map([run.0, now.as_millisecond()], |row| row.get(0).map(LaneId))?;
        let mut cooling = BTreeMap::new();
        for lane in found {
            let lane = lane?;
            let (cool_down, _) = self.waits_told((run, lane), now)?;
            cooling.insert(lane, cool_down.left(now));
        }
        cooling.retain(|_, left| !left.is_zero());
        Ok(cooling)
    }

    /// Returns the worker that serves each lane since this time, as far as that was recorded: `None` for one that waits for a worker.
    pub fn served(&self, run: RunKey, since: Timestamp) -> Result<BTreeMap<LaneId, Option<String>>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event
             WHERE run = ?1 AND lane = ?2 AND kind = 'lane_served' AND at >= ?3 ORDER BY seq DESC LIMIT 1",
        )?;
        let mut served = BTreeMap::new();
        for LaneRecord { lane, .. } in self.lanes(run)? {
            let told = statement.query_and_then(params![run.0, lane.0, since.as_millisecond()], event)?.next();
            if let Some(EventKind::Lane(LaneEvent::Served { via })) = told.transpose()?.map(|told| told.kind) {
                served.insert(lane, via);
            }
        }
        Ok(served)
    }

    /// Returns the quota of a lane's last event about one, and true if it was stated.
    fn quota_told(&self, (run, lane): LaneKey) -> Result<Option<(f64, bool)>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event
             WHERE run = ?1 AND lane = ?2 AND kind = 'quota_learned' ORDER BY seq DESC LIMIT 1",
        )?;
        let told = statement.query_and_then(params![run.0, lane.0], event)?.next().transpose()?;
        Ok(told.and_then(|told| match told.kind {
            EventKind::Lane(LaneEvent::QuotaLearned { per_second, stated }) => Some((per_second, stated)),
            EventKind::Lane(_) | EventKind::Row(..) | EventKind::Run(_) => None,
        }))
    }

    /// Returns the waits of a lane, from the first of its events that could still hold it, and their latest end in milliseconds
    /// since 1970.
    fn waits_told(&self, lane: LaneKey, now: Timestamp) -> Result<(CoolDown, Option<i64>), JournalError> {
        let (mut cool_down, mut until) = (CoolDown::default(), None);
        let Some(first) = self.first_wait(lane, now)? else { return Ok((cool_down, until)) };
        let sql = format!(
            "SELECT lane, seq, at, kind, row, detail, {GIVES_A_WAIT} FROM event
             WHERE run = ?1 AND lane = ?2 AND seq >= ?3 ORDER BY seq"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut found = statement.query(params![lane.0.0, lane.1.0, first])?;
        while let Some(columns) = found.next()? {
            let at = time_at(columns, 2)?.unwrap_or_default();
            let wait_ms = if flag(columns, 6)? { event(columns)?.kind.wait_ms() } else { None };
            cool_down.add(at, wait_ms);
            until = until.max(wait_ms.map(|wait_ms| wait_ends(at, wait_ms)));
        }
        Ok((cool_down, until))
    }

    /// Returns the number of a lane's first event with a wait that ends after this time. Those before it are over, whatever the clock did
    /// since.
    fn first_wait(&self, (run, lane): LaneKey, now: Timestamp) -> Result<Option<u64>, JournalError> {
        let sql = format!(
            "SELECT lane, seq, at, kind, row, detail FROM event
             WHERE run = ?1 AND lane = ?2 AND {GIVES_A_WAIT} ORDER BY seq"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        for event in statement.query_and_then(params![run.0, lane.0], event)? {
            let event = event?;
            let until = event.kind.wait_ms().map(|wait_ms| wait_ends(event.at, wait_ms));
            if until.is_some_and(|until| until > now.as_millisecond()) {
                return Ok(Some(event.seq));
            }
        }
        Ok(None)
    }

    fn not_as_told(&self, (run, lane): LaneKey, what: &str) -> Result<JournalError, JournalError> {
        let id: String = self.conn.query_row("SELECT id FROM run WHERE run = ?1", [run.0], |row| row.get(0))?;
        Ok(JournalError::Damaged(format!("run {id}, lane {lane}: {what} is not what its events say")))
    }

    /// Returns the rest of the longest wait of this account at this endpoint, in any run: as [`CoolDown`] counts it. Fails if the end of
    /// the waits is not the one in the lane's events.
    pub fn cools_for(&self, endpoint: &str, account: &str, now: Timestamp) -> Result<Duration, JournalError> {
        // By a clock that was never set back, all others are over.
        let mut statement = self.conn.prepare_cached(
            "SELECT run, lane, cooled_until FROM lane WHERE endpoint = ?1 AND account = ?2 AND cooled_until > ?3",
        )?;
        let found = statement.query_map(params![endpoint, account, now.as_millisecond()], |row| {
            Ok(((RunKey(row.get(0)?), LaneId(row.get(1)?)), row.get::<_, i64>(2)?))
        })?;
        let mut cools_for = Duration::ZERO;
        for found in found {
            let (lane, until) = found?;
            let (cool_down, told) = self.waits_told(lane, now)?;
            if told != Some(until) {
                return Err(self.not_as_told(lane, "the wait")?);
            }
            cools_for = cools_for.max(cool_down.left(now));
        }
        Ok(cools_for)
    }
}
