//! Looks by id: one read for each request.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::engine::lane::Lane;
use crate::engine::lane::reading::ReadFailed;
use crate::engine::look_request::{LookAnswer, LookRequest};
use crate::remote::service::Remote;

/// Reads each source by its id, side by side, and answers each as it comes.
pub(super) async fn answer<R: Remote>(lane: &Arc<Lane<R>>, requests: Vec<LookRequest>) {
    let mut reads = JoinSet::new();
    for request in requests {
        let lane = Arc::clone(lane);
        reads.spawn(async move {
            let answer = match lane.show(&request.source, request.needs).await {
                Ok(sighted) => LookAnswer::Seen { seen: sighted.value, left_at: sighted.left_at },
                Err(ReadFailed::Outcome(outcome)) => LookAnswer::Failed { cause: outcome.to_string() },
                // Dropping a request tells its row that nothing will be learned by this launch.
                Err(ReadFailed::LetGo | ReadFailed::Journal(_)) => return,
            };
            _ = request.answer.send(answer);
        });
    }
    while reads.join_next().await.is_some() {}
}
