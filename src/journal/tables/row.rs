//! Table `row`: a plan's row and its standing, to and from columns. Nothing else knows the columns by name.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, ToSql, params};

use super::columns::{flag, not_ours, time_at};
use super::written::must_be;
use crate::event::lane::LaneId;
use crate::event::rules::Rules;
use crate::event::verdict::{Ground, Verdict};
use crate::journal::connection::RunKey;
use crate::journal::error::JournalError;
use crate::ledger::standing::{LastWord, Phase, Standing};
use crate::model::state::{SeenState, TargetState};
use crate::model::words::Word;
use crate::model::{Row, RowId, SourceId};
use crate::values::share::Share;

/// Columns from the plan, in the order of [`plan_row`].
pub(in crate::journal) const PLAN: &str = "row, line, source_id, copystate, migrationcycle, expect_copystate,
    expect_migrationcycle, wave, target, name, note, extra, file";
const N_PLAN: usize = 13;

/// Columns of the standing without the rules, which belong to the run. No column says that the last look showed an unknown source:
/// that is read from the events, for the rows where it can matter.
macro_rules! sum {
    () => {
        "standing, verdict, started, attempts, throttled, doubted, looked, before_copystate, before_migrationcycle,
         after_copystate, after_migrationcycle, http_status, error_code, error_msg, request_id, first_sent_at, last_sent_at,
         settled_at, reason, moved_copystate, moved_migrationcycle, last_word, ground,
         CASE WHEN standing = 'due' AND attempts + throttled > 0 AND looked AND NOT doubted
                   AND after_copystate IS NULL AND after_migrationcycle IS NULL THEN
             (SELECT kind = 'row_seen' AND json_valid(detail) AND json_extract(detail, '$.seen') IS NULL FROM event
              WHERE event.run = row.run AND event.row = row.row AND kind IN ('row_seen', 'row_reopened')
              ORDER BY seq DESC LIMIT 1) END"
    };
}

/// Columns of the standing, in the order of [`standing`]. Every query has the run as its first parameter: looked up by that, the
/// rules are found once, and not for each row.
pub(in crate::journal) const STANDING: &str = concat!(sum!(), ", (SELECT rules FROM run WHERE run.run = ?1)");

/// Column that is 1 for a row on target: [`Standing::is_on_target`] when it was stored.
pub(in crate::journal) const ON_TARGET: &str = "on_target";

/// Statement that inserts a row of the plan.
pub(in crate::journal) struct Insert<'a>(CachedStatement<'a>);

impl<'a> Insert<'a> {
    pub(in crate::journal) fn new(conn: &'a Connection) -> rusqlite::Result<Self> {
        let statement = conn.prepare_cached(
            "INSERT INTO row (run, lane, wave_no, row, line, source_id, copystate, migrationcycle, expect_copystate,
                 expect_migrationcycle, wave, target, name, note, extra, sealed_copystate, sealed_migrationcycle, file)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        )?;
        Ok(Self(statement))
    }

    pub(in crate::journal) fn put(
        &mut self,
        run: RunKey,
        lane: LaneId,
        wave_no: u32,
        row: &Row,
        sealed: Option<&SeenState>,
    ) -> Result<(), JournalError> {
        let extra = if row.extra.is_empty() {
            None
        } else {
            Some(serde_json::to_string(&row.extra).expect("pairs of strings are JSON"))
        };
        self.0.execute(params![
            run.0,
            lane.0,
            wave_no,
            row.id.0,
            row.line,
            row.source_id.as_str(),
            word(row.wants.copystate.as_ref()),
            word(row.wants.migrationcycle.as_ref()),
            word(row.expects.copystate.as_ref()),
            word(row.expects.migrationcycle.as_ref()),
            row.wave,
            row.account,
            row.name,
            row.note,
            extra,
            word(sealed.and_then(|seen| seen.copystate.as_ref())),
            word(sealed.and_then(|seen| seen.migrationcycle.as_ref())),
            row.file.as_deref()
        ])?;
        Ok(())
    }
}

