//! Words between head and worker: their subjects, and their form on the wire.

use std::fmt::Write as _;

use async_nats::{HeaderMap, Message, StatusCode, Subject};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hands::ServedTarget;

/// Number of the protocol. What speaks another one is left alone.
pub(super) const PROTOCOL: u32 = 1;
/// Subject on which each worker tells each second that it is here.
pub(super) const HERE: &str = "cutover.here";

/// Subjects below which a head hears the answers of workers, and a worker the leaves of heads. Those that answer cannot listen there.
pub(super) const SAID: &str = "cutover.said";
pub(super) const GO: &str = "cutover.go";

const OF_PROTOCOL: &str = "Cutover-Hand";
const OF_WORD: &str = "Cutover-Word";

/// Returns the subject on which a worker is asked for a target.
pub(super) fn subject_of(target: &str, worker: &str) -> String {
    format!("cutover.do.{}.{worker}", token(target))
}

/// Tells whether a subject is below this one, and no more than one: whoever is asked to speak there may have more rights elsewhere.
pub(super) fn is_below(subject: &Subject, above: &str) -> bool {
    let below = subject.strip_prefix(above).and_then(|rest| rest.strip_prefix('.'));
    below.is_some_and(|below| !below.is_empty() && !below.contains(['*', '>']))
}

/// Writes a name as one token of a subject: what may not stand in one is written by its bytes.
fn token(name: &str) -> String {
    let mut token = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            token.push(byte.into());
        } else {
            _ = write!(token, "={byte:02X}");
        }
    }
    token
}

/// Sign of life of a worker, and all that it tells of itself. Fields that are not known are passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HereBeat {
    pub(super) protocol: u32,
    pub(super) worker: String,
    pub(super) host: String,
    pub(super) pid: u32,
    pub(super) version: String,
    pub(super) since: Timestamp,
    /// Time of day by its clock.
    pub(super) at: Timestamp,
    #[serde(default)]
    pub(super) leaving: bool,
    #[serde(default)]
    pub(super) targets: Vec<ServedTarget>,
}

/// Kind of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandWord {
    Do,
    Taken,
    Go,
    Late,
    Done,
    /// The question is of a kind that the worker does not know.
    NotKnown,
}

impl HandWord {
    const ALL: [(HandWord, &'static str); 6] = [
        (HandWord::Do, "do"),
        (HandWord::Taken, "taken"),
        (HandWord::Go, "go"),
        (HandWord::Late, "late"),
        (HandWord::Done, "done"),
        (HandWord::NotKnown, "not-known"),
    ];

    pub(super) fn headers(self) -> HeaderMap {
        let (_, name) = Self::ALL.into_iter().find(|(word, _)| *word == self).expect("the list has all of them");
        let mut headers = HeaderMap::new();
        headers.insert(OF_PROTOCOL, PROTOCOL.to_string());
        headers.insert(OF_WORD, name);
        headers
    }
}

/// Meaning of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeardMessage {
    HandWord(HandWord),
    /// The server says that nobody listens there. It comes where an answer would, and is none.
    Nobody,
    /// Speaks another protocol, or is none of ours.
    Other,
}

pub(super) fn heard(message: &Message) -> HeardMessage {
    match message.status {
        Some(StatusCode::NO_RESPONDERS) => return HeardMessage::Nobody,
        Some(_) => return HeardMessage::Other,
        None => (),
    }
    let Some(headers) = &message.headers else { return HeardMessage::Other };
    if headers.get(OF_PROTOCOL).is_none_or(|number| number.as_str() != PROTOCOL.to_string()) {
        return HeardMessage::Other;
    }
    let word = headers.get(OF_WORD).map_or("", |word| word.as_str());
    HandWord::ALL
        .into_iter()
        .find(|(_, name)| *name == word)
        .map_or(HeardMessage::Other, |(word, _)| HeardMessage::HandWord(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_token_and_no_two_names_are_the_same() {
        assert_eq!(subject_of("eu-1_a", "w1"), "cutover.do.eu-1_a.w1");
        assert_eq!(subject_of("eu.*>=ü", "w1"), "cutover.do.eu=2E=2A=3E=3D=C3=BC.w1");
    }
}
