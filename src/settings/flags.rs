//! The command line, as given: every setting is optional here, and resolved elsewhere.

use clap::{ArgAction, Args, Parser};

use super::names::CONFIG_FLAG;
use crate::exit;

pub(crate) mod arguments;
mod codes;
mod of_settings;
pub(crate) mod verbs;

use of_settings::{FlagTexts, LAST, OfAll, SettingFlags, behind};
use verbs::{ConfigVerb, Verb};

/// Moves many servers of Huawei Cloud's Server Migration Service to a target state, and proves what happened to each.
#[derive(Debug, Parser)]
#[command(
    name = "cutover",
    version,
    max_term_width = 110,
    after_help = exit::table(),
    propagate_version = true,
    disable_help_subcommand = true
)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Args, Debug)]
pub(crate) struct Common {
    #[command(flatten)]
    settings: SettingFlags<OfAll>,
    /// A settings file, which goes before those of the folder, the user and the machine
    #[arg(long, global = true, value_name = "FILE", help_heading = "Common", display_order = behind("endpoint"))]
    config: Option<String>,
    /// Print one JSON document to standard output, however it ends
    #[arg(long, global = true, help_heading = "Common", display_order = behind("profile"))]
    pub(crate) json: bool,
    /// Say nothing where all is well, and one error where it is not; reports, tables and documents that were asked for are
    /// printed
    #[arg(short, long, global = true, help_heading = "Common", display_order = LAST)]
    pub(crate) quiet: bool,
    /// Tell decisions as well, and given twice also requests; with -q, to the log file alone
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Common", display_order = LAST + 1)]
    pub(crate) verbose: u8,
}

impl Common {
    fn given(&self) -> FlagTexts {
        let config = self.config.clone().map(|path| (CONFIG_FLAG, path));
        config.into_iter().chain(self.settings.given()).collect()
    }
}

impl Flags {
    /// Flags that say how the named plan is read; empty without a plan.
    pub(crate) fn reading(&self) -> String {
        match &self.verb {
            Verb::Check { plan, .. }
            | Verb::Plan { plan, .. }
            | Verb::Run { plan, .. }
            | Verb::Rehearse { plan, .. } => plan.reading(),
            Verb::Init { .. }
            | Verb::Approve { .. }
            | Verb::Trust { .. }
            | Verb::Control { .. }
            | Verb::Rollback { .. }
            | Verb::Status { .. }
            | Verb::Runs { .. }
            | Verb::Explain { .. }
            | Verb::Report { .. }
            | Verb::Serve { .. }
            | Verb::Journal { .. }
            | Verb::Audit { .. }
            | Verb::Reconcile { .. }
            | Verb::Resume { .. }
            | Verb::Retry { .. }
            | Verb::Doctor { .. }
            | Verb::Config { .. }
            | Verb::Sources { .. }
            | Verb::Sandbox { .. } => String::new(),
            #[cfg(feature = "cluster")]
            Verb::Collect { .. } | Verb::Worker { .. } => String::new(),
        }
    }

    /// Tells whether a monitoring system asks, which knows no other codes and texts than those of its plug-ins.
    pub(crate) fn is_plugin(&self) -> bool {
        matches!(self.verb, Verb::Status { check: true, .. })
    }

