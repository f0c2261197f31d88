//! From wanting to be sent to an answer on disk: the turn, the direct look, the intent, leave to go, and the wire.

use std::ops::ControlFlow::{self, Break, Continue};
use std::pin::pin;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout_at};

use super::state::{Call, Ending, FRESH, IN_TURN, Step};
use crate::credentials::identity::Generation;
use crate::engine::lane::Lane;
use crate::engine::lane::first_answers::FirstVerdict;
use crate::engine::lane::under_way::UnderWayGuard;
use crate::engine::onlookers::Onlooker;
use crate::engine::reading::ReadFailed;
use crate::engine::sight::How;
use crate::event::row::RowEvent;
use crate::event::rules::Rules;
use crate::event::{EventKind, LaneStop, Outcome, Verdict};
use crate::gate::line::{Line, Place};
use crate::gate::slots::Slot;
use crate::gate::{AtHand, Gate, Pass};
use crate::judge::Reason;
use crate::ledger::Phase;
use crate::model::TargetState;
use crate::recorder::JournalClosed;
use crate::remote::service::Remote;
use crate::retry::{self, Enough};
use crate::steering::counts::TryResult;
use crate::transport::Connection;
use crate::wording::amounts::count;

/// Why an intent that was about to leave does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeldBack {
    /// What was seen of the row grew old.
    SeenTooLongAgo,
    /// The lane was told to wait, or to go slower.
    PutOff,
}

impl HeldBack {
    fn cause(self) -> &'static str {
        match self {
            HeldBack::SeenTooLongAgo => "held back for too long after it was looked at",
            HeldBack::PutOff => "the lane was told to wait before it was sent",
        }
    }
}

/// What a row holds whose turn has come.
struct Front {
    /// If that was worth waiting for.
    slot: Option<Slot>,
    cautious: Option<OwnedSemaphorePermit>,
    /// Where its look has to be a direct one.
    direct: Option<Place>,
}

