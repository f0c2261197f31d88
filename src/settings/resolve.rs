//! Who wins: each setting's text and where it came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::SettingsError;
use super::file::{self, SettingsFile};
use super::keys::{KEYS, Key};

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
