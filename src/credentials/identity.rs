//! One identity, shared by all calls of a lane: its current proof, and the renewal of that.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::error::{CredentialsError, MAX_TOKEN_CHARS};
use super::proof::{Fetched, IdentityProof, Keys, ProofSource, Request};
use super::{fitness, sign};
use crate::transport::request::Header;
use crate::transport::secrets::guarded::Guarded;

#[cfg(test)]
mod tests;

/// Number of a lane's successive proofs: tells which one a request carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(u64);

impl Generation {
    /// Generation of a request without a proof.
    pub(crate) const NONE: Generation = Generation(0);

    pub(crate) fn from_number(number: u64) -> Self {
        Self(number)
    }

    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// Result of renewing credentials that the service refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// New ones were obtained: the request may be made again.
    Renewed,
    /// No new ones can be had; with the reason, unless the refusal says it all.
    Refused(Option<String>),
}

/// Identity at one endpoint.
#[derive(Debug)]
pub struct Credentials {
    /// Place that they came from, for people.
    origin: String,
    /// Access key, domain, or project that tells this identity from others; `None` where it is not known.
    identity: Option<String>,
    /// Sent as `X-Project-Id` with signed requests.
    project: Option<String>,
    /// `None` for a proof that cannot be renewed.
    source: Option<Box<dyn ProofSource>>,
    held: Mutex<HeldProof>,
    /// Held for one renewal at a time; those who waited for it find it done.
    renewing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct HeldProof {
    proof: Option<IdentityProof>,
    generation: Generation,
    expires_at: Option<Timestamp>,
    /// Some time before `expires_at`.
    renew_at: Option<Timestamp>,
    /// True if it was fetched because the one before was refused, and was not accepted since.
    on_trial: bool,
    /// Final refusal by the source, which is not asked again.
    denied: Option<CredentialsError>,
    /// Instant until which a source that could not be reached is not asked again; the current proof serves until it expires.
    not_before: Option<Timestamp>,
}

/// Number of identities that are fetched at the same time, of however many accounts: each is a command, or a call to IAM.
const FETCHES_AT_ONCE: usize = 16;
static FETCHES: Semaphore = Semaphore::const_new(FETCHES_AT_ONCE);

/// Time for which a source that could not be reached is left alone while the current proof is still good.
const PAUSE: Duration = Duration::from_secs(15);

impl Credentials {
    /// Makes credentials from a ready IAM token.
    pub(crate) fn token(token: &SecretString, origin: impl Into<String>) -> Result<Self, CredentialsError> {
        let origin = origin.into();
        let token = checked_token(token.expose_secret(), &origin)?;
        Ok(Self::fixed(origin, None, None, IdentityProof::Token(token), None))
    }

    /// Makes credentials from a proof that lasts until it expires.
    pub(crate) fn fixed(
        origin: String,
        identity: Option<String>,
        project: Option<String>,
        proof: IdentityProof,
        expires_at: Option<Timestamp>,
    ) -> Self {
        let held = HeldProof { proof: Some(proof), generation: Generation(1), expires_at, ..HeldProof::default() };
        Self {
            origin,
            identity,
            project,
            source: None,
            held: Mutex::new(held),
            renewing: tokio::sync::Mutex::default(),
        }
    }

    /// Makes credentials whose proofs a source gives when they are needed.
    pub(crate) fn renewed_by(
        source: Box<dyn ProofSource>,
        origin: String,
        identity: Option<String>,
        project: Option<String>,
    ) -> Self {
        Self {
            origin,
            identity,
            project,
            source: Some(source),
            held: Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
        }
    }

