//! Settings after precedence: the text that holds for each, and its origin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::SettingsError;
use super::key::{Key, Recording, Setting};
use super::keys::{DEADLINE, KEYS};
use super::limits::Loosened;
use super::names::CONFIG_FLAG;
use super::origin::{Held, Origin};
use crate::child::environment::Withheld;
use crate::waves::window::Deadline;

#[derive(Default)]
pub(crate) struct Resolved {
    pub(super) values: BTreeMap<&'static str, Held>,
    /// Values of flags and variables, also those that did not win.
    pub(super) launch: BTreeMap<&'static str, Held>,
    /// Strictest values of all layers but the plan, which no stage of the plan may pass.
    pub(super) caps: BTreeMap<&'static str, Held>,
    /// Deadlines beside the one that is the setting's value.
    pub(super) other_deadlines: Vec<Held>,
    pub(super) loosened: Vec<Loosened>,
    pub(super) profile: Option<OfProfile>,
    /// The settings file that a flag or a variable names.
    pub(super) config: Option<String>,
    /// Variables that no child gets.
    pub(super) withheld: Withheld,
}

/// Values of the profile, also those that did not win.
pub(super) struct OfProfile {
    pub(super) name: String,
    pub(super) origin: Origin,
    pub(super) values: BTreeMap<String, String>,
}

impl OfProfile {
    pub(super) fn held(&self, key: &str) -> Option<Held> {
        Some((self.values.get(key)?.clone(), self.origin.clone()))
    }
}

fn read<T>(setting: &'static Setting<T>, held: Option<&Held>) -> Result<Option<T>, SettingsError> {
    let Some((text, origin)) = held else { return Ok(None) };
    let bad = |problem| SettingsError::Value { key: setting.key.name, origin: origin.clone(), problem };
    (setting.read)(text).map(Some).map_err(bad)
}

impl Resolved {
    pub(super) fn value<T>(&self, setting: &'static Setting<T>) -> Result<T, SettingsError> {
        Ok(self.optional(setting)?.expect("a setting that is not optional has a default"))
    }

    pub(super) fn optional<T>(&self, setting: &'static Setting<T>) -> Result<Option<T>, SettingsError> {
        read(setting, self.values.get(setting.key.name))
    }

    /// A file that a setting names.
    pub(super) fn file(&self, setting: &'static Setting<PathBuf>) -> Result<Option<PathBuf>, SettingsError> {
        let folder = self.origin(setting.key.name).map_or(Path::new(""), Origin::folder);
        Ok(self.optional(setting)?.map(|path| folder.join(path)))
    }

    /// Reads the deadlines beside the one that is the setting's value.
    pub(super) fn other_deadlines(&self) -> Result<Vec<Deadline>, SettingsError> {
        let all = self.other_deadlines.iter().map(|held| Ok(read(&DEADLINE, Some(held))?.flatten()));
        all.filter_map(Result::transpose).collect()
    }

    /// Folder of the settings file that has the profile.
    pub(super) fn folder_of_profile(&self) -> &Path {
        self.profile.as_ref().map_or(Path::new(""), |profile| profile.origin.folder())
    }

    pub(super) fn profile(&self) -> Option<&str> {
        self.profile.as_ref().map(|profile| profile.name.as_str())
    }

    /// Reads the profile's own value; `None` without a profile, or if it has none.
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

    /// Value given to this launch, also if another won.
    pub(super) fn of_launch<T>(&self, setting: &'static Setting<T>) -> Result<Option<T>, SettingsError> {
        read(setting, self.launch.get(setting.key.name))
    }

    /// Strictest value of all layers but the plan; `None` if none of them has one.
    pub(super) fn cap<T>(&self, setting: &'static Setting<T>) -> Result<Option<T>, SettingsError> {
        read(setting, self.caps.get(setting.key.name))
    }

    /// Values of the settings that a plan may set.
    pub(super) fn held(&self) -> BTreeMap<&'static str, Held> {
        let of_plan = KEYS.iter().filter(|key| key.of_plan.is_some());
        of_plan.filter_map(|key| Some((key.name, self.values.get(key.name)?.clone()))).collect()
    }

    pub(super) fn origin(&self, key: &str) -> Option<&Origin> {
        self.values.get(key).map(|(_, origin)| origin)
    }

    /// Every setting that has a value, in the order of their list: name, text and origin.
    fn all(&self) -> impl Iterator<Item = (&'static Key, &str, &Origin)> {
        KEYS.iter().filter_map(|&key| {
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

    /// Values that a command to type next has to repeat as flags: those of flags and variables, unless they are settled with the
    /// run. Whoever types it has not the environment of a unit, a crontab or a container. The paths of a service are absolute,
    /// because nobody works in its folder.
    pub(super) fn by_hand(&self) -> BTreeMap<String, String> {
        let by_hand = |key: &Key, origin: &Origin| match origin {
            Origin::Flag | Origin::Environment(_) => key.is_repeated_as_flag(),
            Origin::Plan(_)
            | Origin::Begun(_)
            | Origin::Profile { .. }
            | Origin::File(_)
            | Origin::StateDirectory
            | Origin::Default => false,
        };
        let all = self.all().filter(|(key, _, origin)| by_hand(key, origin));
        let given = all.map(|(key, text, _)| {
            let text = if key.is_path() { self.path_to_type(text) } else { text.to_owned() };
            (key.name.to_owned(), text)
        });
        let config = self.config.as_ref().map(|path| (CONFIG_FLAG.to_owned(), self.path_to_type(path)));
        given.chain(config).collect()
    }

    fn path_to_type(&self, path: &str) -> String {
        let is_of_service = self.origin("journal") == Some(&Origin::StateDirectory);
        let absolute = std::path::absolute(path).ok().filter(|_| is_of_service);
        absolute.map_or_else(|| path.to_owned(), |absolute| absolute.display().to_string())
    }

    /// Texts of the settings that the journal records with the run. None is a secret: no setting is.
    pub(super) fn texts(&self) -> BTreeMap<&'static str, String> {
        self.all()
            .filter(|(key, _, _)| key.recording == Recording::WithRun)
            .map(|(key, text, _)| (key.name, text.to_owned()))
            .collect()
    }
}
