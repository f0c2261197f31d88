//! Basic types that cannot hold invalid values: ids, state words, the target of a row and the state that was read.
//!
//! [`words`] holds the meaning of the service's vocabulary (documented pairs, states in which an update is ignored), [`dialect`]
//! the words of each edition of its API; this file has the values that carry them.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub mod dialect;
mod lists;
pub mod words;

use words::Word;

/// Position of a row in its plan, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowId(pub u32);

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Id of a source server: 1 to 36 characters, none of which could end or escape its path segment.
///
/// Keeps its spelling and is compared without case: ids are UUIDs, and a spreadsheet or a script that writes one in
/// capitals means the same server.
///
/// source: api-sms/UpdateCopyState.html (length). An encoded slash is read differently by the vendor's own
/// signers, so no id carries one.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct SourceId(Arc<str>);

impl PartialEq for SourceId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for SourceId {}

impl Hash for SourceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // One write, where one for each byte takes a tenth longer for the check of a large plan (`cargo bench --bench speed -- scale`).
        let mut lower = [0; 4 * Self::MAX_CHARS];
        let lower = &mut lower[..self.0.len()];
        lower.copy_from_slice(self.0.as_bytes());
        lower.make_ascii_lowercase();
        state.write(lower);
    }
}

/// Reason for which a text is not a source id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSourceId {
    #[error("the source id is empty")]
    Empty,
    #[error("the source id has {0} characters, at most {max} are allowed", max = SourceId::MAX_CHARS)]
    TooLong(usize),
    #[error("the source id has a `/`")]
    Slash,
    #[error("the source id has a control character")]
    Control,
    /// `.` and `..` as a path segment lead to another address.
    #[error("the source id is `.` or `..`")]
    Dots,
}

impl SourceId {
    pub const MAX_CHARS: usize = 36;

    pub fn new(text: &str) -> Result<Self, BadSourceId> {
        if text.is_empty() {
            return Err(BadSourceId::Empty);
        }
        let n_chars = text.chars().count();
        if n_chars > Self::MAX_CHARS {
            return Err(BadSourceId::TooLong(n_chars));
        }
        if text.contains('/') {
            return Err(BadSourceId::Slash);
        }
        if text.chars().any(char::is_control) {
            return Err(BadSourceId::Control);
        }
        if text == "." || text == ".." {
            return Err(BadSourceId::Dots);
        }
        Ok(Self(text.into()))
    }

    /// Returns the id if it has only ASCII letters, digits, `-` and `_`, so that it cannot be mistaken for a lookalike.
    #[must_use]
    pub fn plain(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| matches!(byte, b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'_' | b'a'..=b'z');
        let is_id = !text.is_empty() && text.len() <= Self::MAX_CHARS && text.bytes().all(is_plain);
        is_id.then(|| Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// State that a row's server is to reach; every row of a plan names at least one of the two fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetState {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copystate: Option<Word>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrationcycle: Option<Word>,
}

/// Treatment of a target that leaves one of its two fields open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PairCompletion {
    /// The open field is filled in with what a look shows.
    FromLook,
    /// The target is sent as it stands.
    #[default]
    Off,
}

impl PairCompletion {
    /// Returns the target to send. A field that was not seen stays open.
    #[must_use]
    pub fn complete(self, target: &TargetState, seen: Option<&SeenState>) -> TargetState {
        match (self, seen) {
            (Self::FromLook, Some(seen)) => target.completed_from(seen),
            (Self::FromLook, None) | (Self::Off, _) => target.clone(),
        }
    }
}

/// Selection among the two fields of a source's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    pub copystate: bool,
    pub migrationcycle: bool,
}

impl Fields {
    pub const BOTH: Self = Self { copystate: true, migrationcycle: true };

    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            copystate: self.copystate || other.copystate,
            migrationcycle: self.migrationcycle || other.migrationcycle,
        }
    }
}

impl TargetState {
    /// Fields that the target names.
    #[must_use]
    pub fn fields(&self) -> Fields {
        Fields { copystate: self.copystate.is_some(), migrationcycle: self.migrationcycle.is_some() }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.copystate.is_none() && self.migrationcycle.is_none()
    }

    #[must_use]
    pub fn is_pair(&self) -> bool {
        self.copystate.is_some() && self.migrationcycle.is_some()
    }

    fn completed_from(&self, seen: &SeenState) -> TargetState {
        TargetState {
            copystate: self.copystate.clone().or_else(|| seen.copystate.clone()),
            migrationcycle: self.migrationcycle.clone().or_else(|| seen.migrationcycle.clone()),
        }
    }
}

impl fmt::Display for TargetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_pair(f, self.copystate.as_ref(), self.migrationcycle.as_ref())
    }
}

/// State that a read showed, in the spelling of writes (the answer's `state` is `copystate`). Unknown words are kept; `None` is a
/// field that the answer did not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SeenState {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copystate: Option<Word>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrationcycle: Option<Word>,
}

