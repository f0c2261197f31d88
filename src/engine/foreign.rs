//! Changes that others make to the servers while a run lasts, noticed on the pages that are read anyway.
//!
//! They are recorded as they are seen, and settle nothing: a row that was not sent yet is looked at before it is.

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
use crate::recorder::refusal::NotRecorded;
use crate::remote::service::Remote;

/// Maximum time for which reads may be behind: one that leaves later than this after a change shows it.
const STALE_AT_MOST: SignedDuration = SignedDuration::from_secs(60);

/// Records which rows others have moved, by a page's entries that no request waited for, and has those looked at again that wait
/// to be sent.
pub(super) async fn notice<R: Remote>(
    lane: &Arc<Lane<R>>,
    servers: Vec<(SourceId, SeenState)>,
    left_at: Instant,
) -> Result<(), NotRecorded> {
    if servers.is_empty() {
        return Ok(());
    }
    let sources = servers.iter().map(|(id, _)| id.clone()).collect();
    // A journal that cannot be read is an error for whoever depends on it, which this does not.
    let Ok(rows) = lane.rows_among(sources).await else { return Ok(()) };
    let mut shown: HashMap<SourceId, SeenState> = servers.into_iter().collect();
    let left = lane.now() - left_at.elapsed();
    let mut moved = Vec::new();
    for (row, standing) in rows {
        let Some(seen) = shown.remove(&row.source_id) else { continue };
        let change = ForeignChange::from_page(&row, &standing, &seen, left);
        if change == ForeignChange::None {
            continue;
        }
        // All rows are held back before the first is written down: a slow disk lets none of them be sent.
        lane.add_news([(row.id, News::Moved)]);
        // A row in doubt may have been moved by our own request: its look decides.
        if change == ForeignChange::Elsewhere && !standing.doubted && standing.moved.as_ref() != Some(&seen) {
            moved.push((row, seen));
        }
    }
    for (row, seen) in moved {
        lane.record(vec![RowEvent::Moved { seen }.about(row.id)], Some(&row.source_id)).await?;
    }
    Ok(())
}

/// Has rows looked at again that wait to be sent and that two pages show in different states: nothing is known of them, not even
/// that somebody moved them.
pub(super) async fn hold_back<R: Remote>(lane: &Arc<Lane<R>>, sources: Vec<SourceId>) {
    if sources.is_empty() {
        return;
    }
    // A journal that cannot be read is an error for whoever depends on it, which this does not.
    let Ok(rows) = lane.rows_among(sources).await else { return };
    let waits = |standing: &Standing| match standing.phase {
        Phase::Untried | Phase::Due => true,
        // Its own call looks at it after it is sent.
        Phase::Open | Phase::InDoubt | Phase::Accepted | Phase::Settled(_) => false,
    };
    let waiting = rows.iter().filter(|(_, standing)| waits(standing));
    lane.add_news(waiting.map(|(row, _)| (row.id, News::Contradicted)));
}

/// Change that others made to a row, as a page shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ForeignChange {
    /// No change, or one that the row's own call sees.
    None,
    /// A row that waits to be sent is on target already.
    OnTarget,
    /// The row is where neither the plan nor we have put it.
    Elsewhere,
}

impl ForeignChange {
    /// Compares a page, which was asked for at `left`, with the last knowledge of a row. Rows on the wire, and those that are not
    /// proven yet, are left to their own calls.
    fn from_page(row: &Row, standing: &Standing, seen: &SeenState, left: Timestamp) -> Self {
        if seen.lacks(row.wants.fields()).is_some() {
            return Self::None;
        }
        match standing.phase {
            Phase::Untried | Phase::Due if standing.looked => {
                match Effect::from_look(&row.wants, standing.last_seen(), Some(seen)) {
                    Effect::OnTarget => Self::OnTarget,
                    Effect::Overtaken { .. } => Self::Elsewhere,
                    Effect::NotYet { .. } | Effect::Unprovable { .. } => Self::None,
                }
            }
            Phase::Settled(Verdict::Applied | Verdict::Already) => {
                let Some(settled_at) = standing.settled_at.filter(|_| !on_target(&row.wants, seen)) else {
                    return Self::None;
                };
                let after = left.duration_since(settled_at);
                let stale = if standing.before.as_ref() == Some(seen) { STALE_AT_MOST } else { SignedDuration::ZERO };
                if after > stale { Self::Elsewhere } else { Self::None }
            }
            Phase::Untried | Phase::Open | Phase::InDoubt | Phase::Accepted | Phase::Due | Phase::Settled(_) => {
                Self::None
            }
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
        let found = |standing: &Standing, shown: &SeenState| ForeignChange::from_page(&row(), standing, shown, at(0));
        assert_eq!(found(&waits, &seen("error")), ForeignChange::Elsewhere);
        assert_eq!(found(&waits, &seen("syncing")), ForeignChange::None);
        assert_eq!(found(&waits, &seen("stopped")), ForeignChange::OnTarget);
        assert_eq!(found(&waits, &SeenState::default()), ForeignChange::None, "a page that shows nothing");
        // Its look permitted to send again, and is no longer so.
        let doubted = Standing { doubted: true, phase: Phase::Due, ..waits.clone() };
        assert_eq!(found(&doubted, &seen("error")), ForeignChange::Elsewhere);
        let unseen = Standing { looked: false, ..waits };
        assert_eq!(found(&unseen, &seen("error")), ForeignChange::None);
    }

    #[test]
    fn a_settled_row_is_moved_when_a_younger_read_shows_it_elsewhere() {
        let settled = Standing {
            phase: Phase::Settled(Verdict::Applied),
            before: Some(seen("syncing")),
            settled_at: Some(at(100)),
            ..Standing::default()
        };
        let found =
            |standing: &Standing, shown, seconds| ForeignChange::from_page(&row(), standing, &seen(shown), at(seconds));
        assert_eq!(found(&settled, "error", 101), ForeignChange::Elsewhere);
        // A read from before says nothing, and one that shows the old state may be stale for a while.
        assert_eq!(found(&settled, "error", 99), ForeignChange::None);
        assert_eq!(found(&settled, "syncing", 101), ForeignChange::None);
        assert_eq!(found(&settled, "syncing", 161), ForeignChange::Elsewhere);
        assert_eq!(found(&settled, "stopped", 161), ForeignChange::None);
        let refused = Standing { phase: Phase::Settled(Verdict::Refused), ..settled };
        assert_eq!(found(&refused, "error", 101), ForeignChange::None);
    }
}
