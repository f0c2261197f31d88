//! One identity, shared by all calls of a lane: what it holds, when that is renewed, and what comes of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::error::{CredentialsError, MAX_TOKEN_CHARS};
use super::proof::{Fetched, Keys, Proof, Request, Source};
use super::{fitness, sign};
use crate::transport::Header;
use crate::transport::secrets::guarded::Guarded;

#[cfg(test)]
mod tests;

/// Which of a lane's successive proofs a request wore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(u64);

impl Generation {
    /// Nothing was worn.
    pub(crate) const NONE: Generation = Generation(0);
}

/// What came of credentials that the service refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// There are others now: the request may be made again.
    Renewed,
    /// There are no others, and why, where there is more to say than what the service said.
    Refused(Option<String>),
}

/// One identity at one endpoint.
#[derive(Debug)]
pub struct Credentials {
    /// Where they came from, for people.
    origin: String,
    /// What tells this identity from others, where that is known: access key, domain and user, or project.
    identity: Option<String>,
    /// Sent as `X-Project-Id` with what is signed.
    project: Option<String>,
    /// None: what is held is all there is.
    source: Option<Box<dyn Source>>,
    held: Mutex<Held>,
    /// One renewal at a time; who waited finds it done.
    renewing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Held {
    proof: Option<Proof>,
    generation: Generation,
    expires_at: Option<Timestamp>,
    /// Ahead of that.
    renew_at: Option<Timestamp>,
    /// Fetched because the one before was refused, and not accepted since.
    on_trial: bool,
    /// The source said no for good: it is not asked again.
    denied: Option<CredentialsError>,
    /// The source could not be reached; what is held still serves until it expires.
    not_before: Option<Timestamp>,
}

/// Identities that are fetched at once, however many accounts begin together: a command each, or a call to IAM.
const FETCHES_AT_ONCE: usize = 16;
static FETCHES: Semaphore = Semaphore::const_new(FETCHES_AT_ONCE);

/// How long a source that could not be reached is left alone while what is held is still good.
const PAUSE: Duration = Duration::from_secs(15);

impl Credentials {
    /// A ready IAM token.
    pub(crate) fn token(token: &SecretString, origin: impl Into<String>) -> Result<Self, CredentialsError> {
        let origin = origin.into();
        let token = checked_token(token.expose_secret(), &origin)?;
        Ok(Self::fixed(origin, None, None, Proof::Token(token), None))
    }

    /// A proof that lasts until it expires.
    pub(crate) fn fixed(
        origin: String,
        identity: Option<String>,
        project: Option<String>,
        proof: Proof,
        expires_at: Option<Timestamp>,
    ) -> Self {
        let held = Held { proof: Some(proof), generation: Generation(1), expires_at, ..Held::default() };
        Self {
            origin,
            identity,
            project,
            source: None,
            held: Mutex::new(held),
            renewing: tokio::sync::Mutex::default(),
        }
    }

    /// Proofs that a source gives when they are needed.
    pub(crate) fn renewed_by(
        source: Box<dyn Source>,
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

    /// Where they came from, for people.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    #[must_use]
    pub(crate) fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// What kind of proof is held, for people.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.held().proof {
            Some(Proof::Token(_)) => "an IAM token",
            Some(Proof::Keys(Keys { security_token: None, .. })) => "an access key",
            Some(Proof::Keys(Keys { security_token: Some(_), .. })) => "a temporary access key",
            None => "not fetched yet",
        }
    }

    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        self.held().expires_at
    }

    /// Makes sure that there is something to dress requests with. Renews ahead of expiry; one renewal serves all.
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

    /// Whether nothing has to be fetched. An error is one for good.
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
        if let Proof::Token(token) = &fetched.proof {
            checked_token(token.expose_secret(), &self.origin)?;
        }
        match fetched.expires_at.filter(|at| *at <= Timestamp::now()) {
            Some(at) => Err(CredentialsError::Expired { origin: self.origin.clone(), at }),
            None => Ok(fetched),
        }
    }

    /// Gets another proof than the one that was refused: once, for everybody who wore it.
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

    /// The service let somebody in who wore this.
    pub(crate) fn accepted(&self, worn: Generation) {
        let mut held = self.held();
        if held.generation == worn {
            held.on_trial = false;
        }
    }

    /// Adds to a request what shows who we are.
    pub(crate) fn dress(&self, request: &mut Request<'_>) -> Result<Generation, CredentialsError> {
        let (proof, generation) = {
            let held = self.held();
            let Some(proof) = held.proof.clone() else {
                let reason = "nothing was fetched yet".to_owned();
                return Err(CredentialsError::Unreachable { origin: self.origin.clone(), reason });
            };
            (proof, held.generation)
        };
        match proof {
            Proof::Token(token) => request.headers.push(Header::secret("x-auth-token", token)),
            Proof::Keys(keys) => sign::sign(&keys, self.project.as_deref(), Timestamp::now(), request),
        }
        Ok(generation)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn replace(&mut self, fetched: Fetched, ahead: Duration) {
        let now = Timestamp::now();
        let renew_at = fetched.expires_at.map(|at| {
            // What lives shortly is not replaced all the time.
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

    /// What is for good is remembered.
    fn note(&mut self, error: CredentialsError) -> CredentialsError {
        match &error {
            CredentialsError::Unreachable { .. } => (),
            CredentialsError::Empty { .. }
            | CredentialsError::TooLong { .. }
            | CredentialsError::NotVisible { .. }
            | CredentialsError::Expired { .. }
            | CredentialsError::Denied { .. }
            | CredentialsError::Malformed(_) => self.denied = Some(error.clone()),
        }
        error
    }
}

/// A token that can be sent, without the line break that a variable or a file may have kept.
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
