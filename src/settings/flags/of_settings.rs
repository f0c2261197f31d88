//! Flags of settings, made from the table of settings, by the verbs that take them.

use std::marker::PhantomData;

use clap::builder::ValueParser;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::settings::key::{Flag, FlagGroup, Key};
use crate::settings::keys::KEYS;

/// Settings that were given as flags, and their texts.
pub(super) type FlagTexts = Vec<(&'static str, String)>;

/// Flags of one group of settings, as they were given.
#[derive(Debug)]
pub(crate) struct SettingFlags<G>(FlagTexts, PhantomData<G>);

/// Type for each group, by which clap tells its flags from those of others.
pub(crate) trait OfGroup {
    const GROUP: FlagGroup;
}

#[derive(Debug)]
pub(crate) struct OfAll;
#[derive(Debug)]
pub(crate) struct OfService;
#[derive(Debug)]
pub(crate) struct OfDialect;
#[derive(Debug)]
pub(crate) struct OfNight;
#[derive(Debug)]
pub(crate) struct OfSteering;
#[derive(Debug)]
pub(crate) struct OfLaunch;
#[derive(Debug)]
pub(crate) struct OfEngine;

impl OfGroup for OfAll {
    const GROUP: FlagGroup = FlagGroup::Common;
}

impl OfGroup for OfService {
    const GROUP: FlagGroup = FlagGroup::Service;
}

impl OfGroup for OfDialect {
    const GROUP: FlagGroup = FlagGroup::Dialect;
}

impl OfGroup for OfNight {
    const GROUP: FlagGroup = FlagGroup::Night;
}

impl OfGroup for OfSteering {
    const GROUP: FlagGroup = FlagGroup::Steering;
}

impl OfGroup for OfLaunch {
    const GROUP: FlagGroup = FlagGroup::Launch;
}

impl OfGroup for OfEngine {
    const GROUP: FlagGroup = FlagGroup::Engine;
}

impl<G> SettingFlags<G> {
    pub(super) fn given(&self) -> FlagTexts {
        self.0.clone()
    }
}

/// Settings of a group, and their flags.
fn flags_of(group: FlagGroup) -> impl Iterator<Item = (&'static Key, Flag)> {
    KEYS.iter().filter_map(move |&key| Some((key, key.flag.filter(|flag| flag.group == group)?)))
}

impl<G: OfGroup> Args for SettingFlags<G> {
    fn augment_args(command: Command) -> Command {
        command.args(flags_of(G::GROUP).map(|(key, flag)| arg(key, flag)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<G: OfGroup> FromArgMatches for SettingFlags<G> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = flags_of(G::GROUP).filter_map(|(key, _)| Some((key.name, matches.get_one::<String>(key.name)?)));
        Ok(Self(given.map(|(name, text)| (name, text.clone())).collect(), PhantomData))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The argument that sets a setting.
fn arg(key: &'static Key, flag: Flag) -> Arg {
    let arg = Arg::new(key.name)
        .long(key.long())
        .value_name(flag.value_name)
        .value_parser(ValueParser::string())
        .help(help(key, flag))
        .display_order(place(key, flag));
    let arg = if flag.is_switch { arg.num_args(0..=1).default_missing_value("on").require_equals(true) } else { arg };
    match flag.group {
        FlagGroup::Common => arg.global(true).help_heading("Common"),
        FlagGroup::Service => arg.help_heading("Service"),
        FlagGroup::Night => arg.help_heading("Sandbox"),
        FlagGroup::Steering => arg.help_heading("Steering"),
        FlagGroup::Launch => arg.help_heading("Launch"),
        FlagGroup::Engine => arg.help_heading("Engine"),
        // Its heading depends on the verb.
        FlagGroup::Dialect => arg,
    }
}

/// The help of a setting as a sentence of its own, with its default.
fn help(key: &Key, flag: Flag) -> String {
    let help = flag.help.unwrap_or(key.help);
    let (first, rest) = help.split_at(help.chars().next().map_or(0, char::len_utf8));
    let default = key.default.map_or_else(String::new, |default| format!(" [default: {default}]"));
    format!("{}{rest}{default}", first.to_uppercase())
}

/// Place in the help below all settings.
pub(super) const LAST: usize = 1000;

/// Distance of two settings in the help, for what is listed between them.
const STEP: usize = 4;

/// Place in the help, by that in the list of settings.
fn place(key: &Key, flag: Flag) -> usize {
    match flag.listed_behind {
        Some(name) => place_by_name(name) + 2,
        None => place_by_name(key.name),
    }
}

/// Place in the help of a flag that is no setting, right behind the named setting.
pub(super) fn behind(name: &str) -> usize {
    place_by_name(name) + 1
}

fn place_by_name(name: &str) -> usize {
    KEYS.iter().take_while(|key| key.name != name).count() * STEP
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Service")]
pub(crate) struct ServiceArgs {
    #[command(flatten)]
    service: SettingFlags<OfService>,
    #[command(flatten)]
    dialect: SettingFlags<OfDialect>,
    #[command(flatten)]
    night: SettingFlags<OfNight>,
}

impl ServiceArgs {
    pub(super) fn given(&self) -> FlagTexts {
        [self.service.given(), self.dialect.given(), self.night.given()].concat()
    }
}
