//! Stop of a run or a lane: drain (start nothing new) and abort (let go of requests on the wire).

use std::future::{Future, pending};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::future::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::event::run::DrainReason;

/// Time that a lane has to end after somebody asked for it; rows that are not settled by then stay in doubt.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// Interval at which a lane that ends is checked for waits that outlast the time it has left.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

/// Cheap to clone; every clone is the same stop.
#[derive(Clone)]
pub(crate) struct Stop {
    /// Drain of the whole run.
    run: CancellationToken,
    /// Request to end by somebody who waits for it.
    asked: CancellationToken,
    /// Number of requests to end so far.
    requests: Arc<watch::Sender<u32>>,
    /// Drain of this lane; cancelled with the run's.
    drain: CancellationToken,
    /// Abort of this lane; cancelled with the run's.
    abort: CancellationToken,
    /// End of waits for leave: the service lets no request of this lane in. Requests on the wire still have their answers.
    shut: CancellationToken,
    reasons: Arc<Mutex<Vec<Why>>>,
}

/// Reason for a drain, and the words in which it is told.
type Why = (DrainReason, Option<String>);

impl Default for Stop {
    fn default() -> Self {
        let (run, abort) = (CancellationToken::new(), CancellationToken::new());
        Self {
            drain: run.child_token(),
            run,
            asked: CancellationToken::new(),
            requests: Arc::default(),
            shut: abort.child_token(),
            abort,
            reasons: Arc::default(),
        }
    }
}

impl Stop {
    /// Makes the stop of one lane: it ends with the run, and may end before it.
    pub(crate) fn of_lane(&self) -> Self {
        let abort = self.abort.child_token();
        Self { drain: self.run.child_token(), shut: abort.child_token(), abort, ..self.clone() }
    }

    /// Drains the whole run: nothing new is started from here on. Every reason is kept, because the worst of them decides how
    /// the launch ends.
    pub(crate) fn drain(&self, reason: DrainReason) {
        self.drain_because(reason, None);
    }

    /// Drains the whole run and keeps the words in which the reason is told.
    pub(crate) fn drain_because(&self, reason: DrainReason, why: Option<String>) {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).push((reason, why));
        if is_asked_for(reason) {
            self.asked.cancel();
            self.count_request();
        }
        self.run.cancel();
    }

    /// Drains this lane alone.
    pub(crate) fn drain_lane(&self) {
        self.drain.cancel();
    }

    /// Drains this lane and ends its waits for leave to send.
    pub(crate) fn shut_lane(&self) {
        self.drain.cancel();
        self.shut.cancel();
    }

    /// Lets go of everything that a lane still waits for when its end takes too long: a cool-down, an answer that does not
    /// come, a look that shows nothing yet. Unless somebody asked for the end, requests on their way have `patience` in
    /// addition. The rest of the time is not waited out where `is_in_vain` tells that nothing can come of it.
    pub(crate) async fn let_go_in_time(self, patience: Duration, is_in_vain: impl Fn(Duration) -> bool) {
        self.drain.cancelled().await;
        let asked = async {
            self.asked.cancelled().await;
            wait(ENDS_WITHIN, &is_in_vain).await;
        };
        tokio::select! {
            () = asked => (),
            () = wait(patience + ENDS_WITHIN, &is_in_vain) => (),
        }
        self.abort.cancel();
    }

    /// Drains the whole run and lets go of requests on the wire: their rows stay in doubt.
    pub(crate) fn abort(&self) {
        self.count_request();
        self.run.cancel();
        self.abort.cancel();
    }

    pub(crate) fn has_reason(&self, reason: DrainReason) -> bool {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|(known, _)| *known == reason)
    }

    /// First reason to stop that somebody chose, by a command or a rule, and the words in which it is told.
    pub(crate) fn chosen(&self) -> Option<Why> {
        let reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let chosen = |reason: DrainReason| match reason {
            DrainReason::Halted
            | DrainReason::StageLeft
            | DrainReason::Window
            | DrainReason::TooLong
            | DrainReason::Unapproved
            | DrainReason::Vetoed
            | DrainReason::NotBegun
            | DrainReason::Operator => true,
            DrainReason::Interrupted
            | DrainReason::Terminated
            | DrainReason::HungUp
            | DrainReason::JournalClosed
            | DrainReason::JournalGone
            | DrainReason::Panicked => false,
        };
        reasons.iter().find(|(reason, _)| chosen(*reason)).cloned()
    }

    /// Waits until the run drains.
    pub(crate) async fn draining(&self) {
        self.run.cancelled().await;
    }

    /// Waits until everything is let go.
    pub(crate) async fn aborting(&self) {
        self.abort.cancelled().await;
    }

    fn count_request(&self) {
        self.requests.send_modify(|n_requests| *n_requests += 1);
    }

    /// Waits until somebody asks for the end once more: requests from before this call do not count.
    pub(crate) fn asked_anew(&self) -> impl Future<Output = ()> + use<> {
        let mut requests = self.requests.subscribe();
        async move {
            if requests.changed().await.is_err() {
                // Nobody is left to ask.
                pending::<()>().await;
            }
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Does the work; `None` as soon as nothing new may be started.
    ///
    /// No `async fn`, whose future would hold the work twice: as its argument, and as the future that is awaited.
    pub(crate) fn unless_draining<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        work.with_cancellation_token(&self.drain)
    }

    /// Does the work; `None` as soon as the service refuses the lane's credentials, or everything is let go.
    pub(crate) fn unless_shut<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        work.with_cancellation_token(&self.shut)
    }

    /// Does the work; `None` as soon as everything is let go.
    pub(crate) fn unless_aborting<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        work.with_cancellation_token(&self.abort)
    }
}

