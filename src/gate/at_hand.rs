//! Changes at hand: those whose turn to leave is near, and no others.
//!
//! A change that is recorded as begun and has not left is in doubt after a kill, and cannot be skipped any more. So its intent is
//! recorded when it is about to leave, and not when it begins to wait.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use super::count_guard::CountGuard;
use super::pace_queue::{PUT_OFF, is_soon, n_kept, n_next};
use super::pacing::RequestKind;
use super::queue::QueuePosition;
use super::slots::Slot;
use super::state::{Gate, SlowPaces};
use super::waiting::WaitingRequest;

/// Request at hand: it leaves within [`super::pace_queue::AT_HAND`], unless the lane is told to wait or to go slower.
pub(crate) struct AtHand {
    /// Taken early in a lane that waits for its pace; in other lanes taken late, since slots are scarcer there than intents.
    pub(super) slot: Option<Slot>,
    pub(super) positions: HeldPositions,
}

/// Positions among those that leave next, in lanes where not all can. They are held until the request leaves.
#[derive(Default)]
pub(super) struct HeldPositions {
    pub(super) own: Option<QueuePosition>,
    /// Taken after `own`, and only by requests that their own lane lets go, since other accounts wait for it, too.
    pub(super) shared: Option<QueuePosition>,
}

impl Gate {
    /// Waits until no more changes are ahead than leave within [`super::pace_queue::AT_HAND`]. In a fast lane, the number of begun
    /// changes is bounded by the lane's own queue, and they pass.
    pub(crate) async fn at_hand(&self, slot: Option<Slot>) -> AtHand {
        let _waiting = WaitingRequest::new(self, RequestKind::Change);
        if slot.is_none() {
            // Until then, slots are for reads.
            self.until(Self::not_before, is_soon).await;
        }
        let slot = match slot {
            // In a slow lane nobody misses a slot that waits for the pace, and a change without a slot is not at hand.
            None if self.slow_paces() != SlowPaces { own: false, shared: false } => Some(self.slot().await),
            slot => slot,
        };
        let mut at_hand = AtHand { slot, positions: HeldPositions::default() };
        self.soon(&mut at_hand).await;
        at_hand
    }

    /// Does the same if there is nothing to wait for, as for most changes of a lane without a pace; they need none of the machinery
    /// of waiting. Otherwise it returns the slot.
    pub(crate) fn at_hand_at_once(&self, slot: Option<Slot>) -> Result<AtHand, Option<Slot>> {
        let n_slots = self.slots.now();
        let is_at_hand = self.shared.is_none() && {
            let pacing = self.pacing();
            n_next(pacing.per_second()) >= n_slots + pacing.largest_burst()
                && is_soon(pacing.leaves_at(), Instant::now())
        };
        if is_at_hand { Ok(AtHand { slot, positions: HeldPositions::default() }) } else { Err(slot) }
    }

    /// Waits until a change that was at hand can leave soon again, whatever delayed it meanwhile.
    pub(crate) async fn soon(&self, at_hand: &mut AtHand) {
        let _waiting = WaitingRequest::new(self, RequestKind::Change);
        self.come_next(&mut at_hand.positions).await;
    }

    /// Waits for a position among those that leave soon, and until they do.
    pub(super) async fn come_next(&self, positions: &mut HeldPositions) {
        loop {
            let is_slow = self.slow_paces();
            if is_slow.own && positions.own.is_none() {
                positions.shared = None;
                positions.own = Some(self.next.position().await);
            }
            self.until(Self::own_leaves_at, is_soon).await;
            let behind_all = async {
                if let Some(shared) = self.shared.as_ref().filter(|_| is_slow.shared && positions.shared.is_none()) {
                    positions.shared = Some(shared.next.position().await);
                }
                self.until(Self::leaves_at, is_soon).await;
            };
            let is_told_to_wait = tokio::select! {
                biased;
                () = behind_all => false,
                () = self.told_to_wait() => true,
            };
            let is_beyond_shared = self.shared.as_ref().is_some_and(|shared| shared.next.is_too_many());
            let is_beyond_own = positions.own.is_some() && self.next.is_too_many();
            if is_told_to_wait || is_beyond_own || (positions.shared.is_some() && is_beyond_shared) {
                positions.shared = None;
                positions.own.take_if(|_| is_beyond_own);
            } else {
                return;
            }
        }
    }

    /// Waits until the lane has been told to wait for longer than a request at hand does.
    pub(super) async fn told_to_wait(&self) {
        self.until(Self::not_before, |at, now| !is_soon(at, now)).await;
    }

    /// Waits until the next request cannot leave within [`PUT_OFF`], or more changes are begun than leave within that time.
    pub(crate) async fn put_off(&self) {
        let _begun = CountGuard::new(&self.n_begun);
        let _begun_in_all = self.shared.as_ref().map(|shared| CountGuard::new(&shared.n_begun));
        self.until(Self::leaves_at, |at, now| at > now + PUT_OFF || self.is_more_begun_than_kept()).await;
    }

    fn is_more_begun_than_kept(&self) -> bool {
        let is_more = |n: &AtomicUsize, per_second| n.load(Ordering::Relaxed) > n_kept(per_second);
        let own = self.pacing().per_second();
        is_more(&self.n_begun, own)
            || self.shared.as_ref().is_some_and(|shared| is_more(&shared.n_begun, shared.per_second()))
    }
}
