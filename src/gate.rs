//! Gate at which a request waits for leave to go: slot, cool-down, pace. Changes and reads pass the same gate.
//!
//! The order matters. The turn of a change comes near (see [`at_hand`]), its intent is recorded, a slot is taken if it has none,
//! and only then is a token of the pace spent: a slow disk can neither bunch sends nor keep slots from requests that could use
//! them. [`quota`] learns the pace from the service's 429s.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::event::Outcome;

mod at_hand;
mod bursts;
pub(crate) mod line;
mod of_all;
mod pace;
mod quota;
pub(crate) mod settings;
pub(crate) mod slots;
mod suspicion;
mod taken;
#[cfg(test)]
mod tests;

pub(crate) use at_hand::AtHand;
use at_hand::{AT_HAND, HeldPlaces, PUT_OFF, PaceLine, n_kept, n_next};
use bursts::Bursts;
pub(crate) use of_all::RateOfAll;
use pace::PaceGrid;
use quota::Quota;
pub(crate) use quota::{Learned, Remembered};
use settings::GateSettings;
pub(crate) use slots::Slot;
use slots::Slots;

/// Lessons of earlier launches of the same account, in whichever run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Past {
    pub(crate) quota: Option<Remembered>,
    /// Remaining part of the time for which they were told to wait.
    pub(crate) cools_for: Duration,
}

pub(crate) struct Gate {
    slots: Arc<Slots>,
    /// Line of the requests that do not leave soon.
    next: PaceLine,
    /// First come, first served; its holder waits for the cool-down and the pace.
    head_of_line: tokio::sync::Mutex<()>,
    n_in_line: AtomicUsize,
    n_reads_in_line: AtomicUsize,
    state: Mutex<GateState>,
    /// Wakes sleepers when the pace or the cool-down changed.
    changed: Notify,
    /// Wakes [`Gate::throttled_for_too_long`]: the lane became throttled, or is asked again after a rest.
    throttled: Notify,
    /// Rate limit of all accounts together, if one is set.
    of_all: Option<Arc<RateOfAll>>,
    on_the_wire: Arc<AtomicUsize>,
    /// Changes that are recorded as begun and wait for leave.
    n_begun: Arc<AtomicUsize>,
    /// Requests that have left so far.
    n_left: AtomicU64,
}

struct GateState {
    quota: Quota,
    pace: Option<PaceGrid>,
    last_left: Instant,
    /// Instant before which nothing leaves; it only ever moves later.
    not_before: Instant,
    /// Instant up to which somebody waited for leave or for an answer; meaningless while somebody does.
    asked_until: Instant,
    /// Requests that could have left up to `offered_until` at the paces that were set; time without a pace adds none.
    offered: f64,
    offered_until: Instant,
    bursts: Bursts,
}

impl GateState {
    fn offer(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.offered_until).as_secs_f64();
        self.offered += self.quota.per_second().map_or(0.0, |rate| rate * passed);
        self.offered_until = now;
    }

    /// Returns when the next request can leave.
    fn leaves_at(&self) -> Instant {
        self.pace.as_ref().map_or(self.not_before, |pace| self.not_before.max(pace.due()))
    }

    fn replace_pace(&mut self) {
        let spent = |rate| PaceGrid::spent(rate, self.quota.burst(), self.last_left);
        self.pace = self.quota.per_second().map(spent);
    }
}

/// Leave to send one request now. It occupies its slot until it is dropped.
pub(crate) struct Pass {
    slot: Slot,
    pub(crate) left_at: Instant,
    wire: InFlight,
}

