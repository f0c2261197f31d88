//! Receiver with all that it takes to reach it, and one try.

use std::path::Path;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::command::Command;
use super::notice::{Notice, Occasion};
use super::ping::Ping;
use super::posting;
use super::settings::{Channel, Place, ReceiverSettings};
use super::smn::{OfRun, Smn};
use super::webhook::Webhook;
use crate::child::environment::Withheld;
use crate::credentials::identity::Credentials;
use crate::credentials::variables::{self, Environment};
use crate::transport::address::Address;
use crate::transport::secrets::guarded::Guarded;
use crate::transport::settings::TransportSettings;

/// Facts that receivers need beside their settings.
pub(crate) struct Surroundings<'a> {
    pub(crate) transport: &'a TransportSettings,
    pub(crate) environment: Environment<'a>,
    /// Variables with secrets, which no command gets.
    pub(crate) secret_variables: Vec<String>,
    /// Credentials for the vendor's notification service, until the run has its own; else the reason for which there are none.
    pub(crate) credentials: &'a dyn Fn() -> Result<Arc<Credentials>, String>,
    pub(crate) of_run: &'a OfRun,
}

/// Receiver that is ready to be written to, or the reason for which it is not.
pub(crate) struct Receiver {
    pub(crate) name: String,
    on: Vec<Occasion>,
    route: Result<Route, String>,
}

enum Route {
    Webhook(Webhook),
    Smn(Smn),
    Command(Command),
    Ping(Ping),
}

impl Receiver {
    /// Reads the secrets of a receiver and sets up the way to it. What fails is the outcome of each of its notices.
    pub(crate) fn open(settings: &ReceiverSettings, around: &Surroundings<'_>) -> Self {
        let ReceiverSettings { name, on, channel } = settings;
        Self { name: name.clone(), on: on.clone(), route: route(channel, around) }
    }

    pub(crate) fn wants(&self, about: Occasion) -> bool {
        about == Occasion::Test || self.on.contains(&about)
    }

    /// Reason for which it cannot be written to, whatever is tried.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.route.as_ref().err().map(String::as_str)
    }

    /// Tries once. An error says what became of it, without secrets and on one line.
    pub(crate) async fn send(&self, notice: &Notice) -> Result<(), String> {
        match self.route.as_ref().map_err(Clone::clone)? {
            Route::Webhook(webhook) => webhook.send(notice).await,
            Route::Smn(smn) => smn.send(notice).await,
            Route::Command(command) => command.send(notice).await,
            Route::Ping(ping) => ping.send(notice).await,
        }
    }
}

fn route(channel: &Channel, around: &Surroundings<'_>) -> Result<Route, String> {
    let way =
        |address: &Address| posting::transport(address.endpoint(), around.transport).map_err(|error| error.to_string());
    Ok(match channel {
        Channel::Webhook { format, url, secret } => {
            let address = address(url, around)?;
            let secret = secret.as_ref().map(|place| text_of(place, around)).transpose()?.map(Guarded::new);
            Route::Webhook(Webhook { format: *format, transport: way(&address)?, address, secret })
        }
        Channel::Ping { url } => {
            let address = address(url, around)?;
            Route::Ping(Ping { transport: way(&address)?, address })
        }
        Channel::Smn(topic) => {
            let transport = posting::transport(&topic.endpoint, around.transport).map_err(|error| error.to_string())?;
            let (of_run, found) = (Arc::clone(around.of_run), (around.credentials)());
            Route::Smn(Smn { topic: topic.clone(), transport, of_run, found })
        }
        Channel::Command(command) => Route::Command(Command {
            command: command.clone(),
            withheld: Withheld::new(around.secret_variables.clone()),
        }),
    })
}

fn address(place: &Place, around: &Surroundings<'_>) -> Result<Address, String> {
    let text = text_of(place, around)?;
    text.expose_secret().parse().map_err(|bad| format!("{place} {bad}"))
}

/// Reads a secret: a variable, as credentials have it, or the first line of a file. A line break at its end, as shells and editors leave it, is dropped.
fn text_of(place: &Place, around: &Surroundings<'_>) -> Result<SecretString, String> {
    match place {
        Place::Given(text) => Ok(text.clone()),
        Place::Variable(name) => {
            let found = variables::look_up(name, around.environment).map_err(|error| error.to_string())?;
            let text = found.ok_or_else(|| format!("{name} is not set"))?.text;
            Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
        }
        Place::File(path) => first_line(path),
    }
}

fn first_line(path: &Path) -> Result<SecretString, String> {
    let line = crate::texts::first_line_of_secret(path)
        .map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
    if line.expose_secret().is_empty() { Err(format!("`{}` is empty", path.display())) } else { Ok(line) }
}
