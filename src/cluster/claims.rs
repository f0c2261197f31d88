//! Claims of accounts and of run keys: one run at a time uses an account, and one run has a key, whatever hosts there are.
//!
//! A claim is a value in the bucket that all runs share, under the digest of an account or of a key. It is put and taken back only in place
//! of the value that was read, so that of two who claim at once one wins; what became of an answer that did not come is found by reading.
//!
//! A launch claims before it makes its run or goes on with one, and tells each second that it prepares, until its first commit, the
//! fence. Behind that it puts its claims once more, as *begun*: only what the servers acknowledge then proves that nobody took one of them
//! while this process was stopped. Nothing is sent before. From the fence on, the log of the run tells how far it is.
//!
//! | a launch is killed, or stopped | there is left | and another run that wants the account |
//! |---|---|---|
//! | before it claims | nothing | has it |
//! | before it makes its run, or before its fence | a claim that has not begun, of a run whose log ends where it did | has it once nobody prepares |
//! | there, and wakes once another run has the account | the claim of the other run | keeps it: the launch that wakes ends (6), and has sent nothing |
//! | between its fence and putting its claims again | the same claim, and a run that goes on | waits until somebody goes on with the run and ends it |
//! | behind that, with changes on the wire | a claim that has begun | the same: what is on the wire is looked at by whoever goes on |
//! | between its end and giving back | a claim that has begun, and a run that has ended | has it |
//!
//! | the log of the run that has the claim | then |
//! |---|---|
//! | ends with the end of a launch, behind the claim | the claim is over |
//! | ends, where it did when the claim was made, between two launches or before the first one | over, once nobody was heard for 7 s |
//! | lacks what it had when the claim was made, or is gone | the same, and all answers have to agree about that for 25 s |
//! | ends otherwise, or cannot be read | the claim holds |
//!
//! Another launch of the same run replaces the claim, and puts it back if it does not begin: who leads the run is decided by the run's log.
//! The claim of a key is never given back: it holds as soon as its run is made, until the run is removed from the servers.

use std::fmt;

use async_nats::jetstream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::beat::SignListener;
use super::bucket::{Bucket, BucketTries, FoundValue, NoBucket};
use super::log::{Loss, PAUSES};
use super::message::read_body;
use super::stream::{Names, find, last_of};
use crate::clock::since_boot;
use crate::event::kind::EventKind;
use crate::event::run::RunEvent;
use crate::journal::chain::name_digest;
use crate::log::beat::GONE_AFTER;

/// Claim of an account or a key by a launch.
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
    /// Put again behind the first commit of the launch.
    #[serde(default)]
    pub(super) begun: bool,
}

impl Claim {
    fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a claim is plain data")
    }
}

/// Key of a claim, by the digest of whatever is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ClaimKey {
    Account(String),
    /// Run key: the slot of a timetable.
    Slot(String),
}

impl fmt::Display for ClaimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClaimKey::Account(digest) => write!(f, "account.{digest}"),
            ClaimKey::Slot(digest) => write!(f, "slot.{digest}"),
        }
    }
}

impl ClaimKey {
    pub(super) fn of_run_key(run_key: &str) -> Self {
        ClaimKey::Slot(name_digest(run_key))
    }
}

/// Reason for which nothing was claimed.
#[derive(Debug)]
pub(super) enum NotClaimed {
    Taken(Claim),
    /// Somebody has put what this program cannot read.
    Unread,
    NoAnswer(async_nats::Error),
}

/// Value under the key of a claim.
struct FoundClaim {
    /// `None` once it was given back, and before it was ever claimed.
    claim: Option<Claim>,
    revision: u64,
}

/// Standing of a claim of another run, as one answer about that run's log shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimStanding {
    Holds,
    Over,
    /// No launch has begun behind the claim.
    NotBegun,
    /// The log lacks what it had when the claim was made.
    LogLost,
}

/// Claims of all runs.
pub(super) struct Claims {
    jetstream: jetstream::Context,
    bucket: Bucket,
}

impl Claims {
    pub(super) async fn open(jetstream: &jetstream::Context, n_replicas: usize) -> Result<Self, NoBucket> {
        Ok(Self { jetstream: jetstream.clone(), bucket: Bucket::open(jetstream, n_replicas).await? })
    }

    /// Opens them if anything was ever claimed.
    pub(super) async fn open_if_made(
        jetstream: &jetstream::Context,
        n_replicas: usize,
    ) -> Result<Option<Self>, NoBucket> {
        let bucket = Bucket::open_if_made(jetstream, n_replicas).await?;
        Ok(bucket.map(|bucket| Self { jetstream: jetstream.clone(), bucket }))
    }

