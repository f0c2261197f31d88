//! One row from where it stands to a verdict: the function that a newcomer should read first.

use std::ops::ControlFlow::{Break, Continue};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::helm::counts::{Came, Turn};
use super::lane::{FirstVerdict, Lane, ReadFailed, UnderWayGuard};
use super::line::Place;
use super::sight::Sight;
use crate::credentials::Generation;
use crate::event::{EventKind, LaneStop, Outcome, Verdict};
use crate::gate::{Pass, Slot};
use crate::journal::read::UNPROVEN_BY_CHOICE;
use crate::judge::{self, Effect, Fate};
use crate::ledger::{Phase, Standing};
use crate::model::{Row, SeenState, TargetState};
use crate::recorder::JournalClosed;
use crate::remote::Remote;
use crate::retry::{self, Enough};

/// What a look showed is good for an intent for this long.
const FRESH: Duration = Duration::from_mins(1);
/// An intent may wait for its leave for this long beyond that: the pace lets one after the other go.
const IN_TURN: Duration = Duration::from_secs(5);
/// The look that permits a re-send is made directly before it.
const DIRECTLY: Duration = Duration::from_secs(5);
/// A row that is looked at for longer than this lets those behind it go first.
const LOOKS_WITHIN: Duration = Duration::from_secs(2);
/// A slow server may still be at it.
const SETTLES_WITHIN: Duration = Duration::from_secs(1);

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Settled(Verdict),
    /// Left for a later launch.
    Later,
}

pub(crate) struct Call<'a, R> {
    pub(crate) lane: &'a Lane<R>,
    pub(crate) row: Row,
    /// Folded along with what is recorded: what the journal says, or is about to.
    pub(crate) standing: Standing,
    /// Whether changes may be sent; `reconcile` only looks.
    pub(crate) sends: bool,
    /// Held until the row has had its first answer, so that not the whole plan is open at once.
    pub(crate) fresh: Option<OwnedSemaphorePermit>,
    /// Where it stands among those that wait for a slot.
    pub(crate) place: Option<Place>,
    counted: u32,
    /// The last answer refused our credentials, and others were got.
    renewed: bool,
    /// What the last look of this launch showed, and when it left.
    seen: Option<SeenState>,
    looked_at: Option<Instant>,
    /// When the last request left for the row, as far as it matters still, and when it was answered.
    sent_at: Option<Instant>,
    answered_at: Instant,
    /// No look succeeded.
    unseen: bool,
    /// Its turn among the rows that are tried, while it is not settled.
    turn: Option<Turn>,
}

impl<R> Drop for Call<'_, R> {
    fn drop(&mut self) {
        if let Some(turn) = self.turn {
            self.lane.helm.leave(turn);
        }
    }
}

/// Goes on, or ends here.
type Step<T> = Result<std::ops::ControlFlow<Ending, T>, JournalClosed>;

impl<'a, R: Remote> Call<'a, R> {
    pub(crate) fn new(lane: &'a Lane<R>, row: Row, standing: Standing, sends: bool) -> Self {
        // Preflight leaves rows in doubt to the look that is made directly before they are sent, and what it could not
        // look at to the row's own look.
        let seen_by_preflight = standing.looked && !standing.doubted && !standing.phase.is_in_doubt();
        let looked_at = if seen_by_preflight { lane.preflight_at() } else { None };
        let seen = standing.last_seen().cloned();
        let answered_at = Instant::now();
        let sent_at = sent_by_an_earlier_launch(&standing);
        Self {
            lane,
            row,
            standing,
            sends,
            fresh: None,
            place: None,
            counted: 0,
            renewed: false,
            seen,
            looked_at,
            sent_at,
            answered_at,
            unseen: false,
            turn: None,
        }
    }

    /// Boxed is what takes much room for a short time: most rows that are open only wait to be verified.
    pub(crate) async fn run(&mut self) -> Result<Ending, JournalClosed> {
        loop {
            let step = match self.standing.phase {
                Phase::Open => Box::pin(self.take_up_cut_off_attempt()).await?,
                Phase::Accepted => return self.verify().await,
                Phase::InDoubt => Box::pin(self.look_in_doubt()).await?,
                Phase::Untried | Phase::Due if !self.sends => return Ok(Ending::Later),
                Phase::Untried | Phase::Due => self.send().await?,
                Phase::Settled(verdict) => return Ok(Ending::Settled(verdict)),
            };
            if let Break(ending) = step {
                return Ok(ending);
            }
        }
    }