impl SeenState {
    /// Returns the first needed field that was not shown, in the spelling of reads.
    #[must_use]
    pub fn lacks(&self, needed: Fields) -> Option<&'static str> {
        if needed.copystate && self.copystate.is_none() {
            Some("state")
        } else if needed.migrationcycle && self.migrationcycle.is_none() {
            Some("migration_cycle")
        } else {
            None
        }
    }

    /// Fills fields that this look did not show from an earlier look.
    #[must_use]
    pub fn or(self, earlier: Option<SeenState>) -> Self {
        let earlier = earlier.unwrap_or_default();
        Self {
            copystate: self.copystate.or(earlier.copystate),
            migrationcycle: self.migrationcycle.or(earlier.migrationcycle),
        }
    }
}

impl From<&TargetState> for SeenState {
    /// State of a server that has reached its target.
    fn from(target: &TargetState) -> Self {
        Self { copystate: target.copystate.clone(), migrationcycle: target.migrationcycle.clone() }
    }
}

impl fmt::Display for SeenState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_pair(f, self.copystate.as_ref(), self.migrationcycle.as_ref())
    }
}

/// Writes `copystate/migrationcycle`, as people write it in runbooks; `*` for a field that is not named.
fn write_pair(f: &mut fmt::Formatter<'_>, copystate: Option<&Word>, cycle: Option<&Word>) -> fmt::Result {
    let text = format!("{}/{}", copystate.map_or("*", Word::as_str), cycle.map_or("*", Word::as_str));
    f.pad(&text)
}

/// Valid row of a plan: every row that exists can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: RowId,
    /// Line number in its file, for messages.
    pub line: u32,
    /// File of rows that holds it; `None` for the plan file itself.
    pub file: Option<Arc<str>>,
    pub source_id: SourceId,
    pub wants: TargetState,
    /// State that must be seen before a change is sent; empty when the plan expects nothing.
    pub expects: TargetState,
    pub wave: Option<String>,
    /// Value of the plan's column `target`: the account and endpoint that carries the row.
    pub account: Option<String>,
    pub name: Option<String>,
    pub note: Option<String>,
    /// Unknown columns, kept for the reports, in the file's order.
    pub extra: Vec<(String, String)>,
}

#[cfg(test)]
impl Row {
    /// Returns the first row of a plan, `vm-1`, with nothing but its target.
    pub(crate) fn first(wants: TargetState) -> Self {
        Self {
            id: RowId(1),
            line: 2,
            file: None,
            source_id: SourceId::new("vm-1").unwrap(),
            wants,
            expects: TargetState::default(),
            wave: None,
            account: None,
            name: None,
            note: None,
            extra: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_id_is_what_can_stand_in_a_path() {
        assert_eq!(SourceId::new("dcdbe339-b02d-4578-95a1-9c9c547d0000").unwrap().as_str().len(), 36);
        assert_eq!(SourceId::new(""), Err(BadSourceId::Empty));
        assert_eq!(SourceId::new(&"x".repeat(37)), Err(BadSourceId::TooLong(37)));
        assert_eq!(SourceId::new("a/b"), Err(BadSourceId::Slash));
        assert_eq!(SourceId::new("a\u{7}b"), Err(BadSourceId::Control));
        assert_eq!(SourceId::new(".."), Err(BadSourceId::Dots));
        assert!(SourceId::new("vm 1 ☃ %2F").is_ok());
        assert!(SourceId::new(&"☃".repeat(36)).is_ok());
    }

    #[test]
    fn two_spellings_of_one_id_are_one_id() {
        let keys = std::hash::RandomState::new();
        let ids = ["443e10cb-2439-597a-aed4-772070f8cb5b", "443E10CB-2439-597A-AED4-772070F8CB5B"];
        let [lower, upper] = ids.map(|id| SourceId::new(id).unwrap());
        assert_eq!(lower, upper);
        assert_eq!(std::hash::BuildHasher::hash_one(&keys, &lower), std::hash::BuildHasher::hash_one(&keys, &upper));
        assert_eq!(upper.as_str(), ids[1]);
        assert_ne!(lower, SourceId::new("443e10cb-2439-597a-aed4-772070f8cb5c").unwrap());
    }

    #[test]
    fn a_half_target_is_completed_from_what_was_seen() {
        let wants = TargetState { copystate: Some(Word::new("stopped")), migrationcycle: None };
        let seen = SeenState { copystate: Some(Word::new("syncing")), migrationcycle: Some(Word::new("SYNCING")) };
        let completed = |completion: PairCompletion, seen| completion.complete(&wants, seen).to_string();
        assert_eq!(completed(PairCompletion::FromLook, Some(&seen)), "stopped/syncing");
        assert_eq!(completed(PairCompletion::FromLook, None), wants.to_string());
        assert_eq!(completed(PairCompletion::Off, Some(&seen)), wants.to_string());
    }
}