impl<R: Remote> Call<'_, R> {
    /// Waits for its turn, if it should be sent, and makes one attempt.
    pub(super) async fn send(&mut self) -> Step<()> {
        let lane = self.lane;
        let sends = match self.ready_at_once() {
            Some(sends) => sends,
            None => match Box::pin(self.ready()).await? {
                Continue(sends) => sends,
                Break(ending) => return Ok(Break(ending)),
            },
        };
        if let Break(ending) = self.unless_skipped().await? {
            return Ok(Break(ending));
        }
        if lane.is_hindered() && lane.stop.unless_draining(lane.helm.unpaused()).await.is_none() {
            return Ok(Break(Ending::Later));
        }
        let under_way = lane.under_way.begin();
        if self.depends() && self.onlooker.is_none() {
            self.onlooker = Some(lane.onlookers.join(&self.row.source_id));
        }
        let front = match self.turn_at_once() {
            Some(front) => front,
            None => match lane.stop.unless_draining(lane.helm.unless_paused(self.queue_for_turn())).await {
                Some(Some(Some(front))) => front,
                Some(Some(None) | None) => return Ok(Continue(())),
                None => return Ok(Break(Ending::Later)),
            },
        };
        let sends = if self.was_seen_directly() {
            sends
        } else {
            match Box::pin(self.look_directly()).await? {
                Continue(Some(sends)) => sends,
                Continue(None) => return Ok(Continue(())),
                Break(ending) => return Ok(Break(ending)),
            }
        };
        Box::pin(self.attempt(sends, front, under_way)).await
    }

    /// One request: intent on disk, leave to go, the wire, outcome on disk.
    async fn attempt(&mut self, sends: TargetState, front: Front, under_way: UnderWayGuard<'_>) -> Step<()> {
        let lane = self.lane;
        let Front { slot, cautious, direct } = front;
        match lane.stop.unless_draining(lane.credentialed()).await {
            Some(credentialed) if credentialed? => (),
            Some(_) | None => return Ok(Break(Ending::Later)),
        }
        let mut at_hand = match self.come_to_hand(slot).await {
            Continue(Some(at_hand)) => at_hand,
            Continue(None) => {
                self.looked_at = None;
                return Ok(Continue(()));
            }
            Break(step) => return step,
        };
        let (sends, answered) = if self.skipped().is_none() && self.forget_if_moved().is_none() && self.needs_no_look()
        {
            (sends, None)
        } else {
            match Box::pin(self.look_where_it_stands(&mut at_hand, sends)).await? {
                Continue(Some(looked)) => looked,
                Continue(None) => return Ok(Continue(())),
                Break(ending) => return Ok(Break(ending)),
            }
        };
        let sends = lane.settings.dialect.spelled(sends);
        let attempt = self.standing.started + 1;
        self.record(vec![RowEvent::AttemptStarted { attempt, sends: sends.clone() }.about(self.row.id)]).await?;
        let leave = self.leave_to_go(at_hand, answered, attempt).await?;
        drop(direct);
        let Some(pass) = leave else {
            return Ok(if lane.stop.is_draining() { Break(Ending::Later) } else { Continue(()) });
        };
        let left_at = pass.left_at;
        let reply = {
            let put = pin!(lane.remote.put(&self.row.source_id, &sends, self.connection));
            lane.stop.unless_aborting(put).await
        };
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
        lane.note_answer(&outcome).await?;
        self.connection = Connection::after(&outcome);
        drop(pass);
        (self.place, self.onlooker, self.held_back) = (None, None, false);
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
        drop((under_way, cautious));
        self.fresh = None;
        match patience {
            // The phase says how it goes on: verified, settled, or left because the lane stopped.
            Break(Enough::Accepted | Enough::Refused) if self.standing.phase == Phase::Due => Ok(Break(Ending::Later)),
            Break(Enough::Accepted | Enough::Refused) => Ok(Continue(())),
            Break(Enough::NotTheRow) if goes_on => Ok(Continue(())),
            Break(Enough::NotTheRow) => self.leave(format!("the lane stopped: {outcome}")).await.map(Break),
            Break(Enough::OutOfAttempts) if !lane.is_cut_off() => Box::pin(self.conclude_failure(&outcome)).await,
            Continue(wait) if lane.stop.unless_draining(sleep(wait)).await.is_some() => Ok(Continue(())),
            // Stopped while waiting. What may have been done is still looked at, so that little is left in doubt.
            Continue(_) | Break(Enough::OutOfAttempts) if self.standing.phase == Phase::InDoubt => {
                match Box::pin(self.look_in_doubt()).await? {
                    Continue(()) => Ok(Break(Ending::Later)),
                    Break(ending) => Ok(Break(ending)),
                }
            }
            Continue(_) | Break(Enough::OutOfAttempts) => Ok(Break(Ending::Later)),
        }
    }

    /// Its turn in the lane's pace, at once where nothing is waited for: what waits is large, and so is what may stop it. None:
    /// what was seen of the row grew old meanwhile.
    async fn come_to_hand(&mut self, slot: Option<Slot>) -> ControlFlow<Step<()>, Option<AtHand>> {
        let lane = self.lane;
        let at_once = if lane.is_hindered() { Err(slot) } else { lane.gate.at_hand_at_once(slot) };
        let slot = match at_once {
            Ok(at_hand) => return Continue(Some(at_hand)),
            Err(slot) => slot,
        };
        let at_hand = pin!(lane.gate.at_hand(slot));
        unhindered(lane, until(self.grows_old(), at_hand)).await
    }

    /// What to send, and when a look that was made for that was answered. It may have waited long for its turn, and queueing
    /// again for each look would never end where the service is slow. Behind the look it may wait again, and is looked at
    /// again. None: it goes round once more.
    async fn look_where_it_stands(
        &mut self,
        at_hand: &mut AtHand,
        mut sends: TargetState,
    ) -> Step<Option<(TargetState, Option<Instant>)>> {
        let lane = self.lane;
        let mut answered = None;
        loop {
            if let Break(ending) = self.unless_skipped().await? {
                return Ok(Break(ending));
            }
            if self.forget_if_moved().is_some() {
                answered = None;
            }
            if self.needs_no_look() || self.is_direct(answered) {
                return Ok(Continue(Some((sends, answered))));
            }
            let show = lane.show_at_hand(at_hand, &self.row.source_id, self.needs(), self.connection);
            let sighted = match Box::pin(show).await {
                Ok(sighted) => sighted,
                Err(ReadFailed::Journal(closed)) => return Err(closed),
                Err(ReadFailed::LetGo) => return Ok(Break(Ending::Later)),
                // Nothing is known of it any more; the reader looks with more patience.
                Err(ReadFailed::Outcome(_)) => {
                    self.looked_at = None;
                    return Ok(Continue(None));
                }
            };
            answered = Some(Instant::now());
            self.looked_at = Some(sighted.left_at);
            self.seen.clone_from(&sighted.value);
            match self.weigh(sighted.value).await? {
                Continue(Some(weighed)) => sends = weighed,
                Continue(None) => return Ok(Continue(None)),
                Break(ending) => return Ok(Break(ending)),
            }
            let soon = pin!(lane.gate.soon(at_hand));
            if let Break(step) = unhindered(lane, soon).await {
                return Ok(step?.map_continue(|()| None));
            }
        }
    }

    /// Whether the look that was made where it stands was answered just now. How long the answer took does not count: where
    /// the service is slow, no other would come sooner.
    fn is_direct(&self, answered: Option<Instant>) -> bool {
        answered.is_some_and(|at| at.elapsed() < self.directly_within())
    }

    /// Whether what is known of the row is fresh enough for its request.
    fn may_leave(&self, answered: Option<Instant>) -> bool {
        let is_direct = self.standing.doubted || self.depends();
        let limit = if is_direct { self.directly_within() } else { FRESH + IN_TURN };
        !self.is_looked_at() || self.is_direct(answered) || self.seen_within(limit)
    }

    /// None: the attempt ended before it was sent. While it waited, much may have changed.
    async fn leave_to_go(
        &mut self,
        at_hand: AtHand,
        answered: Option<Instant>,
        attempt: u32,
    ) -> Result<Option<Pass>, JournalClosed> {
        let lane = self.lane;
        let at_once = if lane.is_hindered() { Err(at_hand) } else { lane.gate.pass_at_once(at_hand) };
        let leave = match at_once {
            Ok(pass) => Some(Some(Ok(pass))),
            Err(at_hand) => {
                // Where it stood already when it was looked at, there is no sooner look to have.
                let expires = (self.must_be_direct() && answered.is_none()).then_some(self.looked_at).flatten();
                let expires = expires.map(|looked_at| looked_at + self.directly_within());
                // Large, and not carried along by value.
                let leave = pin!(until(expires, wait_for_leave(&lane.gate, at_hand)));
                let leave = lane.stop.unless_draining(lane.helm.unless_paused(leave)).await;
                // Who gives up costs no token of the pace.
                leave.map(|unpaused| unpaused.map(|in_time| in_time.unwrap_or(Err(HeldBack::SeenTooLongAgo))))
            }
        };
        let cause = match leave {
            None => "stopped before it was sent".to_owned(),
            // What was told to stop while its intent was written down had its pass at once.
            Some(Some(Ok(_))) if lane.stop.is_draining() => "stopped before it was sent".to_owned(),
            Some(None) => "paused before it was sent".to_owned(),
            Some(Some(Err(why))) => {
                self.held_back |= why == HeldBack::SeenTooLongAgo;
                why.cause().to_owned()
            }
            // It waited long for its slot or its turn, or its intent for the disk.
            Some(Some(Ok(_))) if !self.may_leave(answered) => HeldBack::SeenTooLongAgo.cause().to_owned(),
            Some(Some(Ok(pass))) => match (self.forget_if_moved(), self.skipped()) {
                (Some(news), _) => news.cause().to_owned(),
                (None, None) => return Ok(Some(pass)),
                (None, Some(skipped)) => skipped.text,
            },
        };
        let ended = self.ended(attempt, Outcome::Unsent { cause }, None, Duration::ZERO);
        self.record(vec![ended]).await?;
        Ok(None)
    }

    /// Its turn among the rows, if nobody is before it and nothing else is waited for.
    fn turn_at_once(&mut self) -> Option<Front> {
        let lane = self.lane;
        if self.standing.doubted || self.depends() || lane.is_hindered() || lane.helm.is_cautious() {
            return None;
        }
        let place = self.place.get_or_insert_with(|| lane.line.join());
        place.is_first().then_some(Front { slot: None, cautious: None, direct: None })
    }

    /// Its turn among the rows. None: what was seen of the row grew old while it waited; it keeps its place.
    async fn queue_for_turn(&mut self) -> Option<Front> {
        let lane = self.lane;
        if self.standing.doubted {
            let cautious = lane.helm.cautiously().await;
            let direct = direct(&lane.direct).await;
            // The look that permits it is made directly before it.
            return Some(Front { slot: Some(lane.gate.slot().await), cautious, direct });
        }
        let grows_old = self.grows_old();
        let place = self.place.get_or_insert_with(|| lane.line.join());
        let turn = async {
            place.come_first().await;
            // Behind the line: who has this waits for nobody who waits in the line.
            lane.helm.cautiously().await
        };
        let Some(cautious) = until(grows_old, turn).await else {
            self.looked_at = None;
            return None;
        };
        let direct = if self.depends() { direct(&lane.direct).await } else { None };
        Some(Front { slot: None, cautious, direct })
    }

    /// When what was seen of it is too old for an intent. Those that wait with it grow old at the same time, and are looked at
    /// together. None: a look that is made directly before decides, or none does.
    fn grows_old(&self) -> Option<Instant> {
        self.looked_at.filter(|_| self.is_judged() && !self.standing.doubted).map(|at| at + FRESH)
    }

    /// Tells that nothing depends on a direct look, or that it was made.
    fn was_seen_directly(&self) -> bool {
        !self.must_be_direct() || self.seen_within(self.directly_within())
    }

    /// What to send, as a direct look shows, where it depends on that. A page that was just read for another row of it will
    /// do. None: it is paused.
    async fn look_directly(&mut self) -> Step<Option<TargetState>> {
        let lane = self.lane;
        let limit = self.directly_within();
        let needs = self.needs();
        let glimpse = self.onlooker.as_ref().and_then(Onlooker::latest);
        let glimpse = glimpse.filter(|of| of.left_at.elapsed() < limit && of.seen.lacks(needs).is_none());
        let seen = if let Some(glimpse) = glimpse {
            self.looked_at = Some(glimpse.left_at);
            self.seen = Some(glimpse.seen.clone());
            Some(glimpse.seen)
        } else {
            let how = How { for_others: true, ..How::from(Instant::now()) };
            let sight = lane.sight(&self.row, needs, how);
            match lane.stop.unless_draining(lane.helm.unless_paused(sight)).await {
                None => return Ok(Break(Ending::Later)),
                Some(None) => return Ok(Continue(None)),
                Some(Some(sight)) => match self.take_sight(sight).await? {
                    Continue(seen) => seen,
                    Break(ending) => return Ok(Break(ending)),
                },
            }
        };
        Ok(match self.judge(seen).await? {
            Continue(sends) => Continue(Some(sends)),
            Break(ending) => Break(ending),
        })
    }

    /// Records an answered change together with what follows from it at once: a refusal's verdict, or that nobody
    /// wants a proof. The lane's first answers decide whether a 403 is about the row at all.
    async fn record_answer(&mut self, ended: EventKind, outcome: &Outcome) -> Result<(), JournalClosed> {
        let lane = self.lane;
        if self.standing.doubted && self.standing.rules >= Rules::Second && matches!(outcome, Outcome::Rejected { .. })
        {
            // Perhaps because an earlier attempt has moved it: only a look can tell, and what was refused says nothing
            // about us or about the others.
            self.refused = Some(outcome.to_string());
            return self.record(vec![ended]).await;
        }
        let mut first = lane.first_answers.lock().await;
        let reopened = first.count(outcome);
        let about_us = first.verdict == FirstVerdict::AboutUs;
        if let Outcome::Rejected { .. } = outcome {
            first.refuse(self.row.id);
        }
        // While it is open, answers are recorded in the order in which they are counted.
        let first = (first.verdict != FirstVerdict::AboutRows).then_some(first);
        let mut kinds = vec![ended];
        match outcome {
            Outcome::Rejected { status: 403, .. } if about_us => {
                kinds.push(RowEvent::Left { cause: format!("the lane stopped: {outcome}") }.about(self.row.id));
            }
            Outcome::Rejected { .. } => {
                kinds.push(self.verdict(Verdict::Refused, None, Some(outcome.to_string().into())));
            }
            Outcome::Accepted { .. } if !lane.settings.verify => {
                kinds.push(self.verdict(Verdict::Unverified, None, Some(Reason::not_verified())));
            }
            Outcome::Accepted { .. }
            | Outcome::Unauthenticated { .. }
            | Outcome::Barred { .. }
            | Outcome::Throttled { .. }
            | Outcome::Unsent { .. }
            | Outcome::Disclaimed { .. }
            | Outcome::Lost { .. } => (),
        }
        if let Some(rows) = reopened {
            lane.helm.forget(&TryResult::from_refusal(outcome), rows.len() as u64);
            let cause = format!("the first answers of the lane were all the same: {outcome}");
            kinds.extend(rows.into_iter().map(|row| RowEvent::Reopened { cause: cause.clone() }.about(row)));
            kinds.extend(lane.stop_for(LaneStop::Forbidden, cause));
        }
        self.record(kinds).await?;
        drop(first);
        Ok(())
    }

    /// Attempts are used up: a last look says whether it was done all the same.
    async fn conclude_failure(&mut self, outcome: &Outcome) -> Step<()> {
        if let Break(ending) = self.look_in_doubt().await? {
            return Ok(Break(ending));
        }
        let reason = format!("{} used up; the last: {outcome}", count(self.counted.into(), "attempt"));
        self.settle(Verdict::Failed, self.seen.clone(), Some(reason.into())).await.map(Break)
    }
}

/// What the work gives, or none if it takes longer.
async fn until<T>(at: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match at {
        Some(at) => timeout_at(at, work).await.ok(),
        None => Some(work.await),
    }
}

/// Does the work, unless the lane stops or the run is paused meanwhile.
async fn unhindered<R: Remote, T>(lane: &Lane<R>, work: impl Future<Output = T>) -> ControlFlow<Step<()>, T> {
    match lane.stop.unless_draining(lane.helm.unless_paused(work)).await {
        Some(Some(done)) => Continue(done),
        Some(None) => Break(Ok(Continue(()))),
        None => Break(Ok(Break(Ending::Later))),
    }
}

/// Leave to go, unless the lane is told to wait. Most wait for a slot alone, and what waits for the pace is larger.
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

async fn direct(line: &Line) -> Option<Place> {
    let mut place = line.join();
    place.come_first().await;
    Some(place)
}
