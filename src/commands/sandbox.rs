//! `sandbox`: serves the API on loopback until it is interrupted.

use std::path::Path;

use secrecy::SecretString;

use crate::console;
use crate::exit::Exit;
use crate::launch::venue::{MADE_UP, scenario};
use crate::plan::reading::Reading;
use crate::plan::source::Source;
use crate::sandbox::estate::{self, Seeded};
use crate::sandbox::signature::KeyPair;
use crate::sandbox::{self, Config};
use crate::verb::context::Context;
use crate::verb::error::{CommandError, stdout_failed};
use crate::verb::runtime::runtime;

/// Token of a sandbox for which none is set. It opens nothing else.
const TOKEN: &str = "sandbox-token";
const ACCESS_KEY: &str = "sandbox-ak";
const SECRET_KEY: &str = "sandbox-sk";
const PROJECT: &str = "sandbox-project";

pub(super) fn sandbox(
    context: &Context,
    port: u16,
    n_sources: Option<usize>,
    of_plan: Option<Vec<Seeded>>,
) -> Result<Exit, CommandError> {
    let seed = context.settings.seed;
    let estate = of_plan.unwrap_or_else(|| estate::made_up(n_sources.unwrap_or(MADE_UP), seed));
    let n_sources = estate.len();
    let token = Secret::from_variable("CUTOVER_SANDBOX_TOKEN", TOKEN);
    let secret_key = Secret::from_variable("CUTOVER_SANDBOX_SK", SECRET_KEY);
    let access = variable("CUTOVER_SANDBOX_AK").unwrap_or_else(|| ACCESS_KEY.to_owned());
    let project = variable("CUTOVER_SANDBOX_PROJECT").unwrap_or_else(|| PROJECT.to_owned());
    let security_token = variable("CUTOVER_SANDBOX_SECURITY_TOKEN").map(SecretString::from);
    let keys = KeyPair { access: access.clone(), secret: secret_key.text, security_token };
    let config = Config {
        estate,
        scenario: scenario(&context.settings.scenario)?,
        seed,
        port,
        token: Some(token.text),
        keys: Some(keys),
        project: Some(project.clone()),
    };
    let runtime = runtime()?;
    runtime.block_on(async {
        let mut interrupt = signal(tokio::signal::unix::SignalKind::interrupt())?;
        let mut terminate = signal(tokio::signal::unix::SignalKind::terminate())?;
        let sandbox = sandbox::start(config).await.map_err(CommandError::Start)?;
        let url = sandbox.url();
        console::print(|out| writeln!(out, "{url}")).map_err(stdout_failed)?;
        let scenario = &context.settings.scenario;
        let (token, secret_key) = (&token.shown, &secret_key.shown);
        context.console.tell(|out| {
            writeln!(
                out,
                "{n_sources} sources, scenario {scenario}, seed {seed}; ledger at {url}/_sandbox/ledger; Ctrl-C ends it"
            )?;
            writeln!(
                out,
                "token {token} (also the password of any user), access key {access}, secret key {secret_key}, project \
                 {project}"
            )
        });
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
        }
        sandbox.stop().await;
        Ok(Exit::Done)
    })
}

/// Returns the value of an environment variable; `None` if it is empty or not set.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// A secret, and the text shown for it: the well-known one itself, any other as the name of its variable.
struct Secret {
    text: SecretString,
    shown: String,
}

impl Secret {
    fn from_variable(variable: &str, well_known: &str) -> Self {
        match self::variable(variable) {
            Some(text) => Self { text: SecretString::from(text), shown: format!("as in {variable}") },
            None => Self { text: SecretString::from(well_known), shown: well_known.to_owned() },
        }
    }
}

fn signal(kind: tokio::signal::unix::SignalKind) -> Result<tokio::signal::unix::Signal, CommandError> {
    tokio::signal::unix::signal(kind).map_err(CommandError::Start)
}

/// Makes an estate with a source for each row of a plan.
pub(super) fn estate_of(plan: &Path, reading: Reading) -> Result<Vec<Seeded>, CommandError> {
    let source = Source::open(plan)?;
    let mut estate = Vec::new();
    let checked = crate::plan::check(&source, &reading)?;
    crate::plan::read(&source, &reading, &checked, |planned| {
        estate.push(estate::seed_row(&planned.row));
        Ok::<(), CommandError>(())
    })?;
    Ok(estate)
}
