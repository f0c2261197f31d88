//! Who wins: each setting's text and where it came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::file::{self, Authority, Found, Profile, SettingsFile};
use super::keys::{CONFIG, CREDENTIAL_KEYS, KEYS, Key, OURS, VARIABLES};
use super::{SettingsError, check, check_credential};
use crate::model::words::nearest;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Environment(String),
    /// A plan file, or the run as it was begun.
    Plan(String),
    Profile {
        name: String,
        path: PathBuf,
    },
    File(PathBuf),
    Default,
}

impl Origin {
    /// Who wins: the highest.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Origin::Flag => 5,
            Origin::Environment(_) => 4,
            Origin::Plan(_) => 3,
            Origin::Profile { .. } => 2,
            Origin::File(_) => 1,
            Origin::Default => 0,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("given as a flag"),
            Origin::Environment(name) => write!(f, "in the environment ({name})"),
            Origin::Plan(name) => write!(f, "in {name}"),
            Origin::Profile { name, path } => write!(f, "in the profile `{name}` of `{}`", path.display()),
            Origin::File(path) => write!(f, "in `{}`", path.display()),
            Origin::Default => f.write_str("by default"),
        }
    }
}

/// Names a settings file, and is no setting.
pub(crate) const CONFIG_FLAG: &str = "config";

/// What is empty is not set.
fn text_of_variable(
    key: &'static str,
    variable: &str,
    environment: &impl Fn(&str) -> Option<OsString>,
) -> Result<Option<String>, SettingsError> {
    let Some(text) = environment(variable).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.into_string().map(Some).map_err(|_| SettingsError::Value {
        key,
        origin: Origin::Environment(variable.to_owned()),
        problem: "is not UTF-8".to_owned(),
    })
}

