//! Projection of stamped events to the tables `event`, `row`, `lane`, `run` and `control`, so that readers need not fold events.

use rusqlite::{Connection, params};

use super::connection::RunKey;
use super::error::JournalError;
use super::loaded::Loaded;
use super::stamped::Stamped;
use super::tables::lane::{store_head, wait_ends};
use super::tables::{event, row};
use crate::control::{By, Command};
use crate::event::Event;
use crate::event::kind::EventKind;
use crate::event::lane::LaneEvent;
use crate::event::run::RunEvent;

/// Writes a batch: its stamped events, the sums of run and lanes that they change, and the rows and heads as they are after it.
pub(super) fn project(
    conn: &Connection,
    run: RunKey,
    stamped: &Stamped,
    events: &[Event],
    known: &Loaded,
) -> Result<(), JournalError> {
    event::insert(conn, run, stamped)?;
    events.iter().try_for_each(|event| fold_into_run(conn, run, event))?;
    row::store_standings(conn, run, &known.standings)?;
    known.heads.iter().try_for_each(|(lane, head)| store_head(conn, run, *lane, head))
}

/// Updates the sums in `run` and `lane`, so that `status` need not fold events.
fn fold_into_run(conn: &Connection, run: RunKey, event: &Event) -> Result<(), JournalError> {
    if let Some(wait) = event.kind.wait_ms() {
        cool(conn, run, event, wait)?;
    }
    match &event.kind {
        EventKind::Row(..) => Ok(()),
        EventKind::Lane(what) => fold_lane(conn, run, event, what),
        EventKind::Run(what) => fold_run(conn, run, event.at.as_millisecond(), what),
    }
}

fn fold_lane(conn: &Connection, run: RunKey, event: &Event, what: &LaneEvent) -> Result<(), JournalError> {
    match what {
        LaneEvent::QuotaLearned { per_second, stated } => conn.execute(
            "UPDATE lane SET per_second = ?3, stated = ?4, learned_at = ?5 WHERE run = ?1 AND lane = ?2",
            params![run.0, event.lane.0, per_second, stated, event.at.as_millisecond()],
        )?,
        LaneEvent::ReadThrottled { .. } => conn.execute(
            "UPDATE lane SET throttled = throttled + 1 WHERE run = ?1 AND lane = ?2",
            params![run.0, event.lane.0],
        )?,
        LaneEvent::CoolDownBegan { .. } | LaneEvent::Served { .. } => 0,
        LaneEvent::Stopped { message, cause: _ } => conn.execute(
            "UPDATE lane SET stopped = ?3 WHERE run = ?1 AND lane = ?2",
            params![run.0, event.lane.0, message],
        )?,
    };
    Ok(())
}

fn fold_run(conn: &Connection, run: RunKey, at_ms: i64, what: &RunEvent) -> Result<(), JournalError> {
    match what {
        RunEvent::LaunchBegan { launch, pid, host, cut_off_ms, .. } => {
            // A lane that stopped in an earlier launch is tried again.
            conn.execute("UPDATE lane SET stopped = NULL WHERE run = ?1", [run.0])?;
            conn.execute(
                "UPDATE run SET launches = ?2, running = 1, pid = ?3, host = ?4, started_at = coalesce(started_at, ?5),
                 elapsed_ms = elapsed_ms + ?6, ended_at = NULL, exit_code = NULL, exit_name = NULL, exit_reason = NULL WHERE run = ?1",
                params![run.0, launch, pid, host, at_ms, cut_off_ms],
            )?
        }
        RunEvent::LaunchEnded { exit, reason, elapsed_ms, refusal: _ } => conn.execute(
            "UPDATE run SET running = 0, ended_at = ?2, elapsed_ms = elapsed_ms + ?3, exit_code = ?4, exit_name = ?5,
                 exit_reason = ?6 WHERE run = ?1",
            params![run.0, at_ms, elapsed_ms, exit.code(), exit.name(), reason],
        )?,
        RunEvent::Controlled { control: Some(control), command, by } => take(conn, run, at_ms, *control, command, by)?,
        RunEvent::Started { .. }
        | RunEvent::DrainBegan { .. }
        | RunEvent::StageBegan { .. }
        | RunEvent::StageEnded { .. }
        | RunEvent::WaitBegan { .. }
        | RunEvent::WaitEnded
        | RunEvent::HookRan { .. }
        | RunEvent::Controlled { control: None, .. } => 0,
    };
    Ok(())
}

/// Marks a command as taken, if it is the one of this number: another machine that led the run has numbers of its own.
fn take(
    conn: &Connection,
    run: RunKey,
    at_ms: i64,
    control: i64,
    command: &Command,
    by: &By,
) -> Result<usize, JournalError> {
    let json = |command: &Command| serde_json::to_string(command).expect("a command is JSON");
    // A release is recorded with the part that waited, and may have been given without one.
    let given = match command {
        Command::Release { wave, part: _ } => json(&Command::Release { wave: wave.clone(), part: None }),
        other => json(other),
    };
    let by = serde_json::to_string(by).expect("who gave it is JSON");
    let n_taken = conn.execute(
        "UPDATE control SET taken_at = ?3 WHERE control = ?1 AND run = ?2 AND taken_at IS NULL AND given_by = ?4
             AND command IN (?5, ?6)",
        params![control, run.0, at_ms, by, json(command), given],
    )?;
    Ok(n_taken)
}

/// Stores the end of a wait; the next launch waits for the rest of it.
fn cool(conn: &Connection, run: RunKey, event: &Event, wait_ms: u64) -> Result<(), JournalError> {
    let until_ms = wait_ends(event.at, wait_ms);
    conn.execute(
        "UPDATE lane SET cooled_until = max(coalesce(cooled_until, 0), ?3) WHERE run = ?1 AND lane = ?2",
        params![run.0, event.lane.0, until_ms],
    )?;
    Ok(())
}
