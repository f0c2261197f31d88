//! IAM token for a user's name and password.
//!
//! source: IAM API reference, "obtaining a user token through password authentication".

use std::time::Duration;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde::Serialize;

use super::asking;
use super::error::CredentialsError;
use super::proof::{Fetched, Fetching, IdentityProof, ProofSource};
use crate::transport::endpoint::Endpoint;
use crate::transport::request::{Header, Outgoing};
use crate::transport::secrets::guarded::Guarded;
use crate::transport::settings::TransportSettings;

/// Scope of the token. A project goes before the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenScope {
    ProjectId(String),
    ProjectName(String),
    Domain(String),
}

pub(super) struct Password {
    pub(super) endpoint: Endpoint,
    pub(super) transport: TransportSettings,
    pub(super) domain: String,
    pub(super) user: String,
    pub(super) secret: Guarded,
    pub(super) scope: TokenScope,
    pub(super) origin: String,
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { endpoint, domain, user, scope, .. } = self;
        write!(f, "Password({domain}/{user} for {scope:?} at {endpoint}, [redacted])")
    }
}

impl ProofSource for Password {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(self.log_in())
    }

    /// Half an hour: tokens live 24 hours.
    fn renews_ahead(&self) -> Duration {
        Duration::from_mins(30)
    }
}

impl Password {
    async fn log_in(&self) -> Result<Fetched, CredentialsError> {
        let outgoing = Outgoing {
            // Makes token and answer shorter.
            query: vec![("nocatalog", "true".to_owned())],
            headers: vec![Header::plain("content-type", "application/json")],
            // The answer may repeat the request.
            hidden: vec![self.secret.clone()],
            body: self.question(),
            ..Outgoing::bare("POST", "/v3/auth/tokens".to_owned())
        };
        let asked = asking::ask(&self.endpoint, &self.transport, outgoing, &self.origin).await?;
        match asked.status {
            201 | 200 => (),
            // Repeated wrong passwords lock the user: one is tried once. source: IAM login protection.
            401 => return Err(asked.denied_because(&self.origin, "the user, its account or the password is wrong")),
            403 | 400 | 404 | 409 => return Err(asked.denied(&self.origin)),
            _ => return Err(asked.unreachable(&self.origin)),
        }
        let Some(token) = asked.header("x-subject-token").map(SecretString::from) else {
            let reason = "the answer has no X-Subject-Token: is it the address of IAM?".to_owned();
            return Err(CredentialsError::Denied { origin: self.origin.clone(), reason });
        };
        let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        // A token without a time is used until it is refused.
        let expires_at = body.pointer("/token/expires_at").and_then(serde_json::Value::as_str);
        Ok(Fetched { proof: IdentityProof::Token(token.into()), expires_at: expires_at.and_then(|at| at.parse().ok()) })
    }

    /// Returns the body of the request, which is zeroed after use.
    fn question(&self) -> Zeroizing<Vec<u8>> {
        let by_name = |name| Some(NameOrId { id: None, name: Some(name) });
        let scope = match &self.scope {
            TokenScope::ProjectId(id) => OfScope { project: Some(NameOrId { id: Some(id), name: None }), domain: None },
            TokenScope::ProjectName(name) => OfScope { project: by_name(name), domain: None },
            TokenScope::Domain(name) => OfScope { project: None, domain: by_name(name) },
        };
        let password = self.secret.expose_secret();
        let user = User { domain: NameOrId { id: None, name: Some(&self.domain) }, name: &self.user, password };
        let identity = IdentityBody { methods: ["password"], password: ByPassword { user } };
        let auth = Question { auth: Auth { identity, scope } };
        // Large enough from the beginning: a buffer that grows leaves copies behind.
        let longest = 512 + 6 * (password.len() + self.user.len() + self.domain.len());
        let mut body = Zeroizing::new(Vec::with_capacity(longest));
        serde_json::to_writer(&mut *body, &auth).expect("texts are always JSON");
        body
    }
}

#[derive(Serialize)]
struct Question<'a> {
    auth: Auth<'a>,
}

#[derive(Serialize)]
struct Auth<'a> {
    identity: IdentityBody<'a>,
    scope: OfScope<'a>,
}

#[derive(Serialize)]
struct IdentityBody<'a> {
    methods: [&'static str; 1],
    password: ByPassword<'a>,
}

#[derive(Serialize)]
struct ByPassword<'a> {
    user: User<'a>,
}

#[derive(Serialize)]
struct User<'a> {
    domain: NameOrId<'a>,
    name: &'a str,
    password: &'a str,
}

#[derive(Serialize)]
struct OfScope<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<NameOrId<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<NameOrId<'a>>,
}

#[derive(Serialize)]
struct NameOrId<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}