    /// The settings that were given as flags.
    pub(crate) fn given(&self) -> FlagTexts {
        let mut all = self.common.given();
        match &self.verb {
            Verb::Plan { service, engine, .. } | Verb::Doctor { service, engine, .. } => {
                all.extend(service.given());
                all.extend(engine.given());
            }
            Verb::Reconcile { service, of_launch, engine, .. } => {
                all.extend(service.given());
                all.extend(of_launch.given());
                all.extend(engine.given());
            }
            Verb::Rehearse { service, steering, .. } => {
                all.extend(service.given());
                all.extend(steering.given());
            }
            Verb::Run { service, steering, of_launch, engine, .. }
            | Verb::Resume { service, steering, of_launch, engine, .. }
            | Verb::Retry { service, steering, of_launch, engine, .. } => {
                all.extend(service.given());
                all.extend(steering.given());
                all.extend(of_launch.given());
                all.extend(engine.given());
            }
            Verb::Control { engine, .. } | Verb::Runs { engine, .. } => {
                all.extend(engine.given());
            }
            #[cfg(feature = "cluster")]
            Verb::Collect { engine, .. } => all.extend(engine.given()),
            #[cfg(feature = "cluster")]
            Verb::Worker { service, engine, .. } => {
                all.extend(service.given());
                all.extend(engine.given());
            }
            Verb::Check { dialect, .. } => all.extend(dialect.given()),
            Verb::Config { verb: ConfigVerb::Show { service } } => all.extend(service.given()),
            Verb::Sources { verb } => all.extend(verb.service().given()),
            Verb::Sandbox { night, .. } => all.extend(night.given()),
            Verb::Init { .. }
            | Verb::Status { .. }
            | Verb::Approve { .. }
            | Verb::Trust { .. }
            | Verb::Rollback { .. }
            | Verb::Explain { .. }
            | Verb::Report { .. }
            | Verb::Serve { .. }
            | Verb::Journal { .. }
            | Verb::Audit { .. } => (),
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::report::next::given::{IRREVERSIBLE, REPORT, YES};
    use crate::settings::key::{Key, Lifetime, VIA};
    use crate::settings::keys::KEYS;

    #[test]
    fn the_flags_are_sound() {
        Flags::command().debug_assert();
    }

    /// The names of flags that a verb takes, as settings are called.
    fn taken_by(verb: &str) -> Vec<String> {
        let mut command = Flags::command();
        command.build();
        let verb = command.find_subcommand(verb).unwrap();
        verb.get_arguments().filter_map(|arg| arg.get_long()).map(|long| long.replace('-', "_")).collect()
    }

    #[test]
    fn a_launch_that_looks_is_given_no_flag_that_it_does_not_take() {
        let is_settled = |key: &Key| matches!(key.lifetime, Lifetime::Settled | Lifetime::Home | Lifetime::Route);
        let (looks, carries) = (taken_by("reconcile"), taken_by("resume"));
        for key in KEYS.iter().filter(|key| !is_settled(key) && carries.iter().any(|taken| taken == key.name)) {
            let is_of_sending = key.is_of_sending();
            assert_eq!(looks.iter().any(|taken| taken == key.name), !is_of_sending, "{}", key.name);
        }
        let of_sending = KEYS.iter().filter(|key| key.is_of_sending()).map(|key| key.name);
        for name in of_sending.chain([YES, IRREVERSIBLE, REPORT]) {
            assert!(
                carries.iter().any(|taken| taken == name) && taken_by("retry").iter().any(|taken| taken == name),
                "{name}"
            );
        }
    }

    #[test]
    fn the_help_of_each_verb_lists_the_codes_that_it_can_end_with() {
        fn look(command: &clap::Command) {
            let mut verbs = command.get_subcommands().peekable();
            if verbs.peek().is_none() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                let n_common =
                    ["\n    0  ", "\n    2  ", "\n   70  "].into_iter().filter(|code| help.contains(code)).count();
                assert_eq!((n_common, help.contains("Exit codes:\n")), (3, true), "{}: {help}", command.get_name());
            }
            verbs.for_each(look);
        }
        Flags::command().get_subcommands().for_each(look);
    }

    #[test]
    fn the_help_of_run_shows_every_setting_with_its_default() {
        let mut command = Flags::command();
        command.build();
        let run = command.find_subcommand("run").unwrap();
        // These have no flag: they are the machine's, not the run's.
        let of_machine = |key: &Key| {
            ["approvers", "metadata_endpoint", VIA].contains(&key.name)
                || key.in_engine().is_some_and(|key| key != "url")
        };
        for key in KEYS.iter().filter(|key| !of_machine(key)) {
            let flag = key.name.replace('_', "-");
            let arg = run.get_arguments().find(|arg| arg.get_long() == Some(&flag)).expect(key.name);
            let help = arg.get_help().unwrap().to_string();
            if let Some(default) = key.default {
                assert!(help.contains(&format!("[default: {default}]")), "{}: {help}", key.name);
            }
        }
    }
}
