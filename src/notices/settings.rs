//! Receivers of notices as settings name them: tables `[notify.NAME]`, checked without asking anybody.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::notice::Occasion;
use crate::model::words::nearest;
use crate::transport::address::Address;
use crate::transport::endpoint::{BadEndpoint, Endpoint};

/// Receiver as a settings file names it.
#[derive(Clone, Debug)]
pub(crate) struct ReceiverSettings {
    pub(crate) name: String,
    /// Occasions that it is told of.
    pub(crate) on: Vec<Occasion>,
    pub(crate) channel: Channel,
}

/// Way of a notice to its receiver.
#[derive(Clone, Debug)]
pub(crate) enum Channel {
    Webhook {
        format: WebhookFormat,
        url: SecretSetting,
        secret: Option<SecretSetting>,
    },
    /// Topic of the vendor's notification service.
    Smn(Topic),
    /// Command for the shell, which reads the document on standard input.
    Command(String),
    /// Dead-man's switch, which raises the alarm when nothing comes.
    Ping {
        url: SecretSetting,
    },
}

/// Secret as a settings file has it: its key there, and the place that the key names.
#[derive(Clone, Debug)]
pub(crate) struct SecretSetting {
    pub(crate) key: &'static str,
    pub(crate) place: SecretPlace,
}

/// Form and signature that the receiver of a webhook expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WebhookFormat {
    Generic,
    Slack,
    Feishu,
    Dingtalk,
}

impl WebhookFormat {
    const ALL: [WebhookFormat; 4] =
        [WebhookFormat::Generic, WebhookFormat::Slack, WebhookFormat::Feishu, WebhookFormat::Dingtalk];

    pub(crate) fn name(self) -> &'static str {
        match self {
            WebhookFormat::Generic => "generic",
            WebhookFormat::Slack => "slack",
            WebhookFormat::Feishu => "feishu",
            WebhookFormat::Dingtalk => "dingtalk",
        }
    }
}

/// Place of a secret. A URL is one: whoever knows it can write to it.
#[derive(Clone, Debug)]
pub(crate) enum SecretPlace {
    /// In the settings file itself, which is allowed for a URL alone.
    Given(SecretString),
    Variable(String),
    File(PathBuf),
}

/// Topic by its URN: `urn:smn:REGION:PROJECT:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) urn: String,
    pub(crate) project: String,
    /// Service of the topic's region, unless the settings name another.
    pub(crate) endpoint: Endpoint,
}

const KIND: &str = "kind";
/// Key of the occasions.
pub(crate) const ON: &str = "on";
const URL: [&str; 3] = ["url", "url_env", "url_file"];
const SECRET: [&str; 2] = ["secret_env", "secret_file"];

/// Kind of a receiver.
#[derive(Clone, Copy)]
enum ChannelKind {
    Webhook,
    Smn,
    Command,
    Ping,
}

impl ChannelKind {
    const ALL: [ChannelKind; 4] = [ChannelKind::Webhook, ChannelKind::Smn, ChannelKind::Command, ChannelKind::Ping];

    fn name(self) -> &'static str {
        match self {
            ChannelKind::Webhook => "webhook",
            ChannelKind::Smn => "smn",
            ChannelKind::Command => "command",
            ChannelKind::Ping => "ping",
        }
    }

    /// Keys beside `kind` and `on`.
    fn keys(self) -> &'static [&'static str] {
        match self {
            ChannelKind::Webhook => &["format", URL[0], URL[1], URL[2], SECRET[0], SECRET[1]],
            ChannelKind::Smn => &["topic_urn", "endpoint"],
            ChannelKind::Command => &["command"],
            ChannelKind::Ping => &URL,
        }
    }
}

/// Longest name of a variable: a longer text is rather a secret.
const LONGEST_NAME: usize = 64;

