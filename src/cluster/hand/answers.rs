//! Answers to what is under way, each on a subject of its own below one that is listened to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{Client, Message};
use futures_util::StreamExt as _;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cluster::connection::hear;

/// Answers as they come in.
pub(super) struct AnswerInbox {
    inbox: String,
    open: Arc<Mutex<OpenAnswers>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct OpenAnswers {
    last: u64,
    senders: HashMap<u64, mpsc::UnboundedSender<Message>>,
}

impl AnswerInbox {
    /// Begins to listen below a subject, on a name that nobody can guess, which the server knows of before this returns.
    pub(super) async fn listen(runtime: &Handle, client: &Client, below: &str) -> Result<Self, async_nats::Error> {
        let inbox = format!("{below}.{:032x}", rand::random::<u128>());
        let mut messages = hear(client, format!("{inbox}.*")).await?;
        let open = Arc::<Mutex<OpenAnswers>>::default();
        let given = Arc::clone(&open);
        let task = runtime.spawn(async move {
            while let Some(message) = messages.next().await {
                let number = message.subject.rsplit('.').next().and_then(|number| number.parse().ok());
                let sender = number.and_then(|number: u64| locked(&given).senders.get(&number).cloned());
                if let Some(sender) = sender {
                    _ = sender.send(message);
                }
            }
        });
        Ok(Self { inbox, open, task })
    }

    /// Opens a subject for one answer, or several.
    pub(super) fn open(&self) -> OpenAnswer {
        let (sender, messages) = mpsc::unbounded_channel();
        let mut open = locked(&self.open);
        open.last += 1;
        let number = open.last;
        open.senders.insert(number, sender);
        OpenAnswer { number, subject: format!("{}.{number}", self.inbox), messages, open: Arc::clone(&self.open) }
    }
}

impl Drop for AnswerInbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn locked(open: &Mutex<OpenAnswers>) -> MutexGuard<'_, OpenAnswers> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Subject that an answer is expected on, until it is dropped.
pub(super) struct OpenAnswer {
    number: u64,
    pub(super) subject: String,
    messages: mpsc::UnboundedReceiver<Message>,
    open: Arc<Mutex<OpenAnswers>>,
}

impl OpenAnswer {
    /// Returns the next message. Waits for ever if none comes.
    pub(super) async fn next(&mut self) -> Message {
        match self.messages.recv().await {
            Some(message) => message,
            None => std::future::pending().await,
        }
    }
}

impl Drop for OpenAnswer {
    fn drop(&mut self) {
        locked(&self.open).senders.remove(&self.number);
    }
}
