//! Who wins: each setting's text and where it came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::file::{self, Authority, Found, Profile, SettingsFile};
use super::keys::{CONFIG, CREDENTIAL_KEYS, KEYS, Key, OURS, Reach, VARIABLES};
use super::strict::{Pick, Stricter, Unlike};
use super::{SettingsError, check, check_credential};
use crate::model::words::nearest;
use crate::waves::window::Deadline;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Environment(String),
    /// A plan file.
    Plan(String),
    /// The run as it was begun, after all that had a say then.
    Begun(String),
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
            Origin::Plan(_) | Origin::Begun(_) => 3,
            Origin::Profile { .. } => 2,
            Origin::File(_) => 1,
            Origin::Default => 0,
        }
    }

    /// Folder in which a relative path is looked for: the settings file's, whoever reads it from wherever; else the current one.
    fn folder(&self) -> &Path {
        match self {
            Origin::Profile { path, .. } | Origin::File(path) => path.parent().unwrap_or(Path::new("")),
            Origin::Flag | Origin::Environment(_) | Origin::Plan(_) | Origin::Begun(_) | Origin::Default => {
                Path::new("")
            }
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("given as a flag"),
            Origin::Environment(name) => write!(f, "in the environment ({name})"),
            Origin::Plan(name) | Origin::Begun(name) => write!(f, "in {name}"),
            Origin::Profile { name, path } => write!(f, "in the profile `{name}` of `{}`", path.display()),
            Origin::File(path) => write!(f, "in `{}`", path.display()),
            Origin::Default => f.write_str("by default"),
        }
    }
}

/// Names a settings file, and is no setting.
pub(crate) const CONFIG_FLAG: &str = "config";

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

/// The layers that settings stand in, as they were read. Nothing has won yet.
#[derive(Clone)]
pub(crate) struct Layers {
    flags: Vec<(&'static str, String)>,
    environment: BTreeMap<&'static str, (String, String)>,
    plan: BTreeMap<String, Held>,
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
        Self::with_files(flags, environment, found)
    }