impl ReceiverSettings {
    /// Reads the table of a receiver. Relative paths begin at the folder of the settings file. An error repeats no value that could be
    /// a secret.
    pub(crate) fn read(name: &str, values: &BTreeMap<String, String>, folder: &Path) -> Result<Self, String> {
        let table = Table { values, folder };
        let names = ChannelKind::ALL.map(ChannelKind::name);
        let text = values.get(KIND).ok_or_else(|| format!("`{KIND}` is missing: {}", one_of(&names)))?;
        let kind = ChannelKind::ALL.into_iter().find(|kind| kind.name() == text);
        let kind = kind.ok_or_else(|| format!("`{KIND}` is {}", none_of(text, &names)))?;
        let own = kind.keys();
        if let Some(other) =
            values.keys().find(|key| ![KIND, ON].contains(&key.as_str()) && !own.contains(&key.as_str()))
        {
            return Err(format!("`{other}` is no key of the kind `{}`, which has {}", kind.name(), own.join(", ")));
        }
        let channel = match kind {
            ChannelKind::Webhook => table.webhook()?,
            ChannelKind::Smn => Channel::Smn(table.topic()?),
            ChannelKind::Command => Channel::Command(table.command()?),
            ChannelKind::Ping => Channel::Ping { url: table.url()? },
        };
        let on = table.occasions(&channel)?;
        Ok(Self { name: name.to_owned(), on, channel })
    }

    /// Kind, with the form of a webhook.
    pub(crate) fn kind(&self) -> String {
        match &self.channel {
            Channel::Webhook { format, .. } => format!("webhook ({})", format.name()),
            Channel::Smn(_) => "smn".to_owned(),
            Channel::Command(_) => "command".to_owned(),
            Channel::Ping { .. } => "ping".to_owned(),
        }
    }

    /// Destination, as far as it is no secret.
    pub(crate) fn destination(&self) -> String {
        match &self.channel {
            Channel::Webhook { url, .. } | Channel::Ping { url } => url.place.to_string(),
            Channel::Smn(topic) => format!("{} at {}", topic.urn, topic.endpoint),
            Channel::Command(_) => "a command".to_owned(),
        }
    }

    /// Names of the variables that hold its secrets.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        let places = match &self.channel {
            Channel::Webhook { url, secret, .. } => [Some(url), secret.as_ref()],
            Channel::Ping { url } => [Some(url), None],
            Channel::Smn(_) | Channel::Command(_) => [None, None],
        };
        places.into_iter().flatten().filter_map(|of| match &of.place {
            SecretPlace::Variable(name) => Some(name.as_str()),
            SecretPlace::Given(_) | SecretPlace::File(_) => None,
        })
    }
}

impl std::fmt::Display for SecretPlace {
    /// Shows the host of an address that is given, and where any other is to be found.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SecretPlace::Given(text) => {
                use secrecy::ExposeSecret as _;
                let host = text.expose_secret().parse().map_or_else(|_| "?".to_owned(), |url: Address| url.host());
                write!(f, "{host}/…")
            }
            SecretPlace::Variable(name) => write!(f, "the address in {name}"),
            SecretPlace::File(path) => write!(f, "the address in `{}`", path.display()),
        }
    }
}

/// Values of one receiver.
struct Table<'a> {
    values: &'a BTreeMap<String, String>,
    folder: &'a Path,
}

