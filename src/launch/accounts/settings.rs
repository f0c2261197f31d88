//! Settings of each account: those of the profile that its target names, and for a run that goes on those that it was begun with.

use crate::journal::read::lanes::LaneRecord;
use crate::journal::read::runs::RunRecord;
use crate::settings::Settings;
use crate::settings::error::SettingsError;
use crate::settings::parse::{Destination, destination};
use crate::transport::settings::TransportSettings;
use crate::verb::context::Context;
use crate::verb::error::CommandError;
use crate::waves::{Terms, UNNAMED};

pub(super) fn unnamed(settings: &Settings) -> &str {
    settings.profile.as_deref().unwrap_or(UNNAMED)
}

/// Settings of a profile. If it is not defined, those outside of any profile serve for rows that name no target, and in the sandbox,
/// which stands for every account; any other name is an error.
pub(super) fn settings_of(context: &Context, name: &str) -> Result<Settings, CommandError> {
    let needless = name == UNNAMED || context.settings.destination == Some(Destination::Sandbox);
    match Settings::read(&context.layers, Some(name)) {
        Err(SettingsError::UnknownProfile { .. }) if needless => Ok(outside_of_profiles(context)),
        read => Ok(as_logs_need(context, read?)),
    }
}

fn outside_of_profiles(context: &Context) -> Settings {
    as_logs_need(context, context.settings.clone())
}

/// Has requests leave in time, as long as another machine may take the run over.
fn as_logs_need(context: &Context, settings: Settings) -> Settings {
    let leaves_within = context.logs.leaves_within();
    Settings { transport: TransportSettings { leaves_within, ..settings.transport }, ..settings }
}

pub(super) fn settings_of_lane(
    context: &Context,
    lane: &LaneRecord,
    lanes: &[LaneRecord],
    terms: &Terms,
) -> Result<Settings, CommandError> {
    settings_of(context, terms.profile_of(&lane.name)).or_else(|unknown| match lanes {
        // The run of a single account needed no profile; its lane then has the account's name.
        [_] => Ok(outside_of_profiles(context)),
        _ => Err(unknown),
    })
}

impl Settings {
    /// Sets endpoint, account, scenario and seed to those of the run. Refuses a flag that names another endpoint.
    pub(super) fn begun_as(&mut self, run: &RunRecord, lane: &LaneRecord) -> Result<(), CommandError> {
        let begun = begun_at(lane);
        if let Some(flag) = self.destination_by_flag.filter(|_| self.destination != begun) {
            let named = self.destination.as_ref().map(ToString::to_string).unwrap_or_default();
            return Err(CommandError::OtherEndpoint { begun: lane.endpoint.clone(), named, flag });
        }
        self.destination = begun;
        self.account = Some(lane.account.clone()).filter(|account| *account != lane.name);
        if let Some(scenario) = run.settings.get("scenario").and_then(serde_json::Value::as_str) {
            scenario.clone_into(&mut self.scenario);
        }
        if let Some(seed) = run.settings.get("seed").and_then(serde_json::Value::as_str) {
            self.seed = seed.parse().unwrap_or(self.seed);
        }
        Ok(())
    }
}

/// Destination of a lane when its run was begun; `None` if the journal has none that can be read.
pub(super) fn begun_at(lane: &LaneRecord) -> Option<Destination> {
    destination(&lane.endpoint).ok()
}
