//! Choice of the logs of a run: a run that was begun with an engine goes on with one, wherever that is named.

use super::context::Context;
use super::error::CommandError;
use crate::console::Console;
use crate::journal::read::runs::RunRecord;
use crate::log::logs::Logs;
use crate::settings::Settings;
use crate::settings::key::ENGINE;
#[cfg(feature = "cluster")]
use crate::{cluster::site::Site, credentials::files::readable_by_others, settings::origin::Origin};

/// Returns the logs of runs that are made by these settings. Warns of a secret that others can read.
#[cfg(feature = "cluster")]
pub(crate) fn logs(console: Console, settings: &Settings) -> Logs {
    let Some(engine) = &settings.engine else { return Logs::alone() };
    if let Some(warning) = engine.credentials.as_deref().and_then(readable_by_others) {
        console.warn(&warning);
    }
    Logs::on(Site::new(engine.clone()))
}

/// Returns the logs of runs: a build without an engine has no setting for one.
#[cfg(not(feature = "cluster"))]
pub(crate) fn logs(_: Console, _: &Settings) -> Logs {
    Logs::alone()
}

/// Tells whether settings name servers.
#[cfg(feature = "cluster")]
pub(crate) fn is_set(settings: &Settings) -> bool {
    settings.engine.is_some()
}

/// Tells that settings name no servers.
#[cfg(not(feature = "cluster"))]
pub(crate) fn is_set(_: &Settings) -> bool {
    false
}

/// Servers with which a run was begun; `None` for a run that its journal alone has.
pub(crate) fn begun_with(run: &RunRecord) -> Option<&str> {
    run.settings.get(ENGINE)?.as_str()
}

/// Returns the logs among which that of a run is. What a flag or a variable names goes before what the run was begun with.
pub(crate) fn logs_of_run(context: &Context, run: &RunRecord) -> Result<Logs, CommandError> {
    match begun_with(run) {
        Some(servers) => of_engine(context, run, servers),
        None if context.layers.is_by_flag(ENGINE) => Err(CommandError::BegunAlone(run.id.clone())),
        None if is_set(&context.settings) => Ok(Logs::alone()),
        None => Ok(context.logs.clone()),
    }
}

#[cfg(feature = "cluster")]
fn of_engine(context: &Context, run: &RunRecord, servers: &str) -> Result<Logs, CommandError> {
    let begun = Origin::Begun(format!("run {}", run.id));
    let layers = context.layers.under([(ENGINE.to_owned(), servers.to_owned())], &begun);
    let settings = Settings::read(&layers, context.settings.profile.as_deref())?;
    Ok(if settings.engine == context.settings.engine { context.logs.clone() } else { logs(context.console, &settings) })
}

#[cfg(not(feature = "cluster"))]
fn of_engine(_: &Context, run: &RunRecord, _: &str) -> Result<Logs, CommandError> {
    Err(CommandError::NeedsEngine(run.id.clone()))
}
