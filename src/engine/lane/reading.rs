//! Reads of a lane: through its gate and with its patience. The lane heeds each answer before the row that asked for it does.

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::authentication::Credentialed;
use super::state::Lane;
use crate::credentials::identity::Generation;
use crate::engine::look_request::{LookAnswer, LookRequest, Urgency};
use crate::event::lane::{LaneEvent, LaneStop};
use crate::event::outcome::Outcome;
use crate::gate::AtHand;
use crate::model::state::{Fields, SeenState};
use crate::model::{Row, SourceId};
use crate::recorder::refusal::NotRecorded;
use crate::remote::service::{self, Listed, Page, Remote, SourceShown};
use crate::transport::client::Connection;

/// Reason for which a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadFailed {
    #[error("{0}")]
    Outcome(Outcome),
    #[error("let go")]
    LetGo,
    #[error(transparent)]
    Journal(#[from] NotRecorded),
}

/// Read that gave something, and the instant at which its request left.
pub(crate) struct Sighted<T> {
    pub(crate) value: T,
    pub(crate) left_at: Instant,
}

impl<R: Remote> Lane<R> {
    /// Reads one source by its id, through the gate, with patience; `None` if the service does not know it.
    pub(crate) async fn show(
        &self,
        source: &SourceId,
        needs: Fields,
    ) -> Result<Sighted<Option<SeenState>>, ReadFailed> {
        let read = self.read(|connection| self.remote.show(source, connection), |of| shown(of, needs)).await;
        match &read {
            Ok(_) => self.note_read(&Outcome::Accepted { status: 200 }).await?,
            Err(ReadFailed::Outcome(outcome)) => self.note_read(outcome).await?,
            Err(ReadFailed::LetGo | ReadFailed::Journal(_)) => (),
        }
        read
    }

    /// Reads one source by its id, once, in the turn of a change at hand.
    pub(crate) async fn show_at_hand(
        &self,
        at_hand: &mut AtHand,
        source: &SourceId,
        needs: Fields,
        connection: Connection,
    ) -> Result<Sighted<Option<SeenState>>, ReadFailed> {
        let pass = self.stop.unless_draining(self.gate.pass_for_look(at_hand)).await.ok_or(ReadFailed::LetGo)?;
        let left_at = pass.left_at;
        let read = self.stop.unless_aborting(self.remote.show(source, connection)).await.ok_or(ReadFailed::LetGo)?;
        match self.told(shown(read.value, needs), left_at, read.request_id, read.generation).await? {
            Ok(value) => {
                pass.back_to(at_hand);
                Ok(Sighted { value, left_at })
            }
            Err(outcome) => Err(ReadFailed::Outcome(outcome)),
        }
    }

    /// Reads one page of the account's sources, through the gate, with patience.
    pub(crate) async fn page(&self, page: u32) -> Result<Sighted<Page>, ReadFailed> {
        let turn = self.stop.unless_shut(self.pages.acquire()).await.ok_or(ReadFailed::LetGo)?;
        let _turn = turn.expect("the semaphore is never closed");
        let offset = (page * service::PAGE).min(service::LAST_OFFSET);
        let send = |connection| self.remote.page(offset, connection);
        let listed = self.read(send, |listed| match listed {
            Listed::Page(page) => Ok(page),
            Listed::Failed(outcome) => Err(outcome),
        });
        let sighted = listed.await?;
        self.list().read(page, &sighted.value);
        Ok(sighted)
    }

