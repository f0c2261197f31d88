//! Destination of an account's requests: a service, or a sandbox inside this process.

use std::path::Path;
use std::sync::Arc;

use crate::hands::Hands;
use crate::model::words::nearest;
use crate::sandbox::scenario::Scenario;
use crate::sandbox::{self, Config, Sandbox, estate};
use crate::transport::Transport;
use crate::verb::error::CommandError;

/// Number of sources in a sandbox for which none are given.
pub(crate) const MADE_UP: usize = 200;

/// Destination of requests.
pub(crate) enum Venue {
    Service(Transport),
    /// Workers elsewhere, which have the credentials.
    Workers(WorkersOfAccount),
    /// Sandbox inside this process, with its scenario.
    Sandbox(Box<Scenario>),
}

/// Workers of one account, as they were found when a launch began.
pub(crate) struct WorkersOfAccount {
    pub(crate) hands: Arc<dyn Hands>,
    /// Key of the account that the one which was heard serves; `None` if none was. No worker of another account is asked.
    pub(crate) key: Option<String>,
}

/// Starts a sandbox inside the process, with made-up sources.
pub(crate) async fn made_up(scenario: &Scenario, seed: u64) -> Result<Sandbox, CommandError> {
    let estate = estate::made_up(MADE_UP, seed);
    let scenario = scenario.clone();
    let config = Config { estate, scenario, seed, port: 0, token: None, keys: None, project: None };
    sandbox::start(config).await.map_err(CommandError::Start)
}

/// Finds a scenario by its name, or reads it from a file.
pub(crate) fn scenario(name: &str) -> Result<Scenario, CommandError> {
    if let Some(scenario) = Scenario::named(name) {
        return Ok(scenario);
    }
    let text = crate::texts::read(Path::new(name)).map_err(|error| {
        let near = nearest(name, Scenario::NAMES).map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
        let known = Scenario::NAMES.join(", ");
        CommandError::Scenario(format!("`{name}` is none of {known}, and no file{near}: {error}"))
    })?;
    Scenario::parse(&text).map_err(|error| CommandError::Scenario(format!("`{name}`: {error}")))
}
