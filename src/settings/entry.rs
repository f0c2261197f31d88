//! Entries of a settings file: each key that it sets, with its line, and the authority of the file.

use std::fmt;

use super::key::{ENGINE, Risk};
use super::keys::KEYS;
use super::names::{CREDENTIAL_KEYS, RECEIVER_KEYS};

pub(crate) const NAME: &str = "cutover.toml";

/// The table of profiles in a settings file: `[profiles.NAME]`.
pub(super) const PROFILES: &str = "profiles";

/// The table of receivers of notices: `[notify.NAME]`.
pub(super) const RECEIVERS: &str = "notify";

/// The table of commands around a run and its waves.
pub(super) const HOOKS: &str = "hooks";

/// Authority of a settings file, by how it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authority {
    /// Named by `--config` or `CUTOVER_CONFIG`.
    Named,
    /// Lies in the current folder, and was trusted with this very content (`cutover trust`).
    Trusted,
    /// Lies in the current folder, and may come from anybody.
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

/// Table of a settings file in which a key stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileTable {
    Profile(String),
    /// Receiver of notices.
    Receiver(String),
    Hooks,
    /// Servers that keep the logs of runs.
    Engine,
}

impl fmt::Display for FileTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileTable::Profile(name) => write!(f, "[{PROFILES}.{name}]"),
            FileTable::Receiver(name) => write!(f, "[{RECEIVERS}.{name}]"),
            FileTable::Hooks => write!(f, "[{HOOKS}]"),
            FileTable::Engine => write!(f, "[{ENGINE}]"),
        }
    }
}

impl FileTable {
    /// Name of the profile; `None` for any other table.
    pub(crate) fn profile(&self) -> Option<&str> {
        match self {
            FileTable::Profile(name) => Some(name),
            FileTable::Receiver(_) | FileTable::Hooks | FileTable::Engine => None,
        }
    }
}

/// A key that a settings file sets, with its line and table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileEntry {
    pub(crate) line: usize,
    /// `None` for a key above all tables.
    pub(crate) table: Option<FileTable>,
    /// Key of a setting, of a profile's credentials, or of a receiver; `None` for a table without keys.
    pub(crate) key: Option<String>,
    /// Value in the form that a flag takes.
    pub(crate) value: String,
}

impl fmt::Display for FileEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key, &self.table) {
            (Some(key), Some(table)) => write!(f, "`{key}` in {table}"),
            (Some(key), None) => write!(f, "`{key}`"),
            (None, Some(table)) => table.fmt(f),
            (None, None) => Ok(()),
        }
    }
}

impl FileEntry {
    /// Reason why a folder's file may not set this before it is trusted; `None` if it may. Every key of a table needs trust: a profile
    /// says which account is used, and a receiver is told of the run.
    pub(crate) fn beyond_a_folder(&self) -> Option<&'static str> {
        if self.table == Some(FileTable::Hooks) {
            return Risk::Executes.beyond_a_folder();
        }
        if self.table == Some(FileTable::Engine) {
            return Risk::Redirects.beyond_a_folder();
        }
        let of_key = |key: &str| {
            let of_settings = KEYS.iter().map(|known| (known.name, known.risk));
            let of_tables = CREDENTIAL_KEYS.iter().chain(&RECEIVER_KEYS).map(|(name, risk, _)| (*name, *risk));
            let mut all = of_settings.chain(of_tables);
            // An unknown key was refused when the file was parsed.
            all.find(|(name, _)| *name == key).map_or(Risk::Guards, |(_, risk)| risk)
        };
        let beyond = self.key.as_deref().map_or(Risk::Redirects, of_key).beyond_a_folder();
        beyond.or_else(|| self.table.as_ref().and(Risk::Redirects.beyond_a_folder()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::HOOK_KEYS;
    use super::*;

    #[test]
    fn a_folder_s_file_may_set_pace_limits_and_hours_and_nothing_else() {
        let may: Vec<&str> =
            KEYS.iter().filter(|key| key.risk.beyond_a_folder().is_none()).map(|key| key.name).collect();
        let expected = "log_format rate burst concurrency attempts timeout connect_timeout read_timeout verify_timeout \
                        max_throttle max_changes max_failed min_sample consecutive_failures same_cause window timezone \
                        deadline reserve_rollback approval_timeout start_within \
                        seed";
        assert_eq!(may.join(" "), expected);
        assert!(
            CREDENTIAL_KEYS
                .iter()
                .chain(&RECEIVER_KEYS)
                .chain(&HOOK_KEYS)
                .all(|(_, risk, _)| risk.beyond_a_folder().is_some())
        );
    }
}
