//! The bucket that all runs share, as NATS keeps one: a value is put in place of the one that was read under its key, or not at all.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::context::GetStreamError;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType, Stream};
use tokio::time::{Instant, sleep};

use super::message::AFTER_HEADER;
use super::stream::{NoStream, WrongSetting, find_named, last_of, set_up_as};

/// Stream of the bucket `cutover`.
/// source: ADR-8 of NATS, "`JetStream` based Key-Value Stores"
const STREAM: &str = "KV_cutover";
const PREFIX: &str = "$KV.cutover.";
const REMOVED: (&str, &str) = ("KV-Operation", "DEL");

/// Time in which the servers have to answer, while one of them may be elected.
const ANSWERS: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(250);

/// Reason for which the bucket cannot be used.
#[derive(Debug)]
pub(super) enum NoBucket {
    /// Somebody has made it so that it may lose what is in it.
    Differs(Vec<WrongSetting>),
    NoAnswer(async_nats::Error),
}

/// Value under a key.
pub(super) struct FoundValue {
    /// Empty once it was removed, and before there was ever one.
    pub(super) text: Vec<u8>,
    pub(super) revision: u64,
}

/// Bucket with the settings that it has to have.
pub(super) struct Bucket {
    jetstream: jetstream::Context,
    stream: Stream,
}

impl Bucket {
    /// Opens the bucket, which is made if there is none.
    pub(super) async fn open(jetstream: &jetstream::Context, n_replicas: usize) -> Result<Self, NoBucket> {
        let mut tries = BucketTries::begin();
        loop {
            let failed = match set_up_bucket(jetstream, n_replicas).await {
                Ok(stream) => return Ok(Self { jetstream: jetstream.clone(), stream }),
                Err(NoStream::Differs { differences, .. }) => return Err(NoBucket::Differs(differences)),
                Err(other @ (NoStream::SmallMessages { .. } | NoStream::Unmade { .. })) => other,
            };
            tries.again_after(failed).await.map_err(NoBucket::NoAnswer)?;
        }
    }

    /// Opens the bucket if there is one.
    pub(super) async fn open_if_made(
        jetstream: &jetstream::Context,
        n_replicas: usize,
    ) -> Result<Option<Self>, NoBucket> {
        match find_named(jetstream, STREAM).await {
            Ok(None) => Ok(None),
            // One that nobody can tell of is asked for again.
            Ok(Some(_)) | Err(_) => Self::open(jetstream, n_replicas).await.map(Some),
        }
    }

    /// Reads the value under a key. It is asked of the server that leads: the others may be behind.
    pub(super) async fn find(&self, key: &str) -> Result<FoundValue, async_nats::Error> {
        let found = last_of(&self.stream, &subject(key)).await?;
        Ok(found.map_or(FoundValue { text: Vec::new(), revision: 0 }, |message| FoundValue {
            text: message.payload.to_vec(),
            revision: message.sequence,
        }))
    }

    /// Puts a value in place of the one of this revision. After an error it may be there all the same.
    pub(super) async fn put(&self, key: &str, text: Vec<u8>, revision: u64) -> Result<(), async_nats::Error> {
        self.publish(key, HeaderMap::new(), text, revision).await
    }

    /// Removes the value of this revision. After an error it may be gone all the same.
    pub(super) async fn remove(&self, key: &str, revision: u64) -> Result<(), async_nats::Error> {
        let (name, value) = REMOVED;
        let mut headers = HeaderMap::new();
        headers.insert(name, value);
        self.publish(key, headers, Vec::new(), revision).await
    }

    async fn publish(
        &self,
        key: &str,
        mut headers: HeaderMap,
        text: Vec<u8>,
        revision: u64,
    ) -> Result<(), async_nats::Error> {
        headers.insert(AFTER_HEADER, revision.to_string());
        self.jetstream.publish_with_headers(subject(key), headers, text.into()).await?.await?;
        Ok(())
    }
}

/// Sets the bucket up on so many servers. One that more of them keep is as good.
async fn set_up_bucket(jetstream: &jetstream::Context, n_replicas: usize) -> Result<Stream, NoStream> {
    let unmade = |error: GetStreamError| NoStream::Unmade { stream: STREAM.to_owned(), source: error.into() };
    let found = find_named(jetstream, STREAM).await.map_err(unmade)?;
    let n_found = found.map_or(0, |stream| stream.cached_info().config.num_replicas);
    set_up_as(jetstream, &settings(n_replicas.max(n_found))).await
}

fn subject(key: &str) -> String {
    format!("{PREFIX}{key}")
}

/// Returns the settings of the bucket: it keeps the last value of each key, for good.
fn settings(n_replicas: usize) -> Config {
    Config {
        name: STREAM.to_owned(),
        subjects: vec![subject(">")],
        storage: StorageType::File,
        num_replicas: n_replicas,
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        ..Config::default()
    }
}

/// Tries of something that the servers have to answer in time.
pub(super) struct BucketTries {
    until: Instant,
}

impl BucketTries {
    pub(super) fn begin() -> Self {
        Self { until: Instant::now() + ANSWERS }
    }

    /// Leaves more time, for something that was waited for besides.
    pub(super) fn put_off(&mut self, by: Duration) {
        self.until += by;
    }

    /// Waits before the next try, or returns the error of the last one.
    pub(super) async fn again_after(&mut self, error: impl Into<async_nats::Error>) -> Result<(), async_nats::Error> {
        if Instant::now() > self.until {
            return Err(error.into());
        }
        sleep(PAUSE).await;
        Ok(())
    }
}
