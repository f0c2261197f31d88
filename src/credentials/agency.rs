//! Credentials of an ECS machine's agency, from the metadata service.
//!
//! source: `huaweicloudsdkcore/auth/internal.py` (`MetadataAccessor`), `auth/credentials.py` (40 minutes).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::asking::{self, Asked};
use super::error::CredentialsError;
use super::json;
use super::proof::{Fetched, Fetching, ProofSource};
use crate::transport::endpoint::Endpoint;
use crate::transport::request::{Header, Outgoing};
use crate::transport::secrets::guarded::Guarded;
use crate::transport::settings::TransportSettings;

const TOKEN_TTL: &str = "21600";
/// Time after which a host that gave no token is asked for one again.
const ASK_AGAIN: Duration = Duration::from_hours(24);
/// Refusal that a new token does not help against.
const NO_AGENCY: &str = "Please configure Cloud Service Agency first";

#[derive(Debug)]
pub(super) struct Agency {
    endpoint: Endpoint,
    transport: TransportSettings,
    origin: String,
    session: Mutex<Session>,
}

#[derive(Default)]
struct Session {
    token: Option<Guarded>,
    asked_at: Option<Instant>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl ProofSource for Agency {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(self.credentials())
    }

    fn renews_ahead(&self) -> Duration {
        Duration::from_mins(40)
    }
}

impl Agency {
    pub(super) fn new(endpoint: Endpoint, origin: String) -> Self {
        let wait = Duration::from_secs(3);
        let transport = TransportSettings {
            timeout: 2 * wait,
            connect_timeout: wait,
            read_timeout: Some(wait),
            ca_bundle: None,
            leaves_within: None,
        };
        Self { endpoint, transport, origin, session: Mutex::default() }
    }

    async fn credentials(&self) -> Result<Fetched, CredentialsError> {
        let mut token = self.known_token();
        if token.is_none() && self.may_ask_for_token() {
            token = self.token().await?;
        }
        let mut asked = self.security_key(token).await?;
        if asked.status == 401 && !asked.text().contains(NO_AGENCY) {
            // The token is too old. A host that gave one before and gives none now is an error.
            let Some(token) = self.token().await? else { return Err(asked.denied(&self.origin)) };
            asked = self.security_key(Some(token)).await?;
        }
        match asked.status {
            200..300 => json::read(&asked.body, &self.origin),
            401 if asked.text().contains(NO_AGENCY) => Err(CredentialsError::Denied {
                origin: self.origin.clone(),
                reason: format!("answered 401: {NO_AGENCY}"),
            }),
            400..500 => Err(asked.denied(&self.origin)),
            _ => Err(asked.unreachable(&self.origin)),
        }
    }

    fn known_token(&self) -> Option<Guarded> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).token.clone()
    }

    fn may_ask_for_token(&self) -> bool {
        let asked_at = self.session.lock().unwrap_or_else(PoisonError::into_inner).asked_at;
        asked_at.is_none_or(|at| at.elapsed() > ASK_AGAIN)
    }

    /// Asks for a token; `None` from an old host, which needs none.
    async fn token(&self) -> Result<Option<Guarded>, CredentialsError> {
        let outgoing = Outgoing {
            headers: vec![Header::plain("x-metadata-token-ttl-seconds", TOKEN_TTL)],
            ..Outgoing::bare("PUT", "/meta-data/latest/api/token".to_owned())
        };
        let asked = self.ask(outgoing).await?;
        let token = match asked.status {
            200 => Some(Guarded::from(asked.text().as_str())),
            404 | 405 | 503 => None,
            400..500 => return Err(asked.denied(&self.origin)),
            _ => return Err(asked.unreachable(&self.origin)),
        };
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        *session = Session { token: token.clone(), asked_at: Some(Instant::now()) };
        Ok(token)
    }

    async fn security_key(&self, token: Option<Guarded>) -> Result<Asked, CredentialsError> {
        let token = token.filter(|token| !token.expose_secret().is_empty());
        let headers = token.map(|token| Header::secret("x-metadata-token", token)).into_iter().collect();
        self.ask(Outgoing { headers, ..Outgoing::bare("GET", "/openstack/latest/securitykey".to_owned()) }).await
    }

    async fn ask(&self, outgoing: Outgoing) -> Result<Asked, CredentialsError> {
        asking::ask(&self.endpoint, &self.transport, outgoing, &self.origin).await
    }
}