impl Pass {
    /// Ends a look that has its answer; its slot goes to the change that follows from it.
    pub(crate) fn back_to(self, at_hand: &mut AtHand) {
        drop(self.wire);
        at_hand.slot = Some(self.slot);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestKind {
    Change,
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admission {
    Go,
    /// The lane is throttled, and a read waits: it goes first.
    ReadsFirst,
}

/// Request in the line, for as long as it waits for leave.
struct InLine<'a> {
    gate: &'a Gate,
    request: RequestKind,
}

impl<'a> InLine<'a> {
    /// Joins the line. A time in which nobody asked the lane for anything (paused, or waiting for its stage) does not count as
    /// throttled.
    fn new(gate: &'a Gate, request: RequestKind) -> Self {
        if gate.is_at_rest() {
            let mut state = gate.state();
            let rested = state.asked_until.elapsed();
            state.quota.rested(rested);
            drop(state);
            gate.throttled.notify_one();
        }
        gate.n_in_line.fetch_add(1, Ordering::Relaxed);
        if request == RequestKind::Read {
            gate.n_reads_in_line.fetch_add(1, Ordering::Relaxed);
        }
        Self { gate, request }
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.gate.n_in_line.fetch_sub(1, Ordering::Relaxed);
        if self.request == RequestKind::Read {
            self.gate.n_reads_in_line.fetch_sub(1, Ordering::Relaxed);
        }
        self.gate.state().asked_until = Instant::now();
    }
}

/// Counts one request while it lives.
struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    fn new(n: &Arc<AtomicUsize>) -> Self {
        n.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(n))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// View that is true only now; nobody stores it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) on_the_wire: usize,
    pub(crate) per_second: Option<f64>,
    pub(crate) cooling: Option<Duration>,
    /// Requests that have left so far.
    pub(crate) n_left: u64,
    /// Requests that could have left at the paces that were set.
    pub(crate) offered: f64,
    /// Rate that the service accepts, as far as it stated or showed it.
    pub(crate) believed: Option<f64>,
}

impl Gate {
    pub(crate) fn new(settings: &GateSettings, past: Past, of_all: Option<Arc<RateOfAll>>) -> Self {
        let now = Instant::now();
        let mut quota = Quota::new(settings, past.quota, now);
        if let Some(of_all) = &of_all {
            of_all.n_lanes.fetch_add(1, Ordering::Relaxed);
        }
        if !past.cools_for.is_zero() {
            quota.begin_throttled(now);
        }
        Self {
            slots: Slots::new(settings.concurrency),
            next: PaceLine::new(quota.per_second()),
            head_of_line: tokio::sync::Mutex::new(()),
            n_in_line: AtomicUsize::new(0),
            n_reads_in_line: AtomicUsize::new(0),
            state: Mutex::new(GateState {
                pace: quota.per_second().map(|rate| PaceGrid::new(rate, settings.burst)),
                quota,
                last_left: now,
                not_before: now + past.cools_for,
                asked_until: now,
                offered: 0.0,
                offered_until: now,
                bursts: Bursts::new(now),
            }),
            changed: Notify::new(),
            throttled: Notify::new(),
            of_all,
            on_the_wire: Arc::default(),
            n_begun: Arc::default(),
            n_left: AtomicU64::new(0),
        }
    }

    /// Returns how many changes may be recorded as begun: those under way, and those that leave before long. A commit to a disk
    /// takes some milliseconds, and without the latter nothing would be under way meanwhile.
    pub(crate) fn n_intents(&self) -> usize {
        self.slots.now() + self.state().bursts.largest()
    }

    pub(crate) async fn slot(&self) -> Slot {
        self.slots.take().await
    }

    /// Takes a slot for a read, which gets the next one that is given back: in a throttled lane, changes hold slots while they wait,
    /// and others wait for slots behind them.
    pub(crate) async fn slot_for_read(&self) -> Slot {
        self.slots.take_first().await
    }

    /// Sets the number of requests that may be under way at once. If there are more, they are awaited.
    pub(crate) fn set_concurrency(&self, concurrency: u32) {
        self.slots.resize(concurrency);
    }

    /// Returns the number of requests that may be under way at once, as it is set now.
    pub(crate) fn concurrency(&self) -> u32 {
        self.slots.wanted()
    }

