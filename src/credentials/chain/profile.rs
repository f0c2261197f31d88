//! Credentials that a profile names: of one kind, and an error where they are not there.

use std::io;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::places::{FoundCredentials, SearchPlaces, malformed};
use crate::credentials::error::CredentialsError;
use crate::credentials::files;
use crate::credentials::fitness;
use crate::credentials::identity::Credentials;
use crate::credentials::proof::Keys;
use crate::credentials::variables::{self, FoundVariable};
use crate::transport::secrets::guarded::Guarded;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CredentialKind {
    TokenInVariable,
    TokenInFile,
    KeyPair,
    KeyFile,
    Password,
    Command,
    Agency,
}

/// Tells whether there is no file of this name; a text that is too long for a name has none.
fn is_nowhere(path: &Path) -> bool {
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory, io::ErrorKind::InvalidFilename];
    path.metadata().is_err_and(|error| kinds.contains(&error.kind()))
}

impl SearchPlaces<'_> {
    /// Returns the kind of credentials that the profile names; two kinds are an error.
    pub(super) fn own_kind(&self) -> Result<Option<CredentialKind>, CredentialsError> {
        let spec = self.spec;
        let named = [
            ("token_env", spec.token_env.is_some(), CredentialKind::TokenInVariable),
            ("token_file", spec.token_file.is_some(), CredentialKind::TokenInFile),
            ("access_key_env", spec.access_key_env.is_some(), CredentialKind::KeyPair),
            ("secret_key_env", spec.secret_key_env.is_some(), CredentialKind::KeyPair),
            ("credentials_file", spec.credentials_file.is_some(), CredentialKind::KeyFile),
            ("user_name", spec.user_name.is_some(), CredentialKind::Password),
            ("password_env", spec.password_env.is_some(), CredentialKind::Password),
            ("password_file", spec.password_file.is_some(), CredentialKind::Password),
            ("credential_command", spec.credential_command.is_some(), CredentialKind::Command),
            ("agency", spec.agency, CredentialKind::Agency),
        ];
        let mut named = named.into_iter().filter(|(_, is_named, _)| *is_named);
        let Some((first, _, kind)) = named.next() else { return Ok(None) };
        match named.find(|(_, _, other)| *other != kind) {
            Some((second, _, _)) => Err(malformed(format!(
                "the credentials{} are of two kinds, `{first}` and `{second}`, and only one can be meant",
                self.profile()
            ))),
            None => Ok(Some(kind)),
        }
    }

    /// Returns the credentials that a profile names; it is an error if they are not there.
    pub(super) fn of_profile(&self, kind: CredentialKind) -> Result<FoundCredentials, CredentialsError> {
        let spec = self.spec;
        match kind {
            CredentialKind::TokenInVariable => {
                let name = self.named("token_env", spec.token_env.as_ref())?;
                let token = self.needed("token_env", name, |name| self.plain(name))?;
                let origin = token.origin() + &self.profile();
                Ok(Credentials::token(&SecretString::from(token.text), origin)?.into())
            }
            CredentialKind::TokenInFile => {
                let (token, warnings) =
                    self.secret_file("token_file", self.named("token_file", spec.token_file.as_ref())?)?;
                let origin = format!("`{}`{}", spec.token_file.as_deref().unwrap_or_default(), self.profile());
                Ok(FoundCredentials { warnings, ..Credentials::token(&token, origin)?.into() })
            }
            CredentialKind::KeyPair => {
                let access_name = self.named("access_key_env", spec.access_key_env.as_ref())?;
                let secret_name = self.named("secret_key_env", spec.secret_key_env.as_ref())?;
                let security_token = match &spec.security_token_env {
                    Some(name) => Some(self.needed("security_token_env", name, |name| self.plain(name))?),
                    None => None,
                };
                let access = self.needed("access_key_env", access_name, |name| self.plain(name))?;
                let secret = self.needed("secret_key_env", secret_name, |name| self.plain(name))?;
                let origin = access.origin_with(&secret) + &self.profile();
                let guarded = |found: FoundVariable| Guarded::from(SecretString::from(found.text));
                let security_token = security_token.map(guarded);
                let keys = Keys { access: access.text, secret: guarded(secret), security_token };
                Ok(self.fixed_keys(origin, keys, None).into())
            }
            CredentialKind::KeyFile => {
                let path = self.path_of(self.named("credentials_file", spec.credentials_file.as_ref())?);
                if is_nowhere(&path) {
                    return Err(self.no_file("credentials_file"));
                }
                self.sdk_file_at(&path)?.ok_or_else(|| self.no_file("credentials_file"))
            }
            CredentialKind::Password => self.password_of_profile(),
            CredentialKind::Command => Ok(self.command().expect("a command is named")),
            CredentialKind::Agency => self.agency(&format!("the ECS agency of this machine{}", self.profile())),
        }
    }

    pub(super) fn named<'s>(&self, key: &str, name: Option<&'s String>) -> Result<&'s str, CredentialsError> {
        let missing = || malformed(format!("`{key}` is missing among the credentials{}", self.profile()));
        name.map(String::as_str).ok_or_else(missing)
    }

    /// Reads a variable that a profile names; it is an error if it is not set.
    pub(super) fn needed(
        &self,
        key: &str,
        variable: &str,
        read: impl FnOnce(&str) -> Result<Option<FoundVariable>, CredentialsError>,
    ) -> Result<FoundVariable, CredentialsError> {
        // Somebody may have written the secret itself here: a text that cannot be a variable's name is not printed.
        let is_name = variable.len() <= 32 && variable.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            let text = format!("`{key}`{} is to be the name of a variable, of at most 32 letters", self.profile());
            return Err(malformed(text));
        }
        let missing = || {
            let folder = variables::folder(self.get).ok().flatten();
            let nor = folder.map_or_else(String::new, |path| format!(", nor a file in `{}`", path.display()));
            malformed(format!("{variable} is not set{nor} (`{key}`{})", self.profile()))
        };
        read(variable)?.ok_or_else(missing)
    }

    /// Returns a path from a text: `~` is home, as people write it, and any other relative path starts at the settings file.
    fn path_of(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), self.home()) {
            (Some(rest), Some(home)) => home.join(rest),
            (_, _) => self.spec.folder.join(text),
        }
    }

    /// Makes the error for a missing file. It does not repeat the name, since somebody may have written the secret itself there.
    fn no_file(&self, key: &str) -> CredentialsError {
        malformed(format!(
            "there is no file of the name that `{key}`{} has, which is not repeated here",
            self.profile()
        ))
    }

    /// Returns the content of a file, which is one line, and a warning if others can read it. Of several lines the first would be a
    /// part of a token that somebody folded.
    pub(super) fn secret_file(&self, key: &str, text: &str) -> Result<(SecretString, Vec<String>), CredentialsError> {
        let path = self.path_of(text);
        if is_nowhere(&path) {
            return Err(self.no_file(key));
        }
        let secret = crate::texts::whole_secret(&path)
            .map_err(|error| malformed(format!("`{}` cannot be read: {error}", path.display())))?;
        if secret.expose_secret().is_empty() {
            return Err(malformed(format!("the secret in `{}` is empty", path.display())));
        }
        let unfit = fitness::fit_for_a_line(secret.expose_secret());
        unfit.map_err(|unfit| malformed(format!("the secret in `{}` {unfit}", path.display())))?;
        Ok((secret, files::readable_by_others(&path).into_iter().collect()))
    }
}
