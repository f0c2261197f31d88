//! Reading the journal back: which runs there are, where one stands, its rows, one row's story.
//!
//! Nothing here holds a plan in memory: rows come in pages or one by one.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::rows::ON_TARGET;
use super::{Journal, JournalError, NewLane, Places, RunKey, rows, wait_ends};
use crate::event::lane::LaneEvent;
use crate::event::rules::Rules;
use crate::event::run::RunEvent;
use crate::event::stored::from_stored_form;
use crate::event::{Event, EventKind, Ground, LaneId, Verdict};
use crate::exit::Exit;
use crate::ledger::{Standing, cause};
use crate::model::{Row, RowId};
use crate::waves::Part;

/// Longest wait for which a service asks, and longest time between two requests for which it has a quota. What is longer stands
/// in the journal, and nobody waits for it.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// A run as table `run` has it.
#[derive(Clone, Debug)]
pub struct RunRecord {
    pub key: RunKey,
    pub id: String,
    pub plan_path: String,
    pub plan_digest: String,
    pub n_rows: u32,
    pub endpoint: String,
    pub account: String,
    pub settings: serde_json::Value,
    pub launches: u32,
    pub running: bool,
    pub pid: Option<u32>,
    pub host: Option<String>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub elapsed_ms: u64,
    pub exit_code: Option<u8>,
    pub exit_name: Option<String>,
    pub exit_reason: Option<String>,
    /// How the events of its rows are added up.
    pub rules: Rules,
}

impl RunRecord {
    /// The digest of the sealed plan that it was begun from, if it was.
    #[must_use]
    pub fn sealing(&self) -> Option<&str> {
        self.settings.pointer("/seal/digest")?.as_str()
    }
}

/// How a run's rows add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Of the unverified, those that nobody wanted proven: they count as on target.
    pub unproven_by_choice: u64,
    pub pending: u64,
    pub in_doubt: u64,
    /// Of those in doubt, the ones that were sent and whose answer is unknown: nobody waits for that any more.
    pub lost: u64,
    pub attempts: u64,
    /// Of the attempts, those whose end is not recorded: on the wire, or not even that yet.
    pub open: u64,
    pub throttled: u64,
}

impl Tally {
    #[must_use]
    pub fn on_target(&self) -> u64 {
        self.of(Verdict::Applied) + self.of(Verdict::Already) + self.unproven_by_choice
    }

    /// How a run ends of which nothing is left to do.
    #[must_use]
    pub(crate) fn finished(&self) -> Exit {
        if self.on_target() == self.n_rows() { Exit::Done } else { Exit::NotOnTarget }
    }

    #[must_use]
    pub fn n_rows(&self) -> u64 {
        self.settled() + self.unsettled()
    }

    #[must_use]
    pub fn of(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or(0)
    }

    #[must_use]
    pub fn settled(&self) -> u64 {
        self.verdicts.values().sum()
    }

    #[must_use]
    pub fn unsettled(&self) -> u64 {
        self.pending + self.in_doubt
    }
}

/// Which rows a page of rows is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Without a verdict, in one lane and wave.
    Unsettled {
        lane: LaneId,
        wave_no: u32,
        part: Part,
    },
    /// Begun and without a verdict, in one lane and any wave.
    InDoubt {
        lane: LaneId,
    },
    /// Not on target, settled or not.
    OffTarget,
    All,
}

pub(super) const RUN: &str =
    "run, id, plan_path, plan_digest, n_rows, endpoint, account, settings, launches, running, pid, host,
    started_at, ended_at, elapsed_ms, exit_code, exit_name, exit_reason, created_at, rules";

impl Journal {
    /// Whatever is read meanwhile is of one instant, also while another process writes.
    pub fn at_one_instant<T, E: From<JournalError>>(&self, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if !self.conn.is_autocommit() {
            // Within such an instant already.
            return read();
        }
        // Begun by the first read; dropped without a commit, for there is nothing to commit.
        let _snapshot = self.conn.unchecked_transaction().map_err(JournalError::from)?;
        read()
    }

