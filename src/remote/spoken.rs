//! Requests to the service and their results, as a launch hands them to a worker and the worker hands them back.
//!
//! The form is read by other versions of the program: fields are added, and none changes its meaning. What is not known is passed over.

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(feature = "cluster")]
use super::service::Reply;
use super::service::{Listed, Page, Read, SourceShown};
use crate::credentials::error::CredentialsError;
use crate::credentials::identity::{Generation, Renewal};
use crate::event::outcome::Outcome;
use crate::model::SourceId;
use crate::model::state::{SeenState, TargetState};
use crate::transport::client::Connection;

/// Request that a worker is to make.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "asks", rename_all = "snake_case")]
pub(super) enum SpokenQuestion {
    Ready,
    Renew { generation: u64 },
    Put { source: String, sends: TargetState, anew: bool },
    Show { source: String, anew: bool },
    Page { offset: u32, anew: bool },
}

impl SpokenQuestion {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a question is plain data")
    }
}

/// Tells whether a request is to travel over a connection that nothing was sent over before.
pub(super) fn is_anew(connection: Connection) -> bool {
    match connection {
        Connection::Any => false,
        Connection::New => true,
    }
}

#[cfg(feature = "cluster")]
pub(super) fn connection(anew: bool) -> Connection {
    if anew { Connection::New } else { Connection::Any }
}

/// Answer to [`SpokenQuestion::Ready`].
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SpokenReadiness {
    /// Reason for which there are no credentials; nothing if there are.
    #[serde(default)]
    error: Option<String>,
    /// True if asking again may help.
    #[serde(default)]
    again: bool,
}

impl SpokenReadiness {
    #[cfg(feature = "cluster")]
    pub(super) fn new(ready: Result<(), CredentialsError>) -> Self {
        match ready {
            Ok(()) => Self { error: None, again: false },
            Err(error) => {
                let again = matches!(error, CredentialsError::Unreachable { .. });
                Self { error: Some(error.to_string()), again }
            }
        }
    }

    pub(super) fn into_ready(self, worker: &str) -> Result<(), CredentialsError> {
        let origin = format!("worker {worker}");
        match self.error {
            None => Ok(()),
            Some(reason) if self.again => Err(CredentialsError::Unreachable { origin, reason }),
            Some(reason) => Err(CredentialsError::Denied { origin, reason }),
        }
    }
}

/// Answer to [`SpokenQuestion::Renew`].
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SpokenRenewal {
    renewed: bool,
    #[serde(default)]
    reason: Option<String>,
}

impl From<Renewal> for SpokenRenewal {
    fn from(renewal: Renewal) -> Self {
        match renewal {
            Renewal::Renewed => Self { renewed: true, reason: None },
            Renewal::Refused(reason) => Self { renewed: false, reason },
        }
    }
}

impl From<SpokenRenewal> for Renewal {
    fn from(spoken: SpokenRenewal) -> Self {
        if spoken.renewed { Renewal::Renewed } else { Renewal::Refused(spoken.reason) }
    }
}

/// Result of one request, of whichever kind.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SpokenResult<T> {
    pub(super) value: T,
    #[serde(default)]
    request_id: Option<String>,
    took_ms: u64,
    generation: u64,
}

impl<T> SpokenResult<T> {
    #[cfg(feature = "cluster")]
    pub(super) fn of_read<U>(read: Read<U>, spoken: impl FnOnce(U) -> T) -> Self {
        let Read { value, request_id, took, generation } = read;
        Self { value: spoken(value), request_id, took_ms: millis(took), generation: generation.number() }
    }

    pub(super) fn into_read<U>(
        self,
        value: impl FnOnce(T) -> U,
        generation: impl FnOnce(u64) -> Generation,
    ) -> Read<U> {
        let Self { value: spoken, request_id, took_ms, generation: number } = self;
        let took = Duration::from_millis(took_ms);
        Read { value: value(spoken), request_id, took, generation: generation(number) }
    }
}

impl SpokenResult<Outcome> {
    #[cfg(feature = "cluster")]
    pub(super) fn of_change(reply: Reply) -> Self {
        let Reply { outcome, request_id, took, generation, via: _ } = reply;
        Self { value: outcome, request_id, took_ms: millis(took), generation: generation.number() }
    }
}

#[cfg(feature = "cluster")]
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Source as it was shown.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SpokenSource {
    Seen(SeenState),
    Absent,
    Failed(Outcome),
}

impl From<SourceShown> for SpokenSource {
    fn from(shown: SourceShown) -> Self {
        match shown {
            SourceShown::Seen(state) => Self::Seen(state),
            SourceShown::Absent => Self::Absent,
            SourceShown::Failed(outcome) => Self::Failed(outcome),
        }
    }
}

impl From<SpokenSource> for SourceShown {
    fn from(spoken: SpokenSource) -> Self {
        match spoken {
            SpokenSource::Seen(state) => Self::Seen(state),
            SpokenSource::Absent => Self::Absent,
            SpokenSource::Failed(outcome) => Self::Failed(outcome),
        }
    }
}

/// Page as it was listed.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SpokenPage {
    Page { count: u64, n_entries: usize, servers: Vec<(String, SeenState)>, contradicted: Vec<String> },
    Failed(Outcome),
}

impl From<Listed> for SpokenPage {
    fn from(listed: Listed) -> Self {
        match listed {
            Listed::Page(Page { count, n_entries, servers, contradicted }) => {
                let servers = servers.into_iter().map(|(id, state)| (id.to_string(), state)).collect();
                let contradicted = contradicted.iter().map(ToString::to_string).collect();
                Self::Page { count, n_entries, servers, contradicted }
            }
            Listed::Failed(outcome) => Self::Failed(outcome),
        }
    }
}

impl From<SpokenPage> for Listed {
    fn from(spoken: SpokenPage) -> Self {
        match spoken {
            SpokenPage::Page { count, n_entries, servers, contradicted } => {
                let id = |text: &String| SourceId::new(text).ok();
                let servers = servers.into_iter().filter_map(|(text, state)| Some((id(&text)?, state))).collect();
                let contradicted = contradicted.iter().filter_map(id).collect();
                Listed::Page(Page { count, n_entries, servers, contradicted })
            }
            SpokenPage::Failed(outcome) => Listed::Failed(outcome),
        }
    }
}
