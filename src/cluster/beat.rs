//! The beat of a run: whoever leads it tells each second that it is there. A beat is not stored, and proves nothing: that a launch may go
//! on is decided by the log alone. It tells others how long to wait.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Subscriber};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

const EVERY: Duration = Duration::from_secs(1);

/// Launch that leads a run, as it tells others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beat {
    pub(super) launch: u32,
    pub(super) host: String,
    pub(super) pid: u32,
    pub(super) version: String,
    /// Time of day by the clock of its machine.
    pub(super) at: Timestamp,
    pub(super) writer: String,
}

impl Beat {
    /// Makes the beat of this process.
    pub(super) fn of_launch(launch: u32, writer: String) -> Self {
        Self {
            launch,
            host: crate::lock::host(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at: Timestamp::now(),
            writer,
        }
    }
}

/// Beats that are sent, the first one at once. Dropping this ends them.
pub(super) struct Beating {
    task: JoinHandle<()>,
}

impl Beating {
    pub(super) fn start(runtime: &Handle, client: Client, subject: String, beat: Beat) -> Self {
        Self { task: runtime.spawn(send(client, subject, beat)) }
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn send(client: Client, subject: String, beat: Beat) {
    let mut due = interval(EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        // What waits for a connection would be heard later, as if it were said then.
        if client.connection_state() != State::Connected {
            continue;
        }
        let beat = Beat { at: Timestamp::now(), ..beat.clone() };
        let text = serde_json::to_vec(&beat).expect("a beat is plain data");
        // A beat that is lost is followed by others.
        _ = client.publish(subject.clone(), text.into()).await;
    }
}

/// Beats of a run as they are heard.
pub(super) struct Hearing {
    beats: Subscriber,
}

impl Hearing {
    pub(super) async fn begin(client: &Client, subject: String) -> Result<Self, async_nats::Error> {
        let beats = client.subscribe(subject).await?;
        // Whoever asks next may be told of another connection: the server knows what is listened to before it answers.
        client.flush().await?;
        Ok(Self { beats })
    }

    /// Returns the next beat, if there is one in that time. What is none that this program knows is passed over.
    pub(super) async fn next_within(&mut self, time: Duration) -> Option<Beat> {
        let next = async {
            loop {
                let message = self.beats.next().await?;
                if let Ok(beat) = serde_json::from_slice(&message.payload) {
                    return Some(beat);
                }
            }
        };
        timeout(time, next).await.ok().flatten()
    }
}