    /// Newest first.
    pub fn runs(&self) -> Result<Vec<RunRecord>, JournalError> {
        let mut statement = self.conn.prepare_cached(&format!("SELECT {RUN} FROM run ORDER BY run DESC"))?;
        let runs = statement.query_map([], run_record)?;
        runs.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    pub fn run(&self, key: RunKey) -> Result<RunRecord, JournalError> {
        let mut statement = self.conn.prepare_cached(&format!("SELECT {RUN} FROM run WHERE run = ?1"))?;
        statement.query_row([key.0], run_record).map_err(JournalError::from)
    }

    /// The run of this id, or of the one id that begins so.
    pub fn find_run(&self, prefix: &str) -> Result<RunRecord, JournalError> {
        if prefix.is_empty() {
            // The value of a variable that is not set names no run.
            return Err(JournalError::UnknownRun(String::new()));
        }
        let mut statement = self
            .conn
            .prepare_cached(&format!("SELECT {RUN} FROM run WHERE substr(id, 1, length(?1)) = ?1 ORDER BY run DESC"))?;
        let mut found: Vec<RunRecord> = statement.query_map([prefix], run_record)?.collect::<Result<_, _>>()?;
        if let Some(exact) = found.iter().position(|run| run.id == prefix) {
            return Ok(found.swap_remove(exact));
        }
        match found.len() {
            0 => Err(JournalError::UnknownRun(prefix.to_owned())),
            1 => Ok(found.swap_remove(0)),
            _ => Err(JournalError::AmbiguousRun {
                prefix: prefix.to_owned(),
                candidates: found.into_iter().map(|run| run.id).collect(),
            }),
        }
    }

    /// The runs of this plan at these endpoints and accounts, whatever is left of them, the newest first.
    pub(crate) fn of_plan(&self, digest: &str, lanes: &[NewLane]) -> Result<Vec<RunRecord>, JournalError> {
        let Places { endpoint, account } = Places::of(lanes);
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {RUN} FROM run WHERE plan_digest = ?1 AND endpoint = ?2 AND account = ?3 ORDER BY run DESC"
        ))?;
        let runs = statement.query_map(params![digest, endpoint, account], run_record)?;
        runs.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// The runs of this plan at these endpoints and accounts that still have something to settle, or were cut off before
    /// they were closed, the newest first.
    pub fn unfinished(&self, digest: &str, lanes: &[NewLane]) -> Result<Vec<RunRecord>, JournalError> {
        let Places { endpoint, account } = Places::of(lanes);
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {RUN} FROM run WHERE plan_digest = ?1 AND endpoint = ?2 AND account = ?3
               AND (running = 1 OR EXISTS (SELECT 1 FROM row WHERE row.run = run.run AND row.verdict IS NULL))
             ORDER BY run DESC"
        ))?;
        let runs = statement.query_map(params![digest, endpoint, account], run_record)?;
        runs.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// The quota learned last at this endpoint by this account, whichever run learned it. It is held against the lane's events,
    /// and one that no service has is none.
    pub fn learned_quota(&self, endpoint: &str, account: &str) -> Result<Option<LearnedQuota>, JournalError> {
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
                let quota = LearnedQuota { per_second, stated, at: rows::time_at(row, 4)?.unwrap_or_default() };
                Ok((lane, quota))
            })
            .optional()?;
        let Some((lane, quota)) = found else { return Ok(None) };
        // Its age makes it doubted sooner or later, and no more.
        let told = self.quota_told(lane)?;
        let is_told = told.is_some_and(|(per_second, stated)| {
            per_second.total_cmp(&quota.per_second).is_eq() && stated == quota.stated
        });
        if !is_told {
            return Err(self.not_as_told(lane, "the quota learned")?);
        }
        Ok(Some(quota).filter(|quota| quota.is_sensible()))
    }

    /// The quota that the events of a lane told last, and whether it was stated.
    fn quota_told(&self, (run, lane): (RunKey, LaneId)) -> Result<Option<(f64, bool)>, JournalError> {
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

    /// The latest end of a wait that the events of a lane tell, in milliseconds.
    fn wait_told(&self, (run, lane): (RunKey, LaneId)) -> Result<Option<i64>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event
             WHERE run = ?1 AND lane = ?2 AND kind IN ('attempt_ended', 'read_throttled')
                 AND detail LIKE '%\"retry_after_ms\"%'",
        )?;
        let mut until = None;
        for event in statement.query_and_then(params![run.0, lane.0], event)? {
            let Event { at, kind, .. } = event?;
            until = until.max(kind.asked_wait_ms().map(|wait| wait_ends(at, wait)));
        }
        Ok(until)
    }

    fn not_as_told(&self, (run, lane): (RunKey, LaneId), what: &str) -> Result<JournalError, JournalError> {
        let id: String = self.conn.query_row("SELECT id FROM run WHERE run = ?1", [run.0], |row| row.get(0))?;
        Ok(JournalError::Damaged(format!("run {id}, lane {lane}: {what} is not what its events say")))
    }

    /// The rest of the wait that a launch was told at this endpoint by this account, whichever run it carried. A clock that
    /// was set back makes it no longer: it is at least as late as when the lane's last event was recorded. It is held against
    /// the lane's events, and one for which no service asks is none.
    pub fn cools_for(&self, endpoint: &str, account: &str, now: Timestamp) -> Result<Duration, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT run, lane, cooled_until,
                 max(?3, coalesce((SELECT at FROM event WHERE event.run = lane.run AND event.lane = lane.lane
                                   ORDER BY seq DESC LIMIT 1), ?3))
             FROM lane WHERE endpoint = ?1 AND account = ?2 AND cooled_until > ?3",
        )?;
        let found = statement.query_map(params![endpoint, account, now.as_millisecond()], |row| {
            Ok(((RunKey(row.get(0)?), LaneId(row.get(1)?)), row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
        })?;
        let mut cools_for = Duration::ZERO;
        for found in found {
            let (lane, until, from) = found?;
            let left = Duration::from_millis(u64::try_from(until.saturating_sub(from)).unwrap_or(0));
            if left.is_zero() {
                continue;
            }
            if self.wait_told(lane)? != Some(until) {
                return Err(self.not_as_told(lane, "the wait that was asked for")?);
            }
            if left <= LONGEST_WAIT {
                cools_for = cools_for.max(left);
            }
        }
        Ok(cools_for)
    }

    pub fn tally(&self, run: RunKey) -> Result<Tally, JournalError> {
        Ok(self.sums(run)?.tally)
    }

    /// How the rows add up: all of them, wave by wave and lane by lane. Each row is read once, and nothing is sorted.
    pub fn sums(&self, run: RunKey) -> Result<Sums, JournalError> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT lane, wave_no, wave, verdict, standing IN ('open', 'in_doubt', 'accepted'), attempts, throttled,
                 {ON_TARGET}, standing = 'open', ground, error_code, http_status, standing = 'in_doubt'
             FROM row WHERE run = ?1"
        ))?;
        let mut found = statement.query([run.0])?;
        let mut tally = Tally::default();
        let mut waves = BTreeMap::<u32, WaveTally>::new();
        let mut lanes = BTreeMap::<LaneId, LaneTally>::new();
        let mut mixed = Mixed::default();
        while let Some(row) = found.next()? {
            let lane = LaneId(row.get(0)?);
            let verdict = row.get_ref(3)?.as_str_or_null().map_err(rusqlite::Error::from)?;
            let (settled, on_target) = (u64::from(verdict.is_some()), u64::from(row.get::<_, bool>(7)?));
            tally.attempts += row.get::<_, u64>(5)?;
            tally.open += row.get::<_, u64>(8)?;
            tally.throttled += row.get::<_, u64>(6)?;
            match verdict {
                Some(name) => {
                    let verdict = Verdict::named(name)
                        .ok_or_else(|| JournalError::Damaged(format!("unknown verdict `{name}`")))?;
                    *tally.verdicts.entry(verdict).or_default() += 1;
                    if verdict == Verdict::Unverified {
                        tally.unproven_by_choice += on_target;
                    }
                    if on_target == 0 {
                        mixed.add(verdict, row)?;
                    }
                }
                None if row.get(4)? => {
                    tally.in_doubt += 1;
                    tally.lost += row.get::<_, u64>(12)?;
                }
                None => tally.pending += 1,
            }
            let of_wave = match waves.entry(row.get(1)?) {
                Entry::Occupied(wave) => wave.into_mut(),
                Entry::Vacant(new) => new.insert(WaveTally { wave: row.get(2)?, rows: 0, settled: 0, on_target: 0 }),
            };
            of_wave.rows += 1;
            of_wave.settled += settled;
            of_wave.on_target += on_target;
            let of_lane = lanes.entry(lane).or_insert(LaneTally { lane, rows: 0, settled: 0, on_target: 0 });
            of_lane.rows += 1;
            of_lane.settled += settled;
            of_lane.on_target += on_target;
        }
        tally.throttled += self
            .conn
            .prepare_cached("SELECT coalesce(sum(throttled), 0) FROM lane WHERE run = ?1")?
            .query_row([run.0], |row| row.get::<_, u64>(0))?;
        // What nobody wanted proven is on target, and `--only unverified` means it all the same.
        if tally.unproven_by_choice > 0 && tally.unproven_by_choice < tally.of(Verdict::Unverified) {
            mixed.are_several(Verdict::Unverified);
        }
        let (waves, lanes) = (waves.into_values().collect(), lanes.into_values().collect());
        Ok(Sums { tally, waves, lanes, mixed: mixed.several })
    }

    /// Verdict, code and text of rows not on target, most frequent first: what a person must look at.
    pub fn causes(&self, run: RunKey, limit: u32) -> Result<Vec<Cause>, JournalError> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT verdict, error_code, coalesce(reason, error_msg, ''), count(*), min(source_id), ground, http_status
             FROM row
             WHERE run = ?1 AND verdict IS NOT NULL AND NOT {ON_TARGET}
             GROUP BY 1, 2, 3, 6, 7 ORDER BY 4 DESC, 1, 2, 3, 6, 7 LIMIT ?2"
        ))?;
        let causes = statement.query_map(params![run.0, limit], |row| {
            let (error_code, ground) = (row.get::<_, Option<String>>(1)?, rows::ground_at(row, 5)?);
            Ok(Cause {
                n_alike: 0,
                verdict: row.get(0)?,
                cause: cause::word(ground, error_code.as_deref(), row.get(6)?),
                error_code,
                text: row.get(2)?,
                n_rows: row.get(3)?,
                example: row.get(4)?,
                ground,
            })
        })?;
        let mut causes: Vec<Cause> = causes.collect::<Result<_, _>>()?;
        let alike = self.n_alike(run)?;
        for cause in &mut causes {
            let of_word = alike.get(&(cause.verdict.clone(), cause.cause.clone()));
            cause.n_alike = of_word.copied().unwrap_or(cause.n_rows);
        }
        Ok(causes)
    }

    /// Rows not on target, by verdict and the word for their cause.
    fn n_alike(&self, run: RunKey) -> Result<BTreeMap<(String, String), u64>, JournalError> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT verdict, ground, error_code, http_status, count(*) FROM row
             WHERE run = ?1 AND verdict IS NOT NULL AND NOT {ON_TARGET} GROUP BY 1, 2, 3, 4"
        ))?;
        let mut found = statement.query([run.0])?;
        let mut alike = BTreeMap::new();
        while let Some(row) = found.next()? {
            let code = row.get_ref(2)?.as_str_or_null().map_err(rusqlite::Error::from)?;
            let word = cause::word(rows::ground_at(row, 1)?, code, row.get(3)?);
            *alike.entry((row.get(0)?, word)).or_default() += row.get::<_, u64>(4)?;
        }
        Ok(alike)
    }

    /// Every event that is about no row, in the order of time.
    pub fn for_each_event_of_lanes(
        &self,
        run: RunKey,
        mut each: impl FnMut(Timestamp, &EventKind),
    ) -> Result<(), JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event WHERE run = ?1 AND row IS NULL ORDER BY at, lane, seq",
        )?;
        let mut found = statement.query([run.0])?;
        while let Some(columns) = found.next()? {
            let event = event(columns)?;
            each(event.at, &event.kind);
        }
        Ok(())
    }

    /// Of these sources, the rows that this lane has.
    pub fn rows_among<'a>(
        &self,
        run: RunKey,
        lane: LaneId,
        sources: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<(Row, Standing)>, JournalError> {
        let sql = format!(
            "SELECT {}, {} FROM row INDEXED BY row_source WHERE run = ?1 AND source_id = ?2 COLLATE NOCASE AND lane = ?3",
            rows::PLAN,
            rows::STANDING
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        // One lock for all of them.
        self.at_one_instant(|| {
            let mut found = Vec::new();
            for source in sources {
                let row = statement.query_row(params![run.0, source, lane.0], rows::row_and_standing).optional()?;
                found.extend(row);
            }
            Ok(found)
        })
    }

    pub fn count_unsettled(&self, run: RunKey) -> Result<u64, JournalError> {
        self.conn
            .prepare_cached("SELECT count(*) FROM row INDEXED BY row_open WHERE run = ?1 AND verdict IS NULL")?
            .query_row([run.0], |row| row.get(0))
            .map_err(JournalError::from)
    }

    /// Tells whether rows are without a verdict; to count them takes a walk over all.
    pub fn has_unsettled(&self, run: RunKey) -> Result<bool, JournalError> {
        self.conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM row INDEXED BY row_open WHERE run = ?1 AND verdict IS NULL)")?
            .query_row([run.0], |row| row.get(0))
            .map_err(JournalError::from)
    }

    pub fn count_unsettled_in(&self, run: RunKey, lane: LaneId) -> Result<u64, JournalError> {
        self.conn
            .prepare_cached(
                "SELECT count(*) FROM row INDEXED BY row_open WHERE run = ?1 AND lane = ?2 AND verdict IS NULL",
            )?
            .query_row(params![run.0, lane.0], |row| row.get(0))
            .map_err(JournalError::from)
    }

    /// The accounts of a run, in the order of lanes; the run's own lane is not among them.
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
                stated: rows::flag(row, 4)?,
                stopped: row.get(5)?,
                learned_at: rows::time_at(row, 8)?,
                cooled_until: rows::time_at(row, 9)?,
            })
        })?;
        lanes.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// The rows that were begun, and of which no change has left.
    pub fn begun_and_unsent(&self, run: RunKey) -> Result<HashSet<RowId>, JournalError> {
        let mut statement =
            self.conn.prepare_cached("SELECT row FROM row WHERE run = ?1 AND started > 0 AND attempts = 0")?;
        let found = statement.query_map([run.0], |row| Ok(RowId(row.get(0)?)))?;
        found.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// How the last launch began.
    pub fn last_launch(&self, run: RunKey) -> Result<Option<Event>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event
             WHERE run = ?1 AND lane = 0 AND kind = 'launch_began' ORDER BY seq DESC LIMIT 1",
        )?;
        let mut found = statement.query([run.0])?;
        found.next()?.map(event).transpose()
    }

    /// How launches and their stages began, the last one first.
    pub fn launches_back(&self, run: RunKey) -> Result<Vec<Event>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event
             WHERE run = ?1 AND lane = 0 AND kind IN ('launch_began', 'stage_began') ORDER BY seq DESC",
        )?;
        let found = statement.query_and_then([run.0], event)?;
        found.collect()
    }

    /// What the launch that made a run was given by hand, and what nobody said in journals of earlier versions: where it goes,
    /// if that is one place. It is meant where no launch of it began.
    pub fn given_at_first(&self, run: RunKey) -> Result<BTreeMap<String, String>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event WHERE run = ?1 AND lane = 0 AND seq = 1",
        )?;
        let first = statement.query_and_then([run.0], event)?.next().transpose()?;
        let Some(EventKind::Run(RunEvent::Started { mut given, .. })) = first.map(|first| first.kind) else {
            return Ok(BTreeMap::new());
        };
        if let (true, [lane]) = (given.is_empty(), &self.lanes(run)?[..])
            && lane.endpoint != "sandbox"
        {
            given.insert("endpoint".to_owned(), lane.endpoint.clone());
        }
        Ok(given)
    }

    /// When the newest event was written.
    pub fn last_event_at(&self, run: RunKey) -> Result<Option<Timestamp>, JournalError> {
        let ms: Option<i64> = self
            .conn
            .prepare_cached("SELECT max(event.at) FROM lane JOIN event USING (run, lane, seq) WHERE lane.run = ?1")?
            .query_row([run.0], |row| row.get(0))?;
        Ok(ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()))
    }

    /// The names of the columns that a plan has and we do not know, in order of first appearance.
    pub fn extra_columns(&self, run: RunKey) -> Result<Vec<String>, JournalError> {
        let mut statement =
            self.conn.prepare_cached("SELECT row, extra FROM row WHERE run = ?1 AND extra IS NOT NULL ORDER BY row")?;
        let mut found = statement.query([run.0])?;
        // Of each, the first row that has it, and the foremost place that it has in any.
        let mut names = BTreeMap::<String, (u32, usize)>::new();
        while let Some(columns) = found.next()? {
            let pairs = columns.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            let pairs: Vec<Pair<'_>> =
                serde_json::from_str(pairs).map_err(|error| JournalError::Damaged(error.to_string()))?;
            for (place, Pair(name, _)) in pairs.into_iter().enumerate() {
                match names.get_mut(&*name) {
                    Some((_, foremost)) => *foremost = place.min(*foremost),
                    None => _ = names.insert(name.into_owned(), (columns.get(0)?, place)),
                }
            }
        }
        let mut names: Vec<(String, (u32, usize))> = names.into_iter().collect();
        names.sort_by_key(|(_, appears)| *appears);
        Ok(names.into_iter().map(|(name, _)| name).collect())
    }

    /// Up to five source ids that begin like this one, or else have it within, or else share its first half.
    pub fn sources_like(&self, run: RunKey, source: &str) -> Result<Vec<String>, JournalError> {
        let whole = escaped_for_like(source);
        let half: String = source.chars().take(source.chars().count().div_ceil(2)).collect();
        let mut statement = self.conn.prepare_cached(
            "SELECT source_id FROM row WHERE run = ?1 AND source_id LIKE ?2 ESCAPE '\\' ORDER BY row LIMIT 5",
        )?;
        for pattern in [format!("{whole}%"), format!("%{whole}%"), escaped_for_like(&half) + "%"] {
            let sources = statement.query_map(params![run.0, pattern], |row| row.get(0))?;
            let sources: Vec<String> = sources.collect::<Result<_, _>>()?;
            if !sources.is_empty() {
                return Ok(sources);
            }
        }
        Ok(Vec::new())
    }

    /// The next rows after one, in plan order.
    pub fn page(
        &self,
        run: RunKey,
        which: Which,
        after: Option<RowId>,
        limit: u32,
    ) -> Result<Vec<(Row, Standing)>, JournalError> {
        let off_target = format!("?4 = ?5 AND NOT {ON_TARGET}");
        let (condition, lane, wave_no) = match which {
            Which::Unsettled { lane, wave_no, part: Part::Canary } => {
                ("lane = ?4 AND wave_no = ?5 AND canary = 1 AND verdict IS NULL", lane.0, wave_no)
            }
            Which::Unsettled { lane, wave_no, part: Part::Rest } => {
                ("lane = ?4 AND wave_no = ?5 AND canary = 0 AND verdict IS NULL", lane.0, wave_no)
            }
            Which::InDoubt { lane } => {
                ("lane = ?4 AND ?5 = 0 AND verdict IS NULL AND standing IN ('open', 'in_doubt', 'accepted')", lane.0, 0)
            }
            Which::OffTarget => (off_target.as_str(), 0, 0),
            Which::All => ("?4 = ?5", 0, 0),
        };
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {}, {} FROM row WHERE run = ?1 AND row > ?2 AND {condition} ORDER BY row LIMIT ?3",
            rows::PLAN,
            rows::STANDING
        ))?;
        let after = after.map_or(0, |row| row.0);
        let page = statement.query_map(params![run.0, after, limit, lane, wave_no], rows::row_and_standing)?;
        page.collect::<Result<_, _>>().map_err(JournalError::from)
    }

    /// Every row in plan order, one at a time.
    pub fn for_each_row<E: From<JournalError>>(
        &self,
        run: RunKey,
        each: impl FnMut(Row, Standing) -> Result<(), E>,
    ) -> Result<(), E> {
        self.for_each_row_among(run, RowId(0)..=RowId(u32::MAX), each)
    }

    /// The last row of the plan.
    pub fn last_row(&self, run: RunKey) -> Result<Option<RowId>, JournalError> {
        let mut statement = self.conn.prepare_cached("SELECT max(row) FROM row WHERE run = ?1")?;
        let last: Option<u32> = statement.query_row([run.0], |row| row.get(0))?;
        Ok(last.map(RowId))
    }

    /// Every row among these in plan order, one at a time.
    pub fn for_each_row_among<E: From<JournalError>>(
        &self,
        run: RunKey,
        rows: RangeInclusive<RowId>,
        mut each: impl FnMut(Row, Standing) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = format!(
            "SELECT {}, {} FROM row WHERE run = ?1 AND row BETWEEN ?2 AND ?3 ORDER BY row",
            rows::PLAN,
            rows::STANDING
        );
        let mut statement = self.conn.prepare_cached(&sql).map_err(JournalError::from)?;
        let among = params![run.0, rows.start().0, rows.end().0];
        let mut found = statement.query(among).map_err(JournalError::from)?;
        while let Some(columns) = found.next().map_err(JournalError::from)? {
            let (row, standing) = rows::row_and_standing(columns).map_err(JournalError::from)?;
            each(row, standing)?;
        }
        Ok(())
    }

    /// Every row, the last of the last wave first, one at a time.
    pub fn for_each_row_backwards<E: From<JournalError>>(
        &self,
        run: RunKey,
        mut each: impl FnMut(Row, Standing) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = format!(
            "SELECT {}, {} FROM row WHERE run = ?1 ORDER BY wave_no DESC, canary, row DESC",
            rows::PLAN,
            rows::STANDING
        );
        let mut statement = self.conn.prepare_cached(&sql).map_err(JournalError::from)?;
        let mut found = statement.query([run.0]).map_err(JournalError::from)?;
        while let Some(columns) = found.next().map_err(JournalError::from)? {
            let (row, standing) = rows::row_and_standing(columns).map_err(JournalError::from)?;
            each(row, standing)?;
        }
        Ok(())
    }

    /// The row of this id, in whatever case it is spelled. Of two spellings in an older journal, this very one goes first.
    pub fn row_of_source(&self, run: RunKey, source: &str) -> Result<Option<(Row, Standing)>, JournalError> {
        let sql = format!(
            "SELECT {}, {} FROM row INDEXED BY row_source WHERE run = ?1 AND source_id = ?2 COLLATE NOCASE
             ORDER BY source_id <> ?2 LIMIT 1",
            rows::PLAN,
            rows::STANDING
        );
        self.conn
            .prepare_cached(&sql)?
            .query_row(params![run.0, source], rows::row_and_standing)
            .optional()
            .map_err(JournalError::from)
    }

    /// For each of these sources the row that this lane has of it, if that is without a verdict.
    pub fn unsettled_among<'a>(
        &self,
        run: RunKey,
        lane: LaneId,
        sources: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Option<(Row, Standing)>>, JournalError> {
        let sql = format!(
            "SELECT {}, {} FROM row INDEXED BY row_source
             WHERE run = ?1 AND source_id = ?2 COLLATE NOCASE AND lane = ?3 AND verdict IS NULL",
            rows::PLAN,
            rows::STANDING
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        self.at_one_instant(|| {
            let mut of =
                |source| Ok(statement.query_row(params![run.0, source, lane.0], rows::row_and_standing).optional()?);
            sources.into_iter().map(&mut of).collect()
        })
    }

    /// One row's events, in order.
    pub fn events_of_row(&self, run: RunKey, row: RowId) -> Result<Vec<Event>, JournalError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, seq, at, kind, row, detail FROM event WHERE run = ?1 AND row = ?2 ORDER BY seq",
        )?;
        let mut found = statement.query(params![run.0, row.0])?;
        let mut events = Vec::new();
        while let Some(columns) = found.next()? {
            events.push(event(columns)?);
        }
        Ok(events)
    }
}