    /// An earlier launch sent this, or was about to, and died before the answer.
    async fn take_up_cut_off_attempt(&mut self) -> Step<()> {
        let cause = "the launch ended before the answer came".to_owned();
        let outcome = Outcome::Lost { status: None, code: None, cause };
        let attempt = self.standing.started;
        let ended = EventKind::AttemptEnded { row: self.row.id, attempt, outcome, request_id: None, took_ms: 0 };
        self.record(vec![ended]).await?;
        Ok(Continue(()))
    }

    /// Sent, answer unknown: nobody sends again before looking.
    async fn look_in_doubt(&mut self) -> Step<()> {
        let seen = match self.look(self.settled_by()).await? {
            Continue(seen) => seen,
            Break(ending) => return Ok(Break(ending)),
        };
        self.weigh_doubt(seen).await
    }

    /// Settles the row from a look, or records that it is as before and may be sent again.
    async fn weigh_doubt(&mut self, seen: Option<SeenState>) -> Step<()> {
        let effect = judge::effect(&self.row.wants, self.standing.last_seen(), seen.as_ref());
        match effect {
            Effect::OnTarget => {
                let verdict = judge::on_target_verdict(&self.standing);
                self.settle(verdict, seen, None).await.map(Break)
            }
            Effect::Overtaken { reason } => self.settle(Verdict::Overtaken, seen, Some(reason)).await.map(Break),
            Effect::Unprovable { reason, as_before: false } => {
                self.settle(Verdict::Unverified, seen, Some(reason)).await.map(Break)
            }
            Effect::NotYet { .. } | Effect::Unprovable { as_before: true, .. } => {
                self.record(vec![EventKind::RowSeen { row: self.row.id, seen }]).await?;
                Ok(Continue(()))
            }
        }
    }

    /// Somebody may have said that it is not to be sent.
    async fn unless_skipped(&mut self) -> Step<()> {
        match self.lane.helm.skipped(&self.row.source_id) {
            Some(reason) => Box::pin(self.settle(Verdict::Blocked, self.seen.clone(), Some(reason))).await.map(Break),
            None => Ok(Continue(())),
        }
    }

    /// What to send, once it is known from a fresh enough look that it should be sent.
    async fn ready(&mut self) -> Step<TargetState> {
        self.forget_if_moved();
        if self.standing.doubted {
            // A look that is too old by the time that the row has its slot is made again there.
            if (!self.standing.looked || self.looked_at.is_none())
                && let Break(ending) = Box::pin(self.look_in_doubt()).await?
            {
                return Ok(Break(ending));
            }
            return self.judge(self.seen.clone()).await;
        }
        let depends = !self.row.expects.is_empty() || (self.completes() && !self.row.wants.is_pair());
        let looked_here = self.looked_at != self.lane.preflight_at();
        if self.needs_no_look() && (!depends || looked_here) {
            return Ok(Continue(self.sends_from(self.seen.as_ref())));
        }
        let stop = self.lane.stop.clone();
        let place = self.place.take();
        let (looked, place) = stop.unless_draining(Box::pin(keeping(place, self.look(Instant::now())))).await.unzip();
        self.place = place.flatten();
        match looked {
            Some(looked) => match looked? {
                Continue(seen) => self.judge(seen).await,
                Break(ending) => Ok(Break(ending)),
            },
            None => Ok(Break(Ending::Later)),
        }
    }

    /// A read that was made for others may have shown it elsewhere: what was seen of it before is no longer so.
    fn forget_if_moved(&mut self) -> bool {
        let is_moved = self.is_looked_at() && self.lane.moved().remove(&self.row.id);
        if is_moved {
            self.looked_at = None;
        }
        is_moved
    }

    /// Whether what is known of the row is fresh enough for an intent.
    fn needs_no_look(&self) -> bool {
        if self.standing.doubted {
            self.standing.looked && self.seen_within(DIRECTLY)
        } else {
            !self.is_judged() || self.seen_within(FRESH)
        }
    }

