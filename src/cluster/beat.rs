//! Beats of runs on the wire: they are sent each second, and heard.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Subscriber};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::connection::hear;
use super::stream::Names;
use crate::log::beat::Beat;

const EVERY: Duration = Duration::from_secs(1);

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
pub(super) struct BeatListener {
    beats: Subscriber,
}

impl BeatListener {
    pub(super) async fn begin(client: &Client, subject: String) -> Result<Self, async_nats::Error> {
        Ok(Self { beats: hear(client, subject).await? })
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

/// Sign of life of a launch.
pub(super) enum LifeSign {
    Leads(Beat),
    /// From one that is about to lead the run.
    Prepares(Beat),
}

/// Signs of life of whoever leads a run, or is about to.
pub(super) struct SignListener {
    leads: BeatListener,
    prepares: BeatListener,
}

impl SignListener {
    pub(super) async fn begin(client: &Client, run_id: &str) -> Result<Self, async_nats::Error> {
        let Names { beat, prepare, .. } = Names::of_run(run_id);
        let (leads, prepares) = (BeatListener::begin(client, beat).await?, BeatListener::begin(client, prepare).await?);
        Ok(Self { leads, prepares })
    }

    /// Returns the next sign, if there is one in that time.
    pub(super) async fn next_within(&mut self, time: Duration) -> Option<LifeSign> {
        tokio::select! {
            Some(beat) = self.leads.next_within(time) => Some(LifeSign::Leads(beat)),
            Some(beat) = self.prepares.next_within(time) => Some(LifeSign::Prepares(beat)),
            else => None,
        }
    }
}
