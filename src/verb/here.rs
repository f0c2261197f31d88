//! Commands to type next that concern no run: they take the journal and the endpoint that this command was given.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::console;
use crate::report::next::flags::{flags, journal_flag};
use crate::report::next::given::{IRREVERSIBLE, YES};
use crate::settings::key::OURS;
use crate::settings::keys::KEYS;
use crate::settings::names::CONFIG_FLAG;
use crate::wording::shell::{shell_path, shell_word};

/// Flags of this command that a command typed next needs as well.
#[derive(Clone, Debug, Default)]
pub(crate) struct Here {
    /// The whole command as it was typed, for a shell.
    pub(super) typed: String,
    /// True where there is nobody to ask: the command is one of a timetable, or has no terminal.
    pub(super) is_unattended: bool,
    journal: String,
    way: String,
    /// Origin of the endpoint, if it is in `way`.
    endpoint: Option<Said>,
    /// Flag of the settings file alone, for commands that ask no service.
    config: String,
    /// Flags of the sandbox's scenario, for commands that run there.
    night: String,
    /// Flags that say how the plan is read.
    reading: String,
    /// Settings that come from environment variables and no flag: setting, variable, value.
    variables: Vec<(&'static str, String, OsString)>,
}

/// Settings whose value names something that may not exist.
const NAMES: [&str; 8] =
    ["journal", "log_file", "profile", "ca_bundle", "scenario", "approvers", "metrics_file", CONFIG_FLAG];

/// Origin of a value besides the settings files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    ByFlag,
    ByVariable,
}

const WAY: [&str; 5] = ["endpoint", "region", "profile", "ca_bundle", CONFIG_FLAG];
const NIGHT: [&str; 2] = ["scenario", "seed"];