    /// Claims something. Returns the claim of another launch of the run that is replaced.
    pub(super) async fn claim(&self, key: &ClaimKey, claim: &Claim) -> Result<Option<Claim>, NotClaimed> {
        let mut tries = BucketTries::begin();
        let mut replaced = None;
        loop {
            let asked = Instant::now();
            let free = self.find_free(key, claim).await;
            // Listening to another run is no wait for an answer.
            if !matches!(free, Err(NotClaimed::NoAnswer(_))) {
                tries.put_off(asked.elapsed());
            }
            let failed = match free {
                Ok(None) => return Ok(replaced),
                Ok(Some(free)) => {
                    replaced = free.claim.filter(|found| found.run == claim.run);
                    match self.bucket.put(&key.to_string(), claim.text(), free.revision).await {
                        Ok(()) => return Ok(replaced),
                        // It may be put all the same, or another one was faster.
                        Err(error) => error,
                    }
                }
                Err(NotClaimed::NoAnswer(error)) => error,
                Err(refused @ (NotClaimed::Taken(_) | NotClaimed::Unread)) => return Err(refused),
            };
            tries.again_after(failed).await.map_err(NotClaimed::NoAnswer)?;
        }
    }

    /// Puts a claim again, as one whose launch has begun. It is refused once another run has claimed the same.
    pub(super) async fn begin(&self, key: &ClaimKey, claim: &Claim) -> Result<(), NotClaimed> {
        let begun = Claim { begun: true, ..claim.clone() };
        let mut tries = BucketTries::begin();
        loop {
            let failed = match self.find(key).await {
                Ok(FoundClaim { claim: Some(found), .. }) if found == begun => return Ok(()),
                Ok(FoundClaim { claim: Some(found), .. }) if found.run != claim.run => {
                    return Err(NotClaimed::Taken(found));
                }
                Ok(FoundClaim { revision, .. }) => {
                    match self.bucket.put(&key.to_string(), begun.text(), revision).await {
                        Ok(()) => return Ok(()),
                        Err(error) => error,
                    }
                }
                Err(NotClaimed::NoAnswer(error)) => error,
                Err(refused @ (NotClaimed::Taken(_) | NotClaimed::Unread)) => return Err(refused),
            };
            tries.again_after(failed).await.map_err(NotClaimed::NoAnswer)?;
        }
    }

    /// Gives back what this launch of the run has claimed, or one before it.
    pub(super) async fn give_back(&self, key: &ClaimKey, claim: &Claim) -> Result<(), async_nats::Error> {
        self.settle(key, |found| (found.run == claim.run && found.launch <= claim.launch).then_some(None)).await
    }

    /// Takes a claim back that came to nothing: the one that it replaced is put in its place, so that the run keeps what it has.
    pub(super) async fn take_back(
        &self,
        key: &ClaimKey,
        ours: &Claim,
        replaced: Option<&Claim>,
    ) -> Result<(), async_nats::Error> {
        self.settle(key, |found| (found.writer == ours.writer).then(|| replaced.cloned())).await
    }

    /// Frees a key that a run has, whichever of its launches claimed it.
    pub(super) async fn free(&self, key: &ClaimKey, run: &str) -> Result<(), async_nats::Error> {
        self.settle(key, |found| (found.run == run).then_some(None)).await
    }

    /// Puts what is to stand in place of the claim that is found, or nothing, until that is done or nothing is to be done.
    async fn settle(
        &self,
        key: &ClaimKey,
        instead: impl Fn(&Claim) -> Option<Option<Claim>>,
    ) -> Result<(), async_nats::Error> {
        let (name, mut tries) = (key.to_string(), BucketTries::begin());
        loop {
            let (instead, revision) = match self.find(key).await {
                Ok(FoundClaim { claim: Some(found), revision }) => match instead(&found) {
                    Some(instead) => (instead, revision),
                    None => return Ok(()),
                },
                Ok(FoundClaim { claim: None, .. }) | Err(NotClaimed::Taken(_) | NotClaimed::Unread) => return Ok(()),
                Err(NotClaimed::NoAnswer(error)) => {
                    tries.again_after(error).await?;
                    continue;
                }
            };
            let settled = match instead {
                Some(claim) => self.bucket.put(&name, claim.text(), revision).await,
                None => self.bucket.remove(&name, revision).await,
            };
            match settled {
                Ok(()) => return Ok(()),
                Err(error) => tries.again_after(error).await?,
            }
        }
    }

