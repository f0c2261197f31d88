//! Credentials that are fetched: from a profile's command, from a container's identity service, or from the machine's agency.

use std::path::PathBuf;
use std::time::Duration;

use super::places::{FoundCredentials, SearchPlaces, SearchResult, malformed};
use crate::credentials::agency::Agency;
use crate::credentials::command::PrintedBy;
use crate::credentials::error::CredentialsError;
use crate::credentials::identity::Credentials;
use crate::credentials::pod::Pod;
use crate::transport::endpoint::Endpoint;
use crate::transport::settings::TransportSettings;

impl SearchPlaces<'_> {
    pub(super) fn command(&self) -> Option<FoundCredentials> {
        let command = self.spec.credential_command.clone()?;
        let origin = format!("`credential_command`{}", self.profile());
        let source = PrintedBy { command, withheld: self.spec.withheld.clone(), origin: origin.clone() };
        let identity = self.spec.project_id.clone();
        Some(Credentials::renewed_by(Box::new(source), origin, identity, self.spec.project_id.clone()).into())
    }

    pub(super) fn pod(&self) -> SearchResult {
        let [uri, file] = ["HC_CONTAINER_CREDENTIALS_FULL_URI", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
        let (address, token_file) = match (self.variable(uri)?, self.variable(file)?) {
            (None, None) => return Ok(None),
            (Some(address), Some(token_file)) => (address.text, PathBuf::from(token_file.text)),
            (Some(address), None) => return Err(address.without(file)),
            (None, Some(token_file)) => return Err(token_file.without(uri)),
        };
        let bad = |error: &dyn std::fmt::Display| malformed(format!("{uri}: {error}"));
        let url = url::Url::parse(&address).map_err(|error| bad(&error))?;
        let base = format!("{}://{}", url.scheme(), url.authority());
        let endpoint = Endpoint::of_this_machine(&base).map_err(|error| bad(&error))?;
        let origin = format!("the container's identity ({uri})");
        let wait = Duration::from_secs(5);
        let transport = TransportSettings { timeout: 2 * wait, connect_timeout: wait, ..self.transport.clone() };
        let source = Pod { endpoint, path: url.path().to_owned(), token_file, transport, origin: origin.clone() };
        Ok(Some(Credentials::renewed_by(Box::new(source), origin, self.spec.project_id.clone(), None).into()))
    }

    pub(super) fn last_resort(&self) -> SearchResult {
        if self.spec.metadata_endpoint.is_none() {
            return Ok(None);
        }
        Ok(Some(FoundCredentials { is_last_resort: true, ..self.agency("the ECS agency of this machine")? }))
    }

    pub(super) fn agency(&self, origin: &str) -> Result<FoundCredentials, CredentialsError> {
        let Some(text) = &self.spec.metadata_endpoint else {
            return Err(malformed(format!("{origin} is asked for, and `metadata_endpoint` is off")));
        };
        let endpoint =
            Endpoint::of_this_machine(text).map_err(|error| malformed(format!("`metadata_endpoint`: {error}")))?;
        let source = Agency::new(endpoint, origin.to_owned());
        let project = self.spec.project_id.clone();
        let identity = project.clone().or_else(|| Some("ecs-agency".to_owned()));
        Ok(Credentials::renewed_by(Box::new(source), origin.to_owned(), identity, project).into())
    }
}
