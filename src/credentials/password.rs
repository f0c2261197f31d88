//! An IAM token for a user's name and password.
//!
//! source: IAM API reference, "obtaining a user token through password authentication".

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{CredentialsError, Fetched, Fetching, Proof, Source, asking};
use crate::transport::endpoint::Endpoint;
use crate::transport::{Header, Outgoing, TransportSettings};

/// What the token is for. A project goes before the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    ProjectId(String),
    ProjectName(String),
    Domain(String),
}

pub(super) struct Password {
    pub(super) endpoint: Endpoint,
    pub(super) transport: TransportSettings,
    pub(super) domain: String,
    pub(super) user: String,
    pub(super) secret: SecretString,
    pub(super) scope: Scope,
    pub(super) origin: String,
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { endpoint, domain, user, scope, .. } = self;
        write!(f, "Password({domain}/{user} for {scope:?} at {endpoint}, [redacted])")
    }
}

impl Source for Password {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(self.log_in())
    }

    /// Tokens live 24 hours.
    fn renews_ahead(&self) -> Duration {
        Duration::from_mins(30)
    }
}

impl Password {
    async fn log_in(&self) -> Result<Fetched, CredentialsError> {
        let scope = match &self.scope {
            Scope::ProjectId(id) => json!({"project": {"id": id}}),
            Scope::ProjectName(name) => json!({"project": {"name": name}}),
            Scope::Domain(name) => json!({"domain": {"name": name}}),
        };
        let user = json!({
            "domain": {"name": self.domain},
            "name": self.user,
            "password": self.secret.expose_secret(),
        });
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let outgoing = Outgoing {
            // Shortens token and answer.
            query: vec![("nocatalog", "true".to_owned())],
            headers: vec![Header::plain("content-type", "application/json")],
            // An answer may repeat what it was asked.
            hidden: vec![self.secret.clone()],
            body: json!({"auth": {"identity": identity, "scope": scope}}).to_string().into_bytes(),
            ..Outgoing::bare("POST", "/v3/auth/tokens".to_owned())
        };
        let asked = asking::ask(&self.endpoint, &self.transport, outgoing, &self.origin).await?;
        match asked.status {
            201 | 200 => (),
            // A wrong password again and again locks the user: it is tried once. source: IAM login protection.
            401 | 403 | 400 | 404 | 409 => return Err(asked.denied(&self.origin)),
            _ => return Err(asked.unreachable(&self.origin)),
        }
        let Some(token) = asked.header("x-subject-token").map(SecretString::from) else {
            let reason = "the answer has no X-Subject-Token: is it the address of IAM?".to_owned();
            return Err(CredentialsError::Denied { origin: self.origin.clone(), reason });
        };
        let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        // Without a time it lasts until it is refused.
        let expires_at = body.pointer("/token/expires_at").and_then(serde_json::Value::as_str);
        Ok(Fetched { proof: Proof::Token(token), expires_at: expires_at.and_then(|at| at.parse().ok()) })
    }
}
