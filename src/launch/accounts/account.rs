//! One account at one endpoint: its settings, the way to it, its credentials, and the keys that tell it from others.

use std::sync::Arc;

use secrecy::SecretString;

use crate::console::Console;
use crate::credentials::chain;
use crate::credentials::chain::places::FoundCredentials;
use crate::credentials::identity::Credentials;
use crate::diagnostics;
use crate::event::run::LanePlace;
use crate::hands::Via;
use crate::journal::chain::name_digest;
use crate::journal::new_run::NewLane;
use crate::launch::venue::{self, Venue, WorkersOfAccount};
use crate::model::Row;
use crate::settings::Settings;
use crate::settings::parse::Destination;
use crate::transport::Transport;
use crate::transport::endpoint::Endpoint;
use crate::verb::context::Context;
use crate::verb::engine::is_set;
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
    /// Credentials of it; `None` where workers have them.
    pub(crate) credentials: Option<Arc<Credentials>>,
    /// No credentials were set, and the machine is asked for its agency's.
    pub(super) is_last_resort: bool,
}

impl Account {
    pub(super) fn new(
        context: &Context,
        name: &str,
        takes_unnamed: bool,
        settings: Settings,
        one_of_several: bool,
    ) -> Result<Self, CommandError> {
        let Some(destination) = settings.destination.clone() else {
            return Err(CommandError::NoEndpoint { target: one_of_several.then(|| name.to_owned()) });
        };
        let (venue, found) = match &destination {
            Destination::Service(endpoint) => {
                let found = found(&settings, one_of_several)?;
                if let Some(workers) = workers(context, &settings, (name, endpoint), found.as_ref())? {
                    (Venue::Workers(workers), None)
                } else {
                    let found = found.ok_or_else(|| CommandError::NoCredentials {
                        target: one_of_several.then(|| name.to_owned()),
                        endpoint: destination.to_string(),
                    })?;
                    tell_found(context.console, (name, endpoint), &found);
                    (Venue::Service(Transport::new(endpoint.clone(), &settings.transport)?), Some(found))
                }
            }
            Destination::Sandbox => (Venue::Sandbox(Box::new(venue::scenario(&settings.scenario)?)), None),
        };
        let is_last_resort = found.as_ref().is_some_and(|found| found.is_last_resort);
        let credentials = match (&venue, found) {
            // The sandbox accepts the process that started it.
            (Venue::Sandbox(_), _) => {
                let token = SecretString::from("in-process-sandbox");
                Some(Credentials::token(&token, "the sandbox in this process")?)
            }
            (Venue::Service(_) | Venue::Workers(_), found) => found.map(|found| found.credentials),
        };
        let credentials = credentials.map(Arc::new);
        let name = name.to_owned();
        Ok(Self { name, takes_unnamed, settings, destination, venue, credentials, is_last_resort })
    }

    /// Account whose quota its requests use.
    pub(super) fn account(&self) -> &str {
        self.settings.account.as_deref().unwrap_or(&self.name)
    }

    /// Profile of its settings, which a worker knows it by.
    pub(crate) fn profile(&self) -> &str {
        self.settings.profile.as_deref().unwrap_or(&self.name)
    }

    /// Place of its service, by which a worker knows that it means the same one.
    pub(crate) fn place_of_service(&self) -> String {
        match &self.destination {
            Destination::Service(endpoint) => endpoint.place(),
            Destination::Sandbox => String::new(),
        }
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

    /// Key of the lock that lets one run at a time use the account, across all journals and all machines. A bare token does not name its
    /// account: two are told apart by `--account` only, and otherwise share a key. The sandbox has no key, because it is this process's own.
    pub(crate) fn lock_key(&self) -> Option<String> {
        let Destination::Service(endpoint) = &self.destination else { return None };
        let identity = self.credentials.as_ref().and_then(|credentials| credentials.identity());
        match &self.venue {
            // As long as none was heard, those that are asked by way of workers are told apart by their names.
            Venue::Workers(WorkersOfAccount { key, .. }) => {
                Some(key.clone().unwrap_or_else(|| account_key(endpoint, Some(self.account()))))
            }
            Venue::Service(_) | Venue::Sandbox(_) => {
                Some(account_key(endpoint, identity.or(self.settings.account.as_deref())))
            }
        }
    }

    /// Key that tells the account from the others of its plan, where bare tokens are told apart by their targets.
    pub(super) fn key_in_plan(&self) -> Option<String> {
        let identity = self.credentials.as_ref().and_then(|credentials| credentials.identity());
        let is_told_apart = identity.is_some() || self.settings.account.is_some();
        let name = if is_told_apart { "" } else { &self.name };
        Some(format!("{}\n{name}", self.lock_key()?))
    }
}

/// Key of an account, the same on all machines: a digest of its endpoint and its identity.
pub(crate) fn account_key(endpoint: &Endpoint, identity: Option<&str>) -> String {
    name_digest(&format!("{}\n{}", endpoint.place(), identity.unwrap_or_default()))
}

fn found(settings: &Settings, one_of_several: bool) -> Result<Option<FoundCredentials>, CommandError> {
    if settings.via == Some(Via::Worker) {
        return Ok(None);
    }
    let spec = chain::spec::Spec { one_of_several, ..settings.credentials.clone() };
    Ok(chain::find(&spec, &settings.transport, &|name| std::env::var_os(name))?)
}

/// Workers that make the requests of an account; `None` if they leave from here.
fn workers(
    context: &Context,
    settings: &Settings,
    (name, endpoint): (&str, &Endpoint),
    found: Option<&FoundCredentials>,
) -> Result<Option<WorkersOfAccount>, CommandError> {
    let is_here = found.is_some_and(|found| !found.is_last_resort);
    if settings.via == Some(Via::Here) || is_here || !is_set(&context.settings) {
        return if settings.via == Some(Via::Worker) {
            Err(CommandError::WorkersWithoutServers(name.to_owned()))
        } else {
            Ok(None)
        };
    }
    let Some(hands) = context.logs.hands()? else { return Ok(None) };
    let profile = settings.profile.as_deref().unwrap_or(name);
    let key = hands.workers().iter().find_map(|worker| worker.serves(profile, &endpoint.place())).cloned();
    let key = key.map(|served| served.key);
    if key.is_none() && settings.via == Some(Via::Worker) {
        context.console.warn(&format!("no worker that serves `{profile}` at {endpoint} is heard yet"));
    }
    let is_elsewhere = key.is_some() || settings.via == Some(Via::Worker);
    Ok(is_elsewhere.then_some(WorkersOfAccount { hands, key }))
}

fn tell_found(console: Console, (name, endpoint): (&str, &Endpoint), found: &FoundCredentials) {
    for warning in &found.warnings {
        console.warn(warning);
    }
    diagnostics::decided(|| {
        let origin = found.credentials.origin();
        format!("account `{name}` at {endpoint} takes its credentials from {origin}")
    });
}
