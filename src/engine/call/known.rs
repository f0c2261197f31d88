//! Knowledge of one row: what the journal says of it, what the last look showed, and for how long that may be relied on.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::engine::lane::LaneSettings;
use crate::judge;
use crate::ledger::standing::{Phase, Standing};
use crate::model::Row;
use crate::model::state::SeenState;

/// Maximum age of the look that an intent rests on.
const FRESH: Duration = Duration::from_mins(1);
/// Time beyond [`FRESH`] for which an intent may wait for leave: the pace lets one after the other go.
const IN_TURN: Duration = Duration::from_secs(5);
/// Maximum age of a look that permits a re-send, or that decides what is sent.
const DIRECTLY: Duration = Duration::from_secs(5);
/// Minimum delay between a request and the look that decides about a re-send: a slow server may still be working on it.
const SETTLES_WITHIN: Duration = Duration::from_secs(1);

/// Look that has to be made before a row is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookNeeded {
    /// No look: the plan alone decides, because preflight is off and nothing is expected.
    No,
    /// One within the last minute, which decides if the row is sent.
    Recent,
    /// One directly before the request: what is sent depends on what it shows.
    Direct,
    /// One directly before the request that shows no effect of an earlier one.
    InDoubt,
}

impl LookNeeded {
    /// Look that the plan and the settings ask for.
    fn by_plan(row: &Row, settings: &LaneSettings) -> Self {
        if judge::depends_on_look(row, settings.completion()) {
            Self::Direct
        } else if settings.preflight {
            Self::Recent
        } else {
            Self::No
        }
    }
}

/// State of a row as far as this launch knows it.
pub(super) struct KnownRow {
    /// Folded along with what is recorded: what the journal says, or is about to.
    pub(super) standing: Standing,
    /// State that the last look showed. `None` if there was none, or if the service did not know the source.
    pub(super) seen: Option<SeenState>,
    /// Departure of the last look in this launch. `None` as soon as something shows that its result no longer holds.
    looked_at: Option<Instant>,
    /// Departure of the last request. `None` if it is too long ago to matter, or if there was none.
    sent_at: Option<Instant>,
    /// Arrival of the last answer; the beginning of the call before there is one.
    pub(super) answered_at: Instant,
    by_plan: LookNeeded,
}

impl KnownRow {
    /// Knowledge that earlier launches and this launch's preflight left.
    pub(super) fn from_earlier(
        row: &Row,
        standing: Standing,
        settings: &LaneSettings,
        preflight_saw_at: Option<Instant>,
    ) -> Self {
        // Preflight leaves rows in doubt to the look that is made directly before they are sent, and what it could not
        // look at to the row's own look.
        let by_preflight = standing.looked && !standing.doubted && !standing.phase.is_in_doubt();
        let now = Instant::now();
        Self {
            seen: standing.last_seen().cloned(),
            looked_at: preflight_saw_at.filter(|_| by_preflight),
            sent_at: sent_by_an_earlier_launch(&standing, now),
            answered_at: now,
            by_plan: LookNeeded::by_plan(row, settings),
            standing,
        }
    }

    pub(super) fn needs(&self) -> LookNeeded {
        if self.standing.doubted { LookNeeded::InDoubt } else { self.by_plan }
    }

    /// Tells that a look decides if the row is sent, apart from any doubt.
    pub(super) fn is_judged(&self) -> bool {
        self.by_plan != LookNeeded::No
    }

    /// Tells that what is sent depends on what is seen, apart from any doubt.
    pub(super) fn decides_what_is_sent(&self) -> bool {
        self.by_plan == LookNeeded::Direct
    }

    /// Tells that the row may wait for its turn without another look.
    pub(super) fn may_queue(&self) -> bool {
        match self.needs() {
            LookNeeded::No => true,
            LookNeeded::Recent | LookNeeded::Direct => self.seen_within(FRESH),
            LookNeeded::InDoubt => false,
        }
    }

