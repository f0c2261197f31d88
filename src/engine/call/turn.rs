//! Turn of a row: its position among the rows, a place among the requests that leave next, and leave to go.
//!
//! The futures that wait are large, and so are those that may stop them: where nothing is waited for, none of them is made.

use std::pin::pin;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::known::LookNeeded;
use super::state::{Call, Early, Step};
use crate::diagnostics;
use crate::engine::driver::Clearance;
use crate::engine::lane::clearance::Hindered;
use crate::engine::lane::news::News;
use crate::engine::lane::under_way::UnderWayGuard;
use crate::event::outcome::Outcome;
use crate::event::row::RowEvent;
use crate::gate::queue::QueuePosition;
use crate::gate::slots::Slot;
use crate::gate::{AtHand, Gate, Pass};
use crate::judge::Reason;
use crate::recorder::refusal::NotRecorded;
use crate::remote::service::Remote;

/// Positions and permits that a row holds for one attempt, from its turn to the record of its answer.
pub(super) struct InTurn<'a> {
    #[expect(dead_code, reason = "held for as long as the turn is")]
    under_way: UnderWayGuard<'a>,
    /// Leave of a canary, whose rows go one by one.
    cautious: Option<OwnedSemaphorePermit>,
    /// Position among those that are looked at directly. It is given up as soon as the request leaves.
    pub(super) direct: Option<QueuePosition>,
    /// Slot, if that was worth waiting for.
    slot: Option<Slot>,
    /// Answer to the look that was made while the row was at hand. `None` if none was, or if its result no longer holds.
    pub(super) looked_at_hand: Option<Instant>,
}

impl<'a> InTurn<'a> {
    pub(super) fn begin(under_way: UnderWayGuard<'a>) -> Self {
        Self { under_way, cautious: None, direct: None, slot: None, looked_at_hand: None }
    }
}

/// Reason for which an intent that was about to leave does not.
#[derive(Clone, Debug, PartialEq, Eq)]
enum HeldBack {
    Hindered(Hindered),
    /// The look that decides grew old while the row waited for leave.
    Expired,
    /// The look that decides had grown old by the time that the row had leave.
    SeenTooLongAgo,
    /// The lane was told to wait, or to go slower.
    PutOff,
    News(News),
    Skipped(Reason),
}

impl HeldBack {
    fn cause(self) -> String {
        match self {
            HeldBack::Hindered(Hindered::Stopped) => "stopped before it was sent".to_owned(),
            HeldBack::Hindered(Hindered::Paused) => "paused before it was sent".to_owned(),
            HeldBack::Expired | HeldBack::SeenTooLongAgo => "held back for too long after it was looked at".to_owned(),
            HeldBack::PutOff => "the lane was told to wait before it was sent".to_owned(),
            HeldBack::News(news) => news.cause().to_owned(),
            HeldBack::Skipped(reason) => reason.text,
        }
    }
}

impl From<Hindered> for HeldBack {
    fn from(hindered: Hindered) -> Self {
        Self::Hindered(hindered)
    }
}