/// Marks the canary of each of these waves: as many rows as its share says, taken in turn from its accounts, within an account in
/// turn from families of names (`erp` of `erp-db-01`), and in plan order within a family.
pub(in crate::journal) fn send_ahead(
    conn: &Connection,
    run: RunKey,
    canaries: &[(u32, Share)],
) -> Result<(), JournalError> {
    if canaries.is_empty() {
        return Ok(());
    }
    let mut statement = conn.prepare("SELECT wave_no, count(*) FROM row WHERE run = ?1 GROUP BY 1")?;
    let counts = statement.query_map([run.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let counts: HashMap<u32, u64> = counts.collect::<Result<_, _>>()?;
    let of = |wave_no: &u32, share: &Share| share.rows_of(counts.get(wave_no).copied().unwrap_or(0));
    let sizes: Vec<(u32, u64)> = canaries.iter().map(|(wave_no, share)| (*wave_no, of(wave_no, share))).collect();
    conn.execute(
        "WITH canary AS (
             SELECT json_extract(value, '$[0]') AS wave_no, json_extract(value, '$[1]') AS size FROM json_each(?2)),
         family AS (
             SELECT row, lane, wave_no, size,
                 substr(coalesce(name, ''), 1, instr(coalesce(name, '') || '-', '-') - 1) AS family
             FROM row JOIN canary USING (wave_no) WHERE run = ?1),
         of_family AS (
             SELECT *, row_number() OVER (PARTITION BY wave_no, lane, family ORDER BY row) AS nth_of_family FROM family),
         of_lane AS (
             SELECT *, row_number() OVER (PARTITION BY wave_no, lane ORDER BY nth_of_family, row) AS nth_of_lane
             FROM of_family),
         of_wave AS (
             SELECT row, size, row_number() OVER (PARTITION BY wave_no ORDER BY nth_of_lane, lane) AS nth FROM of_lane)
         UPDATE row SET canary = 1 WHERE run = ?1 AND row IN (SELECT row FROM of_wave WHERE nth <= size)",
        params![run.0, serde_json::to_string(&sizes).expect("numbers are JSON")],
    )?;
    Ok(())
}

pub(in crate::journal) fn load_rules(conn: &Connection, run: RunKey) -> Result<Rules, JournalError> {
    conn.prepare_cached("SELECT rules FROM run WHERE run = ?1")?
        .query_row([run.0], |columns| rules_at(columns, 0))
        .map_err(JournalError::from)
}

/// Statement that reads the standing of a row, prepared once for many rows.
pub(in crate::journal) struct Load<'a> {
    run: RunKey,
    rules: Rules,
    statement: CachedStatement<'a>,
}

impl<'a> Load<'a> {
    pub(in crate::journal) fn new(conn: &'a Connection, run: RunKey, rules: Rules) -> rusqlite::Result<Self> {
        let statement = conn.prepare_cached(concat!("SELECT ", sum!(), ", ?3 FROM row WHERE run = ?1 AND row = ?2"))?;
        Ok(Self { run, rules, statement })
    }

    pub(in crate::journal) fn standing(&mut self, row: RowId) -> Result<Standing, JournalError> {
        let asked = params![self.run.0, row.0, self.rules.name()];
        self.statement.query_row(asked, |columns| standing(columns, 0)).map_err(JournalError::from)
    }
}

/// Columns that any change of a standing may set, and that are in no index.
const SUMS: &str = "standing = ?3, started = ?4, attempts = ?5, throttled = ?6, doubted = ?7, looked = ?8,
    before_copystate = ?9, before_migrationcycle = ?10, after_copystate = ?11, after_migrationcycle = ?12, http_status = ?13,
    error_code = ?14, error_msg = ?15, request_id = ?16, first_sent_at = ?17, last_sent_at = ?18, settled_at = ?19,
    reason = ?20, last_word = ?21";