    /// Tells that an intent may be recorded without another look. `pace` is that of the lane, in requests per second.
    pub(super) fn permits_intent(&self, pace: impl FnOnce() -> Option<f64>) -> bool {
        match self.needs() {
            LookNeeded::No => true,
            LookNeeded::Recent => self.seen_within(FRESH),
            LookNeeded::Direct => self.seen_within(directly_within(pace())),
            LookNeeded::InDoubt => self.standing.looked && self.seen_within(DIRECTLY),
        }
    }

    /// Tells that a request may leave whose intent is recorded.
    pub(super) fn permits_request(&self, pace: impl FnOnce() -> Option<f64>) -> bool {
        match self.needs() {
            LookNeeded::No => true,
            LookNeeded::Recent => self.seen_within(FRESH + IN_TURN),
            LookNeeded::Direct | LookNeeded::InDoubt => self.seen_within(directly_within(pace())),
        }
    }

    /// Tells that the last look was a direct one.
    pub(super) fn was_seen_directly(&self, pace: Option<f64>) -> bool {
        self.seen_within(directly_within(pace))
    }

    /// Instant at which the last look is too old for an intent. Rows that wait together grow old together, and are looked at
    /// together. `None` if no look decides, or one that is made directly before the request.
    pub(super) fn grows_old_at(&self) -> Option<Instant> {
        match self.needs() {
            LookNeeded::Recent | LookNeeded::Direct => self.looked_at.map(|at| at + FRESH),
            LookNeeded::No | LookNeeded::InDoubt => None,
        }
    }

    /// Instant at which the last look is no longer a direct one.
    pub(super) fn indirect_at(&self, pace: Option<f64>) -> Option<Instant> {
        self.looked_at.map(|at| at + directly_within(pace))
    }

    /// Instant at which the row's last request has had time to take effect.
    pub(super) fn settles_at(&self) -> Instant {
        self.sent_at.map_or(self.answered_at, |sent| sent + SETTLES_WITHIN)
    }

    /// Tells that no look of this launch has permitted to send a row in doubt again. One that is too old by the time that the
    /// row has its slot is made again there.
    pub(super) fn lacks_permission(&self) -> bool {
        !self.standing.looked || self.looked_at.is_none()
    }

    /// Tells that the last look was made, and left before this instant.
    pub(super) fn was_seen_before(&self, at: Instant) -> bool {
        self.looked_at.is_some_and(|looked_at| looked_at < at)
    }

    /// Departure of the last look.
    pub(super) fn looked_at(&self) -> Option<Instant> {
        self.looked_at
    }

    pub(super) fn note_look(&mut self, seen: Option<SeenState>, left_at: Instant) {
        (self.seen, self.looked_at) = (seen, Some(left_at));
    }

    pub(super) fn note_request(&mut self, left_at: Instant) {
        (self.sent_at, self.answered_at) = (Some(left_at), Instant::now());
    }

    /// Notes that the last look is too old, or that what it showed no longer holds.
    pub(super) fn forget_look(&mut self) {
        self.looked_at = None;
    }

    fn seen_within(&self, limit: Duration) -> bool {
        self.looked_at.is_some_and(|at| at.elapsed() < limit)
    }
}

/// Maximum age of a direct look at a pace. Where two turns of the pace take longer, nothing is between it and the request.
pub(super) fn directly_within(pace: Option<f64>) -> Duration {
    let two_turns = pace.and_then(|rate| Duration::try_from_secs_f64(2.5 / rate).ok());
    DIRECTLY.max(two_turns.unwrap_or(DIRECTLY))
}

