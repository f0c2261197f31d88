//! Inputs of a search for credentials: the settings, the environment, and the reading and checking of a text of either.

use std::path::PathBuf;

use super::spec::Spec;
use crate::credentials::error::CredentialsError;
use crate::credentials::fitness::{self, Unfit};
use crate::credentials::identity::Credentials;
use crate::credentials::proof::{IdentityProof, Keys};
use crate::credentials::variables::{self, FoundVariable};
use crate::files::home;
use crate::transport::proxy::Environment;
use crate::transport::settings::TransportSettings;

/// First credentials that were found, with warnings about them.
#[derive(Debug)]
pub(crate) struct FoundCredentials {
    pub(crate) credentials: Credentials,
    pub(crate) warnings: Vec<String>,
    /// True where nothing was found, and only an agency of this machine may be left.
    pub(crate) is_last_resort: bool,
}

impl From<Credentials> for FoundCredentials {
    fn from(credentials: Credentials) -> Self {
        Self { credentials, warnings: Vec::new(), is_last_resort: false }
    }
}

/// Check of a text, for what it is used for.
pub(super) type Fitness = fn(&str) -> Result<(), Unfit>;

pub(crate) type SearchResult = Result<Option<FoundCredentials>, CredentialsError>;

/// Settings and environment in which credentials are looked for.
pub(super) struct SearchPlaces<'a> {
    pub(super) spec: &'a Spec,
    pub(super) transport: &'a TransportSettings,
    pub(super) get: Environment<'a>,
}

pub(super) fn malformed(text: String) -> CredentialsError {
    CredentialsError::Malformed(text)
}

fn checked(found: FoundVariable, is_fit: Fitness) -> Result<FoundVariable, CredentialsError> {
    match is_fit(&found.text) {
        Ok(()) => Ok(found),
        Err(unfit) => Err(malformed(format!("{} {unfit}", found.told()))),
    }
}

impl SearchPlaces<'_> {
    /// Returns a variable that is set and not empty; fails if its text cannot be what it is used for.
    pub(super) fn fit(&self, name: &str, is_fit: Fitness) -> Result<Option<FoundVariable>, CredentialsError> {
        self.variable(name)?.map(|found| checked(found, is_fit)).transpose()
    }

    /// Returns a variable with a token, a key, or the id of a project.
    pub(super) fn plain(&self, name: &str) -> Result<Option<FoundVariable>, CredentialsError> {
        self.fit(name, fitness::fit_for_a_header)
    }

    /// Returns a variable with a password. A file has it as it is, while blanks and quotes of a variable are more likely a
    /// shell's.
    pub(super) fn password_in(&self, name: &str) -> Result<Option<FoundVariable>, CredentialsError> {
        let Some(found) = self.variable(name)? else { return Ok(None) };
        let is_fit = if found.folder.is_some() { fitness::fit_for_a_line } else { fitness::fit_for_a_password };
        checked(found, is_fit).map(Some)
    }

    /// Returns a variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Result<Option<FoundVariable>, CredentialsError> {
        variables::look_up(name, self.get)
    }

    /// Home directory of the user; `None` if it is another's, whose credentials are not for us.
    pub(super) fn home(&self) -> Option<PathBuf> {
        home::named_home(&self.get).filter(|_| home::foreign_home(&self.get).is_none())
    }

    pub(super) fn profile(&self) -> String {
        self.spec.profile.as_deref().map_or_else(String::new, |name| format!(" of the profile `{name}`"))
    }

    pub(super) fn fixed_keys(&self, origin: String, keys: Keys, project: Option<String>) -> Credentials {
        let project = self.spec.project_id.clone().or(project);
        // Temporary keys change; their project does not.
        let identity = match (&keys.security_token, &project) {
            (Some(_), Some(project)) => project.clone(),
            (Some(_), None) | (None, _) => keys.access.clone(),
        };
        Credentials::fixed(origin, Some(identity), project, IdentityProof::Keys(keys), None)
    }
}