pub(in crate::journal) fn store_standings(
    conn: &Connection,
    run: RunKey,
    standings: &BTreeMap<RowId, Box<Standing>>,
) -> Result<(), JournalError> {
    // A row that was unsettled and still is keeps its entry in the index of open rows.
    let mut goes_on = conn.prepare_cached(&format!(
        "UPDATE row SET {SUMS} WHERE run = ?1 AND row = ?2 AND verdict IS NULL AND moved_copystate IS NULL
             AND moved_migrationcycle IS NULL"
    ))?;
    let mut changes = conn.prepare_cached(&format!(
        "UPDATE row SET {SUMS}, verdict = ?22, moved_copystate = ?23, moved_migrationcycle = ?24,
             ground = ?25, on_target = ?26 WHERE run = ?1 AND row = ?2"
    ))?;
    for (row, standing) in standings {
        let verdict = match standing.phase {
            Phase::Settled(verdict) => Some(verdict.name()),
            Phase::Untried | Phase::Open | Phase::InDoubt | Phase::Accepted | Phase::Due => None,
        };
        if verdict.is_none() && standing.moved.is_none() {
            bind_sums(&mut goes_on, run, *row, standing)?;
            if goes_on.raw_execute()? == 1 {
                continue;
            }
        }
        let moved = standing.moved.as_ref();
        bind_sums(&mut changes, run, *row, standing)?;
        changes.raw_bind_parameter(22, verdict)?;
        changes.raw_bind_parameter(23, word(moved.and_then(|seen| seen.copystate.as_ref())))?;
        changes.raw_bind_parameter(24, word(moved.and_then(|seen| seen.migrationcycle.as_ref())))?;
        changes.raw_bind_parameter(25, standing.ground.map(Ground::name))?;
        changes.raw_bind_parameter(26, standing.is_on_target())?;
        must_be(1, changes.raw_execute()?, "rows")?;
    }
    Ok(())
}

fn bind_sums(
    statement: &mut rusqlite::Statement<'_>,
    run: RunKey,
    row: RowId,
    standing: &Standing,
) -> rusqlite::Result<()> {
    let before = standing.before.as_ref();
    let after = standing.after.as_ref();
    let values: [&dyn ToSql; 21] = [
        &run.0,
        &row.0,
        &standing.phase.name(),
        &standing.started,
        &standing.attempts,
        &standing.throttled,
        &standing.doubted,
        &standing.looked,
        &word(before.and_then(|seen| seen.copystate.as_ref())),
        &word(before.and_then(|seen| seen.migrationcycle.as_ref())),
        &word(after.and_then(|seen| seen.copystate.as_ref())),
        &word(after.and_then(|seen| seen.migrationcycle.as_ref())),
        &standing.http_status,
        &standing.error_code,
        &standing.error_msg,
        &standing.request_id,
        &standing.first_sent_at.map(Timestamp::as_millisecond),
        &standing.last_sent_at.map(Timestamp::as_millisecond),
        &standing.settled_at.map(Timestamp::as_millisecond),
        &standing.reason,
        &standing.last_word.name(),
    ];
    for (i, value) in (1..).zip(values) {
        statement.raw_bind_parameter(i, value)?;
    }
    Ok(())
}

/// Returns a row and its standing, selected as [`PLAN`], [`STANDING`].
pub(in crate::journal) fn row_and_standing(columns: &rusqlite::Row<'_>) -> rusqlite::Result<(Row, Standing)> {
    Ok((plan_row(columns)?, standing(columns, N_PLAN)?))
}

/// Returns a row, selected as [`PLAN`].
pub(in crate::journal) fn plan_row(columns: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        id: RowId(columns.get(0)?),
        line: columns.get(1)?,
        source_id: SourceId::new(columns.get_ref(2)?.as_str()?).map_err(|error| not_ours(2, error))?,
        wants: TargetState { copystate: word_at(columns, 3)?, migrationcycle: word_at(columns, 4)? },
        expects: TargetState { copystate: word_at(columns, 5)?, migrationcycle: word_at(columns, 6)? },
        wave: columns.get(7)?,
        account: columns.get(8)?,
        name: columns.get(9)?,
        note: columns.get(10)?,
        extra: match columns.get_ref(11)?.as_str_or_null()? {
            Some(json) => serde_json::from_str(json).map_err(|error| not_ours(11, error))?,
            None => Vec::new(),
        },
        file: columns.get_ref(12)?.as_str_or_null()?.map(Into::into),
    })
}

