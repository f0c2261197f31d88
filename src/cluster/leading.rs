//! Lead of a run among hosts: nobody else is heard who leads it, and its accounts and its key are claimed. Whoever leads it is decided by
//! the log.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::beat::{BeatListener, Beating, LifeSign, SignListener};
use super::bucket::NoBucket;
use super::claims::{Claim, ClaimKey, ClaimStanding, Claims, NotClaimed};
use super::connection::{is_connected, wait};
use super::log::{LastCommit, Seen, read_last};
use super::message::WriterId;
use super::stream::{Names, find, told};
use crate::clock::since_boot;
use crate::lock::Owner;
use crate::log::beat::{Beat, GONE_AFTER};
use crate::log::head_watch::HeadWatch;
use crate::log::server::{APART, Before, Lead, LedRun, Listening, NotLed, NotRead};
use crate::wording::plain::plain;

/// Longest time without an answer after which it is not waited for any longer whether somebody is heard.
const MOST_CUT_OFF: Duration = Duration::from_secs(30);

/// Bound of the time in which accounts are given back: what is left is known to be over by the log.
const GIVING_BACK: Duration = Duration::from_secs(3);

/// Connection by which runs are led.
#[derive(Clone)]
pub(super) struct Ways {
    pub(super) runtime: Handle,
    pub(super) jetstream: jetstream::Context,
    pub(super) n_replicas: usize,
}

/// Takes the lead of a run, for a writer that begins behind the commit of this number.
pub(super) fn lead(ways: &Ways, led: &LedRun<'_>, (after, writer): (u64, WriterId)) -> Result<Box<dyn Lead>, NotLed> {
    let here = Timestamp::now();
    if let Some(there) = led.last_event.filter(|there| there.duration_since(here) > APART.try_into().expect("seconds"))
    {
        return Err(NotLed::OtherClock { clock: "the last event of the run was recorded at".to_owned(), there, here });
    }
    if led.before == Before::NotEnded
        && let Some(by) = ways.runtime.block_on(heard(ways, led.id, led.launch - 1))?
    {
        return Err(NotLed::Led { run: led.id.to_owned(), by: Some(Box::new(by)) });
    }
    let beat = Beat::of_launch(led.launch, writer.to_string());
    let claim = Claim {
        run: led.id.to_owned(),
        launch: led.launch,
        host: beat.host.clone(),
        pid: beat.pid,
        since: beat.since,
        writer: beat.writer.clone(),
        after,
        begun: false,
    };
    let mut held =
        HeldLead { ways: ways.clone(), claim, claimed: Vec::new(), claims: None, beat, signs: None, has_begun: false };
    // What is claimed is given back outside of the runtime, should something else be taken.
    ways.runtime.block_on(held.claim_all(led))?;
    Ok(Box::new(held))
}

/// Returns the id of the run that has a key, or is about to have it.
pub(super) async fn run_of_key(ways: &Ways, run_key: &str) -> Result<Option<String>, NotRead> {
    let claims = Claims::open_if_made(&ways.jetstream, ways.n_replicas).await.map_err(unusable)?;
    let Some(claims) = claims else { return Ok(None) };
    match claims.claimed(&ClaimKey::of_run_key(run_key)).await {
        Ok(claim) => Ok(claim.map(|claim| claim.run)),
        // It is refused where it is claimed.
        Err(NotClaimed::Unread | NotClaimed::Taken(_)) => Ok(None),
        Err(NotClaimed::NoAnswer(error)) => Err(NotRead::Unreachable(plain(&error.to_string()))),
    }
}

/// Frees the key of a run that is to be removed.
pub(super) async fn free_key(ways: &Ways, run_key: &str, run_id: &str) -> Result<(), NotRead> {
    let claims = Claims::open_if_made(&ways.jetstream, ways.n_replicas).await.map_err(unusable)?;
    let Some(claims) = claims else { return Ok(()) };
    let freed = claims.free(&ClaimKey::of_run_key(run_key), run_id).await;
    freed.map_err(|error| NotRead::Unreachable(plain(&error.to_string())))
}

/// Begins to listen to whoever leads a run.
pub(super) fn listen(ways: &Ways, run_id: &str) -> Result<Box<dyn Listening>, async_nats::Error> {
    let client = ways.jetstream.client();
    let hearing = ways.runtime.block_on(BeatListener::begin(&client, subject(run_id)))?;
    Ok(Box::new(Ear { runtime: ways.runtime.clone(), hearing }))
}

fn subject(run_id: &str) -> String {
    Names::of_run(run_id).beat
}

