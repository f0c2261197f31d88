//! Places in which credentials are looked for, and their order.
//!
//! A profile that names the place of its credentials uses just that. Otherwise the first place that has any counts, even if they
//! are bad: token, key pair, user and password of the environment; a profile's command; files; the container's identity;
//! the machine's agency.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::agency::Agency;
use super::command::PrintedBy;
use super::error::CredentialsError;
use super::files::{self, InFile};
use super::fitness::{self, Unfit};
use super::identity::Credentials;
use super::password::{Password, TokenScope};
use super::pod::Pod;
use super::proof::{Keys, Proof};
use crate::transport::endpoint::{BadEndpoint, Endpoint};
use crate::transport::secrets::guarded::Guarded;
use crate::transport::{TransportSettings, region};

/// Settings about credentials: names of places, never a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spec {
    /// Name of the profile, for people.
    pub(crate) profile: Option<String>,
    /// Folder of the settings file, which names of files are relative to; empty for the current one.
    pub(crate) folder: PathBuf,
    pub(crate) token_env: Option<String>,
    pub(crate) token_file: Option<String>,
    pub(crate) access_key_env: Option<String>,
    pub(crate) secret_key_env: Option<String>,
    pub(crate) security_token_env: Option<String>,
    /// Path of an INI file such as `~/.huaweicloud/credentials`.
    pub(crate) credentials_file: Option<String>,
    pub(crate) user_name: Option<String>,
    pub(crate) domain_name: Option<String>,
    pub(crate) password_env: Option<String>,
    pub(crate) password_file: Option<String>,
    /// Command that the shell runs, and that prints JSON.
    pub(crate) credential_command: Option<String>,
    /// True for the ECS agency of this machine, and nothing else.
    pub(crate) agency: bool,
    pub(crate) project_id: Option<String>,
    pub(crate) project_name: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) iam_endpoint: Option<String>,
    /// `None`: the metadata service is not asked.
    pub(crate) metadata_endpoint: Option<String>,
    /// True where the run has other accounts, too: the environment holds credentials of one of them at most, so a profile's own
    /// command goes before it.
    pub(crate) one_of_several: bool,
    /// Variables that profiles name for their secrets, this profile or any other.
    pub(crate) secret_variables: Vec<String>,
}

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

type SearchResult = Result<Option<FoundCredentials>, CredentialsError>;

