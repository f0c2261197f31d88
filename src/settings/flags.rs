//! The command line, as given: every setting is optional here, and resolved elsewhere.

use clap::{Args, Parser};

use super::keys::CONFIG_FLAG;
use crate::exit;

pub(crate) mod arguments;
mod of_settings;
pub(crate) mod verbs;

use of_settings::{Given, given};
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
    /// The journal: one SQLite file that holds every run [default: cutover.db]
    #[arg(long, global = true, value_name = "PATH", help_heading = "Common")]
    journal: Option<String>,
    /// Where the service is: https://…, or sandbox to try everything with no account
    #[arg(long, value_name = "URL|sandbox", global = true, help_heading = "Common")]
    endpoint: Option<String>,
    /// A settings file, which goes before those of the folder, the user and the machine
    #[arg(long, global = true, value_name = "FILE", help_heading = "Common")]
    config: Option<String>,
    /// The region of the endpoint, where no endpoint is named: ap-southeast-3, cn-north-4, …
    #[arg(long, value_name = "NAME", global = true, help_heading = "Common")]
    region: Option<String>,
    /// The profile of rows that name no target
    #[arg(long, value_name = "NAME", global = true, help_heading = "Common")]
    profile: Option<String>,
    /// Print one JSON document to standard output, however it ends
    #[arg(long, global = true, help_heading = "Common")]
    pub(crate) json: bool,
    /// How messages are written: text or json [default: text]
    #[arg(long, global = true, value_name = "FORMAT", help_heading = "Common")]
    log_format: Option<String>,
    /// Say nothing where all is well, and one error where it is not; reports, tables and documents that were asked for are printed
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Common")]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(short, long, global = true, help_heading = "Common")]
    pub(crate) verbose: bool,
}

impl Common {
    fn given(&self) -> Given {
        given([
            (CONFIG_FLAG, self.config.clone()),
            ("journal", self.journal.clone()),
            ("endpoint", self.endpoint.clone()),
            ("region", self.region.clone()),
            ("profile", self.profile.clone()),
            ("log_format", self.log_format.clone()),
        ])
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
            | Verb::Runs
            | Verb::Explain { .. }
            | Verb::Report { .. }
            | Verb::Serve { .. }
            | Verb::Audit { .. }
            | Verb::Reconcile { .. }
            | Verb::Resume { .. }
            | Verb::Retry { .. }
            | Verb::Doctor { .. }
            | Verb::Config { .. }
            | Verb::Sources { .. }
            | Verb::Sandbox { .. } => String::new(),
        }
    }

    /// The settings that were given as flags.
    pub(crate) fn given(&self) -> Given {
        let mut all = self.common.given();
        match &self.verb {
            Verb::Plan { service, .. } | Verb::Reconcile { service, .. } => all.extend(service.given()),
            Verb::Run { service, steering, .. }
            | Verb::Resume { service, steering, .. }
            | Verb::Rehearse { service, steering, .. }
            | Verb::Retry { service, steering, .. } => {
                all.extend(service.given());
                all.extend(steering.given());
            }
            Verb::Check { dialect, .. } => all.extend(dialect.given()),
            Verb::Doctor { service } | Verb::Config { verb: ConfigVerb::Show { service } } => {
                all.extend(service.given());
            }
            Verb::Sources { verb } => all.extend(verb.service().given()),
            Verb::Sandbox { night, .. } => all.extend(night.given()),
            Verb::Init { .. }
            | Verb::Approve { .. }
            | Verb::Trust { .. }
            | Verb::Control { .. }
            | Verb::Rollback { .. }
            | Verb::Status { .. }
            | Verb::Runs
            | Verb::Explain { .. }
            | Verb::Report { .. }
            | Verb::Serve { .. }
            | Verb::Audit { .. } => (),
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::report::next::OF_SENDING;
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
        let (looks, carries) = (taken_by("reconcile"), taken_by("resume"));
        for key in
            KEYS.iter().filter(|key| key.is_lost_with_its_launch() && carries.iter().any(|taken| taken == key.name))
        {
            let is_of_sending = OF_SENDING.contains(&key.name);
            assert_eq!(looks.iter().any(|taken| taken == key.name), !is_of_sending, "{}", key.name);
        }
        for name in OF_SENDING {
            assert!(
                carries.iter().any(|taken| taken == name) && taken_by("retry").iter().any(|taken| taken == name),
                "{name}"
            );
        }
    }

    #[test]
    fn the_help_of_run_shows_every_setting_with_its_default() {
        let mut command = Flags::command();
        command.build();
        let run = command.find_subcommand("run").unwrap();
        // Where an agency is asked for is the machine's, not the run's.
        for key in KEYS.iter().filter(|key| !["approvers", "metadata_endpoint"].contains(&key.name)) {
            let flag = key.name.replace('_', "-");
            let arg = run.get_arguments().find(|arg| arg.get_long() == Some(&flag)).expect(key.name);
            let help = arg.get_help().unwrap().to_string();
            if let Some(default) = key.default {
                assert!(help.contains(&format!("[default: {default}]")), "{}: {help}", key.name);
            }
        }
    }
}