/// Waits until a launch of a run is heard, or one that came after it, or nobody was heard for so long that it is gone. Whoever is cut off
/// from the servers hears nobody, and goes by that for no longer than [`MOST_CUT_OFF`].
pub(super) async fn heard(ways: &Ways, run_id: &str, launch: u32) -> Result<Option<Owner>, NotLed> {
    let (names, client) = (Names::of_run(run_id), ways.jetstream.client());
    let mut hearing = BeatListener::begin(&client, names.beat.clone()).await.map_err(|error| unreachable(&error))?;
    let mut watch = HeadWatch::begin(since_boot());
    let (mut last, mut answered) = (None, since_boot());
    while !watch.is_gone(since_boot()) {
        let until = since_boot() + watch.listens_for(since_boot());
        while let Some(beat) = hearing.next_within(until.saturating_sub(since_boot())).await {
            if beat.launch >= launch {
                return Ok(Some(beat.owner()));
            }
        }
        let read = last_message(&ways.jetstream, &names).await;
        let now = since_boot();
        let has_moved = match read {
            Ok(found) => {
                answered = now;
                Some(last.replace(found).is_some_and(|last| last != found))
            }
            Err(error) if now.saturating_sub(answered) >= MOST_CUT_OFF => return Err(unreachable(&error)),
            Err(_) => None,
        };
        watch.has_read(now, has_moved);
    }
    Ok(None)
}

/// Reads the number of the last message of the log of a run; `None` for a run without one.
async fn last_message(jetstream: &jetstream::Context, names: &Names) -> Result<Option<u64>, async_nats::Error> {
    let Some(stream) = find(jetstream, names).await? else { return Ok(None) };
    Ok(match read_last(&stream, names).await? {
        Seen::Commit(LastCommit { sequence, .. }) | Seen::Stray(sequence) => Some(sequence),
        Seen::Nothing | Seen::NoStream => None,
    })
}

fn unreachable(error: &dyn std::fmt::Display) -> NotLed {
    NotRead::Unreachable(plain(&error.to_string())).into()
}

fn unusable(error: NoBucket) -> NotRead {
    match error {
        NoBucket::Differs(differences) => NotRead::UnfitBucket(told(&differences)),
        NoBucket::NoAnswer(error) => NotRead::Unreachable(plain(&error.to_string())),
    }
}

struct Ear {
    runtime: Handle,
    hearing: BeatListener,
}

impl Listening for Ear {
    fn beat_within(&mut self, time: Duration) -> Option<Beat> {
        self.runtime.block_on(self.hearing.next_within(time))
    }
}

/// Something that a launch has claimed.
struct Claimed {
    key: ClaimKey,
    /// Account or key as people know it.
    name: String,
    /// Claim of another launch of the run that was replaced.
    replaced: Option<Claim>,
}

/// Lead that this process has.
struct HeldLead {
    ways: Ways,
    claim: Claim,
    claimed: Vec<Claimed>,
    claims: Option<Arc<Claims>>,
    beat: Beat,
    /// Signs of life: first that the launch prepares, and from its beginning on that it leads the run.
    signs: Option<Beating>,
    has_begun: bool,
}

impl HeldLead {
    fn send_signs(&mut self, subject: String) {
        let (runtime, client) = (&self.ways.runtime, self.ways.jetstream.client());
        self.signs = Some(Beating::start(runtime, client, subject, self.beat.clone()));
    }

    async fn claim_all(&mut self, led: &LedRun<'_>) -> Result<(), NotLed> {
        let accounts = led.accounts.iter().map(|account| (ClaimKey::Account(account.key.clone()), &*account.name));
        let slot = led.run_key.map(|run_key| (ClaimKey::of_run_key(run_key), run_key));
        let all: Vec<(ClaimKey, &str)> = slot.into_iter().chain(accounts).collect();
        if all.is_empty() {
            return Ok(());
        }
        let Ways { jetstream, n_replicas, .. } = &self.ways;
        let claims = Arc::new(Claims::open(jetstream, *n_replicas).await.map_err(unusable)?);
        self.claims = Some(Arc::clone(&claims));
        // Whoever finds the first claim hears that it will begin.
        self.send_signs(Names::of_run(led.id).prepare);
        for (key, name) in all {
            let claimed = claims.claim(&key, &self.claim).await;
            let replaced = claimed.as_ref().ok().cloned().flatten();
            // One that is not known to be claimed is taken back as well.
            self.claimed.push(Claimed { key: key.clone(), name: name.to_owned(), replaced: replaced.clone() });
            if let Err(refused) = claimed {
                return Err(self.refused(&claims, &key, name, refused).await);
            }
            if let (Before::Ended, Some(replaced)) = (led.before, replaced) {
                self.must_be_given_up(&replaced).await?;
            }
        }
        Ok(())
    }

    /// Refuses to go on beside a launch that is not one before this: it has begun meanwhile, or is about to.
    async fn must_be_given_up(&self, replaced: &Claim) -> Result<(), NotLed> {
        if replaced.launch < self.claim.launch {
            return Ok(());
        }
        let is_meant = |sign: &LifeSign| match sign {
            LifeSign::Leads(_) => true,
            // Of those who prepare at once, the one that claimed first.
            LifeSign::Prepares(beat) => beat.writer == replaced.writer,
        };
        let by = self.hear_of(&replaced.run, is_meant).await;
        match by.map_err(|error| unreachable(&error))? {
            Some(by) => Err(NotLed::Led { run: replaced.run.clone(), by: Some(Box::new(by)) }),
            None => Ok(()),
        }
    }