    /// The same without any file, for whoever has to do with the files themselves.
    pub(crate) fn without_files(
        flags: Vec<(&'static str, String)>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, SettingsError> {
        Self::with_files(flags, environment, Found::default())
    }

    fn with_files(
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

    /// Lines about what the files of this folder set, one for each file.
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

    /// Each setting as the highest layer has it that says anything: flag, environment, profile, files, default. Where a plan
    /// may have a say, the stricter of all holds, and only a flag goes before that.
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
        let config = self.flags.iter().find(|(key, _)| *key == CONFIG_FLAG).map(|(_, path)| path.clone());
        let secret_variables = self.variables_of_profiles().map(str::to_owned).collect();
        let mut resolved = Resolved { profile, config, secret_variables, ..Resolved::default() };
        for key in &KEYS {
            if let Some(given) = self.of_flag(key.name).or_else(|| self.of_environment(key.name)) {
                resolved.launch.insert(key.name, given);
            }
            match key.of_plan {
                None => {
                    let found = resolved.launch.get(key.name).cloned();
                    let said = resolved.profile.as_ref().and_then(|said| said.held(key.name));
                    if let Some(found) = found.or(said).or_else(|| self.below_profile(key)) {
                        resolved.values.insert(key.name, found);
                    }
                }
                // These three are about one clock.
                Some(Stricter::Hours | Stricter::Zone | Stricter::Earlier) => (),
                Some(
                    how @ (Stricter::LowerRate
                    | Stricter::LowerNumber
                    | Stricter::LowerShare
                    | Stricter::Shorter
                    | Stricter::Longer
                    | Stricter::On),
                ) => self.resolve_strictly(key, how, &mut resolved)?,
            }
        }
        self.resolve_hours(&mut resolved)?;
        Ok(resolved)
    }

    fn resolve_strictly(&self, key: &'static Key, how: Stricter, resolved: &mut Resolved) -> Result<(), SettingsError> {
        let name = key.name;
        let flag = self.of_flag(name);
        let default = key.default.map(|text| (text.to_owned(), Origin::Default));
        let own = self.of_environment(name).or_else(|| self.of_files(name, |authority| authority != Authority::Folder));
        // A run was held against the default when it was begun, and keeps what it got.
        let is_begun = key.kept && matches!(self.plan.get(name), Some((_, Origin::Begun(_))));
        let floor = default.clone().filter(|_| key.holds_by_default && own.is_none() && !is_begun);
        let said = resolved.profile.as_ref().and_then(|said| said.held(name));
        let folder = self.of_files(name, |authority| authority == Authority::Folder);
        let strictest = |all: [Option<Held>; 4]| {
            all.into_iter()
                .chain([floor.clone()])
                .flatten()
                .map(Ok)
                .reduce(|held, other| stricter_of(name, how, held?, other?))
        };
        if let Some(flag) = flag {
            // An account's own pace is a cap for that, too.
            let said = said.filter(|_| how != Stricter::LowerRate);
            let held = strictest([own, said, self.plan.get(name).cloned(), folder]).transpose();
            if let Ok(Some((held, origin))) = held
                && origin != Origin::Default
                && how.is_loosened(&flag.0, &held)
            {
                resolved.loosened.push(Loosened { key: name, flag: flag.0.clone(), held, origin });
            }
            resolved.caps.insert(name, flag.clone());
            resolved.values.insert(name, flag);
            return Ok(());
        }
        if let Some(cap) = strictest([own.clone(), said.clone(), None, folder.clone()]).transpose()? {
            resolved.caps.insert(name, cap);
        }
        let held = strictest([own, said, self.plan.get(name).cloned(), folder]).transpose()?;
        if let Some(held) = held.or(default) {
            resolved.values.insert(name, held);
        }
        Ok(())
    }

    /// Hours and deadline are read off a clock: they are those of whoever named it.
    fn resolve_hours(&self, resolved: &mut Resolved) -> Result<(), SettingsError> {
        let own = |key| self.of_environment(key).or_else(|| self.of_files(key, |whose| whose != Authority::Folder));
        let plan = |key: &str| self.plan.get(key).cloned();
        let folder = |key: &str| self.of_files(key, |authority| authority == Authority::Folder);
        let all = [Hand::new(own), Hand::new(plan), Hand::new(folder)];
        let flags = Hand::new(|key| self.of_flag(key));
        let parts: [Part; 3] = [
            (WINDOW, Stricter::Hours, |hand| hand.hours.as_ref()),
            (TIMEZONE, Stricter::Zone, |hand| hand.zone.as_ref()),
            (DEADLINE, Stricter::Earlier, |hand| hand.deadline.as_ref()),
        ];
        for (key, how, part) in parts {
            let Some((flag, _)) = part(&flags) else { continue };
            let held = all.iter().find_map(|hand| part(hand).filter(|(held, _)| how.is_loosened(flag, held)));
            if let Some((held, origin)) = held.cloned() {
                resolved.loosened.push(Loosened { key, flag: flag.clone(), held, origin });
            }
        }
        let under_flags = |hand: Hand| Hand {
            hours: hand.hours.filter(|_| flags.hours.is_none()),
            zone: hand.zone.filter(|_| flags.zone.is_none()),
            deadline: hand.deadline.filter(|_| flags.deadline.is_none()),
        };
        let [own, plan, folder] = all.map(under_flags);
        let deadlines = [&own, &plan, &folder].into_iter().filter_map(|hand| hand.deadline.clone());
        let mut deadlines = deadlines.collect::<Vec<_>>().into_iter();
        let held = own.and(plan)?.and(folder)?;
        let held = [
            (WINDOW, flags.hours.or(held.hours)),
            (TIMEZONE, flags.zone.or(held.zone)),
            (DEADLINE, flags.deadline.or_else(|| deadlines.next())),
        ];
        resolved.values.extend(held.into_iter().filter_map(|(key, held)| Some((key, held?))));
        resolved.other_deadlines = deadlines.collect();
        Ok(())
    }

    fn of_flag(&self, key: &str) -> Option<Held> {
        let (_, text) = self.flags.iter().find(|(name, _)| *name == key)?;
        Some((text.clone(), Origin::Flag))
    }

    fn of_environment(&self, key: &str) -> Option<Held> {
        let (text, variable) = self.environment.get(key)?;
        Some((text.clone(), Origin::Environment(variable.clone())))
    }

    fn of_files(&self, key: &str, is_theirs: impl Fn(Authority) -> bool) -> Option<Held> {
        let mut files = self.files.iter().filter(|file| is_theirs(file.authority));
        files.find_map(|file| Some((file.values.get(key)?.clone(), Origin::File(file.path.clone()))))
    }

    fn below_profile(&self, key: &Key) -> Option<Held> {
        let default = || key.default.map(|default| (default.to_owned(), Origin::Default));
        // In looks what is nearest wins; of anything else nobody's word goes before the user's.
        let is_nearest = key.reach == Reach::Looks;
        let first = self.of_files(key.name, |authority| is_nearest || authority != Authority::Folder);
        let folder = || self.of_files(key.name, |authority| authority == Authority::Folder);
        first.or_else(folder).or_else(default)
    }
}

/// A text, and whose word it is.
type Held = (String, Origin);

/// Limit that a flag makes wider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loosened {
    pub(crate) key: &'static str,
    pub(crate) flag: String,
    pub(crate) held: String,
    pub(crate) origin: Origin,
}