    /// Sets the `--rate` from now on.
    pub(crate) fn set_rate(&self, per_second: Option<f64>) {
        let mut state = self.state();
        state.offer(Instant::now());
        state.quota.set_top(per_second);
        state.replace_pace();
        self.next.fit(state.quota.per_second());
        drop(state);
        self.changed.notify_waiters();
    }

    /// Waits until no more changes are ahead than leave within [`AT_HAND`]. In a fast lane, the number of begun changes is bounded
    /// by its line, and they pass.
    pub(crate) async fn at_hand(&self, slot: Option<Slot>) -> AtHand {
        let _in_line = InLine::new(self, RequestKind::Change);
        if slot.is_none() {
            // Until then, slots are for reads.
            self.until(Self::not_before, is_soon).await;
        }
        let slot = match slot {
            // In a slow lane nobody misses a slot that waits for the pace, and a change without a slot is not at hand.
            None if self.is_slow() != [false; 2] => Some(self.slot().await),
            slot => slot,
        };
        let mut at_hand = AtHand { slot, places: HeldPlaces::default() };
        self.soon(&mut at_hand).await;
        at_hand
    }

    /// Does the same if there is nothing to wait for, as for most changes of a lane without a pace; they need none of the machinery
    /// of waiting. Otherwise it returns the slot.
    pub(crate) fn at_hand_at_once(&self, slot: Option<Slot>) -> Result<AtHand, Option<Slot>> {
        let n_slots = self.slots.now();
        let is_at_hand = self.of_all.is_none() && {
            let state = self.state();
            n_next(state.quota.per_second()) >= n_slots + state.bursts.largest()
                && is_soon(state.leaves_at(), Instant::now())
        };
        if is_at_hand { Ok(AtHand { slot, places: HeldPlaces::default() }) } else { Err(slot) }
    }

    /// Waits until a change that was at hand can leave within [`AT_HAND`] again, whatever delayed it meanwhile.
    pub(crate) async fn soon(&self, at_hand: &mut AtHand) {
        let _in_line = InLine::new(self, RequestKind::Change);
        self.come_next(&mut at_hand.places).await;
    }

    /// Waits for a place among those that leave within [`AT_HAND`], and until they do.
    async fn come_next(&self, places: &mut HeldPlaces) {
        loop {
            let [own, of_all] = self.is_slow();
            if own && places.own.is_none() {
                places.of_all = None;
                places.own = Some(self.next.place().await);
            }
            self.until(Self::own_leaves_at, is_soon).await;
            let behind_all = async {
                if let Some(all) = self.of_all.as_ref().filter(|_| of_all && places.of_all.is_none()) {
                    places.of_all = Some(all.next.place().await);
                }
                self.until(Self::leaves_at, is_soon).await;
            };
            let is_told_to_wait = tokio::select! {
                biased;
                () = behind_all => false,
                () = self.told_to_wait() => true,
            };
            let is_beyond_all = self.of_all.as_ref().is_some_and(|all| all.next.is_too_many());
            let is_beyond_own = places.own.is_some() && self.next.is_too_many();
            if is_told_to_wait || is_beyond_own || (places.of_all.is_some() && is_beyond_all) {
                places.of_all = None;
                places.own.take_if(|_| is_beyond_own);
            } else {
                return;
            }
        }
    }

    /// Waits until the lane has been told to wait for longer than [`AT_HAND`].
    async fn told_to_wait(&self) {
        self.until(Self::not_before, |at, now| !is_soon(at, now)).await;
    }

    /// Waits until the next request cannot leave within [`PUT_OFF`], or more changes are begun than leave within that time.
    pub(crate) async fn put_off(&self) {
        let _begun = InFlight::new(&self.n_begun);
        let _begun_of_all = self.of_all.as_ref().map(|all| InFlight::new(&all.n_begun));
        self.until(Self::leaves_at, |at, now| at > now + PUT_OFF || self.is_more_begun_than_kept()).await;
    }