/// How the rows of a run add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    pub tally: Tally,
    /// In the order in which waves run.
    pub waves: Vec<WaveTally>,
    /// In the order of lanes.
    pub lanes: Vec<LaneTally>,
    /// Verdicts that rows have for more than one cause, which are then to be named. What somebody skipped has a name of its
    /// own.
    pub mixed: Vec<Verdict>,
}

/// Whether rows of a verdict differ in their cause.
#[derive(Default)]
struct Mixed {
    first: BTreeMap<Verdict, String>,
    several: Vec<Verdict>,
}

impl Mixed {
    /// A row as [`Journal::sums`] reads it.
    fn add(&mut self, verdict: Verdict, columns: &rusqlite::Row<'_>) -> rusqlite::Result<()> {
        let ground = rows::ground_at(columns, 9)?;
        if ground == Some(Ground::Skipped) || self.several.contains(&verdict) {
            return Ok(());
        }
        let cause = cause::word(ground, columns.get_ref(10)?.as_str_or_null()?, columns.get(11)?);
        match self.first.get(&verdict) {
            None => _ = self.first.insert(verdict, cause),
            Some(first) if *first == cause => (),
            Some(_) => self.are_several(verdict),
        }
        Ok(())
    }

    fn are_several(&mut self, verdict: Verdict) {
        if !self.several.contains(&verdict) {
            self.several.push(verdict);
        }
    }
}

