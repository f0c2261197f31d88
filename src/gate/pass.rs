//! Pass: leave to send one request, from the queue for the cool-down and the pace.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::at_hand::{AtHand, HeldPositions};
use super::count_guard::CountGuard;
use super::pacing::{Precedence, RequestKind};
use super::slots::Slot;
use super::state::{Gate, SlowPaces};
use super::waiting::WaitingRequest;

/// Leave to send one request now. It occupies its slot until it is dropped.
pub(crate) struct Pass {
    slot: Slot,
    pub(crate) left_at: Instant,
    wire: CountGuard,
}

impl Pass {
    /// Ends a look that has its answer; its slot goes to the change that follows from it.
    pub(crate) fn back_to(self, at_hand: &mut AtHand) {
        drop(self.wire);
        at_hand.slot = Some(self.slot);
    }

    /// Gives up the turn, and keeps the slot for another one.
    pub(crate) fn at_hand_again(self) -> AtHand {
        AtHand { slot: Some(self.slot), positions: HeldPositions::default() }
    }
}

/// Time after which a pass is overdue at any pace: answers that came meanwhile may have told the lane to wait.
const OVERDUE: Duration = Duration::from_secs(1);

impl Gate {
    /// Waits for the cool-down and the pace. Giving up while waiting costs no token of the lane's own pace, except while
    /// waiting for the rate of all accounts behind it, where it costs one.
    pub(crate) async fn pass(&self, at_hand: AtHand) -> Pass {
        let AtHand { slot, mut positions } = at_hand;
        let slot = match slot {
            Some(slot) => slot,
            None => self.slot().await,
        };
        self.pass_with(RequestKind::Change, slot, &mut positions).await
    }

    /// Tells that a pass was not used in its turn: now it would leave together with the next ones.
    pub(crate) fn is_overdue(&self, pass: &Pass) -> bool {
        let turn = self.slowest().and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok());
        pass.left_at.elapsed() > turn.map_or(OVERDUE, |turn| turn.min(OVERDUE))
    }

    /// Waits for a slot, if it has none.
    pub(crate) async fn take_slot(&self, at_hand: &mut AtHand) {
        if at_hand.slot.is_none() {
            at_hand.slot = Some(self.slot().await);
        }
    }

    /// Passes a change if there is nothing to wait for and nobody is ahead of it.
    pub(crate) fn pass_at_once(&self, at_hand: AtHand) -> Result<Pass, AtHand> {
        let head = self.head_of_queue.try_lock();
        if head.is_err() || self.shared.is_some() {
            return Err(at_hand);
        }
        let AtHand { slot, positions } = at_hand;
        let Some(slot) = slot.or_else(|| self.slots.take_at_once()) else {
            return Err(AtHand { slot: None, positions });
        };
        let waiting = WaitingRequest::new(self, RequestKind::Change);
        match self.next_leave(RequestKind::Change, Instant::now()) {
            Ok(Precedence::Goes) => Ok(self.passed(slot, waiting)),
            Ok(Precedence::ReadsFirst) | Err(_) => Err(AtHand { slot: Some(slot), positions }),
        }
    }

    /// Passes a read. While the lane is throttled, changes let it go first: if each opening of the gate went to a change that is
    /// throttled again, nobody would ever see what became of those that were accepted.
    pub(crate) async fn pass_for_read(&self, slot: Slot) -> Pass {
        let mut positions = self.positions_for_read().await;
        self.pass_with(RequestKind::Read, slot, &mut positions).await
    }

    /// Passes the look that decides about a change at hand: it takes the turn of that change, and returns the slot to it
    /// afterwards.
    pub(crate) async fn pass_for_look(&self, at_hand: &mut AtHand) -> Pass {
        let slot = match at_hand.slot.take() {
            Some(slot) => slot,
            None => self.slot().await,
        };
        self.pass_with(RequestKind::Read, slot, &mut at_hand.positions).await
    }

    /// Takes positions for a read: none where they are not needed, and none in a throttled lane, where it goes before changes at
    /// hand.
    async fn positions_for_read(&self) -> HeldPositions {
        let mut positions = HeldPositions::default();
        if self.slow_paces() == (SlowPaces { own: false, shared: false }) {
            return positions;
        }
        // It waits as a change, since changes do not stand back for it yet.
        let _waiting = WaitingRequest::new(self, RequestKind::Change);
        let is_throttled = |_, _| self.pacing().throttled_since().is_some();
        let goes_first = tokio::select! {
            biased;
            () = self.until(Self::not_before, is_throttled) => true,
            () = self.come_next(&mut positions) => false,
        };
        if goes_first { HeldPositions::default() } else { positions }
    }

    /// Waits for leave; gives up the position among all lanes if its own lane is told to wait, so that no other lane waits
    /// behind it.
    async fn pass_with(&self, request: RequestKind, slot: Slot, positions: &mut HeldPositions) -> Pass {
        let mut pass = std::pin::pin!(self.pass_for(request, slot));
        if positions.shared.is_some() {
            tokio::select! {
                biased;
                pass = &mut pass => return pass,
                () = self.told_to_wait() => positions.shared = None,
            }
        }
        pass.await
    }

    async fn pass_for(&self, request: RequestKind, slot: Slot) -> Pass {
        let asked = Instant::now();
        let waiting = WaitingRequest::new(self, request);
        let mut head = self.head_of_queue.lock().await;
        loop {
            if self.own_leave(request, asked).await == Precedence::ReadsFirst {
                drop(head);
                // It goes to the end of the queue, behind those that are about to join it.
                tokio::task::yield_now().await;
                head = self.head_of_queue.lock().await;
                continue;
            }
            let Some(shared) = &self.shared else { break };
            shared.leave().await;
            // The lane may have been told to wait meanwhile.
            if self.not_before() <= Instant::now() {
                break;
            }
        }
        drop(head);
        self.passed(slot, waiting)
    }

    /// Takes a request that was let through out of those that wait, and counts it.
    fn passed(&self, slot: Slot, waiting: WaitingRequest<'_>) -> Pass {
        let wire = CountGuard::new(&self.on_the_wire);
        drop(waiting);
        self.n_left.fetch_add(1, Ordering::Relaxed);
        Pass { slot, left_at: Instant::now(), wire }
    }

    async fn own_leave(&self, request: RequestKind, asked: Instant) -> Precedence {
        loop {
            let changed = self.changed.notified();
            let at = match self.next_leave(request, asked) {
                Ok(leave) => return leave,
                Err(at) => at,
            };
            tokio::select! {
                () = sleep_until(at) => (),
                () = changed => (),
            }
        }
    }

    fn next_leave(&self, request: RequestKind, asked: Instant) -> Result<Precedence, Instant> {
        let mut pacing = self.pacing();
        pacing.next_leave(request, asked, Instant::now(), self.n_reads_waiting.load(Ordering::Relaxed))
    }
}
