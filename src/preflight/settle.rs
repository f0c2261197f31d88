//! Verdicts of rows that are not sent: on target already, or not to be touched.

use super::error::PreflightError;
use super::prospect::{LatestLook, Prospect, prospect};
use super::unsettled::for_each_unsettled;
use crate::engine::journal_reader::JournalReader;
use crate::engine::lane::Lane;
use crate::event::kind::EventKind;
use crate::event::verdict::Verdict;
use crate::judge;
use crate::ledger::standing::Standing;
use crate::model::Row;
use crate::recorder::refusal::NotRecorded;
use crate::remote::service::Remote;

/// Records the verdicts of a lane's rows that are not sent. A lane of which the journal refuses them is left to its end.
pub(crate) async fn settle<R: Remote>(lane: &Lane<R>, journal: &JournalReader) -> Result<(), PreflightError> {
    let settled = for_each_unsettled(journal, lane.id, async |rows| {
        let kinds: Vec<EventKind> =
            rows.iter().filter_map(|(row, standing)| settled_unsent(lane, row, standing)).collect();
        if !kinds.is_empty() {
            lane.record(kinds, None).await?;
        }
        Ok(())
    })
    .await;
    match settled {
        Err(PreflightError::Closed(NotRecorded::ToLane)) => Ok(()),
        settled => settled,
    }
}

/// Makes the verdict of a row that is not sent; `None` for one that may be sent, or whose account has stopped.
fn settled_unsent<R: Remote>(lane: &Lane<R>, row: &Row, standing: &Standing) -> Option<EventKind> {
    let (verdict, reason) = match prospect(row, standing, LatestLook::in_lane(lane, row), &lane.settings) {
        Prospect::Already => (judge::on_target_verdict(standing), None),
        Prospect::Blocked { verdict, reason } => (verdict, Some(reason)),
        Prospect::Change { .. } | Prospect::LookFirst | Prospect::Unseen { .. } | Prospect::LeftOut { .. } => {
            return None;
        }
    };
    let seen = match verdict {
        Verdict::Overtaken => standing.moved.clone(),
        Verdict::Applied
        | Verdict::Already
        | Verdict::Unverified
        | Verdict::NoEffect
        | Verdict::Refused
        | Verdict::Failed
        | Verdict::Blocked => standing.last_seen().cloned(),
    };
    Some(judge::settled(row.id, verdict, seen, reason))
}