/// Looks for credentials without asking anybody: what has to be fetched is fetched when it is needed.
pub(crate) fn find(spec: &Spec, transport: &TransportSettings, get: &dyn Fn(&str) -> Option<OsString>) -> SearchResult {
    let places = SearchPlaces { spec, transport, get };
    let own = places.own_kind()?;
    if let Some(kind) = own.filter(|kind| *kind != CredentialKind::Command || spec.one_of_several) {
        return places.of_profile(kind).map(Some);
    }
    let mut warnings = Vec::new();
    let steps: [fn(&SearchPlaces<'_>, &mut Vec<String>) -> SearchResult; 8] = [
        |places, _| places.token(),
        |places, _| places.key_pair(),
        |places, _| places.password(),
        |places, _| Ok(places.command()),
        |places, warnings| places.sdk_file(warnings),
        |places, warnings| places.koocli_file(warnings),
        |places, _| places.pod(),
        |places, _| places.last_resort(),
    ];
    for step in steps {
        if let Some(mut found) = step(&places, &mut warnings)? {
            found.warnings.splice(0..0, warnings);
            return Ok(Some(found));
        }
    }
    Ok(None)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CredentialKind {
    TokenInVariable,
    TokenInFile,
    KeyPair,
    KeyFile,
    Password,
    Command,
    Agency,
}

/// Variables in which a token is looked for.
pub(crate) const TOKENS: [&str; 2] = ["CUTOVER_AUTH_TOKEN", "HW_AUTH_TOKEN"];

/// Variables with fixed names in which a secret is looked for.
pub(crate) const SECRET_VARIABLES: [&str; 12] = [
    "CUTOVER_AUTH_TOKEN",
    "CUTOVER_SERVE_TOKEN",
    "CUTOVER_SANDBOX_TOKEN",
    "CUTOVER_SANDBOX_SK",
    "CUTOVER_SANDBOX_SECURITY_TOKEN",
    "HW_AUTH_TOKEN",
    "HUAWEICLOUD_SDK_SK",
    "HUAWEICLOUD_SDK_SECURITY_TOKEN",
    "HW_SECRET_KEY",
    "HW_SECURITY_TOKEN",
    "HW_PASSWORD",
    // The file that it names proves the container's identity.
    "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// Families of names for a key pair. sources: huaweicloud-sdk-python-v3 `huaweicloudsdkcore/auth/provider.py`;
/// terraform-provider-huaweicloud `docs/index.md`.
const KEY_PAIRS: [KeyPairNames; 2] = [
    KeyPairNames {
        access: "HUAWEICLOUD_SDK_AK",
        secret: "HUAWEICLOUD_SDK_SK",
        security_token: "HUAWEICLOUD_SDK_SECURITY_TOKEN",
        project: "HUAWEICLOUD_SDK_PROJECT_ID",
    },
    KeyPairNames {
        access: "HW_ACCESS_KEY",
        secret: "HW_SECRET_KEY",
        security_token: "HW_SECURITY_TOKEN",
        project: "HW_PROJECT_ID",
    },
];

struct KeyPairNames {
    access: &'static str,
    secret: &'static str,
    security_token: &'static str,
    project: &'static str,
}

struct SearchPlaces<'a> {
    spec: &'a Spec,
    transport: &'a TransportSettings,
    get: &'a dyn Fn(&str) -> Option<OsString>,
}

/// Tells whether there is no file of this name; a text that is too long for a name has none.
fn is_nowhere(path: &Path) -> bool {
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory, io::ErrorKind::InvalidFilename];
    path.metadata().is_err_and(|error| kinds.contains(&error.kind()))
}

fn malformed(text: String) -> CredentialsError {
    CredentialsError::Malformed(text)
}

impl SearchPlaces<'_> {
    /// Returns a variable that is set and not empty; fails if its text cannot be what it is used for.
    fn fit(&self, name: &str, is_fit: fn(&str) -> Result<(), Unfit>) -> Result<Option<String>, CredentialsError> {
        let text = self.variable(name)?;
        if let Some(unfit) = text.as_deref().and_then(|text| is_fit(text).err()) {
            return Err(malformed(format!("{name} {unfit}")));
        }
        Ok(text)
    }

    /// Returns a variable with a token, a key, or the id of a project.
    fn plain(&self, name: &str) -> Result<Option<String>, CredentialsError> {
        self.fit(name, fitness::fit_for_a_header)
    }

    /// Returns a variable that is set and not empty.
    fn variable(&self, name: &str) -> Result<Option<String>, CredentialsError> {
        let Some(text) = (self.get)(name) else { return Ok(None) };
        let text = text.into_string().map_err(|_| malformed(format!("{name} is not UTF-8")))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn home(&self) -> Option<PathBuf> {
        (self.get)("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
    }

    fn profile(&self) -> String {
        self.spec.profile.as_deref().map_or_else(String::new, |name| format!(" of the profile `{name}`"))
    }

    /// Returns the kind of credentials that the profile names; two kinds are an error.
    fn own_kind(&self) -> Result<Option<CredentialKind>, CredentialsError> {
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
    fn of_profile(&self, kind: CredentialKind) -> Result<FoundCredentials, CredentialsError> {
        let spec = self.spec;
        match kind {
            CredentialKind::TokenInVariable => {
                let name = self.named("token_env", spec.token_env.as_ref())?;
                let token = self.needed("token_env", name, fitness::fit_for_a_header)?;
                Ok(Credentials::token(&token, self.origin_of(name))?.into())
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
                    Some(name) => Some(self.needed("security_token_env", name, fitness::fit_for_a_header)?),
                    None => None,
                };
                let access = self.needed_plain("access_key_env", access_name, fitness::fit_for_a_header)?;
                let secret = self.needed("secret_key_env", secret_name, fitness::fit_for_a_header)?.into();
                let keys = Keys { access, secret, security_token: security_token.map(Guarded::from) };
                Ok(self.fixed_keys(self.origin_of(access_name), keys, None).into())
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

    fn named<'s>(&self, key: &str, name: Option<&'s String>) -> Result<&'s str, CredentialsError> {
        let missing = || malformed(format!("`{key}` is missing among the credentials{}", self.profile()));
        name.map(String::as_str).ok_or_else(missing)
    }

    fn origin_of(&self, variable: &str) -> String {
        format!("{variable} in the environment{}", self.profile())
    }

    fn needed_plain(
        &self,
        key: &str,
        variable: &str,
        is_fit: fn(&str) -> Result<(), Unfit>,
    ) -> Result<String, CredentialsError> {
        // Somebody may have written the secret itself here: a text that cannot be a variable's name is not printed.
        let is_name = variable.len() <= 32 && variable.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            let text = format!("`{key}`{} is to be the name of a variable, of at most 32 letters", self.profile());
            return Err(malformed(text));
        }
        let missing = || malformed(format!("{variable} is not set (`{key}`{})", self.profile()));
        self.fit(variable, is_fit)?.ok_or_else(missing)
    }

    fn needed(
        &self,
        key: &str,
        variable: &str,
        is_fit: fn(&str) -> Result<(), Unfit>,
    ) -> Result<SecretString, CredentialsError> {
        self.needed_plain(key, variable, is_fit).map(SecretString::from)
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

    /// Returns the first line of a file, and a warning if others can read it.
    fn secret_file(&self, key: &str, text: &str) -> Result<(SecretString, Vec<String>), CredentialsError> {
        let path = self.path_of(text);
        if is_nowhere(&path) {
            return Err(self.no_file(key));
        }
        let secret = crate::texts::first_line_of_secret(&path)
            .map_err(|error| malformed(format!("`{}` cannot be read: {error}", path.display())))?;
        let unfit = fitness::fit_for_a_line(secret.expose_secret());
        unfit.map_err(|unfit| malformed(format!("the secret in `{}` {unfit}", path.display())))?;
        Ok((secret, files::readable_by_others(&path).into_iter().collect()))
    }

    fn fixed_keys(&self, origin: String, keys: Keys, project: Option<String>) -> Credentials {
        let project = self.spec.project_id.clone().or(project);
        // Temporary keys change; their project does not.
        let identity = match (&keys.security_token, &project) {
            (Some(_), Some(project)) => project.clone(),
            (Some(_), None) | (None, _) => keys.access.clone(),
        };
        Credentials::fixed(origin, Some(identity), project, Proof::Keys(keys), None)
    }

    fn token(&self) -> SearchResult {
        for name in TOKENS {
            if let Some(text) = self.plain(name)? {
                return Ok(Some(Credentials::token(&SecretString::from(text), name)?.into()));
            }
        }
        Ok(None)
    }

    fn key_pair(&self) -> SearchResult {
        for names in KEY_PAIRS {
            let (access, secret) = match (self.plain(names.access)?, self.plain(names.secret)?) {
                (None, None) => continue,
                (Some(access), Some(secret)) => (access, SecretString::from(secret).into()),
                (Some(_), None) => {
                    return Err(malformed(format!("{} is set, and {} is not", names.access, names.secret)));
                }
                (None, Some(_)) => {
                    return Err(malformed(format!("{} is set, and {} is not", names.secret, names.access)));
                }
            };
            let security_token = self.plain(names.security_token)?.map(|text| SecretString::from(text).into());
            let project = self.plain(names.project)?;
            let origin = format!("{} in the environment", names.access);
            return Ok(Some(self.fixed_keys(origin, Keys { access, secret, security_token }, project).into()));
        }
        Ok(None)
    }

    fn password(&self) -> SearchResult {
        let [user, password, domain] = ["HW_USER_NAME", "HW_PASSWORD", "HW_DOMAIN_NAME"];
        let name = self.fit(user, fitness::fit_for_a_name)?;
        let (name, secret) = match (name, self.fit(password, fitness::fit_for_a_password)?) {
            (None, None) => return Ok(None),
            (Some(name), Some(secret)) => (name, secret),
            (Some(_), None) => return Err(malformed(format!("{user} is set, and {password} is not"))),
            (None, Some(_)) => return Err(malformed(format!("{password} is set, and {user} is not"))),
        };
        let missing = || malformed(format!("{user} is set, and {domain} (the account it belongs to) is not"));
        let domain = self.fit(domain, fitness::fit_for_a_name)?.ok_or_else(missing)?;
        let origin = format!("{user} in the environment");
        self.log_in(name, domain, SecretString::from(secret), origin).map(|found| Some(found.into()))
    }

    fn password_of_profile(&self) -> Result<FoundCredentials, CredentialsError> {
        let spec = self.spec;
        let user = self.named("user_name", spec.user_name.as_ref())?.to_owned();
        let domain = self.named("domain_name", spec.domain_name.as_ref())?.to_owned();
        let (password, warnings) = match (&spec.password_env, &spec.password_file) {
            (Some(name), None) => (self.needed("password_env", name, fitness::fit_for_a_password)?, Vec::new()),
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
        let from_environment = |name, is_fit| if spec.user_name.is_some() { Ok(None) } else { self.fit(name, is_fit) };
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
                named = self.variable(variable)?.map(|text| (variable, text));
            }
        }
        let Some((name, text)) = named else { return Ok(region::iam(self.spec.region.as_deref())) };
        // Terraform's users append the version.
        let base = text.trim_end_matches('/').trim_end_matches("/v3");
        base.parse().map_err(|error: BadEndpoint| malformed(format!("{name}: {error}")))
    }

    fn command(&self) -> Option<FoundCredentials> {
        let command = self.spec.credential_command.clone()?;
        let origin = format!("`credential_command`{}", self.profile());
        let withheld = SECRET_VARIABLES.iter().map(|name| (*name).to_owned());
        let withheld = withheld.chain(self.spec.secret_variables.iter().cloned()).collect();
        let source = PrintedBy { command, withheld, origin: origin.clone() };
        let identity = self.spec.project_id.clone();
        Some(Credentials::renewed_by(Box::new(source), origin, identity, self.spec.project_id.clone()).into())
    }

    fn sdk_file(&self, warnings: &mut Vec<String>) -> SearchResult {
        if let Some(path) = self.variable("HUAWEICLOUD_SDK_CREDENTIALS_FILE")? {
            return self.sdk_file_at(Path::new(&path));
        }
        match self.in_home(".huaweicloud/credentials", warnings) {
            Some(path) => self.sdk_file_at(&path),
            None => Ok(None),
        }
    }

    /// Returns the path of a file that no setting names. One that may not be read, as in somebody else's home, is passed over.
    fn in_home(&self, name: &str, warnings: &mut Vec<String>) -> Option<PathBuf> {
        let path = self.home()?.join(name);
        match crate::texts::bytes(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => None,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                warnings.push(format!("`{}` is passed over: it may not be read", path.display()));
                None
            }
            Ok(_) | Err(_) => Some(path),
        }
    }

    fn sdk_file_at(&self, path: &Path) -> SearchResult {
        files::sdk(path)?.map(|found| self.in_file(path, found)).transpose()
    }

    fn in_file(
        &self,
        path: &Path,
        InFile { keys, project, part }: InFile,
    ) -> Result<FoundCredentials, CredentialsError> {
        let secrets = [
            ("access key", Some(keys.access.as_str())),
            ("secret key", Some(keys.secret.expose_secret())),
            ("security token", keys.security_token.as_ref().map(Guarded::expose_secret)),
            ("project", project.as_deref()),
        ];
        for (what, text) in secrets {
            if let Some(unfit) = text.and_then(|text| fitness::fit_for_a_header(text).err()) {
                return Err(malformed(format!("the {what} in `{}` {part} {unfit}", path.display())));
            }
        }
        let origin = format!("`{}` {part}{}", path.display(), self.profile());
        let warnings = files::readable_by_others(path).into_iter().collect();
        Ok(FoundCredentials { warnings, ..self.fixed_keys(origin, keys, project).into() })
    }

    fn koocli_file(&self, warnings: &mut Vec<String>) -> SearchResult {
        let Some(path) = self.in_home(".hcloud/config.json", warnings) else { return Ok(None) };
        match files::koocli(&path)? {
            None => Ok(None),
            Some(Ok(found)) => self.in_file(&path, found).map(Some),
            Some(Err(why)) => {
                warnings.push(why);
                Ok(None)
            }
        }
    }

    fn pod(&self) -> SearchResult {
        let [uri, file] = ["HC_CONTAINER_CREDENTIALS_FULL_URI", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
        let (address, token_file) = match (self.variable(uri)?, self.variable(file)?) {
            (None, None) => return Ok(None),
            (Some(address), Some(token_file)) => (address, PathBuf::from(token_file)),
            (Some(_), None) => return Err(malformed(format!("{uri} is set, and {file} is not"))),
            (None, Some(_)) => return Err(malformed(format!("{file} is set, and {uri} is not"))),
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

    fn last_resort(&self) -> SearchResult {
        if self.spec.metadata_endpoint.is_none() {
            return Ok(None);
        }
        Ok(Some(FoundCredentials { is_last_resort: true, ..self.agency("the ECS agency of this machine")? }))
    }

    fn agency(&self, origin: &str) -> Result<FoundCredentials, CredentialsError> {
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