/// How the rows of one wave add up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaveTally {
    pub wave: Option<String>,
    pub rows: u64,
    pub settled: u64,
    pub on_target: u64,
}

/// One account at one endpoint, as table `lane` has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LaneRecord {
    pub lane: LaneId,
    pub name: String,
    pub endpoint: String,
    pub account: String,
    /// Reads that met the quota.
    pub throttled: u64,
    /// The quota learned.
    pub per_second: Option<f64>,
    /// The figure stood in the service's text.
    pub stated: bool,
    /// Why the lane was stopped.
    pub stopped: Option<String>,
    /// When the quota was learned.
    #[serde(skip)]
    pub learned_at: Option<Timestamp>,
    /// The latest end of a wait that the service asked for.
    #[serde(skip)]
    pub cooled_until: Option<Timestamp>,
}

/// A quota, and when it was learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearnedQuota {
    pub per_second: f64,
    /// The figure stood in the service's text.
    pub stated: bool,
    pub at: Timestamp,
}

impl LearnedQuota {
    /// Some service may have it: at least one request in the longest wait.
    fn is_sensible(self) -> bool {
        self.per_second.is_finite() && self.per_second * LONGEST_WAIT.as_secs_f64() >= 1.0
    }
}

/// How the rows of one lane add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneTally {
    pub lane: LaneId,
    pub rows: u64,
    pub settled: u64,
    pub on_target: u64,
}