    /// Returns the claim under a key, if there is one.
    pub(super) async fn claimed(&self, key: &ClaimKey) -> Result<Option<Claim>, NotClaimed> {
        let mut tries = BucketTries::begin();
        loop {
            match self.find(key).await {
                Err(NotClaimed::NoAnswer(error)) => tries.again_after(error).await.map_err(NotClaimed::NoAnswer)?,
                found => return found.map(|found| found.claim),
            }
        }
    }

    /// Returns what a claim may be put in place of; `None` if it is there.
    async fn find_free(&self, key: &ClaimKey, ours: &Claim) -> Result<Option<FoundClaim>, NotClaimed> {
        let found = self.find(key).await?;
        match &found.claim {
            Some(claim) if claim.writer == ours.writer => Ok(None),
            Some(claim)
                if claim.run != ours.run && !self.is_over(key, claim).await.map_err(NotClaimed::NoAnswer)? =>
            {
                Err(NotClaimed::Taken(claim.clone()))
            }
            Some(_) | None => Ok(Some(found)),
        }
    }

    async fn find(&self, key: &ClaimKey) -> Result<FoundClaim, NotClaimed> {
        let FoundValue { text, revision } = self.bucket.find(&key.to_string()).await.map_err(NotClaimed::NoAnswer)?;
        if text.is_empty() {
            return Ok(FoundClaim { claim: None, revision });
        }
        let claim = serde_json::from_slice(&text).map_err(|_| NotClaimed::Unread)?;
        Ok(FoundClaim { claim: Some(claim), revision })
    }

    /// Tells whether a claim of another run is over. One that has not begun is listened for: its launch may be about to begin. One answer
    /// may come from a server that was replaced, so that no loss is believed to it.
    async fn is_over(&self, key: &ClaimKey, claim: &Claim) -> Result<bool, async_nats::Error> {
        let (mut shown, mut before, mut ear) = (Loss::default(), None, None);
        loop {
            let standing = self.standing(key, claim).await?;
            if before.replace(standing) != Some(standing) {
                shown = Loss::default();
            }
            match (key, standing) {
                // A run that is lost keeps its key: whoever has its journal can write its log again.
                (_, ClaimStanding::Holds) | (ClaimKey::Slot(_), ClaimStanding::LogLost) => return Ok(false),
                (_, ClaimStanding::Over) => return Ok(true),
                (_, ClaimStanding::NotBegun) | (ClaimKey::Account(_), ClaimStanding::LogLost) => (),
            }
            let ear = match &mut ear {
                Some(ear) => ear,
                none => none.insert(SignListener::begin(&self.jetstream.client(), &claim.run).await?),
            };
            if ear.next_within(PAUSES.1).await.is_some() {
                return Ok(false);
            }
            shown.add(since_boot());
            let is_certain = match standing {
                ClaimStanding::LogLost => shown.is_certain(),
                ClaimStanding::NotBegun | ClaimStanding::Holds | ClaimStanding::Over => shown.lasts() >= GONE_AFTER,
            };
            if is_certain {
                return Ok(true);
            }
        }
    }

    /// Looks once how a claim stands, by the log of its run.
    pub(super) async fn standing(&self, key: &ClaimKey, claim: &Claim) -> Result<ClaimStanding, async_nats::Error> {
        let names = Names::of_run(&claim.run);
        // A claim that has begun, or was made behind something, is one of a run that was made.
        let absent = if claim.begun || claim.after > 0 { ClaimStanding::LogLost } else { ClaimStanding::NotBegun };
        let Some(stream) = find(&self.jetstream, &names).await? else { return Ok(absent) };
        let Some(last) = last_of(&stream, &names.log).await? else { return Ok(absent) };
        // What cannot be read has not ended, as far as is known.
        let events = read_body(&last.payload).unwrap_or_default();
        let kind = events.last().and_then(|event| event.read().ok());
        let (is_behind, is_short) = (last.sequence > claim.after, last.sequence < claim.after);
        Ok(match (key, kind) {
            // A run that was made has its key.
            (ClaimKey::Slot(_), _) => ClaimStanding::Holds,
            (_, Some(EventKind::Run(RunEvent::LaunchEnded { .. }))) if is_behind => ClaimStanding::Over,
            (_, Some(EventKind::Run(RunEvent::LaunchEnded { .. } | RunEvent::Started { .. }))) => {
                if claim.begun || is_short { ClaimStanding::LogLost } else { ClaimStanding::NotBegun }
            }
            (_, Some(_) | None) => ClaimStanding::Holds,
        })
    }
}