    /// Puts all claims again: nobody else took one of them since.
    async fn begin_all(&self, claims: &Claims) -> Result<(), NotLed> {
        for Claimed { key, name, replaced: _ } in &self.claimed {
            if let Err(refused) = claims.begin(key, &self.claim).await {
                return Err(self.refused(claims, key, name, refused).await);
            }
        }
        Ok(())
    }

    /// Returns the reason for which a claim was refused, with whoever is heard of the run that has it.
    async fn refused(&self, claims: &Claims, key: &ClaimKey, name: &str, refused: NotClaimed) -> NotLed {
        let name = name.to_owned();
        let found = match refused {
            NotClaimed::Taken(found) => found,
            NotClaimed::Unread => return NotLed::ClaimUnread(name),
            NotClaimed::NoAnswer(error) => return unreachable(&error),
        };
        let standing = match key {
            ClaimKey::Slot(_) => claims.standing(key, &found).await,
            ClaimKey::Account(_) => Ok(ClaimStanding::Holds),
        };
        let (run, by) = (found.run, Owner { pid: found.pid, host: found.host, since: found.since, journal: None });
        match (key, standing) {
            (_, Err(error)) => unreachable(&error),
            (ClaimKey::Slot(_), Ok(ClaimStanding::Holds | ClaimStanding::Over)) => {
                NotLed::KeyTaken { run_key: name, run }
            }
            (ClaimKey::Slot(_), Ok(ClaimStanding::NotBegun)) => NotLed::Led { run, by: Some(Box::new(by)) },
            (ClaimKey::Slot(_), Ok(ClaimStanding::LogLost)) => {
                NotRead::Lost { run, why: "there is no log".to_owned() }.into()
            }
            (ClaimKey::Account(_), Ok(_)) => match self.hear_of(&run, |_| true).await {
                Ok(Some(by)) => NotLed::AccountTaken { account: name, run, by: Box::new(by) },
                Ok(None) => NotLed::AccountLeft { account: name, run, by: Box::new(by) },
                Err(error) => unreachable(&error),
            },
        }
    }

    /// Waits until somebody is heard who leads a run or is about to, and is meant, or nobody was for so long that whoever did is gone.
    async fn hear_of(
        &self,
        run_id: &str,
        is_meant: impl Fn(&LifeSign) -> bool,
    ) -> Result<Option<Owner>, async_nats::Error> {
        let until = Instant::now() + GONE_AFTER;
        let mut signs = SignListener::begin(&self.ways.jetstream.client(), run_id).await?;
        while let Some(sign) = signs.next_within(until.saturating_duration_since(Instant::now())).await {
            if is_meant(&sign) {
                let (LifeSign::Leads(beat) | LifeSign::Prepares(beat)) = sign;
                return Ok(Some(beat.owner()));
            }
        }
        Ok(None)
    }

    /// Takes claims back that came to nothing. A key stays that of a run that was made.
    async fn take_back(&self, claims: &Claims) -> Result<(), async_nats::Error> {
        for Claimed { key, replaced, .. } in &self.claimed {
            let is_kept = match key {
                ClaimKey::Account(_) => false,
                ClaimKey::Slot(_) => claims.standing(key, &self.claim).await? == ClaimStanding::Holds,
            };
            if !is_kept {
                claims.take_back(key, &self.claim, replaced.as_ref()).await?;
            }
        }
        Ok(())
    }

    /// Gives back what the launch has no use for after its end. What one that was cut off may still have on the wire is looked at by whoever
    /// goes on with the run.
    async fn give_back(&self, claims: &Claims) -> Result<(), async_nats::Error> {
        let is_account = |key: &&ClaimKey| match key {
            ClaimKey::Account(_) => true,
            ClaimKey::Slot(_) => false,
        };
        let accounts: Vec<&ClaimKey> = self.claimed.iter().map(|claimed| &claimed.key).filter(is_account).collect();
        let Some(first) = accounts.first() else { return Ok(()) };
        if claims.standing(first, &self.claim).await? == ClaimStanding::Over {
            for key in accounts {
                claims.give_back(key, &self.claim).await?;
            }
        }
        Ok(())
    }
}

impl Lead for HeldLead {
    fn beat(&mut self) -> Result<(), NotLed> {
        self.has_begun = true;
        self.send_signs(subject(&self.claim.run));
        let Some(claims) = self.claims.clone() else { return Ok(()) };
        wait(&self.ways.runtime, self.begin_all(&claims))
    }
}

impl Drop for HeldLead {
    fn drop(&mut self) {
        self.signs = None;
        let Some(claims) = self.claims.take().filter(|_| is_connected(&self.ways.jetstream)) else { return };
        let ended =
            async { if self.has_begun { self.give_back(&claims).await } else { self.take_back(&claims).await } };
        // An answer that does not come leaves claims that are over by the log.
        _ = self.ways.runtime.block_on(async { timeout(GIVING_BACK, ended).await });
    }
}
