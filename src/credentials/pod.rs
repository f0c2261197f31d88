//! Credentials of a container's identity.
//!
//! source: `huaweicloudsdkcore/auth/internal.py` (`PodIdentityAccessor`).

use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::error::CredentialsError;
use super::fitness::fit_for_a_header;
use super::proof::{Fetched, Fetching, ProofSource};
use super::{asking, json};
use crate::transport::endpoint::Endpoint;
use crate::transport::request::{Header, Outgoing};
use crate::transport::secrets::guarded::Guarded;
use crate::transport::settings::TransportSettings;

#[derive(Debug)]
pub(super) struct Pod {
    pub(super) endpoint: Endpoint,
    pub(super) path: String,
    /// File with the token, read anew each time, since it is replaced while we run.
    pub(super) token_file: PathBuf,
    pub(super) transport: TransportSettings,
    pub(super) origin: String,
}

impl ProofSource for Pod {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(self.credentials())
    }

    fn renews_ahead(&self) -> Duration {
        Duration::from_mins(40)
    }
}

impl Pod {
    async fn credentials(&self) -> Result<Fetched, CredentialsError> {
        let unreadable = |why: &dyn std::fmt::Display| CredentialsError::Denied {
            origin: self.origin.clone(),
            reason: format!("`{}` cannot be read: {why}", self.token_file.display()),
        };
        let path = self.token_file.clone();
        let read = tokio::task::spawn_blocking(move || crate::texts::whole_secret(&path)).await;
        let token = read.expect("a file that is read panics nowhere").map_err(|error| unreadable(&error))?;
        fit_for_a_header(token.expose_secret().trim()).map_err(|unfit| {
            CredentialsError::Malformed(format!(
                "{}: the token in `{}` {unfit}",
                self.origin,
                self.token_file.display()
            ))
        })?;
        let outgoing = Outgoing {
            headers: vec![
                Header::plain("content-type", "application/json"),
                Header::secret("authorization", Guarded::from(token.expose_secret().trim())),
            ],
            body: b"{}".to_vec().into(),
            ..Outgoing::bare("POST", self.path.clone())
        };
        let asked = asking::ask(&self.endpoint, &self.transport, outgoing, &self.origin).await?;
        match asked.status {
            200..300 => json::read(&asked.body, &self.origin),
            400..500 if asked.status != 429 => Err(asked.denied(&self.origin)),
            _ => Err(asked.unreachable(&self.origin)),
        }
    }
}