/// Last instant at which an earlier launch sent the row, no earlier than [`SETTLES_WITHIN`] before `now`.
fn sent_by_an_earlier_launch(standing: &Standing, now: Instant) -> Option<Instant> {
    if standing.phase == Phase::Open {
        // The intent may have waited long for leave to go; all that is sure is that it was before this launch.
        return Some(now);
    }
    let ago = Timestamp::now().duration_since(standing.last_sent_at?);
    // A clock that was set back in between says nothing.
    let ago = Duration::try_from(ago).unwrap_or(Duration::ZERO);
    now.checked_sub(ago.min(SETTLES_WITHIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row whose last look left so many seconds ago.
    fn known(by_plan: LookNeeded, doubted: bool, seconds_ago: u64) -> KnownRow {
        let now = Instant::now();
        KnownRow {
            standing: Standing { doubted, looked: true, ..Standing::default() },
            seen: None,
            looked_at: now.checked_sub(Duration::from_secs(seconds_ago)),
            sent_at: None,
            answered_at: now,
            by_plan,
        }
    }

    /// Last whole second of a look's age at which something is permitted; `None` if it is at any.
    fn until(permits: impl Fn(u64) -> bool) -> Option<u64> {
        (0..=120).find(|seconds| !permits(seconds + 1))
    }

    #[test]
    fn a_look_permits_less_the_more_depends_on_it() {
        let slow = || Some(0.25);
        let table = [
            // Before it queues, before its intent, before its request, and at the pace of a request in four seconds.
            (LookNeeded::No, [None, None, None, None]),
            (LookNeeded::Recent, [Some(59), Some(59), Some(64), Some(64)]),
            (LookNeeded::Direct, [Some(59), Some(4), Some(4), Some(9)]),
        ];
        for (by_plan, expected) in table {
            let known = |seconds| known(by_plan, false, seconds);
            let may_queue = until(|seconds| known(seconds).may_queue());
            let permits_intent = until(|seconds| known(seconds).permits_intent(|| None));
            let permits_request = until(|seconds| known(seconds).permits_request(|| None));
            let at_a_slow_pace = until(|seconds| known(seconds).permits_request(slow));
            assert_eq!([may_queue, permits_intent, permits_request, at_a_slow_pace], expected, "{by_plan:?}");
        }
    }

    #[test]
    fn a_row_in_doubt_is_sent_from_a_direct_look_alone_whatever_the_plan_says() {
        for by_plan in [LookNeeded::No, LookNeeded::Recent, LookNeeded::Direct] {
            let known = |seconds| known(by_plan, true, seconds);
            assert!(!known(0).may_queue());
            assert_eq!(until(|seconds| known(seconds).permits_intent(|| None)), Some(4));
            assert_eq!(until(|seconds| known(seconds).permits_request(|| None)), Some(4));
            assert_eq!(known(0).grows_old_at(), None);
            // A look from before an attempt permits nothing.
            let mut used = known(0);
            used.standing.looked = false;
            assert!(!used.permits_intent(|| None) && used.lacks_permission());
        }
    }

    #[test]
    fn a_look_that_no_longer_holds_permits_nothing() {
        let mut known = known(LookNeeded::Recent, false, 0);
        assert!(known.permits_intent(|| None) && known.grows_old_at().is_some());
        known.forget_look();
        assert!(!known.may_queue() && !known.permits_intent(|| None) && !known.permits_request(|| None));
        assert_eq!(known.grows_old_at(), None);
    }

    #[test]
    fn a_request_has_a_second_to_take_effect() {
        let mut known = known(LookNeeded::Recent, false, 0);
        assert_eq!(known.settles_at(), known.answered_at);
        let left_at = Instant::now();
        known.note_request(left_at);
        assert_eq!(known.settles_at(), left_at + SETTLES_WITHIN);
    }

    #[test]
    fn what_a_killed_launch_sent_has_its_second_too() {
        let now = Instant::now();
        let sent = |seconds_ago: i64| {
            let at = Timestamp::now().checked_sub(jiff::SignedDuration::from_secs(seconds_ago)).unwrap();
            let standing = Standing { last_sent_at: Some(at), ..Standing::default() };
            sent_by_an_earlier_launch(&standing, now)
        };
        assert_eq!(sent(3600), now.checked_sub(SETTLES_WITHIN));
        assert_eq!(sent(-3600), Some(now), "the clock was set back");
        let open = Standing { phase: Phase::Open, ..Standing::default() };
        assert_eq!(sent_by_an_earlier_launch(&open, now), Some(now));
        assert_eq!(sent_by_an_earlier_launch(&Standing::default(), now), None);
    }
}
