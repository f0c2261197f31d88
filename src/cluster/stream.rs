//! The stream of a run: its names, its settings, and what differs in one that is there already.

use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{
    Compression, Config, DiscardPolicy, Info, LastRawMessageErrorKind, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{self, ErrorCode};
use serde_json::Value;

use super::message::LARGEST;

/// Version of the names, settings and subjects of a stream, as its metadata have it.
const FORMAT: (&str, &str) = ("cutover.format", "1");

/// Names of a run's stream and of its subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) stream: String,
    /// Commits of every lane. One writer at a time, which no other subject has.
    pub(super) log: String,
    /// The run as it was made, in parts that are numbered.
    plan: String,
    /// Commands to the launch.
    pub(super) say: String,
    /// Signs of life of whoever leads the run, which are not stored.
    pub(super) beat: String,
    /// Signs of life of whoever has claimed its accounts and is about to lead it, which are not stored either.
    pub(super) prepare: String,
}

impl Names {
    /// Returns the names for the id of a run, which has no character that means something in a subject.
    pub(super) fn of_run(id: &str) -> Self {
        let of = |what: &str| format!("cutover.{id}.{what}");
        Self {
            stream: format!("cutover-{id}"),
            log: of("log"),
            plan: of("plan.*"),
            say: of("say"),
            beat: of("beat"),
            prepare: of("prepare"),
        }
    }

    /// Returns the id of the run that a stream of this name belongs to.
    pub(super) fn run_of(stream: &str) -> Option<&str> {
        stream.strip_prefix("cutover-")
    }

    /// Returns the subjects of the run as it was made, as a pattern.
    pub(super) fn parts(&self) -> &str {
        &self.plan
    }

    /// Returns the subject of a part of the run as it was made.
    pub(super) fn part(&self, part: u32) -> String {
        self.plan.replace('*', &part.to_string())
    }

    /// Returns the number of the part that has this subject.
    pub(super) fn part_of(&self, subject: &str) -> Option<u32> {
        let part = subject.strip_prefix(self.plan.strip_suffix('*')?)?.parse().ok()?;
        (self.part(part) == subject).then_some(part)
    }

    /// Returns the settings of the stream. It keeps everything, and refuses what it has no room for.
    fn settings(&self, n_replicas: usize) -> Config {
        Config {
            name: self.stream.clone(),
            subjects: vec![self.plan.clone(), self.log.clone(), self.say.clone()],
            storage: StorageType::File,
            num_replicas: n_replicas,
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::New,
            deny_delete: true,
            deny_purge: true,
            compression: Some(Compression::S2),
            metadata: [FORMAT].map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Config::default()
        }
    }
}

/// Setting of a stream, named as NATS names it, that is not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrongSetting {
    setting: String,
    wanted: Value,
    found: Value,
}

impl std::fmt::Display for WrongSetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let WrongSetting { setting, wanted, found } = self;
        write!(f, "{setting} is {found} and has to be {wanted}")
    }
}

/// Reason for which a run has no stream to write to.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoStream {
    #[error("the stream `{stream}` is not one that keeps a run: {}", told(differences))]
    Differs { stream: String, differences: Vec<WrongSetting> },
    #[error("the server takes messages of {taken} bytes at most, and a commit has up to {LARGEST} and its headers")]
    SmallMessages { taken: usize },
    /// The server refused, or was not to be reached.
    #[error("the stream `{stream}` could not be set up")]
    Unmade {
        stream: String,
        #[source]
        source: async_nats::Error,
    },
}

/// Tells of settings that are not as they have to be.
pub(super) fn told(differences: &[WrongSetting]) -> String {
    differences.iter().map(WrongSetting::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns the stream of a run, which is made if there is none. One that is there has to have all its settings.
pub(super) async fn set_up(
    jetstream: &jetstream::Context,
    names: &Names,
    n_replicas: usize,
) -> Result<Stream, NoStream> {
    let taken = jetstream.client().max_payload();
    if taken < LARGEST + 4096 {
        return Err(NoStream::SmallMessages { taken });
    }
    set_up_as(jetstream, &names.settings(n_replicas)).await
}

/// Returns the stream with these settings, which is made if there is none of its name.
pub(super) async fn set_up_as(jetstream: &jetstream::Context, wanted: &Config) -> Result<Stream, NoStream> {
    let stream = wanted.name.clone();
    let unmade = |source| NoStream::Unmade { stream: stream.clone(), source };
    let found = match find_named(jetstream, &stream).await.map_err(|error| unmade(error.into()))? {
        Some(found) => found,
        None => jetstream.create_stream(wanted.clone()).await.map_err(|error| unmade(error.into()))?,
    };
    let differences = differences(wanted, &found.cached_info().config);
    if differences.is_empty() { Ok(found) } else { Err(NoStream::Differs { stream, differences }) }
}

/// Returns the stream of a run as it is, if there is one.
pub(super) async fn find(jetstream: &jetstream::Context, names: &Names) -> Result<Option<Stream>, GetStreamError> {
    find_named(jetstream, &names.stream).await
}

/// Returns the stream of this name as it is, if there is one.
pub(super) async fn find_named(jetstream: &jetstream::Context, name: &str) -> Result<Option<Stream>, GetStreamError> {
    match jetstream.get_stream(name).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(why) if why.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            GetStreamErrorKind::JetStream(_)
            | GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::InvalidStreamName
            | GetStreamErrorKind::Request => Err(error),
        },
    }
}

