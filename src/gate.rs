//! The door at which a request waits for leave to go: slot, cool-down, pace. Changes and reads pass the same gate.
//!
//! The order matters. A change comes to hand (see [`at_hand`]), its intent is recorded, a slot is taken if it has none, and
//! only then is a token of the pace spent, so that a slow disk cannot bunch sends, nor keep slots from those that could use
//! them. How the pace is learned from the service's 429s is in [`quota`].

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::event::Outcome;

mod at_hand;
mod bursts;
pub(crate) mod line;
mod pace;
mod quota;
mod slots;
mod suspicion;
mod taken;

pub(crate) use at_hand::AtHand;
use at_hand::{AT_HAND, Next, PUT_OFF, Places, n_kept, n_next};
use bursts::Bursts;
use pace::Pace;
use quota::Quota;
pub(crate) use quota::{Learned, Remembered};
pub(crate) use slots::Slot;
use slots::Slots;

/// Speed, as the settings have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct GateSettings {
    /// Requests per second, reads included; none: as fast as it goes.
    pub(crate) per_second: Option<f64>,
    pub(crate) burst: u32,
    pub(crate) concurrency: u32,
    /// A lane throttled for this long without one accepted call stops.
    pub(crate) max_throttle: Duration,
}

/// Lessons of earlier launches of the same account, whichever run they carried.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Past {
    pub(crate) quota: Option<Remembered>,
    /// The rest of the time for which they were told to wait.
    pub(crate) cools_for: Duration,
}

pub(crate) struct Gate {
    slots: Arc<Slots>,
    /// Where a request waits that does not leave soon.
    next: Next,
    /// First come, first served; who holds it waits for the cool-down and the pace.
    head_of_line: tokio::sync::Mutex<()>,
    n_in_line: AtomicUsize,
    n_reads_in_line: AtomicUsize,
    state: Mutex<State>,
    /// The pace or the cool-down changed under somebody who sleeps.
    changed: Notify,
    /// From here on there are only 429s, or somebody asks for leave again.
    throttled: Notify,
    /// The rate of all accounts, where there are several and one is set for all.
    of_all: Option<Arc<RateOfAll>>,
    on_the_wire: Arc<AtomicUsize>,
    /// Changes that are written down as begun and wait for leave.
    n_begun: Arc<AtomicUsize>,
    /// Requests that had leave so far.
    n_left: AtomicU64,
}

struct State {
    quota: Quota,
    pace: Option<Pace>,
    last_left: Instant,
    /// Nothing leaves before this instant. It only ever moves later.
    not_before: Instant,
    /// Somebody waited for leave or for an answer up to this instant, if nobody does now.
    asked_until: Instant,
    /// As many requests had leave to go up to this instant, as far as a pace held.
    offered: f64,
    offered_until: Instant,
    bursts: Bursts,
}

impl State {
    fn offer(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.offered_until).as_secs_f64();
        self.offered += self.quota.per_second().map_or(0.0, |rate| rate * passed);
        self.offered_until = now;
    }

    /// When the next request leaves.
    fn leaves_at(&self) -> Instant {
        self.pace.as_ref().map_or(self.not_before, |pace| self.not_before.max(pace.due()))
    }

    fn replace_pace(&mut self) {
        let spent = |rate| Pace::spent(rate, self.quota.burst(), self.last_left);
        self.pace = self.quota.per_second().map(spent);
    }
}

/// Leave to send one request now. It occupies its slot until it is dropped.
pub(crate) struct Pass {
    slot: Slot,
    pub(crate) left_at: Instant,
    wire: Counted,
}

impl Pass {
    /// The look has its answer; the slot is kept for the change that follows from it.
    pub(crate) fn back_to(self, at_hand: &mut AtHand) {
        drop(self.wire);
        at_hand.slot = Some(self.slot);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Change,
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    Go,
    /// The lane is throttled, and a read waits.
    ReadsFirst,
}

/// One request that waits for leave, while it does.
struct InLine<'a> {
    gate: &'a Gate,
    request: Request,
}

impl<'a> InLine<'a> {
    /// A lane that nobody asked for anything was not throttled meanwhile: it was paused, or waited for its stage.
    fn new(gate: &'a Gate, request: Request) -> Self {
        if gate.is_at_rest() {
            let mut state = gate.state();
            let rested = state.asked_until.elapsed();
            state.quota.rested(rested);
            drop(state);
            gate.throttled.notify_one();
        }
        gate.n_in_line.fetch_add(1, Ordering::Relaxed);
        if request == Request::Read {
            gate.n_reads_in_line.fetch_add(1, Ordering::Relaxed);
        }
        Self { gate, request }
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.gate.n_in_line.fetch_sub(1, Ordering::Relaxed);
        if self.request == Request::Read {
            self.gate.n_reads_in_line.fetch_sub(1, Ordering::Relaxed);
        }
        self.gate.state().asked_until = Instant::now();
    }
}