/// The layers that settings stand in, as they were read. Nothing has won yet.
#[derive(Clone)]
pub(crate) struct Layers {
    flags: Vec<(&'static str, String)>,
    environment: BTreeMap<&'static str, (String, String)>,
    plan: BTreeMap<String, (String, Origin)>,
    files: Vec<SettingsFile>,
    /// What was passed over, and why.
    warnings: Vec<String>,
}

impl Layers {
    /// `flags` are those that were given.
    pub(crate) fn read(
        flags: Vec<(&'static str, String)>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, SettingsError> {
        let by_flag = flags.iter().find(|(key, _)| *key == CONFIG_FLAG).map(|(_, path)| path.clone());
        let named = match by_flag {
            Some(path) => Some(path),
            None => text_of_variable(CONFIG_FLAG, CONFIG, &environment)?,
        };
        let found = file::read_all(named.as_deref(), &environment)?;
        Self::of_files(flags, environment, found)
    }

    /// The same without any file, for whoever has to do with the files themselves.
    pub(crate) fn without_files(
        flags: Vec<(&'static str, String)>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, SettingsError> {
        Self::of_files(flags, environment, Found::default())
    }

    fn of_files(
        flags: Vec<(&'static str, String)>,
        environment: impl Fn(&str) -> Option<OsString>,
        Found { files, warnings }: Found,
    ) -> Result<Self, SettingsError> {
        let mut found = BTreeMap::new();
        for key in &KEYS {
            for variable in std::iter::once(key.variable()).chain(key.also_variable.map(str::to_owned)) {
                let Some(text) = text_of_variable(key.name, &variable, &environment)? else { continue };
                found.entry(key.name).or_insert((text, variable));
            }
        }
        let layers = Self { flags, environment: found, plan: BTreeMap::new(), files, warnings };
        layers.check_all()?;
        Ok(layers)
    }

    /// A bad value is an error wherever it stands, also where another wins over it today.
    fn check_all(&self) -> Result<(), SettingsError> {
        let bad = |key, origin, checked: Result<String, String>| match checked {
            Ok(_) => Ok(()),
            Err(problem) => Err(SettingsError::Value { key, origin, problem }),
        };
        for (key, (text, variable)) in &self.environment {
            bad(key, Origin::Environment(variable.clone()), check(key, text))?;
        }
        for file in &self.files {
            for key in KEYS.iter().map(|key| key.name) {
                if let Some(text) = file.values.get(key) {
                    bad(key, Origin::File(file.path.clone()), check(key, text))?;
                }
            }
            for (name, profile) in &file.profiles {
                let origin = || Origin::Profile { name: name.clone(), path: file.path.clone() };
                for key in KEYS.iter().map(|key| key.name) {
                    if let Some(text) = profile.values.get(key) {
                        bad(key, origin(), check(key, text))?;
                    }
                }
                for (key, _, _) in CREDENTIAL_KEYS {
                    if let Some(text) = profile.values.get(key) {
                        bad(key, origin(), check_credential(key, text))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Holds the names of all variables that are set against those that mean something: the settings', the secrets',
    /// and those that a profile names.
    pub(crate) fn check_variables(&self, names: impl IntoIterator<Item = OsString>) -> Result<(), SettingsError> {
        let settings: Vec<String> = KEYS.iter().map(Key::variable).collect();
        let of_profiles = self.variables_of_profiles();
        let known: Vec<&str> = settings.iter().map(String::as_str).chain(VARIABLES).chain(of_profiles).collect();
        let mut ours: Vec<String> = names
            .into_iter()
            .map(|name| name.to_string_lossy().into_owned())
            .filter(|name| name.starts_with(OURS) && !known.contains(&name.as_str()))
            .collect();
        ours.sort_unstable();
        match ours.into_iter().next() {
            Some(variable) => {
                // Every name begins alike, which would make all of them near.
                let names = known.iter().filter_map(|name| name.strip_prefix(OURS)).map(str::to_lowercase);
                let names: Vec<String> = names.collect();
                let meant = nearest(&variable[OURS.len()..], names.iter().map(String::as_str));
                let suggestion = meant.map(|name| format!("{OURS}{}", name.to_uppercase()));
                Err(SettingsError::UnknownVariable { variable, suggestion })
            }
            None => Ok(()),
        }
    }

    /// Names of the variables that profiles have their credentials in.
    fn variables_of_profiles(&self) -> impl Iterator<Item = &str> {
        let profiles = self.files.iter().flat_map(|file| file.profiles.values());
        let named = profiles.flat_map(|profile| &profile.values).filter(|(key, _)| key.ends_with("_env"));
        named.map(|(_, variable)| variable.as_str())
    }

    /// What was passed over, and why.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What the files of this folder set, a line for each.
    pub(crate) fn told_of_folder(&self) -> impl Iterator<Item = String> {
        self.files.iter().filter_map(SettingsFile::told)
    }

    /// The files that were read, and whose word each is; the one that wins first.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Path, Authority)> {
        self.files.iter().map(|file| (file.path.as_path(), file.authority))
    }

    /// One setting, and every other by default.
    pub(crate) fn of_one(key: &'static str, text: &str) -> Self {
        let flags = vec![(key, text.to_owned())];
        Self { flags, environment: BTreeMap::new(), plan: BTreeMap::new(), files: Vec::new(), warnings: Vec::new() }
    }

    /// The same with a flag that nobody gave.
    pub(crate) fn with_flag(&self, key: &'static str, text: &str) -> Self {
        let mut layers = self.clone();
        layers.flags.retain(|(known, _)| *known != key);
        layers.flags.push((key, text.to_owned()));
        layers
    }

    /// The same under what a plan says, or a run that was begun.
    pub(crate) fn under(&self, values: impl IntoIterator<Item = (String, String)>, named: &str) -> Self {
        let origin = Origin::Plan(named.to_owned());
        let plan = values.into_iter().map(|(key, text)| (key, (text, origin.clone()))).collect();
        Self { plan, ..self.clone() }
    }

    /// The names of all profiles.
    pub(crate) fn profiles(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.files.iter().flat_map(|file| file.profiles.keys()).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The first file that has a profile has all of it: half of one and half of another would be nobody's.
    fn profile(&self, name: &str) -> Option<(&Profile, &PathBuf)> {
        self.files.iter().find_map(|file| Some((file.profiles.get(name)?, &file.path)))
    }

    pub(super) fn unknown_profile(&self, name: &str) -> SettingsError {
        let known = self.profiles();
        let suggestion = nearest(name, known.iter().copied()).map(str::to_owned);
        let known = known.into_iter().map(str::to_owned).collect();
        SettingsError::UnknownProfile { name: name.to_owned(), suggestion, known }
    }

    /// Each setting as the highest layer has it that says anything: flag, environment, profile, files, default.
    pub(crate) fn resolve(&self, profile: Option<&str>) -> Result<Resolved, SettingsError> {
        let profile = match profile {
            Some(name) => Some((name, self.profile(name).ok_or_else(|| self.unknown_profile(name))?)),
            None => None,
        };
        let profile = profile.map(|(name, (profile, path))| OfProfile {
            name: name.to_owned(),
            origin: Origin::Profile { name: name.to_owned(), path: path.clone() },
            values: profile.values.clone(),
        });
        let mut values = BTreeMap::new();
        for key in &KEYS {
            let said =
                profile.as_ref().and_then(|said| Some((said.values.get(key.name)?.clone(), said.origin.clone())));
            if let Some(found) = self.above_profile(key).or(said).or_else(|| self.below_profile(key)) {
                values.insert(key.name, found);
            }
        }
        let config = self.flags.iter().find(|(key, _)| *key == CONFIG_FLAG).map(|(_, path)| path.clone());
        let secret_variables = self.variables_of_profiles().map(str::to_owned).collect();
        Ok(Resolved { values, profile, config, secret_variables })
    }

    fn above_profile(&self, key: &Key) -> Option<(String, Origin)> {
        if let Some((_, text)) = self.flags.iter().find(|(name, _)| *name == key.name) {
            return Some((text.clone(), Origin::Flag));
        }
        if let Some((text, variable)) = self.environment.get(key.name) {
            return Some((text.clone(), Origin::Environment(variable.clone())));
        }
        self.plan.get(key.name).cloned()
    }

    fn below_profile(&self, key: &Key) -> Option<(String, Origin)> {
        for file in &self.files {
            if let Some(text) = file.values.get(key.name) {
                return Some((text.clone(), Origin::File(file.path.clone())));
            }
        }
        key.default.map(|default| (default.to_owned(), Origin::Default))
    }
}

pub(crate) struct Resolved {
    values: BTreeMap<&'static str, (String, Origin)>,
    profile: Option<OfProfile>,
    /// The settings file that was named as a flag.
    config: Option<String>,
    secret_variables: Vec<String>,
}

/// What a profile says, whether or not it won.
struct OfProfile {
    name: String,
    origin: Origin,
    values: BTreeMap<String, String>,
}

impl Resolved {
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

    /// Names of the variables that all profiles have their credentials in.
    pub(super) fn secret_variables(&self) -> &[String] {
        &self.secret_variables
    }

    pub(super) fn profile(&self) -> Option<&str> {
        self.profile.as_ref().map(|profile| profile.name.as_str())
    }

    /// What the profile itself says, if there is one and it says anything.
    pub(super) fn of_profile<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        let Some(profile) = &self.profile else { return Ok(None) };
        let Some(text) = profile.values.get(key) else { return Ok(None) };
        let origin = || profile.origin.clone();
        parse(text).map(Some).map_err(|problem| SettingsError::Value { key, origin: origin(), problem })
    }

    pub(super) fn origin(&self, key: &str) -> Option<&Origin> {
        self.values.get(key).map(|(_, origin)| origin)
    }

    /// Every setting that has a value, in the order of their list: name, text and origin.
    fn all(&self) -> impl Iterator<Item = (&'static Key, &str, &Origin)> {
        KEYS.iter().filter_map(|key| {
            let (text, origin) = self.values.get(key.name)?;
            Some((key, text.as_str(), origin))
        })
    }

    /// Every setting there is, with its value and where that comes from, if it has one.
    pub(crate) fn every(&self) -> impl Iterator<Item = (&'static str, Option<(&str, String)>)> {
        KEYS.iter().map(|key| {
            let value = self.values.get(key.name);
            (key.name, value.map(|(text, origin)| (text.as_str(), origin.to_string())))
        })
    }

    /// What was given to this launch and would be lost with it: flags, and of the environment what is read nowhere else
    /// than where the next launch is typed.
    pub(super) fn by_hand(&self) -> BTreeMap<String, String> {
        let by_hand = |key: &Key, origin: &Origin| match origin {
            Origin::Flag => key.is_lost_with_its_launch(),
            Origin::Environment(_) => key.of_launch,
            Origin::Plan(_) | Origin::Profile { .. } | Origin::File(_) | Origin::Default => false,
        };
        let all = self.all().filter(|(key, _, origin)| by_hand(key, origin));
        let given = all.map(|(key, text, _)| (key.name.to_owned(), text.to_owned()));
        given.chain(self.config.clone().map(|path| (CONFIG_FLAG.to_owned(), path))).collect()
    }

    /// What the journal keeps of a run's settings. None of them is a secret: no setting is.
    pub(super) fn texts(&self) -> BTreeMap<&'static str, String> {
        self.all().filter(|(key, _, _)| key.of_run).map(|(key, text, _)| (key.name, text.to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(flags: &[(&'static str, String)], environment: &[(&str, &str)]) -> Resolved {
        let environment: BTreeMap<String, OsString> =
            environment.iter().map(|(name, text)| ((*name).to_owned(), OsString::from(text))).collect();
        Layers::read(flags.to_vec(), |name| environment.get(name).cloned()).unwrap().resolve(None).unwrap()
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_default() {
        let environment = [("CUTOVER_RATE", "7"), ("CUTOVER_BURST", "3")];
        let resolved = resolved(&[("rate", "5".to_owned())], &environment);
        assert_eq!(resolved.values["rate"], ("5".to_owned(), Origin::Flag));
        assert_eq!(resolved.values["burst"], ("3".to_owned(), Origin::Environment("CUTOVER_BURST".to_owned())));
        assert_eq!(resolved.values["attempts"], ("5".to_owned(), Origin::Default));
    }

    fn unknown(names: &[&str]) -> Option<String> {
        let layers = Layers::of_one("rate", "5");
        layers.check_variables(names.iter().map(OsString::from)).err().map(|error| error.to_string())
    }

    #[test]
    fn a_variable_of_ours_that_means_nothing_is_an_error_with_a_suggestion() {
        for key in &KEYS {
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

    #[test]
    fn an_empty_variable_is_not_set() {
        let resolved = resolved(&[], &[("CUTOVER_RATE", ""), ("CUTOVER_REGION", ""), ("HW_REGION_NAME", "cn-north-4")]);
        assert_eq!(resolved.values["rate"], ("10".to_owned(), Origin::Default));
        assert_eq!(resolved.values["region"].1, Origin::Environment("HW_REGION_NAME".to_owned()));
    }

    #[test]
    fn a_bad_value_is_an_error_also_where_another_wins() {
        let read = |flags: &[(&'static str, String)]| {
            Layers::read(flags.to_vec(), |name| (name == "CUTOVER_RATE").then(|| OsString::from("fast")))
        };
        let Err(error) = read(&[("rate", "5".to_owned())]) else { panic!("it was taken") };
        assert!(error.to_string().starts_with("`rate` in the environment (CUTOVER_RATE): `fast` is not a rate"));
    }

    #[test]
    fn every_default_is_a_value() {
        let settings = super::super::Settings::of(&resolved(&[], &[])).unwrap();
        assert_eq!(settings.gate.per_second, Some(10.0));
        assert_eq!(settings.destination, None);
    }

    #[test]
    fn a_bad_value_is_an_error_that_says_where_it_stands() {
        let error = super::super::Settings::of(&resolved(&[("rate", "fast".to_owned())], &[])).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("`rate` given as a flag: `fast` is not a rate"), "{text}");
    }
}
