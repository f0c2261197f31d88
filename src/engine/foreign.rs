//! What others do to the servers while a run lasts, noticed by the pages that are read anyway.
//!
//! It is reported as it happens and overwrites nothing: a row that was not sent yet is looked at before it is.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::lane::Lane;
use crate::event::{EventKind, Verdict};
use crate::judge::{self, Effect};
use crate::ledger::{Phase, Standing};
use crate::model::{Row, SeenState, SourceId};
use crate::recorder::JournalClosed;
use crate::remote::Remote;

/// A read that is this much younger than the change shows the change, however stale reads are.
const STALE_AT_MOST: SignedDuration = SignedDuration::from_secs(60);

/// What a page shows of rows that nobody waited for.
pub(super) async fn notice<R: Remote>(
    lane: &Arc<Lane<R>>,
    servers: Vec<(String, SeenState)>,
    left_at: Instant,
) -> Result<(), JournalClosed> {
    if servers.is_empty() {
        return Ok(());
    }
    let id = lane.id;
    let found = lane.book.read(move |journal, run| {
        let rows = journal.rows_among(run, id, servers.iter().map(|(id, _)| id.as_str()))?;
        Ok((rows, servers))
    });
    // A journal that cannot be read is noticed by who depends on it.
    let Ok((rows, servers)) = found.await else { return Ok(()) };
    let spoken = servers.into_iter().filter_map(|(id, seen)| Some((SourceId::new(&id).ok()?, seen)));
    let mut shown: HashMap<SourceId, SeenState> = spoken.collect();
    let left = lane.helm.clock.now() - left_at.elapsed();
    let mut moved = Vec::new();
    for (row, standing) in rows {
        let Some(seen) = shown.remove(&row.source_id) else { continue };
        if !is_elsewhere(&row, &standing, &seen, left) {
            continue;
        }
        // All of them are held back before the first is written down: a slow disk lets none of them slip through.
        lane.moved().insert(row.id);
        // Where a row in doubt is may yet be our own doing; its look tells.
        if !standing.doubted && standing.moved.as_ref() != Some(&seen) {
            moved.push((row, seen));
        }
    }
    for (row, seen) in moved {
        lane.record(vec![EventKind::RowMoved { row: row.id, seen }], Some(&row.source_id)).await?;
    }
    Ok(())
}

/// Whether the row is where neither the plan nor we put it. What is on its way is looked at by its own call.
fn is_elsewhere(row: &Row, standing: &Standing, seen: &SeenState, left: Timestamp) -> bool {
    if seen.lacks(row.wants.fields()).is_some() {
        return false;
    }
    match standing.phase {
        Phase::Untried | Phase::Due if standing.looked => {
            matches!(judge::effect(&row.wants, standing.last_seen(), Some(seen)), Effect::Overtaken { .. })
        }
        Phase::Settled(Verdict::Applied | Verdict::Already) => {
            let Some(settled_at) = standing.settled_at.filter(|_| !judge::on_target(&row.wants, seen)) else {
                return false;
            };
            let after = left.duration_since(settled_at);
            let as_before = standing.before.as_ref() == Some(seen);
            if as_before { after > STALE_AT_MOST } else { after > SignedDuration::ZERO }
        }
        Phase::Untried | Phase::Open | Phase::InDoubt | Phase::Accepted | Phase::Due | Phase::Settled(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TargetState;
    use crate::model::words::Word;

    fn seen(copystate: &str) -> SeenState {
        SeenState { copystate: Some(Word::new(copystate)), migrationcycle: None }
    }

    fn row() -> Row {
        Row::first(TargetState { copystate: Some(Word::new("stopped")), migrationcycle: None })
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_row_that_waits_is_moved_when_it_is_neither_where_it_was_nor_on_target() {
        let waits = Standing { looked: true, before: Some(seen("syncing")), ..Standing::default() };
        assert!(is_elsewhere(&row(), &waits, &seen("error"), at(0)));
        assert!(!is_elsewhere(&row(), &waits, &seen("syncing"), at(0)));
        assert!(!is_elsewhere(&row(), &waits, &seen("stopped"), at(0)));
        assert!(!is_elsewhere(&row(), &waits, &SeenState::default(), at(0)), "a page that shows nothing");
        // Its look permitted to send again, and is no longer so.
        let doubted = Standing { doubted: true, phase: Phase::Due, ..waits.clone() };
        assert!(is_elsewhere(&row(), &doubted, &seen("error"), at(0)));
        let unseen = Standing { looked: false, ..waits };
        assert!(!is_elsewhere(&row(), &unseen, &seen("error"), at(0)));
    }

    #[test]
    fn a_settled_row_is_moved_when_a_younger_read_shows_it_elsewhere() {
        let settled = Standing {
            phase: Phase::Settled(Verdict::Applied),
            before: Some(seen("syncing")),
            settled_at: Some(at(100)),
            ..Standing::default()
        };
        assert!(is_elsewhere(&row(), &settled, &seen("error"), at(101)));
        // A read from before says nothing, and one that shows the old state may be stale for a while.
        assert!(!is_elsewhere(&row(), &settled, &seen("error"), at(99)));
        assert!(!is_elsewhere(&row(), &settled, &seen("syncing"), at(101)));
        assert!(is_elsewhere(&row(), &settled, &seen("syncing"), at(161)));
        assert!(!is_elsewhere(&row(), &settled, &seen("stopped"), at(161)));
        let refused = Standing { phase: Phase::Settled(Verdict::Refused), ..settled };
        assert!(!is_elsewhere(&row(), &refused, &seen("error"), at(101)));
    }
}