    /// Whether a look decides if the row is sent: with preflight off, only where the plan expects something.
    fn is_judged(&self) -> bool {
        self.lane.settings.preflight || !self.row.expects.is_empty()
    }

    /// Whether the row is sent only after a look.
    fn is_looked_at(&self) -> bool {
        self.standing.doubted || self.is_judged()
    }

    fn completes(&self) -> bool {
        self.lane.settings.preflight && self.lane.settings.complete_pair
    }

    /// When the row's last request has had time to take effect.
    fn settled_by(&self) -> Instant {
        self.sent_at.map_or(self.answered_at, |sent| sent + SETTLES_WITHIN)
    }

    /// Weighs a look that was made with the slot in hand.
    async fn weigh(&mut self, seen: Option<SeenState>) -> Step<TargetState> {
        if self.standing.doubted
            && let Break(ending) = self.weigh_doubt(seen.clone()).await?
        {
            return Ok(Break(ending));
        }
        self.judge(seen).await
    }

    /// Judges the row anew from what was just seen. The half that is filled in is what is there now, too.
    async fn judge(&mut self, seen: Option<SeenState>) -> Step<TargetState> {
        if !self.is_judged() {
            return Ok(Continue(self.row.wants.clone()));
        }
        match judge::judge(&self.row, seen.as_ref(), self.completes(), self.lane.settings.dialect) {
            Fate::Change { sends, .. } => {
                if let Some(reason) = self.moved_meanwhile(seen.as_ref()) {
                    return self.settle(Verdict::Overtaken, seen, Some(reason)).await.map(Break);
                }
                if !self.standing.doubted && seen.as_ref() != self.standing.last_seen() {
                    self.record(vec![EventKind::RowSeen { row: self.row.id, seen }]).await?;
                }
                Ok(Continue(sends))
            }
            Fate::Already => {
                let verdict = judge::on_target_verdict(&self.standing);
                self.settle(verdict, seen, None).await.map(Break)
            }
            Fate::Blocked { reason } => self.settle(Verdict::Blocked, seen, Some(reason)).await.map(Break),
        }
    }

    /// Whether somebody else moved the row after it was looked at, told about, and agreed to.
    fn moved_meanwhile(&self, seen: Option<&SeenState>) -> Option<String> {
        let was = self.standing.last_seen().filter(|_| self.lane.settings.preflight && self.standing.looked);
        match judge::effect(&self.row.wants, Some(was?), seen) {
            Effect::Overtaken { reason } => Some(format!("{reason}; somebody moved it before it was sent")),
            Effect::OnTarget | Effect::NotYet { .. } | Effect::Unprovable { .. } => None,
        }
    }

    fn sends_from(&self, seen: Option<&SeenState>) -> TargetState {
        match seen {
            Some(seen) if self.completes() => self.row.wants.completed_from(seen),
            Some(_) | None => self.row.wants.clone(),
        }
    }

    fn seen_within(&self, limit: Duration) -> bool {
        self.looked_at.is_some_and(|at| at.elapsed() < limit)
    }

    /// One look by the lane's reader.
    async fn look(&mut self, not_before: Instant) -> Step<Option<SeenState>> {
        match self.lane.sight(self.row.id, &self.row.source_id, not_before, false).await {
            Some(Sight::Seen { seen, left_at }) => {
                self.looked_at = Some(left_at);
                self.seen.clone_from(&seen);
                Ok(Continue(seen))
            }
            // The service will not show it, so it cannot be known whether to send it.
            Some(Sight::Refused { cause }) if self.standing.attempts == 0 => {
                let reason = format!("the service does not show it: {cause}");
                self.settle(Verdict::Blocked, None, Some(reason)).await.map(Break)
            }
            Some(Sight::Failed { cause } | Sight::Refused { cause }) => {
                self.leave(format!("the look failed: {cause}")).await.map(Break)
            }
            None => Ok(Break(Ending::Later)),
        }
    }

