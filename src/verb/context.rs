//! Inputs of every verb, and the check of a plan by them.

use super::error::CommandError;
use super::here::Here;
use super::notices::Notices;
use crate::console::Console;
use crate::journal::read::runs::RunRecord;
use crate::log::logs::Logs;
use crate::plan::checked::Checked;
use crate::plan::error::PlanError;
use crate::plan::reading::Reading;
use crate::plan::source::Source;
use crate::settings::Settings;
use crate::settings::flags::arguments::PlanArgs;
use crate::settings::layers::Layers;
use crate::values::zone::Zone;

/// Inputs of every verb: console, settings and their origin.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) console: Console,
    /// Settings outside of any profile, or of the one that `--profile` names.
    pub(crate) settings: Settings,
    /// Layers of settings, from which the settings of other profiles are read.
    pub(crate) layers: Layers,
    pub(crate) here: Here,
    /// Logs of the runs in the journal.
    pub(crate) logs: Logs,
    /// Notices of a verb that launches; none for any other.
    pub(crate) notices: Notices,
}

/// Returns the time zone for output: that of the run or its plan, else that of the settings, else the machine's. Warns and
/// returns UTC if the machine's cannot be found.
pub(crate) fn zone_of(console: Console, settings: &Settings, run: Option<&RunRecord>) -> Zone {
    let of_run = run.and_then(|run| Zone::from_name(run.settings.get("timezone")?.as_str()?).ok());
    of_run.or_else(|| settings.steering.zone.clone()).unwrap_or_else(|| {
        if let Err(bad) = Zone::of_machine() {
            console.warn(&format!("{bad}: times are shown in UTC"));
        }
        Zone::of_machine_for_people()
    })
}

/// Returns the time zone for output; warns about it only if times are printed for people.
pub(crate) fn zone_for(context: &Context, run: Option<&RunRecord>) -> Zone {
    let console = Console { quiet: context.console.quiet || context.console.json, ..context.console };
    zone_of(console, &context.settings, run)
}

pub(crate) fn reading_of(settings: &Settings, args: &PlanArgs) -> Reading {
    Reading {
        allow_unknown: args.allow_unknown,
        allow_empty: args.allow_empty,
        allow_outside: args.allow_outside,
        strict: args.strict,
        dialect: settings.lane.dialect,
        completion: settings.lane.completion(),
        encoding: args.encoding,
    }
}

/// Checks the whole plan without using any of it. Prints all problems.
pub(crate) fn checked(context: &Context, source: &Source, args: &PlanArgs) -> Result<Checked, CommandError> {
    let read = crate::plan::check(source, &reading_of(&context.settings, args));
    let render = |problems: &crate::plan::problem::Problems| {
        context.console.list_errors(|out| problems.render_errors(source.name(), out));
        context.console.list_warnings(|out| problems.render_warnings(source.name(), out));
    };
    match read {
        Ok(checked) => {
            render(&checked.warnings);
            Ok(checked)
        }
        Err(error) => {
            if let PlanError::Problems { problems, .. } = &error {
                render(problems);
            }
            Err(error.into())
        }
    }
}