/// Waits for so long, or until the rest of that time is in vain.
async fn wait(bound: Duration, is_in_vain: &impl Fn(Duration) -> bool) {
    let until = Instant::now() + bound;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || is_in_vain(left) {
            return;
        }
        sleep(left.min(LOOKED_AT_EVERY)).await;
    }
}

/// Tells that somebody asked for the end and waits for it.
fn is_asked_for(reason: DrainReason) -> bool {
    match reason {
        DrainReason::Interrupted
        | DrainReason::Terminated
        | DrainReason::HungUp
        | DrainReason::Operator
        | DrainReason::JournalGone => true,
        DrainReason::JournalClosed
        | DrainReason::Panicked
        | DrainReason::Halted
        | DrainReason::StageLeft
        | DrainReason::Window
        | DrainReason::TooLong
        | DrainReason::Unapproved
        | DrainReason::Vetoed
        | DrainReason::NotBegun => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_stops_alone_and_the_run_stops_all() {
        let run = Stop::default();
        let (one, other) = (run.of_lane(), run.of_lane());
        one.drain_lane();
        assert!(one.is_draining() && !other.is_draining() && !run.is_draining());
        other.drain(DrainReason::JournalClosed);
        assert!(other.is_draining() && run.is_draining() && one.has_reason(DrainReason::JournalClosed));
    }

    /// Seconds after which a lane lets go of an answer that never comes.
    async fn lets_go_after(patience: Duration, ask: impl FnOnce(&Stop, &Stop)) -> u64 {
        let run = Stop::default();
        let lane = run.of_lane();
        tokio::spawn(lane.clone().let_go_in_time(patience, |_| false));
        let began = Instant::now();
        ask(&run, &lane);
        assert_eq!(lane.unless_aborting(std::future::pending::<()>()).await, None);
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn no_end_takes_for_ever() {
        let window = Duration::from_mins(5);
        assert_eq!(lets_go_after(window, |run, _| run.drain(DrainReason::Terminated)).await, 30);
        assert_eq!(lets_go_after(window, |run, _| run.drain(DrainReason::Operator)).await, 30);
        assert_eq!(lets_go_after(window, |run, _| run.drain(DrainReason::Halted)).await, 330);
        assert_eq!(lets_go_after(window, |_, lane| lane.drain_lane()).await, 330);
        let halted_then_asked = |run: &Stop, _: &Stop| {
            run.drain(DrainReason::Halted);
            run.drain(DrainReason::Interrupted);
        };
        assert_eq!(lets_go_after(window, halted_then_asked).await, 30);
        assert_eq!(lets_go_after(window, |run, _| run.abort()).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_runs_after_a_stop_is_ended_by_the_next_and_nothing_else() {
        async fn is_asked(stop: &Stop) -> bool {
            tokio::time::timeout(Duration::from_mins(1), stop.asked_anew()).await.is_ok()
        }
        let stop = Stop::default();
        stop.drain(DrainReason::Halted);
        assert!(!is_asked(&stop).await);
        let asking = tokio::spawn({
            let stop = stop.clone();
            async move { is_asked(&stop).await }
        });
        tokio::task::yield_now().await;
        stop.drain(DrainReason::Interrupted);
        assert!(asking.await.unwrap(), "it ran when somebody asked");
        stop.drain(DrainReason::Terminated);
        assert!(!is_asked(&stop).await, "it began afterwards");
        stop.abort();
        assert!(!is_asked(&stop).await, "it began after all was let go");
        let asked = stop.asked_anew();
        stop.abort();
        asked.await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_nothing_can_come_of_is_not_waited_for() {
        let lane = Stop::default();
        // Nothing leaves before then.
        let cool_until = Instant::now() + Duration::from_secs(50);
        let is_in_vain = move |left| Instant::now() + left < cool_until;
        lane.drain(DrainReason::Halted);
        tokio::spawn(lane.clone().let_go_in_time(Duration::from_secs(30), is_in_vain));
        let began = Instant::now();
        assert_eq!(lane.unless_aborting(sleep(Duration::from_secs(7))).await, Some(()));
        lane.drain(DrainReason::Terminated);
        assert_eq!(lane.unless_aborting(std::future::pending::<()>()).await, None);
        assert_eq!(began.elapsed().as_secs(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_is_shut_waits_for_no_leave_and_has_its_answers() {
        let run = Stop::default();
        let (shut, other) = (run.of_lane(), run.of_lane());
        shut.shut_lane();
        assert_eq!(shut.unless_shut(std::future::pending::<()>()).await, None);
        assert_eq!(shut.unless_aborting(sleep(Duration::from_secs(1))).await, Some(()));
        assert_eq!(other.unless_shut(sleep(Duration::from_secs(1))).await, Some(()));
        run.abort();
        assert_eq!(other.unless_shut(std::future::pending::<()>()).await, None);
    }
}