/// Counts one request while it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(n: &Arc<AtomicUsize>) -> Self {
        n.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(n))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A view that is true only now; nobody stores it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) on_the_wire: usize,
    pub(crate) per_second: Option<f64>,
    pub(crate) cooling: Option<Duration>,
    /// Requests that had leave so far.
    pub(crate) n_left: u64,
    /// As many as could have had leave at the paces that held.
    pub(crate) offered: f64,
    /// The rate that the service takes, as far as it told or showed.
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
            next: Next::new(quota.per_second()),
            head_of_line: tokio::sync::Mutex::new(()),
            n_in_line: AtomicUsize::new(0),
            n_reads_in_line: AtomicUsize::new(0),
            state: Mutex::new(State {
                pace: quota.per_second().map(|rate| Pace::new(rate, settings.burst)),
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

    /// So many changes may be written down as begun: those under way, and those that leave before long. A commit to a disk
    /// takes some milliseconds, and without the latter nothing would be under way meanwhile.
    pub(crate) fn n_intents(&self) -> usize {
        self.slots.now() + self.state().bursts.largest()
    }

    pub(crate) async fn slot(&self) -> Slot {
        self.slots.take().await
    }

    /// The same for a read: the next slot that is given back is its. In a throttled lane changes hold theirs while they wait,
    /// and behind them stand those that wait for one.
    pub(crate) async fn slot_for_read(&self) -> Slot {
        self.slots.take_first().await
    }

    /// Another number of requests may be under way at once. Those that are, are awaited.
    pub(crate) fn set_concurrency(&self, concurrency: u32) {
        self.slots.resize(concurrency);
    }

    /// As many requests may be under way at once as are set now.
    pub(crate) fn concurrency(&self) -> u32 {
        self.slots.wanted()
    }

    /// Another `--rate`, from now on.
    pub(crate) fn set_rate(&self, per_second: Option<f64>) {
        let mut state = self.state();
        state.offer(Instant::now());
        state.quota.set_top(per_second);
        state.replace_pace();
        self.next.fit(state.quota.per_second());
        drop(state);
        self.changed.notify_waiters();
    }

    /// Waits until no more is before a change than leaves within [`AT_HAND`]. What fast lanes have begun is bounded by their
    /// line, and passes.
    pub(crate) async fn at_hand(&self, slot: Option<Slot>) -> AtHand {
        let _in_line = InLine::new(self, Request::Change);
        if slot.is_none() {
            // Before that, slots are for reads.
            self.until(Self::not_before, is_soon).await;
        }
        let slot = match slot {
            // Who waits for the pace keeps it from nobody, and who waits for a slot is not at hand.
            None if self.is_slow() != [false; 2] => Some(self.slot().await),
            slot => slot,
        };
        let mut at_hand = AtHand { slot, places: Places::default() };
        self.soon(&mut at_hand).await;
        at_hand
    }

    /// The same, if nothing is waited for. Most changes of a lane without a pace have it so, and of what waits they need
    /// nothing. Otherwise it gives the slot back.
    pub(crate) fn at_hand_at_once(&self, slot: Option<Slot>) -> Result<AtHand, Option<Slot>> {
        let n_slots = self.slots.now();
        let is_at_hand = self.of_all.is_none() && {
            let state = self.state();
            n_next(state.quota.per_second()) >= n_slots + state.bursts.largest()
                && is_soon(state.leaves_at(), Instant::now())
        };
        if is_at_hand { Ok(AtHand { slot, places: Places::default() }) } else { Err(slot) }
    }

    /// Waits until what was at hand may leave within [`AT_HAND`], wherever the time went meanwhile.
    pub(crate) async fn soon(&self, at_hand: &mut AtHand) {
        let _in_line = InLine::new(self, Request::Change);
        self.come_next(&mut at_hand.places).await;
    }

    /// Waits for a place among those that leave within [`AT_HAND`], and until that is so.
    async fn come_next(&self, places: &mut Places) {
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

    /// Waits until the lane is told to wait for longer than [`AT_HAND`].
    async fn told_to_wait(&self) {
        self.until(Self::not_before, |at, now| !is_soon(at, now)).await;
    }

    /// Waits until the next request does not leave for longer than [`PUT_OFF`], or the last one of those that are begun.
    pub(crate) async fn put_off(&self) {
        let _begun = Counted::new(&self.n_begun);
        let _begun_of_all = self.of_all.as_ref().map(|all| Counted::new(&all.n_begun));
        self.until(Self::leaves_at, |at, now| at > now + PUT_OFF || self.is_more_begun_than_kept()).await;
    }

    fn is_more_begun_than_kept(&self) -> bool {
        let is_more = |n: &AtomicUsize, per_second| n.load(Ordering::Relaxed) > n_kept(per_second);
        let own = self.state().quota.per_second();
        is_more(&self.n_begun, own) || self.of_all.as_ref().is_some_and(|all| is_more(&all.n_begun, all.per_second()))
    }

    async fn until(&self, at: impl Fn(&Self) -> Instant, holds: impl Fn(Instant, Instant) -> bool) {
        loop {
            // Both before anything is read: what changes after that is not missed.
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

    /// When the next request leaves as far as its own lane is concerned.
    fn own_leaves_at(&self) -> Instant {
        self.state().leaves_at()
    }

    /// When the next request leaves, as far as is known.
    fn leaves_at(&self) -> Instant {
        let own = self.own_leaves_at();
        self.of_all.as_ref().and_then(|of_all| of_all.due()).map_or(own, |due| due.max(own))
    }

    /// The slower one of the lane's pace and that of all.
    pub(crate) fn slowest(&self) -> Option<f64> {
        let own = self.state().quota.per_second();
        let of_all = self.of_all.as_ref().and_then(|all| all.per_second());
        own.into_iter().chain(of_all).reduce(f64::min)
    }

    /// Whether changes that are begun would wait for the lane's pace, and for that of all lanes.
    fn is_slow(&self) -> [bool; 2] {
        let now = self.slots.now();
        let (n_intents, per_second) = {
            let state = self.state();
            (now + state.bursts.largest(), state.quota.per_second())
        };
        let of_all = self.of_all.as_ref().is_some_and(|of_all| of_all.is_slow(n_intents));
        [n_next(per_second) < n_intents, of_all]
    }

    /// Waits for the cool-down and the pace. Giving up while waiting costs no token of the lane's own, or one where
    /// the rate of all accounts is waited for behind it.
    pub(crate) async fn pass(&self, at_hand: AtHand) -> Pass {
        let AtHand { slot, mut places } = at_hand;
        let slot = match slot {
            Some(slot) => slot,
            None => self.slot().await,
        };
        self.pass_with(Request::Change, slot, &mut places).await
    }

    /// Waits for its slot, if it has none.
    pub(crate) async fn take_slot(&self, at_hand: &mut AtHand) {
        if at_hand.slot.is_none() {
            at_hand.slot = Some(self.slot().await);
        }
    }

    /// The same, if nothing is waited for and nobody is before it.
    pub(crate) fn pass_at_once(&self, at_hand: AtHand) -> Result<Pass, AtHand> {
        let head = self.head_of_line.try_lock();
        if head.is_err() || self.of_all.is_some() {
            return Err(at_hand);
        }
        let AtHand { slot, places } = at_hand;
        let Some(slot) = slot.or_else(|| self.slots.take_at_once()) else {
            return Err(AtHand { slot: None, places });
        };
        let in_line = InLine::new(self, Request::Change);
        match self.next_leave(Request::Change, Instant::now()) {
            Ok(Leave::Go) => Ok(self.passed(slot, in_line)),
            Ok(Leave::ReadsFirst) | Err(_) => Err(AtHand { slot: Some(slot), places }),
        }
    }

    /// The same for a read. While the lane is throttled, changes let it go first: where each opening of the gate goes to a
    /// change that is throttled again, nobody would ever see what became of those that were taken.
    pub(crate) async fn pass_for_read(&self, slot: Slot) -> Pass {
        let mut places = self.places_for_read().await;
        self.pass_with(Request::Read, slot, &mut places).await
    }

    /// The same for the look that decides about a change whose turn is at hand: it goes where that would have gone, and gives
    /// back its slot to it.
    pub(crate) async fn pass_for_look(&self, at_hand: &mut AtHand) -> Pass {
        let slot = match at_hand.slot.take() {
            Some(slot) => slot,
            None => self.slot().await,
        };
        self.pass_with(Request::Read, slot, &mut at_hand.places).await
    }

    /// None where they are not needed, and where the lane is throttled: then a read goes before the changes that are at hand, too.
    async fn places_for_read(&self) -> Places {
        let mut places = Places::default();
        if self.is_slow() == [false; 2] {
            return places;
        }
        // Not yet among the reads for which changes stand back.
        let _in_line = InLine::new(self, Request::Change);
        let is_throttled = |_, _| self.state().quota.throttled_since().is_some();
        let goes_first = tokio::select! {
            biased;
            () = self.until(Self::not_before, is_throttled) => true,
            () = self.come_next(&mut places) => false,
        };
        if goes_first { Places::default() } else { places }
    }

    /// Nobody in another lane waits behind one that is told to wait.
    async fn pass_with(&self, request: Request, slot: Slot, places: &mut Places) -> Pass {
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

    async fn pass_for(&self, request: Request, slot: Slot) -> Pass {
        let asked = Instant::now();
        let in_line = InLine::new(self, request);
        let mut head = self.head_of_line.lock().await;
        loop {
            if self.own_leave(request, asked).await == Leave::ReadsFirst {
                drop(head);
                // It stands behind all that wait; those that are about to must have got there.
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

    /// It was let through, and stands in the line no more.
    fn passed(&self, slot: Slot, in_line: InLine<'_>) -> Pass {
        let wire = Counted::new(&self.on_the_wire);
        drop(in_line);
        self.n_left.fetch_add(1, Ordering::Relaxed);
        Pass { slot, left_at: Instant::now(), wire }
    }

    async fn own_leave(&self, request: Request, asked: Instant) -> Leave {
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

    /// Leave, for which a token was taken where it is to go; or when to ask again.
    fn next_leave(&self, request: Request, asked: Instant) -> Result<Leave, Instant> {
        let mut state = self.state();
        let now = Instant::now();
        // Re-read after every sleep, so that a cool-down also holds back those who wait already.
        if now < state.not_before {
            return Err(state.not_before);
        }
        let reads_first = request == Request::Change && state.quota.throttled_since().is_some();
        if reads_first && self.n_reads_in_line.load(Ordering::Relaxed) > 0 {
            return Ok(Leave::ReadsFirst);
        }
        if let Some(pace) = &state.pace {
            pace.take(asked.max(state.not_before), now)?;
        }
        state.last_left = now;
        state.bursts.count(now);
        Ok(Leave::Go)
    }

    /// So many requests are left.
    pub(crate) fn expect(&self, n_left: u64) {
        self.state().quota.expect(n_left);
    }

    /// One throttled request slows every request; an accepted one lets the pace recover. What was learned about
    /// the service is returned, to be journaled.
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

    /// Start of the time in which every answer was a 429; none: the last one was not.
    pub(crate) fn throttled_since(&self) -> Option<Instant> {
        self.state().quota.throttled_since()
    }

    fn is_at_rest(&self) -> bool {
        self.n_in_line.load(Ordering::Relaxed) == 0 && self.on_the_wire.load(Ordering::Relaxed) == 0
    }

    /// Waits until every answer was a 429 for as long as the settings allow, and says how long that is. Where the lane
    /// was told to wait for longer, it ends all the same: what comes then comes too late. Time in which nobody asked for
    /// anything does not count.
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One pace behind the gates of all accounts of a run, where one is set for all of them.
pub(crate) struct RateOfAll {
    burst: u32,
    pace: Mutex<Option<(f64, Pace)>>,
    next: Next,
    /// Changes of all lanes that are written down as begun and wait for leave.
    n_begun: Arc<AtomicUsize>,
    n_lanes: AtomicUsize,
    /// First come, first served.
    line: tokio::sync::Mutex<()>,
    changed: Notify,
}

impl RateOfAll {
    pub(crate) fn new(per_second: Option<f64>, burst: u32) -> Self {
        let pace = per_second.map(|rate| (rate, Pace::new(rate, burst)));
        Self {
            burst,
            pace: Mutex::new(pace),
            next: Next::new(per_second),
            n_begun: Arc::default(),
            n_lanes: AtomicUsize::new(0),
            line: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Another rate, from now on.
    pub(crate) fn set(&self, per_second: Option<f64>) {
        *self.pace() = per_second.map(|rate| (rate, Pace::spent(rate, self.burst, Instant::now())));
        self.next.fit(per_second);
        self.changed.notify_waiters();
    }

    /// Whether changes that so many in each lane have begun would wait for it.
    fn is_slow(&self, n_intents: usize) -> bool {
        n_next(self.per_second()) < n_intents.saturating_mul(self.n_lanes.load(Ordering::Relaxed))
    }

    /// When the next request may leave. None: there is no rate.
    fn due(&self) -> Option<Instant> {
        self.pace().as_ref().map(|(_, pace)| pace.due())
    }

    pub(crate) fn per_second(&self) -> Option<f64> {
        self.pace().as_ref().map(|(rate, _)| *rate)
    }

    async fn leave(&self) {
        let asked = Instant::now();
        let _line = self.line.lock().await;
        loop {
            let changed = self.changed.notified();
            let taken = self.pace().as_ref().map_or(Ok(()), |(_, pace)| pace.take(asked, Instant::now()));
            let Err(at) = taken else { break };
            tokio::select! {
                () = sleep_until(at) => (),
                () = changed => (),
            }
        }
    }

    fn pace(&self) -> MutexGuard<'_, Option<(f64, Pace)>> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what leaves then is at hand.
fn is_soon(at: Instant, now: Instant) -> bool {
    at <= now + AT_HAND
}

async fn or_never(work: Option<impl Future<Output = ()>>) {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// Tells an answer that shows that the service knows us. A 429, a 5xx, a redirect or a gateway's refusal may come from
/// before anybody looked at who asks.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StatedQuota;

    fn settings(per_second: f64) -> GateSettings {
        GateSettings { per_second: Some(per_second), burst: 1, concurrency: 8, max_throttle: Duration::from_mins(10) }
    }

    fn proven(settings: &GateSettings) -> Gate {
        let gate = Gate::new(settings, Past::default(), None);
        gate.heed(&Outcome::Accepted { status: 200 }, Instant::now());
        gate
    }

    fn throttled(retry_after_ms: Option<u64>, quota: Option<StatedQuota>) -> Outcome {
        Outcome::Throttled { status: None, retry_after_ms, quota, message: String::new() }
    }

    async fn send(gate: &Gate) -> Instant {
        gate.pass(gate.at_hand(None).await).await.left_at
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_requests_at_ten_a_second_keep_the_rate_and_never_bunch() {
        let gate = proven(&settings(10.0));
        let started = Instant::now();
        let mut left = Vec::new();
        for _ in 0..1000 {
            left.push(send(&gate).await);
        }
        let took = started.elapsed().as_secs_f64();
        assert!((99.0..101.5).contains(&took), "{took}");
        for (i, first) in left.iter().enumerate() {
            let in_one_second = left[i..].iter().take_while(|at| **at - *first < Duration::from_secs(1)).count();
            assert!(in_one_second <= 11, "{in_one_second}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_timer_is_made_up_by_at_most_one_interval() {
        let gate = Arc::new(proven(&settings(10.0)));
        send(&gate).await;
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let gate = Arc::clone(&gate);
                tokio::spawn(async move { send(&gate).await })
            })
            .collect();
        tokio::task::yield_now().await;
        // The machine slept: 3.5 intervals are gone before anybody wakes.
        tokio::time::advance(Duration::from_millis(350)).await;
        let woke = Instant::now();
        let mut gaps = Vec::new();
        for request in waiting {
            gaps.push((request.await.unwrap() - woke).as_millis());
        }
        assert!(gaps[1] < 60, "the second makes up for the first: {gaps:?}");
        assert!((90..160).contains(&gaps[2]), "and nothing makes up for the rest: {gaps:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_lane_saves_up_no_more_than_its_burst() {
        let gate = proven(&settings(10.0));
        send(&gate).await;
        tokio::time::advance(Duration::from_mins(1)).await;
        let first = send(&gate).await;
        assert!(send(&gate).await - first >= Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_holds_back_those_who_wait_already() {
        let gate = Arc::new(proven(&settings(10.0)));
        send(&gate).await;
        let started = Instant::now();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { send(&gate).await }
        });
        tokio::task::yield_now().await;
        gate.heed(&throttled(Some(7000), None), Instant::now());
        assert!(waiting.await.unwrap() - started >= Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_lane_is_throttled_a_read_goes_before_the_changes_that_wait() {
        let gate = Arc::new(proven(&settings(10.0)));
        let left = send(&gate).await;
        let (came, mut order) = tokio::sync::mpsc::unbounded_channel();
        for n in 0..3 {
            let (gate, came) = (Arc::clone(&gate), came.clone());
            tokio::spawn(async move {
                let pass = gate.pass(gate.at_hand(None).await).await;
                gate.heed(&throttled(None, None), pass.left_at);
                _ = came.send(format!("change {n}"));
            });
            tokio::task::yield_now().await;
        }
        gate.heed(&throttled(Some(7000), None), left);
        tokio::time::sleep(Duration::from_secs(1)).await;
        tokio::spawn(async move {
            let pass = gate.pass_for_read(gate.slot().await).await;
            gate.heed(&throttled(None, None), pass.left_at);
            _ = came.send("read".to_owned());
        });
        let mut all = Vec::new();
        while let Some(one) = order.recv().await {
            all.push(one);
        }
        assert_eq!((all.len(), all[0].as_str()), (4, "read"), "{all:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn until_the_first_authenticated_answer_there_is_one_request_on_the_wire() {
        let gate = Gate::new(&settings(1000.0), Past::default(), None);
        let first = gate.pass(gate.at_hand(None).await).await;
        assert!(tokio::time::timeout(Duration::from_secs(5), gate.slot()).await.is_err());
        gate.heed(&throttled(None, None), first.left_at);
        drop(first);
        let second = gate.pass(gate.at_hand(None).await).await;
        assert!(tokio::time::timeout(Duration::from_secs(5), gate.slot()).await.is_err(), "a 429 proves nothing");
        gate.heed(&Outcome::Accepted { status: 200 }, second.left_at);
        let slots = [gate.slot().await, gate.slot().await, gate.slot().await];
        assert_eq!(slots.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stated_figure_sets_the_pace_and_is_learned_once() {
        let gate = proven(&settings(100.0));
        let left = send(&gate).await;
        let quota = StatedQuota { calls: 60, period_ms: 60_000 };
        let learned = gate.heed(&throttled(None, Some(quota)), left);
        assert_eq!(learned, Some(Learned { per_second: 1.0, stated: true }));
        assert_eq!(gate.heed(&throttled(None, Some(quota)), left), None, "both left before the lesson");
        let first = send(&gate).await;
        let second = send(&gate).await;
        assert!(second - first >= Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn throttled_for_as_long_as_is_allowed_is_enough_whatever_was_told() {
        for retry_after_ms in [None, Some(60_000), Some(3_600_000)] {
            let gate = proven(&GateSettings { max_throttle: Duration::from_secs(3), ..settings(10.0) });
            let left = send(&gate).await;
            gate.heed(&throttled(retry_after_ms, None), left);
            let _asks = InLine::new(&gate, Request::Change);
            assert_eq!(gate.throttled_for_too_long().await, Duration::from_secs(3), "{retry_after_ms:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_asks_is_not_time_in_which_the_lane_is_throttled() {
        let gate = proven(&GateSettings { max_throttle: Duration::from_secs(4), ..settings(10.0) });
        gate.heed(&throttled(None, None), send(&gate).await);
        let began = Instant::now();
        // Paused for a week, after one second.
        drop(InLine::new(&gate, Request::Change));
        let asks = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(InLine::new(&gate, Request::Change));
            tokio::time::sleep(Duration::from_hours(168)).await;
            let _asks = InLine::new(&gate, Request::Change);
            tokio::time::sleep(Duration::from_mins(1)).await;
        };
        tokio::select! {
            () = asks => (),
            _ = gate.throttled_for_too_long() => (),
        }
        let ended = began.elapsed().checked_sub(Duration::from_hours(168)).unwrap();
        assert!((Duration::from_secs(4)..Duration::from_secs(6)).contains(&ended), "{ended:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_an_answer_is_awaited_is_time_in_which_the_lane_is_throttled() {
        let gate = proven(&GateSettings { max_throttle: Duration::from_secs(4), ..settings(10.0) });
        gate.heed(&throttled(Some(1_000), None), send(&gate).await);
        let began = Instant::now();
        let pass = gate.pass(gate.at_hand(None).await).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        gate.heed(&throttled(Some(0), None), pass.left_at);
        drop(pass);
        let _asks = InLine::new(&gate, Request::Change);
        assert_eq!(gate.throttled_for_too_long().await, Duration::from_secs(4));
        assert_eq!(began.elapsed(), Duration::from_secs(4));
    }

    #[tokio::test(start_paused = true)]
    async fn an_accepted_request_begins_the_time_anew() {
        let gate = proven(&GateSettings { max_throttle: Duration::from_secs(10), ..settings(10.0) });
        let left = send(&gate).await;
        gate.heed(&throttled(Some(9_000), None), left);
        let next = send(&gate).await;
        gate.heed(&Outcome::Accepted { status: 200 }, next);
        assert!(tokio::time::timeout(Duration::from_mins(1), gate.throttled_for_too_long()).await.is_err());
        gate.heed(&throttled(Some(9_000), None), send(&gate).await);
        let _asks = InLine::new(&gate, Request::Change);
        assert_eq!(gate.throttled_for_too_long().await, Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_earlier_launch_was_told_to_wait_is_waited_for() {
        let started = Instant::now();
        let past = Past { cools_for: Duration::from_secs(40), ..Past::default() };
        let gate = Gate::new(&settings(10.0), past, None);
        assert!(send(&gate).await - started >= Duration::from_secs(40));
        gate.heed(&throttled(None, None), started);
        let _asks = InLine::new(&gate, Request::Change);
        assert_eq!(gate.throttled_for_too_long().await, Duration::from_mins(10));
    }

    /// How many of so many changes have their turn at hand after a while.
    async fn n_at_hand(gate: &Arc<Gate>, n_changes: usize, after: Duration) -> usize {
        let (came, mut at_hand) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..n_changes {
            let (gate, came) = (Arc::clone(gate), came.clone());
            tokio::spawn(async move { _ = came.send(gate.at_hand(None).await) });
        }
        tokio::time::sleep(after).await;
        std::iter::from_fn(|| at_hand.try_recv().ok()).collect::<Vec<_>>().len()
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_at_hand_than_leaves_in_half_a_second_and_one_only_then() {
        let soon = Duration::from_millis(10);
        for (rate, expected) in [(1.0, 1), (10.0, 6), (1000.0, 8)] {
            let gate = Arc::new(proven(&settings(rate)));
            assert_eq!(n_at_hand(&gate, 8, soon).await, expected, "{rate}");
        }
        // The next token is there in a minute.
        let gate = Arc::new(proven(&settings(1.0 / 60.0)));
        send(&gate).await;
        assert_eq!(n_at_hand(&gate, 8, Duration::from_secs(59)).await, 0);
        let gate = Arc::new(proven(&settings(1.0 / 60.0)));
        send(&gate).await;
        assert_eq!(n_at_hand(&gate, 8, Duration::from_mins(1)).await, 1);
        // Whatever the pace, nothing is at hand while the lane is told to wait.
        let gate = Arc::new(proven(&settings(1000.0)));
        gate.heed(&throttled(Some(7000), None), Instant::now());
        assert_eq!(n_at_hand(&gate, 3, Duration::from_secs(6)).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_of_all_accounts_bounds_what_is_at_hand_in_all_of_them() {
        let of_all = Arc::new(RateOfAll::new(Some(1.0), 1));
        let gates = [(); 3].map(|()| Arc::new(Gate::new(&settings(100.0), Past::default(), Some(Arc::clone(&of_all)))));
        let mut held = 0;
        let (came, mut at_hand) = tokio::sync::mpsc::unbounded_channel();
        for gate in &gates {
            gate.heed(&Outcome::Accepted { status: 200 }, Instant::now());
            for _ in 0..8 {
                let (gate, came) = (Arc::clone(gate), came.clone());
                tokio::spawn(async move { _ = came.send(gate.at_hand(None).await) });
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        while at_hand.try_recv().is_ok() {
            held += 1;
        }
        assert_eq!(held, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_at_hand_is_put_off_when_the_lane_is_told_to_wait_or_to_go_slower() {
        let waits = |gate: Arc<Gate>| tokio::spawn(async move { gate.put_off().await });
        let gate = Arc::new(proven(&settings(10.0)));
        let left = send(&gate).await;
        let put_off = waits(Arc::clone(&gate));
        tokio::time::sleep(Duration::from_secs(1)).await;
        gate.heed(&throttled(Some(1_000), None), left);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!put_off.is_finished());
        gate.heed(&throttled(Some(7_000), None), Instant::now());
        put_off.await.unwrap();

        let gate = Arc::new(proven(&settings(10.0)));
        let put_off = waits(Arc::clone(&gate));
        send(&gate).await;
        assert!(!put_off.is_finished());
        gate.set_rate(Some(0.1));
        put_off.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_is_told_to_wait_keeps_no_place_from_the_others() {
        #[derive(Clone, Copy, Debug)]
        enum Waits {
            Doubted,
            Begun,
            Read,
            Look,
        }
        let mut starved = Vec::new();
        for waits in [Waits::Doubted, Waits::Begun, Waits::Read, Waits::Look] {
            let of_all = Arc::new(RateOfAll::new(Some(10.0), 1));
            let [told, other] = [(); 2].map(|()| {
                let gate = Gate::new(&settings(100.0), Past::default(), Some(Arc::clone(&of_all)));
                gate.heed(&Outcome::Accepted { status: 200 }, Instant::now());
                Arc::new(gate)
            });
            let is_before = matches!(waits, Waits::Doubted);
            if is_before {
                told.heed(&throttled(Some(300_000), None), Instant::now());
            }
            for _ in 0..8 {
                let gate = Arc::clone(&told);
                tokio::spawn(async move {
                    let slot = gate.slot().await;
                    if let Waits::Read = waits {
                        return drop(gate.pass_for_read(slot).await);
                    }
                    let mut at_hand = gate.at_hand(Some(slot)).await;
                    if let Waits::Look = waits {
                        drop(gate.pass_for_look(&mut at_hand).await);
                    } else {
                        gate.pass(at_hand).await;
                    }
                });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            if !is_before {
                told.heed(&throttled(Some(300_000), None), Instant::now());
            }
            if tokio::time::timeout(Duration::from_secs(1), send(&other)).await.is_err() {
                starved.push(waits);
            }
        }
        assert!(starved.is_empty(), "{starved:?}");
    }

    /// Changes that are begun, or put off and begun again, until they leave.
    fn begin(gate: &Arc<Gate>, n_changes: usize) -> Arc<AtomicUsize> {
        let n_begun = Arc::new(AtomicUsize::new(0));
        for _ in 0..n_changes {
            let (gate, n_begun) = (Arc::clone(gate), Arc::clone(&n_begun));
            tokio::spawn(async move {
                loop {
                    let at_hand = gate.at_hand(None).await;
                    let _begun = Counted::new(&n_begun);
                    tokio::select! {
                        biased;
                        _ = gate.pass(at_hand) => return,
                        () = gate.put_off() => (),
                    }
                }
            });
        }
        n_begun
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_rate_is_lowered_no_more_stays_begun_than_leaves_before_long() {
        for is_of_all in [false, true] {
            let of_all = is_of_all.then(|| Arc::new(RateOfAll::new(Some(100.0), 1)));
            let settings = GateSettings { concurrency: 64, ..settings(if is_of_all { 1000.0 } else { 100.0 }) };
            let gate = Arc::new(Gate::new(&settings, Past::default(), of_all.clone()));
            gate.heed(&Outcome::Accepted { status: 200 }, Instant::now());
            let n_begun = begin(&gate, 200);
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(n_begun.load(Ordering::Relaxed) > 40, "{is_of_all}");
            match &of_all {
                Some(of_all) => of_all.set(Some(1.0)),
                None => gate.set_rate(Some(1.0)),
            }
            for (after, at_most) in [(1, 3), (10, 1), (20, 1)] {
                tokio::time::sleep(Duration::from_secs(after)).await;
                let n = n_begun.load(Ordering::Relaxed);
                assert!(n <= at_most, "{n} after {after} s, of all: {is_of_all}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_rate_is_lowered_in_a_cool_down_no_more_comes_to_hand_behind_it() {
        let gate = Arc::new(proven(&GateSettings { concurrency: 64, ..settings(100.0) }));
        let (came, mut at_hand) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..64 {
            let (gate, came, slot) = (Arc::clone(&gate), came.clone(), gate.slot().await);
            tokio::spawn(async move { _ = came.send(gate.at_hand(Some(slot)).await) });
        }
        gate.heed(&throttled(Some(7_000), None), Instant::now());
        tokio::time::sleep(Duration::from_secs(1)).await;
        gate.set_rate(Some(1.0));
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(std::iter::from_fn(|| at_hand.try_recv().ok()).collect::<Vec<_>>().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_of_all_that_is_raised_while_somebody_reads_it_is_not_missed() {
        let of_all = Arc::new(RateOfAll::new(Some(1.0 / 60.0), 1));
        let gate = Gate::new(&settings(100.0), Past::default(), Some(Arc::clone(&of_all)));
        send(&gate).await;
        let began = Instant::now();
        let raised = |at, now| {
            of_all.set(Some(100.0));
            is_soon(at, now)
        };
        gate.until(Gate::leaves_at, raised).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn changes_whose_turn_is_at_hand_keep_the_pace() {
        for rate in [1.0, 10.0] {
            let gate = Arc::new(proven(&settings(rate)));
            let (came, mut left) = tokio::sync::mpsc::unbounded_channel();
            for _ in 0..50 {
                let (gate, came) = (Arc::clone(&gate), came.clone());
                tokio::spawn(async move {
                    let at_hand = gate.at_hand(None).await;
                    // The intent is written down.
                    tokio::time::sleep(Duration::from_millis(60)).await;
                    _ = came.send(gate.pass(at_hand).await.left_at);
                });
            }
            drop(came);
            let mut all = Vec::new();
            while let Some(at) = left.recv().await {
                all.push(at);
            }
            let took = (all[49] - all[0]).as_secs_f64();
            assert!(took * rate < 49.0 * 1.01, "{took} s at {rate}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reads_and_changes_take_turns_where_the_pace_is_slow() {
        let gate = Arc::new(proven(&settings(1.0)));
        send(&gate).await;
        let (came, mut order) = tokio::sync::mpsc::unbounded_channel();
        for n in 0..6 {
            let (gate, came) = (Arc::clone(&gate), came.clone());
            tokio::spawn(async move {
                let slot = gate.slot().await;
                if n % 2 == 0 {
                    gate.pass(gate.at_hand(Some(slot)).await).await;
                } else {
                    gate.pass_for_read(slot).await;
                }
                _ = came.send(n);
            });
            tokio::task::yield_now().await;
        }
        let mut all = Vec::new();
        for _ in 0..6 {
            all.push(order.recv().await.unwrap());
        }
        assert_eq!(all, [0, 1, 2, 3, 4, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn giving_up_while_waiting_costs_no_token() {
        let gate = proven(&settings(1.0));
        send(&gate).await;
        let started = Instant::now();
        for _ in 0..5 {
            let waiting = gate.pass(gate.at_hand(None).await);
            assert!(tokio::time::timeout(Duration::from_millis(10), waiting).await.is_err());
        }
        assert!(send(&gate).await - started < Duration::from_millis(1100));
    }
}
