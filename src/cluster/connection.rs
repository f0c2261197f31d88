//! The connection to the servers, and the two ways of asking them: each answers within a bound, or not at all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, ConnectOptions, Error, Event, ServerError, Subscriber};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::admission::ServerAccess;
use crate::wording::plain::plain;

/// Bound of an answer, also of that to a publish. The library alone would wait for five seconds.
pub(super) const ANSWER: Duration = Duration::from_secs(2);
/// Interval of the questions if the other end is still there. A connection that was cut without a word is left after three of them.
const PING_EVERY: Duration = Duration::from_secs(1);
/// Pause before the next server is tried.
const RECONNECT_AFTER: Duration = Duration::from_millis(250);

/// Deeds that the servers do not let this process do, in their words.
#[derive(Clone, Default)]
pub(super) struct Denials(Arc<Mutex<Vec<String>>>);

impl Denials {
    /// Returns the first that names this, if there is one.
    pub(super) fn first_of(&self, what: &str) -> Option<String> {
        self.told().iter().find(|denial| denial.contains(what)).cloned()
    }

    fn note(&self, event: &Event) {
        /// More of them say no more.
        const MOST: usize = 100;
        if let Event::ServerError(ServerError::Other(text)) = event {
            let mut told = self.told();
            if told.len() < MOST {
                told.push(plain(text));
            }
        }
    }

    fn told(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects to one of the servers, and to another one whenever the connection is lost.
pub(super) async fn connect(
    servers: &[String],
    admission: &ServerAccess,
    denials: &Denials,
) -> Result<jetstream::Context, async_nats::ConnectError> {
    let options = ConnectOptions::new()
        .name(env!("CARGO_PKG_NAME"))
        .connection_timeout(ANSWER)
        .request_timeout(Some(ANSWER))
        .ping_interval(PING_EVERY)
        .event_callback({
            let denials = denials.clone();
            move |event| {
                denials.note(&event);
                std::future::ready(())
            }
        })
        .reconnect_delay_callback(|_| RECONNECT_AFTER);
    let client = admission.add_to(options).connect(servers).await?;
    Ok(ContextBuilder::new().timeout(ANSWER).build(client))
}

/// Begins to hear a subject. Whoever asks next may be told of by another connection: the server knows what is listened to when this
/// returns. The library would wait for a connection for ever.
pub(super) async fn hear(client: &Client, subject: String) -> Result<Subscriber, Error> {
    let begun = async {
        let heard = client.subscribe(subject).await?;
        client.flush().await?;
        Ok(heard)
    };
    timeout(ANSWER, begun).await.map_err(|_| "no answer")?
}

/// Tells whether a server is connected just now. What is told at the end of a launch is not worth a wait for one that is away.
pub(super) fn is_connected(jetstream: &jetstream::Context) -> bool {
    jetstream.client().connection_state() == State::Connected
}

/// Waits for an answer on a thread of its own: this one may be a worker of another runtime, on which it would panic.
pub(super) fn wait<T: Send>(runtime: &Handle, answer: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| runtime.block_on(answer));
        waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