    /// Place that they came from, for people.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    #[must_use]
    pub(crate) fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// Kind of the current proof, for people.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.held().proof {
            Some(IdentityProof::Token(_)) => "an IAM token",
            Some(IdentityProof::Keys(Keys { security_token: None, .. })) => "an access key",
            Some(IdentityProof::Keys(Keys { security_token: Some(_), .. })) => "a temporary access key",
            None => "not fetched yet",
        }
    }

    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        self.held().expires_at
    }

    /// Makes sure that there is a proof for requests. Renews it ahead of expiry; one renewal serves all callers.
    pub(crate) async fn ready(&self) -> Result<(), CredentialsError> {
        if self.is_ready(Timestamp::now())? {
            return Ok(());
        }
        let _one_at_a_time = self.renewing.lock().await;
        if self.is_ready(Timestamp::now())? {
            return Ok(());
        }
        let fetched = self.fetch().await;
        let mut held = self.held();
        match fetched {
            Ok(fetched) => {
                held.replace(fetched, self.renews_ahead());
                Ok(())
            }
            Err(CredentialsError::Unreachable { .. }) if held.is_good(Timestamp::now()) => {
                held.not_before = Timestamp::now().checked_add(PAUSE).ok();
                Ok(())
            }
            Err(error) => Err(held.note(error)),
        }
    }

    /// Tells whether nothing has to be fetched. An error is final.
    fn is_ready(&self, now: Timestamp) -> Result<bool, CredentialsError> {
        let held = self.held();
        if let Some(denied) = &held.denied {
            return Err(denied.clone());
        }
        if self.source.is_none() {
            return match held.expires_at.filter(|at| *at <= now) {
                Some(at) => Err(CredentialsError::Expired { origin: self.origin.clone(), at }),
                None => Ok(true),
            };
        }
        if held.proof.is_none() {
            return Ok(false);
        }
        let due = held.renew_at.is_some_and(|at| at <= now);
        let paused = held.is_good(now) && held.not_before.is_some_and(|at| now < at);
        Ok(!due || paused)
    }

    fn renews_ahead(&self) -> Duration {
        self.source.as_ref().map_or(Duration::ZERO, |source| source.renews_ahead())
    }

    async fn fetch(&self) -> Result<Fetched, CredentialsError> {
        let source = self.source.as_ref().expect("only renewable credentials are ever not ready");
        let fetched = {
            let _turn = FETCHES.acquire().await.expect("the semaphore is never closed");
            source.fetch().await?
        };
        if let IdentityProof::Token(token) = &fetched.proof {
            checked_token(token.expose_secret(), &self.origin)?;
        }
        match fetched.expires_at.filter(|at| *at <= Timestamp::now()) {
            Some(at) => Err(CredentialsError::Expired { origin: self.origin.clone(), at }),
            None => Ok(fetched),
        }
    }

    /// Replaces a proof that was refused: once, for all requests that carried it.
    pub(crate) async fn renew(&self, refused: Generation) -> Renewal {
        if self.source.is_none() {
            return Renewal::Refused(None);
        }
        let _one_at_a_time = self.renewing.lock().await;
        {
            let held = self.held();
            if held.generation > refused {
                return Renewal::Renewed;
            }
            if let Some(denied) = &held.denied {
                return Renewal::Refused(Some(denied.to_string()));
            }
            if held.on_trial {
                return Renewal::Refused(Some("new credentials were refused as well".to_owned()));
            }
        }
        let fetched = self.fetch().await;
        let mut held = self.held();
        match fetched {
            Ok(fetched) => {
                held.replace(fetched, self.renews_ahead());
                held.on_trial = true;
                Renewal::Renewed
            }
            Err(error) => Renewal::Refused(Some(held.note(error).to_string())),
        }
    }

    /// Notes that the service accepted a proof of this generation.
    pub(crate) fn accepted(&self, generation: Generation) {
        let mut held = self.held();
        if held.generation == generation {
            held.on_trial = false;
        }
    }

    /// Adds the proof to a request.
    pub(crate) fn authenticate(&self, request: &mut Request<'_>) -> Result<Generation, CredentialsError> {
        let (proof, generation) = {
            let held = self.held();
            let Some(proof) = held.proof.clone() else {
                let reason = "nothing was fetched yet".to_owned();
                return Err(CredentialsError::Unreachable { origin: self.origin.clone(), reason });
            };
            (proof, held.generation)
        };
        match proof {
            IdentityProof::Token(token) => request.headers.push(Header::secret("x-auth-token", token)),
            IdentityProof::Keys(keys) => sign::sign(&keys, self.project.as_deref(), Timestamp::now(), request),
        }
        Ok(generation)
    }

    /// Secrets of the current proof, which no text may repeat.
    pub(crate) fn secrets(&self) -> Vec<Guarded> {
        self.held().proof.as_ref().map_or_else(Vec::new, IdentityProof::secrets)
    }

    fn held(&self) -> MutexGuard<'_, HeldProof> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeldProof {
    fn replace(&mut self, fetched: Fetched, ahead: Duration) {
        let now = Timestamp::now();
        let renew_at = fetched.expires_at.map(|at| {
            // A proof with a short life is not replaced all the time.
            let lives = Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO);
            at - ahead.min(lives / 4)
        });
        *self = Self {
            proof: Some(fetched.proof),
            generation: Generation(self.generation.0 + 1),
            expires_at: fetched.expires_at,
            renew_at,
            ..Self::default()
        };
    }

    fn is_good(&self, now: Timestamp) -> bool {
        self.proof.is_some() && self.expires_at.is_none_or(|at| now < at)
    }

    /// Remembers an error that is final.
    fn note(&mut self, error: CredentialsError) -> CredentialsError {
        match &error {
            CredentialsError::Unreachable { .. } | CredentialsError::NoWorker { .. } => (),
            CredentialsError::Empty { .. }
            | CredentialsError::TooLong { .. }
            | CredentialsError::NotVisible { .. }
            | CredentialsError::Expired { .. }
            | CredentialsError::Denied { .. }
            | CredentialsError::Lacking { .. }
            | CredentialsError::Malformed(_) => self.denied = Some(error.clone()),
        }
        error
    }
}

/// Checks that a token can be sent, and removes the line break that a variable or a file may have kept.
fn checked_token(token: &str, origin: &str) -> Result<Guarded, CredentialsError> {
    let origin = || origin.to_owned();
    let token = token.strip_suffix("\r\n").or_else(|| token.strip_suffix('\n')).unwrap_or(token);
    if token.is_empty() {
        return Err(CredentialsError::Empty { origin: origin() });
    }
    if fitness::fit_for_a_header(token).is_err() {
        return Err(CredentialsError::NotVisible { origin: origin() });
    }
    if token.len() > MAX_TOKEN_CHARS {
        return Err(CredentialsError::TooLong { origin: origin(), n_bytes: token.len() });
    }
    Ok(Guarded::from(token))
}