const WINDOW: &str = "window";
const TIMEZONE: &str = "timezone";
const DEADLINE: &str = "deadline";

fn stricter_of(key: &'static str, how: Stricter, held: Held, other: Held) -> Result<Held, SettingsError> {
    match how.of(&held.0, &other.0) {
        Ok(Pick::First) => Ok(held),
        Ok(Pick::Second) => Ok(other),
        // What was given by hand is passed on by hand.
        Ok(Pick::Both(text)) => {
            let by_hand = matches!(held.1, Origin::Environment(_));
            Ok((text, if by_hand { held.1 } else { other.1 }))
        }
        Err(Unlike) => Err(unlike(key, held, other)),
    }
}

fn unlike(key: &'static str, (one, of_one): Held, (other, of_other): Held) -> SettingsError {
    SettingsError::Unlike { key, one, of_one: Box::new(of_one), other, of_other: Box::new(of_other) }
}

/// A setting about one clock, what makes it stricter, and where a hand has it.
type Part = (&'static str, Stricter, fn(&Hand) -> Option<&Held>);

/// Time in which changes may be sent, as one hand has it.
#[derive(Clone, Debug, Default)]
struct Hand {
    hours: Option<Held>,
    zone: Option<Held>,
    deadline: Option<Held>,
}

impl Hand {
    fn new(of: impl Fn(&'static str) -> Option<Held>) -> Self {
        Self { hours: of(WINDOW), zone: of(TIMEZONE), deadline: of(DEADLINE) }
    }

    /// Tells hours that depend on which clock is meant.
    fn reads_a_clock(&self) -> bool {
        let needs_zone = |(text, _): &Held| text.parse().is_ok_and(Deadline::needs_zone);
        self.hours.as_ref().is_some_and(|(text, _)| text != "off") || self.deadline.as_ref().is_some_and(needs_zone)
    }

    /// Time that both allow. Nobody else's zone moves somebody's hours.
    fn and(self, other: Self) -> Result<Self, SettingsError> {
        let (mine, theirs) = (self.reads_a_clock(), other.reads_a_clock());
        let zone = match (self.zone, other.zone) {
            (zone, None) => zone,
            (Some(one), Some(other)) if one.0 == other.0 => Some(one),
            (one, Some(other)) if mine && theirs => {
                let machines = || ("the machine's".to_owned(), Origin::Default);
                return Err(unlike(TIMEZONE, one.unwrap_or_else(machines), other));
            }
            (one, Some(_)) if mine => one,
            (_, Some(other)) => Some(other),
        };
        let hours = match (self.hours, other.hours) {
            (Some(one), Some(other)) => Some(stricter_of(WINDOW, Stricter::Hours, one, other)?),
            (one, other) => one.or(other),
        };
        Ok(Self { hours, zone, deadline: self.deadline.or(other.deadline) })
    }
}

#[derive(Default)]
pub(crate) struct Resolved {
    values: BTreeMap<&'static str, Held>,
    /// Flags and the environment.
    launch: BTreeMap<&'static str, Held>,
    /// Limits without the plan's own word.
    caps: BTreeMap<&'static str, Held>,
    /// Deadlines beside the one that is the setting's value.
    pub(super) other_deadlines: Vec<Held>,
    pub(super) loosened: Vec<Loosened>,
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

impl OfProfile {
    fn held(&self, key: &str) -> Option<Held> {
        Some((self.values.get(key)?.clone(), self.origin.clone()))
    }
}

fn read<T>(
    key: &'static str,
    held: Option<&Held>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, SettingsError> {
    let Some((text, origin)) = held else { return Ok(None) };
    let bad = |problem| SettingsError::Value { key, origin: origin.clone(), problem };
    parse(text).map(Some).map_err(bad)
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
        read(key, self.values.get(key), parse)
    }

    /// A file that a setting names.
    pub(super) fn file(&self, key: &'static str) -> Result<Option<PathBuf>, SettingsError> {
        let folder = self.origin(key).map_or(Path::new(""), Origin::folder);
        self.optional(key, |text| super::path(text).map(|path| folder.join(path)))
    }

    /// Folder of the settings file that has the profile.
    pub(super) fn folder_of_profile(&self) -> &Path {
        self.profile.as_ref().map_or(Path::new(""), |profile| profile.origin.folder())
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

    /// Value given to this launch, also if another won.
    pub(super) fn of_launch<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        read(key, self.launch.get(key), parse)
    }

    /// Limit without the plan's own word; none, if nobody set it.
    pub(super) fn cap<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        read(key, self.caps.get(key), parse)
    }

    /// Values that hold of settings in which a plan may have a say.
    pub(super) fn held(&self) -> BTreeMap<&'static str, Held> {
        let of_plan = KEYS.iter().filter(|key| key.of_plan.is_some());
        of_plan.filter_map(|key| Some((key.name, self.values.get(key.name)?.clone()))).collect()
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
            Origin::Flag => key.is_lost_with_its_launch() || key.is_of_way(),
            Origin::Environment(_) => key.of_launch,
            Origin::Plan(_) | Origin::Begun(_) | Origin::Profile { .. } | Origin::File(_) | Origin::Default => false,
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

    /// Layers of a flag, a variable, a plan, a profile, the user's file and the folder's, each with what it sets.
    fn layers(all: [&[(&'static str, &str)]; 6]) -> Layers {
        let [flags, environment, plan, profile, user, folder] = all;
        let owned = |values: &[(&'static str, &str)]| -> BTreeMap<String, String> {
            values.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
        };
        let file = |authority, values, profiles| SettingsFile {
            path: PathBuf::from(if authority == Authority::User { "user" } else { "folder" }),
            authority,
            values,
            profiles,
            said: Vec::new(),
        };
        let profiles = BTreeMap::from([("a".to_owned(), Profile { values: owned(profile) })]);
        let files =
            vec![file(Authority::Folder, owned(folder), BTreeMap::new()), file(Authority::User, owned(user), profiles)];
        let environment =
            environment.iter().map(|(key, text)| (*key, ((*text).to_owned(), (*key).to_owned()))).collect();
        let flags = flags.iter().map(|(key, text)| (*key, (*text).to_owned())).collect();
        let layers = Layers { flags, environment, plan: BTreeMap::new(), files, warnings: Vec::new() };
        layers.under(owned(plan), &Origin::Plan("the plan".to_owned()))
    }

    fn held(key: &'static str, all: [&str; 6]) -> String {
        let one = all.map(|text| if text.is_empty() { Vec::new() } else { vec![(key, text)] });
        let layers = layers([&one[0], &one[1], &one[2], &one[3], &one[4], &one[5]]);
        match layers.resolve(Some("a")) {
            Ok(resolved) => {
                let loosened: Vec<String> =
                    resolved.loosened.iter().map(|loosened| format!(", loosens {}", loosened.held)).collect();
                let held = resolved.values.get(key).map_or_else(|| "-".to_owned(), |(text, _)| text.clone());
                held + &loosened.concat()
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_plan_a_profile_and_a_folder_only_make_limits_tighter_and_a_flag_says_what_it_loosens() {
        for (key, [flag, environment, plan, profile, user, folder], expected) in [
            ("max_changes", ["", "", "999999", "", "1", ""], "1"),
            ("max_changes", ["", "", "1", "", "999999", ""], "1"),
            ("max_changes", ["", "", "5", "", "", ""], "5"),
            ("max_changes", ["", "", "5", "", "", "9"], "5"),
            ("max_changes", ["", "", "", "", "3", "9"], "3"),
            ("max_changes", ["", "7", "9", "", "3", ""], "7"),
            ("max_changes", ["9", "", "1", "", "3", ""], "9, loosens 1"),
            ("max_changes", ["2", "", "", "", "3", ""], "2"),
            ("rate", ["", "", "off", "", "2", ""], "2"),
            ("rate", ["", "", "", "50", "2", ""], "2"),
            ("rate", ["", "", "50", "20", "", ""], "20"),
            ("rate", ["", "", "50", "", "", ""], "50"),
            ("verify", ["", "", "off", "", "", ""], "on"),
            ("verify", ["", "", "off", "", "on", ""], "on"),
            ("verify", ["", "", "on", "", "off", ""], "on"),
            ("verify", ["", "", "", "", "off", ""], "off"),
            ("verify", ["off", "", "", "", "", ""], "off"),
            ("complete_pair", ["off", "", "on", "", "", ""], "off, loosens on"),
            ("verify_timeout", ["", "", "1ms", "", "30s", ""], "30s"),
            ("verify_timeout", ["", "", "1ms", "", "", ""], "30s"),
            ("verify_timeout", ["", "", "", "1ms", "", "1ms"], "30s"),
            ("verify_timeout", ["", "", "1m", "", "", ""], "1m"),
            ("verify_timeout", ["", "", "1ms", "", "5s", ""], "5s"),
            ("verify_timeout", ["1ms", "", "", "", "", ""], "1ms"),
            ("min_sample", ["", "", "100000", "", "", ""], "20"),
            ("min_sample", ["", "", "", "", "", "100000"], "20"),
            ("min_sample", ["", "", "100000", "", "50", ""], "50"),
            ("min_sample", ["", "", "5", "", "", ""], "5"),
            ("max_drift", ["", "", "999", "", "", ""], "0"),
            ("timeout", ["", "", "", "", "60s", "1ms"], "60s"),
            ("timeout", ["", "", "", "", "", "10s"], "10s"),
            ("max_failed", ["", "", "100%", "", "5", ""], "5"),
            ("max_failed", ["3", "", "10%", "", "5", ""], "3"),
            ("window", ["", "", "20:00-02:00", "", "22:00-04:00", ""], "22:00-02:00"),
            ("window", ["", "", "", "", "22:00-04:00", "off"], "22:00-04:00"),
            ("window", ["off", "", "20:00-02:00", "", "", ""], "off, loosens 20:00-02:00"),
        ] {
            assert_eq!(held(key, [flag, environment, plan, profile, user, folder]), expected, "{key}");
        }
        let unlike = "`max_failed` is `5` in `user` and `10%` in the plan, and one of them cannot stand for both";
        assert_eq!(held("max_failed", ["", "", "10%", "", "5", ""]), unlike);
    }

    #[test]
    fn a_run_keeps_what_it_was_begun_with_also_beyond_the_default() {
        let begun = |key: &'static str, text: &str| {
            let origin = Origin::Begun("run 1".to_owned());
            let layers = layers([&[]; 6]).under([(key.to_owned(), text.to_owned())], &origin);
            layers.resolve(None).unwrap().values[key].0.clone()
        };
        assert_eq!(begun("min_sample", "100"), "100");
        // What is not kept is the plan's word, at each launch anew.
        assert_eq!(begun("verify_timeout", "1ms"), "30s");
    }

    #[test]
    fn nobody_else_s_zone_moves_somebody_s_hours() {
        let zone = |plan: &[(&'static str, &str)], user: &[(&'static str, &str)]| {
            let resolved = layers([&[], &[], plan, &[], user, &[]]).resolve(None);
            resolved.map(|resolved| resolved.values.get("timezone").map_or_else(String::new, |(zone, _)| zone.clone()))
        };
        let (hours, berlin, tokyo) =
            (("window", "22:00-04:00"), ("timezone", "Europe/Berlin"), ("timezone", "Asia/Tokyo"));
        assert_eq!(zone(&[hours, tokyo], &[berlin]).unwrap(), "Asia/Tokyo");
        assert_eq!(zone(&[tokyo], &[hours, berlin]).unwrap(), "Europe/Berlin");
        assert_eq!(zone(&[tokyo], &[hours]).unwrap(), "", "the machine's");
        assert_eq!(zone(&[hours], &[hours, berlin]).unwrap(), "Europe/Berlin");
        assert!(zone(&[hours, tokyo], &[hours, berlin]).is_err());
        assert!(zone(&[("deadline", "04:00"), tokyo], &[hours]).is_err());
        let both =
            layers([&[], &[], &[("deadline", "04:00")], &[], &[("deadline", "03:00")], &[]]).resolve(None).unwrap();
        assert_eq!((both.values["deadline"].0.as_str(), both.other_deadlines.len()), ("03:00", 1));
        let by_flag = layers([&[tokyo], &[], &[hours, tokyo], &[], &[hours, berlin], &[]]).resolve(None).unwrap();
        assert_eq!(by_flag.values["timezone"].0, "Asia/Tokyo");
    }
}