/// Rows that are not on target for one and the same cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    pub verdict: String,
    /// The word for it: `retry --only VERDICT:CAUSE` opens the rows again that have it.
    pub cause: String,
    pub error_code: Option<String>,
    pub text: String,
    #[serde(rename = "rows")]
    pub n_rows: u64,
    /// Rows of its verdict with the same word, whatever their texts: a command for it takes all of them.
    #[serde(skip)]
    pub n_alike: u64,
    pub example: String,
    #[serde(skip)]
    pub ground: Option<Ground>,
}

/// The name of a column that we do not know, and its value, which is passed over.
#[derive(Deserialize)]
struct Pair<'a>(#[serde(borrow)] Cow<'a, str>, IgnoredAny);

/// Selected as `lane, seq, at, kind, row, detail`.
pub(super) fn event(columns: &rusqlite::Row<'_>) -> Result<Event, JournalError> {
    let (lane, seq): (u32, u64) = (columns.get(0)?, columns.get(1)?);
    let text = |at| columns.get_ref(at)?.as_str().map_err(rusqlite::Error::from);
    let kind = from_stored_form(text(3)?, columns.get(4)?, text(5)?)
        .map_err(|error| JournalError::Damaged(format!("event {seq} of lane {lane}: {error}")))?;
    let at = Timestamp::from_millisecond(columns.get(2)?).map_err(|error| JournalError::Damaged(error.to_string()))?;
    Ok(Event { lane: LaneId(lane), seq, at, kind })
}

