//! The service by way of a worker on another machine, which has the credentials and the route.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::service::{Listed, MadeBy, Read, Remote, Reply, SourceShown};
use super::spoken::{SpokenPage, SpokenQuestion, SpokenReadiness, SpokenRenewal, SpokenResult, SpokenSource, is_anew};
use crate::credentials::error::CredentialsError;
use crate::credentials::identity::{Generation, Renewal};
use crate::event::outcome::Outcome;
use crate::hands::{Hand, Handed, NotHanded, Worker};
use crate::model::SourceId;
use crate::model::state::TargetState;
use crate::transport::client::Connection;

/// Time for which a worker that had credentials is taken to have them still. It looks at each request for itself.
const READY_FOR: Duration = Duration::from_secs(5);
/// Time that a request may take on its way there and back besides its own.
const ON_ITS_WAY: Duration = Duration::from_secs(3);
/// Time in which credentials are fetched, see [`crate::credentials`]: a command has a minute.
const FETCHED_WITHIN: Duration = Duration::from_secs(90);

/// The service as a worker sees it.
pub(crate) struct There {
    hand: Box<dyn Hand>,
    target: String,
    /// Bound of one request.
    timeout: Duration,
    /// Longest wait for a worker that serves the target.
    waits_for: Duration,
    seen: Mutex<SeenWorkers>,
}

/// Workers as they were seen so far.
#[derive(Default)]
struct SeenWorkers {
    /// Ids of those that were asked. The place of one tells its generations from those of others.
    ids: Vec<String>,
    /// Worker that had credentials last, and when.
    ready: Option<(String, Instant)>,
}

/// Time after which a worker is asked again whether it has credentials.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Time for which a worker whose credentials were refused is not asked.
const DENIED_FOR: Duration = Duration::from_mins(1);

/// Largest number of a worker's own generations.
const GENERATIONS: u64 = 1 << 32;

impl There {
    pub(crate) fn new(hand: Box<dyn Hand>, target: &str, timeout: Duration, waits_for: Duration) -> Self {
        Self { hand, target: target.to_owned(), timeout, waits_for, seen: Mutex::default() }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, SeenWorkers> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Number of a worker among those that were asked, from one on.
    fn place_of(&self, id: &str) -> u64 {
        let mut seen = self.seen();
        let place = seen.ids.iter().position(|known| known == id).unwrap_or_else(|| {
            seen.ids.push(id.to_owned());
            seen.ids.len() - 1
        });
        place as u64 + 1
    }

    fn generation(&self, by: Option<&Worker>, number: u64) -> Generation {
        let of_worker = by.map_or(0, |worker| self.place_of(&worker.id) * GENERATIONS);
        Generation::from_number(of_worker + number.min(GENERATIONS - 1))
    }

    /// Asks the worker of now whether it has credentials. One that was denied them is left alone for a while.
    async fn ready_at_worker(&self) -> Result<(), CredentialsError> {
        let unreachable = |reason: String| {
            Err(CredentialsError::Unreachable { origin: format!("the worker for `{}`", self.target), reason })
        };
        if self.hand.worker().is_none() && timeout(self.waits_for, self.hand.heard()).await.is_err() {
            let (target, seconds) = (self.target.clone(), self.waits_for.as_secs());
            return Err(CredentialsError::NoWorker { target, seconds });
        }
        let Some(worker) = self.hand.worker() else { return unreachable("it is gone again".to_owned()) };
        let is_known = |(id, at): &(String, Instant)| *id == worker.id && at.elapsed() < READY_FOR;
        if self.seen().ready.as_ref().is_some_and(is_known) {
            return Ok(());
        }
        let asked_at = Instant::now();
        let answer = loop {
            match self.ask::<SpokenReadiness>(&SpokenQuestion::Ready, ASKED_AGAIN_AFTER).await {
                // The question or its answer may have been lost on the way; to ask again costs the worker nothing.
                (Some(by), Err(Outcome::Lost { .. })) if asked_at.elapsed() < FETCHED_WITHIN => {
                    if self.hand.worker().is_none_or(|now| now.id != by.id) {
                        return unreachable(format!("worker {} is gone", by.name()));
                    }
                }
                answer => break answer,
            }
        };
        match answer {
            (Some(by), Ok(readiness)) => {
                let ready = readiness.into_ready(&by.name());
                if ready.is_ok() {
                    self.seen().ready = Some((by.id, Instant::now()));
                } else if let Err(CredentialsError::Denied { .. }) = ready {
                    self.hand.leave_alone(&by, DENIED_FOR);
                }
                ready
            }
            (None, Ok(_)) => unreachable("it is gone again".to_owned()),
            (_, Err(outcome)) => unreachable(outcome.message().unwrap_or_default().to_owned()),
        }
    }

    async fn ask<A: DeserializeOwned>(
        &self,
        question: &SpokenQuestion,
        within: Duration,
    ) -> (Option<Worker>, Result<A, Outcome>) {
        let Handed { by, answer } = self.hand.ask(question.to_bytes(), within).await;
        let answer = understood(by.as_ref(), answer);
        (by, answer)
    }

    async fn read<T: DeserializeOwned, U>(
        &self,
        question: &SpokenQuestion,
        value: impl FnOnce(T) -> U,
        failed: impl FnOnce(Outcome) -> U,
    ) -> Read<U> {
        let asked_at = Instant::now();
        match self.ask::<SpokenResult<T>>(question, self.timeout + ON_ITS_WAY).await {
            (by, Ok(result)) => result.into_read(value, |number| self.generation(by.as_ref(), number)),
            (_, Err(outcome)) => Read {
                value: failed(outcome),
                request_id: None,
                took: asked_at.elapsed(),
                generation: Generation::NONE,
            },
        }
    }
}

fn understood<A: DeserializeOwned>(by: Option<&Worker>, answer: Result<Vec<u8>, NotHanded>) -> Result<A, Outcome> {
    match answer {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_| {
            let name = by.map_or_else(String::new, Worker::name);
            lost(format!("worker {name} gave an answer that cannot be read"))
        }),
        Err(NotHanded::Undone(cause)) => Err(Outcome::Unsent { cause }),
        Err(NotHanded::Unknown(cause)) => Err(lost(cause)),
    }
}

