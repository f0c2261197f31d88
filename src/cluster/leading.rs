//! Lead of a run among hosts: nobody else is heard who leads it, and its accounts are claimed. Whoever leads it is decided by the log.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::beat::{BeatListener, Beating};
use super::claims::{Claim, Claims, NotClaimed};
use super::connection::is_connected;
use super::message::WriterId;
use super::stream::Names;
use crate::lock::Owner;
use crate::log::beat::{Beat, GONE_AFTER};
use crate::log::server::{APART, Before, Lead, LedAccount, LedRun, Listening, NotLed, NotRead};
use crate::wording::plain::plain;

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
    };
    let mut held = HeldLead { ways: ways.clone(), claim, keys: Vec::new(), claims: None, beat, beating: None };
    // What is claimed is given back outside of the runtime, should another account be taken.
    ways.runtime.block_on(held.claim_all(led.accounts))?;
    Ok(Box::new(held))
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

/// Waits until a launch of a run is heard, or one that came after it, or nobody was heard for so long that it is gone.
pub(super) async fn heard(ways: &Ways, run_id: &str, launch: u32) -> Result<Option<Owner>, NotLed> {
    let until = Instant::now() + GONE_AFTER;
    let client = ways.jetstream.client();
    let mut hearing = BeatListener::begin(&client, subject(run_id)).await.map_err(|error| unreachable(&error))?;
    while let Some(beat) = hearing.next_within(until.saturating_duration_since(Instant::now())).await {
        if beat.launch >= launch {
            return Ok(Some(beat.owner()));
        }
    }
    Ok(None)
}

fn unreachable(error: &dyn std::fmt::Display) -> NotLed {
    NotRead::Unreachable(plain(&error.to_string())).into()
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

/// Lead that this process has.
struct HeldLead {
    ways: Ways,
    claim: Claim,
    /// Keys of the accounts that are claimed, each with the claim of another launch of the run that ours replaced.
    keys: Vec<(String, Option<Claim>)>,
    claims: Option<Arc<Claims>>,
    beat: Beat,
    /// Beats, from the beginning of the launch on.
    beating: Option<Beating>,
}

impl HeldLead {
    async fn claim_all(&mut self, accounts: &[LedAccount]) -> Result<(), NotLed> {
        if accounts.is_empty() {
            return Ok(());
        }
        let Ways { jetstream, n_replicas, .. } = &self.ways;
        let claims = Claims::open(jetstream, *n_replicas).await.map_err(|error| unreachable(&error))?;
        let claims = Arc::clone(self.claims.insert(Arc::new(claims)));
        for LedAccount { key, name } in accounts {
            let key = format!("account.{key}");
            let claimed = claims.claim(&key, &self.claim).await;
            // One that is not known to be claimed is taken back as well.
            self.keys.push((key, claimed.as_ref().ok().cloned().flatten()));
            let Err(refused) = claimed else { continue };
            return Err(match refused {
                NotClaimed::Taken(found) => self.taken(name, found).await?,
                NotClaimed::Unread => NotLed::AccountUnread(name.clone()),
                NotClaimed::NoAnswer(error) => unreachable(&error),
            });
        }
        Ok(())
    }

    async fn taken(&self, name: &str, found: Claim) -> Result<NotLed, NotLed> {
        let (account, run) = (name.to_owned(), found.run);
        let by = Owner { pid: found.pid, host: found.host, since: found.since, journal: None };
        Ok(match heard(&self.ways, &run, found.launch).await? {
            Some(by) => NotLed::AccountTaken { account, run, by: Box::new(by) },
            None => NotLed::AccountLeft { account, run, by: Box::new(by) },
        })
    }
}

impl Lead for HeldLead {
    fn beat(&mut self) {
        let (runtime, client) = (&self.ways.runtime, self.ways.jetstream.client());
        self.beating = Some(Beating::start(runtime, client, subject(&self.claim.run), self.beat.clone()));
    }
}

impl Drop for HeldLead {
    fn drop(&mut self) {
        let has_begun = self.beating.take().is_some();
        let Some(claims) = self.claims.take() else { return };
        let Self { ways, claim, keys, .. } = self;
        if !is_connected(&ways.jetstream) {
            return;
        }
        let give_back = async {
            // What a launch that was cut off may still have on the wire is looked at by whoever goes on with the run.
            if has_begun && !claims.has_ended(claim).await? {
                return Ok::<(), async_nats::Error>(());
            }
            for (key, replaced) in &*keys {
                if has_begun {
                    claims.give_back(key, claim).await?;
                } else {
                    claims.take_back(key, claim, replaced.as_ref()).await?;
                }
            }
            Ok(())
        };
        // An answer that does not come leaves claims that are over by the log.
        _ = ways.runtime.block_on(async { timeout(GIVING_BACK, give_back).await });
    }
}
