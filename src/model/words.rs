//! The service's vocabulary: state words, the pairs that go together, the states in which an update is ignored.
//!
//! The lists changed three times within three months, so a word is data: known ones are in the tables of `lists`, unknown ones
//! are carried as they were read. Compare words with `==`: it ignores case, and `init` (the spelling of writes) equals
//! `initialize` (the spelling of reads).

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::lists::{self, canonical};

/// State word in lower case, in the spelling it came with.
#[derive(Clone, Debug)]
pub struct Word(Cow<'static, str>);

impl Word {
    #[must_use]
    pub fn new(text: &str) -> Self {
        let as_long = KNOWN.get(text.len()).map_or(&[][..], |words| &words[..]);
        let known = as_long.iter().find(|word| word.eq_ignore_ascii_case(text));
        Self(match known {
            Some(word) => Cow::Borrowed(word),
            None => Cow::Owned(text.to_lowercase()),
        })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether a text could be a word of some later edition: 1 to 64 ASCII letters, digits, `_` and `-`.
    #[must_use]
    pub(crate) fn could_be(text: &str) -> bool {
        /// More than four times the length of any known word.
        const LONGEST: usize = 64;
        let is_of_a_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_of_a_word)
    }

    #[must_use]
    pub fn is_copystate(&self) -> bool {
        lists::has(&lists::COPYSTATES, &self.0)
    }

    #[must_use]
    pub fn is_migrationcycle(&self) -> bool {
        lists::has(&lists::MIGRATIONCYCLES, &self.0)
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        canonical(&self.0) == canonical(&other.0)
    }
}
impl Eq for Word {}

impl Hash for Word {
    fn hash<H: Hasher>(&self, state: &mut H) {
        canonical(&self.0).hash(state);
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Visitor that borrows the text from the input, without a copy.
        struct WordVisitor;

        impl Visitor<'_> for WordVisitor {
            type Value = Word;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Word, E> {
                Ok(Word::new(text))
            }
        }

        deserializer.deserialize_str(WordVisitor)
    }
}

/// Every copystate that some edition of the API lets one write.
pub const COPYSTATES: [&str; lists::COPYSTATES.len()] = lists::words(&lists::COPYSTATES);

/// Every migrationcycle that some edition of the API lets one write.
pub const MIGRATIONCYCLES: [&str; lists::MIGRATIONCYCLES.len()] = lists::words(&lists::MIGRATIONCYCLES);

/// Words of both lists by length, so that finding one takes a few comparisons. Unused slots are empty.
static KNOWN: [[&str; 8]; 16] = by_length([&COPYSTATES, &MIGRATIONCYCLES]);

const fn by_length<const LONGEST: usize>(lists: [&[&'static str]; 2]) -> [[&'static str; 8]; LONGEST] {
    let mut by_length = [[""; 8]; LONGEST];
    let mut i = 0;
    while i < lists[0].len() + lists[1].len() {
        let word = if i < lists[0].len() { lists[0][i] } else { lists[1][i - lists[0].len()] };
        let mut place = 0;
        while !by_length[word.len()][place].is_empty() {
            place += 1;
        }
        by_length[word.len()][place] = word;
        i += 1;
    }
    by_length
}

/// Current states in which the service answers 200 and changes nothing.
///
/// source: CN api-sms/UpdateCopyState.html (2026-01-27). `cleared` is not in the vendor's list, although its two
/// neighbours are; whether it swallows updates as well is not established, so we send and look.
const SWALLOWS_UPDATES: [&str; 7] =
    ["unavailable", "stopping", "stopped", "deleting", "finished", "clearing", "clearfailed"];

/// Tells whether a server in this state answers 200 to an update and stays as it is.
#[must_use]
pub fn swallows_updates(copystate: &Word) -> bool {
    SWALLOWS_UPDATES.contains(&copystate.as_str())
}

/// Tells whether a word can be written but never read, so that no look can prove it. `premiging` may be shown as
/// `premigready`.
#[must_use]
pub fn never_shown(word: &Word) -> bool {
    lists::is_written_but_never_shown(word.as_str())
}

/// Targets that cannot be undone.
pub(crate) const IRREVERSIBLE: [&str; 3] = ["finished", "deleting", "cleared"];

#[must_use]
pub fn irreversible(copystate: &Word) -> bool {
    IRREVERSIBLE.contains(&copystate.as_str())
}

/// Targets that only an operator's task action (start, stop, cutover, clear, …) brings about: the update writes the
/// word into the record and starts no work.
///
/// source: `huaweicloudsdksms/v3/model/update_task_status_req.py` (the actions). That `changestate` starts nothing
/// is an inference from its place in the API.
const STARTED_BY_TASK_ACTION: [&str; 8] =
    ["replicate", "syncing", "stopping", "skipping", "clearing", "premiging", "cloning", "cutovering"];

#[must_use]
pub fn started_by_task_action(copystate: &Word) -> bool {
    STARTED_BY_TASK_ACTION.contains(&copystate.as_str())
}

/// Vendor's documentation of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    Allowed,
    /// The matrix has a rule for this migrationcycle, and it does not name the copystate.
    Outside,
    /// No rule is given for the copystate or the migrationcycle: neither accept nor refuse on paper.
    NoRule,
}

