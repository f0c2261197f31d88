//! Layers that settings stand in: flags, environment, plan, profiles and files, as they were read. Nothing has won yet.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::checks;
use super::directories::{STATE_DIRECTORY, first_of_service};
use super::entry::Authority;
use super::error::SettingsError;
use super::file::{self, FoundFiles, Profile, SettingsFile};
use super::hooks::HookSetting;
use super::key::Key;
use super::keys::{JOURNAL, KEYS};
use super::names::{CONFIG, CONFIG_FLAG};
use super::origin::{Held, Origin};
use crate::child::environment::Withheld;
use crate::files::home::foreign_home;
use crate::model::words::nearest;
use crate::notices::settings::ReceiverSettings;
use crate::transport::proxy;
use crate::waves::hooks::Hook;

/// Reads a variable; an empty one is not set.
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

/// Variables of all settings, the program's own before the one that the vendor's users know.
fn variables() -> impl Iterator<Item = (&'static Key, String)> {
    let of = |key: &'static Key| std::iter::once(key.variable()).chain(key.also_variable.map(str::to_owned));
    KEYS.iter().flat_map(move |&key| of(key).map(move |variable| (key, variable)))
}

/// Returns the path of the journal in the state directory of a service.
fn journal_of_service(environment: &impl Fn(&str) -> Option<OsString>) -> Result<Option<String>, SettingsError> {
    let Some(directories) = environment(STATE_DIRECTORY).filter(|text| !text.is_empty()) else { return Ok(None) };
    let name = JOURNAL.key.default.expect("the journal has a default");
    let path = first_of_service(&directories).map(|directory| directory.join(name).into_os_string());
    path.and_then(|path| path.into_string().ok()).map(Some).ok_or_else(|| SettingsError::Value {
        key: JOURNAL.key.name,
        origin: Origin::StateDirectory,
        problem: "is not an absolute path in UTF-8".to_owned(),
    })
}