/// Returns the last message of a subject, from the server that leads the stream.
pub(super) async fn last_of(stream: &Stream, subject: &str) -> Result<Option<StreamMessage>, async_nats::Error> {
    match stream.get_last_raw_message_by_subject(subject).await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Settings that say nothing about what the stream keeps.
const FREE: [&str; 4] = ["consumer_limits", "description", "duplicate_window", "placement"];

/// Returns the settings of a stream that are not as they have to be, by name.
fn differences(wanted: &Config, found: &Config) -> Vec<WrongSetting> {
    let settings = |config: &Config| match serde_json::to_value(config) {
        Ok(Value::Object(settings)) => settings,
        other => unreachable!("settings are an object: {other:?}"),
    };
    let (wanted, found) = (settings(wanted), settings(found));
    let mut names: Vec<&String> = wanted.keys().chain(found.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let of = |settings: &serde_json::Map<String, Value>, name: &str| plain(name, settings.get(name));
    let differs = |name: &String| {
        let (wanted, found) = (of(&wanted, name), of(&found, name));
        (wanted != found).then(|| WrongSetting { setting: name.clone(), wanted, found })
    };
    names.into_iter().filter(|name| !FREE.contains(&name.as_str())).filter_map(differs).collect()
}

/// Returns a value in one spelling: a setting that is off is left out, is null, or has a number that stands for none.
fn plain(name: &str, value: Option<&Value>) -> Value {
    match (name, value) {
        (_, None | Some(Value::Bool(false))) => Value::Null,
        ("compression", Some(Value::String(none))) if none == "none" => Value::Null,
        (
            "max_msgs" | "max_bytes" | "max_msgs_per_subject" | "max_msg_size" | "max_consumers" | "max_age",
            Some(limit),
        ) if limit.as_i64().is_some_and(|limit| limit <= 0) => Value::Null,
        // The server adds its own.
        ("metadata", Some(Value::Object(metadata))) => metadata.get(FORMAT.0).cloned().unwrap_or(Value::Null),
        ("subjects", Some(Value::Array(subjects))) => {
            let mut subjects: Vec<&str> = subjects.iter().filter_map(Value::as_str).collect();
            subjects.sort_unstable();
            subjects.into()
        }
        (_, Some(value)) => value.clone(),
    }
}

/// Number of messages that a stream has lost at its beginning.
pub(super) fn n_trimmed(info: &Info) -> u64 {
    match info.state {
        ref state if state.last_sequence == 0 => 0,
        ref state => state.first_sequence.saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Config);

    /// Settings as a server has them after they were set.
    fn kept(settings: &Config) -> Config {
        Config {
            max_messages: -1,
            max_bytes: -1,
            max_messages_per_subject: -1,
            max_message_size: -1,
            max_consumers: -1,
            duplicate_window: std::time::Duration::from_mins(2),
            metadata: [("cutover.format", "1"), ("_nats.ver", "2.15.1")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..settings.clone()
        }
    }

    #[test]
    fn a_stream_that_is_set_otherwise_is_named_setting_by_setting() {
        let wanted = Names::of_run("20261128t130000-ab12").settings(3);
        assert_eq!(differences(&wanted, &kept(&wanted)), []);
        let changes: [(Change, &str); 14] = [
            (|settings| settings.storage = StorageType::Memory, "storage is \"memory\" and has to be \"file\""),
            (|settings| settings.num_replicas = 1, "num_replicas is 1 and has to be 3"),
            (
                |settings| settings.retention = RetentionPolicy::WorkQueue,
                "retention is \"workqueue\" and has to be \"limits\"",
            ),
            (|settings| settings.discard = DiscardPolicy::Old, "discard is \"old\" and has to be \"new\""),
            (|settings| settings.deny_delete = false, "deny_delete is null and has to be true"),
            (|settings| settings.deny_purge = false, "deny_purge is null and has to be true"),
            (|settings| settings.allow_direct = true, "allow_direct is true and has to be null"),
            (|settings| settings.allow_rollup = true, "allow_rollup_hdrs is true and has to be null"),
            (|settings| settings.no_ack = true, "no_ack is true and has to be null"),
            (|settings| settings.compression = Some(Compression::None), "compression is null and has to be \"s2\""),
            (|settings| settings.max_messages = 9, "max_msgs is 9 and has to be null"),
            (
                |settings| settings.max_age = std::time::Duration::from_secs(1),
                "max_age is 1000000000 and has to be null",
            ),
            (|settings| settings.metadata.clear(), "metadata is null and has to be \"1\""),
            (
                |settings| settings.subjects.truncate(1),
                "subjects is [\"cutover.20261128t130000-ab12.plan.*\"] and has to be \
                 [\"cutover.20261128t130000-ab12.log\",\"cutover.20261128t130000-ab12.plan.*\",\
                 \"cutover.20261128t130000-ab12.say\"]",
            ),
        ];
        for (change, named) in changes {
            let mut found = kept(&wanted);
            change(&mut found);
            assert_eq!(told(&differences(&wanted, &found)), named);
        }
    }
}