fn lost(cause: String) -> Outcome {
    Outcome::Lost { status: None, code: None, cause }
}

impl Remote for There {
    fn made_by(&self) -> MadeBy {
        MadeBy::Worker(self.hand.worker().as_ref().map(Worker::name))
    }

    async fn ready(&self) -> Result<(), CredentialsError> {
        loop {
            let ready = self.ready_at_worker().await;
            // Where one worker has none, another one may.
            if !matches!(ready, Err(CredentialsError::Denied { .. })) || self.hand.worker().is_none() {
                return ready;
            }
        }
    }

    fn is_attended(&self) -> bool {
        self.hand.worker().is_some()
    }

    async fn renew(&self, generation: Generation) -> Renewal {
        let (place, number) = (generation.number() / GENERATIONS, generation.number() % GENERATIONS);
        let is_of_now = |worker: Option<&Worker>| worker.is_some_and(|worker| self.place_of(&worker.id) == place);
        // The credentials of another worker were not refused.
        if !is_of_now(self.hand.worker().as_ref()) {
            return Renewal::Renewed;
        }
        self.seen().ready = None;
        match self.ask::<SpokenRenewal>(&SpokenQuestion::Renew { generation: number }, FETCHED_WITHIN).await {
            (by, Ok(renewal)) if is_of_now(by.as_ref()) => renewal.into(),
            // Whoever answers next is asked again.
            (_, Ok(_) | Err(_)) => Renewal::Renewed,
        }
    }

    async fn put(&self, source: &SourceId, sends: &TargetState, connection: Connection) -> Reply {
        let asked_at = Instant::now();
        let (source, sends, anew) = (source.to_string(), sends.clone(), is_anew(connection));
        let question = SpokenQuestion::Put { source, sends, anew };
        let Handed { by, answer } = self.hand.change(question.to_bytes(), self.timeout + ON_ITS_WAY).await;
        // What was not handed over, nobody made.
        let via = by.as_ref().filter(|_| !matches!(answer, Err(NotHanded::Undone(_)))).map(Worker::name);
        match understood::<SpokenResult<Outcome>>(by.as_ref(), answer) {
            Ok(result) => {
                let Read { value: outcome, request_id, took, generation } =
                    result.into_change(|number| self.generation(by.as_ref(), number));
                Reply { outcome, request_id, took, generation, via }
            }
            Err(outcome) => {
                Reply { outcome, request_id: None, took: asked_at.elapsed(), generation: Generation::NONE, via }
            }
        }
    }

    async fn show(&self, source: &SourceId, connection: Connection) -> Read<SourceShown> {
        let question = SpokenQuestion::Show { source: source.to_string(), anew: is_anew(connection) };
        self.read(&question, |shown: SpokenSource| shown.into(), SourceShown::Failed).await
    }

    async fn page(&self, offset: u32, connection: Connection) -> Read<Listed> {
        let question = SpokenQuestion::Page { offset, anew: is_anew(connection) };
        self.read(&question, |page: SpokenPage| page.into(), Listed::Failed).await
    }
}
