//! One attempt: the direct look, the intent, leave to go, the wire, and the outcome on disk.

use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;

use super::answer::AnsweredRequest;
use super::state::{Call, Early, Step};
use super::turn::InTurn;
use crate::credentials::identity::Generation;
use crate::engine::lane::authentication::Credentialed;
use crate::event::outcome::Outcome;
use crate::event::row::RowEvent;
use crate::gate::AtHand;
use crate::model::state::TargetState;
use crate::recorder::refusal::NotRecorded;
use crate::remote::service::{Remote, Reply};

impl<R: Remote> Call<'_, R> {
    /// Waits until the row should be sent and its turn has come, and makes one attempt.
    pub(super) async fn send(&mut self) -> Step<()> {
        let lane = self.lane;
        let sends = match self.sends_at_once() {
            Some(sends) => sends,
            None => Box::pin(self.look_before_queueing()).await?,
        };
        self.cleared().await?;
        lane.until_alone().await?;
        let mut turn = InTurn::begin(lane.begin_change());
        if self.known.decides_what_is_sent() {
            self.watch_pages();
        }
        self.come_first(&mut turn).await?;
        let must_look = self.must_share_direct_look() && !self.known.was_seen_directly(lane.gate().slowest());
        let sends = if must_look { Box::pin(self.look_directly()).await? } else { sends };
        Box::pin(self.attempt(sends, turn)).await
    }

    /// Makes one request: look, intent, leave, wire, outcome.
    async fn attempt(&mut self, sends: TargetState, mut turn: InTurn<'_>) -> Step<()> {
        let mut at_hand = self.come_to_hand_attended(&mut turn).await?;
        let sends = self.look_again(&mut at_hand, &mut turn, sends).await?;
        let sends = self.lane.settings.dialect.spelled(sends);
        let attempt = self.record_intent(&sends).await?;
        let pass = self.leave_to_go(attempt, at_hand, &mut turn).await?;
        turn.direct = None;
        let answered = self.put(&sends, pass.left_at).await;
        let outcome = self.hear(attempt, answered, pass).await?;
        drop(turn);
        self.go_on(outcome).await
    }

    /// Waits for a place among the requests that leave next, with somebody there who makes them: nothing is begun for nobody.
    async fn come_to_hand_attended(&mut self, turn: &mut InTurn<'_>) -> Step<AtHand> {
        loop {
            self.credentialed().await?;
            let at_hand = self.come_to_hand(turn).await?;
            if self.lane.is_attended() {
                return Ok(at_hand);
            }
        }
    }

    /// Waits for credentials, without which the lane stops.
    async fn credentialed(&mut self) -> Step<()> {
        let lane = self.lane;
        match lane.unless_draining(lane.credentialed()).await.ok_or(Early::End)?? {
            Credentialed::Ready => Ok(()),
            Credentialed::Stopped => Err(Early::End),
        }
    }

    /// Looks at the row at hand unless what is known of it permits its intent, and gives the target to send.
    async fn look_again(
        &mut self,
        at_hand: &mut AtHand,
        turn: &mut InTurn<'_>,
        sends: TargetState,
    ) -> Step<TargetState> {
        let lane = self.lane;
        if !self.is_skipped() && self.take_news().is_none() && self.known.permits_intent(|| lane.gate().slowest()) {
            return Ok(sends);
        }
        Box::pin(self.look_at_hand(at_hand, turn, sends)).await
    }

    /// Records that an attempt begins, before a byte of it leaves, and gives its number.
    async fn record_intent(&mut self, sends: &TargetState) -> Result<u32, NotRecorded> {
        let attempt = self.known.standing.started + 1;
        self.decided(|| match self.known.looked_at() {
            Some(at) => format!(
                "attempt {attempt} sends {sends}, {} ms after the look that permits it",
                at.elapsed().as_millis()
            ),
            None => format!("attempt {attempt} sends {sends} without a look"),
        });
        self.record(vec![RowEvent::AttemptStarted { attempt, sends: sends.clone() }.about(self.row.id)]).await?;
        Ok(attempt)
    }

    /// Makes the request. It is let go without an answer if the run is aborted.
    async fn put(&mut self, sends: &TargetState, left_at: Instant) -> AnsweredRequest {
        let put = pin!(self.lane.put(&self.row.source_id, sends, self.tries.connection));
        let reply = self.lane.unless_aborting(put).await;
        let took: Duration = left_at.elapsed();
        match reply {
            Some(reply) => {
                let Reply { outcome, request_id, generation, via, took: _ } = reply;
                AnsweredRequest { outcome, request_id, generation, via, left_at, took }
            }
            None => AnsweredRequest {
                outcome: Outcome::aborted(),
                request_id: None,
                generation: Generation::NONE,
                via: None,
                left_at,
                took,
            },
        }
    }
}