pub(super) fn escaped_for_like(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// A run's id, as it is made and as it is read. It becomes part of the names of files and of commands to type: whatever else
/// stands there was written by somebody else.
fn run_id(id: String) -> rusqlite::Result<String> {
    if is_run_id(&id) {
        return Ok(id);
    }
    let bad = format!("`{id}` cannot be the id of a run");
    Err(rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, bad.into()))
}

/// `[0-9a-z-]{1,40}`, and nothing that begins like a flag.
fn is_run_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase() || byte == b'-';
    (1..=40).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('-')
}

pub(super) fn run_record(row: &rusqlite::Row<'_>) -> rusqlite::Result<RunRecord> {
    let time = |at: usize| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row.get::<_, Option<i64>>(at)?.and_then(|ms| Timestamp::from_millisecond(ms).ok()))
    };
    let settings: String = row.get(7)?;
    Ok(RunRecord {
        key: RunKey(row.get(0)?),
        id: run_id(row.get(1)?)?,
        plan_path: row.get(2)?,
        plan_digest: row.get(3)?,
        n_rows: row.get(4)?,
        endpoint: row.get(5)?,
        account: row.get(6)?,
        settings: serde_json::from_str(&settings).unwrap_or(serde_json::Value::Null),
        launches: row.get(8)?,
        running: rows::flag(row, 9)?,
        pid: row.get(10)?,
        host: row.get(11)?,
        created_at: rows::time_at(row, 18)?.unwrap_or_default(),
        started_at: time(12)?,
        ended_at: time(13)?,
        elapsed_ms: row.get(14)?,
        exit_code: row.get(15)?,
        exit_name: row.get(16)?,
        exit_reason: row.get(17)?,
        rules: rows::rules_at(row, 19)?,
    })
}
