//! Checks of every layer's values: a bad one is an error also where another layer wins over it.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::error::SettingsError;
use super::file::{Profile, SettingsFile};
use super::key::OURS;
use super::keys::KEYS;
use super::names::{CREDENTIAL_KEYS, VARIABLES};
use super::origin::Origin;
use super::parse::check_credential;
use crate::model::words::nearest;

/// Checks the values of variables, each by its setting.
pub(super) fn environment(values: &BTreeMap<&'static str, (String, String)>) -> Result<(), SettingsError> {
    // In the order of their names.
    values.iter().try_for_each(|(name, (text, variable))| {
        let key = KEYS.iter().find(|key| key.name == *name).expect("variables of settings alone are read");
        value(name, || Origin::Environment(variable.clone()), (key.check)(text))
    })
}

/// Checks the values that a file has, those of its profiles included.
pub(super) fn file(file: &SettingsFile) -> Result<(), SettingsError> {
    settings(&file.values, || Origin::File(file.path.clone()))?;
    file.profiles.iter().try_for_each(|(name, Profile { values })| {
        let origin = || Origin::Profile { name: name.clone(), path: file.path.clone() };
        settings(values, origin)?;
        let mut credentials = CREDENTIAL_KEYS.iter().filter_map(|(key, _, _)| Some((key, values.get(*key)?)));
        credentials.try_for_each(|(key, text)| value(key, origin, check_credential(key, text)))
    })
}

fn settings(values: &BTreeMap<String, String>, origin: impl Fn() -> Origin) -> Result<(), SettingsError> {
    let mut all = KEYS.iter().filter_map(|key| Some((key, values.get(key.name)?)));
    all.try_for_each(|(key, text)| value(key.name, &origin, (key.check)(text)))
}

fn value(key: &'static str, origin: impl FnOnce() -> Origin, checked: Result<(), String>) -> Result<(), SettingsError> {
    checked.map_err(|problem| SettingsError::Value { key, origin: origin(), problem })
}

/// Refuses a variable whose name begins with [`OURS`], unless it is a setting's, one of [`VARIABLES`], or named by a profile.
pub(super) fn variables(names: impl IntoIterator<Item = OsString>, of_profiles: &[&str]) -> Result<(), SettingsError> {
    let settings: Vec<String> = KEYS.iter().map(|key| key.variable()).collect();
    let known: Vec<&str> =
        settings.iter().map(String::as_str).chain(VARIABLES).chain(of_profiles.iter().copied()).collect();
    let mut ours: Vec<String> = names
        .into_iter()
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with(OURS) && !known.contains(&name.as_str()))
        .collect();
    ours.sort_unstable();
    match ours.into_iter().next() {
        Some(variable) => {
            // Compared without the common prefix, which would make every name near.
            let names = known.iter().filter_map(|name| name.strip_prefix(OURS)).map(str::to_lowercase);
            let names: Vec<String> = names.collect();
            let meant = nearest(&variable[OURS.len()..], names.iter().map(String::as_str));
            let suggestion = meant.map(|name| format!("{OURS}{}", name.to_uppercase()));
            Err(SettingsError::UnknownVariable { variable, suggestion })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(names: &[&str]) -> Option<String> {
        variables(names.iter().map(OsString::from), &[]).err().map(|error| error.to_string())
    }

    #[test]
    fn a_variable_of_ours_that_means_nothing_is_an_error_with_a_suggestion() {
        for key in KEYS {
            assert_eq!(unknown(&[&key.variable()]), None);
        }
        assert_eq!(unknown(&VARIABLES), None);
        assert_eq!(unknown(&["PATH", "CUTOVERRATE", "HW_REGION_NAME", "cutover_rate"]), None);
        let near = |name: &str| unknown(&[name]).unwrap();
        assert_eq!(near("CUTOVER_RAET"), "CUTOVER_RAET is set, and is no setting (did you mean `CUTOVER_RATE`?)");
        assert!(near("CUTOVER_AUTHTOKEN").ends_with("(did you mean `CUTOVER_AUTH_TOKEN`?)"));
        assert!(near("CUTOVER_rate").ends_with("(did you mean `CUTOVER_RATE`?)"));
        assert_eq!(near("CUTOVER_ALLOW_IRREVERSIBLE"), "CUTOVER_ALLOW_IRREVERSIBLE is set, and is no setting");
        assert_eq!(near("CUTOVER_"), "CUTOVER_ is set, and is no setting");
    }
}