    /// Waits for its turn, if it should be sent, and makes one attempt.
    async fn send(&mut self) -> Step<()> {
        let lane = self.lane;
        let sends = match Box::pin(self.ready()).await? {
            Continue(sends) => sends,
            Break(ending) => return Ok(Break(ending)),
        };
        if let Break(ending) = self.unless_skipped().await? {
            return Ok(Break(ending));
        }
        if lane.stop.unless_draining(lane.helm.unpaused()).await.is_none() {
            return Ok(Break(Ending::Later));
        }
        let under_way = lane.under_way.begin();
        let (slot, cautious) = match lane.stop.unless_draining(lane.helm.unless_paused(self.queue_for_turn())).await {
            Some(Some(Some(turn))) => turn,
            Some(Some(None) | None) => return Ok(Continue(())),
            None => return Ok(Break(Ending::Later)),
        };
        if let Break(ending) = self.unless_skipped().await? {
            return Ok(Break(ending));
        }
        Box::pin(self.attempt(sends, slot, (under_way, cautious))).await
    }

    /// One request: intent on disk, leave to go, the wire, outcome on disk.
    async fn attempt(
        &mut self,
        mut sends: TargetState,
        mut slot: Option<Slot>,
        under_way: (UnderWayGuard<'_>, Option<OwnedSemaphorePermit>),
    ) -> Step<()> {
        let lane = self.lane;
        match lane.stop.unless_draining(lane.credentialed()).await {
            Some(credentialed) if credentialed? => (),
            Some(_) | None => return Ok(Break(Ending::Later)),
        }
        self.forget_if_moved();
        // It may have waited long for its slot. It is looked at with the slot in hand: queueing again for each look
        // would never end where the service is slow.
        if !self.needs_no_look() {
            let held = match slot.take() {
                Some(slot) => slot,
                None => match lane.stop.unless_draining(lane.gate.slot()).await {
                    Some(slot) => slot,
                    None => return Ok(Break(Ending::Later)),
                },
            };
            let sighted = match Box::pin(lane.show_holding(held, &self.row.source_id)).await {
                Ok((sighted, held)) => {
                    slot = Some(held);
                    sighted
                }
                Err(ReadFailed::Journal(closed)) => return Err(closed),
                Err(ReadFailed::LetGo) => return Ok(Break(Ending::Later)),
                // Nothing is known of it any more; the reader looks with more patience.
                Err(ReadFailed::Outcome(_)) => {
                    self.looked_at = None;
                    return Ok(Continue(()));
                }
            };
            self.looked_at = Some(sighted.left_at);
            self.seen.clone_from(&sighted.value);
            match self.weigh(sighted.value).await? {
                Continue(weighed) => sends = weighed,
                Break(ending) => return Ok(Break(ending)),
            }
        }
        let sends = lane.settings.dialect.spelled(sends);
        let attempt = self.standing.started + 1;
        self.record(vec![EventKind::AttemptStarted { row: self.row.id, attempt, sends: sends.clone() }]).await?;
        let Some(pass) = self.leave_to_go(slot, attempt).await? else {
            return Ok(if lane.stop.is_draining() { Break(Ending::Later) } else { Continue(()) });
        };
        let left_at = pass.left_at;
        let reply = lane.stop.unless_aborting(lane.remote.put(&self.row.source_id, &sends)).await;
        let took = left_at.elapsed();
        let (outcome, request_id, worn) = match reply {
            Some(reply) => (reply.outcome, reply.request_id, reply.worn),
            None => (Outcome::aborted(), None, Generation::NONE),
        };
        self.sent_at = Some(left_at);
        self.answered_at = Instant::now();
        let ended = self.ended(attempt, outcome.clone(), request_id, took);
        // The next request has its leave once it is known what this answer means for all: it may stop the run.
        lane.stop_if_refused_again(&outcome, self.renewed).await?;
        let is_refusal = matches!(outcome, Outcome::Rejected { .. });
        if is_refusal {
            self.record_answer(ended.clone(), &outcome).await?;
        }
        lane.heed(&outcome, left_at, worn).await?;
        drop(pass);
        self.place = None;
        let goes_on = lane.goes_on_renewed(&outcome);
        self.renewed = goes_on;
        if retry::counts(&outcome) && !goes_on {
            self.counted += 1;
        }
        let patience = lane.settings.patience.after(self.counted, &outcome, rand::random());
        if let Break(Enough::Accepted) = patience {
            self.record_answer(ended, &outcome).await?;
        } else if !is_refusal {
            self.record(vec![ended]).await?;
        }
        drop(under_way);
        self.fresh = None;
        match patience {
            // The phase says how it goes on: verified, settled, or left because the lane stopped.
            Break(Enough::Accepted | Enough::Refused) if self.standing.phase == Phase::Due => Ok(Break(Ending::Later)),
            Break(Enough::Accepted | Enough::Refused) => Ok(Continue(())),
            Break(Enough::NotTheRow) if goes_on => Ok(Continue(())),
            Break(Enough::NotTheRow) => self.leave(format!("the lane stopped: {outcome}")).await.map(Break),
            Break(Enough::OutOfAttempts) => Box::pin(self.conclude_failure(&outcome)).await,
            Continue(wait) if lane.stop.unless_draining(sleep(wait)).await.is_some() => Ok(Continue(())),
            // Stopped while waiting. What may have been done is still looked at, so that little is left in doubt.
            Continue(_) if self.standing.phase == Phase::InDoubt => match Box::pin(self.look_in_doubt()).await? {
                Continue(()) => Ok(Break(Ending::Later)),
                Break(ending) => Ok(Break(ending)),
            },
            Continue(_) => Ok(Break(Ending::Later)),
        }
    }

    /// None: the attempt ended before it was sent. While it waited, much may have changed.
    async fn leave_to_go(&mut self, slot: Option<Slot>, attempt: u32) -> Result<Option<Pass>, JournalClosed> {
        let lane = self.lane;
        let limit = if self.standing.doubted { DIRECTLY } else { FRESH + IN_TURN };
        let had_slot = slot.is_some();
        let pass = async {
            let slot = match slot {
                Some(slot) => slot,
                None => lane.gate.slot().await,
            };
            lane.gate.pass(slot).await
        };
        let cause = match lane.stop.unless_draining(lane.helm.unless_paused(pass)).await {
            None => "stopped before it was sent".to_owned(),
            // What was told to stop while its intent was written down had its pass at once.
            Some(Some(_)) if lane.stop.is_draining() => "stopped before it was sent".to_owned(),
            Some(None) => "paused before it was sent".to_owned(),
            // It waited long for its slot, or the lane was told to wait meanwhile, and what was seen before that is old.
            Some(Some(pass)) if (pass.cooled || !had_slot) && self.is_looked_at() && !self.seen_within(limit) => {
                "held back for too long after it was looked at".to_owned()
            }
            Some(Some(_)) if self.forget_if_moved() => "somebody else moved it before it was sent".to_owned(),
            Some(Some(pass)) => match lane.helm.skipped(&self.row.source_id) {
                None => return Ok(Some(pass)),
                Some(skipped) => skipped,
            },
        };
        let ended = self.ended(attempt, Outcome::Unsent { cause }, None, Duration::ZERO);
        self.record(vec![ended]).await?;
        Ok(None)
    }

    /// Its turn to be written down as begun, with a slot if that was worth waiting for. None: what was seen of the row grew
    /// old while it waited. Those that wait with it grow old at the same time, and are looked at together; it keeps its place.
    async fn queue_for_turn(&mut self) -> Option<(Option<Slot>, Option<OwnedSemaphorePermit>)> {
        let lane = self.lane;
        if self.standing.doubted {
            let cautious = lane.helm.cautiously().await;
            // The look that permits it is made directly before it.
            return Some((Some(lane.gate.slot().await), cautious));
        }
        let grows_old = self.looked_at.filter(|_| self.is_judged()).map(|at| at + FRESH);
        let place = self.place.get_or_insert_with(|| lane.line.join());
        let turn = async {
            place.come_first().await;
            // Behind the line: who has this waits for nobody who waits in the line.
            (None, lane.helm.cautiously().await)
        };
        let Some(grows_old) = grows_old else { return Some(turn.await) };
        let turn = timeout_at(grows_old, turn).await.ok();
        if turn.is_none() {
            self.looked_at = None;
        }
        turn
    }

    /// Records an answered change together with what follows from it at once: a refusal's verdict, or that nobody
    /// wants a proof. The lane's first answers decide whether a 403 is about the row at all.
    async fn record_answer(&mut self, ended: EventKind, outcome: &Outcome) -> Result<(), JournalClosed> {
        let lane = self.lane;
        let mut first = lane.first_answers.lock().await;
        let reopened = first.count(self.row.id, outcome);
        let about_us = first.verdict == FirstVerdict::AboutUs;
        // While it is open, answers are recorded in the order in which they are counted.
        let first = (first.verdict != FirstVerdict::AboutRows).then_some(first);
        let mut kinds = vec![ended];
        match outcome {
            Outcome::Rejected { status: 403, .. } if about_us => {
                kinds.push(EventKind::RowLeft { row: self.row.id, cause: format!("the lane stopped: {outcome}") });
            }
            Outcome::Rejected { .. } => kinds.push(self.verdict(Verdict::Refused, None, Some(outcome.to_string()))),
            Outcome::Accepted { .. } if !lane.settings.verify => {
                kinds.push(self.verdict(Verdict::Unverified, None, Some(UNPROVEN_BY_CHOICE.to_owned())));
            }
            Outcome::Accepted { .. }
            | Outcome::Unauthenticated { .. }
            | Outcome::Barred { .. }
            | Outcome::Throttled { .. }
            | Outcome::Unsent { .. }
            | Outcome::Lost { .. } => (),
        }
        if let Some(rows) = reopened {
            lane.helm.forget(&Came::of_refusal(outcome), rows.len() as u64);
            let cause = format!("the first answers of the lane were all the same: {outcome}");
            kinds.extend(rows.into_iter().map(|row| EventKind::RowReopened { row, cause: cause.clone() }));
            kinds.extend(lane.stop_for(LaneStop::Forbidden, cause));
        }
        self.record(kinds).await?;
        drop(first);
        Ok(())
    }

    /// Attempts are used up: a last look says whether it was done all the same.
    async fn conclude_failure(&mut self, outcome: &Outcome) -> Step<()> {
        if self.standing.phase == Phase::InDoubt
            && let Break(ending) = self.look_in_doubt().await?
        {
            return Ok(Break(ending));
        }
        let seen = if self.standing.looked {
            self.seen.clone()
        } else {
            match self.look(self.answered_at).await? {
                Continue(seen) => {
                    if let Break(ending) = self.weigh_doubt(seen.clone()).await? {
                        return Ok(Break(ending));
                    }
                    seen
                }
                Break(ending) => return Ok(Break(ending)),
            }
        };
        let reason = format!("{} attempts used up; the last: {outcome}", self.counted);
        self.settle(Verdict::Failed, seen, Some(reason)).await.map(Break)
    }

    /// Accepted: look until the target is seen, or the window is over.
    async fn verify(&mut self) -> Result<Ending, JournalClosed> {
        let (verdict, seen, reason) = if self.lane.settings.verify {
            match self.proof().await {
                Some(proof) => proof,
                None => return Ok(Ending::Later),
            }
        } else {
            (Verdict::Unverified, None, Some(UNPROVEN_BY_CHOICE.to_owned()))
        };
        Box::pin(self.settle(verdict, seen, reason)).await
    }

    /// What looks show of an accepted change. None: everything is let go.
    async fn proof(&mut self) -> Option<(Verdict, Option<SeenState>, Option<String>)> {
        let window_ends = self.answered_at + self.lane.settings.verify_timeout;
        let mut pause = Duration::from_millis(250);
        let mut not_before = self.answered_at;
        let mut patient = true;
        let mut failed_after_window = false;
        loop {
            match self.lane.sight(self.row.id, &self.row.source_id, not_before, patient).await? {
                Sight::Failed { cause } | Sight::Refused { cause } => {
                    // It has been tried with patience already, so one more failure after the window is the end.
                    if failed_after_window {
                        self.unseen = true;
                        return Some((Verdict::Unverified, None, Some(format!("no look succeeded: {cause}"))));
                    }
                    failed_after_window = Instant::now() >= window_ends;
                }
                Sight::Seen { seen, left_at } => {
                    let over = left_at >= window_ends;
                    match judge::effect(&self.row.wants, self.standing.last_seen(), seen.as_ref()) {
                        Effect::OnTarget => return Some((Verdict::Applied, seen, None)),
                        Effect::Overtaken { reason } => return Some((Verdict::Overtaken, seen, Some(reason))),
                        Effect::NotYet { reason } if over => return Some((Verdict::NoEffect, seen, Some(reason))),
                        Effect::Unprovable { reason, .. } if over => {
                            return Some((Verdict::Unverified, seen, Some(reason)));
                        }
                        Effect::NotYet { .. } | Effect::Unprovable { .. } => (),
                    }
                }
            }
            patient = false;
            let now = Instant::now();
            not_before = if now < window_ends { (now + pause).min(window_ends) } else { now + pause };
            pause *= 2;
        }
    }

    fn ended(&self, attempt: u32, outcome: Outcome, request_id: Option<String>, took: Duration) -> EventKind {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        EventKind::AttemptEnded { row: self.row.id, attempt, outcome, request_id, took_ms }
    }

    fn verdict(&self, verdict: Verdict, seen: Option<SeenState>, reason: Option<String>) -> EventKind {
        EventKind::RowSettled { row: self.row.id, verdict, seen, reason }
    }

    async fn settle(
        &mut self,
        verdict: Verdict,
        seen: Option<SeenState>,
        reason: Option<String>,
    ) -> Result<Ending, JournalClosed> {
        self.record(vec![self.verdict(verdict, seen, reason)]).await?;
        Ok(Ending::Settled(verdict))
    }

    async fn leave(&mut self, cause: String) -> Result<Ending, JournalClosed> {
        self.record(vec![EventKind::RowLeft { row: self.row.id, cause }]).await?;
        Ok(Ending::Later)
    }

    async fn record(&mut self, kinds: Vec<EventKind>) -> Result<(), JournalClosed> {
        for kind in kinds.iter().filter(|kind| kind.row() == Some(self.row.id)) {
            // The journal takes or refuses the same step; where it refuses, the row goes no further.
            _ = self.standing.add(kind, jiff::Timestamp::now());
        }
        self.lane.record(kinds, Some(&self.row.source_id)).await?;
        if self.sends { self.count().await } else { Ok(()) }
    }

    /// The halt rules hear of a row when the service has taken it, and again when it is settled.
    async fn count(&mut self) -> Result<(), JournalClosed> {
        let helm = &self.lane.helm;
        match self.standing.phase {
            Phase::Accepted => _ = self.turn.get_or_insert_with(|| helm.begin()),
            Phase::Settled(verdict) => {
                if verdict == Verdict::Applied {
                    helm.moved_one(self.lane.id);
                }
                if let Some(came) = Came::of(&self.standing, verdict, self.unseen) {
                    self.lane.n_tried.fetch_add(1, Ordering::Relaxed);
                    let turn = self.turn.take().unwrap_or_else(|| helm.begin());
                    helm.end(turn, &came).await?;
                }
            }
            Phase::Untried | Phase::Open | Phase::InDoubt | Phase::Due => (),
        }
        Ok(())
    }
}

/// Does the work and keeps the place in line, unless the work takes so long that others should go first.
async fn keeping<T>(place: Option<Place>, work: impl Future<Output = T>) -> (T, Option<Place>) {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = timeout(LOOKS_WITHIN, work.as_mut()).await {
        return (done, place);
    }
    drop(place);
    (work.await, None)
}

/// When an earlier launch sent the row last, no more than a second ago: a server that was slow then may still be at it.
fn sent_by_an_earlier_launch(standing: &Standing) -> Option<Instant> {
    let now = Instant::now();
    if standing.phase == Phase::Open {
        // The intent may have waited long for leave to go; all that is sure is that it was before this launch.
        return Some(now);
    }
    let ago = jiff::Timestamp::now().duration_since(standing.last_sent_at?);
    // A clock that was set back in between says nothing.
    let ago = Duration::try_from(ago).unwrap_or(Duration::ZERO);
    now.checked_sub(ago.min(SETTLES_WITHIN))
}
