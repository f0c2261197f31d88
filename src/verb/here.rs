//! Commands to type next that are about no run: they need the journal and the way to the service that this one was given.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::console;
use crate::report::next::{IRREVERSIBLE, YES, flags};
use crate::settings::keys::OURS;
use crate::settings::resolve::CONFIG_FLAG;
use crate::wording::shell::{shell_path, shell_word};

/// Flags that every command typed here needs as well.
#[derive(Clone, Debug, Default)]
pub(crate) struct Here {
    journal: String,
    way: String,
    /// The settings file alone, for what asks no service.
    config: String,
    /// The sandbox's night, for what is run there.
    night: String,
    /// Flags by which the plan is read.
    reading: String,
    /// Settings that variables of the environment name and no flag does: setting, variable, value.
    variables: Vec<(&'static str, String, OsString)>,
}

/// Settings that name something which may not be there.
const NAMES: [&str; 6] = ["journal", "profile", "ca_bundle", "scenario", "approvers", CONFIG_FLAG];

const WAY: [&str; 5] = ["endpoint", "region", "profile", "ca_bundle", CONFIG_FLAG];
const NIGHT: [&str; 2] = ["scenario", "seed"];

impl Here {
    pub(crate) fn new(given: &[(&'static str, String)], reading: String) -> Self {
        let only = |names: &[&str]| {
            let of_these = given.iter().filter(|(key, _)| names.contains(key));
            let owned: Vec<(String, String)> = of_these.map(|(key, text)| ((*key).to_owned(), text.clone())).collect();
            flags(owned.iter().map(|(key, text)| (key, text)))
        };
        let variables = NAMES.into_iter().filter(|name| !given.iter().any(|(key, _)| key == name)).filter_map(|name| {
            let variable = format!("{OURS}{}", name.to_uppercase());
            let value = std::env::var_os(&variable).filter(|value| !value.is_empty())?;
            Some((name, variable, value))
        });
        Self {
            variables: variables.collect(),
            journal: only(&["journal"]),
            way: only(&WAY),
            config: only(&[CONFIG_FLAG]),
            night: only(&NIGHT),
            reading,
        }
    }

    /// The variable that sets this, where no flag does.
    pub(crate) fn variable(&self, setting: &str) -> Option<&str> {
        self.variables.iter().find(|(name, _, _)| *name == setting).map(|(_, variable, _)| variable.as_str())
    }

    /// The variable that has this value.
    pub(crate) fn variable_that_names(&self, value: &OsStr) -> Option<&str> {
        self.variables.iter().find(|(_, _, has)| has == value).map(|(_, variable, _)| variable.as_str())
    }

    /// For whoever has no credentials for an endpoint: the sandbox, where one may still be chosen, and the command that says
    /// where it looks for them.
    pub(crate) fn tries_elsewhere(&self, endpoint: &str) -> (&'static str, String) {
        if self.way.is_empty() {
            // It comes from the journal or the settings.
            ("", format!("cutover doctor --endpoint {}", shell_word(endpoint)))
        } else {
            (", or try `--endpoint sandbox`", self.asks("doctor"))
        }
    }

    /// One that reads the journal.
    pub(crate) fn reads(&self, words: &str) -> String {
        format!("cutover {words}{}", self.journal)
    }

    /// One that asks the service.
    pub(crate) fn asks(&self, words: &str) -> String {
        format!("cutover {words}{}", self.way)
    }

    /// One that seals the plan of this launch.
    pub(crate) fn seals(&self, plan: &Path) -> String {
        self.asks(&format!("plan {}{} -o FILE", shell_path(plan), self.reading))
    }

    /// One that agrees to a sealed plan, with a key where only signatures count.
    pub(crate) fn approves(&self, sealed: &str, is_signed: bool) -> String {
        let key = if is_signed { " --key KEY" } else { "" };
        format!("cutover approve {sealed} --as NAME{key}{}", self.config)
    }

    /// One that carries a plan out. Where nobody can be asked it has to say that nobody need be.
    pub(crate) fn runs(&self, plan: &Path, irreversible: bool) -> String {
        let leave = [(IRREVERSIBLE, irreversible), (YES, !console::can_ask())];
        let leave = leave.into_iter().filter(|(_, is_given)| *is_given);
        let leave: Vec<(String, String)> = leave.map(|(name, _)| (name.to_owned(), "on".to_owned())).collect();
        let (leave, Self { journal, way, config: _, night, reading: _, variables: _ }) =
            (flags(leave.iter().map(|(name, on)| (name, on))), self);
        format!("cutover run {}{way}{night}{leave}{journal}", shell_path(plan))
    }
}
