//! The head's side: a request is handed to the worker that serves its target, and the end of it is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Message};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::answers::{AnswerInbox, OpenAnswer};
use super::roster::Roster;
use super::words::{GO, HandWord, HeardMessage, SAID, heard, is_below, subject_of};
use crate::clock::since_boot;
use crate::hands::{Hand, Handed, Hands, NotHanded, ServedTarget, Worker};
use crate::wording::plain::plain;

/// Time in which a worker takes what it is asked for, and after which it gets no leave any more.
const TAKEN_WITHIN: Duration = Duration::from_secs(1);
/// Time for which a worker that did not take what it was asked for is asked for nothing more: it may be gone, or stopped.
const NOT_TAKEN_FOR: Duration = Duration::from_secs(5);
/// Time in which each worker has told once that it is here, and some more.
const HEARS_FOR: Duration = Duration::from_millis(1_500);

/// Workers as one launch asks them.
pub(in crate::cluster) struct LaunchHands(Arc<Parts>);

struct Parts {
    client: Client,
    roster: Roster,
    answers: AnswerInbox,
    /// Worker of each hand, by the number of the hand.
    chosen: Mutex<HashMap<usize, String>>,
    /// Workers that are left alone for a while, each until this time since the machine was started: they did not do what they say.
    left_alone: Mutex<HashMap<(String, String), Duration>>,
}

impl Parts {
    fn leave_alone(&self, worker: &Worker, target: &str, time: Duration) {
        let mut left_alone = self.left_alone.lock().unwrap_or_else(PoisonError::into_inner);
        let now = since_boot();
        left_alone.retain(|_, until| *until > now);
        left_alone.insert((worker.id.clone(), target.to_owned()), now + time);
    }

    fn is_left_alone(&self, worker: &Worker, target: &str) -> bool {
        let left_alone = self.left_alone.lock().unwrap_or_else(PoisonError::into_inner);
        left_alone.get(&(worker.id.clone(), target.to_owned())).is_some_and(|until| *until > since_boot())
    }
}

impl LaunchHands {
    /// Listens until each worker has told that it is here.
    pub(in crate::cluster) async fn begin(runtime: &Handle, client: Client) -> Result<Self, async_nats::Error> {
        let roster = Roster::listen(runtime, &client).await?;
        let answers = AnswerInbox::listen(runtime, &client, SAID).await?;
        sleep(HEARS_FOR).await;
        Ok(Self(Arc::new(Parts { client, roster, answers, chosen: Mutex::default(), left_alone: Mutex::default() })))
    }
}

impl Hands for LaunchHands {
    fn workers(&self) -> Vec<Worker> {
        self.0.roster.workers()
    }

    fn hand(&self, target: &str, place: &str, key: Option<String>) -> Box<dyn Hand> {
        let mut chosen = locked(&self.0.chosen);
        let number =
            (0..=chosen.len()).find(|number| !chosen.contains_key(number)).expect("there are fewer hands than numbers");
        chosen.insert(number, String::new());
        Box::new(HandOfTarget {
            parts: Arc::clone(&self.0),
            number,
            target: target.to_owned(),
            place: place.to_owned(),
            key: key.map_or_else(OnceLock::new, OnceLock::from),
        })
    }
}

fn locked(chosen: &Mutex<HashMap<usize, String>>) -> MutexGuard<'_, HashMap<usize, String>> {
    chosen.lock().unwrap_or_else(PoisonError::into_inner)
}

struct HandOfTarget {
    parts: Arc<Parts>,
    number: usize,
    target: String,
    place: String,
    /// Key of the account, from the first worker on.
    key: OnceLock<String>,
}

impl Drop for HandOfTarget {
    fn drop(&mut self) {
        locked(&self.parts.chosen).remove(&self.number);
    }
}