impl Here {
    pub(crate) fn new(
        given: &[(&'static str, String)],
        reading: String,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let by_flag = |name: &str| given.iter().find(|(key, _)| *key == name).map(|(_, text)| text.clone());
        let by_variable = |name: &'static str| {
            let also = KEYS.iter().find(|key| key.name == name).and_then(|key| key.also_variable);
            let names = std::iter::once(format!("{OURS}{}", name.to_uppercase())).chain(also.map(str::to_owned));
            let mut set = names
                .filter_map(|name| environment(&name).filter(|value| !value.is_empty()).map(|value| (name, value)));
            if by_flag(name).is_some() { None } else { set.next() }
        };
        // Who types a command next may have none of the variables.
        let only = |names: &[&'static str]| {
            let text = |name| by_flag(name).or_else(|| by_variable(name)?.1.into_string().ok());
            let said: Vec<(String, String)> =
                names.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect();
            flags(said.iter().map(|(key, text)| (key, text)))
        };
        let said = |names: [&'static str; 2]| {
            let by_variable = names.into_iter().any(|name| by_variable(name).is_some());
            let by_flag = names.into_iter().any(|name| by_flag(name).is_some());
            if by_flag { Some(Said::ByFlag) } else { by_variable.then_some(Said::ByVariable) }
        };
        let variables = NAMES.into_iter().filter_map(|name| {
            let (variable, value) = by_variable(name)?;
            Some((name, variable, value))
        });
        Self {
            variables: variables.collect(),
            journal: only(&["journal"]),
            way: only(&WAY),
            endpoint: said(["endpoint", "region"]),
            config: only(&[CONFIG_FLAG]),
            night: only(&NIGHT),
            reading,
            ..Self::default()
        }
    }

    /// Adds the command as it was typed.
    #[must_use]
    pub(crate) fn typed_as(self, args: &[OsString]) -> Self {
        let shown = |word: &OsString| {
            let word = word.to_string_lossy();
            // A flag is no name that begins so, and needs no quotes.
            match word.trim_start_matches('-') {
                "" => format!(" {word}"),
                bare => format!(" {}{}", &word[..word.len() - bare.len()], shell_word(bare)),
            }
        };
        Self { typed: format!("cutover{}", args.iter().skip(1).map(shown).collect::<String>()), ..self }
    }

    /// Adds that the command is one of a timetable, by its flags or because it has no terminal.
    #[must_use]
    pub(crate) fn unattended_if(self, flags_say_so: impl FnOnce() -> bool) -> Self {
        Self { is_unattended: !console::can_ask() || flags_say_so(), ..self }
    }

    /// Adds the journal of a service: who types a command next is not that service, and has none of its variables.
    pub(crate) fn name_journal_of_service(&mut self, journal: &Path) {
        self.journal = journal_flag(journal);
    }

    /// Returns the environment variable that sets this, if no flag does.
    pub(crate) fn variable(&self, setting: &str) -> Option<&str> {
        self.variables.iter().find(|(name, _, _)| *name == setting).map(|(_, variable, _)| variable.as_str())
    }

    /// Returns the environment variable with this value, if no flag sets the same.
    pub(crate) fn variable_that_names(&self, value: &OsStr) -> Option<&str> {
        self.variables.iter().find(|(_, _, has)| has == value).map(|(_, variable, _)| variable.as_str())
    }

    /// Returns two ways on for a user without credentials for an endpoint: the sandbox, if the endpoint was given by a flag, and the
    /// command that shows the sources of credentials.
    pub(crate) fn tries_elsewhere(&self, endpoint: &str) -> (&'static str, String) {
        let or_try = if self.endpoint == Some(Said::ByFlag) { ", or try `--endpoint sandbox`" } else { "" };
        let doctor = match self.endpoint {
            Some(Said::ByFlag | Said::ByVariable) => self.asks("doctor"),
            // The endpoint comes from the journal or the settings.
            None => self.asks(&format!("doctor --endpoint {}", shell_word(endpoint))),
        };
        (or_try, doctor)
    }

    /// Returns a command that reads the journal.
    pub(crate) fn reads(&self, words: &str) -> String {
        format!("cutover {words}{}", self.journal)
    }

    /// Returns a command that asks the service.
    pub(crate) fn asks(&self, words: &str) -> String {
        format!("cutover {words}{}", self.way)
    }

    /// Returns the command that checks the plan of this command.
    pub(crate) fn checks(&self, plan: &Path) -> String {
        format!("cutover check {}{}{}", shell_path(plan), self.reading, self.config)
    }

    /// Returns the command that seals the plan of this launch.
    pub(crate) fn seals(&self, plan: &Path) -> String {
        self.asks(&format!("plan {}{} -o FILE", shell_path(plan), self.reading))
    }

    /// Returns the command that rehearses the plan of this rehearsal again.
    pub(crate) fn rehearses(&self, plan: &Path, from_live: bool) -> String {
        let from_live = if from_live { " --from-live" } else { "" };
        self.asks(&format!("rehearse {}{}{from_live}{}", shell_path(plan), self.reading, self.night))
    }

    /// Returns the command that approves a sealed plan, with a key where only signatures count.
    pub(crate) fn approves(&self, sealed: &str, is_signed: bool) -> String {
        let key = if is_signed { " --key KEY" } else { "" };
        format!("cutover approve {sealed} --as NAME{key}{}", self.config)
    }

    /// Returns the command that runs a plan. It answers its question by a flag without a terminal.
    pub(crate) fn runs(&self, plan: &Path, irreversible: bool) -> String {
        let leave = [(IRREVERSIBLE, irreversible), (YES, !console::can_ask())];
        let leave = leave.into_iter().filter(|(_, is_given)| *is_given);
        let leave: Vec<(String, String)> = leave.map(|(name, _)| (name.to_owned(), "on".to_owned())).collect();
        let (leave, Self { journal, way, night, .. }) = (flags(leave.iter().map(|(name, on)| (name, on))), self);
        format!("cutover run {}{way}{night}{leave}{journal}", shell_path(plan))
    }
}
