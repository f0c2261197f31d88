//! Requests to the service and their results, as a launch hands them to a worker and the worker hands them back.
//!
//! The form is read by other versions of the program: fields are added, and none changes its meaning. What is not known is passed over,
//! and texts are cleaned and cut again by whoever reads them: anybody may have said them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::classify::clean_id;
use super::quota::{is_a_gateways, is_believed};
#[cfg(feature = "cluster")]
use super::service::Reply;
use super::service::{Listed, Page, Read, SourceShown};
use super::wire::word;
use crate::credentials::error::CredentialsError;
use crate::credentials::identity::{Generation, Renewal};
use crate::event::outcome::Outcome;
use crate::model::SourceId;
use crate::model::state::{SeenState, TargetState};
use crate::model::words::Word;
use crate::transport::client::Connection;
use crate::transport::secrets::Secrets;

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
            Some(reason) if self.again => Err(CredentialsError::Unreachable { origin, reason: short(&reason) }),
            Some(reason) => Err(CredentialsError::Denied { origin, reason: short(&reason) }),
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
        if spoken.renewed { Renewal::Renewed } else { Renewal::Refused(spoken.reason.as_deref().map(short)) }
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
        let (took, request_id) = (Duration::from_millis(took_ms), request_id.map(clean_id));
        Read { value: value(spoken), request_id, took, generation: generation(number) }
    }
}

impl SpokenResult<Outcome> {
    pub(super) fn into_change(self, generation: impl FnOnce(u64) -> Generation) -> Read<Outcome> {
        self.into_read(clean, generation)
    }

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
            SpokenSource::Seen(state) => Self::Seen(clean_state(&state)),
            SpokenSource::Absent => Self::Absent,
            SpokenSource::Failed(outcome) => Self::Failed(clean(outcome)),
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
                let servers =
                    servers.into_iter().filter_map(|(text, state)| Some((id(&text)?, clean_state(&state)))).collect();
                let contradicted = contradicted.iter().filter_map(id).collect();
                Listed::Page(Page { count, n_entries, servers, contradicted })
            }
            SpokenPage::Failed(outcome) => Listed::Failed(clean(outcome)),
        }
    }
}

fn short(text: &str) -> String {
    Secrets::default().short(text)
}

/// Outcome with texts as short and as plain, and figures as large, as those of answers that came here.
fn clean(outcome: Outcome) -> Outcome {
    let code = |code: Option<String>| code.as_deref().map(short);
    match outcome {
        Outcome::Accepted { status } => Outcome::Accepted { status },
        Outcome::Rejected { status, code: said, message } => {
            Outcome::Rejected { status, code: code(said), message: short(&message) }
        }
        Outcome::Unauthenticated { status, code: said, message } => {
            Outcome::Unauthenticated { status, code: code(said), message: short(&message) }
        }
        Outcome::Barred { status, code: said, message } => {
            Outcome::Barred { status, code: code(said), message: short(&message) }
        }
        Outcome::Throttled { status, retry_after_ms, quota, message } => Outcome::Throttled {
            status,
            retry_after_ms: retry_after_ms.filter(|wait| is_believed(&Duration::from_millis(*wait))),
            quota: quota.filter(is_a_gateways),
            message: short(&message),
        },
        Outcome::Unsent { cause } => Outcome::Unsent { cause: short(&cause) },
        Outcome::Disclaimed { cause } => Outcome::Disclaimed { cause: short(&cause) },
        Outcome::Lost { status, code: said, cause } => Outcome::Lost { status, code: code(said), cause: short(&cause) },
    }
}

/// State of which each word could be one.
fn clean_state(state: &SeenState) -> SeenState {
    let clean = |said: &Option<Word>| said.as_ref().and_then(|said| word(said.as_str()));
    SeenState { copystate: clean(&state.copystate), migrationcycle: clean(&state.migrationcycle) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::outcome::StatedQuota;

    const RAW: &str = "a\u{1b}[2J\u{202e}b";

    fn heard(value: &Value) -> Read<Outcome> {
        let result =
            json!({"value": value, "request_id": RAW.repeat(100), "took_ms": u64::MAX, "generation": 1, "more": 1});
        let result: SpokenResult<Outcome> = serde_json::from_value(result).unwrap();
        result.into_change(Generation::from_number)
    }

    #[test]
    fn texts_and_figures_are_what_an_answer_here_could_have_brought() {
        let long = RAW.repeat(1_000);
        for is in Outcome::NAMES {
            let said = json!({
                "is": is, "status": 429, "code": long, "message": long, "cause": long, "retry_after_ms": u64::MAX,
                "quota": StatedQuota { calls: 0, period_ms: 0 }, "more": [],
            });
            let Read { value: outcome, request_id, .. } = heard(&said);
            let stored = serde_json::to_string(&outcome).unwrap();
            assert!(stored.len() < 2_500 && !stored.contains("u001b") && !stored.contains('\u{202e}'), "{stored}");
            assert_eq!(request_id.unwrap().len(), 128);
            if let Outcome::Throttled { retry_after_ms, quota, .. } = outcome {
                assert_eq!((retry_after_ms, quota), (None, None));
            }
        }
    }

    #[test]
    fn a_word_that_is_none_is_no_state() {
        let seen = |text: &str| SeenState { copystate: Some(Word::new(text)), migrationcycle: None };
        for (said, expected) in [("stopped", Some(Word::new("stopped"))), (RAW, None), (&"a".repeat(65), None)] {
            let shown = SourceShown::from(SpokenSource::Seen(seen(said)));
            assert_eq!(shown, SourceShown::Seen(SeenState { copystate: expected, migrationcycle: None }));
        }
    }
}
