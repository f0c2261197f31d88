//! Claims of accounts: one run at a time uses an account, whatever hosts there are.
//!
//! A claim is a value in a bucket that all runs share, under a key of the account. It is put and taken back only in place of the value
//! that was read, so that of two who claim at once one wins; what became of an answer that did not come is found by reading.
//!
//! | the value under the key | then |
//! |---|---|
//! | none | it is claimed |
//! | our own | it is claimed already |
//! | of another launch of the same run | it is claimed, and put back if ours does not begin: who leads the run is decided by the run's log |
//! | of a run whose log is gone, or has ended since the claim | it is claimed |
//! | of any other run, or not to be read | it is refused |

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::kv::{self, Store};
use async_nats::jetstream::stream::StorageType;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::message::read_body;
use super::stream::{Names, find, last_of};
use crate::event::kind::EventKind;
use crate::event::run::RunEvent;

const BUCKET: &str = "cutover";
/// Time in which the servers have to answer, while one of them may be elected.
const ANSWERS: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(250);

/// Claim of an account by a launch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    pub(super) run: String,
    pub(super) launch: u32,
    pub(super) host: String,
    pub(super) pid: u32,
    pub(super) since: Timestamp,
    /// Writer to the run's log, which tells two processes apart that give themselves the same names.
    pub(super) writer: String,
    /// Number of the last commit of the run's log when the claim was made: an end of the run behind it is one of the claim.
    pub(super) after: u64,
}

impl Claim {
    fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a claim is plain data")
    }
}

/// Reason for which an account was not claimed.
#[derive(Debug)]
pub(super) enum NotClaimed {
    Taken(Claim),
    /// Somebody has put what this program cannot read.
    Unread,
    NoAnswer(async_nats::Error),
}

/// Value under the key of an account.
struct FoundClaim {
    /// `None` once it was given back, and before it was ever claimed.
    claim: Option<Claim>,
    revision: u64,
}

/// Claims of all runs.
pub(super) struct Claims {
    jetstream: jetstream::Context,
    bucket: Store,
}

impl Claims {
    /// Opens the bucket, which is made if there is none.
    pub(super) async fn open(jetstream: &jetstream::Context, n_replicas: usize) -> Result<Self, async_nats::Error> {
        let mut tries = ClaimTries::begin();
        loop {
            match bucket(jetstream, n_replicas).await {
                Ok(bucket) => return Ok(Self { jetstream: jetstream.clone(), bucket }),
                Err(error) => tries.again_after(error).await?,
            }
        }
    }

    /// Claims an account. Returns the claim of another launch of the run that is replaced.
    pub(super) async fn claim(&self, key: &str, claim: &Claim) -> Result<Option<Claim>, NotClaimed> {
        let text = claim.text();
        let mut tries = ClaimTries::begin();
        let mut replaced = None;
        loop {
            let failed = match self.find_free(key, claim).await {
                Ok(None) => return Ok(replaced),
                Ok(Some(free)) => {
                    replaced = free.claim.filter(|found| found.run == claim.run);
                    match self.bucket.update(key, text.clone().into(), free.revision).await {
                        Ok(_) => return Ok(replaced),
                        // It may be put all the same, or another one was faster.
                        Err(error) => error.into(),
                    }
                }
                Err(NotClaimed::NoAnswer(error)) => error,
                Err(refused @ (NotClaimed::Taken(_) | NotClaimed::Unread)) => return Err(refused),
            };
            tries.again_after(failed).await.map_err(NotClaimed::NoAnswer)?;
        }
    }

    /// Gives an account back that this launch of the run has claimed, or one before it.
    pub(super) async fn give_back(&self, key: &str, claim: &Claim) -> Result<(), async_nats::Error> {
        let mut tries = ClaimTries::begin();
        loop {
            let failed = match self.find(key).await {
                Ok(FoundClaim { claim: Some(found), revision })
                    if found.run == claim.run && found.launch <= claim.launch =>
                {
                    match self.bucket.delete_expect_revision(key, Some(revision)).await {
                        Ok(()) => return Ok(()),
                        Err(error) => error.into(),
                    }
                }
                Ok(_) | Err(NotClaimed::Taken(_) | NotClaimed::Unread) => return Ok(()),
                Err(NotClaimed::NoAnswer(error)) => error,
            };
            tries.again_after(failed).await?;
        }
    }