    /// Reads with patience: a read is repeated like a change, with nothing to look at before it.
    async fn read<V, T, F>(
        &self,
        send: impl Fn(Connection) -> F + Send + Sync,
        value: impl Fn(V) -> Result<T, Outcome> + Send + Sync,
    ) -> Result<Sighted<T>, ReadFailed>
    where
        F: Future<Output = service::Read<V>> + Send,
    {
        let mut counted = 0;
        let mut renewed = false;
        let mut connection = Connection::Any;
        loop {
            let slot = self.stop.unless_shut(self.gate.slot_for_read()).await.ok_or(ReadFailed::LetGo)?;
            let credentialed = self.stop.unless_aborting(self.credentialed()).await.ok_or(ReadFailed::LetGo)?;
            match credentialed? {
                Credentialed::Ready => (),
                Credentialed::Stopped => return Err(ReadFailed::LetGo),
            }
            let pass = self.stop.unless_shut(self.gate.pass_for_read(slot)).await;
            // The lane may have stopped while this waited.
            let pass = pass.filter(|_| !self.stopped.is_shut()).ok_or(ReadFailed::LetGo)?;
            let left_at = pass.left_at;
            let read = self.stop.unless_aborting(send(connection)).await.ok_or(ReadFailed::LetGo)?;
            let value = value(read.value);
            if let Err(outcome) = &value
                && renewed
            {
                self.stop_if_refused_again(outcome).await?;
            }
            let told = self.told(value, left_at, read.request_id, read.generation).await?;
            drop(pass);
            let outcome = match told {
                Ok(value) => return Ok(Sighted { value, left_at }),
                Err(outcome) => outcome,
            };
            connection = Connection::after(&outcome);
            renewed = self.goes_on_renewed(&outcome);
            if renewed {
                continue;
            }
            if crate::retry::counts(&outcome) {
                counted += 1;
            }
            match self.settings.patience.after(counted, &outcome, rand::random()) {
                std::ops::ControlFlow::Break(_) => return Err(ReadFailed::Outcome(outcome)),
                std::ops::ControlFlow::Continue(wait) => {
                    self.stop.unless_shut(sleep(wait)).await.ok_or(ReadFailed::LetGo)?;
                }
            }
        }
    }

    /// Asks the lane's reader for one look that leaves at `not_before` or later. Returns `None` if everything is let go.
    pub(crate) async fn look(
        &self,
        row: &Row,
        needs: Fields,
        not_before: Instant,
        urgency: Urgency,
    ) -> Option<LookAnswer> {
        let (answer, answered) = oneshot::channel();
        let (page, source) = (self.list().page_of(row.id), row.source_id.clone());
        let requested_at = Instant::now();
        let request = LookRequest { row: row.id, source, needs, page, not_before, urgency, requested_at, answer };
        self.look_requests.send(request).ok()?;
        self.stop.unless_aborting(answered).await?.ok()
    }

    /// Stops the lane for reads, too: the service answers none of them.
    pub(super) async fn shut_reads(&self, message: String) -> Result<(), NotRecorded> {
        self.stopped.shut_reads();
        self.stop.shut_lane();
        self.halt(LaneStop::NotTheService, message).await
    }

    /// Applies the answer to a read to the whole lane, before the row that asked for it sees it.
    async fn told<T>(
        &self,
        read: Result<T, Outcome>,
        left_at: Instant,
        request_id: Option<String>,
        generation: Generation,
    ) -> Result<Result<T, Outcome>, NotRecorded> {
        match &read {
            Ok(_) => self.heed(&Outcome::Accepted { status: 200 }, left_at, generation, None).await?,
            Err(outcome) => {
                let told = if let Outcome::Throttled { retry_after_ms, .. } = outcome {
                    Some(LaneEvent::ReadThrottled { request_id, retry_after_ms: *retry_after_ms })
                } else {
                    None
                };
                self.heed(outcome, left_at, generation, told).await?;
            }
        }
        Ok(read)
    }
}

/// State that an answer shows; one that lacks a field that its look needs counts as no answer.
fn shown(shown: SourceShown, needs: Fields) -> Result<Option<SeenState>, Outcome> {
    match shown {
        SourceShown::Seen(seen) => match seen.lacks(needs) {
            None => Ok(Some(seen)),
            Some(field) => {
                let cause = format!("the answer shows no `{field}`");
                Err(Outcome::Lost { status: Some(200), code: None, cause })
            }
        },
        SourceShown::Absent => Ok(None),
        SourceShown::Failed(outcome) => Err(outcome),
    }
}
