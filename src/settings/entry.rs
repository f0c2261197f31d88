//! Sentences of a settings file: each key that it sets, on which line, and whose word the file is.

use std::fmt;

use super::key::Risk;
use super::keys::KEYS;
use super::names::CREDENTIAL_KEYS;

pub(crate) const NAME: &str = "cutover.toml";

/// The table of profiles in a settings file: `[profiles.NAME]`.
pub(super) const PROFILES: &str = "profiles";

/// Whose word a settings file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authority {
    /// By `--config` or `CUTOVER_CONFIG`.
    Named,
    /// Lies in the folder, and `cutover trust` was told of this very content.
    Trusted,
    /// Lies in the folder, and may come from anybody.
    Folder,
    User,
    Machine,
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Authority::Named => "named",
            Authority::Trusted => "in this folder, trusted",
            Authority::Folder => "in this folder, not trusted",
            Authority::User => "the user's",
            Authority::Machine => "the machine's",
        })
    }
}

/// A key that a settings file sets, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileEntry {
    pub(crate) line: usize,
    pub(crate) profile: Option<String>,
    /// Key of a setting; none, if the profile is empty.
    pub(crate) key: Option<String>,
    /// As one would write it as a flag.
    pub(crate) value: String,
}

impl fmt::Display for FileEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key, &self.profile) {
            (Some(key), Some(profile)) => write!(f, "`{key}` in [{PROFILES}.{profile}]"),
            (Some(key), None) => write!(f, "`{key}`"),
            (None, profile) => write!(f, "[{PROFILES}.{}]", profile.as_deref().unwrap_or_default()),
        }
    }
}

impl FileEntry {
    /// Reason for which this takes more than to lie in a folder. A profile is an account, and so is all that is said of one.
    pub(crate) fn beyond_a_folder(&self) -> Option<&'static str> {
        let of_key = |key: &str| {
            let of_settings = KEYS.iter().map(|known| (known.name, known.risk));
            let mut all = of_settings.chain(CREDENTIAL_KEYS.iter().map(|(name, risk, _)| (*name, *risk)));
            // What is not known is an error of its own before anybody asks.
            all.find(|(name, _)| *name == key).map_or(Risk::Guards, |(_, risk)| risk)
        };
        let beyond = self.key.as_deref().map_or(Risk::Redirects, of_key).beyond_a_folder();
        beyond.or_else(|| self.profile.as_ref().and(Risk::Redirects.beyond_a_folder()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_s_file_may_set_pace_limits_and_hours_and_nothing_else() {
        let may: Vec<&str> =
            KEYS.iter().filter(|key| key.risk.beyond_a_folder().is_none()).map(|key| key.name).collect();
        let expected = "log_format rate burst concurrency attempts timeout connect_timeout read_timeout verify_timeout \
                        max_throttle max_changes max_failed min_sample consecutive_failures same_cause window timezone \
                        deadline reserve_rollback approval_timeout seed";
        assert_eq!(may.join(" "), expected);
        assert!(CREDENTIAL_KEYS.iter().all(|(_, risk, _)| risk.beyond_a_folder().is_some()));
    }
}
