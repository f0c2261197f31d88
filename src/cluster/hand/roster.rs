//! Workers that are heard.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::Client;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::words::{HERE, HereBeat, PROTOCOL};
use crate::clock::since_boot;
use crate::cluster::connection::hear;
use crate::hands::Worker;

/// Silence after which a worker is gone.
pub(super) const GONE_AFTER: Duration = Duration::from_secs(3);
const LOOKS_EVERY: Duration = Duration::from_millis(250);
/// Bound of the workers that are known at once.
const MOST_WORKERS: usize = 1_000;
/// Longest name of a worker, its host or its version: as long as the name of a host can be.
const LONGEST_NAME: usize = 255;
/// Longest silence that one look adds: while this process was stopped, nobody could be heard.
const MOST_A_LOOK: Duration = Duration::from_millis(500);

/// Workers that are heard, by their ids.
pub(super) struct Roster {
    heard: Arc<Mutex<BTreeMap<String, HeardWorker>>>,
    /// Changes with each look and each worker that is heard.
    looks: watch::Receiver<()>,
    task: JoinHandle<()>,
}

struct HeardWorker {
    worker: Worker,
    silent_for: Duration,
}

impl Roster {
    pub(super) async fn listen(runtime: &Handle, client: &Client) -> Result<Self, async_nats::Error> {
        let mut beats = hear(client, HERE.to_owned()).await?;
        let heard = Arc::<Mutex<BTreeMap<String, HeardWorker>>>::default();
        let (looked, looks) = watch::channel(());
        let roster = Arc::clone(&heard);
        let task = runtime.spawn(async move {
            let mut due = interval(LOOKS_EVERY);
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut last = since_boot();
            loop {
                tokio::select! {
                    // What has come is read before anybody is taken for gone.
                    biased;
                    beat = beats.next() => {
                        let Some(beat) = beat else { return };
                        if let Ok(here) = serde_json::from_slice(&beat.payload) {
                            note(&mut locked(&roster), here);
                        }
                    }
                    _ = due.tick() => {
                        let now = since_boot();
                        grow_silent(&mut locked(&roster), now.saturating_sub(last).min(MOST_A_LOOK));
                        last = now;
                    }
                }
                looked.send_replace(());
            }
        });
        Ok(Self { heard, looks, task })
    }

    /// Workers that are heard now, in the order of their names.
    pub(super) fn workers(&self) -> Vec<Worker> {
        let mut workers: Vec<Worker> = locked(&self.heard).values().map(|heard| heard.worker.clone()).collect();
        workers.sort_by_key(Worker::name);
        workers
    }

    pub(super) fn worker(&self, id: &str) -> Option<Worker> {
        locked(&self.heard).get(id).map(|heard| heard.worker.clone())
    }

    /// Waits until something holds of the workers that are heard.
    pub(super) async fn until(&self, holds: impl Fn() -> bool) {
        if self.looks.clone().wait_for(|()| holds()).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until a worker is gone.
    pub(super) async fn gone(&self, id: &str) {
        self.until(|| !locked(&self.heard).contains_key(id)).await;
    }
}

impl Drop for Roster {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn locked(heard: &Mutex<BTreeMap<String, HeardWorker>>) -> MutexGuard<'_, BTreeMap<String, HeardWorker>> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells whether this is what a worker tells of itself, and no more than that: it becomes a part of subjects, of file names, and of the
/// record of each call.
fn is_well_formed(here: &HereBeat) -> bool {
    let is_name = |text: &str| text.len() <= LONGEST_NAME;
    let is_token =
        |text: &str| !text.is_empty() && is_name(text) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let mut keys = here.targets.iter().map(|target| &target.key);
    is_token(&here.worker) && is_name(&here.host) && is_name(&here.version) && keys.all(|key| is_token(key))
}

fn note(heard: &mut BTreeMap<String, HeardWorker>, here: HereBeat) {
    if !is_well_formed(&here) || (heard.len() >= MOST_WORKERS && !heard.contains_key(&here.worker)) {
        return;
    }
    let ahead = here.at.duration_since(Timestamp::now()).as_millis();
    let worker = Worker {
        id: here.worker,
        host: here.host,
        pid: here.pid,
        version: here.version,
        protocol: here.protocol,
        is_understood: here.protocol == PROTOCOL,
        since: here.since,
        ahead_ms: i64::try_from(ahead).unwrap_or(i64::MAX),
        is_leaving: here.leaving,
        targets: here.targets,
    };
    heard.insert(worker.id.clone(), HeardWorker { worker, silent_for: Duration::ZERO });
}

fn grow_silent(heard: &mut BTreeMap<String, HeardWorker>, by: Duration) {
    heard.retain(|_, heard| {
        heard.silent_for += by;
        heard.silent_for < GONE_AFTER
    });
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn here(field: &str, value: Value) -> Result<HereBeat, serde_json::Error> {
        let at = Timestamp::now();
        let targets = json!([{"name": "a", "place": "p", "key": "0a"}]);
        let mut here = json!({
            "protocol": 1, "worker": "w1", "host": "h", "pid": 7, "version": "1", "since": at, "at": at, "targets": targets,
        });
        here[field] = value;
        serde_json::from_value(here)
    }

    fn n_noted(field: &str, value: Value) -> usize {
        let mut heard = BTreeMap::new();
        note(&mut heard, here(field, value).unwrap());
        heard.len()
    }

    #[test]
    fn a_worker_whose_names_cannot_be_used_is_none() {
        assert_eq!(n_noted("more", json!([1])), 1);
        assert_eq!(n_noted("at", json!("9999-12-30T00:00:00Z")), 1);
        let long = "a".repeat(256);
        for bad in ["", "a.b", "*", ">", "a b", "../a", &long] {
            assert_eq!(n_noted("worker", json!(bad)), 0, "{bad}");
            assert_eq!(n_noted("targets", json!([{"name": "a", "place": "p", "key": bad}])), 0, "{bad}");
        }
        assert_eq!((n_noted("host", json!(long)), n_noted("version", json!(long))), (0, 0));
    }
}