/// Returns the settings file that a flag names, else a variable; `None` if neither does.
fn named_file(
    flags: &[(&'static str, String)],
    environment: &impl Fn(&str) -> Option<OsString>,
) -> Result<Option<String>, SettingsError> {
    let by_flag = flags.iter().find(|(key, _)| *key == CONFIG_FLAG).map(|(_, path)| path.clone());
    by_flag.map_or_else(|| text_of_variable(CONFIG_FLAG, CONFIG, environment), |path| Ok(Some(path)))
}

/// Finds and reads the settings files, the named one first.
fn found_files(
    flags: &[(&'static str, String)],
    environment: &impl Fn(&str) -> Option<OsString>,
) -> Result<FoundFiles, SettingsError> {
    file::read_all(named_file(flags, environment)?.as_deref(), environment)
}

/// The layers that settings stand in, as they were read. Nothing has won yet.
#[derive(Clone)]
pub(crate) struct Layers {
    pub(super) flags: Vec<(&'static str, String)>,
    pub(super) environment: BTreeMap<&'static str, (String, String)>,
    pub(super) plan: BTreeMap<String, Held>,
    pub(super) files: Vec<SettingsFile>,
    /// Settings file that a flag or a variable names.
    pub(super) named_file: Option<String>,
    /// Path of the journal in the state directory of a service; `None` where systemd made none.
    pub(super) journal_of_service: Option<String>,
    /// Variables with a proxy whose address has a user or a password in it.
    pub(super) proxies_with_secrets: Vec<&'static str>,
    /// Warnings about files that were passed over, with the reason.
    pub(super) warnings: Vec<String>,
}

impl Layers {
    /// Reads all layers but the plan; `flags` are those that were given.
    pub(crate) fn read(
        flags: Vec<(&'static str, String)>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, SettingsError> {
        let found = found_files(&flags, &environment)?;
        Self::with_files(flags, environment, found)
    }

    /// Reads what can be used of the layers, to tell of the end of a process that cannot use them all. Values that are bad, or that say
    /// how a run is carried out, are left out; so are all files where one cannot be read.
    pub(crate) fn read_usable(
        flags: Vec<(&'static str, String)>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let FoundFiles { mut files, warnings } = found_files(&flags, &environment).unwrap_or_default();
        let named_file = named_file(&flags, &environment).ok().flatten();
        let is_usable = |name: &str, text: &str| {
            KEYS.iter().any(|key| key.name == name && key.of_plan.is_none() && (key.check)(text).is_ok())
        };
        for file in &mut files {
            file.values.retain(|name, text| is_usable(name, text));
        }
        let mut of_environment = BTreeMap::new();
        for (key, variable) in variables() {
            let text = text_of_variable(key.name, &variable, &environment).ok().flatten();
            if let Some(text) = text.filter(|text| is_usable(key.name, text)) {
                of_environment.entry(key.name).or_insert((text, variable));
            }
        }
        Self {
            flags: flags.into_iter().filter(|(name, text)| is_usable(name, text)).collect(),
            environment: of_environment,
            plan: BTreeMap::new(),
            journal_of_service: journal_of_service(&environment).ok().flatten(),
            named_file,
            proxies_with_secrets: proxy::variables_with_secrets(&environment),
            files,
            warnings,
        }
    }

    /// Reads the layers without any settings file, for a verb that is about such files.
    pub(crate) fn without_files(
        flags: Vec<(&'static str, String)>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, SettingsError> {
        Self::with_files(flags, environment, FoundFiles::default())
    }

    fn with_files(
        flags: Vec<(&'static str, String)>,
        environment: impl Fn(&str) -> Option<OsString>,
        FoundFiles { files, mut warnings }: FoundFiles,
    ) -> Result<Self, SettingsError> {
        let foreign = foreign_home(&environment);
        warnings.extend(foreign.map(|home| format!("{home}: neither credentials nor state there are used")));
        let mut found = BTreeMap::new();
        for (key, variable) in variables() {
            let Some(text) = text_of_variable(key.name, &variable, &environment)? else { continue };
            found.entry(key.name).or_insert((text, variable));
        }
        checks::environment(&found)?;
        files.iter().try_for_each(checks::file)?;
        let named_file = named_file(&flags, &environment)?;
        Ok(Self {
            flags,
            environment: found,
            plan: BTreeMap::new(),
            files,
            named_file,
            journal_of_service: journal_of_service(&environment)?,
            proxies_with_secrets: proxy::variables_with_secrets(&environment),
            warnings,
        })
    }

    /// Refuses a variable whose name begins as the program's own do, unless it is a setting's, a known other one, or named by
    /// a profile.
    pub(crate) fn check_variables(&self, names: impl IntoIterator<Item = OsString>) -> Result<(), SettingsError> {
        checks::variables(names, &self.secret_variables().collect::<Vec<_>>())
    }

    /// Names of the variables that profiles have their credentials in, and receivers of notices their secrets.
    fn secret_variables(&self) -> impl Iterator<Item = &str> {
        let profiles = self.files.iter().flat_map(|file| file.profiles.values());
        let named = profiles.flat_map(|profile| &profile.values).filter(|(key, _)| key.ends_with("_env"));
        let of_receivers = self.files.iter().flat_map(|file| file.receivers.values());
        named.map(|(_, variable)| variable.as_str()).chain(of_receivers.flat_map(ReceiverSettings::variables))
    }

    /// Variables that no child gets: those that settings name for secrets, and proxies with a password, beside those with fixed names.
    pub(super) fn withheld(&self) -> Withheld {
        let named = self.secret_variables().chain(self.proxies_with_secrets.iter().copied());
        Withheld::new(named.map(str::to_owned).collect())
    }

    /// Receivers of notices, in the order of their names; of two with one name that of the file that wins.
    pub(crate) fn receivers(&self) -> impl Iterator<Item = (&ReceiverSettings, &Path)> {
        let mut all: BTreeMap<&str, (&ReceiverSettings, &Path)> = BTreeMap::new();
        for (file, receiver) in self.files.iter().flat_map(|file| file.receivers.values().map(move |of| (file, of))) {
            all.entry(&receiver.name).or_insert((receiver, &file.path));
        }
        all.into_values()
    }

    /// Hooks of the operator, each from the file that wins.
    pub(crate) fn hooks(&self) -> BTreeMap<Hook, HookSetting> {
        let mut hooks = BTreeMap::new();
        for (hook, setting) in self.files.iter().flat_map(|file| &file.hooks) {
            hooks.entry(*hook).or_insert_with(|| setting.clone());
        }
        hooks
    }

    /// Warnings about files that were passed over, with the reason.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Lines about what the files of this folder set, one for each file.
    pub(crate) fn told_of_folder(&self) -> impl Iterator<Item = String> {
        self.files.iter().filter_map(SettingsFile::told)
    }

    /// Files that were read, the one that wins first, each with its authority.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Path, Authority)> {
        self.files.iter().map(|file| (file.path.as_path(), file.authority))
    }

    /// Copies the layers, with a flag as if it had been given.
    pub(crate) fn with_flag(&self, key: &'static str, text: &str) -> Self {
        let mut layers = self.clone();
        layers.flags.retain(|(known, _)| *known != key);
        layers.flags.push((key, text.to_owned()));
        layers
    }

    /// Copies the layers, with the values of a plan, or of a run that was begun.
    pub(crate) fn under(&self, values: impl IntoIterator<Item = (String, String)>, origin: &Origin) -> Self {
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

    /// Finds a profile in the first file that has it; two files' values are not mixed, which could send one account's
    /// credentials to another's endpoint.
    pub(super) fn profile(&self, name: &str) -> Option<(&Profile, &PathBuf)> {
        self.files.iter().find_map(|file| Some((file.profiles.get(name)?, &file.path)))
    }

    pub(super) fn unknown_profile(&self, name: &str) -> SettingsError {
        let known = self.profiles();
        let suggestion = nearest(name, known.iter().copied()).map(str::to_owned);
        let known = known.into_iter().map(str::to_owned).collect();
        SettingsError::UnknownProfile { name: name.to_owned(), suggestion, known }
    }

    pub(crate) fn is_by_flag(&self, key: &str) -> bool {
        self.of_flag(key).is_some()
    }

    pub(super) fn of_flag(&self, key: &str) -> Option<Held> {
        let (_, text) = self.flags.iter().find(|(name, _)| *name == key)?;
        Some((text.clone(), Origin::Flag))
    }

    pub(super) fn of_environment(&self, key: &str) -> Option<Held> {
        let (text, variable) = self.environment.get(key)?;
        Some((text.clone(), Origin::Environment(variable.clone())))
    }

    pub(super) fn of_files(&self, key: &str, is_theirs: impl Fn(Authority) -> bool) -> Option<Held> {
        let mut files = self.files.iter().filter(|file| is_theirs(file.authority));
        files.find_map(|file| Some((file.values.get(key)?.clone(), Origin::File(file.path.clone()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_value_is_an_error_also_where_another_wins() {
        let read = |flags: &[(&'static str, String)]| {
            Layers::read(flags.to_vec(), |name| (name == "CUTOVER_RATE").then(|| OsString::from("fast")))
        };
        let Err(error) = read(&[("rate", "5".to_owned())]) else { panic!("it was taken") };
        assert!(error.to_string().starts_with("`rate` in the environment (CUTOVER_RATE): `fast` is not a rate"));
    }
}