    /// Takes a claim back that came to nothing: the one that it replaced is put in its place, so that the run keeps its account.
    pub(super) async fn take_back(
        &self,
        key: &str,
        ours: &Claim,
        replaced: Option<&Claim>,
    ) -> Result<(), async_nats::Error> {
        let mut tries = ClaimTries::begin();
        loop {
            let revision = match self.find(key).await {
                Ok(FoundClaim { claim: Some(found), revision }) if found.writer == ours.writer => revision,
                Ok(_) | Err(NotClaimed::Taken(_) | NotClaimed::Unread) => return Ok(()),
                Err(NotClaimed::NoAnswer(error)) => {
                    tries.again_after(error).await?;
                    continue;
                }
            };
            let failed: async_nats::Error = match replaced {
                Some(replaced) => match self.bucket.update(key, replaced.text().into(), revision).await {
                    Ok(_) => return Ok(()),
                    Err(error) => error.into(),
                },
                None => match self.bucket.delete_expect_revision(key, Some(revision)).await {
                    Ok(()) => return Ok(()),
                    Err(error) => error.into(),
                },
            };
            tries.again_after(failed).await?;
        }
    }

    /// Returns what a claim may be put in place of; `None` if it is there.
    async fn find_free(&self, key: &str, ours: &Claim) -> Result<Option<FoundClaim>, NotClaimed> {
        let found = self.find(key).await?;
        match &found.claim {
            Some(claim) if claim.writer == ours.writer => Ok(None),
            Some(claim) if claim.run != ours.run && !self.has_ended(claim).await.map_err(NotClaimed::NoAnswer)? => {
                Err(NotClaimed::Taken(claim.clone()))
            }
            Some(_) | None => Ok(Some(found)),
        }
    }

    /// Reads the value under a key. It is asked of the server that leads: the others may be behind.
    async fn find(&self, key: &str) -> Result<FoundClaim, NotClaimed> {
        let message = last_of(&self.bucket.stream, &format!("{}{key}", self.bucket.prefix)).await;
        let Some(message) = message.map_err(NotClaimed::NoAnswer)? else {
            return Ok(FoundClaim { claim: None, revision: 0 });
        };
        let revision = message.sequence;
        // Whoever gives an account back leaves a marker without a value.
        if message.payload.is_empty() {
            return Ok(FoundClaim { claim: None, revision });
        }
        let claim = serde_json::from_slice(&message.payload).map_err(|_| NotClaimed::Unread)?;
        Ok(FoundClaim { claim: Some(claim), revision })
    }

    /// Tells that the launch of a claim has ended in order, or that its run is gone. A launch that was cut off has not ended.
    pub(super) async fn has_ended(&self, claim: &Claim) -> Result<bool, async_nats::Error> {
        let names = Names::of_run(&claim.run);
        let Some(stream) = find(&self.jetstream, &names).await? else { return Ok(true) };
        let Some(last) = last_of(&stream, &names.log).await? else { return Ok(false) };
        // What cannot be read has not ended, as far as is known.
        let events = read_body(&last.payload).unwrap_or_default();
        let kind = events.last().and_then(|event| event.read().ok());
        Ok(last.sequence > claim.after && matches!(kind, Some(EventKind::Run(RunEvent::LaunchEnded { .. }))))
    }
}

async fn bucket(jetstream: &jetstream::Context, n_replicas: usize) -> Result<Store, async_nats::Error> {
    // Of those who make it at once, each makes the same one.
    let settings = kv::Config {
        bucket: BUCKET.to_owned(),
        storage: StorageType::File,
        num_replicas: n_replicas,
        history: 1,
        ..kv::Config::default()
    };
    match jetstream.get_key_value(BUCKET).await {
        Ok(bucket) => Ok(bucket),
        Err(_) => Ok(jetstream.create_key_value(settings).await?),
    }
}

/// Tries of something that the servers have to answer in time.
struct ClaimTries {
    until: Instant,
}

impl ClaimTries {
    fn begin() -> Self {
        Self { until: Instant::now() + ANSWERS }
    }

    /// Waits before the next try, or returns the error of the last one.
    async fn again_after(&mut self, error: impl Into<async_nats::Error>) -> Result<(), async_nats::Error> {
        if Instant::now() > self.until {
            return Err(error.into());
        }
        sleep(PAUSE).await;
        Ok(())
    }
}
