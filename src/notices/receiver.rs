//! Receiver with all that it takes to reach it, and one try.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::command::NoticeCommand;
use super::notice::{Notice, Occasion};
use super::patience::{FailedTry, ReceiverPatience};
use super::ping::Ping;
use super::posting;
use super::settings::{Channel, ReceiverSettings, SecretPlace, SecretSetting, WebhookFormat};
use super::smn::{OfRun, Smn};
use super::webhook::{SigningKey, Webhook};
use crate::child::environment::Withheld;
use crate::credentials::fitness;
use crate::credentials::identity::Credentials;
use crate::credentials::variables;
use crate::transport::address::Address;
use crate::transport::proxy::Environment;
use crate::transport::secrets::guarded::Guarded;
use crate::transport::settings::TransportSettings;

/// Facts that receivers need beside their settings.
pub(crate) struct Surroundings<'a> {
    pub(crate) transport: &'a TransportSettings,
    pub(crate) environment: Environment<'a>,
    /// Variables that no command gets.
    pub(crate) withheld: &'a Withheld,
    /// Credentials for the vendor's notification service, until the run has its own; else the reason for which there are none.
    pub(crate) credentials: &'a dyn Fn() -> Result<Arc<Credentials>, String>,
    pub(crate) of_run: &'a OfRun,
}

/// Receiver that is ready to be written to.
pub(crate) struct Receiver {
    pub(crate) name: String,
    on: Vec<Occasion>,
    route: ReceiverRoute,
}

enum ReceiverRoute {
    Webhook(Webhook),
    Smn(Smn),
    Command(NoticeCommand),
    Ping(Ping),
}

impl Receiver {
    /// Reads the secrets of a receiver and sets up the way to it. An error names a key of its table and what that names, and repeats no
    /// secret.
    pub(crate) fn open(settings: &ReceiverSettings, around: &Surroundings<'_>) -> Result<Self, String> {
        let ReceiverSettings { name, on, channel } = settings;
        Ok(Self { name: name.clone(), on: on.clone(), route: route(channel, around)? })
    }

    #[cfg(test)]
    pub(super) fn that_runs(command: &str) -> Self {
        let route =
            ReceiverRoute::Command(NoticeCommand { command: command.to_owned(), withheld: Withheld::default() });
        Self { name: "told".to_owned(), on: Occasion::CHOICES.to_vec(), route }
    }

    pub(crate) fn wants(&self, about: Occasion) -> bool {
        about == Occasion::Test || self.on.contains(&about)
    }

    /// Secrets that whoever reads its settings knows.
    pub(crate) fn secrets(&self) -> Vec<Guarded> {
        match &self.route {
            ReceiverRoute::Webhook(webhook) => webhook.secrets(),
            ReceiverRoute::Ping(ping) => ping.address.secrets(),
            ReceiverRoute::Smn(_) | ReceiverRoute::Command(_) => Vec::new(),
        }
    }

    pub(super) fn patience(&self) -> ReceiverPatience {
        match self.route {
            ReceiverRoute::Command(_) => ReceiverPatience::Commands,
            ReceiverRoute::Webhook(_) | ReceiverRoute::Smn(_) | ReceiverRoute::Ping(_) => ReceiverPatience::Requests,
        }
    }

    /// Tries once, with all the time of a try. An error says what became of it, without secrets and on one line.
    pub(crate) async fn test(&self, notice: &Notice) -> Result<(), String> {
        self.send(notice, self.patience().longest())
            .await
            .map_err(|(FailedTry::ForNow(problem) | FailedTry::CutOff(problem))| problem)
    }

    /// Tries once. A command has no longer than so.
    pub(super) async fn send(&self, notice: &Notice, within: Duration) -> Result<(), FailedTry> {
        let sent = match &self.route {
            ReceiverRoute::Webhook(webhook) => webhook.send(notice).await,
            ReceiverRoute::Smn(smn) => smn.send(notice).await,
            ReceiverRoute::Command(command) => return command.send(notice, within).await,
            ReceiverRoute::Ping(ping) => ping.send(notice).await,
        };
        sent.map_err(FailedTry::ForNow)
    }
}

fn route(channel: &Channel, around: &Surroundings<'_>) -> Result<ReceiverRoute, String> {
    let way =
        |address: &Address| posting::transport(address.endpoint(), around.transport).map_err(|error| error.to_string());
    Ok(match channel {
        Channel::Webhook { format, url, secret } => {
            let address = address(url, around)?;
            let key = secret.as_ref().map(|secret| signing_key(*format, secret, around)).transpose()?;
            ReceiverRoute::Webhook(Webhook { format: *format, transport: way(&address)?, address, key })
        }
        Channel::Ping { url } => {
            let address = address(url, around)?;
            ReceiverRoute::Ping(Ping { transport: way(&address)?, address })
        }
        Channel::Smn(topic) => {
            let transport = posting::transport(&topic.endpoint, around.transport).map_err(|error| error.to_string())?;
            let (of_run, found) = (Arc::clone(around.of_run), (around.credentials)());
            ReceiverRoute::Smn(Smn { topic: topic.clone(), transport, of_run, found })
        }
        Channel::Command(command) => {
            ReceiverRoute::Command(NoticeCommand { command: command.clone(), withheld: around.withheld.clone() })
        }
    })
}

fn address(url: &SecretSetting, around: &Surroundings<'_>) -> Result<Address, String> {
    let FoundSecret { text, place } = found(url, around)?;
    text.expose_secret().parse().map_err(|bad| format!("`{}`: {place} {bad}", url.key))
}

fn signing_key(format: WebhookFormat, secret: &SecretSetting, around: &Surroundings<'_>) -> Result<SigningKey, String> {
    let FoundSecret { text, place } = found(secret, around)?;
    SigningKey::new(format, &text).map_err(|bad| format!("`{}`: {place} {bad}", secret.key))
}

/// Secret that was found, and its place in words.
struct FoundSecret {
    text: SecretString,
    place: String,
}

/// Reads a secret as those of credentials are read: a variable, or the only line of a file.
fn found(SecretSetting { key, place }: &SecretSetting, around: &Surroundings<'_>) -> Result<FoundSecret, String> {
    let bad = |problem: String| format!("`{key}`: {problem}");
    let (text, place, is_fit) = match place {
        SecretPlace::Given(text) => return Ok(FoundSecret { text: text.clone(), place: "the address".to_owned() }),
        SecretPlace::Variable(name) => {
            let found = variables::look_up(name, around.environment).map_err(|error| bad(error.to_string()))?;
            let found = found.ok_or_else(|| bad(format!("{name} is not set, or is empty")))?;
            let is_fit = fitness::fit_for_a_password(&found.text);
            (SecretString::from(found.text.as_str()), found.told(), is_fit)
        }
        SecretPlace::File(path) => {
            let (line, place) = (crate::texts::whole_secret(path), format!("`{}`", path.display()));
            let line = line.map_err(|error| bad(format!("{place} cannot be read: {error}")))?;
            if line.expose_secret().is_empty() {
                return Err(bad(format!("{place} is empty")));
            }
            let is_fit = fitness::fit_for_a_line(line.expose_secret());
            (line, place, is_fit)
        }
    };
    is_fit.map_err(|unfit| bad(format!("{place} {unfit}")))?;
    Ok(FoundSecret { text, place })
}
