//! Answers, and their meaning for everybody in the lane: its pace, and whether it goes on at all.

use tokio::time::Instant;

use super::state::Lane;
use super::streak;
use crate::credentials::identity::Generation;
use crate::diagnostics;
use crate::event::kind::EventKind;
use crate::event::lane::{CoolDownCause, LaneEvent, LaneStop};
use crate::event::outcome::Outcome;
use crate::gate::{Learned, Lessons};
use crate::recorder::refusal::NotRecorded;
use crate::remote::codes;
use crate::remote::service::Remote;

impl<R: Remote> Lane<R> {
    /// Applies an answer to everybody in the lane: its pace, and whether it goes on at all. Credentials that were
    /// refused are renewed once; while the lane has not stopped after a refusal, the request may be made again. What was learned is
    /// recorded in one commit with the event that tells of the answer, if that is one of the lane: a launch that is killed leaves
    /// the next one both or neither.
    pub(crate) async fn heed(
        &self,
        outcome: &Outcome,
        left_at: Instant,
        generation: Generation,
        told: Option<LaneEvent>,
    ) -> Result<(), NotRecorded> {
        self.reachability.note(outcome);
        self.gate.expect(self.n_unsent());
        let pace_before = diagnostics::is_on().then(|| self.gate.slowest());
        let kinds: Vec<EventKind> =
            told.into_iter().chain(lessons_told(self.learn(outcome, left_at))).map(EventKind::from).collect();
        if !kinds.is_empty() {
            self.record(kinds, None).await?;
        }
        self.limits.fit_queues();
        if let Some(before) = pace_before {
            self.tell_pace(before, outcome);
        }
        match outcome {
            Outcome::Unauthenticated { .. } | Outcome::Lost { status: Some(401), .. } => {
                self.renew(outcome, generation).await
            }
            Outcome::Barred { .. } => self.halt(LaneStop::Barred, outcome.to_string()).await,
            Outcome::Throttled { .. } => {
                // The reader waits for the end of changes that may not be accepted just now.
                self.under_way.wake();
                Ok(())
            }
            Outcome::Accepted { .. }
            | Outcome::Rejected { .. }
            | Outcome::Unsent { .. }
            | Outcome::Disclaimed { .. }
            | Outcome::Lost { .. } => Ok(()),
        }
    }

    /// Tells that the pace is no longer what it was before an answer, and for how long nothing leaves.
    fn tell_pace(&self, before: Option<f64>, outcome: &Outcome) {
        let (now, cooling) = (self.gate.slowest(), self.gate.snapshot().cooling);
        let shown = |pace: Option<f64>| pace.map_or_else(|| "no limit".to_owned(), |pace| format!("{pace:.2}/s"));
        let name = &self.name;
        if now != before {
            let (before, now) = (shown(before), shown(now));
            diagnostics::decided(|| format!("the pace of account `{name}` goes from {before} to {now}: {outcome}"));
        }
        if let (Outcome::Throttled { .. }, Some(cooling)) = (outcome, cooling) {
            let ms = cooling.as_millis();
            diagnostics::decided(|| format!("account `{name}` waits {ms} ms before its next request: {outcome}"));
        }
    }

    /// Paces the lane by an answer. One that speaks of the quota slows it down also with a status that leaves its own row in doubt.
    fn learn(&self, outcome: &Outcome, left_at: Instant) -> Lessons {
        let lessons = self.gate.heed(outcome, left_at);
        codes::throttled_in_doubt(outcome).map_or(lessons, |throttled| self.gate.heed(&throttled, left_at))
    }

    /// Stops the lane when one kind of answer to changes, none of them the service's own, comes again and again. Reads may
    /// get through all the same, so that little is left in doubt.
    pub(crate) async fn note_answer(&self, outcome: &Outcome) -> Result<(), NotRecorded> {
        let enough = self.strange_changes.count(outcome);
        match enough {
            Some(kind) => self.halt(LaneStop::NotTheService, streak::reason("changes", kind, outcome)).await,
            None => Ok(()),
        }
    }

    /// Stops the lane also for reads by id that are answered so again and again: calls that ask for more of them would only wait.
    pub(super) async fn note_read(&self, outcome: &Outcome) -> Result<(), NotRecorded> {
        let enough = self.strange_reads.count(outcome);
        match enough {
            Some(kind) => self.shut_reads(streak::reason("reads", kind, outcome)).await,
            None => Ok(()),
        }
    }

    /// Stops the lane once it was throttled for as long as the settings allow.
    pub(crate) async fn stop_when_throttled(&self) {
        let waited = self.gate.throttled_for_too_long().await;
        let message = format!("throttled for {} s without one accepted request", waited.as_secs());
        // A closed journal is reported to whoever records next.
        _ = self.halt(LaneStop::Throttled, message).await;
    }
}

fn lessons_told(lessons: Lessons) -> impl Iterator<Item = LaneEvent> {
    let Lessons { learned, own_wait } = lessons;
    let learned = learned.map(|Learned { per_second, stated }| LaneEvent::QuotaLearned { per_second, stated });
    let waits = own_wait.map(|wait| LaneEvent::cool_down(wait, CoolDownCause::Throttled));
    learned.into_iter().chain(waits)
}