    fn is_more_begun_than_kept(&self) -> bool {
        let is_more = |n: &AtomicUsize, per_second| n.load(Ordering::Relaxed) > n_kept(per_second);
        let own = self.state().quota.per_second();
        is_more(&self.n_begun, own) || self.of_all.as_ref().is_some_and(|all| is_more(&all.n_begun, all.per_second()))
    }

    async fn until(&self, at: impl Fn(&Self) -> Instant, holds: impl Fn(Instant, Instant) -> bool) {
        loop {
            // Subscribes before anything is read, so that no later change is missed.
            let changed = self.changed.notified();
            let changed_for_all = self.of_all.as_ref().map(|all| all.changed.notified());
            let (at, now) = (at(self), Instant::now());
            if holds(at, now) {
                return;
            }
            let again_at = at.checked_sub(AT_HAND).filter(|at| *at > now);
            tokio::select! {
                () = async { sleep_until(again_at.unwrap_or(now)).await }, if again_at.is_some() => (),
                () = changed => (),
                () = or_never(changed_for_all) => (),
            }
        }
    }

    fn not_before(&self) -> Instant {
        self.state().not_before
    }

    /// Returns when the next request can leave as far as its own lane is concerned.
    fn own_leaves_at(&self) -> Instant {
        self.state().leaves_at()
    }

    /// Returns when the next request can leave, as far as is known.
    fn leaves_at(&self) -> Instant {
        let own = self.own_leaves_at();
        self.of_all.as_ref().and_then(|of_all| of_all.due()).map_or(own, |due| due.max(own))
    }

    /// Returns the slower of the lane's pace and that of all lanes.
    pub(crate) fn slowest(&self) -> Option<f64> {
        let own = self.state().quota.per_second();
        let of_all = self.of_all.as_ref().and_then(|all| all.per_second());
        own.into_iter().chain(of_all).reduce(f64::min)
    }

    /// Tells whether begun changes would wait for the lane's own pace, and for that of all lanes.
    fn is_slow(&self) -> [bool; 2] {
        let now = self.slots.now();
        let (n_intents, per_second) = {
            let state = self.state();
            (now + state.bursts.largest(), state.quota.per_second())
        };
        let of_all = self.of_all.as_ref().is_some_and(|of_all| of_all.is_slow(n_intents));
        [n_next(per_second) < n_intents, of_all]
    }

    /// Waits for the cool-down and the pace. Giving up while waiting costs no token of the lane's own pace, except while waiting for
    /// the rate of all accounts behind it, where it costs one.
    pub(crate) async fn pass(&self, at_hand: AtHand) -> Pass {
        let AtHand { slot, mut places } = at_hand;
        let slot = match slot {
            Some(slot) => slot,
            None => self.slot().await,
        };
        self.pass_with(RequestKind::Change, slot, &mut places).await
    }

    /// Waits for a slot, if it has none.
    pub(crate) async fn take_slot(&self, at_hand: &mut AtHand) {
        if at_hand.slot.is_none() {
            at_hand.slot = Some(self.slot().await);
        }
    }

    /// Passes a change if there is nothing to wait for and nobody is ahead of it.
    pub(crate) fn pass_at_once(&self, at_hand: AtHand) -> Result<Pass, AtHand> {
        let head = self.head_of_line.try_lock();
        if head.is_err() || self.of_all.is_some() {
            return Err(at_hand);
        }
        let AtHand { slot, places } = at_hand;
        let Some(slot) = slot.or_else(|| self.slots.take_at_once()) else {
            return Err(AtHand { slot: None, places });
        };
        let in_line = InLine::new(self, RequestKind::Change);
        match self.next_leave(RequestKind::Change, Instant::now()) {
            Ok(Admission::Go) => Ok(self.passed(slot, in_line)),
            Ok(Admission::ReadsFirst) | Err(_) => Err(AtHand { slot: Some(slot), places }),
        }
    }

