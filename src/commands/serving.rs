//! `sandbox`: serves the API on loopback until it is interrupted.

use std::path::Path;

use secrecy::SecretString;

use super::{CommandError, Context, stdout_failed};
use crate::console;
use crate::exit::Exit;
use crate::plan::Reading;
use crate::plan::source::Source;
use crate::sandbox::estate::{self, Seeded};
use crate::sandbox::scenario::Scenario;
use crate::sandbox::{self, Config};

/// What is let in when nothing else is set. It opens nothing but a sandbox.
const TOKEN: &str = "sandbox-token";
const MADE_UP: usize = 200;

pub(super) fn sandbox(
    context: &Context,
    port: u16,
    n_sources: Option<usize>,
    plan: Option<&Path>,
) -> Result<Exit, CommandError> {
    let seed = context.settings.seed;
    let estate = match plan {
        Some(plan) => estate_of(plan)?,
        None => estate::made_up(n_sources.unwrap_or(MADE_UP), seed),
    };
    let n_sources = estate.len();
    let from_environment = std::env::var("CUTOVER_SANDBOX_TOKEN").ok();
    let token = from_environment.clone().unwrap_or_else(|| TOKEN.to_owned());
    let config = Config {
        estate,
        scenario: scenario(&context.settings.scenario)?,
        seed,
        port,
        token: Some(SecretString::from(token)),
        keys: None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandError::Start)?;
    runtime.block_on(async {
        let mut interrupt = signal(tokio::signal::unix::SignalKind::interrupt())?;
        let mut terminate = signal(tokio::signal::unix::SignalKind::terminate())?;
        let sandbox = sandbox::start(config).await.map_err(CommandError::Start)?;
        let url = sandbox.url();
        let shown = if from_environment.is_some() { "as in CUTOVER_SANDBOX_TOKEN" } else { TOKEN };
        console::result(|out| writeln!(out, "{url}")).map_err(stdout_failed)?;
        context.console.say(&format!(
            "{n_sources} sources, scenario {}, seed {seed}, token {shown}; ledger at {url}/_sandbox/ledger; Ctrl-C ends it",
            context.settings.scenario
        ));
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
        }
        sandbox.stop().await;
        Ok(Exit::Done)
    })
}

fn signal(kind: tokio::signal::unix::SignalKind) -> Result<tokio::signal::unix::Signal, CommandError> {
    tokio::signal::unix::signal(kind).map_err(CommandError::Start)
}

fn estate_of(plan: &Path) -> Result<Vec<Seeded>, CommandError> {
    let source = Source::open(plan)?;
    let mut estate = Vec::new();
    crate::plan::read(&source, &Reading { allow_unknown: true, ..Reading::default() }, |row| {
        estate.push(estate::seed_row(&row));
        Ok::<(), CommandError>(())
    })?;
    Ok(estate)
}

/// A scenario by its name, or from a file.
pub(super) fn scenario(name: &str) -> Result<Scenario, CommandError> {
    if let Some(scenario) = Scenario::named(name) {
        return Ok(scenario);
    }
    let text = std::fs::read_to_string(name).map_err(|error| {
        CommandError::Scenario(format!("`{name}` is none of {}, and no file: {error}", Scenario::NAMES.join(", ")))
    })?;
    Scenario::parse(&text).map_err(|error| {
        let mut text = format!("`{name}`: {error}");
        if let Some(source) = std::error::Error::source(&error) {
            text = format!("{text}: {source}");
        }
        CommandError::Scenario(text)
    })
}
