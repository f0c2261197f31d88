//! What others do to the servers while a run lasts, noticed by the pages that are read anyway.
//!
//! It is reported as it happens and overwrites nothing: a row that was not sent yet is looked at before it is.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::lane::Lane;
use super::lane::news::News;
use crate::event::row::RowEvent;
use crate::event::verdict::Verdict;
use crate::judge::effect::{Effect, on_target};
use crate::ledger::standing::{Phase, Standing};
use crate::model::state::SeenState;
use crate::model::{Row, SourceId};
use crate::recorder::NotRecorded;
use crate::remote::service::Remote;

/// A read that is this much younger than the change shows the change, however stale reads are.
const STALE_AT_MOST: SignedDuration = SignedDuration::from_secs(60);

/// What a page shows of rows that nobody waited for.
pub(super) async fn notice<R: Remote>(
    lane: &Arc<Lane<R>>,
    servers: Vec<(SourceId, SeenState)>,
    left_at: Instant,
) -> Result<(), NotRecorded> {
    if servers.is_empty() {
        return Ok(());
    }
    let sources = servers.iter().map(|(id, _)| id.clone()).collect();
    // A journal that cannot be read is noticed by who depends on it.
    let Ok(rows) = lane.rows_among(sources).await else { return Ok(()) };
    let mut shown: HashMap<SourceId, SeenState> = servers.into_iter().collect();
    let left = lane.now() - left_at.elapsed();
    let mut moved = Vec::new();
    for (row, standing) in rows {
        let Some(seen) = shown.remove(&row.source_id) else { continue };
        let is_elsewhere = match found_at(&row, &standing, &seen, left) {
            Found::AsKnown => continue,
            Found::OnTarget => false,
            Found::Elsewhere => true,
        };
        // All of them are held back before the first is written down: a slow disk lets none of them slip through.
        lane.add_news([(row.id, News::Moved)]);
        // Where a row in doubt is may yet be our own doing; its look tells, and what it means to be on target.
        if is_elsewhere && !standing.doubted && standing.moved.as_ref() != Some(&seen) {
            moved.push((row, seen));
        }
    }
    for (row, seen) in moved {
        lane.record(vec![RowEvent::Moved { seen }.about(row.id)], Some(&row.source_id)).await?;
    }
    Ok(())
}

/// Lets rows wait for a look of their own of which two pages do not show the same: nothing is known of them, not even that
/// somebody moved them.
pub(super) async fn hold_back<R: Remote>(lane: &Arc<Lane<R>>, sources: Vec<SourceId>) {
    if sources.is_empty() {
        return;
    }
    // A journal that cannot be read is noticed by who depends on it.
    let Ok(rows) = lane.rows_among(sources).await else { return };
    let waits = |standing: &Standing| match standing.phase {
        Phase::Untried | Phase::Due => true,
        // What is on its way is looked at by its own call.
        Phase::Open | Phase::InDoubt | Phase::Accepted | Phase::Settled(_) => false,
    };
    let waiting = rows.iter().filter(|(_, standing)| waits(standing));
    lane.add_news(waiting.map(|(row, _)| (row.id, News::Contradicted)));
}

/// Where a page shows a row that nobody waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing is news of it, or it is for its own call to see.
    AsKnown,
    /// It waits to be sent, and is there already.
    OnTarget,
    /// Where neither the plan nor we put it.
    Elsewhere,
}

/// What is on its way is looked at by its own call.
fn found_at(row: &Row, standing: &Standing, seen: &SeenState, left: Timestamp) -> Found {
    if seen.lacks(row.wants.fields()).is_some() {
        return Found::AsKnown;
    }
    match standing.phase {
        Phase::Untried | Phase::Due if standing.looked => {
            match Effect::from_look(&row.wants, standing.last_seen(), Some(seen)) {
                Effect::OnTarget => Found::OnTarget,
                Effect::Overtaken { .. } => Found::Elsewhere,
                Effect::NotYet { .. } | Effect::Unprovable { .. } => Found::AsKnown,
            }
        }
        Phase::Settled(Verdict::Applied | Verdict::Already) => {
            let Some(settled_at) = standing.settled_at.filter(|_| !on_target(&row.wants, seen)) else {
                return Found::AsKnown;
            };
            let after = left.duration_since(settled_at);
            let stale = if standing.before.as_ref() == Some(seen) { STALE_AT_MOST } else { SignedDuration::ZERO };
            if after > stale { Found::Elsewhere } else { Found::AsKnown }
        }
        Phase::Untried | Phase::Open | Phase::InDoubt | Phase::Accepted | Phase::Due | Phase::Settled(_) => {
            Found::AsKnown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::state::TargetState;
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
    fn a_row_that_waits_is_held_back_where_it_is_not_where_it_was() {
        let waits = Standing { looked: true, before: Some(seen("syncing")), ..Standing::default() };
        let found = |standing: &Standing, shown: &SeenState| found_at(&row(), standing, shown, at(0));
        assert_eq!(found(&waits, &seen("error")), Found::Elsewhere);
        assert_eq!(found(&waits, &seen("syncing")), Found::AsKnown);
        assert_eq!(found(&waits, &seen("stopped")), Found::OnTarget);
        assert_eq!(found(&waits, &SeenState::default()), Found::AsKnown, "a page that shows nothing");
        // Its look permitted to send again, and is no longer so.
        let doubted = Standing { doubted: true, phase: Phase::Due, ..waits.clone() };
        assert_eq!(found(&doubted, &seen("error")), Found::Elsewhere);
        let unseen = Standing { looked: false, ..waits };
        assert_eq!(found(&unseen, &seen("error")), Found::AsKnown);
    }

    #[test]
    fn a_settled_row_is_moved_when_a_younger_read_shows_it_elsewhere() {
        let settled = Standing {
            phase: Phase::Settled(Verdict::Applied),
            before: Some(seen("syncing")),
            settled_at: Some(at(100)),
            ..Standing::default()
        };
        let found = |standing: &Standing, shown, seconds| found_at(&row(), standing, &seen(shown), at(seconds));
        assert_eq!(found(&settled, "error", 101), Found::Elsewhere);
        // A read from before says nothing, and one that shows the old state may be stale for a while.
        assert_eq!(found(&settled, "error", 99), Found::AsKnown);
        assert_eq!(found(&settled, "syncing", 101), Found::AsKnown);
        assert_eq!(found(&settled, "syncing", 161), Found::Elsewhere);
        assert_eq!(found(&settled, "stopped", 161), Found::AsKnown);
        let refused = Standing { phase: Phase::Settled(Verdict::Refused), ..settled };
        assert_eq!(found(&refused, "error", 101), Found::AsKnown);
    }
}
