//! Who wins: each setting's text and where it came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::SettingsError;
use super::file::{self, SettingsFile};

/// Every setting there is. Flags, environment (`CUTOVER_` and the name in capitals), files and `init`'s example are
/// made from this list.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) default: Option<&'static str>,
    /// What a settings file might say, where there is no default.
    pub(crate) example: &'static str,
    pub(crate) help: &'static str,
    /// What a run is carried out with, and so belongs in its journal.
    pub(crate) of_run: bool,
}

const fn of_run(name: &'static str, default: &'static str, help: &'static str) -> Key {
    Key { name, default: Some(default), example: default, help, of_run: true }
}

const fn of_process(name: &'static str, default: &'static str, help: &'static str) -> Key {
    Key { name, default: Some(default), example: default, help, of_run: false }
}

const fn unless_set(name: &'static str, example: &'static str, help: &'static str) -> Key {
    Key { name, default: None, example, help, of_run: true }
}

pub(crate) const KEYS: [Key; 17] = [
    of_process("journal", "cutover.db", "the journal: one SQLite file that holds every run"),
    of_process("log_format", "text", "how messages are written: text or json"),
    unless_set(
        "endpoint",
        "https://sms.ap-southeast-3.myhuaweicloud.com",
        "where the service is: https://…, or sandbox to try everything with no account",
    ),
    unless_set("account", "prod", "a name for the account, to tell apart two that use the same endpoint"),
    of_run("rate", "10", "requests per second, reads included; 30/m works; off is no limit of ours"),
    of_run("burst", "1", "how many requests may go at once after a pause"),
    of_run("concurrency", "8", "requests under way at once"),
    of_run("attempts", "5", "attempts per row and launch; throttled ones do not count"),
    of_run("timeout", "30s", "how long one answer may take"),
    of_run("preflight", "on", "look at every row before anything is sent; off sends unseen"),
    of_run("verify", "on", "look at every row afterwards; off takes the service's word for it"),
    of_run("verify_timeout", "30s", "how long a change may take to show"),
    of_run("complete_pair", "on", "fill in the half of the pair that a row leaves open from what was read"),
    of_run("max_throttle", "10m", "stop after being throttled for this long without one accepted request"),
    unless_set("max_changes", "100", "refuse to begin if more rows than this would be changed"),
    of_run("scenario", "calm", "the sandbox's night: calm, busy, bad-night or a file"),
    of_run("seed", "1", "the sandbox's seed: the same seed is the same night"),
];

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Environment(String),
    File(PathBuf),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("given as a flag"),
            Origin::Environment(name) => write!(f, "in the environment ({name})"),
            Origin::File(path) => write!(f, "in `{}`", path.display()),
            Origin::Default => f.write_str("by default"),
        }
    }
}

pub(crate) struct Resolved {
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl Resolved {
    /// `flags` are those that were given.
    pub(crate) fn of(
        flags: &[(&'static str, String)],
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, SettingsError> {
        let files = file::read_all(&environment)?;
        let mut values = BTreeMap::new();
        for key in &KEYS {
            if let Some(found) = find(key, flags, &environment, &files)? {
                values.insert(key.name, found);
            }
        }
        Ok(Self { values })
    }

    pub(super) fn value<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, SettingsError> {
        let value = self.optional(key, parse)?;
        Ok(value.expect("a setting that is not optional has a default"))
    }

    pub(super) fn optional<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        let Some((text, origin)) = self.values.get(key) else { return Ok(None) };
        let value = parse(text).map_err(|problem| SettingsError::Value { key, origin: origin.clone(), problem })?;
        Ok(Some(value))
    }

    pub(super) fn origin(&self, key: &str) -> Option<Origin> {
        self.values.get(key).map(|(_, origin)| origin.clone())
    }

    /// What the journal keeps of a run's settings. None of them is a secret: no setting is.
    pub(super) fn texts(&self) -> BTreeMap<&'static str, String> {
        let of_run = KEYS.iter().filter(|key| key.of_run);
        of_run.filter_map(|key| Some((key.name, self.values.get(key.name)?.0.clone()))).collect()
    }
}

fn find(
    key: &Key,
    flags: &[(&'static str, String)],
    environment: &impl Fn(&str) -> Option<OsString>,
    files: &[SettingsFile],
) -> Result<Option<(String, Origin)>, SettingsError> {
    if let Some((_, text)) = flags.iter().find(|(name, _)| *name == key.name) {
        return Ok(Some((text.clone(), Origin::Flag)));
    }
    let variable = format!("CUTOVER_{}", key.name.to_uppercase());
    if let Some(text) = environment(&variable) {
        let origin = Origin::Environment(variable);
        let text = text.into_string().map_err(|_| SettingsError::Value {
            key: key.name,
            origin: origin.clone(),
            problem: "is not UTF-8".to_owned(),
        })?;
        return Ok(Some((text, origin)));
    }
    for file in files {
        if let Some(text) = file.values.get(key.name) {
            return Ok(Some((text.clone(), Origin::File(file.path.clone()))));
        }
    }
    Ok(key.default.map(|default| (default.to_owned(), Origin::Default)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(flags: &[(&'static str, String)], environment: &[(&str, &str)]) -> Resolved {
        let environment: BTreeMap<String, OsString> =
            environment.iter().map(|(name, text)| ((*name).to_owned(), OsString::from(text))).collect();
        Resolved::of(flags, |name| environment.get(name).cloned()).unwrap()
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_default() {
        let environment = [("CUTOVER_RATE", "7"), ("CUTOVER_BURST", "3")];
        let resolved = resolved(&[("rate", "5".to_owned())], &environment);
        assert_eq!(resolved.values["rate"], ("5".to_owned(), Origin::Flag));
        assert_eq!(resolved.values["burst"], ("3".to_owned(), Origin::Environment("CUTOVER_BURST".to_owned())));
        assert_eq!(resolved.values["attempts"], ("5".to_owned(), Origin::Default));
    }

    #[test]
    fn every_default_is_a_value() {
        let settings = super::super::Settings::of(&resolved(&[], &[])).unwrap();
        assert_eq!(settings.gate.per_second, Some(10.0));
        assert_eq!(settings.destination, None);
    }

    #[test]
    fn a_bad_value_is_an_error_that_says_where_it_stands() {
        let error = super::super::Settings::of(&resolved(&[], &[("CUTOVER_RATE", "fast")])).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("`rate` in the environment (CUTOVER_RATE): `fast` is not a rate"), "{text}");
    }
}
