//! One account at one endpoint: its settings, the way to it, its credentials, and the keys that tell it from others.

use std::sync::Arc;

use secrecy::SecretString;

use crate::console::Console;
use crate::credentials::chain;
use crate::credentials::identity::Credentials;
use crate::diagnostics;
use crate::event::run::LanePlace;
use crate::journal::new_run::NewLane;
use crate::launch::venue::{self, Venue};
use crate::model::Row;
use crate::settings::Settings;
use crate::settings::parse::Destination;
use crate::transport::Transport;
use crate::verb::error::CommandError;

/// One account at one endpoint.
pub(crate) struct Account {
    /// Name by which rows refer to it.
    pub(crate) name: String,
    /// Rows that name no target belong to it.
    takes_unnamed: bool,
    pub(crate) settings: Settings,
    pub(super) destination: Destination,
    pub(crate) venue: Venue,
    pub(crate) credentials: Arc<Credentials>,
    /// No credentials were set, and the machine is asked for its agency's.
    pub(super) is_last_resort: bool,
}

impl Account {
    pub(super) fn new(
        console: Console,
        name: &str,
        takes_unnamed: bool,
        settings: Settings,
        one_of_several: bool,
    ) -> Result<Self, CommandError> {
        let Some(destination) = settings.destination.clone() else {
            return Err(CommandError::NoEndpoint { target: one_of_several.then(|| name.to_owned()) });
        };
        let mut is_last_resort = false;
        let (venue, credentials) = match &destination {
            Destination::Service(endpoint) => {
                let spec = chain::spec::Spec { one_of_several, ..settings.credentials.clone() };
                let found = chain::find(&spec, &settings.transport, &|name| std::env::var_os(name))?;
                let found = found.ok_or_else(|| CommandError::NoCredentials {
                    target: one_of_several.then(|| name.to_owned()),
                    endpoint: destination.to_string(),
                })?;
                for warning in &found.warnings {
                    console.warn(warning);
                }
                diagnostics::decided(|| {
                    let origin = found.credentials.origin();
                    format!("account `{name}` at {endpoint} takes its credentials from {origin}")
                });
                is_last_resort = found.is_last_resort;
                let transport = Transport::new(endpoint.clone(), &settings.transport)?;
                (Venue::Service(transport), found.credentials)
            }
            Destination::Sandbox => {
                let scenario = venue::scenario(&settings.scenario)?;
                // The sandbox accepts the process that started it.
                let token =
                    Credentials::token(&SecretString::from("in-process-sandbox"), "the sandbox in this process");
                (Venue::Sandbox(Box::new(scenario)), token?)
            }
        };
        Ok(Self {
            name: name.to_owned(),
            takes_unnamed,
            settings,
            destination,
            venue,
            credentials: Arc::new(credentials),
            is_last_resort,
        })
    }

    /// Account whose quota its requests use.
    pub(super) fn account(&self) -> &str {
        self.settings.account.as_deref().unwrap_or(&self.name)
    }

    pub(crate) fn lane(&self) -> NewLane {
        NewLane {
            name: self.name.clone(),
            endpoint: self.destination.to_string(),
            account: self.account().to_owned(),
            takes_unnamed: self.takes_unnamed,
        }
    }

    pub(crate) fn place(&self) -> LanePlace {
        self.lane().place()
    }

    pub(crate) fn takes(&self, row: &Row) -> bool {
        row.account.as_deref().map_or(self.takes_unnamed, |target| target == self.name)
    }

    /// Key of the lock that lets one run at a time use the account, across all journals. A bare token does not name its account: two are
    /// told apart by `--account` only, and otherwise share a key. The sandbox has no key, because it is this process's own.
    pub(super) fn lock_key(&self) -> Option<String> {
        let Destination::Service(endpoint) = &self.destination else { return None };
        let identity = self.credentials.identity().or(self.settings.account.as_deref()).unwrap_or_default();
        Some(format!("{}\n{identity}", endpoint.place()))
    }

    /// Key that tells the account from the others of its plan, where bare tokens are told apart by their targets.
    pub(super) fn key_in_plan(&self) -> Option<String> {
        let is_told_apart = self.credentials.identity().is_some() || self.settings.account.is_some();
        let name = if is_told_apart { "" } else { &self.name };
        Some(format!("{}\n{name}", self.lock_key()?))
    }
}
