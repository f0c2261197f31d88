//! The worker's side: it tells that it is here, takes what it is asked for, and does it once it has leave.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Message, Subject, Subscriber};
use futures_util::StreamExt as _;
use futures_util::stream::select_all;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::answers::AnswerInbox;
use super::words::{GO, HERE, HandWord, HeardMessage, HereBeat, PROTOCOL, SAID, heard, is_below, subject_of};
use crate::clock::since_boot;
use crate::hands::{HandedWork, ServedTarget, Serving};
use crate::lock;

const BEATS_EVERY: Duration = Duration::from_secs(1);
/// Time between `taken` and `go` after which nothing is sent any more.
const GO_WITHIN: Duration = Duration::from_secs(1);
/// Time in which whoever asks has heard that the worker leaves and asks somebody else, and in which what was begun before has come: a
/// change waits for its pace for up to two seconds.
const LEAVES_AFTER: Duration = Duration::from_secs(3);
/// Bound of what is under way at once, of all launches together. More is not taken.
const AT_ONCE: usize = 4_096;

/// Worker at its place. Dropping it lets go of all that is under way.
pub(in crate::cluster) struct Workplace {
    leaving: watch::Sender<bool>,
    work: JoinHandle<()>,
    beats: JoinHandle<()>,
}

impl Workplace {
    /// Begins to serve targets. The servers know what is listened to before this returns.
    pub(in crate::cluster) async fn begin(
        runtime: &Handle,
        client: Client,
        targets: Vec<ServedTarget>,
        serving: Arc<dyn Serving>,
    ) -> Result<Self, async_nats::Error> {
        let now = Timestamp::now();
        let worker = format!("{:016x}", rand::random::<u64>());
        let mut asked = Vec::new();
        for target in &targets {
            asked.push((target.name.clone(), client.subscribe(subject_of(&target.name, &worker)).await?));
        }
        let answers = AnswerInbox::listen(runtime, &client, GO).await?;
        let here = HereBeat {
            protocol: PROTOCOL,
            worker,
            host: lock::host(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: now,
            at: now,
            leaving: false,
            targets,
        };
        let (leaving, leaves) = watch::channel(false);
        let beats = runtime.spawn(tell(client.clone(), here, leaves.clone()));
        let work = Arc::new(TakenWork {
            client,
            answers,
            serving,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            under_way: Mutex::default(),
        });
        let work = runtime.spawn(take(work, asked, leaves));
        Ok(Self { leaving, work, beats })
    }

    /// Takes nothing more once whoever asks knows of that, and waits for the end of what is under way.
    pub(in crate::cluster) async fn leave(mut self) {
        self.leaving.send_replace(true);
        _ = (&mut self.work).await;
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        self.work.abort();
        self.beats.abort();
    }
}

/// Tells each second that the worker is here, and at once when it begins to leave.
async fn tell(client: Client, here: HereBeat, mut leaves: watch::Receiver<bool>) {
    let mut due = interval(BEATS_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = due.tick() => (),
            changed = leaves.changed() => if changed.is_err() { return },
        }
        // What waits for a connection would be heard later, as if it were said then.
        if client.connection_state() != State::Connected {
            continue;
        }
        let here = HereBeat { at: Timestamp::now(), leaving: *leaves.borrow(), ..here.clone() };
        let text = serde_json::to_vec(&here).expect("it is plain data");
        _ = client.publish(HERE, text.into()).await;
    }
}

/// Takes what is asked for until the worker has left, and waits for the end of it.
async fn take(work: Arc<TakenWork>, asked: Vec<(String, Subscriber)>, mut leaves: watch::Receiver<bool>) {
    let mut questions = select_all(asked.into_iter().map(|(target, messages)| {
        let target: Arc<str> = target.into();
        messages.map(move |message| (Arc::clone(&target), message)).boxed()
    }));
    let left = async {
        _ = leaves.wait_for(|leaves| *leaves).await;
        sleep(LEAVES_AFTER).await;
    };
    tokio::pin!(left);
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            question = questions.next() => {
                let Some((target, message)) = question else { break };
                under_way.spawn(Arc::clone(&work).answer(target, message));
            }
            Some(_) = under_way.join_next() => (),
            () = &mut left => break,
        }
    }
    // Whoever asks now is told that nobody is there.
    drop(questions);
    while under_way.join_next().await.is_some() {}
    _ = timeout(LEAVES_AFTER, work.client.flush()).await;
}

struct TakenWork {
    client: Client,
    answers: AnswerInbox,
    serving: Arc<dyn Serving>,
    permits: Arc<Semaphore>,
    /// Subjects of the answers to what is under way. A question that comes twice is answered once.
    under_way: Mutex<HashSet<String>>,
}

impl TakenWork {
    async fn answer(self: Arc<Self>, target: Arc<str>, message: Message) {
        let Some(reply) = message.reply.clone().filter(|reply| is_below(reply, SAID)) else { return };
        if heard(&message) != HeardMessage::HandWord(HandWord::Do) {
            return;
        }
        let Ok(_permit) = self.permits.try_acquire() else { return };
        if !self.under_way().insert(reply.to_string()) {
            return;
        }
        self.work(&target, &message, reply.clone()).await;
        self.under_way().remove(reply.as_str());
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<String>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(&self, target: &str, message: &Message, reply: Subject) {
        match self.serving.work(target, &message.payload) {
            None => self.say(reply, HandWord::NotKnown, Vec::new()).await,
            Some(HandedWork::Read(answer)) => self.say(reply, HandWord::Done, answer.await).await,
            Some(HandedWork::Change { prepare, send }) => {
                prepare.await;
                if self.has_leave(&reply).await {
                    let answer = send.await;
                    self.say(reply, HandWord::Done, answer).await;
                } else {
                    self.say(reply, HandWord::Late, Vec::new()).await;
                }
            }
        }
    }

    /// Says that it is taken, and waits for leave. A process that was stopped finds that its second is over.
    async fn has_leave(&self, reply: &Subject) -> bool {
        let mut go = self.answers.open();
        let taken_at = since_boot();
        let taken = self.client.publish_with_reply_and_headers(
            reply.clone(),
            go.subject.clone(),
            HandWord::Taken.headers(),
            Vec::new().into(),
        );
        if taken.await.is_err() {
            return false;
        }
        let word = timeout(GO_WITHIN, go.next()).await;
        let is_go =
            word.is_ok_and(|word| heard(&word) == HeardMessage::HandWord(HandWord::Go) && *word.payload == *b"go");
        is_go && since_boot().saturating_sub(taken_at) <= GO_WITHIN
    }

    async fn say(&self, reply: Subject, word: HandWord, answer: Vec<u8>) {
        _ = self.client.publish_with_headers(reply, word.headers(), answer.into()).await;
    }
}