/// The pair matrix, given only in a comment of the Go SDK.
///
/// source: huaweicloud-sdk-go-v3 `services/sms/v3/model/model_put_copy_state_req.go` (v0.1.186 and later).
const MATRIX: [(&str, &[&str]); 6] = [
    ("checking", &["unavailable", "waiting"]),
    ("setting", &["waiting", "premigready", "premiging", "premiged", "premigfailed"]),
    ("replicating", &["init", "initialize", "replicate", "deleting", "stopping", "error", "stopped"]),
    ("syncing", &["syncing", "cloning", "deleting", "stopping", "error", "stopped"]),
    ("cutovering", &["cutovering", "deleting", "stopping", "error", "stopped"]),
    ("cutovered", &["finished", "deleting", "stopping", "error", "stopped"]),
];

#[must_use]
pub fn pairing(copystate: &Word, migrationcycle: &Word) -> Pairing {
    let placed = MATRIX.iter().any(|(_, states)| states.contains(&copystate.as_str()));
    match MATRIX.iter().find(|(cycle, _)| *cycle == migrationcycle.as_str()) {
        Some((_, states)) if states.contains(&copystate.as_str()) => Pairing::Allowed,
        Some(_) if placed => Pairing::Outside,
        Some(_) | None => Pairing::NoRule,
    }
}

/// Returns the known word nearest to a misspelt one, if one is near: at most one edit, plus one for each four of its letters.
#[must_use]
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&text, word), word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_compare_without_case_and_init_is_initialize() {
        assert_eq!(Word::new("INIT"), Word::new("initialize"));
        assert_eq!(Word::new("Initialize").as_str(), "initialize");
        assert_ne!(Word::new("init"), Word::new("replicate"));
        assert_eq!(Word::new("Unheard_Of").as_str(), "unheard_of");
    }

    #[test]
    fn an_unknown_word_is_a_word_all_the_same() {
        for text in ["brand_new", "READY-2", "x", &"x".repeat(64)] {
            assert!(Word::could_be(text), "{text}");
        }
        for text in
            ["", "#N/A", "#REF!", "a b", "a\"b", "a'b", "a\u{1b}[31m", "a\0", "état", "a\u{ad}", "=x", &"x".repeat(65)]
        {
            assert!(!Word::could_be(text), "{text:?}");
        }
    }

    #[test]
    fn the_published_example_is_outside_the_matrix() {
        assert_eq!(pairing(&Word::new("WAITING"), &Word::new("cutovered")), Pairing::Outside);
        assert_eq!(pairing(&Word::new("waiting"), &Word::new("setting")), Pairing::Allowed);
        assert_eq!(pairing(&Word::new("initialize"), &Word::new("replicating")), Pairing::Allowed);
        assert_eq!(pairing(&Word::new("clearing"), &Word::new("cutovered")), Pairing::NoRule);
        assert_eq!(pairing(&Word::new("waiting"), &Word::new("tested")), Pairing::NoRule);
    }

    #[test]
    fn exactly_seven_states_swallow_updates() {
        let swallowing = COPYSTATES.iter().filter(|state| swallows_updates(&Word::new(state))).count();
        assert_eq!(swallowing, 7);
        assert!(!swallows_updates(&Word::new("cleared")));
    }

    #[test]
    fn a_misspelling_gets_the_nearest_word_and_nonsense_gets_none() {
        assert_eq!(nearest("finishd", COPYSTATES), Some("finished"));
        assert_eq!(nearest("CUTOVERD", MIGRATIONCYCLES), Some("cutovered"));
        assert_eq!(nearest("banana", COPYSTATES), None);
    }
}