impl HandOfTarget {
    /// Target as a worker serves it, if it is this hand's.
    fn served_by<'w>(&self, worker: &'w Worker) -> Option<&'w ServedTarget> {
        let served = worker.serves(&self.target, &self.place);
        served.filter(|served| self.key.get().is_none_or(|key| *key == served.key))
    }

    fn may_ask(&self, worker: &Worker) -> bool {
        !worker.is_leaving && self.served_by(worker).is_some() && !self.parts.is_left_alone(worker, &self.target)
    }

    /// Worker for a request that waits for nothing more. One that leaves takes what was on its way to it when it began to, and is asked
    /// where there is no other.
    fn choose_now(&self) -> Option<Worker> {
        let leaves = |worker: &Worker| worker.is_leaving && self.served_by(worker).is_some();
        self.choose().or_else(|| self.parts.roster.workers().into_iter().find(leaves))
    }

    /// Worker that was chosen before, if it may still be asked; else the one that the fewest hands have.
    fn choose(&self) -> Option<Worker> {
        let Parts { roster, chosen, .. } = &*self.parts;
        let mut chosen = locked(chosen);
        let before = roster.worker(&chosen[&self.number]).filter(|worker| self.may_ask(worker));
        if before.is_some() {
            return before;
        }
        let n_hands = |worker: &Worker| chosen.values().filter(|id| **id == worker.id).count();
        let found = roster.workers().into_iter().filter(|worker| self.may_ask(worker)).min_by_key(n_hands)?;
        if let Some(served) = self.served_by(&found) {
            self.key.get_or_init(|| served.key.clone());
        }
        chosen.insert(self.number, found.id.clone());
        Some(found)
    }

    /// Hands a question over to a worker, and opens the way for its answers.
    async fn hand_over(&self, worker: &Worker, question: Vec<u8>) -> Result<OpenAnswer, NotHanded> {
        let Parts { client, answers, .. } = &*self.parts;
        // What waits for a connection would be heard later, as if it were asked then.
        if client.connection_state() != State::Connected {
            return Err(NotHanded::Undone("there is no connection to the servers of the log".to_owned()));
        }
        let open = answers.open();
        let subject = subject_of(&self.target, &worker.id);
        let asked = client.publish_with_reply_and_headers(
            subject,
            open.subject.clone(),
            HandWord::Do.headers(),
            question.into(),
        );
        // It waits where much waits already, for servers that are away.
        match timeout(TAKEN_WITHIN, asked).await {
            Ok(Ok(())) => Ok(open),
            Ok(Err(error)) => Err(NotHanded::Undone(plain(&error.to_string()))),
            Err(_) => Err(NotHanded::Undone("the servers of the log do not take it".to_owned())),
        }
    }

    /// Waits for the next word of a worker; `None` once it is gone, or for so long.
    async fn word(&self, worker: &Worker, open: &mut OpenAnswer, within: Duration) -> Option<Message> {
        tokio::select! {
            biased;
            message = timeout(within, open.next()) => message.ok(),
            () = self.parts.roster.gone(&worker.id) => None,
        }
    }

    async fn asked(&self, worker: &Worker, question: Vec<u8>, within: Duration) -> Result<Vec<u8>, NotHanded> {
        let mut open = self.hand_over(worker, question).await?;
        let Some(message) = self.word(worker, &mut open, within).await else {
            return Err(NotHanded::Unknown(format!("worker {} did not answer", worker.name())));
        };
        match heard(&message) {
            HeardMessage::HandWord(HandWord::Done) => Ok(message.payload.into()),
            HeardMessage::Nobody => {
                self.parts.leave_alone(worker, &self.target, NOT_TAKEN_FOR);
                Err(NotHanded::Undone(unexpected(worker, HeardMessage::Nobody)))
            }
            other @ (HeardMessage::HandWord(_) | HeardMessage::Other) => {
                Err(NotHanded::Unknown(unexpected(worker, other)))
            }
        }
    }

    async fn changed(&self, worker: &Worker, question: Vec<u8>, within: Duration) -> Result<Vec<u8>, NotHanded> {
        let began = since_boot();
        let mut open = self.hand_over(worker, question).await?;
        let undone = |why: &str| NotHanded::Undone(format!("worker {} {why}", worker.name()));
        let Some(taken) = self.word(worker, &mut open, TAKEN_WITHIN).await else {
            self.parts.leave_alone(worker, &self.target, NOT_TAKEN_FOR);
            return Err(undone("did not take it within a second"));
        };
        match heard(&taken) {
            HeardMessage::HandWord(HandWord::Taken) => (),
            HeardMessage::Nobody => {
                self.parts.leave_alone(worker, &self.target, NOT_TAKEN_FOR);
                return Err(NotHanded::Undone(unexpected(worker, HeardMessage::Nobody)));
            }
            // It has no leave yet, and whatever it says, it did nothing.
            HeardMessage::HandWord(HandWord::Do | HandWord::Go | HandWord::Late | HandWord::NotKnown)
            | HeardMessage::Other => {
                return Err(NotHanded::Undone(unexpected(worker, heard(&taken))));
            }
            // It did what it had no leave for.
            HeardMessage::HandWord(HandWord::Done) => {
                return Err(NotHanded::Unknown(unexpected(worker, HeardMessage::HandWord(HandWord::Done))));
            }
        }
        // Whoever leads the run may say more than a worker may: it is lent to no other subject.
        let Some(go) = taken.reply.filter(|go| is_below(go, GO)) else {
            return Err(undone("gave no subject for the leave"));
        };
        // This process may have been stopped, and somebody else may lead the run by now.
        if since_boot().saturating_sub(began) > TAKEN_WITHIN {
            return Err(undone("was answered too late to be given leave"));
        }
        let unknown = |why: &str| NotHanded::Unknown(format!("worker {} {why}", worker.name()));
        let go = self.parts.client.publish_with_headers(go, HandWord::Go.headers(), "go".into());
        if !matches!(timeout(TAKEN_WITHIN, go).await, Ok(Ok(()))) {
            return Err(unknown("may have been given leave, and the connection is gone"));
        }
        let Some(message) = self.word(worker, &mut open, within).await else {
            return Err(unknown("was given leave, and did not say how it ended"));
        };
        match heard(&message) {
            HeardMessage::HandWord(HandWord::Done) => Ok(message.payload.into()),
            HeardMessage::HandWord(HandWord::Late) => Err(undone("got its leave too late, and did not send")),
            other @ (HeardMessage::HandWord(HandWord::Do | HandWord::Taken | HandWord::Go | HandWord::NotKnown)
            | HeardMessage::Nobody
            | HeardMessage::Other) => Err(NotHanded::Unknown(unexpected(worker, other))),
        }
    }

    fn nobody(&self) -> Handed {
        let why = format!("no worker that serves `{}` is heard", plain(&self.target));
        Handed { by: None, answer: Err(NotHanded::Undone(why)) }
    }
}

