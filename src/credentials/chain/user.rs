//! Log-in with user and password: of the environment, or of a profile.

use secrecy::SecretString;

use super::places::{Fitness, FoundCredentials, SearchPlaces, SearchResult, malformed};
use crate::credentials::error::CredentialsError;
use crate::credentials::fitness;
use crate::credentials::identity::Credentials;
use crate::credentials::password::{Password, TokenScope};
use crate::transport::endpoint::{BadEndpoint, Endpoint};
use crate::transport::region;
use crate::transport::secrets::guarded::Guarded;

impl SearchPlaces<'_> {
    pub(super) fn password(&self) -> SearchResult {
        let [user, password, domain] = ["HW_USER_NAME", "HW_PASSWORD", "HW_DOMAIN_NAME"];
        let name = self.fit(user, fitness::fit_for_a_name)?;
        let (name, secret) = match (name, self.password_in(password)?) {
            (None, None) => return Ok(None),
            (Some(name), Some(secret)) => (name, secret),
            (Some(name), None) => return Err(name.without(password)),
            (None, Some(secret)) => return Err(secret.without(user)),
        };
        let missing = || malformed(format!("{user} is set, and {domain} (the account it belongs to) is not"));
        let domain = self.fit(domain, fitness::fit_for_a_name)?.ok_or_else(missing)?.text;
        let origin = name.origin_with(&secret);
        self.log_in(name.text, domain, SecretString::from(secret.text), origin).map(|found| Some(found.into()))
    }

    pub(super) fn password_of_profile(&self) -> Result<FoundCredentials, CredentialsError> {
        let spec = self.spec;
        let user = self.named("user_name", spec.user_name.as_ref())?.to_owned();
        let domain = self.named("domain_name", spec.domain_name.as_ref())?.to_owned();
        let (password, warnings) = match (&spec.password_env, &spec.password_file) {
            (Some(name), None) => {
                let password = self.needed("password_env", name, |name| self.password_in(name))?;
                (SecretString::from(password.text), Vec::new())
            }
            (None, Some(file)) => self.secret_file("password_file", file)?,
            (None, None) => return Err(malformed(format!("`password_env` is missing{}", self.profile()))),
            (Some(_), Some(_)) => {
                let both = "both `password_env` and `password_file` are named";
                return Err(malformed(format!("{both}{}", self.profile())));
            }
        };
        let origin = format!("the user `{user}`{}", self.profile());
        Ok(FoundCredentials { warnings, ..self.log_in(user, domain, password, origin)?.into() })
    }

    fn log_in(
        &self,
        user: String,
        domain: String,
        password: SecretString,
        origin: String,
    ) -> Result<Credentials, CredentialsError> {
        let spec = self.spec;
        // The environment's scope is not used for a profile's own user.
        let from_environment = |name, is_fit: Fitness| match &spec.user_name {
            Some(_) => Ok(None),
            None => self.fit(name, is_fit).map(|found| found.map(|found| found.text)),
        };
        let scope = if let Some(id) =
            spec.project_id.clone().or(from_environment("HW_PROJECT_ID", fitness::fit_for_a_header)?)
        {
            TokenScope::ProjectId(id)
        } else if let Some(name) =
            spec.project_name.clone().or(from_environment("HW_PROJECT_NAME", fitness::fit_for_a_name)?)
        {
            TokenScope::ProjectName(name)
        } else {
            // The service is a global one. source: terraform-provider-huaweicloud `huaweicloud/config/endpoints.go`.
            TokenScope::Domain(domain.clone())
        };
        // All users of a domain share its limits.
        let identity = domain.clone();
        let (endpoint, transport) = (self.iam()?, self.transport.clone());
        let secret = Guarded::new(password);
        let source = Password { endpoint, transport, domain, user, secret, scope, origin: origin.clone() };
        Ok(Credentials::renewed_by(Box::new(source), origin, Some(identity), None))
    }

    fn iam(&self) -> Result<Endpoint, CredentialsError> {
        let variables = ["HUAWEICLOUD_SDK_IAM_ENDPOINT", "HW_AUTH_URL"];
        let mut named = self.spec.iam_endpoint.clone().map(|text| ("iam_endpoint", text));
        for variable in variables {
            if named.is_none() {
                named = self.variable(variable)?.map(|found| (variable, found.text));
            }
        }
        let Some((name, text)) = named else { return Ok(region::iam(self.spec.region.as_deref())) };
        // Terraform's users append the version.
        let base = text.trim_end_matches('/').trim_end_matches("/v3");
        base.parse().map_err(|error: BadEndpoint| malformed(format!("{name}: {error}")))
    }
}