impl<R: Remote> Call<'_, R> {
    /// Waits for the row's turn among the rows. It keeps its position if what was seen of it grows old meanwhile.
    pub(super) async fn come_first(&mut self, turn: &mut InTurn<'_>) -> Step<()> {
        let lane = self.lane;
        if self.is_first() { Ok(()) } else { lane.while_cleared(pin!(self.queue(turn))).await? }
    }

    /// Tells that nobody is before the row and nothing else is waited for.
    fn is_first(&mut self) -> bool {
        let lane = self.lane;
        match self.known.needs() {
            LookNeeded::No | LookNeeded::Recent if self.clearance() == Clearance::Granted => {
                self.queued.position.get_or_insert_with(|| lane.join_queue()).is_first()
            }
            LookNeeded::No | LookNeeded::Recent | LookNeeded::Direct | LookNeeded::InDoubt => false,
        }
    }

    async fn queue(&mut self, turn: &mut InTurn<'_>) -> Step<()> {
        let lane = self.lane;
        let needs = self.known.needs();
        if needs == LookNeeded::InDoubt {
            turn.cautious = lane.one_of_few().await;
            turn.direct = Some(lane.come_first_of_direct().await);
            // The look that permits it is made directly before it.
            turn.slot = Some(lane.gate().slot().await);
            return Ok(());
        }
        let position = self.queued.position.get_or_insert_with(|| lane.join_queue());
        let leave = async {
            position.come_first().await;
            // Behind the queue: who has this waits for nobody who waits in the queue.
            lane.one_of_few().await
        };
        let Some(cautious) = until(self.known.grows_old_at(), leave).await else {
            diagnostics::decided_of(self.row.source_id.as_str(), || {
                "waited so long for its turn that it is looked at again".to_owned()
            });
            self.known.forget_look();
            return Err(Early::Restart);
        };
        turn.cautious = cautious;
        if needs == LookNeeded::Direct {
            turn.direct = Some(lane.come_first_of_direct().await);
        }
        Ok(())
    }

    /// Waits for a place among the requests of the lane that leave next.
    pub(super) async fn come_to_hand(&mut self, turn: &mut InTurn<'_>) -> Step<AtHand> {
        let lane = self.lane;
        let slot = turn.slot.take();
        let at_once = if self.clearance().lets_go() { lane.gate().at_hand_at_once(slot) } else { Err(slot) };
        let slot = match at_once {
            Ok(at_hand) => return Ok(at_hand),
            Err(slot) => slot,
        };
        let at_hand = pin!(lane.gate().at_hand(slot));
        let in_time = pin!(until(self.known.grows_old_at(), at_hand));
        lane.while_cleared(in_time).await?.ok_or_else(|| {
            self.known.forget_look();
            Early::Restart
        })
    }

    /// Waits for leave to go with a recorded intent. Much may have changed by then, and the attempt ends unsent.
    pub(super) async fn leave_to_go(&mut self, attempt: u32, at_hand: AtHand, turn: &mut InTurn<'_>) -> Step<Pass> {
        let held_back = match self.cleared_pass(at_hand, turn).await {
            Ok(pass) => return Ok(pass),
            Err(held_back) => held_back,
        };
        self.queued.was_held_back |= held_back == HeldBack::Expired;
        let cause = held_back.cause();
        self.decided(|| format!("attempt {attempt} is held back: {cause}"));
        self.record_unsent(attempt, cause).await?;
        Err(if self.lane.is_draining() { Early::End } else { Early::Restart })
    }

    /// Waits for the pass, and asks then if the request may leave. The last question is if the run is still held.
    async fn cleared_pass(&mut self, mut at_hand: AtHand, turn: &mut InTurn<'_>) -> Result<Pass, HeldBack> {
        loop {
            let pass = self.wait_for_pass(at_hand, turn).await?;
            if let Some(held_back) = self.held_back(turn) {
                return Err(held_back);
            }
            if self.lane.holds_run() {
                return Ok(pass);
            }
            match Box::pin(self.hold_run(pass, turn)).await? {
                Ok(pass) => return Ok(pass),
                Err(again) => at_hand = again,
            }
        }
    }

    /// Waits with a pass until the run is held. The pass is given up for another one if others have left in its turn meanwhile: both at
    /// once would be faster than the pace.
    async fn hold_run(&mut self, mut pass: Pass, turn: &mut InTurn<'_>) -> Result<Result<Pass, AtHand>, HeldBack> {
        let lane = self.lane;
        self.decided(|| "waits until the log of the run says that no other launch has it".to_owned());
        loop {
            lane.hold_run().await?;
            if lane.gate().is_overdue(&pass) {
                return Ok(Err(pass.at_hand_again()));
            }
            if let Some(held_back) = self.held_back(turn) {
                return Err(held_back);
            }
            if lane.holds_run() {
                pass.left_at = Instant::now();
                return Ok(Ok(pass));
            }
        }
    }

    async fn record_unsent(&mut self, attempt: u32, cause: String) -> Result<(), NotRecorded> {
        let outcome = Outcome::Unsent { cause };
        let ended = RowEvent::AttemptEnded { attempt, outcome, request_id: None, took_ms: 0, via: None };
        self.record(vec![ended.about(self.row.id)]).await
    }

    /// Waits for the pass with which the request leaves. Who gives up costs no token of the pace.
    async fn wait_for_pass(&mut self, at_hand: AtHand, turn: &mut InTurn<'_>) -> Result<Pass, HeldBack> {
        let lane = self.lane;
        let at_once = if self.clearance().lets_go() { lane.gate().pass_at_once(at_hand) } else { Err(at_hand) };
        let at_hand = match at_once {
            Ok(pass) => return Ok(pass),
            Err(at_hand) => at_hand,
        };
        // Where it was at hand already when it was looked at, there is no sooner look to have.
        let expires = self.must_share_direct_look() && turn.looked_at_hand.is_none();
        let expires = if expires { self.known.indirect_at(lane.gate().slowest()) } else { None };
        // Large, and not carried along by value.
        let leave = pin!(until(expires, wait_for_leave(lane.gate(), at_hand)));
        lane.while_cleared(leave).await?.ok_or(HeldBack::Expired)?
    }

    /// Reason for which a request that has its pass is not sent after all, from what happened while it waited for its slot or
    /// its turn, or its intent for the disk.
    fn held_back(&mut self, turn: &InTurn<'_>) -> Option<HeldBack> {
        let lane = self.lane;
        if lane.is_draining() {
            return Some(HeldBack::Hindered(Hindered::Stopped));
        }
        let skipped = match self.clearance() {
            Clearance::Draining => return Some(HeldBack::Hindered(Hindered::Stopped)),
            Clearance::Skipped(reason) => Some(HeldBack::Skipped(reason)),
            // A pause that comes now is too late: the row has its pass.
            Clearance::Granted | Clearance::OneOfFew | Clearance::Paused => None,
        };
        if !(self.was_looked_at_hand(turn) || self.known.permits_request(|| lane.gate().slowest())) {
            return Some(HeldBack::SeenTooLongAgo);
        }
        self.take_news().map(HeldBack::News).or(skipped)
    }

    /// Tells that the row has to share a direct look with others, because it had none of its own.
    pub(super) fn must_share_direct_look(&self) -> bool {
        self.known.needs() == LookNeeded::Direct && !self.queued.was_held_back
    }
}

/// Does the work, unless it takes longer than until `at`.
async fn until<T>(at: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match at {
        Some(at) => timeout_at(at, work).await.ok(),
        None => Some(work.await),
    }
}

/// Waits for leave to go, unless the lane is told to wait. Most wait for a slot alone, and what waits for the pace is larger.
async fn wait_for_leave(gate: &Gate, mut at_hand: AtHand) -> Result<Pass, HeldBack> {
    tokio::select! {
        biased;
        () = gate.take_slot(&mut at_hand) => (),
        () = gate.put_off() => return Err(HeldBack::PutOff),
    }
    match gate.pass_at_once(at_hand) {
        Ok(pass) => Ok(pass),
        Err(at_hand) => Box::pin(pass_in_time(gate, at_hand)).await,
    }
}

async fn pass_in_time(gate: &Gate, at_hand: AtHand) -> Result<Pass, HeldBack> {
    tokio::select! {
        biased;
        pass = gate.pass(at_hand) => Ok(pass),
        () = gate.put_off() => Err(HeldBack::PutOff),
    }
}