fn unexpected(worker: &Worker, heard: HeardMessage) -> String {
    let name = worker.name();
    match heard {
        HeardMessage::Nobody => format!("worker {name} is not there any more"),
        HeardMessage::HandWord(HandWord::NotKnown) => {
            format!("worker {name} (cutover {}) does not know the question", plain(&worker.version))
        }
        HeardMessage::HandWord(word) => format!("worker {name} answered `{word:?}`, which is no answer to that"),
        HeardMessage::Other => format!("worker {name} answered something that is not known"),
    }
}

impl Hand for HandOfTarget {
    fn worker(&self) -> Option<Worker> {
        self.choose()
    }

    fn leave_alone(&self, worker: &Worker, time: Duration) {
        self.parts.leave_alone(worker, &self.target, time);
    }

    fn heard(&self) -> BoxFuture<'_, ()> {
        self.parts.roster.until(|| self.choose().is_some()).boxed()
    }

    fn ask(&self, question: Vec<u8>, within: Duration) -> BoxFuture<'_, Handed> {
        async move {
            let Some(worker) = self.choose_now() else { return self.nobody() };
            let answer = self.asked(&worker, question, within).await;
            Handed { by: Some(worker), answer }
        }
        .boxed()
    }

    fn change(&self, question: Vec<u8>, within: Duration) -> BoxFuture<'_, Handed> {
        async move {
            let Some(worker) = self.choose_now() else { return self.nobody() };
            let answer = self.changed(&worker, question, within).await;
            Handed { by: Some(worker), answer }
        }
        .boxed()
    }
}