impl Table<'_> {
    fn needed(&self, key: &str) -> Result<&str, String> {
        let text = self.values.get(key).ok_or_else(|| format!("`{key}` is missing"))?;
        if text.trim().is_empty() { Err(format!("`{key}` is empty")) } else { Ok(text) }
    }

    fn command(&self) -> Result<String, String> {
        let command = self.needed("command")?;
        if command.contains('\0') {
            Err("`command` has a null character in it".to_owned())
        } else {
            Ok(command.to_owned())
        }
    }

    fn webhook(&self) -> Result<Channel, String> {
        let format = match self.values.get("format") {
            None => WebhookFormat::Generic,
            Some(text) => WebhookFormat::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| {
                format!("`format` is {}", none_of(text, &WebhookFormat::ALL.map(WebhookFormat::name)))
            })?,
        };
        let secret = self.place(&SECRET)?;
        if secret.is_some() && format == WebhookFormat::Slack {
            return Err("a webhook of Slack checks no signature: its URL is the secret".to_owned());
        }
        Ok(Channel::Webhook { format, url: self.url()?, secret })
    }

    fn url(&self) -> Result<SecretSetting, String> {
        self.place(&URL)?.ok_or_else(|| format!("none of {} is there", quoted(&URL)))
    }

    /// Reads the one of these keys that is there; two of them are an error.
    fn place(&self, keys: &[&'static str]) -> Result<Option<SecretSetting>, String> {
        let mut there = keys.iter().copied().filter(|key| self.values.contains_key(*key));
        let Some(key) = there.next() else { return Ok(None) };
        if let Some(other) = there.next() {
            return Err(format!("both `{key}` and `{other}` are there"));
        }
        let text = self.needed(key)?;
        let place = if key.ends_with("_env") {
            let is_name = text.len() <= LONGEST_NAME
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && !text.starts_with(|first: char| first.is_ascii_digit());
            if !is_name {
                return Err(format!("`{key}` is to be the name of a variable, and what it has is not repeated here"));
            }
            SecretPlace::Variable(text.to_owned())
        } else if key.ends_with("_file") {
            SecretPlace::File(self.folder.join(text))
        } else {
            text.parse::<Address>().map_err(|bad| format!("`{key}` {bad}"))?;
            SecretPlace::Given(SecretString::from(text))
        };
        Ok(Some(SecretSetting { key, place }))
    }

    /// source: support.huaweicloud.com/api-smn/PublishMessage.html (the URN of a topic); huaweicloud-sdk-python-v3
    /// `huaweicloudsdksmn/v2/region/smn_region.py` (hosts).
    fn topic(&self) -> Result<Topic, String> {
        let urn = self.needed("topic_urn")?;
        let is_part = |part: &&str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        let parts: Vec<&str> = urn.split(':').filter(is_part).collect();
        let [_, _, region, project, _] = parts[..] else {
            return Err("`topic_urn` is not urn:smn:REGION:PROJECT:NAME".to_owned());
        };
        if !urn.starts_with("urn:smn:") || urn.split(':').count() != parts.len() {
            return Err("`topic_urn` is not urn:smn:REGION:PROJECT:NAME".to_owned());
        }
        let named = self.values.get("endpoint");
        let own = || format!("https://smn.{region}.myhuaweicloud.com");
        let endpoint =
            named.cloned().unwrap_or_else(own).parse().map_err(|bad: BadEndpoint| format!("`endpoint`: {bad}"))?;
        Ok(Topic { urn: urn.to_owned(), project: project.to_owned(), endpoint })
    }

    /// Reads the occasions; without them all that the channel has words for.
    fn occasions(&self, channel: &Channel) -> Result<Vec<Occasion>, String> {
        let known: Vec<Occasion> = match channel {
            // It knows a start, a failure and an end.
            Channel::Ping { .. } => vec![Occasion::Start, Occasion::Halt, Occasion::End],
            Channel::Webhook { .. } | Channel::Smn(_) | Channel::Command(_) => Occasion::CHOICES.to_vec(),
        };
        let Some(text) = self.values.get(ON) else { return Ok(known) };
        let names: Vec<&str> = known.iter().map(|occasion| occasion.name()).collect();
        let read = |name: &str| {
            let found = known.iter().find(|occasion| occasion.name() == name);
            found.copied().ok_or_else(|| format!("`{ON}` has {}", none_of(name, &names)))
        };
        let on: Vec<Occasion> = text.split(',').map(str::trim).map(read).collect::<Result<_, _>>()?;
        Ok(on)
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn one_of(names: &[&str]) -> String {
    format!("one of {}", names.join(", "))
}

/// Says what a word should have been. A long one is not repeated: it may be a secret in the wrong place.
fn none_of(word: &str, names: &[&str]) -> String {
    let is_word = word.len() <= 32 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let shown = if is_word { format!("`{word}`") } else { "a word".to_owned() };
    let near =
        nearest(word, names.iter().copied()).map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
    format!("{shown}, and has to be {}{near}", one_of(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(table: &str) -> Result<ReceiverSettings, String> {
        let table: toml::Table = table.parse().unwrap();
        let values = table.into_iter().map(|(key, value)| (key, value.as_str().unwrap().to_owned())).collect();
        ReceiverSettings::read("ops", &values, Path::new("/etc/cutover"))
    }

    #[test]
    fn each_kind_has_its_keys() {
        let all = |table: &str| {
            let read = read(table).unwrap();
            let on: Vec<&str> = read.on.iter().map(|on| on.name()).collect();
            format!("{}: {}: {}", read.kind(), read.destination(), on.join(" "))
        };
        for (table, told) in [
            (
                "kind = 'webhook'\nurl = 'https://hooks.example.org/T0/hunter2'",
                "webhook (generic): hooks.example.org/…: start waiting halt end",
            ),
            (
                "kind = 'webhook'\nformat = 'feishu'\nurl_env = 'OPS_URL'\nsecret_file = 'key'\non = 'halt, end'",
                "webhook (feishu): the address in OPS_URL: halt end",
            ),
            (
                "kind = 'smn'\ntopic_urn = 'urn:smn:ap-southeast-3:f961:ops'",
                "smn: urn:smn:ap-southeast-3:f961:ops at https://smn.ap-southeast-3.myhuaweicloud.com: start waiting halt end",
            ),
            ("kind = 'command'\ncommand = 'logger hunter2'\non = 'end'", "command: a command: end"),
            ("kind = 'ping'\nurl_file = 'ping'", "ping: the address in `/etc/cutover/ping`: start halt end"),
        ] {
            assert_eq!(all(table), told);
        }
    }

    #[test]
    fn what_is_wrong_with_a_table_is_said_without_its_secrets() {
        for (table, problem) in [
            ("", "`kind` is missing: one of webhook, smn, command, ping"),
            (
                "kind = 'webhok'",
                "`kind` is `webhok`, and has to be one of webhook, smn, command, ping (did you mean `webhook`?)",
            ),
            ("kind = 'webhook'", "none of `url`, `url_env`, `url_file` is there"),
            (
                "kind = 'webhook'\nurl = 'http://hooks.example.org/hunter2'",
                "`url` is http://, which is for loopback only",
            ),
            ("kind = 'webhook'\nurl_env = 'https://x/hunter2'", "`url_env` is to be the name of a variable"),
            ("kind = 'webhook'\nurl_env = 'A'\nurl_file = 'b'", "both `url_env` and `url_file` are there"),
            ("kind = 'webhook'\nformat = 'slak'\nurl_env = 'A'", "`format` is `slak`, and has to be one of generic"),
            (
                "kind = 'webhook'\nformat = 'slack'\nurl_env = 'A'\nsecret_env = 'B'",
                "a webhook of Slack checks no signature",
            ),
            (
                "kind = 'ping'\nurl_env = 'A'\nsecret_env = 'B'",
                "`secret_env` is no key of the kind `ping`, which has url,",
            ),
            (
                "kind = 'ping'\nurl_env = 'A'\non = 'waiting'",
                "`on` has `waiting`, and has to be one of start, halt, end",
            ),
            ("kind = 'smn'\ntopic_urn = 'urn:smn:x:y'", "`topic_urn` is not urn:smn:REGION:PROJECT:NAME"),
            ("kind = 'smn'\ntopic_urn = 'urn:smn::a:b:c'", "`topic_urn` is not urn:smn:REGION:PROJECT:NAME"),
            ("kind = 'command'\ncommand = ' '", "`command` is empty"),
        ] {
            let error = read(table).unwrap_err();
            assert!(error.starts_with(problem) && !error.contains("hunter2"), "{error}");
        }
    }
}
