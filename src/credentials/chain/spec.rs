//! Settings about credentials.

use std::path::PathBuf;

use crate::child::environment::Withheld;

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
    /// Variables that no child gets.
    pub(crate) withheld: Withheld,
}

impl Spec {
    /// Tells whether a profile says where its credentials are.
    #[cfg(feature = "cluster")]
    pub(crate) fn names_its_own(&self) -> bool {
        let places = [
            &self.token_env,
            &self.token_file,
            &self.access_key_env,
            &self.credentials_file,
            &self.user_name,
            &self.credential_command,
        ];
        self.agency || places.into_iter().any(Option::is_some)
    }
}