    /// Passes a read. While the lane is throttled, changes let it go first: if each opening of the gate went to a change that is
    /// throttled again, nobody would ever see what became of those that were accepted.
    pub(crate) async fn pass_for_read(&self, slot: Slot) -> Pass {
        let mut places = self.places_for_read().await;
        self.pass_with(RequestKind::Read, slot, &mut places).await
    }

    /// Passes the look that decides about a change at hand: it takes the turn of that change, and returns the slot to it
    /// afterwards.
    pub(crate) async fn pass_for_look(&self, at_hand: &mut AtHand) -> Pass {
        let slot = match at_hand.slot.take() {
            Some(slot) => slot,
            None => self.slot().await,
        };
        self.pass_with(RequestKind::Read, slot, &mut at_hand.places).await
    }

    /// Takes places for a read: none where they are not needed, and none in a throttled lane, where it goes before changes at hand.
    async fn places_for_read(&self) -> HeldPlaces {
        let mut places = HeldPlaces::default();
        if self.is_slow() == [false; 2] {
            return places;
        }
        // It joins as a change, since changes do not stand back for it yet.
        let _in_line = InLine::new(self, RequestKind::Change);
        let is_throttled = |_, _| self.state().quota.throttled_since().is_some();
        let goes_first = tokio::select! {
            biased;
            () = self.until(Self::not_before, is_throttled) => true,
            () = self.come_next(&mut places) => false,
        };
        if goes_first { HeldPlaces::default() } else { places }
    }

    /// Waits for leave; gives up the place among all lanes if its own lane is told to wait, so that no other lane waits behind it.
    async fn pass_with(&self, request: RequestKind, slot: Slot, places: &mut HeldPlaces) -> Pass {
        let mut pass = std::pin::pin!(self.pass_for(request, slot));
        if places.of_all.is_some() {
            tokio::select! {
                biased;
                pass = &mut pass => return pass,
                () = self.told_to_wait() => places.of_all = None,
            }
        }
        pass.await
    }

    async fn pass_for(&self, request: RequestKind, slot: Slot) -> Pass {
        let asked = Instant::now();
        let in_line = InLine::new(self, request);
        let mut head = self.head_of_line.lock().await;
        loop {
            if self.own_leave(request, asked).await == Admission::ReadsFirst {
                drop(head);
                // It goes to the end of the line, behind those that are about to join it.
                tokio::task::yield_now().await;
                head = self.head_of_line.lock().await;
                continue;
            }
            let Some(of_all) = &self.of_all else { break };
            of_all.leave().await;
            // The lane may have been told to wait meanwhile.
            if self.state().not_before <= Instant::now() {
                break;
            }
        }
        drop(head);
        self.passed(slot, in_line)
    }

    /// Takes a request that was let through out of the line, and counts it.
    fn passed(&self, slot: Slot, in_line: InLine<'_>) -> Pass {
        let wire = InFlight::new(&self.on_the_wire);
        drop(in_line);
        self.n_left.fetch_add(1, Ordering::Relaxed);
        Pass { slot, left_at: Instant::now(), wire }
    }

