//! The lane's one reader: gathers the requests of rows to be looked at, reads them by pages or by id, whichever costs fewer
//! calls, and answers each.
//!
//! In the order of a look: [`pending`] holds requests until a sweep of them is due, [`cost`] decides how a batch is read,
//! [`by_pages`] and [`by_id`] read and answer it. [`swept`] sees to it that the pages of a sweep do not contradict each other.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep_until};

use super::lane::Lane;
use super::look_request::LookRequest;
use crate::diagnostics;
use crate::remote::service::Remote;
use crate::wording::amounts::count;

mod by_id;
mod by_pages;
mod cost;
mod pending;
mod swept;

use cost::{ListPages, LookWay, cheapest_way};
use pending::{LaneActivity, PendingLooks};

/// Sweeps that are read side by side; further ones wait, and gather requests meanwhile.
const SWEEPS_AT_ONCE: usize = 4;

/// Answers requests to look until nobody is left who could make one.
pub(crate) async fn serve<R: Remote>(lane: Arc<Lane<R>>, mut requests: mpsc::UnboundedReceiver<LookRequest>) {
    let mut pending = PendingLooks::default();
    let mut sweeps = JoinSet::new();
    loop {
        // Those that are about to request come first, and are gathered with the others.
        yield_now().await;
        while let Ok(request) = requests.try_recv() {
            pending.push(request);
        }
        let (now, activity) = (Instant::now(), LaneActivity::from_lane(&lane));
        let due = pending.next_sweep(&activity, now);
        if due.is_some_and(|at| at <= now) && sweeps.len() < SWEEPS_AT_ONCE {
            let batch = pending.take(&activity, now);
            sweeps.spawn(sweep(Arc::clone(&lane), batch));
            continue;
        }
        tokio::select! {
            request = requests.recv() => match request {
                Some(request) => pending.push(request),
                None => break,
            },
            () = lane.changes_ended() => (),
            Some(_) = sweeps.join_next() => (),
            () = async { sleep_until(due.unwrap_or(now)).await }, if due.is_some_and(|at| at > now) => (),
        }
    }
    while sweeps.join_next().await.is_some() {}
}

/// Reads a batch and answers it: what pages cannot answer is read by id.
async fn sweep<R: Remote>(lane: Arc<Lane<R>>, batch: Vec<LookRequest>) {
    let way = cheapest_way(&batch, ListPages::from_lane(&lane));
    diagnostics::decided(|| {
        let way = match way {
            LookWay::ById => "by id",
            LookWay::Pages => "by pages of the list",
        };
        format!("account `{}` looks at {} {way}: fewer requests", lane.name, count(batch.len() as u64, "row"))
    });
    let unanswered = match way {
        LookWay::ById => batch,
        LookWay::Pages => by_pages::answer(&lane, batch).await,
    };
    by_id::answer(&lane, unanswered).await;
}