pub(in crate::journal) fn standing(columns: &rusqlite::Row<'_>, from: usize) -> rusqlite::Result<Standing> {
    let verdict = columns.get_ref(from + 1)?.as_str_or_null()?;
    Ok(Standing {
        phase: phase(columns, from, verdict)?,
        started: columns.get(from + 2)?,
        attempts: columns.get(from + 3)?,
        throttled: columns.get(from + 4)?,
        doubted: flag(columns, from + 5)?,
        looked: flag(columns, from + 6)?,
        before: seen_at(columns, from + 7)?,
        after: seen_at(columns, from + 9)?,
        http_status: columns.get(from + 11)?,
        error_code: columns.get(from + 12)?,
        error_msg: columns.get(from + 13)?,
        request_id: columns.get(from + 14)?,
        first_sent_at: time_at(columns, from + 15)?,
        last_sent_at: time_at(columns, from + 16)?,
        settled_at: time_at(columns, from + 17)?,
        reason: columns.get(from + 18)?,
        moved: seen_at(columns, from + 19)?,
        last_word: last_word_at(columns, from + 21)?,
        ground: ground_at(columns, from + 22)?,
        unknown: flag(columns, from + 23)?,
        rules: rules_at(columns, from + 24)?,
    })
}

fn phase(columns: &rusqlite::Row<'_>, at: usize, verdict: Option<&str>) -> rusqlite::Result<Phase> {
    let name = columns.get_ref(at)?.as_str()?;
    phase_named(name, verdict).ok_or_else(|| not_ours(at, std::io::Error::other(format!("unknown standing `{name}`"))))
}

fn last_word_at(columns: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<LastWord> {
    let name = columns.get_ref(at)?.as_str_or_null()?;
    LastWord::named(name).ok_or_else(|| not_ours(at, std::io::Error::other(format!("unknown last word `{name:?}`"))))
}

pub(in crate::journal) fn rules_at(columns: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Rules> {
    let name = columns.get_ref(at)?.as_str()?;
    Rules::named(name).ok_or_else(|| not_ours(at, std::io::Error::other(format!("unknown rules `{name}`"))))
}

pub(in crate::journal) fn ground_at(columns: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Option<Ground>> {
    let Some(name) = columns.get_ref(at)?.as_str_or_null()? else { return Ok(None) };
    let ground = Ground::named(name);
    ground.map(Some).ok_or_else(|| not_ours(at, std::io::Error::other(format!("unknown ground `{name}`"))))
}

fn word(word: Option<&Word>) -> Option<&str> {
    word.map(Word::as_str)
}

fn word_at(columns: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Option<Word>> {
    let Some(text) = columns.get_ref(at)?.as_str_or_null()? else { return Ok(None) };
    let word = Word::new(text);
    // A word is stored in one spelling only.
    if word.as_str() == text {
        Ok(Some(word))
    } else {
        Err(not_ours(at, std::io::Error::other(format!("`{text}` is no word"))))
    }
}

/// Returns a stored state; `None` where both fields are empty, since a read always shows at least one of them.
fn seen_at(columns: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Option<SeenState>> {
    let (copystate, migrationcycle) = (word_at(columns, at)?, word_at(columns, at + 1)?);
    let any = copystate.is_some() || migrationcycle.is_some();
    Ok(any.then_some(SeenState { copystate, migrationcycle }))
}

/// Returns the phase of a stored standing; `None` for a word that only somebody else can have written.
fn phase_named(standing: &str, verdict: Option<&str>) -> Option<Phase> {
    match (standing, verdict) {
        ("untried", None) => Some(Phase::Untried),
        ("open", None) => Some(Phase::Open),
        ("in_doubt", None) => Some(Phase::InDoubt),
        ("accepted", None) => Some(Phase::Accepted),
        ("due", None) => Some(Phase::Due),
        ("settled", Some(verdict)) => Verdict::named(verdict).map(Phase::Settled),
        _ => None,
    }
}