    async fn own_leave(&self, request: RequestKind, asked: Instant) -> Admission {
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

    /// Grants leave, taking a token where the request is to go; or returns when to ask again.
    fn next_leave(&self, request: RequestKind, asked: Instant) -> Result<Admission, Instant> {
        let mut state = self.state();
        let now = Instant::now();
        // Read again after every sleep, so that a new cool-down also holds back those who already wait.
        if now < state.not_before {
            return Err(state.not_before);
        }
        let reads_first = request == RequestKind::Change && state.quota.throttled_since().is_some();
        if reads_first && self.n_reads_in_line.load(Ordering::Relaxed) > 0 {
            return Ok(Admission::ReadsFirst);
        }
        if let Some(pace) = &state.pace {
            pace.take(asked.max(state.not_before), now)?;
        }
        state.last_left = now;
        state.bursts.count(now);
        Ok(Admission::Go)
    }

    /// Sets the number of requests that are still to be made.
    pub(crate) fn expect(&self, n_left: u64) {
        self.state().quota.expect(n_left);
    }

    /// Takes an outcome into account: one throttled request slows all requests, an accepted one lets the pace recover. Returns a
    /// lesson about the service, to be journaled.
    pub(crate) fn heed(&self, outcome: &Outcome, left_at: Instant) -> Option<Learned> {
        let mut state = self.state();
        let before = state.quota.per_second();
        let now = Instant::now();
        state.offer(now);
        state.asked_until = now;
        let was_throttled = state.quota.throttled_since().is_some();
        let learned = match outcome {
            Outcome::Throttled { retry_after_ms, quota, .. } => {
                let retry_after = retry_after_ms.map(Duration::from_millis);
                let (wait, learned) = state.quota.throttled(now, left_at, retry_after, *quota);
                state.not_before = state.not_before.max(now + wait);
                learned
            }
            Outcome::Accepted { .. } => state.quota.accepted(now, left_at),
            Outcome::Rejected { .. } | Outcome::Unauthenticated { .. } | Outcome::Barred { .. } => {
                state.quota.let_through(left_at);
                None
            }
            Outcome::Unsent { .. } | Outcome::Disclaimed { .. } | Outcome::Lost { .. } => None,
        };
        if state.quota.per_second() != before {
            state.replace_pace();
        }
        self.next.fit(state.quota.per_second());
        if state.quota.per_second() != before || matches!(outcome, Outcome::Throttled { .. }) {
            self.changed.notify_waiters();
        }
        if !was_throttled && state.quota.throttled_since().is_some() {
            self.throttled.notify_one();
        }
        drop(state);
        if proves_who_we_are(outcome) {
            self.slots.open();
        }
        learned
    }

    /// Start of the time in which every answer was a 429; `None` if the last one was not.
    pub(crate) fn throttled_since(&self) -> Option<Instant> {
        self.state().quota.throttled_since()
    }

    fn is_at_rest(&self) -> bool {
        self.n_in_line.load(Ordering::Relaxed) == 0 && self.on_the_wire.load(Ordering::Relaxed) == 0
    }

    /// Waits until every answer was a 429 for as long as the settings allow, and returns that time. A wait that the service asked
    /// for does not extend it: an answer after that would come too late. Time in which nobody asked for anything does not count.
    pub(crate) async fn throttled_for_too_long(&self) -> Duration {
        loop {
            let throttled = self.throttled.notified();
            let (gives_up_at, since) = {
                let state = self.state();
                (state.quota.gives_up_at(), state.quota.throttled_since())
            };
            match gives_up_at.zip(since) {
                None => throttled.await,
                Some((at, _)) if at <= Instant::now() && self.is_at_rest() => throttled.await,
                Some((at, since)) if at <= Instant::now() => return since.elapsed(),
                Some((at, _)) => sleep_until(at).await,
            }
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut state = self.state();
        state.offer(Instant::now());
        Snapshot {
            on_the_wire: self.on_the_wire.load(Ordering::Relaxed),
            per_second: state.quota.per_second(),
            cooling: state.not_before.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()),
            n_left: self.n_left.load(Ordering::Relaxed),
            offered: state.offered,
            believed: state.quota.believed(),
        }
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whether a request that leaves then is at hand.
fn is_soon(at: Instant, now: Instant) -> bool {
    at <= now + AT_HAND
}

async fn or_never(work: Option<impl Future<Output = ()>>) {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// Tells whether an answer shows that the service accepts our credentials. A 429, a 5xx, a redirect or a gateway's refusal may come
/// from before anybody checked them.
fn proves_who_we_are(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted { .. } => true,
        Outcome::Rejected { code, .. } => code.as_ref().is_some_and(|code| code.starts_with("SMS.")),
        Outcome::Unauthenticated { .. }
        | Outcome::Barred { .. }
        | Outcome::Throttled { .. }
        | Outcome::Unsent { .. }
        | Outcome::Disclaimed { .. }
        | Outcome::Lost { .. } => false,
    }
}
